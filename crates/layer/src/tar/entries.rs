//! Reading.

use std::io::{self, Read};
use std::marker::PhantomData;

use plimsoll_content::Result;

use crate::entry::Entry;
use crate::finding::Finding;
use crate::limits::Limits;

/// The entries of an archive, one after another.
pub struct Entries<R>(PhantomData<R>);

impl<R: Read> Entries<R> {
    /// Starts to read an archive.
    pub fn new(_reader: R, _limits: Limits) -> Self {
        todo!()
    }

    /// Refuses what is tolerated otherwise though it has no place in a layer:
    /// entries of unknown types.
    pub fn strict(self) -> Self {
        todo!()
    }

    /// The next entry with its content. What is left of the content of the
    /// one before is skipped.
    #[expect(clippy::should_implement_trait, reason = "a body borrows the archive")]
    pub fn next(&mut self) -> Result<Option<(Entry, Body<'_, R>)>> {
        todo!()
    }

    /// Reads to the end of the stream and gives the reader back.
    pub fn finish(self) -> Result<(R, Vec<Finding>)> {
        todo!()
    }
}

/// A piece of a sparse file that holds data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment {
    /// Where it begins in the file.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

/// What comes next in the content of a file.
#[derive(Debug, Eq, PartialEq)]
pub enum Chunk<'b> {
    /// Bytes, at least one.
    Data(&'b [u8]),
    /// That many zeros which the archive does not hold, at least one.
    Hole(u64),
}

/// The content of an entry: empty but for regular files. Holes read as zeros.
pub struct Body<'a, R>(PhantomData<&'a mut R>);

impl<R: Read> Body<'_, R> {
    /// How many bytes are left, holes included.
    pub fn remaining(&self) -> u64 {
        todo!()
    }

    /// Whether the archive leaves parts of the file out.
    pub fn is_sparse(&self) -> bool {
        todo!()
    }

    /// The pieces that hold data, in order, none empty.
    pub fn segments(&self) -> &[Segment] {
        todo!()
    }

    /// The next piece without copying it; `None` at the end.
    pub fn chunk(&mut self) -> Result<Option<Chunk<'_>>> {
        todo!()
    }
}

impl<R: Read> Read for Body<'_, R> {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        todo!()
    }
}
