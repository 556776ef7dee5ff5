//! Locks of the kernel on files that are never removed: they end with their
//! holder, so there is no stale lock to break.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fstat, openat, statat};
use rustix::io::Errno;

use crate::folder::Folder;

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: OwnedFd,
}

/// How many may hold a lock at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Share {
    /// Any number, while nobody holds it alone.
    Shared,
    /// One.
    Exclusive,
}

impl Lock {
    /// Takes the lock `name` in `folder`, waiting for at most `patience`.
    /// `place` is what the lock is for, in messages.
    pub(crate) fn take(
        folder: &Folder,
        name: &str,
        share: Share,
        patience: Duration,
        place: &Path,
    ) -> Result<Self> {
        let failed = |cause: io::Error| Error::io("locking layout", place.display(), cause);
        let operation = match share {
            Share::Shared => FlockOperation::NonBlockingLockShared,
            Share::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        let mut pause = Duration::from_millis(1);
        let mut waited = Duration::ZERO;
        loop {
            let file = open(folder, name).map_err(failed)?;
            match flock(&file, operation) {
                Ok(()) => {
                    if is_in_place(folder, name, &file).map_err(failed)? {
                        return Ok(Self { _file: file });
                    }
                    // Somebody removed the lock file: take the new one.
                    continue;
                }
                Err(Errno::WOULDBLOCK) if waited < patience => {}
                Err(Errno::INTR) => continue,
                Err(Errno::WOULDBLOCK) => {
                    return Err(Error::new(
                        Code::Locked,
                        format!("locking layout {}", place.display()),
                    )
                    .found(format!("another process held {name:?} for {} s", patience.as_secs()))
                    .expected("a free lock")
                    .fix("try again when the other command on this layout has finished"));
                }
                Err(errno) => return Err(failed(errno.into())),
            }
            sleep(pause);
            waited += pause;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

/// Opens the lock file, made if it is missing. Some network file systems
/// lock exclusively only what is open for writing; who may only read locks
/// what is open for reading.
fn open(folder: &Folder, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o644);
    match openat(folder, name, flags | OFlags::RDWR | OFlags::CREATE, mode) {
        Err(Errno::ACCESS) => Ok(openat(folder, name, flags | OFlags::RDONLY, mode)?),
        other => Ok(other?),
    }
}

fn is_in_place(folder: &Folder, name: &str, file: &OwnedFd) -> io::Result<bool> {
    let ours = fstat(file)?;
    match statat(folder.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(theirs) => Ok((ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
