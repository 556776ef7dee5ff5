//! Being let in, and where secrets go: to the one that they are for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_content::{Code, Resolve, Result};
use plimsoll_registry::client::{Credential, Keyring, Options, Secret};
use plimsoll_registry::protocol::{Host, Repository};

use crate::server::{Reply, Server};
use crate::{blob, bytes, options, read, remote, remote_with};

/// `user:hunter2` in base64.
const BASIC: &str = "Basic dXNlcjpodW50ZXIy";

struct Fixed(Credential);

impl Keyring for Fixed {
    fn find(&self, _: &Host, _: Option<&Repository>) -> Result<Credential> {
        Ok(self.0.clone())
    }
}

fn known(credential: Credential) -> Options {
    Options { keyring: Arc::new(Fixed(credential)), ..options() }
}

fn password() -> Credential {
    Credential::Basic { user: "user".into(), password: Secret::new("hunter2") }
}

fn challenge(text: &str) -> Reply {
    Reply::new(401, br#"{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}"#)
        .with("WWW-Authenticate", text)
}

#[test]
fn basic_is_answered_with_user_and_password() {
    let server = Server::spoilt(|seen, _, reply| match seen.header("authorization") {
        Some(BASIC) => reply,
        _ => challenge("Basic realm=\"x\""),
    });
    let digest = server.add_blob(b"hello");
    let good = remote_with(&server, known(password()));
    assert_eq!(read(&good, &blob(&digest, 5)).expect("let in"), b"hello");
    let before = server.seen().len();
    let error = read(&remote(&server), &blob(&digest, 5)).expect_err("no login");
    assert_eq!(error.code(), Code::Auth);
    assert!(error.fix_text().is_some_and(|fix| fix.contains("plimsoll login")));
    // Nobody knocks again with what was refused.
    assert_eq!(server.seen().len(), before + 2);
    let wrong = Credential::Basic { user: "user".into(), password: Secret::new("hunter3") };
    let error = read(&remote_with(&server, known(wrong)), &blob(&digest, 5)).expect_err("wrong");
    assert_eq!(error.code(), Code::Auth);
    assert!(!format!("{error:?} {error}").contains("hunter"), "{error:?}");
}

/// A registry with a token server beside it. Its tokens are good for `uses`
/// requests each.
fn with_tokens(uses: usize) -> (Server, Server) {
    let given = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&given);
    let tokens = Server::spoilt(move |seen, _, _| {
        let let_in = seen.header("authorization") == Some(BASIC)
            || String::from_utf8_lossy(&seen.body).contains("refresh_token=ident");
        if !let_in {
            return challenge("Basic realm=\"tokens\"");
        }
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        Reply::new(200, format!("{{\"token\":\"t{number}\",\"expires_in\":300}}").as_bytes())
    });
    let realm = format!("http://{}/token", tokens.host);
    let used = AtomicUsize::new(0);
    let server = Server::spoilt(move |seen, _, reply| {
        let good = format!("Bearer t{}", given.load(Ordering::SeqCst));
        let scope = "repository:org/app:pull";
        let challenge =
            challenge(&format!("Bearer realm=\"{realm}\",service=\"reg\",scope=\"{scope}\""));
        if seen.header("authorization") != Some(good.as_str()) {
            return challenge;
        }
        if used.fetch_add(1, Ordering::SeqCst) % uses.max(1) == uses.max(1) - 1 && uses > 0 {
            // The token ends with this request.
            return if uses == 1 { reply } else { challenge };
        }
        reply
    });
    (server, tokens)
}

#[test]
fn a_token_is_asked_for_once_and_renewed_when_it_ends() {
    for credential in [password(), Credential::Identity(Secret::new("ident"))] {
        let (server, tokens) = with_tokens(3);
        let digest = server.add_blob(&bytes(50));
        let remote = remote_with(&server, known(credential));
        for _ in 0..4 {
            assert_eq!(read(&remote, &blob(&digest, 50)).expect("let in"), bytes(50));
        }
        // Two requests with each token, and a third that was refused.
        let asked = tokens.seen();
        assert_eq!(asked.len(), 2, "{asked:?}");
        let first = &asked[0];
        let words = format!("{} {}", first.path, String::from_utf8_lossy(&first.body));
        assert!(words.contains("service=reg"), "{words}");
        assert!(words.contains("scope=repository:org/app:pull"), "{words}");
    }
}

#[test]
fn a_registry_that_refuses_every_token_is_not_asked_for_ever() {
    let tokens = Server::spoilt(|_, before, _| {
        Reply::new(200, format!("{{\"access_token\":\"secret{before}\"}}").as_bytes())
    });
    let realm = format!("http://{}/token", tokens.host);
    let server = Server::spoilt(move |_, _, _| challenge(&format!("Bearer realm=\"{realm}\"")));
    let error = remote(&server).resolve("v1").expect_err("never");
    assert_eq!(error.code(), Code::Auth);
    assert!(!format!("{error:?}").contains("secret"));
    assert_eq!(server.count("GET", "/manifests/"), 2);
    assert_eq!(tokens.seen().len(), 2);
}

#[test]
fn a_secret_does_not_go_along_with_a_redirect() {
    // The other host asks for a login as well, which it does not get.
    let other = Server::spoilt(|seen, _, reply| {
        if seen.path.contains("/locked") { challenge("Basic realm=\"other\"") } else { reply }
    });
    let content = bytes(100);
    let digest = other.add_blob(&content);
    for locked in [false, true] {
        let target = if locked {
            format!("http://{}/locked", other.host)
        } else {
            format!("http://{}/v2/x/blobs/{digest}?signature=abc", other.host)
        };
        let server = Server::spoilt(move |seen, _, reply| {
            if seen.header("authorization") != Some(BASIC) {
                return challenge("Basic realm=\"x\"");
            }
            if seen.is("GET", "/blobs/") {
                return Reply::new(307, b"").with("Location", &target);
            }
            reply
        });
        let found = read(&remote_with(&server, known(password())), &blob(&digest, 100));
        if locked {
            let error = found.expect_err("locked");
            assert_eq!(error.code(), Code::Auth);
            assert!(!format!("{error:?}").contains("signature"));
        } else {
            assert_eq!(found.expect("redirected"), content);
        }
    }
    let seen = other.seen();
    assert!(seen.iter().all(|seen| seen.header("authorization").is_none()), "{seen:?}");
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[test]
fn redirects_end_and_do_not_leave_encryption() {
    let server = Server::spoilt(|seen, _, reply| {
        if seen.is("GET", "/blobs/") || seen.is("GET", "/again") {
            return Reply::new(302, b"").with("Location", "/again");
        }
        if seen.is("GET", "/manifests/") {
            return Reply::new(302, b"").with("Location", "http://elsewhere.test/x?secret");
        }
        reply
    });
    let digest = server.add_blob(b"x");
    let remote = remote(&server);
    assert_eq!(read(&remote, &blob(&digest, 1)).expect_err("endless").code(), Code::Registry);
    assert!(server.count("GET", "/again") < 10);
    let error = remote.resolve("v1").expect_err("in the clear");
    assert_eq!(error.code(), Code::PlainHttp);
    assert!(!format!("{error:?}").contains("secret"));
}

#[test]
fn no_password_goes_to_a_token_server_in_the_clear() {
    let server = Server::spoilt(|_, _, _| challenge("Bearer realm=\"http://tokens.test/token\""));
    let error = remote_with(&server, known(password())).resolve("v1").expect_err("in the clear");
    assert_eq!(error.code(), Code::PlainHttp, "{error:?}");
}

#[test]
fn a_token_with_a_line_break_is_refused() {
    let tokens = Server::spoilt(|_, _, _| Reply::new(200, br#"{"token":"a\r\nX-Evil: 1"}"#));
    let realm = format!("http://{}/token", tokens.host);
    let server = Server::spoilt(move |_, _, _| challenge(&format!("Bearer realm=\"{realm}\"")));
    assert_eq!(remote(&server).resolve("v1").expect_err("odd").code(), Code::Registry);
}
