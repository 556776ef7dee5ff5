//! In which order what changed is written, and what has to come with it.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::record::Record;
use super::{Change, Changed};
use crate::path::RelPath;

/// One entry of the layer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Something is gone: the folder and the name.
    Gone(RelPath, OsString),
    /// The record of that index; for a further name of a file also the record
    /// of its first one.
    Put(usize, Option<usize>),
}

/// What is written, and why.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) changes: Vec<Change>,
}

/// The changes by path: what became of names that are there, and those that
/// are gone.
pub(crate) fn changes(mut there: Vec<Change>, gone: &[RelPath]) -> Vec<Change> {
    let gone = gone.iter().map(|path| Change { kind: Changed::Removed, path: path.clone() });
    there.extend(gone);
    there.sort_by(|one, other| one.path.cmp(&other.path));
    there
}

/// Orders the records that are to be written and the paths that are gone.
/// All folders around them, but for the root, are written as well.
pub(crate) fn order(records: &[Record], mut put: Vec<bool>, gone: Vec<RelPath>) -> Vec<Step> {
    let mut whiteouts: BTreeMap<RelPath, Vec<OsString>> = BTreeMap::new();
    for path in gone {
        if let (Some(folder), Some(name)) = (path.parent(), path.name()) {
            whiteouts.entry(folder).or_default().push(name.to_owned());
        }
    }
    let mut parents = Vec::with_capacity(records.len());
    let mut above: Vec<usize> = Vec::new();
    for (index, record) in records.iter().enumerate() {
        while let Some(folder) = above.last()
            && !record.path.starts_with(&records[*folder].path)
        {
            above.pop();
        }
        parents.push(above.last().copied().unwrap_or(0));
        if record.is_folder() {
            above.push(index);
            if !record.path.is_root() && whiteouts.contains_key(&record.path) {
                put[index] = true;
            }
        }
    }
    for index in (1..records.len()).rev() {
        if put[index] && parents[index] != 0 {
            put[parents[index]] = true;
        }
    }
    let mut first = BTreeMap::new();
    let mut steps = Vec::new();
    for (index, record) in records.iter().enumerate() {
        if put[index] {
            let link = match record.group {
                0 => None,
                group => Some(*first.entry(group).or_insert(index)).filter(|other| *other != index),
            };
            steps.push(Step::Put(index, link));
        }
        if record.is_folder()
            && let Some(mut names) = whiteouts.remove(&record.path)
        {
            names.sort_unstable();
            steps.extend(names.into_iter().map(|name| Step::Gone(record.path.clone(), name)));
        }
    }
    steps
}
