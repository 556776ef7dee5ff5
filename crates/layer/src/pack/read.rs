//! What one file of a tree on disk looks like, read through the handle of
//! the folder around it, with no link followed and no mount boundary crossed.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{
    FileType, Mode, OFlags, ResolveFlags, Stat, fgetxattr, fgetxattr_query, flistxattr,
    flistxattr_query, lgetxattr, lgetxattr_query, llistxattr, llistxattr_query, major, minor,
    openat2, readlinkat,
};
use rustix::io::Errno;

use crate::entry::{Entry, EntryKind, Timestamp};
use crate::handle::{Identity, through_proc};
use crate::path::RelPath;

/// What is being done when attributes can not be read.
pub(crate) const XATTRS: &str = "reading the extended attributes of";

/// Flags with which a file is opened to be read.
pub(crate) const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Opens a folder or file for reading; `None` if something is mounted there.
pub(crate) fn open(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    flags: OFlags,
) -> Result<Option<OwnedFd>, Errno> {
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    // Only the owner, or root, may read without leaving a trace.
    for flags in [flags | OFlags::NOATIME, flags] {
        match openat2(parent, name, flags, Mode::empty(), resolve) {
            Err(Errno::PERM) if flags.contains(OFlags::NOATIME) => {}
            Err(Errno::XDEV) => return Ok(None),
            other => return other.map(Some),
        }
    }
    Err(Errno::PERM)
}

/// Refuses a file that is not what it was a moment ago.
pub(crate) fn same(path: &RelPath, before: &Stat, after: &Stat) -> Result<()> {
    let key = |stat: &Stat| {
        let time = (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec);
        (Identity::of(stat), stat.st_mode, stat.st_uid, stat.st_gid, stat.st_size, time)
    };
    if key(before) == key(after) {
        return Ok(());
    }
    Err(Error::new(Code::Failed, format!("packing {path}"))
        .found("a file that changed while it was read")
        .expected("a tree that nobody writes to")
        .fix("pack a copy or a snapshot"))
}

/// What kind of file it is, a link with its target; `None` for a socket,
/// which layers can not hold (LY10).
pub(crate) fn kind(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    stat: &Stat,
    path: &RelPath,
) -> Result<Option<EntryKind>> {
    Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File { size: u64::try_from(stat.st_size).unwrap_or(0) },
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => {
            let target = readlinkat(parent, name, Vec::new());
            EntryKind::Symlink { target: target.map_err(failed(path))?.into_bytes() }
        }
        FileType::CharacterDevice => {
            EntryKind::Char { major: major(stat.st_rdev), minor: minor(stat.st_rdev) }
        }
        FileType::BlockDevice => {
            EntryKind::Block { major: major(stat.st_rdev), minor: minor(stat.st_rdev) }
        }
        FileType::Fifo => EntryKind::Fifo,
        FileType::Socket => return Ok(None),
        FileType::Unknown => {
            return Err(Error::new(Code::Unrepresentable, format!("packing {path}"))
                .found(format!("a file of unknown type {:o}", stat.st_mode)));
        }
    }))
}

/// The time of the last change of a file's content.
pub(crate) fn mtime(stat: &Stat) -> Result<Timestamp> {
    Timestamp::new(stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0))
}

/// What an entry says of a file of that kind; attributes are for the caller.
pub(crate) fn entry(path: &RelPath, stat: &Stat, kind: EntryKind) -> Result<Entry> {
    Ok(Entry {
        path: path.clone(),
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: mtime(stat)?,
        xattrs: Vec::new(),
    })
}

/// Names and values of extended attributes.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// The attributes of what is open.
pub(crate) fn xattrs(file: impl AsFd, path: &RelPath) -> Result<Xattrs> {
    let file = file.as_fd();
    collect(
        || flistxattr_query(file),
        |list| flistxattr(file, list),
        |name| fgetxattr_query(file, name),
        |name, value| fgetxattr(file, name, value),
    )
    .map_err(|errno| Error::io(XATTRS, path, errno.into()))
}

/// The attributes of what can not be opened: links, devices, pipes.
pub(crate) fn special_xattrs(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    path: &RelPath,
) -> Result<Xattrs> {
    let there = match through_proc(parent, name) {
        Ok(there) => there,
        // Without /proc there is no way to ask.
        Err(Errno::NOENT | Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(errno) => return Err(failed(path)(errno)),
    };
    named_xattrs(&there).map_err(|errno| Error::io(XATTRS, path, errno.into()))
}

/// The attributes of what has that path, which is not followed.
pub(crate) fn named_xattrs(there: &CStr) -> Result<Xattrs, Errno> {
    collect(
        || llistxattr_query(there),
        |list| llistxattr(there, list),
        |name| lgetxattr_query(there, name),
        |name, value| lgetxattr(there, name, value),
    )
}

fn collect(
    length: impl Fn() -> Result<usize, Errno>,
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    size: impl Fn(&CStr) -> Result<usize, Errno>,
    value: impl Fn(&CStr, &mut [u8]) -> Result<usize, Errno>,
) -> Result<Xattrs, Errno> {
    let mut names = match length() {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Ok(length) => vec![0; length],
        Err(errno) => return Err(errno),
    };
    let length = list(&mut names)?;
    let mut found = Vec::new();
    for name in names[..length].split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        let mut bytes = match size(name) {
            Ok(size) => vec![0; size],
            // Listed, but not for us (trusted.* and the like), or a capability
            // of a user namespace that is none of ours.
            Err(Errno::NODATA | Errno::NOTSUP | Errno::OVERFLOW) => continue,
            Err(errno) => return Err(errno),
        };
        let read = value(name, &mut bytes)?;
        bytes.truncate(read);
        found.push((name.to_bytes().to_vec(), bytes));
    }
    Ok(found)
}

/// An error of reading that names the file.
pub(crate) fn failed(path: &RelPath) -> impl Fn(Errno) -> Error + '_ {
    move |errno| Error::io("reading", path, errno.into())
}
