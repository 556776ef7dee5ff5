//! Compression: the same bytes for the same input, however it is written.

use std::fmt;
use std::io::{self, Write};

use plimsoll_content::{Error, Result};

use super::gzip::Deflate;
use super::zstandard::Zstd;
use crate::codec::Compression;

/// Compresses what is written to it.
///
/// Input is cut into blocks of a fixed size that are compressed on their own,
/// so the output depends neither on how it is written nor (later) on how many
/// threads there are. [`Write::flush`] does not end a block.
pub struct Encoder<W> {
    writer: W,
    engine: Engine,
}

enum Engine {
    Plain,
    Gzip(Box<Deflate>),
    Zstd(Box<Zstd>),
}

impl<W: Write> Encoder<W> {
    /// Starts a compressed stream on `writer`.
    pub fn new(compression: Compression, writer: W) -> Result<Self> {
        let engine = match compression {
            Compression::None => Engine::Plain,
            Compression::Gzip { level } => Engine::Gzip(Box::new(Deflate::new(level.min(9)))),
            Compression::Zstd { level } => Engine::Zstd(Box::new(Zstd::new(level)?)),
        };
        Ok(Self { writer, engine })
    }

    /// Writes what is left, ends the stream, and gives the writer back.
    /// Without it the stream is incomplete.
    pub fn finish(mut self) -> Result<W> {
        match self.engine {
            Engine::Plain => Ok(()),
            Engine::Gzip(state) => state.finish(&mut self.writer),
            Engine::Zstd(state) => state.finish(&mut self.writer),
        }
        .map_err(|cause| Error::io("writing", "a compressed layer", cause))?;
        Ok(self.writer)
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.engine {
            Engine::Plain => self.writer.write(bytes),
            Engine::Gzip(state) => state.write(bytes, &mut self.writer),
            Engine::Zstd(state) => state.write(bytes, &mut self.writer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl<W> fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.engine {
            Engine::Plain => "Encoder(none)",
            Engine::Gzip(_) => "Encoder(gzip)",
            Engine::Zstd(_) => "Encoder(zstd)",
        })
    }
}
