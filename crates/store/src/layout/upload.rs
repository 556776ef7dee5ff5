//! Uploads: blobs that come in parts, which may be hours and processes apart.
//!
//! An upload is a file in `.plimsoll/uploads`, called as whoever began it
//! says. It is no blob to anybody before [`Ingest::commit`]. Unlike other
//! unfinished things it stays when its process ends, so that it can go on; it
//! is removed when it is given up ([`Upload::give_up`]) or has not grown for
//! long ([`Layout::expire_uploads`]).

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use plimsoll_content::{Code, Descriptor, Error, Ingest, Result, Unverified, Verified};
use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, flock, fstat, openat, statat, unlinkat,
};
use rustix::io::Errno;

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
    folder: Folder,
    name: CString,
    file: File,
    length: u64,
}

impl Layout {
    /// Begins an upload under a new name of letters, digits and `-`.
    ///
    /// Errors with [`Code::Exists`] if there is one of that name.
    pub fn begin_upload(self: &Arc<Self>, name: &str) -> Result<Upload> {
        let failed = |cause| Error::io("beginning upload", name, cause);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let own_name = checked(name)?;
        let folder = self.uploads(true).map_err(failed)?.ok_or_else(|| {
            Error::new(Code::Bug, "beginning upload").found("no folder after it was made")
        })?;
        let mode = Mode::RUSR | Mode::WUSR;
        let fd = openat(&folder, &own_name, flags, mode).map_err(|errno| failed(errno.into()))?;
        // Its name is new: whoever wants it first waits for nobody.
        flock(&fd, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| failed(errno.into()))?;
        let (layout, file) = (Arc::clone(self), File::from(fd));
        Ok(Upload { layout, folder, name: own_name, file, length: 0 })
    }

    /// Opens an upload to go on with it; `None` if there is none of that name.
    ///
    /// Errors with [`Code::Locked`] if somebody else works on it.
    pub fn resume_upload(self: &Arc<Self>, name: &str) -> Result<Option<Upload>> {
        let failed = |cause| Error::io("going on with upload", name, cause);
        let own_name = checked(name)?;
        let Some(folder) = self.uploads(false).map_err(failed)? else { return Ok(None) };
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match openat(&folder, &own_name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Ok(None),
            Err(errno) => return Err(failed(errno.into())),
        };
        match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(Error::new(Code::Locked, format!("going on with upload {name}"))
                    .found("somebody else who works on it")
                    .expected("one writer at a time"));
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        let stat = fstat(&fd).map_err(|errno| failed(errno.into()))?;
        // Finished or given up between opening and locking.
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink == 0 {
            return Ok(None);
        }
        match statat(&folder, &own_name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(now) if (now.st_dev, now.st_ino) == (stat.st_dev, stat.st_ino) => {}
            _ => return Ok(None),
        }
        let mut file = File::from(fd);
        let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let layout = Arc::clone(self);
        Ok(Some(Upload { layout, folder, name: own_name, file, length }))
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
        let file = self.file.try_clone();
        let file =
            file.map_err(|cause| Error::io("reading upload", self.name.to_string_lossy(), cause))?;
        Ok(Unverified::new(Positioned { file, at: 0 }))
    }

    /// Takes away what was written behind `length`: the part of a chunk that
    /// did not come whole.
    pub fn cut(&mut self, length: u64) -> Result<()> {
        let failed = |cause| Error::io("cutting upload", self.name.to_string_lossy(), cause);
        if length < self.length {
            self.file.set_len(length).map_err(failed)?;
            self.file.seek(SeekFrom::Start(length)).map_err(failed)?;
            self.length = length;
        }
        Ok(())
    }

    /// Removes it.
    pub fn give_up(self) -> Result<()> {
        match unlinkat(&self.folder, &self.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => {
                Err(Error::io("removing upload", self.name.to_string_lossy(), errno.into()))
            }
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write(bytes)?;
        self.length += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Ingest for Upload {
    /// The upload becomes the blob, without being copied.
    fn commit(self: Box<Self>, proof: Verified) -> Result<Descriptor> {
        let Self { layout, folder, name, file, length } = *self;
        let blob = proof.descriptor();
        proof.covers(length)?;
        let _writing = layout.ingesting()?;
        let failed = |cause| Error::io("finishing upload of", &blob.digest, cause);
        let mut file = TemporaryFile::adopt(folder.as_fd(), name, file).map_err(failed)?;
        file = file.flushed(layout.root.flush());
        layout.place(&mut file, length, blob)?;
        Ok(blob.clone())
    }
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

fn checked(name: &str) -> Result<CString> {
    let good = (1..=NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let name = good.then(|| CString::new(name).ok()).flatten();
    name.ok_or_else(|| {
        Error::new(Code::Usage, "naming an upload")
            .found("a name of other characters, or too long")
            .expected("up to 64 letters, digits and -")
    })
}
