//! The plain bytes of archives, where they can be read in any order.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use plimsoll_content::{Error, Result};
use rustix::fs::{Mode, OFlags, openat};

use crate::tar::Segment;

/// Where the content of a file lies.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// Where its data begins.
    pub(super) offset: u64,
    /// Which parts of the file the data is, if there are holes.
    pub(super) segments: Option<Vec<Segment>>,
}

/// A file without a name, which ends with its handle.
pub(super) fn anonymous(folder: BorrowedFd<'_>) -> Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    openat(folder, c".", flags, Mode::RUSR | Mode::WUSR)
        .map(File::from)
        .map_err(|errno| Error::io("making", "a temporary file", errno.into()))
}

/// Also writes to a file what is read.
pub(super) struct Tee<'a, R> {
    pub(super) reader: R,
    pub(super) keep: &'a File,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.keep
            .write_all(&buffer[..length])
            .map_err(|cause| Error::io("writing", "a temporary file", cause))?;
        Ok(length)
    }
}

/// Reads a file from a place on, whatever its own position is.
pub(super) struct At<'a> {
    file: &'a File,
    position: u64,
}

impl<'a> At<'a> {
    pub(super) fn new(file: &'a File, position: u64) -> Self {
        Self { file, position }
    }
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

/// The content of one file, with zeros where the archive leaves parts out.
pub(super) struct Content<'a> {
    data: At<'a>,
    segments: Option<std::slice::Iter<'a, Segment>>,
    /// Bytes of zeros, then bytes of data, up to the next segment.
    hole: u64,
    stored: u64,
    position: u64,
    size: u64,
}

impl<'a> Content<'a> {
    pub(super) fn new(file: &'a File, place: &'a Place, size: u64) -> Self {
        let segments = place.segments.as_ref().map(|list| list.iter());
        let stored = if segments.is_none() { size } else { 0 };
        let data = At::new(file, place.offset);
        Self { data, segments, hole: 0, stored, position: 0, size }
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.hole == 0 && self.stored == 0 {
            match self.segments.as_mut().and_then(Iterator::next) {
                Some(segment) => {
                    self.hole = segment.offset - self.position;
                    self.stored = segment.length;
                }
                None => self.hole = self.size - self.position,
            }
        }
        let stretch = if self.hole > 0 { self.hole } else { self.stored };
        let most = buffer.len().min(usize::try_from(stretch).unwrap_or(usize::MAX));
        let length = if self.hole > 0 {
            buffer[..most].fill(0);
            self.hole -= most as u64;
            most
        } else {
            let length = self.data.read(&mut buffer[..most])?;
            self.stored -= length as u64;
            length
        };
        self.position += length as u64;
        Ok(length)
    }
}
