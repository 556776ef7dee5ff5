//! The two ends of a layer: one thread reads and inflates, the other hashes
//! and uses the plain bytes. Memory is bounded by [`CHUNKS`] × [`CHUNK`].

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use plimsoll_content::{Algorithm, Code, Digest, Error, Hasher, Result};

use crate::codec::{Decoder, Format};
use crate::finding::Finding;
use crate::limits::Limits;

/// Large enough that handing over costs nothing, small enough for the cache.
const CHUNK: usize = 256 << 10;

/// How many chunks may be on their way.
const CHUNKS: usize = 8;

enum Message {
    /// A buffer, and how much of it is filled.
    Plain(Vec<u8>, usize),
    End(Vec<Finding>),
    Failed(Error),
}

/// What went by, after all of it did.
pub(crate) struct Passed {
    pub(crate) diff_id: Digest,
    pub(crate) bytes: u64,
    pub(crate) findings: Vec<Finding>,
}

/// Inflates `blob` on a thread of its own while `work` reads the plain bytes.
///
/// `work` must give the reader back, read to its end. An error of either side
/// stops both, and comes out as it was.
pub(crate) fn inflate<T>(
    blob: impl Read + Send,
    format: Format,
    limits: &Limits,
    algorithm: Algorithm,
    work: impl FnOnce(Plain) -> Result<(T, Plain)>,
) -> Result<(T, Passed)> {
    let (full, plain) = sync_channel(CHUNKS);
    let (back, empty) = channel();
    thread::scope(|scope| {
        let producer = thread::Builder::new()
            .name("inflate".into())
            .spawn_scoped(scope, move || {
                let last = match produce(blob, format, limits, &full, &empty) {
                    Ok(Some(findings)) => Message::End(findings),
                    // Nobody listens any more: the other side has the error.
                    Ok(None) => return,
                    Err(error) => Message::Failed(error),
                };
                let _ = full.send(last);
            })
            .map_err(|cause| Error::io("starting", "a thread", cause))?;
        let reader = Plain {
            plain,
            back,
            buffer: Vec::new(),
            filled: 0,
            used: 0,
            hasher: Hasher::new(algorithm),
            bytes: 0,
            end: None,
        };
        let done = work(reader).and_then(|(value, reader)| Ok((value, reader.finish()?)));
        match producer.join() {
            Ok(()) => done,
            Err(_) => Err(Error::new(Code::Bug, "inflating a layer").found("a panic")),
        }
    })
}

/// Gives the findings at the end, or `None` if the receiver is gone.
fn produce(
    blob: impl Read,
    format: Format,
    limits: &Limits,
    full: &SyncSender<Message>,
    empty: &Receiver<Vec<u8>>,
) -> Result<Option<Vec<Finding>>> {
    let mut decoder = Decoder::new(format, blob, limits)?;
    let mut made = 0;
    loop {
        let mut buffer = match empty.try_recv() {
            Ok(buffer) => buffer,
            Err(_) if made < CHUNKS => {
                made += 1;
                vec![0; CHUNK]
            }
            Err(_) => match empty.recv() {
                Ok(buffer) => buffer,
                Err(_) => return Ok(None),
            },
        };
        let mut filled = 0;
        let mut ended = false;
        while filled < buffer.len() && !ended {
            match decoder.read(&mut buffer[filled..]) {
                Ok(0) => ended = true,
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(unwrapped(cause)),
            }
        }
        if filled > 0 && full.send(Message::Plain(buffer, filled)).is_err() {
            return Ok(None);
        }
        if ended {
            let (_, findings) = decoder.finish()?;
            return Ok(Some(findings));
        }
    }
}

/// An error of ours without a wrapping that says nothing.
fn unwrapped(cause: io::Error) -> Error {
    Error::unwrap_io(cause).unwrap_or_else(|cause| Error::io("reading", "a layer", cause))
}

/// The plain bytes of a layer, hashed as they come.
pub(crate) struct Plain {
    plain: Receiver<Message>,
    back: Sender<Vec<u8>>,
    buffer: Vec<u8>,
    filled: usize,
    used: usize,
    hasher: Hasher,
    bytes: u64,
    end: Option<Vec<Finding>>,
}

impl Plain {
    /// Fetches the next chunk; `false` at the end.
    fn fetch(&mut self) -> Result<bool> {
        if self.end.is_some() {
            return Ok(false);
        }
        let used = std::mem::take(&mut self.buffer);
        if !used.is_empty() {
            // Nobody takes it back once the other side has read everything.
            let _ = self.back.send(used);
        }
        (self.used, self.filled) = (0, 0);
        match self.plain.recv() {
            Ok(Message::Plain(buffer, filled)) => {
                self.hasher.update(&buffer[..filled]);
                self.bytes += filled as u64;
                (self.buffer, self.filled) = (buffer, filled);
                Ok(true)
            }
            Ok(Message::End(findings)) => {
                self.end = Some(findings);
                Ok(false)
            }
            Ok(Message::Failed(error)) => Err(error),
            Err(_) => Err(Error::new(Code::Failed, "inflating a layer")
                .found("an end without a result")
                .expected("a thread that reads the layer to its end")),
        }
    }

    fn finish(mut self) -> Result<Passed> {
        while self.fetch()? {}
        Ok(Passed {
            diff_id: self.hasher.finish(),
            bytes: self.bytes,
            findings: self.end.unwrap_or_default(),
        })
    }
}

impl Read for Plain {
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
