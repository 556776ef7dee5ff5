//! Compression.

use std::io::{self, Write};
use std::marker::PhantomData;

use plimsoll_content::Result;

use crate::codec::Compression;

/// Compresses what is written to it.
pub struct Encoder<W>(PhantomData<W>);

impl<W: Write> Encoder<W> {
    /// Starts a compressed stream on `writer`.
    pub fn new(_compression: Compression, _writer: W) -> Result<Self> {
        todo!()
    }

    /// Writes what is left, ends the stream and gives the writer back.
    pub fn finish(self) -> Result<W> {
        todo!()
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        todo!()
    }

    fn flush(&mut self) -> io::Result<()> {
        todo!()
    }
}
