//! Decompression, with budgets, of exactly the format that was announced.

use std::fmt;
use std::io::{self, BufReader, Cursor, Read};

use plimsoll_content::{Code, Error, Result};

use super::gzip::Inflate;
use super::source::Source;
use super::zstandard::Unzstd;
use crate::codec::{Format, looks_like};
use crate::finding::{Finding, Findings};
use crate::limits::Limits;

/// How much is read at once.
const BUFFER: usize = 128 << 10;

/// How many bytes tell what a stream is: a tar header's.
const START: usize = 512;

/// Reads the uncompressed bytes of a layer.
///
/// Errors travel inside of [`io::Error`]; [`Error::io`] takes them out again.
/// They have [`Code::Layer`] if the bytes are damaged, and [`Code::Limit`] if
/// they become more than [`Limits::bytes`] (CZ01, CZ02).
pub struct Decoder<R> {
    source: Source<io::Chain<Cursor<Vec<u8>>, BufReader<R>>>,
    engine: Engine,
    findings: Findings,
    left: u64,
    limit: u64,
    failed: bool,
}

enum Engine {
    Plain,
    Gzip(Box<Inflate>),
    Zstd(Unzstd),
}

impl<R: Read> Decoder<R> {
    /// Starts to read; nothing is guessed.
    ///
    /// Errors with [`Code::Layer`] if the first bytes are those of another
    /// format (CZ14).
    pub fn new(format: Format, reader: R, limits: &Limits) -> Result<Self> {
        let mut reader = BufReader::with_capacity(BUFFER, reader);
        let mut start = Vec::with_capacity(START);
        reader
            .by_ref()
            .take(START as u64)
            .read_to_end(&mut start)
            .map_err(|cause| Error::io("reading", "the start of a layer", cause))?;
        let engine = match format {
            Format::Tar => Engine::Plain,
            Format::Gzip => Engine::Gzip(Box::new(Inflate::new(limits))),
            Format::Zstd => Engine::Zstd(Unzstd::new(limits)?),
        };
        let found = looks_like(&start);
        // What looks like nothing known is left to the one who reads it.
        if found.is_some_and(|(found, _)| found != Some(format))
            || found.is_none() && format != Format::Tar
        {
            let found = found.map_or("bytes of no known format", |(_, name)| name);
            return Err(Error::new(Code::Layer, format!("reading a layer announced as {format}"))
                .found(found)
                .expected(format!("{format}, as its media type says")));
        }
        Ok(Self {
            source: Source::new(Cursor::new(start).chain(reader)),
            engine,
            findings: Findings::default(),
            left: limits.bytes,
            limit: limits.bytes,
            failed: false,
        })
    }

    /// Reads to the end of the stream, so that all of it is checked, and
    /// gives the reader back.
    pub fn finish(mut self) -> Result<(R, Vec<Finding>)> {
        let mut rest = vec![0; BUFFER];
        while self.advance(&mut rest)? > 0 {}
        let (_, reader) = self.source.into_reader().into_inner();
        Ok((reader.into_inner(), self.findings.into_vec()))
    }

    fn advance(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.failed {
            return Err(Error::new(Code::Usage, "decompressing a layer")
                .found("one that could not be read before"));
        }
        self.failed = true;
        let length = match &mut self.engine {
            Engine::Plain => {
                let found = self.source.fill()?;
                let length = found.len().min(buffer.len());
                buffer[..length].copy_from_slice(&found[..length]);
                self.source.consume(length);
                length
            }
            Engine::Gzip(state) => state.read(&mut self.source, buffer, &mut self.findings)?,
            Engine::Zstd(state) => state.read(&mut self.source, buffer)?,
        };
        self.left = self.left.checked_sub(length as u64).ok_or_else(|| {
            Error::new(Code::Limit, "decompressing a layer")
                .found("more uncompressed bytes")
                .expected(format!("at most {}", self.limit))
        })?;
        self.failed = false;
        Ok(length)
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.advance(buffer)?)
    }
}

impl<R> fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.engine {
            Engine::Plain => "tar",
            Engine::Gzip(_) => "gzip",
            Engine::Zstd(_) => "zstd",
        };
        write!(f, "Decoder({name}, {} bytes so far)", self.limit - self.left)
    }
}
