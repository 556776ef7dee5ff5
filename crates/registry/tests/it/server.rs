//! A small registry over HTTP whose answers a test can spoil.
//!
//! It serves one request per connection, from memory, and keeps what it was
//! asked. `spoil` sees each request with the number of those of its method and
//! path that came before, and may answer instead of the registry, or change
//! the answer.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::content::{Algorithm, Digest};

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.path.contains(part)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// What Content-Length says instead of the truth.
    pub(crate) length: Option<u64>,
    /// After so many bytes of the body, the connection is closed.
    pub(crate) cut: Option<usize>,
    /// After so many bytes of the body, nothing comes any more.
    pub(crate) stall: Option<usize>,
    /// The pause behind each 64 KiB of the body: a slow connection.
    pub(crate) pace: Option<Duration>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            length: None,
            cut: None,
            stall: None,
            pace: None,
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    fn error(status: u16, code: &str) -> Self {
        let body = format!("{{\"errors\":[{{\"code\":\"{code}\",\"message\":\"no\"}}]}}");
        Self::new(status, body.as_bytes()).with("Content-Type", "application/json")
    }
}

/// Sees what is asked before its content, and may refuse that.
type Refuse = dyn Fn(&Seen, usize) -> Option<Reply> + Send + Sync;
type Spoil = dyn Fn(&Seen, usize, Reply) -> Reply + Send + Sync;

#[derive(Default)]
pub(crate) struct Content {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    /// By digest: media type and bytes.
    pub(crate) manifests: BTreeMap<String, (String, Vec<u8>)>,
    /// By repository and tag.
    pub(crate) tags: BTreeMap<(String, String), String>,
    uploads: Vec<Vec<u8>>,
}

struct Shared {
    content: Mutex<Content>,
    seen: Mutex<Vec<Seen>>,
    spoil: Box<Spoil>,
    refuse: Box<Refuse>,
    stop: AtomicBool,
}

/// A registry on loopback. It ends with this.
pub(crate) struct Server {
    pub(crate) host: String,
    shared: Arc<Shared>,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::spoilt(|_, _, reply| reply)
    }

    pub(crate) fn spoilt(
        spoil: impl Fn(&Seen, usize, Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::refusing(|_, _| None, spoil)
    }

    /// The same; what asks first whether it may send its content
    /// (`Expect: 100-continue`) may be refused at once.
    pub(crate) fn refusing(
        refuse: impl Fn(&Seen, usize) -> Option<Reply> + Send + Sync + 'static,
        spoil: impl Fn(&Seen, usize, Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            content: Mutex::default(),
            seen: Mutex::default(),
            spoil: Box::new(spoil),
            refuse: Box::new(refuse),
            stop: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_thread.stop.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&of_thread);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { host, shared }
    }

    pub(crate) fn content(&self) -> std::sync::MutexGuard<'_, Content> {
        self.shared.content.lock().expect("no panic")
    }

    /// What was asked.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("no panic").clone()
    }

    pub(crate) fn count(&self, method: &str, part: &str) -> usize {
        self.seen().iter().filter(|seen| seen.is(method, part)).count()
    }

    pub(crate) fn add_blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, bytes);
        self.content().blobs.insert(digest.to_string(), bytes.into());
        digest
    }

    pub(crate) fn add_manifest(&self, name: &str, tag: &str, kind: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, bytes);
        let mut content = self.content();
        content.manifests.insert(digest.to_string(), (kind.into(), bytes.into()));
        content.tags.insert((name.into(), tag.into()), digest.to_string());
        digest
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.host);
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
        let Ok(mut writer) = stream.try_clone() else { return };
        let mut reader = BufReader::new(stream);
        let Some(mut seen) = head(&mut reader) else { return };
        if seen.header("expect").is_some() {
            let before = self.seen.lock().expect("no panic").len();
            if let Some(reply) = (self.refuse)(&seen, before) {
                self.seen.lock().expect("no panic").push(seen.clone());
                return write(writer, &seen, &reply);
            }
            let _ = writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        if body(&mut reader, &mut seen).is_none() {
            return;
        }
        let before = {
            let mut all = self.seen.lock().expect("no panic");
            let same = |other: &&Seen| other.method == seen.method && other.path == seen.path;
            let before = all.iter().filter(same).count();
            all.push(seen.clone());
            before
        };
        let reply = self.content.lock().expect("no panic").answer(&seen);
        let reply = (self.spoil)(&seen, before, reply);
        write(writer, &seen, &reply);
    }
}

fn head(reader: &mut impl BufRead) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Seen { method, path, headers, body: Vec::new() })
}

fn body(reader: &mut impl BufRead, seen: &mut Seen) -> Option<()> {
    let length: u64 = seen.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body).ok()?;
    // What broke off was never asked.
    if body.len() as u64 != length {
        return None;
    }
    seen.body = body;
    Some(())
}

fn write(mut stream: TcpStream, seen: &Seen, reply: &Reply) {
    let length = reply.length.unwrap_or(reply.body.len() as u64);
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    if reply.status != 204 {
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    if seen.method == "HEAD" {
        return;
    }
    let end = reply.cut.or(reply.stall).unwrap_or(reply.body.len()).min(reply.body.len());
    for piece in reply.body[..end].chunks(64 << 10) {
        if stream.write_all(piece).is_err() {
            return;
        }
        if let Some(pace) = reply.pace {
            std::thread::sleep(pace);
        }
    }
    let _ = stream.flush();
    if reply.stall.is_some() {
        std::thread::sleep(Duration::from_secs(2));
    }
}

impl Content {
    fn answer(&mut self, seen: &Seen) -> Reply {
        let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
        let parameter =
            |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        let Some(rest) = path.strip_prefix("/v2/") else { return Reply::new(404, b"no") };
        if rest.is_empty() {
            return Reply::new(200, b"{}");
        }
        if rest == "_catalog" {
            let mut names: Vec<_> = self.tags.keys().map(|(name, _)| name.clone()).collect();
            names.dedup();
            return Reply::new(200, format!("{{\"repositories\":{names:?}}}").as_bytes());
        }
        if let Some((name, at)) = rest.split_once("/blobs/uploads/") {
            return self.upload(
                &seen.method,
                name,
                at,
                parameter("digest"),
                parameter("mount"),
                &seen.body,
            );
        }
        if let Some((_, digest)) = rest.split_once("/blobs/") {
            return match self.blobs.get(digest) {
                Some(bytes) => part(bytes, seen.header("range")),
                None => Reply::error(404, "BLOB_UNKNOWN"),
            };
        }
        if let Some((name, address)) = rest.split_once("/manifests/") {
            return self.manifest(seen, name, address);
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            let tags: Vec<_> =
                self.tags.keys().filter(|(other, _)| other == name).map(|(_, tag)| tag).collect();
            return Reply::new(200, format!("{{\"tags\":{tags:?}}}").as_bytes());
        }
        Reply::new(404, b"404 page not found").with("Content-Type", "text/plain")
    }

    fn upload(
        &mut self,
        method: &str,
        name: &str,
        at: &str,
        digest: Option<&str>,
        mount: Option<&str>,
        body: &[u8],
    ) -> Reply {
        let here = |at: usize| format!("/v2/{name}/blobs/uploads/{at}?_state=x");
        if method == "POST" {
            if let Some(digest) = mount.filter(|digest| self.blobs.contains_key(*digest)) {
                return Reply::new(201, b"").with("Docker-Content-Digest", digest);
            }
            self.uploads.push(Vec::new());
            return Reply::new(202, b"").with("Location", here(self.uploads.len() - 1));
        }
        let Some(at) = at.parse::<usize>().ok().filter(|at| *at < self.uploads.len()) else {
            return Reply::error(404, "BLOB_UPLOAD_UNKNOWN");
        };
        match method {
            "PATCH" => {
                self.uploads[at].extend_from_slice(body);
                let last = self.uploads[at].len().saturating_sub(1);
                Reply::new(202, b"").with("Location", here(at)).with("Range", format!("0-{last}"))
            }
            "GET" => {
                let last = self.uploads[at].len().saturating_sub(1);
                Reply::new(204, b"").with("Location", here(at)).with("Range", format!("0-{last}"))
            }
            "PUT" => {
                let mut bytes = std::mem::take(&mut self.uploads[at]);
                bytes.extend_from_slice(body);
                let found = Digest::of(Algorithm::Sha256, &bytes).to_string();
                if digest != Some(found.as_str()) {
                    return Reply::error(400, "DIGEST_INVALID");
                }
                self.blobs.insert(found.clone(), bytes);
                Reply::new(201, b"").with("Docker-Content-Digest", found)
            }
            _ => Reply::new(204, b""),
        }
    }

    fn manifest(&mut self, seen: &Seen, name: &str, address: &str) -> Reply {
        let key = (name.to_owned(), address.to_owned());
        if seen.method == "PUT" {
            let digest = Digest::of(Algorithm::Sha256, &seen.body).to_string();
            let kind = seen.header("content-type").unwrap_or_default().to_owned();
            self.manifests.insert(digest.clone(), (kind, seen.body.clone()));
            if address != digest {
                self.tags.insert(key, digest.clone());
            }
            return Reply::new(201, b"").with("Docker-Content-Digest", digest);
        }
        let digest = self.tags.get(&key).cloned().unwrap_or_else(|| address.to_owned());
        if seen.method == "DELETE" {
            if self.tags.remove(&key).is_none() && self.manifests.remove(&digest).is_none() {
                return Reply::error(404, "MANIFEST_UNKNOWN");
            }
            return Reply::new(202, b"");
        }
        match self.manifests.get(&digest) {
            Some((kind, bytes)) => Reply::new(200, bytes)
                .with("Content-Type", kind)
                .with("Docker-Content-Digest", digest),
            None => Reply::error(404, "MANIFEST_UNKNOWN"),
        }
    }
}

fn part(bytes: &[u8], range: Option<&str>) -> Reply {
    let bounds = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let from = bounds.and_then(|(from, _)| from.parse().ok());
    let end = bounds
        .and_then(|(_, last)| last.parse().ok())
        .map_or(bytes.len(), |last: usize| bytes.len().min(last + 1));
    match from {
        None => Reply::new(200, bytes),
        Some(from) if from < end => {
            let range = format!("bytes {from}-{}/{}", end - 1, bytes.len());
            Reply::new(206, &bytes[from..end]).with("Content-Range", range)
        }
        Some(_) => Reply::new(416, b""),
    }
}
