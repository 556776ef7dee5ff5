//! Web servers with TLS that hand out folders, and keep what they were asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::ca::Authority;

/// A request, as HOST/PATH, and how many bytes of content it was answered with.
pub(crate) type Asked = (String, u64);

/// A server of some hosts.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The folder of each host; `None` answers with 503.
    sites: Mutex<BTreeMap<String, Option<PathBuf>>>,
    asked: Mutex<Vec<Asked>>,
}

impl Web {
    /// Serves folders for hosts, with a certificate of the authority for them.
    pub(crate) fn new(authority: &Authority, sites: &[(&str, PathBuf)]) -> Self {
        let hosts: Vec<_> = sites.iter().map(|(host, _)| *host).collect();
        let identity = authority.vouch(&hosts);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(identity.certificate)],
                PrivateKeyDer::Pkcs8(identity.key.into()),
            )
            .expect("a certificate");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        for (host, folder) in sites {
            shared.sites.lock().expect("lock").insert((*host).to_owned(), Some(folder.clone()));
        }
        let (config, of_thread) = (Arc::new(config), Arc::clone(&shared));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, shared) = (Arc::clone(&config), Arc::clone(&of_thread));
                std::thread::spawn(move || shared.serve(&config, stream));
            }
        });
        Self { address, shared }
    }

    /// Hands out another folder for a host, or nothing but failures.
    pub(crate) fn set(&self, host: &str, folder: Option<PathBuf>) {
        self.shared.sites.lock().expect("lock").insert(host.to_owned(), folder);
    }

    /// What was asked since this was last called.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().expect("lock"))
    }
}

impl Shared {
    /// Answers the requests of one connection. Whoever does not speak TLS gets
    /// nothing.
    fn serve(&self, config: &Arc<ServerConfig>, stream: TcpStream) -> Option<()> {
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let connection = ServerConnection::new(Arc::clone(config)).ok()?;
        let mut stream = BufReader::new(StreamOwned::new(connection, stream));
        loop {
            let (mut first, mut host) = (String::new(), String::new());
            stream.read_line(&mut first).ok().filter(|length| *length > 0)?;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).ok()?;
                let line = line.trim_end();
                if line.is_empty() {
                    break;
                }
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("host")
                {
                    value.trim().clone_into(&mut host);
                }
            }
            let host = host.split(':').next()?.to_owned();
            let target = first.split(' ').nth(1)?;
            let path = target.split('?').next()?;
            let (status, body) = self.answer(&host, path);
            self.asked.lock().expect("lock").push((format!("{host}{path}"), body.len() as u64));
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: {}\r\n\r\n",
                body.len(),
                kind(path)
            );
            let body: &[u8] = if first.starts_with("HEAD") { &[] } else { &body };
            stream.get_mut().write_all(&[head.as_bytes(), body].concat()).ok()?;
            stream.get_mut().flush().ok()?;
        }
    }

    fn answer(&self, host: &str, path: &str) -> (&'static str, Vec<u8>) {
        let sites = self.sites.lock().expect("lock");
        let Some(site) = sites.get(host) else { return ("404 Not Found", Vec::new()) };
        let Some(folder) = site else { return ("503 Unavailable", Vec::new()) };
        if path.contains("..") {
            return ("400 Bad", Vec::new());
        }
        match std::fs::read(folder.join(path.trim_start_matches('/'))) {
            Ok(bytes) => ("200 OK", bytes),
            Err(_) => ("404 Not Found", Vec::new()),
        }
    }
}

/// The content types that the documents tell to set.
fn kind(path: &str) -> &'static str {
    match path {
        "/.well-known/image-names" => "application/vnd.plimsoll.image-names.v1+json",
        _ if path.starts_with("/oci-index/") => "application/vnd.oci.image.index.v1+json",
        _ => "application/octet-stream",
    }
}
