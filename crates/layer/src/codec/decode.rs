//! Decompression.

use std::io::{self, Read};
use std::marker::PhantomData;

use plimsoll_content::Result;

use crate::codec::Format;
use crate::finding::Finding;
use crate::limits::Limits;

/// Reads the uncompressed bytes of a layer.
pub struct Decoder<R>(PhantomData<R>);

impl<R: Read> Decoder<R> {
    /// Starts to read; the first bytes must be those of `format`.
    pub fn new(_format: Format, _reader: R, _limits: &Limits) -> Result<Self> {
        todo!()
    }

    /// Reads to the end of the stream and gives the reader back.
    pub fn finish(self) -> Result<(R, Vec<Finding>)> {
        todo!()
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        todo!()
    }
}
