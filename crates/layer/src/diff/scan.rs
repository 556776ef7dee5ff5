//! Walking a tree for the record of each of its files.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::vec;

use plimsoll_content::{Error, Result};
use rustix::fs::{AtFlags, Mode, Stat, fstat, openat, statat};
use rustix::io::Errno;

use super::record::{Record, Veil};
use super::state::State;
use crate::entry::EntryKind;
use crate::finding::{Finding, Findings};
use crate::handle::{Chain, FOLDER, Identity, known_through_proc, names, through_proc};
use crate::pack::emit::expressible;
use crate::pack::read::{self, FILE, XATTRS, Xattrs, failed, open};
use crate::path::RelPath;

/// How a tree is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look<'a> {
    /// Names that no layer can hold are an error.
    pub(crate) refuse: bool,
    /// What was recorded of the tree: of files that are still what they were,
    /// nothing more is read.
    pub(crate) known: Option<&'a State>,
    /// Read it nevertheless.
    pub(crate) paranoid: bool,
    /// Folders that this user may not read are recorded as such.
    pub(crate) closed: bool,
}

/// All records of a tree, in the order of paths, the root first.
pub(crate) struct Scan {
    pub(crate) records: Vec<Record>,
    /// Which of them are still what is known of them.
    pub(crate) known: Vec<bool>,
    pub(crate) findings: Findings,
}

/// Walks a tree.
pub(crate) fn scan(root: BorrowedFd<'_>, look: &Look<'_>) -> Result<Scan> {
    let path = RelPath::root();
    let opened = openat(root, c".", FOLDER, Mode::empty()).map_err(failed(&path))?;
    let stat = fstat(&opened).map_err(failed(&path))?;
    let xattrs = read::xattrs(&opened, &path)?;
    let record = Record::new(path.clone(), EntryKind::Directory, &stat, Some(&xattrs))?;
    let reader = Reader::new(opened.as_fd());
    let level = Level::new(&opened, path)?;
    let mut walk = Walk {
        chain: Chain::new(opened, level),
        reader,
        look,
        ahead: look.known.map_or(&[], State::records),
        groups: Groups::default(),
        scan: Scan { records: vec![record], known: vec![false], findings: Findings::default() },
    };
    walk.run()?;
    let Walk { mut scan, groups, .. } = walk;
    groups.settle(&mut scan.records);
    Ok(scan)
}

struct Walk<'a> {
    chain: Chain<Level>,
    reader: Reader,
    look: &'a Look<'a>,
    /// What is known of the files that are still to come.
    ahead: &'a [Record],
    groups: Groups,
    scan: Scan,
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

impl Walk<'_> {
    fn run(&mut self) -> Result<()> {
        loop {
            let level = self.chain.top();
            match level.ahead.next() {
                Some(name) => {
                    let path = level.path.join(&name);
                    if self.look.refuse {
                        expressible(&path, &name)?;
                    }
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
        let parent = self.chain.handle();
        let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed(&path))?;
        let old = seek(&mut self.ahead, &path);
        if let Some(state) = self.look.known
            && !self.look.paranoid
            && let Some(old) = old
            && state.settled(old)
            && old.is_still(&stat)
        {
            let group = self.groups.number(&stat, self.scan.records.len());
            self.scan.records.push(Record { group, ..old.clone() });
            self.scan.known.push(true);
            return Ok(());
        }
        let Some(kind) = read::kind(parent, name, &stat, &path)? else {
            self.note(&path, "socket-left-out", "a socket, which layers can not hold (LY10),");
            return Ok(());
        };
        if kind == EntryKind::Directory {
            let was_closed = old.is_some_and(|old| old.veil == Veil::Closed);
            return self.folder(name, path, &stat, was_closed);
        }
        let xattrs = self.reader.xattrs(parent, name, &kind, &path)?;
        let group = self.groups.number(&stat, self.scan.records.len());
        let record = Record { group, ..Record::new(path, kind, &stat, xattrs.as_ref())? };
        self.push(record);
        Ok(())
    }

    fn folder(&mut self, name: &OsStr, path: RelPath, seen: &Stat, was_closed: bool) -> Result<()> {
        let none = Xattrs::new();
        let folder = EntryKind::Directory;
        match open(self.chain.handle(), name, FOLDER) {
            Ok(Some(opened)) => {
                let stat = fstat(&opened).map_err(failed(&path))?;
                let xattrs = read::xattrs(&opened, &path)?;
                self.push(Record::new(path.clone(), folder, &stat, Some(&xattrs))?);
                let level = Level::new(&opened, path.clone())?;
                self.chain.push(opened, level).map_err(|cause| Error::io("entering", path, cause))
            }
            Ok(None) => {
                self.note(&path, "mount-left-out", "what is mounted there");
                let record = Record::new(path, folder, seen, Some(&none))?;
                self.push(Record { veil: Veil::Mount, ..record });
                Ok(())
            }
            Err(Errno::ACCESS) if self.look.closed || was_closed => {
                let record = Record::new(path, folder, seen, None)?;
                self.push(Record { veil: Veil::Closed, ..record });
                Ok(())
            }
            Err(errno) => Err(failed(&path)(errno)),
        }
    }

    fn push(&mut self, record: Record) {
        self.scan.records.push(record);
        self.scan.known.push(false);
    }

    fn note(&mut self, path: &RelPath, name: &'static str, what: &str) {
        let findings = &mut self.scan.findings;
        findings.note(name, || Finding::new(name, format!("{what} is left out")).at(path));
    }
}

/// What is known of `path`, in a list that is walked in order.
fn seek<'a>(ahead: &mut &'a [Record], path: &RelPath) -> Option<&'a Record> {
    while let [first, rest @ ..] = *ahead {
        match first.path.cmp(path) {
            std::cmp::Ordering::Less => *ahead = rest,
            std::cmp::Ordering::Equal => return Some(first),
            std::cmp::Ordering::Greater => return None,
        }
    }
    None
}

/// Reads attributes, by way of `/proc` where that is there: one call instead
/// of three for each file.
pub(crate) struct Reader {
    proc: bool,
}

impl Reader {
    pub(crate) fn new(folder: BorrowedFd<'_>) -> Self {
        Self { proc: through_proc(folder, OsStr::new(".")).is_ok() }
    }

    /// The attributes of what is no folder; `None` if this user may not read
    /// them.
    pub(crate) fn xattrs(
        &self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        kind: &EntryKind,
        path: &RelPath,
    ) -> Result<Option<Xattrs>> {
        let read = if self.proc {
            known_through_proc(parent, name).and_then(|there| read::named_xattrs(&there))
        } else if matches!(kind, EntryKind::File { .. }) {
            match open(parent, name, FILE) {
                Ok(Some(file)) => return read::xattrs(&file, path).map(Some),
                Ok(None) => Ok(Xattrs::new()),
                Err(errno) => Err(errno),
            }
        } else {
            // Without /proc there is no way to ask.
            Ok(Xattrs::new())
        };
        match read {
            Ok(xattrs) => Ok(Some(xattrs)),
            Err(Errno::ACCESS) => Ok(None),
            Err(errno) => Err(Error::io(XATTRS, path, errno.into())),
        }
    }
}

/// Files with several names.
#[derive(Default)]
pub(crate) struct Groups {
    /// The number of the file, and the record of its first name while there
    /// is only that one.
    files: BTreeMap<Identity, (u32, Option<usize>)>,
    /// The last number that was given.
    last: u32,
}

impl Groups {
    /// The number of the file that the record `index` will be of.
    pub(crate) fn number(&mut self, stat: &Stat, index: usize) -> u32 {
        if stat.st_nlink < 2 {
            return 0;
        }
        let known = self.files.entry(Identity::of(stat)).or_insert_with(|| {
            self.last += 1;
            (self.last, Some(index))
        });
        if known.1 != Some(index) {
            known.1 = None;
        }
        known.0
    }

    /// Takes the numbers of files away that have one name only in the tree,
    /// and numbers the others anew in order.
    pub(crate) fn settle(self, records: &mut [Record]) {
        let mut new = vec![0; self.last as usize + 1];
        for (number, alone) in self.files.values() {
            new[*number as usize] = u32::from(alone.is_none());
        }
        let mut last = 0;
        for number in &mut new {
            last += *number;
            *number *= last;
        }
        for record in records {
            record.group = new[record.group as usize];
        }
    }
}
