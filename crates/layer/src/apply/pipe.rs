//! The way of layers through three threads: one reads and proves the blobs,
//! one inflates them, and the caller's hashes and uses the plain bytes. Each
//! takes one layer after another, so the first two are ahead of the third,
//! also in later layers, as far as the chunks in flight allow.

use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle, scope};

use plimsoll_content::{Algorithm, Code, Digest, Error, Hasher, Kind, Result};

use super::Blobs;
use crate::codec::{Decoder, Format};
use crate::finding::Finding;
use crate::limits::Limits;

/// Large enough that handing over costs nothing, small enough for the cache.
const CHUNK: usize = 256 << 10;

/// How many chunks may be on their way to the decoder.
const READ: usize = 4;

/// How many may be on their way from it: enough to keep it busy while many
/// small files are made, and the other way round.
const INFLATED: usize = 128;

/// Leads layers of these formats through the threads. `work` is called on
/// this one and must use all layers, in order; it tells which one it was at.
///
/// An error on any thread stops all. The one that comes out is the one that a
/// single thread would have met first.
pub(crate) fn run<B: Blobs, T>(
    blobs: B,
    formats: &[Format],
    limits: &Limits,
    work: impl FnOnce(&mut Chunks) -> (usize, Result<T>),
) -> Result<T, (usize, Error)> {
    let (to_decoder, from_reader) = pipe(READ);
    let (to_work, mut from_decoder) = pipe(INFLATED);
    scope(|scope| {
        let count = formats.len();
        let reader = start(scope, "read", move || read(blobs, count, to_decoder))?;
        let decoder =
            start(scope, "inflate", move || inflate(formats, limits, from_reader, to_work))?;
        let (layer, done) = work(&mut from_decoder);
        let echo = from_decoder.is_broken();
        // The others notice that nobody listens any more.
        drop(from_decoder);
        let at = |error| (layer, error);
        let (decoded, read) = (join(decoder).map_err(at)?, join(reader).map_err(at)?);
        match done {
            Ok(value) => Ok(value),
            Err(error) => Err(at(first(error, echo, decoded, read, layer))),
        }
    })
}

fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, (usize, Error)> {
    Builder::new()
        .name(name.into())
        .spawn_scoped(scope, work)
        .map_err(|cause| (0, Error::io("starting", "a thread", cause)))
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> Result<T> {
    let panicked = |_| Error::new(Code::Bug, "reading and inflating layers").found("a panic");
    thread.join().map_err(panicked)
}

/// The error that comes out: an echo stands for one of the threads before.
///
/// A damaged blob shows first as a broken stream. What is wrong with it is
/// that it is not the blob that was announced: say that.
fn first<B: Blobs>(
    error: Error,
    echo: bool,
    decoded: Option<Error>,
    read: Reading<B>,
    layer: usize,
) -> Error {
    let (error, read) = match (echo, decoded, read) {
        (true, Some(error), read) => (error, read),
        (true, None, Reading::Failed(_, error)) => return error,
        (_, _, read) => (error, read),
    };
    if error.kind() != Kind::Integrity || error.code() == Code::Digest {
        return error;
    }
    let damage = match read {
        Reading::Failed(at, damage) if at == layer => Some(damage),
        Reading::Stopped(at, mut blobs, blob) if at == layer => blobs.prove(at, blob).err(),
        _ => None,
    };
    damage.filter(|damage| damage.kind() == Kind::Integrity).unwrap_or(error)
}

/// How reading ended.
enum Reading<B: Blobs> {
    /// All blobs were read and proved.
    All,
    /// One could not be.
    Failed(usize, Error),
    /// Nobody wanted more of this one.
    Stopped(usize, B, B::Blob),
}

/// The thread that reads.
fn read<B: Blobs>(mut blobs: B, count: usize, mut out: Out) -> Reading<B> {
    for layer in 0..count {
        let mut blob = match blobs.open(layer) {
            Ok(blob) => blob,
            Err(error) => {
                out.send(Message::Broken);
                return Reading::Failed(layer, error);
            }
        };
        loop {
            let Some(mut buffer) = out.buffer() else {
                return Reading::Stopped(layer, blobs, blob);
            };
            let (length, read) = fill(&mut blob, &mut buffer);
            let more = length == buffer.len();
            // What came before an error is used before it: errors in it are first.
            if length > 0 && !out.send(Message::Bytes(buffer, length)) {
                return Reading::Stopped(layer, blobs, blob);
            }
            if let Err(error) = read {
                out.send(Message::Broken);
                return Reading::Failed(layer, error);
            }
            if !more {
                break;
            }
        }
        if let Err(error) = blobs.prove(layer, blob) {
            out.send(Message::Broken);
            return Reading::Failed(layer, error);
        }
        // If nobody takes it, whoever stopped has an error of its own.
        out.send(Message::End(Vec::new()));
    }
    Reading::All
}

/// The thread that inflates; its error unless it is an echo.
fn inflate(formats: &[Format], limits: &Limits, mut input: Chunks, mut out: Out) -> Option<Error> {
    for format in formats {
        match inflate_one(*format, limits, &mut input, &mut out) {
            Ok(Some(findings)) => {
                if !out.send(Message::End(findings)) {
                    return None;
                }
                input.next_layer();
            }
            // Nobody listens any more: the other side has the error.
            Ok(None) => return None,
            Err(error) => {
                out.send(Message::Broken);
                return (!input.is_broken()).then_some(error);
            }
        }
    }
    None
}

/// Gives the findings at the end, or `None` if the receiver is gone.
fn inflate_one(
    format: Format,
    limits: &Limits,
    input: &mut Chunks,
    out: &mut Out,
) -> Result<Option<Vec<Finding>>> {
    let mut decoder = Decoder::new(format, input, limits)?;
    loop {
        let Some(mut buffer) = out.buffer() else { return Ok(None) };
        let (length, read) = fill(&mut decoder, &mut buffer);
        let more = length == buffer.len();
        if length > 0 && !out.send(Message::Bytes(buffer, length)) {
            return Ok(None);
        }
        read?;
        if !more {
            let (_, findings) = decoder.finish()?;
            return Ok(Some(findings));
        }
    }
}

/// Fills the buffer unless the stream ends or fails before; how far.
fn fill(reader: &mut impl io::Read, buffer: &mut [u8]) -> (usize, Result<()>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // An error of ours without a wrapping that says nothing.
            Err(cause) => {
                let error = Error::unwrap_io(cause)
                    .unwrap_or_else(|cause| Error::io("reading", "a layer", cause));
                return (filled, Err(error));
            }
        }
    }
    (filled, Ok(()))
}

enum Message {
    /// A buffer, and how much of it is filled.
    Bytes(Vec<u8>, usize),
    /// The end of one layer.
    End(Vec<Finding>),
    /// The end of everything: the sender has an error.
    Broken,
}

/// The end of a pipe that chunks are put in. Buffers come back when they are
/// used, so that no more than a fixed number is ever made.
struct Out {
    full: SyncSender<Message>,
    empty: Receiver<Vec<u8>>,
    left: usize,
}

/// The end of a pipe that chunks come out of, one layer after another.
pub(crate) struct Chunks {
    full: Receiver<Message>,
    back: Sender<Vec<u8>>,
    buffer: Vec<u8>,
    filled: usize,
    used: usize,
    end: Option<Vec<Finding>>,
    broken: bool,
}

/// A pipe that holds that many chunks.
fn pipe(chunks: usize) -> (Out, Chunks) {
    let (full, chunk) = sync_channel(chunks);
    let (back, empty) = channel();
    let out = Out { full, empty, left: chunks };
    let chunks = Chunks {
        full: chunk,
        back,
        buffer: Vec::new(),
        filled: 0,
        used: 0,
        end: None,
        broken: false,
    };
    (out, chunks)
}

impl Out {
    /// A buffer to fill; `None` if nobody would take it.
    fn buffer(&mut self) -> Option<Vec<u8>> {
        if let Ok(buffer) = self.empty.try_recv() {
            return Some(buffer);
        }
        if self.left > 0 {
            self.left -= 1;
            return Some(vec![0; CHUNK]);
        }
        self.empty.recv().ok()
    }

    /// Whether somebody took it.
    fn send(&mut self, message: Message) -> bool {
        self.full.send(message).is_ok()
    }
}

impl Chunks {
    /// Fetches the next chunk of this layer; `false` at its end.
    fn fetch(&mut self) -> Result<bool> {
        if self.end.is_some() {
            return Ok(false);
        }
        let used = std::mem::take(&mut self.buffer);
        if !used.is_empty() {
            // Nobody takes it back once the other side is done.
            let _ = self.back.send(used);
        }
        (self.used, self.filled) = (0, 0);
        match self.full.recv() {
            Ok(Message::Bytes(buffer, filled)) => {
                (self.buffer, self.filled) = (buffer, filled);
                Ok(true)
            }
            Ok(Message::End(findings)) => {
                self.end = Some(findings);
                Ok(false)
            }
            Ok(Message::Broken) | Err(_) => {
                self.broken = true;
                Err(Error::new(Code::Failed, "reading a layer")
                    .found("an end without a result")
                    .expected("a thread that reads the layer to its end"))
            }
        }
    }

    /// Goes on behind the end of this layer; gives the findings of that end.
    fn next_layer(&mut self) -> Vec<Finding> {
        self.end.take().unwrap_or_default()
    }

    /// Whether the sender has an error.
    fn is_broken(&self) -> bool {
        self.broken
    }
}

impl io::Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.filled && !self.fetch()? {
            return Ok(0);
        }
        let length = buffer.len().min(self.filled - self.used);
        buffer[..length].copy_from_slice(&self.buffer[self.used..][..length]);
        self.used += length;
        Ok(length)
    }
}

/// The plain bytes of one layer, hashed as they come.
pub(crate) struct Plain<'a> {
    chunks: &'a mut Chunks,
    hasher: Hasher,
    bytes: u64,
}

/// What went by, after all of it did.
pub(crate) struct Passed {
    pub(crate) diff_id: Digest,
    pub(crate) bytes: u64,
    pub(crate) findings: Vec<Finding>,
}

impl Passed {
    /// Says whether the plain bytes are those of `diff_id`.
    pub(crate) fn prove(&self, diff_id: &Digest) -> Result<()> {
        if self.diff_id == *diff_id {
            return Ok(());
        }
        Err(Error::new(Code::DiffId, "verifying a layer").found(&self.diff_id).expected(diff_id))
    }
}

impl<'a> Plain<'a> {
    pub(crate) fn new(chunks: &'a mut Chunks, algorithm: Algorithm) -> Self {
        Self { chunks, hasher: Hasher::new(algorithm), bytes: 0 }
    }

    fn fetch(&mut self) -> Result<bool> {
        let more = self.chunks.fetch()?;
        self.hasher.update(&self.chunks.buffer[..self.chunks.filled]);
        self.bytes += self.chunks.filled as u64;
        Ok(more)
    }

    /// Reads the rest.
    pub(crate) fn finish(mut self) -> Result<Passed> {
        while self.fetch()? {}
        let findings = self.chunks.next_layer();
        Ok(Passed { diff_id: self.hasher.finish(), bytes: self.bytes, findings })
    }
}

impl io::Read for Plain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunks.used == self.chunks.filled && !self.fetch()? {
            return Ok(0);
        }
        self.chunks.read(buffer)
    }
}
