//! The way to a registry: certificates of both ends, and proxies.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use plimsoll_interop::{Scratch, peer, run, shell};

use crate::registry::{Registry, digest, images};

/// A proxy for TLS on loopback, which leads everybody to one server; gives its
/// address, and who was asked for.
fn proxy(to: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let (kept, to) = (Arc::clone(&asked), to.to_owned());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten().take(200) {
            let (kept, to) = (Arc::clone(&kept), to.clone());
            std::thread::spawn(move || tunnel(stream, &to, &kept));
        }
    });
    (host, asked)
}

fn tunnel(mut client: TcpStream, to: &str, kept: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).ok()? > 0 {}
    kept.lock().expect("no panic").push(head.lines().next().unwrap_or_default().to_owned());
    let mut server = TcpStream::connect(to).ok()?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let mut up = server.try_clone().ok()?;
    std::thread::spawn(move || std::io::copy(&mut server, &mut client));
    std::io::copy(&mut reader, &mut up).ok()?;
    up.shutdown(std::net::Shutdown::Both).ok()
}

#[test]
fn both_ends_show_certificates_and_a_proxy_is_on_the_way() {
    let scratch = Scratch::new();
    if peer("openssl").is_none() {
        return;
    }
    let script = "
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=ca
        for who in s c; do
            openssl req -newkey rsa:2048 -nodes -keyout $who.key -out $who.csr -subj /CN=$who
            printf 'subjectAltName=DNS:registry.invalid,IP:127.0.0.1\n' >ext
            openssl x509 -req -in $who.csr -CA ca.crt -CAkey ca.key -CAcreateserial \
                -out $who.crt -days 30 -extfile ext
        done";
    shell(scratch.path(), &format!("({script}\n) 2>&1"));
    let [cert, key, ca] = ["s.crt", "s.key", "ca.crt"].map(|name| scratch.text(name));
    let http = format!(", tls: {{certificate: {cert}, key: {key}, clientcas: [{ca}]}}");
    let Some(registry) = Registry::start_with(&scratch, &http, "") else { return };
    let plimsoll = images(&scratch);
    let ours = digest(&plimsoll, "oci:images:v1");
    let certificates = |host: &str, own: bool| {
        let folder = scratch.join(&format!(".config/containers/certs.d/{host}"));
        fs::create_dir_all(&folder).expect("folders");
        fs::copy(scratch.join("ca.crt"), folder.join("ca.crt")).expect("a file");
        if own {
            fs::copy(scratch.join("c.crt"), folder.join("client.cert")).expect("a file");
            fs::copy(scratch.join("c.key"), folder.join("client.key")).expect("a file");
        }
        folder
    };
    // Nobody comes in without a certificate of his own.
    let folder = certificates(&registry.host, false);
    let name = registry.at("org/app:v1");
    let refused = plimsoll.run(&["push", "oci:images:v1", &name]);
    assert_eq!(refused.code, 5, "{refused:?}");
    certificates(&registry.host, true);
    plimsoll.good(&["push", "oci:images:v1", &name]);
    if let Some(skopeo) = peer("skopeo") {
        let mut command = skopeo.command();
        command.args(["--insecure-policy", "inspect", "--raw", "--cert-dir"]).arg(&folder);
        let found = run(command.arg(&name)).good("skopeo inspect");
        assert_eq!(found, plimsoll.good(&["show", &name, "manifest"]));
    }
    fs::remove_file(folder.join("client.key")).expect("removed");
    assert_eq!(plimsoll.run(&["inspect", &name]).code, 3, "a certificate without its key");
    // By a name that only the proxy knows.
    certificates("registry.invalid", true);
    let (proxy, asked) = proxy(&registry.host);
    let far = "docker://registry.invalid/org/app:v1";
    let inspect = |variables: &[(&str, &str)]| {
        let mut command = plimsoll.command();
        command.envs(variables.iter().copied()).args(["-q", "inspect", far]);
        run(&mut command)
    };
    for name in ["HTTPS_PROXY", "https_proxy"] {
        let found = inspect(&[(name, &format!("http://{proxy}"))]);
        assert_eq!(found.good("plimsoll inspect").trim(), ours, "{name}");
        let asked = std::mem::take(&mut *asked.lock().expect("no panic"));
        assert!(!asked.is_empty(), "{name}");
        let right = |line: &String| line.starts_with("CONNECT registry.invalid:443 ");
        assert!(asked.iter().all(right), "{asked:?}");
    }
    for name in ["NO_PROXY", "no_proxy"] {
        let found = inspect(&[("HTTPS_PROXY", &proxy), (name, "other.test,.invalid")]);
        assert_eq!(found.code, 5, "{name}: {found:?}");
        assert!(asked.lock().expect("no panic").is_empty(), "{name}");
    }
}
