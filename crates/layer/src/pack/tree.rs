//! Packing a folder: read through handles, one component at a time, with no
//! link followed and no mount boundary crossed.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::vec;

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, fgetxattr, fgetxattr_query, flistxattr,
    flistxattr_query, fstat, lgetxattr, lgetxattr_query, llistxattr, llistxattr_query, major,
    minor, openat, openat2, readlinkat, statat,
};
use rustix::io::Errno;

use super::emit::{Emit, expressible};
use super::{Options, Packed};
use crate::apply::reserved::RECORDED;
use crate::entry::{Entry, EntryKind, Timestamp};
use crate::finding::Finding;
use crate::handle::{Chain, FOLDER, Identity, names, through_proc};
use crate::path::RelPath;

/// Packs what lies below a folder.
///
/// The folder is only read; where the kernel lets us, not even its access
/// times change. Sockets and what is mounted in it are left out with a
/// finding. Files that change while they are read are an error, never a layer
/// that holds a bit of both.
///
/// Errors: [`Code::Unrepresentable`] for names that start with `.wh.`;
/// [`Code::Failed`] for a file that changed; what reading says, with the path.
pub fn tree<W: Write>(root: BorrowedFd<'_>, out: W, options: &Options<'_>) -> Result<(Packed, W)> {
    let path = RelPath::root();
    let opened = openat(root, c".", FOLDER, Mode::empty()).map_err(failed(&path))?;
    let stat = fstat(&opened).map_err(failed(&path))?;
    let mut emit = Emit::new(out, options)?;
    let mut entry = entry(&path, &stat, EntryKind::Directory)?;
    entry.xattrs = xattrs(&opened, &path)?;
    emit.entry(entry, io::empty())?;
    let level = Level::new(&opened, path)?;
    let mut walk = Walk { chain: Chain::new(opened, level), links: BTreeMap::new(), emit };
    walk.run()?;
    walk.emit.finish()
}

struct Walk<'a, W: Write> {
    chain: Chain<Level>,
    /// Of each file that has several names: the first, and the attribute in
    /// which an owner is recorded, which counts for all of them.
    links: BTreeMap<Identity, (RelPath, Xattrs)>,
    emit: Emit<'a, W>,
}

struct Level {
    path: RelPath,
    ahead: vec::IntoIter<OsString>,
}

impl Level {
    fn new(folder: impl AsFd, path: RelPath) -> Result<Self> {
        let mut names = names(folder).map_err(failed(&path))?;
        names.sort_unstable();
        Ok(Self { path, ahead: names.into_iter() })
    }
}

impl<W: Write> Walk<'_, W> {
    fn run(&mut self) -> Result<()> {
        loop {
            let level = self.chain.top();
            match level.ahead.next() {
                Some(name) => {
                    let path = level.path.join(&name);
                    expressible(&path, &name)?;
                    self.add(&name, path)?;
                }
                None => {
                    let path = level.path.clone();
                    let left = self.chain.pop();
                    if left.map_err(|cause| Error::io("leaving", &path, cause))?.is_none() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn add(&mut self, name: &OsStr, path: RelPath) -> Result<()> {
        let stat =
            statat(self.chain.handle(), name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed(&path))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Socket {
            self.note(&path, "socket-left-out", "a socket, which layers can not hold (LY10)");
            return Ok(());
        }
        if stat.st_nlink > 1 && kind != FileType::Directory {
            if let Some((target, recorded)) = self.links.get(&Identity::of(&stat)) {
                let mut link = entry(&path, &stat, EntryKind::Hardlink { target: target.clone() })?;
                link.xattrs.clone_from(recorded);
                return self.emit.entry(link, io::empty());
            }
            self.links.insert(Identity::of(&stat), (path.clone(), Xattrs::new()));
        }
        let kind = match kind {
            FileType::RegularFile => return self.file(name, &path, &stat),
            FileType::Directory => return self.folder(name, path, &stat),
            FileType::Symlink => {
                let target = readlinkat(self.chain.handle(), name, Vec::new());
                EntryKind::Symlink { target: target.map_err(failed(&path))?.into_bytes() }
            }
            FileType::CharacterDevice => {
                EntryKind::Char { major: major(stat.st_rdev), minor: minor(stat.st_rdev) }
            }
            FileType::BlockDevice => {
                EntryKind::Block { major: major(stat.st_rdev), minor: minor(stat.st_rdev) }
            }
            FileType::Fifo => EntryKind::Fifo,
            _ => {
                return Err(Error::new(Code::Unrepresentable, format!("packing {path}"))
                    .found(format!("a file of unknown type {:o}", stat.st_mode)));
            }
        };
        let mut entry = entry(&path, &stat, kind)?;
        entry.xattrs = special_xattrs(self.chain.handle(), name, &path)?;
        self.emit.entry(entry, io::empty())
    }

    fn folder(&mut self, name: &OsStr, path: RelPath, seen: &Stat) -> Result<()> {
        let Some(opened) = open(self.chain.handle(), name, FOLDER).map_err(failed(&path))? else {
            self.note(&path, "mount-left-out", "what is mounted there");
            return self.emit.entry(entry(&path, seen, EntryKind::Directory)?, io::empty());
        };
        let stat = fstat(&opened).map_err(failed(&path))?;
        same(&path, seen, &stat)?;
        let mut entry = entry(&path, &stat, EntryKind::Directory)?;
        entry.xattrs = xattrs(&opened, &path)?;
        self.emit.entry(entry, io::empty())?;
        let level = Level::new(&opened, path.clone())?;
        self.chain.push(opened, level).map_err(|cause| Error::io("entering", path, cause))
    }

    fn file(&mut self, name: &OsStr, path: &RelPath, seen: &Stat) -> Result<()> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let Some(opened) = open(self.chain.handle(), name, flags).map_err(failed(path))? else {
            self.note(path, "mount-left-out", "a file that is mounted there");
            return Ok(());
        };
        let before = fstat(&opened).map_err(failed(path))?;
        same(path, seen, &before)?;
        let size = u64::try_from(before.st_size).unwrap_or(0);
        let mut entry = entry(path, &before, EntryKind::File { size })?;
        entry.xattrs = xattrs(&opened, path)?;
        if let Some((_, recorded)) = self.links.get_mut(&Identity::of(&before)) {
            recorded.extend(entry.xattrs.iter().find(|(name, _)| name == RECORDED).cloned());
        }
        let mut file = File::from(opened);
        self.emit.entry(entry, (&mut file).take(size.saturating_add(1)))?;
        same(path, &before, &fstat(&file).map_err(failed(path))?)
    }

    fn note(&mut self, path: &RelPath, name: &'static str, what: &str) {
        let findings = &mut self.emit.findings;
        findings.note(name, || Finding::new(name, format!("{what} is left out")).at(path));
    }
}

/// Opens a folder or file for reading; `None` if something is mounted there.
fn open(parent: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> Result<Option<OwnedFd>, Errno> {
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
fn same(path: &RelPath, before: &Stat, after: &Stat) -> Result<()> {
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

fn entry(path: &RelPath, stat: &Stat, kind: EntryKind) -> Result<Entry> {
    Ok(Entry {
        path: path.clone(),
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: Timestamp::new(stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0))?,
        xattrs: Vec::new(),
    })
}

type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

fn xattrs(file: impl AsFd, path: &RelPath) -> Result<Xattrs> {
    let file = file.as_fd();
    collect(
        || flistxattr_query(file),
        |list| flistxattr(file, list),
        |name| fgetxattr_query(file, name),
        |name, value| fgetxattr(file, name, value),
    )
    .map_err(|errno| Error::io("reading the extended attributes of", path, errno.into()))
}

/// The attributes of what can not be opened: links, devices, pipes.
fn special_xattrs(parent: BorrowedFd<'_>, name: &OsStr, path: &RelPath) -> Result<Xattrs> {
    let there = match through_proc(parent, name) {
        Ok(there) => there,
        // Without /proc there is no way to ask.
        Err(Errno::NOENT | Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(errno) => return Err(failed(path)(errno)),
    };
    let there = there.as_c_str();
    collect(
        || llistxattr_query(there),
        |list| llistxattr(there, list),
        |name| lgetxattr_query(there, name),
        |name, value| lgetxattr(there, name, value),
    )
    .map_err(|errno| Error::io("reading the extended attributes of", path, errno.into()))
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
            // Listed, but not for us (trusted.* and the like).
            Err(Errno::NODATA | Errno::NOTSUP) => continue,
            Err(errno) => return Err(errno),
        };
        let read = value(name, &mut bytes)?;
        bytes.truncate(read);
        found.push((name.to_bytes().to_vec(), bytes));
    }
    Ok(found)
}

fn failed(path: &RelPath) -> impl Fn(Errno) -> Error + '_ {
    move |errno| Error::io("reading", path, errno.into())
}
