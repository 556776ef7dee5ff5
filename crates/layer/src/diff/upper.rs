//! The upper folder of an overlay mount as a layer: what the kernel recorded
//! of changes, said in the words of layers.
//!
//! The mount must be gone, or nobody may write to it; and it must have been
//! made with `metacopy=off,redirect_dir=off`: with these features an upper
//! folder holds files without their content, and folders that are somewhere
//! else. Such are refused by name. With `index=on` a change to one name of a
//! file changes others that are not in the upper folder, and nothing there
//! tells of it: mount with `index=off` too.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::vec;

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{AtFlags, FileType, Mode, Stat, fstat, openat, statat};
use rustix::io::Errno;

use super::content::Contents;
use super::cursor::Cursor;
use super::order::{Plan, changes, order};
use super::record::Record;
use super::scan::{Groups, Reader};
use super::{Change, Changed, Diff, finish};
use crate::entry::EntryKind;
use crate::finding::{Finding, Findings};
use crate::handle::{Chain, FOLDER, names};
use crate::pack::Options;
use crate::pack::emit::expressible;
use crate::pack::read::{self, Xattrs, failed, open};
use crate::path::RelPath;

/// How an upper folder is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upper {
    /// Which attributes the mount used.
    pub attributes: Attributes,
    /// Leave out what is the same in the lower view, such as files that were
    /// opened for writing and not written to. Costs reading them.
    pub minimize: bool,
}

/// The attributes in which an overlay mount keeps what it knows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Attributes {
    /// `trusted.overlay.*`. Only root of the machine can see them: for
    /// everybody else an opaque folder looks like any other.
    #[default]
    Trusted,
    /// `user.overlay.*`, of mounts in user namespaces (`userxattr`).
    User,
}

/// Writes what the upper folder of an overlay mount changes in the lower view:
/// the tree that was seen before anything was changed.
///
/// Folders that the kernel calls opaque become explicit whiteouts of what the
/// lower view has there and the upper folder has not. Everything else in the
/// upper folder is written, folders on the way to changes included.
///
/// Errors: those of [`pack::tree`](crate::pack::tree);
/// [`Code::Unrepresentable`] for files without content and folders that are
/// somewhere else.
pub fn upper<W: Write>(
    upper: BorrowedFd<'_>,
    lower: BorrowedFd<'_>,
    out: W,
    options: &Options<'_>,
    how: Upper,
) -> Result<(Diff, W)> {
    let path = RelPath::root();
    let opened = openat(upper, c".", FOLDER, Mode::empty()).map_err(failed(&path))?;
    let mut walk = Walk {
        reader: Reader::new(opened.as_fd()),
        how,
        lower: Cursor::new(lower)?,
        contents: Contents::new(lower, upper)?,
        groups: Groups::default(),
        records: Vec::new(),
        put: Vec::new(),
        gone: Vec::new(),
        there: Vec::new(),
        findings: Findings::default(),
    };
    let level = walk.enter(&opened, path, false)?;
    let mut chain = Chain::new(opened, level);
    walk.run(&mut chain)?;
    let Walk { mut records, put, gone, groups, there, findings, contents, .. } = walk;
    groups.settle(&mut records);
    let changes = changes(there, &gone);
    let plan = Plan { steps: order(&records, put, gone), changes };
    finish(upper, &records, plan, contents.compared, findings, out, options)
}

struct Walk {
    reader: Reader,
    how: Upper,
    lower: Cursor,
    contents: Contents,
    groups: Groups,
    records: Vec<Record>,
    put: Vec<bool>,
    gone: Vec<RelPath>,
    /// What was added and changed.
    there: Vec<Change>,
    findings: Findings,
}

struct Level {
    path: RelPath,
    ahead: vec::IntoIter<OsString>,
    /// Nothing of the lower view is seen in it.
    opaque: bool,
}

impl Walk {
    fn run(&mut self, chain: &mut Chain<Level>) -> Result<()> {
        loop {
            let level = chain.top();
            match level.ahead.next() {
                Some(name) => {
                    let (path, opaque) = (level.path.join(&name), level.opaque);
                    if let Some(below) = self.add(chain.handle(), &name, &path)? {
                        let level = self.enter(&below, path.clone(), opaque)?;
                        let entered = chain.push(below, level);
                        entered.map_err(|cause| Error::io("entering", path, cause))?;
                    }
                }
                None => {
                    let path = level.path.clone();
                    let left = chain.pop();
                    if left.map_err(|cause| Error::io("leaving", &path, cause))?.is_none() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes in a folder, and what is gone in it as a whole.
    fn enter(&mut self, folder: &OwnedFd, path: RelPath, inherited: bool) -> Result<Level> {
        let stat = fstat(folder).map_err(failed(&path))?;
        let xattrs = read::xattrs(folder, &path)?;
        self.refuse(&path, &xattrs)?;
        let mut own = names(folder).map_err(failed(&path))?;
        own.sort_unstable();
        // "x" says that there are whiteouts made of attributes in it.
        let opaque = inherited || self.attribute(&xattrs, "opaque") == Some(b"y");
        if opaque && self.lower.go(&path)? {
            let kept: BTreeSet<&OsString> = own.iter().collect();
            for name in names(self.lower.here()).map_err(failed(&path))? {
                if !kept.contains(&name) {
                    self.gone.push(path.join(&name));
                }
            }
        }
        let record = Record::new(path.clone(), EntryKind::Directory, &stat, Some(&xattrs))?;
        self.push(record, &stat)?;
        Ok(Level { path, ahead: own.into_iter(), opaque })
    }

    /// Takes in what has that name; gives the folder that is to be entered.
    fn add(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        path: &RelPath,
    ) -> Result<Option<OwnedFd>> {
        let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed(path))?;
        // Whiteouts share one inode: they never count as names of one file.
        if FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0 {
            return self.whiteout(path).map(|()| None);
        }
        let Some(kind) = read::kind(parent, name, &stat, path)? else {
            self.note(path, "socket-left-out", "a socket, which layers can not hold (LY10),");
            return Ok(None);
        };
        if kind == EntryKind::Directory {
            expressible(path, name)?;
            let opened = open(parent, name, FOLDER).map_err(failed(path))?;
            if opened.is_none() {
                self.note(path, "mount-left-out", "what is mounted there");
            }
            return Ok(opened);
        }
        let xattrs = self.reader.xattrs(parent, name, &kind, path)?.unwrap_or_default();
        self.refuse(path, &xattrs)?;
        if self.attribute(&xattrs, "whiteout").is_some() {
            return self.whiteout(path).map(|()| None);
        }
        expressible(path, name)?;
        let group = self.groups.number(&stat, self.records.len());
        let record = Record::new(path.clone(), kind, &stat, Some(&xattrs))?;
        self.push(Record { group, ..record }, &stat)?;
        Ok(None)
    }

    /// Something is gone, if it was there.
    fn whiteout(&mut self, path: &RelPath) -> Result<()> {
        if self.below(path)?.is_some() {
            self.gone.push(path.clone());
        }
        Ok(())
    }

    fn push(&mut self, record: Record, stat: &Stat) -> Result<()> {
        let put = match self.below(&record.path)? {
            None => Some(Changed::Added),
            Some(before) => {
                let alone = record.is_folder() || (stat.st_nlink == 1 && before.1.st_nlink == 1);
                let compare = record.path.is_root() || (self.how.minimize && alone);
                let put = !compare || !self.same(&record, &before)?;
                put.then_some(Changed::Changed)
            }
        };
        self.there.extend(put.map(|kind| Change { kind, path: record.path.clone() }));
        self.records.push(record);
        self.put.push(put.is_some());
        Ok(())
    }

    fn same(&mut self, record: &Record, before: &(Record, Stat)) -> Result<bool> {
        Ok(record.says_the_same(&before.0)
            && (!matches!(record.kind, EntryKind::File { size: 1.. })
                || self.contents.same(&record.path, &mut self.findings)?))
    }

    /// What the lower view has at a path.
    fn below(&mut self, path: &RelPath) -> Result<Option<(Record, Stat)>> {
        let (Some(folder), Some(name)) = (path.parent(), path.name()) else {
            self.lower.go(path)?;
            let here = self.lower.here();
            let stat = fstat(here).map_err(failed(path))?;
            let xattrs = read::xattrs(here, path)?;
            let record = Record::new(path.clone(), EntryKind::Directory, &stat, Some(&xattrs))?;
            return Ok(Some((record, stat)));
        };
        if !self.lower.go(&folder)? {
            return Ok(None);
        }
        let here = self.lower.here();
        let stat = match statat(here, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(failed(path)(errno)),
        };
        let Some(kind) = read::kind(here, name, &stat, path)? else { return Ok(None) };
        let xattrs = if kind == EntryKind::Directory {
            match open(here, name, FOLDER).map_err(failed(path))? {
                Some(folder) => Some(read::xattrs(&folder, path)?),
                None => None,
            }
        } else {
            self.reader.xattrs(here, name, &kind, path)?
        };
        Ok(Some((Record::new(path.clone(), kind, &stat, xattrs.as_ref())?, stat)))
    }

    /// Refuses what is not what it looks like.
    fn refuse(&self, path: &RelPath, xattrs: &Xattrs) -> Result<()> {
        for (name, found, feature) in [
            ("metacopy", "a file whose content is somewhere else", "metacopy=off"),
            ("redirect", "a folder or file that is another one renamed", "redirect_dir=off"),
        ] {
            if self.attribute(xattrs, name).is_some() {
                return Err(Error::new(Code::Unrepresentable, format!("packing {path}"))
                    .found(format!("{found} (overlay attribute {name})"))
                    .expected(format!("an upper folder of a mount with {feature}"))
                    .fix(format!("mount with {feature}, and make the changes again")));
            }
        }
        Ok(())
    }

    fn attribute<'a>(&self, xattrs: &'a Xattrs, name: &str) -> Option<&'a [u8]> {
        let prefix: &[u8] = match self.how.attributes {
            Attributes::Trusted => b"trusted.overlay.",
            Attributes::User => b"user.overlay.",
        };
        let wanted = |full: &[u8]| full.strip_prefix(prefix) == Some(name.as_bytes());
        xattrs.iter().find(|(full, _)| wanted(full)).map(|(_, value)| &value[..])
    }

    fn note(&mut self, path: &RelPath, name: &'static str, what: &str) {
        let findings = &mut self.findings;
        findings.note(name, || Finding::new(name, format!("{what} is left out")).at(path));
    }
}
