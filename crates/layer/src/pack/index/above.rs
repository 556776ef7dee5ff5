//! What upper layers change in the tree of lower ones, as the entries and
//! whiteouts of one layer, which follows the rules of [`crate::diff`].

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::ffi::OsString;

use super::{Index, Name, Node};
use crate::entry::Entry;
use crate::path::RelPath;

/// The folders of a tree at one moment, by the numbers of their nodes.
#[derive(Debug)]
pub(in crate::pack) struct Lower(Vec<Option<Folder>>);

#[derive(Debug)]
struct Folder {
    entry: Entry,
    names: BTreeMap<OsString, usize>,
}

/// Something to write.
#[derive(Debug)]
pub(in crate::pack) enum Step {
    /// What has that name in that folder is gone.
    Gone(RelPath, OsString),
    /// A file of that number, and its first name if it was written already.
    Put(RelPath, usize, Option<RelPath>),
}

/// What a walk comes by.
enum Event<'a> {
    /// Into a folder, which lower layers may have.
    Into(&'a RelPath, usize, Option<&'a Folder>),
    /// Out of it.
    OutOf(usize),
    /// A file, and whether lower layers have the same under that name.
    File(RelPath, usize, bool),
    /// A name that only lower layers have.
    Gone(&'a RelPath, &'a OsString),
}

struct Level<'a> {
    path: RelPath,
    node: usize,
    lower: Option<&'a Folder>,
    ahead: btree_map::Iter<'a, OsString, Name>,
}

impl Lower {
    /// A tree of nothing.
    pub(in crate::pack) fn nothing() -> Self {
        let root = Folder { entry: Node::implied(0).entry, names: BTreeMap::new() };
        Self(vec![Some(root)])
    }

    fn folder(&self, node: usize) -> Option<&Folder> {
        self.0.get(node).and_then(Option::as_ref)
    }
}

impl Index {
    /// The tree as it is now, to be compared with.
    pub(in crate::pack) fn lower(&self) -> Lower {
        let folder = |node: &Node| {
            let names = node.names.iter().map(|(name, there)| (name.clone(), there.node));
            node.is_folder().then(|| Folder { entry: node.entry.clone(), names: names.collect() })
        };
        Lower(self.nodes.iter().map(folder).collect())
    }

    /// The file of that number.
    pub(in crate::pack) fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// What is to be written above `lower` so that the tree comes out.
    ///
    /// Every folder on the way to a change has an entry, the root only if it
    /// changed itself. Of a file of a lower layer that got a further name, all
    /// names are written: engines that unpack each layer on its own can not
    /// link to a lower one.
    pub(in crate::pack) fn above(&self, lower: &Lower) -> Vec<Step> {
        let mut linked = BTreeSet::new();
        self.walk(lower, |event| {
            if let Event::File(_, node, false) = event {
                linked.insert(node);
            }
        });
        let mut steps: Vec<Step> = Vec::new();
        let mut first: BTreeMap<usize, RelPath> = BTreeMap::new();
        // Where the step of each folder on the way is, and whether it counts.
        let mut around: Vec<(usize, bool)> = Vec::new();
        self.walk(lower, |event| match event {
            Event::Into(path, node, before) => {
                let now = &self.nodes[node].entry;
                let counts = before.is_none_or(|before| !same(&before.entry, now));
                around.push((steps.len(), counts));
                steps.push(Step::Put(path.clone(), node, None));
            }
            Event::OutOf(node) => {
                let Some((step, counts)) = around.pop() else { return };
                let on_the_way = node != 0 && steps.len() > step + 1;
                if !counts && !on_the_way {
                    steps.remove(step);
                }
            }
            Event::Gone(folder, name) => steps.push(Step::Gone(folder.clone(), name.clone())),
            Event::File(path, node, _) => {
                if linked.contains(&node) {
                    let before = first.get(&node).cloned();
                    if before.is_none() {
                        first.insert(node, path.clone());
                    }
                    steps.push(Step::Put(path, node, before));
                }
            }
        });
        steps
    }

    /// Goes through both trees at once, without recursion. What is gone comes
    /// first in its folder.
    fn walk<'a>(&'a self, lower: &'a Lower, mut visit: impl FnMut(Event<'_>)) {
        let mut levels = vec![self.level(RelPath::root(), 0, lower.folder(0), &mut visit)];
        while let Some(level) = levels.last_mut() {
            let Some((name, there)) = level.ahead.next() else {
                visit(Event::OutOf(level.node));
                levels.pop();
                continue;
            };
            let path = level.path.join(name);
            let before = level.lower.and_then(|folder| folder.names.get(name)).copied();
            if self.nodes[there.node].is_folder() {
                let before = before.and_then(|node| lower.folder(node));
                levels.push(self.level(path, there.node, before, &mut visit));
            } else {
                visit(Event::File(path, there.node, before == Some(there.node)));
            }
        }
    }

    fn level<'a>(
        &'a self,
        path: RelPath,
        node: usize,
        lower: Option<&'a Folder>,
        visit: &mut impl FnMut(Event<'_>),
    ) -> Level<'a> {
        visit(Event::Into(&path, node, lower));
        let names = &self.nodes[node].names;
        for name in lower.iter().flat_map(|folder| folder.names.keys()) {
            if !names.contains_key(name) {
                visit(Event::Gone(&path, name));
            }
        }
        Level { path, node, lower, ahead: names.iter() }
    }
}

/// Whether two entries of a folder say the same of it, whatever they call it.
fn same(before: &Entry, now: &Entry) -> bool {
    let key = |entry: &Entry| (entry.mode, entry.uid, entry.gid, entry.mtime, entry.xattrs.clone());
    key(before) == key(now)
}
