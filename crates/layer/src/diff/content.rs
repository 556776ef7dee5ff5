//! Whether two files hold the same bytes.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use plimsoll_content::{Error, Result};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

use super::cursor::Cursor;
use crate::finding::{Finding, Findings};
use crate::handle::Identity;
use crate::pack::read::{FILE, failed, open, same};
use crate::path::RelPath;

/// How much is read at once of each.
const CHUNK: usize = 128 << 10;

/// Two trees that are compared file by file.
pub(crate) struct Contents {
    old: Cursor,
    new: Cursor,
    buffers: [Box<[u8]>; 2],
    /// How many files were read.
    pub(crate) compared: u64,
}

impl Contents {
    pub(crate) fn new(old: BorrowedFd<'_>, new: BorrowedFd<'_>) -> Result<Self> {
        let buffers = [vec![0; CHUNK].into(), vec![0; CHUNK].into()];
        Ok(Self { old: Cursor::new(old)?, new: Cursor::new(new)?, buffers, compared: 0 })
    }

    /// Whether the regular file `path` has the same content in both. One that
    /// is mounted in the new tree is none of it, and counts as unchanged.
    pub(crate) fn same(&mut self, path: &RelPath, findings: &mut Findings) -> Result<bool> {
        let (Some(folder), Some(name)) = (path.parent(), path.name()) else { return Ok(true) };
        if !self.old.go(&folder)? || !self.new.go(&folder)? {
            return Ok(false);
        }
        let old = match open(self.old.here(), name, FILE) {
            Ok(Some(file)) => file,
            Ok(None) | Err(Errno::NOENT | Errno::LOOP) => return Ok(false),
            Err(errno) => return Err(failed(path)(errno)),
        };
        let Some(new) = open(self.new.here(), name, FILE).map_err(failed(path))? else {
            findings.note("mount-left-out", || {
                Finding::new("mount-left-out", "a file that is mounted there is left out").at(path)
            });
            return Ok(true);
        };
        let (was, is) = (fstat(&old).map_err(failed(path))?, fstat(&new).map_err(failed(path))?);
        if Identity::of(&was) == Identity::of(&is) {
            return Ok(true);
        }
        if FileType::from_raw_mode(was.st_mode) != FileType::RegularFile
            || was.st_size != is.st_size
        {
            return Ok(false);
        }
        self.compared += 1;
        let (mut old, mut new) = (File::from(old), File::from(new));
        let equal = self.equal(&mut old, &mut new);
        let equal = equal.map_err(|cause| Error::io("comparing", path, cause))?;
        same(path, &is, &fstat(new.as_fd()).map_err(failed(path))?)?;
        Ok(equal)
    }

    fn equal(&mut self, old: &mut File, new: &mut File) -> io::Result<bool> {
        let [one, two] = &mut self.buffers;
        loop {
            let length = fill(old, one)?;
            if length != fill(new, two)? || one[..length] != two[..length] {
                return Ok(false);
            }
            if length == 0 {
                return Ok(true);
            }
        }
    }
}

/// Fills the buffer unless the end comes before.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// [`Contents`] whose old tree is asked for when it is needed first.
pub(crate) struct Lazy<'a, F> {
    base: Option<F>,
    new: BorrowedFd<'a>,
    contents: Option<(Contents, OwnedFd)>,
}

impl<'a, F: FnOnce() -> Result<OwnedFd>> Lazy<'a, F> {
    pub(crate) fn new(base: F, new: BorrowedFd<'a>) -> Self {
        Self { base: Some(base), new, contents: None }
    }

    pub(crate) fn get(&mut self) -> Result<&mut Contents> {
        if let Some(base) = self.base.take() {
            let old = base()?;
            self.contents = Some((Contents::new(old.as_fd(), self.new)?, old));
        }
        match &mut self.contents {
            Some((contents, _)) => Ok(contents),
            // Asking failed, and whoever asked went on nevertheless.
            None => Err(Error::new(plimsoll_content::Code::Bug, "comparing content")
                .found("no tree to compare with")),
        }
    }

    pub(crate) fn compared(&self) -> u64 {
        self.contents.as_ref().map_or(0, |(contents, _)| contents.compared)
    }
}
