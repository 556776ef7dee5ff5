//! Handles of folders: opening one component at a time, and holding a chain
//! of them without running out of file descriptors.
//!
//! What does not live here: resolving links (`apply::walk`, [`crate::Root`]).

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use plimsoll_content::{Code, Error};
use rustix::fs::{
    Access, AtFlags, CWD, Mode, OFlags, RawDir, Stat, accessat, chmodat, fstat, fstatfs, openat,
};
use rustix::io::Errno;

/// How many handles one [`Chain`] holds open. Processes start with 1,024 as
/// a rule, and a path may have 2,048 components.
const HELD: usize = 64;

/// The file system type of `/proc`.
const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// Flags with which nothing but the folder itself is ever opened.
pub(crate) const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// Opens the folder `name` in `parent`; a link is no folder.
pub(crate) fn folder(parent: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    match openat(&parent, name, FOLDER, Mode::empty()) {
        Err(Errno::LOOP) => Err(Errno::NOTDIR),
        other => other,
    }
}

/// A folder that can be read, written and searched.
pub(crate) struct Usable {
    pub(crate) folder: OwnedFd,
    /// What it was like before.
    pub(crate) before: Stat,
    /// Whether its mode kept us out before, and was changed.
    pub(crate) was_closed: bool,
}

/// Opens the folder `name` in `parent`, and lets its owner read, write and
/// search it if its mode does not: root needs no mode, an ordinary user does.
pub(crate) fn usable_folder(parent: impl AsFd, name: &OsStr) -> Result<Usable, Errno> {
    match folder(&parent, name) {
        Ok(folder) => {
            let before = fstat(&folder)?;
            let was_closed = is_closed(&folder, &before);
            if was_closed {
                rustix::fs::fchmod(&folder, opened(&before))?;
            }
            Ok(Usable { folder, before, was_closed })
        }
        Err(Errno::ACCESS) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            usable(openat(&parent, name, flags, Mode::empty())?)
        }
        Err(errno) => Err(errno),
    }
}

/// The same for a folder that is open with `O_PATH`.
pub(crate) fn usable(folder: impl AsFd) -> Result<Usable, Errno> {
    let before = fstat(&folder)?;
    let was_closed = is_closed(&folder, &before);
    if was_closed {
        chmod(&folder, opened(&before))?;
    }
    let folder = openat(&folder, c".", FOLDER, Mode::empty())?;
    Ok(Usable { folder, before, was_closed })
}

/// Whether the folder is ours and its mode keeps us out.
fn is_closed(folder: impl AsFd, stat: &Stat) -> bool {
    let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    stat.st_mode & 0o700 != 0o700
        && stat.st_uid == rustix::process::geteuid().as_raw()
        && matches!(accessat(folder, c".", all, AtFlags::EACCESS), Err(Errno::ACCESS))
}

fn opened(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o7777 | 0o700)
}

/// Sets the mode of what a handle stands for that was opened with `O_PATH`,
/// which `fchmod` does not take.
pub(crate) fn chmod(handle: impl AsFd, mode: Mode) -> Result<(), Errno> {
    let proc = proc_self_fd()?;
    let number = handle.as_fd().as_raw_fd().to_string();
    chmodat(proc, number, mode, AtFlags::empty())
}

/// A path for the calls that take no handle (extended attributes of links,
/// devices, pipes): through `/proc`, to `name` in `parent`. The name must not
/// be followed.
pub(crate) fn through_proc(parent: impl AsFd, name: &OsStr) -> Result<CString, Errno> {
    proc_self_fd()?;
    known_through_proc(parent, name)
}

/// The same for a caller that knows `/proc` to be what it should be.
pub(crate) fn known_through_proc(parent: impl AsFd, name: &OsStr) -> Result<CString, Errno> {
    let mut path = format!("/proc/self/fd/{}/", parent.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(name.as_bytes());
    CString::new(path).map_err(|_| Errno::INVAL)
}

/// The handles of this process, if `/proc` is what it should be.
fn proc_self_fd() -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = openat(CWD, c"/proc/self/fd", flags, Mode::empty())?;
    if fstatfs(&proc)?.f_type != PROC_SUPER_MAGIC {
        return Err(Errno::OPNOTSUPP);
    }
    Ok(proc)
}

/// The names in a folder, in the order of the file system, read from its
/// beginning.
pub(crate) fn names(folder: impl AsFd) -> Result<Vec<OsString>, Errno> {
    // A handle of its own: the position in the folder belongs to the handle.
    let own = openat(&folder, c".", FOLDER, Mode::empty())?;
    let mut names = Vec::new();
    let mut buffer = vec![MaybeUninit::uninit(); 32 << 10];
    let mut listing = RawDir::new(own, &mut buffer);
    while let Some(entry) = listing.next() {
        let entry = entry?;
        if !is_dots(entry.file_name()) {
            names.push(OsString::from_vec(entry.file_name().to_bytes().to_vec()));
        }
    }
    Ok(names)
}

/// Whether there is nothing in a folder.
pub(crate) fn is_empty(folder: impl AsFd) -> Result<bool, Errno> {
    let own = openat(&folder, c".", FOLDER, Mode::empty())?;
    let mut buffer = [MaybeUninit::uninit(); 1024];
    let mut listing = RawDir::new(own, &mut buffer);
    while let Some(entry) = listing.next() {
        if !is_dots(entry?.file_name()) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

/// What makes a file this file and no other.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(crate) fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }

    fn of_handle(handle: impl AsFd) -> Result<Self, Errno> {
        Ok(Self::of(&fstat(handle)?))
    }
}

/// A root folder, a folder in it, a folder in that one, and so on down, each
/// with something that is known about it.
///
/// Only the root and the lowest [`HELD`] handles are open. The others come
/// back through `..` of the one below, if they are still what they were.
pub(crate) struct Chain<T> {
    root: (OwnedFd, T),
    below: Vec<(Held, T)>,
}

enum Held {
    Open(OwnedFd),
    Closed(Identity),
}

impl<T> Chain<T> {
    pub(crate) fn new(root: OwnedFd, about: T) -> Self {
        Self { root: (root, about), below: Vec::new() }
    }

    /// How many folders below the root are in the chain.
    pub(crate) fn depth(&self) -> usize {
        self.below.len()
    }

    /// The lowest folder.
    pub(crate) fn handle(&self) -> BorrowedFd<'_> {
        match self.below.last() {
            None => self.root.0.as_fd(),
            Some((Held::Open(handle), _)) => handle.as_fd(),
            Some((Held::Closed(_), _)) => unreachable!("push and pop keep the lowest one open"),
        }
    }

    /// What is known about the lowest folder.
    pub(crate) fn top(&mut self) -> &mut T {
        match self.below.last_mut() {
            None => &mut self.root.1,
            Some((_, about)) => about,
        }
    }

    /// Goes down into a folder.
    pub(crate) fn push(&mut self, handle: OwnedFd, about: T) -> io::Result<()> {
        if let Some(index) = self.below.len().checked_sub(HELD)
            && let (held @ Held::Open(_), _) = &mut self.below[index]
            && let Held::Open(handle) = &*held
        {
            *held = Held::Closed(Identity::of_handle(handle)?);
        }
        self.below.push((Held::Open(handle), about));
        Ok(())
    }

    /// Goes up, and gives what was left; `None` at the root.
    pub(crate) fn pop(&mut self) -> io::Result<Option<(OwnedFd, T)>> {
        let Some((Held::Open(left), about)) = self.below.pop() else {
            return Ok(None);
        };
        if let Some((held @ Held::Closed(_), _)) = self.below.last_mut()
            && let Held::Closed(identity) = &*held
        {
            let up = openat(&left, c"..", FOLDER, Mode::empty())?;
            if Identity::of_handle(&up)? != *identity {
                return Err(Error::new(Code::Failed, "going up in a file tree")
                    .found("another folder")
                    .expected("a tree that nobody else changes meanwhile")
                    .into());
            }
            *held = Held::Open(up);
        }
        Ok(Some((left, about)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_longer_than_the_limit_of_open_files() {
        let root = tempfile::tempdir().expect("folder");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let handle = openat(CWD, root.path(), flags, Mode::empty()).expect("opened");
        let mut chain = Chain::new(handle, 0);
        let mut identities = Vec::new();
        for depth in 1..=1500 {
            identities.push(Identity::of_handle(chain.handle()).expect("known"));
            rustix::fs::mkdirat(chain.handle(), c"d", Mode::RWXU).expect("made");
            let below = folder(chain.handle(), OsStr::new("d")).expect("opened");
            chain.push(below, depth).expect("pushed");
        }
        while let Some((_, depth)) = chain.pop().expect("popped") {
            assert_eq!(Identity::of_handle(chain.handle()).expect("known"), identities[depth - 1]);
            assert_eq!(chain.depth(), depth - 1);
            rustix::fs::unlinkat(chain.handle(), c"d", AtFlags::REMOVEDIR).expect("removed");
        }
        assert!(is_empty(chain.handle()).expect("listed"));
    }
}
