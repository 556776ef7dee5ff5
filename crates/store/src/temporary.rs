//! Names for what is not finished, and how leftovers are told from work.
//!
//! A temporary file or folder is called `.plimsoll-PROCESS-NUMBER.tmp`, and
//! whoever works on it holds a kernel lock (`flock`) on it. The lock ends
//! with its holder, however that comes about; the name only has to be new,
//! so reused process ids and other machines do no harm. What has such a name
//! and no lock is a leftover, and [`sweep`] removes it.
//!
//! A part of a blob that is kept for later is called `partial-ALGORITHM-DIGEST`
//! and is locked in the same way while somebody goes on with it. It outlives
//! its process; [`sweep`] leaves it alone, and [`leftovers`] counts it on
//! demand.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, fchmod, flock, fstat,
    fsync, linkat, mkdirat, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use crate::folder::{Flush, folder_flags};
use crate::remove;

const PREFIX: &str = ".plimsoll-";
const SUFFIX: &str = ".tmp";
const PARTIAL: &str = "partial-";

/// How many names are tried before it is given up: each failure means that
/// somebody else had that name, or that a sweep was faster.
const TRIES: usize = 1 << 16;

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A name that this process has not used before.
fn fresh() -> CString {
    let process = rustix::process::getpid();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    CString::new(format!("{PREFIX}{process}-{number}{SUFFIX}"))
        .expect("because digits and letters hold no NUL")
}

/// Whether a name is one that [`fresh`] makes.
pub(crate) fn is_temporary(name: &CStr) -> bool {
    let name = name.to_bytes();
    name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes())
}

/// The name of a part of a blob.
pub(crate) fn partial_name(algorithm: &str, encoded: &str) -> String {
    format!("{PARTIAL}{algorithm}-{encoded}")
}

fn is_partial(name: &CStr) -> bool {
    name.to_bytes().starts_with(PARTIAL.as_bytes())
}

/// Removes what `name` stands for so that it is never seen half removed: it
/// becomes a leftover first.
pub(crate) fn retire(folder: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    for _ in 0..TRIES {
        let leftover = fresh();
        match renameat_with(folder, name, folder, &leftover, RenameFlags::NOREPLACE) {
            Ok(()) => return remove::tree(folder, &leftover),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(Errno::EXIST.into())
}

/// Makes a temporary thing and locks it. `make` makes it under a name,
/// refusing names that are taken, and gives its handle.
fn make(
    folder: BorrowedFd<'_>,
    make: impl Fn(&CStr) -> rustix::io::Result<OwnedFd>,
) -> io::Result<(CString, OwnedFd)> {
    for _ in 0..TRIES {
        let name = fresh();
        let fd = match make(&name) {
            Ok(fd) => fd,
            // Taken, or swept before it could be opened.
            Err(Errno::EXIST | Errno::NOENT) if exists(folder)? => continue,
            Err(errno) => return Err(errno.into()),
        };
        let locked = match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => is_same(folder, &name, fd.as_fd()),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(errno.into()),
        };
        match locked {
            Ok(true) => return Ok((name, fd)),
            // A sweep came between making and locking.
            Ok(false) => {}
            Err(error) => {
                let _ = remove::tree(folder, &name);
                return Err(error);
            }
        }
    }
    Err(Errno::EXIST.into())
}

/// Whether the folder has not been removed itself.
fn exists(folder: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(fstat(folder)?.st_nlink > 0)
}

/// Whether `name` still stands for what `fd` is the handle of.
fn is_same(folder: BorrowedFd<'_>, name: &CStr, fd: BorrowedFd<'_>) -> io::Result<bool> {
    let ours = fstat(fd)?;
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(theirs) => Ok((ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Makes and locks a temporary folder that only its owner may enter.
pub(crate) fn folder(parent: BorrowedFd<'_>) -> io::Result<(CString, OwnedFd)> {
    let (name, fd) = make(parent, |name| {
        mkdirat(parent, name, Mode::RWXU)?;
        openat(parent, name, folder_flags() | OFlags::NOFOLLOW, Mode::empty())
    })?;
    // The umask may have taken bits, the folder around may have added setgid.
    if let Err(errno) = fchmod(&fd, Mode::RWXU) {
        let _ = remove::tree(parent, &name);
        return Err(errno.into());
    }
    Ok((name, fd))
}

/// A file on its way to its name. Dropped before, it is gone.
#[derive(Debug)]
pub(crate) struct TemporaryFile {
    folder: OwnedFd,
    name: Option<CString>,
    file: File,
    flush: Flush,
}

impl TemporaryFile {
    /// Makes and locks a temporary file in `folder`.
    pub(crate) fn create(folder: BorrowedFd<'_>) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let (name, fd) = make(folder, |name| openat(folder, name, flags, Mode::RUSR | Mode::WUSR))?;
        // From here on dropping it removes it.
        let file = File::from(fd);
        match folder.try_clone_to_owned() {
            Ok(folder) => Ok(Self { folder, name: Some(name), file, flush: Flush::Durable }),
            Err(error) => {
                let _ = unlinkat(folder, &name, AtFlags::empty());
                Err(error)
            }
        }
    }

    /// Goes on with a file that has a name of its own, or begins it. `None` if
    /// somebody else is at work on it, or if it can not be told to be ours
    /// alone.
    pub(crate) fn resume(folder: BorrowedFd<'_>, name: &str) -> io::Result<Option<Self>> {
        let name = CString::new(name)?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(fd) = openat(folder, &name, flags, Mode::RUSR | Mode::WUSR) else { return Ok(None) };
        let stat = fstat(&fd)?;
        let ours = stat.st_uid == rustix::process::geteuid().as_raw()
            && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_nlink == 1
            && Mode::from_raw_mode(stat.st_mode).intersection(Mode::RWXG | Mode::RWXO).is_empty();
        if !ours
            || flock(&fd, FlockOperation::NonBlockingLockExclusive).is_err()
            || !is_same(folder, &name, fd.as_fd())?
        {
            return Ok(None);
        }
        let folder = folder.try_clone_to_owned()?;
        let file = File::from(fd);
        Ok(Some(Self { folder, name: Some(name), file, flush: Flush::Durable }))
    }

    /// A second handle of the file.
    pub(crate) fn reader(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Leaves the file where it is.
    pub(crate) fn keep(mut self) {
        self.name = None;
    }

    /// The same file, with that rule for it.
    pub(crate) fn flushed(mut self, flush: Flush) -> Self {
        self.flush = flush;
        self
    }

    /// The file, open for writing and reading.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives the file its mode, makes its content durable, and lets it take
    /// the place of whatever is called `name` in `folder`. The caller syncs
    /// that folder.
    ///
    /// A failed sync is final: the content must be written anew.
    pub(crate) fn publish(
        &mut self,
        folder: BorrowedFd<'_>,
        name: impl rustix::path::Arg,
        mode: u32,
    ) -> io::Result<()> {
        self.rename(folder, name, mode, RenameFlags::empty())
    }

    /// The same, which errors if something has that name.
    pub(crate) fn publish_new(
        &mut self,
        folder: BorrowedFd<'_>,
        name: impl rustix::path::Arg,
        mode: u32,
    ) -> io::Result<()> {
        self.rename(folder, name, mode, RenameFlags::NOREPLACE)
    }

    fn rename(
        &mut self,
        folder: BorrowedFd<'_>,
        name: impl rustix::path::Arg,
        mode: u32,
        flags: RenameFlags,
    ) -> io::Result<()> {
        let Some(own) = &self.name else {
            return Err(io::Error::other("the file was published before"));
        };
        let name = name.into_c_str()?;
        let name: &CStr = &name;
        fchmod(&self.file, Mode::from_raw_mode(mode))?;
        if self.flush == Flush::Durable {
            retry_on_intr(|| fsync(&self.file))?;
        }
        if flags.is_empty() {
            renameat(&self.folder, own, folder, name)?;
        } else {
            match renameat_with(&self.folder, own, folder, name, flags) {
                // Without that flag, a link does not replace anything either.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    linkat(&self.folder, own, folder, name, AtFlags::empty())?;
                    unlinkat(&self.folder, own, AtFlags::empty())?;
                }
                other => other?,
            }
        }
        self.name = None;
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = unlinkat(&self.folder, name, AtFlags::empty());
        }
    }
}

/// A file without a name in `folder`: it is gone with its handle, however
/// that comes about.
pub(crate) fn unnamed(folder: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    match openat(CWD, folder, flags, Mode::RUSR | Mode::WUSR) {
        Ok(fd) => Ok(File::from(fd)),
        // Some file systems want a name.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let folder = openat(CWD, folder, folder_flags(), Mode::empty())?;
            TemporaryFile::create(folder.as_fd())?.file().try_clone()
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Removes the leftovers in `folder`: temporary names that nobody holds.
/// Gives how many were removed.
///
/// What belongs to other users is left alone, and so is what can not be
/// removed; both are for their owners.
pub(crate) fn sweep(folder: BorrowedFd<'_>) -> io::Result<usize> {
    Ok(leftovers(folder, true, false)?.len())
}

/// The leftovers in `folder`, as [`sweep`] tells them from work, in the order
/// of their names; removed or not. With `partials`, parts of blobs are among
/// them.
pub(crate) fn leftovers(
    folder: BorrowedFd<'_>,
    remove: bool,
    partials: bool,
) -> io::Result<Vec<CString>> {
    let user = rustix::process::geteuid().as_raw();
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_temporary(name) || partials && is_partial(name) {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort();
    names.retain(|name| {
        let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if stat.st_uid != user || !matches!(kind, FileType::RegularFile | FileType::Directory) {
            return false;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(fd) = openat(folder, name, flags, Mode::empty()) else { return false };
        flock(&fd, FlockOperation::NonBlockingLockExclusive).is_ok()
            && is_same(folder, name, fd.as_fd()).unwrap_or(false)
            && (!remove || remove::tree(folder, name).is_ok())
    });
    Ok(names)
}
