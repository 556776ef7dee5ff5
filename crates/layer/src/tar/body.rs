//! The content of one entry, holes of sparse files included.

use std::fmt;
use std::io::{self, Read};

use plimsoll_content::{Error, Result};

use super::block;
use super::input::Input;
use super::sparse::Segment;
use crate::path::shown;

/// What comes next in the content of a file.
#[derive(Debug, Eq, PartialEq)]
pub enum Chunk<'b> {
    /// Bytes, at least one.
    Data(&'b [u8]),
    /// That many zeros which the archive leaves out, at least one.
    Hole(u64),
}

/// Where the reader is in the content of the current entry.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// The name of the entry, for errors.
    pub(super) name: Vec<u8>,
    /// The map, if the file is sparse.
    pub(super) segments: Vec<Segment>,
    sparse: bool,
    /// The next segment, or the one we are in.
    next: usize,
    position: u64,
    size: u64,
    /// Bytes of data and of padding that are still in the archive.
    stored: u64,
    padding: u64,
}

impl Content {
    /// A new entry: `size` bytes, of which the archive holds `stored`.
    pub(super) fn start(&mut self, size: u64, stored: u64, sparse: bool) {
        if !sparse {
            self.segments.clear();
        }
        self.sparse = sparse;
        self.next = 0;
        self.position = 0;
        self.size = size;
        self.stored = stored;
        self.padding = block::padding(stored);
    }

    /// Skips the rest, with its padding.
    pub(super) fn skip<R: Read>(&mut self, input: &mut Input<R>) -> Result<()> {
        if self.stored > 0 {
            let left = std::mem::take(&mut self.stored);
            input.skip(left, "content").map_err(|error| self.located(error))?;
        }
        if self.padding > 0 {
            let left = std::mem::take(&mut self.padding);
            input.skip(left, "padding").map_err(|error| self.located(error))?;
        }
        self.position = self.size;
        Ok(())
    }

    pub(super) fn located(&self, error: Error) -> Error {
        let name = &self.name[..self.name.len().min(crate::limits::PATH)];
        error.context(format!("reading entry {}", shown(name)))
    }

    /// How long the stretch at the current position is, and whether it is
    /// data; nothing at the end.
    fn stretch(&mut self) -> Option<(bool, u64)> {
        if !self.sparse {
            return (self.stored > 0).then_some((true, self.stored));
        }
        while let Some(segment) = self.segments.get(self.next) {
            if self.position < segment.offset {
                return Some((false, segment.offset - self.position));
            }
            let end = segment.offset + segment.length;
            if self.position < end {
                return Some((true, end - self.position));
            }
            self.next += 1;
        }
        (self.position < self.size).then_some((false, self.size - self.position))
    }

    fn advance(&mut self, data: bool, length: u64) {
        self.position += length;
        if data {
            self.stored -= length;
        }
    }
}

/// The content of an entry: empty but for regular files. Holes read as zeros.
///
/// It need not be read to its end; the archive goes on behind it.
pub struct Body<'a, R> {
    input: &'a mut Input<R>,
    content: &'a mut Content,
}

impl<'a, R: Read> Body<'a, R> {
    pub(super) fn new(input: &'a mut Input<R>, content: &'a mut Content) -> Self {
        Self { input, content }
    }

    /// How many bytes are left, holes included.
    pub fn remaining(&self) -> u64 {
        self.content.size - self.content.position
    }

    /// Whether the archive leaves parts of the file out.
    pub fn is_sparse(&self) -> bool {
        self.content.sparse
    }

    /// The pieces of a sparse file that hold data: in order, apart from each
    /// other, none empty. Nothing for other files.
    pub fn segments(&self) -> &[Segment] {
        &self.content.segments
    }

    /// The next piece without copying it, as long as it lies in memory;
    /// `None` at the end.
    pub fn chunk(&mut self) -> Result<Option<Chunk<'_>>> {
        let Some((data, length)) = self.content.stretch() else {
            return Ok(None);
        };
        if !data {
            self.content.advance(false, length);
            return Ok(Some(Chunk::Hole(length)));
        }
        let found = self.fill()?;
        let length = found.min(usize::try_from(length).unwrap_or(usize::MAX));
        self.content.advance(true, length as u64);
        Ok(Some(Chunk::Data(self.input.give(length))))
    }

    /// Makes sure that bytes are buffered; how many.
    fn fill(&mut self) -> Result<usize> {
        match self.input.fill().map(<[u8]>::len) {
            Ok(0) => Err(self.content.located(self.input.truncated("content"))),
            Ok(length) => Ok(length),
            Err(error) => Err(self.content.located(error)),
        }
    }
}

impl<R: Read> Read for Body<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((data, length)) = self.content.stretch() else {
            return Ok(0);
        };
        let most = buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let buffer = &mut buffer[..most];
        if !data {
            buffer.fill(0);
            self.content.advance(false, most as u64);
            return Ok(most);
        }
        let past = self.input.read_past(buffer).map_err(|error| self.content.located(error))?;
        let length = match past {
            Some(0) => return Err(self.content.located(self.input.truncated("content")).into()),
            Some(length) => length,
            None => {
                let length = self.fill()?.min(most);
                buffer[..length].copy_from_slice(self.input.give(length));
                length
            }
        };
        self.content.advance(true, length as u64);
        Ok(length)
    }
}

impl<R> fmt::Debug for Body<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} of {} bytes read)", self.content.position, self.content.size)
    }
}
