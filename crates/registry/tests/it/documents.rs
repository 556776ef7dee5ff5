//! Documents of owners of names: what is followed, what is refused, and what
//! is never sent. The servers are in the clear, on loopback, where a client
//! that was told so by its user may be.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_content::{Code, Result};
use plimsoll_registry::client::{Client, Credential, Found, Keyring, Options, Secret, Wanted};
use plimsoll_registry::protocol::{Host, Repository, Url};

use crate::options;
use crate::server::{Reply, Server};

fn ask(client: &Client, url: &str, named: bool, owner: Option<&str>) -> Result<Option<Found>> {
    let url = Url::parse(url)?;
    let wanted = Wanted { url: &url, what: "a document", accept: "*/*", limit: 1000, named, owner };
    client.document(&wanted)
}

/// A server that answers each path with what `answer` says.
fn server(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Server {
    Server::spoilt(move |seen, _, _| answer(&seen.path))
}

#[test]
fn only_404_and_410_are_an_absence() {
    let server = server(|path| match path {
        "/there" => Reply::new(200, b"{}").with("Cache-Control", "public, max-age=77"),
        other => Reply::new(other[1..].parse().expect("a status"), b"x"),
    });
    let client = Client::new(options());
    let at = |path: &str| ask(&client, &format!("http://{}{path}", server.host), true, None);
    let found = at("/there").expect("asked").expect("found");
    assert_eq!((found.bytes.as_slice(), found.max_age), (&b"{}"[..], Some(77)));
    for status in ["/404", "/410"] {
        assert!(at(status).expect("asked").is_none(), "{status}");
    }
    for status in ["/204", "/400", "/401", "/403", "/429", "/500", "/502", "/503"] {
        assert!(at(status).is_err(), "{status}");
    }
}

#[test]
fn a1_a20_redirects_stay_encrypted_and_with_their_owner() {
    let other = Server::new();
    let to = format!("http://{}/x", other.host);
    let server = server(move |path| {
        let to = match path {
            "/plain" => to.clone(),
            "/foreign" => "https://evil.example/x".to_owned(),
            "/file" => "file:///etc/passwd".to_owned(),
            _ => "/loop".to_owned(),
        };
        Reply::new(302, b"").with("Location", to)
    });
    let client = Client::new(options());
    let at = |path: &str, owner| {
        ask(&client, &format!("http://{}{path}", server.host), true, owner).expect_err(path)
    };
    assert_eq!(at("/plain", None).code(), Code::PlainHttp);
    assert_eq!(at("/foreign", Some("example.com")).code(), Code::Discovery);
    assert!(at("/foreign", Some("example.com")).to_string().contains("somebody else's"));
    at("/file", None);
    // On the same server it is in the clear as well.
    assert_eq!(at("/loop", None).code(), Code::PlainHttp);
    assert_eq!(other.seen().len(), 0, "nothing was asked in the clear");
}

#[test]
fn a18_a19_nobody_is_led_into_a_private_network() {
    let server = Server::new();
    let client = Client::new(options());
    let error = ask(&client, &format!("http://{}/x", server.host), false, None).expect_err("led");
    assert!(error.to_string().contains("private network"), "{error}");
    // A name that leads there is no better; the check is on the address.
    let port = server.host.rsplit_once(':').expect("a port").1;
    let error = ask(&client, &format!("http://localhost:{port}/x"), false, None).expect_err("led");
    assert!(error.to_string().contains("private network"), "{error}");
    assert_eq!(server.seen().len(), 0);
    // One that the user wrote himself, or set an address for, is his own matter.
    assert!(ask(&Client::new(options()), &format!("http://{}/x", server.host), true, None).is_ok());
    let address = server.host.parse().expect("an address");
    let hosts = [("images.localhost".to_owned(), address)].into();
    let client = Client::new(Options { hosts, ..options() });
    assert!(ask(&client, &format!("http://images.localhost:{port}/x"), false, None).is_ok());
}

#[test]
fn a25_answers_have_an_end() {
    let server = server(|path| match path {
        "/endless" => Reply::new(200, &[b' '; 2000]),
        _ => {
            let mut reply = Reply::new(200, &[b' '; 500]);
            reply.stall = Some(100);
            reply
        }
    });
    let mut options = options();
    options.patience.stall = Duration::from_millis(300);
    let client = Client::new(options);
    let at = |path: &str| ask(&client, &format!("http://{}{path}", server.host), true, None);
    assert_eq!(at("/endless").expect_err("too long").code(), Code::Limit);
    assert_eq!(at("/stalls").expect_err("no end").code(), Code::Network);
}

struct Everywhere;

impl Keyring for Everywhere {
    fn find(&self, _: &Host, _: Option<&Repository>) -> Result<Credential> {
        Ok(Credential::Basic { user: "user".into(), password: Secret::new("secret") })
    }
}

#[test]
fn a27_no_credential_is_sent_for_a_document() {
    let server =
        server(|_| Reply::new(401, b"").with("WWW-Authenticate", "Basic realm=\"give me\""));
    let client = Client::new(Options { keyring: Arc::new(Everywhere), ..options() });
    assert!(ask(&client, &format!("http://{}/x", server.host), true, None).is_err());
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].header("authorization").is_none(), "{:?}", seen[0].headers);
    // Offline, nothing is asked at all.
    let client = Client::new(Options { offline: true, ..options() });
    let error =
        ask(&client, &format!("http://{}/x", server.host), true, None).expect_err("offline");
    assert_eq!(error.code(), Code::Offline);
    assert_eq!(server.seen().len(), 1);
}
