//! Compression: the same bytes for the same input, however it is written, and
//! by however many threads.

use std::fmt;
use std::io::{self, Write};

use flate2::Crc;
use plimsoll_content::{Code, Error, Result};

use super::block::{self, Block};
use super::pool::Pool;
use crate::codec::Compression;

/// Compresses what is written to it.
///
/// Input is cut into blocks of a fixed size that are compressed on their own,
/// so the output depends neither on how it is written nor on how many threads
/// there are. [`Write::flush`] does not end a block. `docs/format/bytes.md`
/// says what the bytes are.
///
/// Memory: for each thread what the level needs, and with `n` threads at most
/// `2n + 1` blocks of 1 MiB for gzip, `n + 2` of 8 to 32 MiB for zstd, each with
/// its compressed form.
pub struct Encoder<W> {
    writer: W,
    blocks: Option<Box<Blocks>>,
    broken: bool,
}

/// Input on its way through the blocks.
struct Blocks {
    compression: Compression,
    size: usize,
    filling: Block,
    /// Blocks to be used again.
    spare: Vec<Block>,
    pool: Pool,
    crc: Crc,
    /// Whether a block was made, and the header written.
    any: bool,
}

impl<W: Write> Encoder<W> {
    /// Starts a compressed stream on `writer`, all in the caller's thread.
    pub fn new(compression: Compression, writer: W) -> Result<Self> {
        Self::with_threads(compression, writer, 1)
    }

    /// The same with several threads that compress, which start when there is
    /// enough to do. The bytes are the same with any number.
    ///
    /// Writing to `writer` stays in the caller's thread.
    pub fn with_threads(compression: Compression, writer: W, threads: usize) -> Result<Self> {
        let blocks = (compression != Compression::None).then(|| {
            Box::new(Blocks {
                compression,
                size: block::size(compression),
                filling: Block::default(),
                spare: Vec::new(),
                pool: Pool::new(compression, threads),
                crc: Crc::new(),
                any: false,
            })
        });
        Ok(Self { writer, blocks, broken: false })
    }

    /// Writes what is left, ends the stream, and gives the writer back.
    /// Without it the stream is incomplete.
    pub fn finish(mut self) -> Result<W> {
        let failed = |cause| Error::io("writing", "a compressed layer", cause);
        self.check().map_err(failed)?;
        if let Some(blocks) = self.blocks {
            blocks.finish(&mut self.writer).map_err(failed)?;
        }
        Ok(self.writer)
    }

    /// Refuses to go on behind an error: a block would be missing.
    fn check(&self) -> io::Result<()> {
        if self.broken {
            return Err(Error::new(Code::Usage, "compressing a layer")
                .found("one that could not be written before")
                .into());
        }
        Ok(())
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        let Some(blocks) = &mut self.blocks else { return self.writer.write(bytes) };
        let length = blocks.fill(bytes);
        if blocks.is_full() {
            self.broken = true;
            blocks.end_block(&mut self.writer)?;
            self.broken = false;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl<W> fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.blocks.as_ref().map_or("none".into(), |it| it.compression.to_string());
        write!(f, "Encoder({name})")
    }
}

impl Blocks {
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let plain = &mut self.filling.plain;
        let length = bytes.len().min(self.size - plain.len());
        plain.extend_from_slice(&bytes[..length]);
        length
    }

    fn is_full(&self) -> bool {
        self.filling.plain.len() == self.size
    }

    fn end_block<W: Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if !self.any {
            writer.write_all(&self.header())?;
            self.any = true;
        }
        let next = self.spare.pop().unwrap_or_default();
        self.pool.push(std::mem::replace(&mut self.filling, next));
        while let Some(done) = self.pool.pop(self.pool.is_full()) {
            self.put(done?, writer)?;
        }
        Ok(())
    }

    fn put<W: Write>(&mut self, mut block: Block, writer: &mut W) -> io::Result<()> {
        self.crc.combine(&block.crc);
        writer.write_all(&block.packed)?;
        block.plain.clear();
        self.spare.push(block);
        Ok(())
    }

    fn finish<W: Write>(mut self, writer: &mut W) -> io::Result<()> {
        // No input still makes a stream: of a header and a trailer for gzip,
        // of one empty frame for zstd.
        let zstd = matches!(self.compression, Compression::Zstd { .. });
        if !self.filling.plain.is_empty() || zstd && !self.any {
            self.end_block(writer)?;
        }
        while let Some(done) = self.pool.pop(true) {
            self.put(done?, writer)?;
        }
        if zstd {
            return Ok(());
        }
        if !self.any {
            writer.write_all(&self.header())?;
        }
        // An empty final block with fixed codes, checksum and length.
        writer.write_all(&[3, 0])?;
        writer.write_all(&self.crc.sum().to_le_bytes())?;
        writer.write_all(&self.crc.amount().to_le_bytes())
    }

    /// What stands before the first block.
    fn header(&self) -> Vec<u8> {
        match self.compression {
            Compression::Gzip { level } => {
                // The hint that zlib gives: made fast, or made small.
                let hint = match level {
                    1 => 4,
                    9.. => 2,
                    _ => 0,
                };
                // Deflate, no flags, no time, unknown system.
                vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, hint, 255]
            }
            Compression::None | Compression::Zstd { .. } => Vec::new(),
        }
    }
}
