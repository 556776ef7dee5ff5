//! The compressed bytes, with their position for messages.

use std::io::{self, BufRead};

use plimsoll_content::{Code, Error, Result};

pub(super) struct Source<S> {
    reader: S,
    position: u64,
}

impl<S: BufRead> Source<S> {
    pub(super) fn new(reader: S) -> Self {
        Self { reader, position: 0 }
    }

    pub(super) fn into_reader(self) -> S {
        self.reader
    }

    /// What lies in the buffer; empty only at the end of the stream.
    pub(super) fn fill(&mut self) -> Result<&[u8]> {
        loop {
            match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("reading", "the compressed layer", error)),
                Ok(_) => break,
            }
        }
        // A second call, since the loop can not give its borrow away; it
        // does not read again.
        self.reader.fill_buf().map_err(|error| Error::io("reading", "the compressed layer", error))
    }

    pub(super) fn consume(&mut self, length: usize) {
        self.reader.consume(length);
        self.position += length as u64;
    }

    pub(super) fn peek(&mut self) -> Result<Option<u8>> {
        Ok(self.fill()?.first().copied())
    }

    pub(super) fn byte(&mut self, format: &str) -> Result<u8> {
        let Some(byte) = self.peek()? else {
            return Err(self.truncated(format));
        };
        self.consume(1);
        Ok(byte)
    }

    pub(super) fn headline(&self, format: &str) -> String {
        format!("decompressing {format} at byte {}", self.position)
    }

    pub(super) fn broken(&self, format: &str, found: &str) -> Error {
        Error::new(Code::Layer, self.headline(format)).found(found)
    }

    pub(super) fn truncated(&self, format: &str) -> Error {
        self.broken(format, "the end of the stream").expected("more bytes")
    }
}
