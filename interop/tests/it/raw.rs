//! A registry that is started and killed at will, and connections that ask it
//! for exactly what a test wants: what load and kills are made of.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use plimsoll_interop::Scratch;
use sha2::{Digest as _, Sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A server that is killed with this.
pub(crate) struct Server {
    child: Child,
    pub(crate) host: String,
}

impl Server {
    /// Starts it, and waits until it listens at `host`.
    pub(crate) fn start(scratch: &Scratch, mut command: Command, host: &str) -> Self {
        let log = File::options().create(true).append(true).open(scratch.join("server.log"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a file"));
        let child = command.spawn().expect("the server starts");
        let server = Self { child, host: host.to_owned() };
        for _ in 0..1000 {
            if TcpStream::connect(host).is_ok() {
                return server;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server does not listen at {host}");
    }

    /// The most memory that it has had, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a line");
        let kilobytes = line.split_whitespace().nth(1).expect("a number");
        kilobytes.parse::<u64>().expect("a number") * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL: nothing can be brought to an end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says a figure, past the capture of the test harness.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// An address of this machine where nobody listens.
pub(crate) fn free() -> String {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("an address").to_string()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Bytes that are like no others with another seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A manifest of these blobs, the config first.
pub(crate) fn manifest(blobs: &[&[u8]]) -> Vec<u8> {
    let described = |bytes: &[u8]| {
        format!(
            "{{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"{}\",\"size\":{}}}",
            sha256(bytes),
            bytes.len()
        )
    };
    let layers: Vec<_> = blobs[1..].iter().map(|bytes| described(bytes)).collect();
    let config = described(blobs[0]).replace("image.layer.v1.tar", "image.config.v1+json");
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":{MANIFEST:?},\"config\":{config},\"layers\":[{}]}}",
        layers.join(",")
    )
    .into_bytes()
}

/// A connection that goes on after each answer.
pub(crate) struct Connection {
    host: String,
    stream: BufReader<TcpStream>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Where an upload goes on, on the same server.
    pub(crate) fn place(&self) -> String {
        let place = self.header("location");
        let rest = place.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
        rest.map_or_else(|| place.to_owned(), |(_, path)| format!("/{path}"))
    }

    /// The answer, if it has that status.
    pub(crate) fn is(self, status: u16) -> io::Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(300)]);
        Err(io::Error::other(format!("{}, not {status}: {text}", self.status)))
    }
}

impl Connection {
    pub(crate) fn open(host: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        stream.set_nodelay(true)?;
        Ok(Self { host: host.to_owned(), stream: BufReader::new(stream) })
    }

    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.ask("GET", path, "", b"")
    }

    /// One request; `headers` are whole lines.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAccept: {MANIFEST}\r\n{headers}Content-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {line}")))?;
        let mut headers = BTreeMap::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, headers, body })
    }

    /// Pushes a blob in two requests, as most clients do.
    pub(crate) fn push_blob(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let begun = self.ask("POST", &format!("/v2/{name}/blobs/uploads/"), "", b"")?.is(202)?;
        self.end_blob(&begun.place(), bytes, bytes)
    }

    /// Ends an upload with the rest of its bytes.
    pub(crate) fn end_blob(&mut self, place: &str, all: &[u8], rest: &[u8]) -> io::Result<()> {
        let joint = if place.contains('?') { '&' } else { '?' };
        let path = format!("{place}{joint}digest={}", sha256(all));
        let octets = "Content-Type: application/octet-stream\r\n";
        self.ask("PUT", &path, octets, rest)?.is(201).map(|_| ())
    }

    pub(crate) fn push_manifest(&mut self, name: &str, tag: &str, bytes: &[u8]) -> io::Result<()> {
        let path = format!("/v2/{name}/manifests/{tag}");
        self.ask("PUT", &path, &format!("Content-Type: {MANIFEST}\r\n"), bytes)?.is(201).map(|_| ())
    }

    /// Pushes an image.
    pub(crate) fn push(&mut self, name: &str, tag: &str, blobs: &[&[u8]]) -> io::Result<()> {
        for blob in blobs {
            self.push_blob(name, blob)?;
        }
        self.push_manifest(name, tag, &manifest(blobs))
    }

    /// Pulls an image and looks at every byte; gives how many they were.
    pub(crate) fn pull(&mut self, name: &str, tag: &str, blobs: &[&[u8]]) -> io::Result<u64> {
        let expected = manifest(blobs);
        let found = self.get(&format!("/v2/{name}/manifests/{tag}"))?.is(200)?;
        let mut length = found.body.len();
        let mut same = found.body == expected;
        for blob in blobs {
            let found = self.get(&format!("/v2/{name}/blobs/{}", sha256(blob)))?.is(200)?;
            same &= found.body == *blob;
            length += found.body.len();
        }
        if same { Ok(length as u64) } else { Err(io::Error::other("other bytes were pulled")) }
    }
}
