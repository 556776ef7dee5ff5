//! Archives that people hand over, as files or through pipes: what they are
//! compressed with is told by their first bytes. Beside what layers may be
//! compressed with, xz and bzip2 are read, in which root filesystems, AppC
//! images and what docker loads come. They are not written.

use std::fmt;
use std::io::{self, BufReader, Cursor, Read};

use bzip2::bufread::MultiBzDecoder;
use lzma_rust2::XzReader;
use plimsoll_content::{Code, Error, Result};

use super::{Decoder, Format};
use crate::finding::Finding;
use crate::limits::Limits;

/// How many bytes tell what a stream is.
const START: u64 = 512;

/// The uncompressed bytes of a file, whatever it is compressed with.
///
/// Errors are those of a [`Decoder`].
pub struct Inflated<R: Read> {
    engine: Engine<BufReader<io::Chain<Cursor<Vec<u8>>, R>>>,
    left: u64,
    limit: u64,
    window: u64,
}

enum Engine<R: Read> {
    /// What layers are compressed with.
    Layer(Box<Decoder<R>>),
    Xz(Box<XzReader<R>>),
    Bzip2(Box<MultiBzDecoder<R>>),
}

/// Compressions that layers do not have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Foreign {
    Xz,
    Bzip2,
}

impl Foreign {
    fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            _ => None,
        }
    }
}

/// Whether a file that begins so (512 bytes are enough) is compressed in a way
/// that [`Inflated`] reads.
pub fn is_compressed(start: &[u8]) -> bool {
    Foreign::of(start).is_some() || matches!(Format::detect(start), Ok(Format::Gzip | Format::Zstd))
}

impl<R: Read> Inflated<R> {
    /// Starts to read.
    ///
    /// Errors with [`Code::Layer`] if it looks like nothing that can be read.
    pub fn new(mut reader: R, limits: &Limits) -> Result<Self> {
        let mut start = Vec::new();
        reader
            .by_ref()
            .take(START)
            .read_to_end(&mut start)
            .map_err(|cause| Error::io("reading", "the start of an archive", cause))?;
        let (foreign, format) = match Foreign::of(&start) {
            Some(foreign) => (Some(foreign), Format::Tar),
            None => (None, Format::detect(&start)?),
        };
        let reader = BufReader::with_capacity(128 << 10, Cursor::new(start).chain(reader));
        let window = limits.zstd_window;
        let engine = match foreign {
            None => Engine::Layer(Box::new(Decoder::new(format, reader, limits)?)),
            Some(Foreign::Xz) => {
                // The decoder takes a little more than the window. Its measure is KiB.
                let most = u32::try_from(window >> 10).unwrap_or(u32::MAX - 1_024) + 1_024;
                Engine::Xz(Box::new(XzReader::new_mem_limit(reader, true, most)))
            }
            Some(Foreign::Bzip2) => Engine::Bzip2(Box::new(MultiBzDecoder::new(reader))),
        };
        Ok(Self { engine, left: limits.bytes, limit: limits.bytes, window })
    }

    /// Reads to the end of the stream, so that all of it is checked.
    pub fn finish(mut self) -> Result<Vec<Finding>> {
        if let Engine::Layer(decoder) = self.engine {
            return decoder.finish().map(|(_, findings)| findings);
        }
        io::copy(&mut self, &mut io::sink())
            .map_err(|cause| Error::io("reading", "the end of an archive", cause))?;
        Ok(Vec::new())
    }

    fn advance(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.engine {
            Engine::Layer(decoder) => return decoder.read(buffer),
            Engine::Xz(reader) => reader.read(buffer),
            Engine::Bzip2(reader) => reader.read(buffer),
        };
        let length = read.map_err(|cause| self.judge(cause))?;
        self.left = self.left.checked_sub(length as u64).ok_or_else(|| {
            io::Error::from(
                Error::new(Code::Limit, "decompressing an archive")
                    .found("more uncompressed bytes")
                    .expected(format!("at most {}", self.limit)),
            )
        })?;
        Ok(length)
    }

    /// What a decoder says is damage; all else comes from below.
    fn judge(&self, cause: io::Error) -> io::Error {
        let name = if matches!(self.engine, Engine::Xz(_)) { "xz" } else { "bzip2" };
        let doing = format!("decompressing {name}");
        // One of ours, from the reader below.
        if let Some(true) = cause.get_ref().map(<dyn std::error::Error + Send + Sync>::is::<Error>)
        {
            return cause;
        }
        match cause.kind() {
            io::ErrorKind::OutOfMemory => Error::new(Code::Limit, doing)
                .found("a larger window")
                .expected(format!("at most {} bytes (zstd-window)", self.window))
                .into(),
            io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::Unsupported => Error::new(Code::Layer, doing)
                .found(&cause)
                .expected(format!("a whole {name} stream"))
                .into(),
            _ => cause,
        }
    }
}

impl<R: Read> Read for Inflated<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() { Ok(0) } else { self.advance(buffer) }
    }
}

impl<R: Read> fmt::Debug for Inflated<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inflated({} bytes left)", self.left)
    }
}
