//! Through a proxy: who is reached by it, and what it gets to know.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use plimsoll_content::Code;
use plimsoll_registry::client::{Client, Options, Proxies, Remote};

use crate::server::Server;
use crate::{blob, bytes, options, read};

/// A proxy on loopback that leads everybody to one server, and keeps what it
/// was asked.
struct Proxy {
    host: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, to) = (Arc::clone(&heads), server.host.clone());
        std::thread::spawn(move || {
            // It ends with the test program; what comes is bounded by the test.
            for stream in listener.incoming().flatten().take(100) {
                let (kept, to) = (Arc::clone(&kept), to.clone());
                std::thread::spawn(move || serve(stream, &to, &kept));
            }
        });
        Self { host, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic").clone()
    }
}

fn serve(client: TcpStream, to: &str, kept: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).ok()? > 0 {}
    kept.lock().expect("no panic").push(head.clone());
    let mut server = TcpStream::connect(to).ok()?;
    let mut client = client;
    if head.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    } else {
        // http://HOST/PATH becomes /PATH.
        let (method, rest) = head.split_once(" http://")?;
        server.write_all(format!("{method} /{}", rest.split_once('/')?.1).as_bytes()).ok()?;
    }
    let (mut up, mut down) = (server.try_clone().ok()?, client.try_clone().ok()?);
    let back = std::thread::spawn(move || {
        let _ = std::io::copy(&mut server, &mut down);
        let _ = down.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut reader.by_ref(), &mut up);
    let _ = back.join();
    Some(())
}

fn remote(proxies: Proxies) -> Remote {
    let insecure = vec!["registry.invalid".parse().expect("host")];
    let client = Client::new(Options { proxies, insecure, ..options() });
    client.remote("registry.invalid".parse().expect("host"), "org/app".parse().expect("name"))
}

#[test]
fn a_registry_is_reached_through_the_proxy() {
    let server = Server::new();
    let proxy = Proxy::to(&server);
    let content = bytes(1_000);
    let digest = server.add_blob(&content);
    let http = Some(format!("http://me:hunter2@{}", proxy.host));
    let remote = remote(Proxies { http, ..Proxies::default() });
    assert_eq!(read(&remote, &blob(&digest, 1_000)).expect("read"), content);
    let heads = proxy.heads();
    assert!(heads.iter().all(|head| head.contains("registry.invalid")), "{heads:?}");
    // The login of the proxy is for the proxy.
    let lower = |text: &String| text.to_ascii_lowercase();
    assert!(heads.iter().map(lower).any(|head| head.contains("proxy-authorization: basic")));
    let seen = server.seen();
    let leaked = |seen: &crate::server::Seen| {
        seen.headers.iter().any(|(_, value)| value.contains("hunter") || value.contains("bWU6"))
    };
    assert!(!seen.is_empty() && !seen.iter().any(leaked), "{seen:?}");
}

#[test]
fn who_is_reached_without_is_not_told_to_the_proxy() {
    let server = Server::new();
    let proxy = Proxy::to(&server);
    let http = Some(format!("http://{}", proxy.host));
    let without = vec![".invalid".into()];
    let remote = remote(Proxies { http: http.clone(), https: http, without });
    let error = read(&remote, &blob(&server.add_blob(b"x"), 1)).expect_err("nobody there");
    assert_eq!(error.code(), Code::Network);
    assert!(proxy.heads().is_empty() && server.seen().is_empty());
}

#[test]
fn a_proxy_that_is_not_there_is_an_error_without_its_password() {
    let http = Some("http://me:hunter2@127.0.0.1:1".to_owned());
    let remote = remote(Proxies { http: http.clone(), https: http, without: Vec::new() });
    let server = Server::new();
    let error = read(&remote, &blob(&server.add_blob(b"x"), 1)).expect_err("no proxy");
    assert_eq!(error.code(), Code::Network);
    assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
}
