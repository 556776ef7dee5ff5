//! A blob on its way to a registry.
//!
//! What is small is sent whole when it is proved. What is large is sent as it
//! comes, and its last piece is held back until the proof is there: so that a
//! registry which does not look can not keep what is false. Where the size is
//! not known, or the registry refuses large content in one piece, it goes in
//! chunks.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use plimsoll_content::{
    Algorithm, Code, Descriptor, Digest, Error, Ingest, Result, Sink, Verified,
};

use super::Client;
use super::auth::Scope;
use super::remote::Remote;
use super::wire::{Answer, Body, Method, Request, Stream};
use crate::protocol::{Endpoint, Host, Repository, UploadRange, Url, header};

/// What is at most this long is sent whole.
const SMALL: usize = 4 << 20;

/// The length of chunks.
const CHUNK: usize = 16 << 20;

/// The largest chunk that a registry may insist on.
const MOST: u64 = 256 << 20;

/// The length of the pieces that go to the thread which sends.
const PIECE: usize = 256 << 10;

/// How many pieces may wait for it.
const WAITING: usize = 8;

const OCTETS: (&str, &str) = ("content-type", "application/octet-stream");

/// Begins to write a blob; `blob` is what is known of it.
pub(super) fn begin<'a>(remote: &'a Remote, blob: Option<&Descriptor>) -> Box<dyn Ingest + 'a> {
    let session = Session {
        client: Arc::clone(&remote.client),
        host: remote.host.clone(),
        scope: remote.push.clone(),
    };
    let size = blob.map(|blob| blob.size);
    let chunk = remote.client.wire.options().chunk;
    let whole = size.is_some_and(|size| size > SMALL as u64)
        && chunk.is_none()
        && !remote.in_chunks.load(Ordering::Relaxed);
    Box::new(Upload {
        remote,
        session,
        blob: blob.cloned(),
        written: 0,
        pending: Vec::new(),
        chunk: chunk.unwrap_or(CHUNK),
        way: if whole { Way::Whole } else { Way::Held },
    })
}

/// Asks the registry to take a blob over from another of its repositories.
pub(super) fn mount(remote: &Remote, blob: &Descriptor, from: &Repository) -> Result<bool> {
    let url = remote.url(&Endpoint::Mount(&remote.name, &blob.digest, from))?;
    let scope = remote.push.clone().and_pull(from);
    let mut request = Request::new(Method::POST, url);
    request.body = Body::Bytes(&[]);
    let answer = remote.ask(&scope, request)?;
    match answer.status {
        201 => Ok(true),
        // It has begun an upload instead, which nobody needs: another is
        // begun with what is known of the content.
        202 => {
            let session = Session {
                client: Arc::clone(&remote.client),
                host: remote.host.clone(),
                scope: remote.push.clone(),
            };
            if let Ok(at) = session.location(&answer) {
                session.cancel(&at);
            }
            Ok(false)
        }
        _ => Ok(false),
    }
}

/// What it takes to go on with an upload.
#[derive(Clone)]
struct Session {
    client: Arc<Client>,
    host: Host,
    scope: Scope,
}

impl Session {
    fn ask(&self, request: Request<'_>) -> Result<Answer> {
        self.client.ask(&self.host, &self.scope, request)
    }

    fn expect(&self, answer: Answer, statuses: &[u16], doing: &str) -> Result<Answer> {
        if statuses.contains(&answer.status) {
            return Ok(answer);
        }
        Err(self.client.refusal(&self.host, &self.scope, answer, doing))
    }

    /// Where the upload goes on.
    fn location(&self, answer: &Answer) -> Result<Url> {
        let Some(text) = answer.header("location") else {
            return Err(Error::new(
                Code::Registry,
                format!("beginning an upload to {}", self.host),
            )
            .found("an answer without Location")
            .tried(&answer.url));
        };
        let at = answer.url.join(text)?;
        // Behind a proxy, a registry may not know that it is reached by TLS.
        if at.host() == answer.url.host() {
            return Ok(Url::new(answer.url.scheme(), at.host().clone(), at.path()));
        }
        Ok(at)
    }

    /// Takes an upload back. It is only a kindness: registries tidy up.
    fn cancel(&self, at: &Url) {
        let _ = self.ask(Request::new(Method::DELETE, at.clone()));
    }
}

enum Way {
    /// In memory until it is proved, or too large for that.
    Held,
    /// Whole, as it comes; nothing was sent yet.
    Whole,
    /// Whole, being sent.
    Sending { sender: SyncSender<Vec<u8>>, thread: JoinHandle<Result<()>> },
    /// In chunks.
    Chunks { at: Url, sent: u64, chunk: usize },
    /// It went wrong.
    Failed,
}

struct Upload<'a> {
    remote: &'a Remote,
    session: Session,
    blob: Option<Descriptor>,
    written: u64,
    /// What was not sent yet.
    pending: Vec<u8>,
    /// The length of chunks, if it goes in such.
    chunk: usize,
    way: Way,
}

impl Upload<'_> {
    fn doing(&self) -> String {
        match &self.blob {
            Some(blob) => format!("writing blob {} to {}", blob.digest, self.remote),
            None => format!("writing a blob to {}", self.remote),
        }
    }

    /// Begins an upload at the registry.
    fn open(&self, algorithm: Option<&str>) -> Result<(Url, u64)> {
        let algorithm = algorithm.filter(|name| *name != Algorithm::Sha256.as_str());
        let url = self.remote.url(&Endpoint::Upload(&self.remote.name, algorithm))?;
        let mut request = Request::new(Method::POST, url);
        request.body = Body::Bytes(&[]);
        let doing = self.doing();
        let answer = self.session.ask(request)?;
        let answer = self.session.expect(answer, &[202], &doing)?;
        let least =
            answer.header(header::CHUNK_MIN_LENGTH).and_then(|text| text.trim().parse().ok());
        Ok((self.session.location(&answer)?, least.unwrap_or(0)))
    }

    fn algorithm(&self) -> Option<&str> {
        self.blob.as_ref().map(|blob| blob.digest.algorithm_name())
    }

    /// Starts the thread that sends everything in one request.
    fn start(&mut self) -> Result<()> {
        let Some(blob) = self.blob.clone() else { return Ok(()) };
        let (at, _) = self.open(self.algorithm())?;
        let (sender, receiver) = sync_channel(WAITING);
        let session = self.session.clone();
        let doing = self.doing();
        let thread = std::thread::Builder::new()
            .name("upload".into())
            .spawn(move || send(&session, &at, &blob, receiver, &doing))
            .map_err(|cause| Error::io("starting", "a thread", cause))?;
        self.way = Way::Sending { sender, thread };
        Ok(())
    }

    /// Sends the pending bytes as one chunk.
    fn chunk(&mut self) -> Result<()> {
        let doing = self.doing();
        let Way::Chunks { at, sent, .. } = &mut self.way else { return Ok(()) };
        let retries = self.session.client.wire.options().patience.retries;
        let mut tried = 0;
        while !self.pending.is_empty() {
            let last = *sent + self.pending.len() as u64 - 1;
            let mut request = Request::new(Method::PATCH, at.clone())
                .with(OCTETS.0, OCTETS.1)
                .with("content-range", format!("{sent}-{last}"));
            request.body = Body::Bytes(&self.pending);
            let failed = match self.session.ask(request) {
                Ok(answer) if answer.status == 202 => {
                    *at = self.session.location(&answer)?;
                    *sent = last + 1;
                    self.pending.clear();
                    return Ok(());
                }
                Ok(answer) if answer.status == 416 && tried < retries => answer.refusal(&doing),
                Ok(answer) => {
                    return Err(self
                        .session
                        .expect(answer, &[], &doing)
                        .err()
                        .unwrap_or_else(|| Error::new(Code::Bug, &doing)));
                }
                Err(error) if error.code() == Code::Network && tried < retries => error,
                Err(error) => return Err(error),
            };
            tried += 1;
            // It may have come all the same, or a part of it.
            let answer = self.session.ask(Request::new(Method::GET, at.clone()))?;
            let answer = self.session.expect(answer, &[204, 200, 202], &doing)?;
            let there = answer.header("range").and_then(UploadRange::parse);
            let there = there.map_or(0, |range| range.last + 1);
            // Nothing and one byte are written alike.
            let there = if there == 1 && *sent == 0 { 0 } else { there };
            let Some(new) =
                there.checked_sub(*sent).filter(|new| *new <= self.pending.len() as u64)
            else {
                return Err(
                    failed.expected(format!("{sent} bytes at the registry, which has {there}"))
                );
            };
            *at = answer
                .header("location")
                .map_or_else(|| Ok(at.clone()), |_| self.session.location(&answer))?;
            self.pending.drain(..new as usize);
            *sent = there;
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.way {
            Way::Failed => {
                return Err(Error::new(Code::Bug, self.doing()).found("more, after it went wrong"));
            }
            Way::Held if self.pending.len() + bytes.len() > SMALL.min(self.chunk) => {
                let (at, least) = self.open(self.algorithm())?;
                let chunk = self.chunk.max(least.min(MOST) as usize);
                self.way = Way::Chunks { at, sent: 0, chunk };
            }
            Way::Whole => self.start()?,
            _ => {}
        }
        match &mut self.way {
            Way::Chunks { chunk, .. } if self.pending.len() >= *chunk => self.chunk()?,
            Way::Sending { sender, .. } if self.pending.len() >= PIECE => {
                // More has come, so this is not the last piece.
                let piece = std::mem::take(&mut self.pending);
                if sender.send(piece).is_err() {
                    return Err(self.ended());
                }
            }
            _ => {}
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Why the thread ended before everything was sent.
    fn ended(&mut self) -> Error {
        let doing = self.doing();
        match std::mem::replace(&mut self.way, Way::Failed) {
            Way::Sending { sender, thread } => {
                drop(sender);
                match self.joined(thread, &doing) {
                    Ok(()) => Error::new(Code::Registry, doing).found("an answer before the end"),
                    Err(error) => error,
                }
            }
            _ => Error::new(Code::Bug, doing),
        }
    }

    fn joined(&self, thread: JoinHandle<Result<()>>, doing: &str) -> Result<()> {
        let sent =
            thread.join().unwrap_or_else(|_| Err(Error::new(Code::Bug, doing).found("a panic")));
        // Whoever can not take it at once may take it in chunks.
        if sent.as_ref().is_err_and(|error| error.code() == Code::Network) {
            self.remote.in_chunks.store(true, Ordering::Relaxed);
        }
        sent
    }
}

impl Write for Upload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.chunks(PIECE.min(self.chunk)) {
            self.take(piece)?;
        }
        self.written += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Ingest for Upload<'_> {
    fn commit(mut self: Box<Self>, proof: Verified) -> Result<Descriptor> {
        let blob = proof.descriptor().clone();
        proof.covers(self.written)?;
        let doing = self.doing();
        if matches!(self.way, Way::Chunks { .. }) {
            self.chunk()?;
        }
        match std::mem::replace(&mut self.way, Way::Failed) {
            Way::Held | Way::Whole => {
                let (at, _) = self.open(Some(blob.digest.algorithm_name()))?;
                let request = finishing(&at, &blob, Body::Bytes(&self.pending));
                let answer = self.session.ask(request)?;
                self.finished(answer, &blob, &doing)?;
            }
            Way::Chunks { at, .. } => {
                let request = finishing(&at, &blob, Body::Bytes(&[]));
                let answer = self.session.ask(request)?;
                self.finished(answer, &blob, &doing)?;
            }
            Way::Sending { sender, thread } => {
                // If it is gone, the thread knows why.
                let _ = sender.send(std::mem::take(&mut self.pending));
                drop(sender);
                self.joined(thread, &doing)?;
            }
            Way::Failed => return Err(Error::new(Code::Bug, doing).found("an upload that failed")),
        }
        Ok(blob)
    }
}

impl Upload<'_> {
    fn finished(&self, answer: Answer, blob: &Descriptor, doing: &str) -> Result<()> {
        // The answer to a request that was sent twice: the first one has done it.
        if answer.status == 404 && self.remote.has(blob)? {
            return Ok(());
        }
        let answer = self.session.expect(answer, &[201], doing)?;
        same(&answer, blob, doing)
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        if let Way::Chunks { at, .. } = &self.way {
            self.session.cancel(at);
        }
        // A thread that sends ends with its channel, and breaks off.
    }
}

/// The request that ends an upload.
fn finishing<'a>(at: &Url, blob: &Descriptor, body: Body<'a>) -> Request<'a> {
    let url = at.with("digest", &blob.digest.to_string());
    let mut request = Request::new(Method::PUT, url).with(OCTETS.0, OCTETS.1);
    request.body = body;
    request
}

/// Refuses an answer that speaks of other content.
fn same(answer: &Answer, blob: &Descriptor, doing: &str) -> Result<()> {
    let said: Option<Digest> =
        answer.header(header::CONTENT_DIGEST).and_then(|text| text.parse().ok());
    match said {
        Some(said) if said != blob.digest && said.algorithm() == blob.digest.algorithm() => {
            Err(Error::new(Code::Digest, doing)
                .found(format!("{said}, says the registry"))
                .expected(&blob.digest)
                .tried(&answer.url))
        }
        _ => Ok(()),
    }
}

/// Sends what comes through the channel in one request.
fn send(
    session: &Session,
    at: &Url,
    blob: &Descriptor,
    pieces: Receiver<Vec<u8>>,
    doing: &str,
) -> Result<()> {
    let mut reader = Pieces { pieces, piece: Vec::new(), at: 0, left: blob.size };
    let request = finishing(at, blob, Body::Stream(Stream::new(blob.size, &mut reader)));
    let answer = session.ask(request)?;
    let status = answer.status;
    let answer = session.expect(answer, &[201], doing).map_err(|error| match status {
        // Proxies and registries that do not take so much at once.
        405 | 411 | 413 | 416 => error.recode(Code::Network),
        _ => error,
    })?;
    same(&answer, blob, doing)
}

/// The pieces as one stream, which ends with an error unless all have come.
struct Pieces {
    pieces: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    left: u64,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            if self.left == 0 {
                return Ok(0);
            }
            match self.pieces.recv() {
                Ok(piece) => (self.piece, self.at) = (piece, 0),
                Err(_) => return Err(io::Error::other("the content was not proved")),
            }
        }
        let length = buffer.len().min(self.piece.len() - self.at);
        buffer[..length].copy_from_slice(&self.piece[self.at..self.at + length]);
        self.at += length;
        self.left = self.left.saturating_sub(length as u64);
        Ok(length)
    }
}
