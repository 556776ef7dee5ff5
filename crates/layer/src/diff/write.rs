//! The layer of what changed: files are read again, and must be what they
//! were when they were compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{AtFlags, fstat, statat};

use super::cursor::Cursor;
use super::order::Step;
use super::record::{Record, Veil, ctime};
use crate::apply::reserved::RECORDED;
use crate::entry::{Entry, EntryKind};
use crate::finding::{Finding, Findings};
use crate::pack::emit::{Emit, expressible};
use crate::pack::read::{self, FILE, Xattrs, failed, open, same};
use crate::pack::{Options, Packed};

/// Writes the steps.
pub(crate) fn write<W: Write>(
    tree: BorrowedFd<'_>,
    records: &[Record],
    steps: &[Step],
    findings: Findings,
    out: W,
    options: &Options<'_>,
) -> Result<(Packed, W)> {
    let options = Options { root: true, ..*options };
    let mut emit = Emit::new(out, &options)?;
    emit.findings = findings;
    let mut pen = Pen {
        cursor: Cursor::new(tree)?,
        emit,
        recorded: BTreeMap::new(),
        left_out: BTreeSet::new(),
    };
    for step in steps {
        match step {
            Step::Gone(folder, name) => pen.emit.whiteout(folder, name)?,
            Step::Put(index, None) => pen.put(&records[*index], *index)?,
            Step::Put(index, Some(first)) => {
                pen.link(&records[*index], &records[*first], *first)?;
            }
        }
    }
    pen.emit.finish()
}

struct Pen<'a, W: Write> {
    cursor: Cursor,
    emit: Emit<'a, W>,
    /// The attribute in which an owner is recorded, by the first name of a
    /// file with several: it counts for all of them.
    recorded: BTreeMap<usize, Xattrs>,
    /// First names that turned out to be mounted over.
    left_out: BTreeSet<usize>,
}

impl<W: Write> Pen<'_, W> {
    fn put(&mut self, record: &Record, index: usize) -> Result<()> {
        let path = &record.path;
        let Some(name) = path.name() else {
            self.go(record, true)?;
            return self.folder(record);
        };
        expressible(path, name)?;
        if record.is_folder() {
            if record.veil != Veil::None {
                self.go(record, false)?;
                let stat = statat(self.cursor.here(), name, AtFlags::SYMLINK_NOFOLLOW);
                let stat = stat.map_err(failed(path))?;
                return self
                    .emit
                    .entry(read::entry(path, &stat, EntryKind::Directory)?, io::empty());
            }
            self.go(record, true)?;
            return self.folder(record);
        }
        self.go(record, false)?;
        if let EntryKind::File { .. } = record.kind {
            return self.file(record, index);
        }
        let here = self.cursor.here();
        let stat = statat(here, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed(path))?;
        let kind = read::kind(here, name, &stat, path)?;
        if kind.as_ref() != Some(&record.kind) || !is_still(record, &stat) {
            return Err(changed(record));
        }
        let mut entry = read::entry(path, &stat, record.kind.clone())?;
        entry.xattrs = read::special_xattrs(here, name, path)?;
        self.remember(record, index, &entry);
        self.emit.entry(entry, io::empty())
    }

    fn folder(&mut self, record: &Record) -> Result<()> {
        let path = &record.path;
        let here = self.cursor.here();
        let stat = fstat(here).map_err(failed(path))?;
        let mut entry = read::entry(path, &stat, EntryKind::Directory)?;
        entry.xattrs = read::xattrs(here, path)?;
        self.emit.entry(entry, io::empty())
    }

    fn file(&mut self, record: &Record, index: usize) -> Result<()> {
        let path = &record.path;
        let name = path.name().unwrap_or_default();
        let Some(opened) = open(self.cursor.here(), name, FILE).map_err(failed(path))? else {
            self.left_out.insert(index);
            self.emit.findings.note("mount-left-out", || {
                Finding::new("mount-left-out", "a file that is mounted there is left out").at(path)
            });
            return Ok(());
        };
        let before = fstat(&opened).map_err(failed(path))?;
        if !is_still(record, &before) {
            return Err(changed(record));
        }
        let mut entry = read::entry(path, &before, record.kind.clone())?;
        entry.xattrs = read::xattrs(&opened, path)?;
        self.remember(record, index, &entry);
        let size = u64::try_from(before.st_size).unwrap_or(0);
        let mut file = File::from(opened);
        self.emit.entry(entry, (&mut file).take(size.saturating_add(1)))?;
        same(path, &before, &fstat(&file).map_err(failed(path))?)
    }

    fn link(&mut self, record: &Record, first: &Record, index: usize) -> Result<()> {
        if self.left_out.contains(&index) {
            return Ok(());
        }
        let path = &record.path;
        let Some(name) = path.name() else { return Ok(()) };
        expressible(path, name)?;
        self.go(record, false)?;
        let stat = statat(self.cursor.here(), name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(failed(path))?;
        if !is_still(record, &stat) {
            return Err(changed(record));
        }
        let kind = EntryKind::Hardlink { target: first.path.clone() };
        let mut entry: Entry = read::entry(path, &stat, kind)?;
        entry.xattrs = self.recorded.get(&index).cloned().unwrap_or_default();
        self.emit.entry(entry, io::empty())
    }

    fn remember(&mut self, record: &Record, index: usize, entry: &Entry) {
        if record.group != 0
            && let Some(recorded) = entry.xattrs.iter().find(|(name, _)| name == RECORDED)
        {
            self.recorded.insert(index, vec![recorded.clone()]);
        }
    }

    /// Goes to the folder of that record, or to the one around it.
    fn go(&mut self, record: &Record, into: bool) -> Result<()> {
        let folder =
            if into { record.path.clone() } else { record.path.parent().unwrap_or_default() };
        if self.cursor.go(&folder)? { Ok(()) } else { Err(changed(record)) }
    }
}

fn is_still(record: &Record, stat: &rustix::fs::Stat) -> bool {
    record.inode == stat.st_ino && ctime(stat).is_ok_and(|time| time == record.ctime)
}

fn changed(record: &Record) -> Error {
    Error::new(Code::Failed, format!("packing {}", record.path))
        .found("a file that changed while its tree was compared")
        .expected("a tree that nobody writes to")
        .fix("stop what writes to it, or compare a snapshot")
}
