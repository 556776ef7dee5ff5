//! Uploads: blobs that come in parts, which may be hours and processes apart.
//!
//! An upload is a file in `.plimsoll/uploads`, called as whoever began it
//! says. It is no blob to anybody before [`Ingest::commit`]. Unlike other
//! unfinished things it stays when its process ends, so that it can go on; it
//! is removed when it is given up ([`Upload::give_up`]) or has not grown for
//! long ([`Layout::expire_uploads`]).

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use plimsoll_content::{Code, Descriptor, Error, Ingest, Result, Unverified, Verified};
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, flock, fstat, openat, unlinkat};

use super::Layout;
use crate::folder::Folder;
use crate::temporary::TemporaryFile;

const UPLOADS: &str = "uploads";

/// The longest name of an upload.
const NAME: usize = 64;

/// A blob on its way, open and locked: nobody else writes to it. Dropped, it
/// stays as it is.
#[derive(Debug)]
pub struct Upload {
    layout: Arc<Layout>,
    /// Away when it has become a blob, or was given up.
    file: Option<TemporaryFile>,
    length: u64,
}

impl Layout {
    /// Begins an upload under a new name of letters, digits and `-`.
    ///
    /// Errors with [`Code::Exists`] if there is one of that name.
    pub fn begin_upload(self: &Arc<Self>, name: &str) -> Result<Upload> {
        let failed = |cause| Error::io("beginning upload", name, cause);
        check(name)?;
        let folder = self.uploads(true).map_err(failed)?;
        let file = match folder {
            Some(folder) if folder.stat(name).map_err(failed)?.is_none() => {
                TemporaryFile::resume(folder.as_fd(), name).map_err(failed)?
            }
            _ => None,
        };
        let Some(file) = file.map(|file| file.flushed(self.root.flush())) else {
            return Err(Error::new(Code::Exists, format!("beginning upload {name}"))
                .found("an upload of that name")
                .expected("a new name"));
        };
        Ok(Upload { layout: Arc::clone(self), file: Some(file), length: 0 })
    }

    /// Opens an upload to go on with it; `None` if there is none of that name.
    ///
    /// Errors with [`Code::Locked`] if somebody else works on it.
    pub fn resume_upload(self: &Arc<Self>, name: &str) -> Result<Option<Upload>> {
        let failed = |cause| Error::io("going on with upload", name, cause);
        check(name)?;
        let Some(folder) = self.uploads(false).map_err(failed)? else { return Ok(None) };
        let there = folder.stat(name).map_err(failed)?;
        if there.is_none_or(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile) {
            return Ok(None);
        }
        let file = TemporaryFile::resume(folder.as_fd(), name).map_err(failed)?;
        let Some(mut file) = file.map(|file| file.flushed(self.root.flush())) else {
            return Err(Error::new(Code::Locked, format!("going on with upload {name}"))
                .found("somebody else who works on it")
                .expected("one writer at a time"));
        };
        let length = file.file().seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Some(Upload { layout: Arc::clone(self), file: Some(file), length }))
    }

    /// Removes the uploads to which nothing was written since `before`
    /// (seconds since 1970) and on which nobody works; gives their names.
    pub fn expire_uploads(&self, before: i64) -> Result<Vec<String>> {
        let failed = |cause| Error::io("removing old uploads of", self.path.display(), cause);
        let Some(folder) = self.uploads(false).map_err(failed)? else { return Ok(Vec::new()) };
        let mut removed = Vec::new();
        for name in folder.names().map_err(failed)? {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let Ok(fd) = openat(&folder, &name, flags, Mode::empty()) else { continue };
            let Ok(stat) = fstat(&fd) else { continue };
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
                || stat.st_mtime >= before
                || flock(&fd, FlockOperation::NonBlockingLockExclusive).is_err()
            {
                continue;
            }
            if unlinkat(&folder, &name, AtFlags::empty()).is_ok() {
                removed.extend(name.into_string());
            }
        }
        Ok(removed)
    }

    /// The folder of the uploads, if it is there or is to be made.
    fn uploads(&self, make: bool) -> io::Result<Option<Folder>> {
        if make {
            self.root.make(super::OWN)?;
            self.root.folder(super::OWN)?.make(UPLOADS)?;
        }
        match self.root.folder(format!("{}/{UPLOADS}", super::OWN)) {
            Ok(folder) => Ok(Some(folder)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound && !make => Ok(None),
            Err(cause) => Err(cause),
        }
    }
}

impl Upload {
    /// How many bytes have come.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What has come so far, from the beginning; what is written next goes
    /// behind it all the same.
    pub fn content(&self) -> Result<Unverified<'static>> {
        let file = self.file.as_ref().map_or_else(gone, TemporaryFile::reader);
        let file = file.map_err(|cause| Error::io("reading", "an upload", cause))?;
        Ok(Unverified::new(Positioned { file, at: 0 }))
    }

    /// Takes away what was written behind `length`: the part of a chunk that
    /// did not come whole.
    pub fn cut(&mut self, length: u64) -> Result<()> {
        if length >= self.length {
            return Ok(());
        }
        let cut = |file: &mut File| {
            file.set_len(length)?;
            file.seek(SeekFrom::Start(length))
        };
        let cut = self.file.as_mut().map_or_else(gone, |file| cut(file.file()));
        cut.map_err(|cause| Error::io("cutting", "an upload", cause))?;
        self.length = length;
        Ok(())
    }

    /// Removes it.
    pub fn give_up(mut self) {
        self.file = None;
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.as_mut().map_or_else(gone, |file| file.file().write(bytes))?;
        self.length += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Ingest for Upload {
    /// The upload becomes the blob, without being copied.
    fn commit(mut self: Box<Self>, proof: Verified) -> Result<Descriptor> {
        let blob = proof.descriptor();
        proof.covers(self.length)?;
        let _writing = self.layout.ingesting()?;
        let mut file = self.file.take().ok_or_else(|| {
            Error::new(Code::Bug, format!("finishing upload of {}", blob.digest)).found("no file")
        })?;
        self.layout.place(&mut file, self.length, blob)?;
        Ok(blob.clone())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            file.keep();
        }
    }
}

fn gone<T>() -> io::Result<T> {
    Err(io::Error::other("the upload is over"))
}

/// Reads a file from where it says, not from where others have left it.
struct Positioned {
    file: File,
    at: u64,
}

impl io::Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = std::os::unix::fs::FileExt::read_at(&self.file, buffer, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

fn check(name: &str) -> Result<()> {
    let good = (1..=NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if good {
        return Ok(());
    }
    Err(Error::new(Code::Usage, "naming an upload")
        .found("a name of other characters, or too long")
        .expected("up to 64 letters, digits and -"))
}
