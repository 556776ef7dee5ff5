//! The bytes of an archive, in big pieces, with their position.

use std::io::{self, Read, Seek, SeekFrom};

use plimsoll_content::{Code, Error, Result};

use super::block;

/// How much is read at once.
const BUFFER: usize = 128 << 10;

/// A buffered reader that knows where it is and how far it may go.
pub(super) struct Input<R> {
    reader: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    position: u64,
    budget: u64,
    /// How the reader moves on without reading, if it can.
    jump: Option<fn(&mut R, i64) -> io::Result<()>>,
}

impl<R: Read + Seek> Input<R> {
    /// Lets [`Input::skip`] move the reader instead of reading. It can then
    /// come to stand behind the end, which shows as an end of the stream.
    pub(super) fn seeking(self) -> Self {
        Self { jump: Some(|reader, by| reader.seek(SeekFrom::Current(by)).map(|_| ())), ..self }
    }
}

impl<R: Read> Input<R> {
    pub(super) fn new(reader: R, budget: u64) -> Self {
        let buffer = vec![0; BUFFER].into();
        Self { reader, buffer, start: 0, end: 0, position: 0, budget, jump: None }
    }

    /// How many bytes were taken so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Holes count like bytes that were read; what follows must fit as well.
    pub(super) fn charge(&mut self, holes: u64, stored: u64) -> Result<()> {
        let left = self.budget.saturating_sub(self.position);
        let Some(rest) = left.checked_sub(holes).filter(|rest| *rest >= stored) else {
            return Err(self.over_budget());
        };
        self.budget = self.position + rest;
        Ok(())
    }

    pub(super) fn into_reader(self) -> R {
        self.reader
    }

    /// What lies in the buffer; empty only at the end of the stream.
    pub(super) fn fill(&mut self) -> Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.more()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// The next `length` bytes, which `fill` has shown to be there.
    pub(super) fn give(&mut self, length: usize) -> &[u8] {
        let start = self.start;
        self.consume(length);
        &self.buffer[start..start + length]
    }

    pub(super) fn consume(&mut self, length: usize) {
        self.start += length;
        self.position += length as u64;
    }

    /// Reads straight into `buffer`, if nothing is buffered and the caller's
    /// buffer is not smaller than ours.
    pub(super) fn read_past(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        if self.start != self.end || buffer.len() < BUFFER {
            return Ok(None);
        }
        let length = self.read_some(|reader| reader.read(buffer))?;
        self.position += length as u64;
        self.within_budget()?;
        Ok(Some(length))
    }

    /// The next block; `None` at the end of the stream.
    pub(super) fn block(&mut self) -> Result<Option<[u8; block::SIZE]>> {
        if self.end - self.start < block::SIZE {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            while self.end < block::SIZE {
                if self.more()? == 0 {
                    return if self.end == 0 { Ok(None) } else { Err(self.truncated("a header")) };
                }
            }
        }
        let mut block = [0; block::SIZE];
        block.copy_from_slice(&self.buffer[self.start..self.start + block::SIZE]);
        self.consume(block::SIZE);
        Ok(Some(block))
    }

    /// Fills `bytes` with the next `length`, which the caller has bounded.
    pub(super) fn take(&mut self, bytes: &mut Vec<u8>, length: usize, what: &str) -> Result<()> {
        bytes.clear();
        while bytes.len() < length {
            let wanted = length - bytes.len();
            let found = self.fill()?;
            if found.is_empty() {
                return Err(self.truncated(what));
            }
            let found = &found[..found.len().min(wanted)];
            bytes.extend_from_slice(found);
            let taken = found.len();
            self.consume(taken);
        }
        Ok(())
    }

    pub(super) fn skip(&mut self, mut length: u64, what: &str) -> Result<()> {
        let buffered = (self.end - self.start) as u64;
        if let Some(jump) = self.jump
            && length > buffered
            && let Ok(rest) = i64::try_from(length - buffered)
        {
            self.read_some(|reader| jump(reader, rest).map(|()| 0))?;
            self.start = self.end;
            self.position += length;
            return self.within_budget();
        }
        while length > 0 {
            let found = self.fill()?.len();
            if found == 0 {
                return Err(self.truncated(what));
            }
            let taken = found.min(usize::try_from(length).unwrap_or(usize::MAX));
            self.consume(taken);
            length -= taken as u64;
        }
        Ok(())
    }

    pub(super) fn truncated(&self, what: &str) -> Error {
        Error::new(Code::Layer, format!("reading {what} at byte {} of the archive", self.position))
            .found("the end of the stream")
            .expected("more bytes")
    }

    /// Reads behind what is buffered.
    fn more(&mut self) -> Result<usize> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let free = self.end..;
        let length = self.read_some(|reader| reader.read(&mut buffer[free.clone()]));
        self.buffer = buffer;
        let length = length?;
        self.end += length;
        self.within_budget()?;
        Ok(length)
    }

    fn read_some(&mut self, mut read: impl FnMut(&mut R) -> io::Result<usize>) -> Result<usize> {
        loop {
            match read(&mut self.reader) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => {
                    return other.map_err(|cause| Error::io("reading", "the archive", cause));
                }
            }
        }
    }

    fn within_budget(&self) -> Result<()> {
        if self.position + (self.end - self.start) as u64 > self.budget {
            return Err(self.over_budget());
        }
        Ok(())
    }

    fn over_budget(&self) -> Error {
        Error::new(Code::Limit, format!("reading the archive at byte {}", self.position))
            .found("more bytes, holes of sparse files included, than a layer may have")
            .expected("a smaller layer")
    }
}
