//! What differs between the records of two trees.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use plimsoll_content::Result;

use super::order::{Plan, changes, order};
use super::record::{Record, Veil};
use super::{Change, Changed};
use crate::entry::EntryKind;
use crate::path::RelPath;

/// What became of a name that is in the new tree.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Added,
    Changed,
    Same,
}

/// Compares the records. `known` tells which of the new ones are the old ones
/// for sure; of other regular files of which all else is the same, `same`
/// compares the content.
pub(crate) fn plan(
    old: &[Record],
    new: &[Record],
    known: &[bool],
    mut same: impl FnMut(&RelPath) -> Result<bool>,
) -> Result<Plan> {
    let (pairs, gone) = pair(old, new);
    let mut fates = Vec::with_capacity(new.len());
    for (index, (record, before)) in new.iter().zip(&pairs).enumerate() {
        fates.push(match before {
            None => Fate::Added,
            Some(_) if known.get(index) == Some(&true) => Fate::Same,
            Some(before) => {
                let before = &old[*before];
                let veiled = record.veil == Veil::Mount && before.is_folder();
                if veiled || record.says_the_same(before) {
                    let file = matches!(record.kind, EntryKind::File { size: 1.. });
                    if file && !same(&record.path)? { Fate::Changed } else { Fate::Same }
                } else {
                    Fate::Changed
                }
            }
        });
    }
    let put = regroup(old, new, &pairs, &fates);
    let there = new.iter().zip(fates.iter().zip(&put)).filter_map(|(record, fate)| {
        let kind = match fate {
            (Fate::Added, _) => Changed::Added,
            // What is put and the same has names that are not.
            (Fate::Changed, _) | (Fate::Same, true) => Changed::Changed,
            (Fate::Same, false) => return None,
        };
        Some(Change { kind, path: record.path.clone() })
    });
    let changes = changes(there.collect(), &gone);
    Ok(Plan { steps: order(new, put, gone), changes })
}

/// For each new record the old one of the same path, and the paths that are
/// gone, without those in folders that are gone as a whole.
fn pair(old: &[Record], new: &[Record]) -> (Vec<Option<usize>>, Vec<RelPath>) {
    let mut pairs = vec![None; new.len()];
    let mut gone: Vec<RelPath> = Vec::new();
    // What lies below is gone with it, or can not be seen.
    let mut below: Option<&RelPath> = None;
    let (mut before, mut after) = (0, 0);
    while before < old.len() {
        let record = &old[before];
        let order = match new.get(after) {
            Some(other) => record.path.cmp(&other.path),
            None => Ordering::Less,
        };
        match order {
            Ordering::Greater => after += 1,
            Ordering::Equal => {
                pairs[after] = Some(before);
                let hides = !new[after].is_folder() || new[after].veil != Veil::None;
                if record.is_folder() && hides {
                    below = Some(&record.path);
                }
                before += 1;
                after += 1;
            }
            Ordering::Less => {
                if !below.is_some_and(|folder| record.path.starts_with(folder)) {
                    gone.push(record.path.clone());
                    if record.is_folder() {
                        below = Some(&record.path);
                    }
                }
                before += 1;
            }
        }
    }
    (pairs, gone)
}

/// Which records are to be written: what was added or changed, and all names
/// of files of which the names are others now.
fn regroup(old: &[Record], new: &[Record], pairs: &[Option<usize>], fates: &[Fate]) -> Vec<bool> {
    let mut put: Vec<bool> = fates.iter().map(|fate| *fate != Fate::Same).collect();
    let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    // Files by the number that they have now; those with one name that had
    // several before get numbers of their own.
    let mut own = u32::MAX;
    for (index, record) in new.iter().enumerate() {
        let had = pairs[index].map_or(0, |before| old[before].group);
        if record.group != 0 {
            groups.entry(record.group).or_default().push(index);
        } else if had != 0 {
            groups.insert(own, vec![index]);
            own -= 1;
        }
    }
    // In the order of first names, so that the first of several files that one
    // fell apart into is the one that stays.
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|members| members[0]);
    let mut taken = std::collections::BTreeSet::new();
    for members in groups {
        let was = |index: &usize| pairs[*index].map_or(0, |before| old[before].group);
        let file = was(&members[0]);
        let whole = members.iter().all(|index| fates[*index] == Fate::Same && was(index) == file);
        // A file of one name had no number, and two names never share it.
        let stays = whole && (members.len() == 1 || file != 0);
        if !stays || (file != 0 && !taken.insert(file)) {
            for index in members {
                put[index] = true;
            }
        }
    }
    put
}
