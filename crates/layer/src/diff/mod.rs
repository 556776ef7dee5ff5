//! What changed in a file tree, as a layer on top of what it was.
//!
//! Three comparisons, one way to write what they find: [`trees`] compares two
//! folders, [`since`] a folder with a [`State`] that was recorded of it
//! before, [`upper`] takes the upper folder of an overlay mount, where the
//! kernel has compared already.
//!
//! **What is written.** Entries in the order of
//! [`RelPath`], as [`pack`] writes them. Every folder on the way
//! to a change has an entry with its real owner, mode, attributes and time:
//! engines that unpack each layer on its own would else invent them. The root
//! has one if it changed itself. What is gone has an explicit whiteout, right
//! after the folder that it was in; opaque whiteouts are never written, since
//! readers differ on them. A whiteout inside of something that is gone as a
//! whole is not needed and not written.
//!
//! **Hard links.** A file with several names is unchanged if all of them are
//! and nothing was linked to it or separated from it. Else all of its names
//! are written: a link to a file of a lower layer is refused or broken by
//! engines that unpack layers on their own.
//!
//! **Memory**: about 200 bytes for each file of both trees.
//!
//! What does not live here: images, where layers go, when a state is taken.

mod compare;
mod content;
mod cursor;
mod order;
mod record;
mod scan;
mod state;
mod upper;
mod write;

use std::io::Write;
use std::os::fd::{BorrowedFd, OwnedFd};

use plimsoll_content::Result;

use crate::finding::Findings;
use crate::pack::{self, Packed};
use crate::path::RelPath;

pub use state::State;
pub use upper::{Attributes, Upper, upper};

/// A layer that holds what changed.
#[derive(Clone, Debug)]
pub struct Diff {
    /// The layer.
    pub packed: Packed,
    /// What differs, by path. Folders that are written for what is in them
    /// are not among it.
    pub changes: Vec<Change>,
    /// Of how many files the content had to be compared.
    pub compared: u64,
}

impl Diff {
    /// Whether nothing changed. The layer is an archive without entries then,
    /// and best thrown away.
    pub fn is_empty(&self) -> bool {
        self.packed.entries == 0
    }

    /// How many changes there are of a kind.
    pub fn count(&self, kind: Changed) -> u64 {
        self.changes.iter().filter(|change| change.kind == kind).count() as u64
    }
}

/// One thing that differs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// What became of it.
    pub kind: Changed,
    /// Where it is, or was.
    pub path: RelPath,
}

/// What became of a file or folder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Changed {
    /// It was not there before.
    Added,
    /// It became another: content, owner, mode, time, attributes, what kind of
    /// thing it is, or which names it has.
    Changed,
    /// It is gone. What was in a folder that is gone is not told apart.
    Removed,
}

/// Writes what makes `new` of `old`. Both are only read.
///
/// Content is compared whatever the times say. [`pack::Options::root`] has no
/// meaning here.
///
/// Errors: those of [`pack::tree`].
pub fn trees<W: Write>(
    old: BorrowedFd<'_>,
    new: BorrowedFd<'_>,
    out: W,
    options: &pack::Options<'_>,
) -> Result<(Diff, W)> {
    let before = scan::scan(old, &scan::Look::default())?;
    let look = scan::Look { refuse: true, ..scan::Look::default() };
    let after = scan::scan(new, &look)?;
    let mut contents = content::Contents::new(old, new)?;
    let mut findings = after.findings;
    let plan = compare::plan(&before.records, &after.records, &[], |path| {
        contents.same(path, &mut findings)
    })?;
    finish(new, &after.records, plan, contents.compared, findings, out, options)
}

/// How a tree is compared with what it was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Since {
    /// Trust nothing: compare the content of all files.
    pub paranoid: bool,
}

/// Writes what changed in `tree` since `state` was recorded of it.
///
/// A file whose inode and time of change are those that were recorded is
/// unchanged: no program can set that time back. Where they differ but all
/// else is the same (after `chmod` there and back, or in a copy of the tree),
/// the content is compared with that of `base`, a tree as it was when the
/// state was recorded, which is asked for only then. So is the content of
/// files that were changed so shortly before the recording that a later change
/// could bear the same time.
///
/// Gives the state of the tree as it was compared, too, about which the same
/// is said as about the old one: what changes after that is found against it.
///
/// Errors: those of [`pack::tree`], and those of `base`.
pub fn since<W: Write>(
    state: &State,
    tree: BorrowedFd<'_>,
    base: impl FnOnce() -> Result<OwnedFd>,
    out: W,
    options: &pack::Options<'_>,
    how: Since,
) -> Result<(Diff, State, W)> {
    let taken = state::settle(tree)?;
    let look = scan::Look {
        refuse: true,
        known: Some(state),
        paranoid: how.paranoid,
        ..scan::Look::default()
    };
    let after = scan::scan(tree, &look)?;
    let mut contents = content::Lazy::new(base, tree);
    let mut findings = after.findings;
    let plan = compare::plan(state.records(), &after.records, &after.known, |path| {
        contents.get()?.same(path, &mut findings)
    })?;
    let compared = contents.compared();
    let (diff, out) = finish(tree, &after.records, plan, compared, findings, out, options)?;
    Ok((diff, state.next(taken, after.records), out))
}

fn finish<W: Write>(
    tree: BorrowedFd<'_>,
    records: &[record::Record],
    plan: order::Plan,
    compared: u64,
    findings: Findings,
    out: W,
    options: &pack::Options<'_>,
) -> Result<(Diff, W)> {
    let (packed, out) = write::write(tree, records, &plan.steps, findings, out, options)?;
    Ok((Diff { packed, changes: plan.changes, compared }, out))
}
