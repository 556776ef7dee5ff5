//! Writing.

use std::io::{Read, Write};
use std::marker::PhantomData;

use plimsoll_content::Result;

use crate::entry::Entry;

/// Writes an archive: same entries, same bytes.
pub struct Writer<W>(PhantomData<W>);

impl<W: Write> Writer<W> {
    /// Starts an archive.
    pub fn new(_writer: W) -> Self {
        todo!()
    }

    /// Writes one entry. `content` is read for regular files only and must
    /// have exactly the size that the entry announces.
    pub fn append(&mut self, _entry: &Entry, _content: impl Read) -> Result<()> {
        todo!()
    }

    /// Writes the end marker and gives the writer back.
    pub fn finish(self) -> Result<W> {
        todo!()
    }
}
