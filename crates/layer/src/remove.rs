//! Removing what lies at one name of a folder, with all below it, and nothing
//! else: no link is followed, no mount boundary crossed.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat2, unlinkat};
use rustix::io::Errno;

use crate::handle::{Chain, names, usable};
use crate::path::shown;

/// Removes the file or folder `name` in `parent`; `name` is one component.
///
/// Folders that their owner may not read or write are made usable first, so
/// that an ordinary user can remove what he unpacked. Returns `false` if there
/// was nothing. Refuses mount points ([`Code::UnsafeEntry`], hostile case
/// TR31); what lies beside them may be gone by then.
pub fn tree(parent: BorrowedFd<'_>, name: &OsStr) -> Result<bool> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) => return Ok(true),
        Err(Errno::NOENT) => return Ok(false),
        // POSIX says EPERM of folders, Linux EISDIR.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(failed(name, errno)),
    }
    let below = descend(parent, name)?;
    let parent = rustix::io::fcntl_dupfd_cloexec(parent, 0).map_err(|errno| failed(name, errno))?;
    let mut chain = Chain::new(parent, Vec::new());
    push(&mut chain, below, name)?;
    loop {
        let Some(next) = chain.top().pop() else {
            let Some((_, pending)) =
                chain.pop().map_err(|cause| Error::io("removing", shown_name(name), cause))?
            else {
                return Ok(true);
            };
            drop(pending);
            // The name of what was just emptied is on top of its parent's list.
            if chain.depth() == 0 {
                rmdir(chain.handle(), name)?;
                return Ok(true);
            }
            let emptied = chain.top().pop().unwrap_or_default();
            rmdir(chain.handle(), &emptied)?;
            continue;
        };
        match unlinkat(chain.handle(), &next, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR | Errno::PERM) => {
                let below = descend(chain.handle(), &next)?;
                chain.top().push(next.clone());
                push(&mut chain, below, &next)?;
            }
            Err(errno) => return Err(failed(&next, errno)),
        }
    }
}

fn push(chain: &mut Chain<Vec<OsString>>, below: OwnedFd, name: &OsStr) -> Result<()> {
    let pending = names(&below).map_err(|errno| failed(name, errno))?;
    chain.push(below, pending).map_err(|cause| Error::io("removing", shown_name(name), cause))
}

fn descend(parent: impl AsFd, name: &OsStr) -> Result<OwnedFd> {
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat2(&parent, name, flags, Mode::empty(), resolve).and_then(usable) {
        Ok(usable) => Ok(usable.folder),
        Err(Errno::XDEV) => Err(Error::new(Code::UnsafeEntry, "removing a folder")
            .found(format!("{} is a mount point", shown_name(name)))
            .expected("a tree without mounts")),
        // No folder, so the first attempt met a file that may not be removed.
        Err(Errno::NOTDIR) => Err(failed(name, Errno::PERM)),
        Err(errno) => Err(failed(name, errno)),
    }
}

fn rmdir(parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(failed(name, errno)),
    }
}

fn failed(name: &OsStr, errno: Errno) -> Error {
    Error::io("removing", shown_name(name), errno.into())
}

fn shown_name(name: &OsStr) -> String {
    shown(name.as_encoded_bytes())
}
