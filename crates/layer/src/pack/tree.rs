//! Packing a folder: read through handles, one component at a time, with no
//! link followed and no mount boundary crossed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::vec;

use plimsoll_content::{Error, Result};
use rustix::fs::{AtFlags, FileType, Mode, Stat, fstat, openat, statat};

use super::emit::{Emit, expressible};
use super::read::{self, FILE, Xattrs, entry, failed, open, same, special_xattrs, xattrs};
use super::{Options, Packed};
use crate::apply::reserved::RECORDED;
use crate::entry::EntryKind;
use crate::finding::Finding;
use crate::handle::{Chain, FOLDER, Identity, names};
use crate::path::RelPath;

/// Packs what lies below a folder.
///
/// The folder is only read; where the kernel lets us, not even its access
/// times change. Sockets and what is mounted in it are left out with a
/// finding. Files that change while they are read are an error, never a layer
/// that holds a bit of both.
///
/// Errors: [`Code::Unrepresentable`](plimsoll_content::Code::Unrepresentable)
/// for names that start with `.wh.`;
/// [`Code::Failed`](plimsoll_content::Code::Failed) for a file that changed; what reading says, with the path.
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
        match kind {
            FileType::RegularFile => return self.file(name, &path, &stat),
            FileType::Directory => return self.folder(name, path, &stat),
            _ => {}
        }
        let Some(kind) = read::kind(self.chain.handle(), name, &stat, &path)? else {
            return Ok(());
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
        let Some(opened) = open(self.chain.handle(), name, FILE).map_err(failed(path))? else {
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
