//! The tree that archives unpack to, without its content: entries are placed
//! as [`crate::apply`] places files, layer upon layer, whiteouts included.
//!
//! Placing and hiding are one rule about marks, so they stand in one file.
//! What does not live here: the bytes of files ([`super::spool`]).

mod above;

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use plimsoll_content::{Code, Error, Result};

use super::emit::expressible;
use super::spool::Place;
use crate::apply::entries::device;
use crate::apply::reserved::is_reserved;
use crate::apply::walk::reachable;
use crate::apply::whiteout::{Meaning, meaning};
use crate::entry::{Entry, EntryKind, Timestamp};
use crate::finding::{Finding, Findings};
use crate::path::{RelPath, shown};

pub(super) use above::{Lower, Step};

/// How many links one path may lead through: what Linux allows.
const LINKS: usize = 40;

/// What the archives are, which is what `.wh.` in a name means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Archives {
    /// One tar of a file tree: such a name can not be expressed.
    Tree,
    /// Layers: it is a whiteout.
    Layers,
}

/// One file; it may have several names.
#[derive(Debug)]
pub(super) struct Node {
    /// What its entry says; the path may be another name of it.
    pub(super) entry: Entry,
    pub(super) place: Place,
    /// The names in a folder.
    names: BTreeMap<OsString, Name>,
    /// What the layers have done to a folder.
    mark: Mark,
    /// How long the path of a folder is.
    length: usize,
}

/// A name in a folder.
#[derive(Clone, Copy, Debug)]
struct Name {
    node: usize,
    /// The layer that put it there.
    layer: u32,
}

/// What the last layer that had to do with a folder did to it.
#[derive(Clone, Copy, Debug)]
struct Mark {
    layer: u32,
    /// Owner, mode and times are that layer's.
    own: bool,
    /// All content is that layer's.
    fresh: bool,
}

/// How the way to a folder is found; see `apply::walk`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Parents {
    Make,
    Find,
    Bare,
}

/// The way to a folder from the root, which it leaves out.
type Way = Vec<usize>;

/// All files; the first is the root.
#[derive(Debug)]
pub(super) struct Index {
    nodes: Vec<Node>,
    archives: Archives,
    /// The number of the current layer, from 1.
    layer: u32,
    /// Whether nothing of lower layers is in the root.
    fresh: bool,
    pub(super) findings: Findings,
    /// The folder found last: as it was written, the way to it, and whether
    /// that led through links.
    last: Option<(RelPath, Way, bool)>,
    /// How many whiteouts the current layer had so far.
    pub(super) whiteouts: u64,
}

impl Index {
    /// A tree with nothing in it.
    pub(super) fn new(archives: Archives) -> Self {
        Self {
            nodes: vec![Node::implied(0)],
            archives,
            layer: 0,
            fresh: true,
            findings: Findings::default(),
            last: None,
            whiteouts: 0,
        }
    }

    /// Begins an archive.
    pub(super) fn begin(&mut self) {
        self.layer += 1;
        self.fresh = self.layer == 1;
        self.last = None;
        self.whiteouts = 0;
    }

    /// Places an entry.
    pub(super) fn add(&mut self, mut entry: Entry, place: Place) -> Result<()> {
        match self.archives {
            Archives::Layers => {
                let meaning = meaning(&entry.path)?;
                if meaning != Meaning::File {
                    return self.whiteout(&entry, &meaning);
                }
            }
            Archives::Tree => {
                for component in entry.path.components() {
                    expressible(&entry.path, component)?;
                }
            }
        }
        if let EntryKind::Char { major, minor } | EntryKind::Block { major, minor } = entry.kind {
            device(&entry, major, minor)?;
        }
        let (Some(name), Some(parent)) = (entry.path.name(), entry.path.parent()) else {
            if entry.kind != EntryKind::Directory {
                return Err(Error::new(Code::UnsafeEntry, "reading the entry of the root")
                    .found("something else than a folder")
                    .expected("a folder (CVE-2021-29136)"));
            }
            self.settle(&mut entry);
            self.nodes[0].entry = entry;
            return Ok(());
        };
        let name = name.to_owned();
        if let EntryKind::Hardlink { target } = &entry.kind {
            return self.link(&entry.path, &parent, name, target);
        }
        self.settle(&mut entry);
        let way = self.make(&parent)?;
        let folder = end(&way);
        if entry.kind == EntryKind::Directory
            && let Some(there) = self.nodes[folder].names.get(&name).copied()
            && self.nodes[there.node].is_folder()
        {
            self.passed(&way);
            let layer = self.layer;
            let node = &mut self.nodes[there.node];
            node.entry = entry;
            let fresh = node.mark.layer == layer && node.mark.fresh;
            node.mark = Mark { layer, own: true, fresh };
            return Ok(());
        }
        self.clear_way(&way, &name, &entry.path);
        let mark = Mark { layer: self.layer, own: true, fresh: true };
        let length = self.length(&way, &name);
        if entry.kind == EntryKind::Directory {
            reachable(length)?;
        }
        self.nodes.push(Node { entry, place, names: BTreeMap::new(), mark, length });
        self.put(&way, name, self.nodes.len() - 1);
        Ok(())
    }

    /// Calls `each` with all names in order: the path, the file, and the first
    /// name of that file if it is another one.
    pub(super) fn each(
        &self,
        mut each: impl FnMut(&RelPath, &Node, Option<&RelPath>) -> Result<()>,
    ) -> Result<()> {
        let root = RelPath::root();
        each(&root, &self.nodes[0], None)?;
        let mut first: BTreeMap<usize, RelPath> = BTreeMap::new();
        let mut ahead: Vec<(RelPath, btree_map::Iter<'_, OsString, Name>)> =
            vec![(root, self.nodes[0].names.iter())];
        while let Some((folder, names)) = ahead.last_mut() {
            let Some((name, there)) = names.next() else {
                ahead.pop();
                continue;
            };
            let path = folder.join(name);
            let file = &self.nodes[there.node];
            each(&path, file, first.get(&there.node))?;
            if file.is_folder() {
                ahead.push((path, file.names.iter()));
            } else {
                first.entry(there.node).or_insert(path);
            }
        }
        Ok(())
    }

    /// Leaves out the attributes that applying leaves out. In the archive of
    /// a tree they may tell the owner, and are seen to on the way out.
    fn settle(&mut self, entry: &mut Entry) {
        if self.archives == Archives::Tree {
            return;
        }
        let (path, findings) = (&entry.path, &mut self.findings);
        entry.xattrs.retain(|(name, _)| {
            let dropped = is_reserved(name);
            if dropped {
                findings.note("xattr-dropped", || {
                    let what = format!("extended attribute {} is left out", shown(name));
                    Finding::new("xattr-dropped", what).at(path)
                });
            }
            !dropped
        });
    }

    fn whiteout(&mut self, entry: &Entry, meaning: &Meaning) -> Result<()> {
        if *meaning == Meaning::Private {
            self.findings.note("aufs-private", || {
                Finding::new("aufs-private", "a private file of AUFS is left out").at(&entry.path)
            });
            return Ok(());
        }
        self.whiteouts += 1;
        if entry.kind != (EntryKind::File { size: 0 }) {
            self.findings.note("whiteout-not-empty", || {
                Finding::new("whiteout-not-empty", "a whiteout that is no empty file (LY24)")
                    .at(&entry.path)
            });
        }
        let parent = entry.path.parent().unwrap_or_default();
        let Some(way) = self.go(&parent, Parents::Bare)? else { return Ok(()) };
        if self.is_fresh(&way) {
            return Ok(());
        }
        self.last = None;
        match meaning {
            Meaning::Hide(name) => self.hide(end(&way), name),
            _ => {
                self.hide_all(end(&way));
                match way.last() {
                    None => self.fresh = true,
                    Some(folder) => {
                        self.passed(&way);
                        self.nodes[*folder].mark.fresh = true;
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes away what lower layers have at `name`.
    fn hide(&mut self, folder: usize, name: &OsStr) {
        let Some(there) = self.nodes[folder].names.get(name).copied() else { return };
        match self.hidden(there) {
            Hidden::Not => {}
            Hidden::Whole => drop(self.nodes[folder].names.remove(name)),
            Hidden::Below => {
                self.hide_all(there.node);
                self.keep_rest(folder, name, there.node);
            }
        }
    }

    /// Takes away what lower layers have in a folder. Without recursion:
    /// through links, trees can be deeper than any path.
    fn hide_all(&mut self, folder: usize) {
        let mut partly: Vec<(usize, OsString, usize)> = Vec::new();
        let mut ahead = vec![folder];
        while let Some(folder) = ahead.pop() {
            let mut names = std::mem::take(&mut self.nodes[folder].names);
            names.retain(|name, there| match self.hidden(*there) {
                Hidden::Not => true,
                Hidden::Whole => false,
                Hidden::Below => {
                    ahead.push(there.node);
                    partly.push((folder, name.clone(), there.node));
                    true
                }
            });
            self.nodes[folder].names = names;
        }
        // What a folder holds comes behind it in the list.
        while let Some((folder, name, node)) = partly.pop() {
            self.keep_rest(folder, &name, node);
        }
    }

    /// What a whiteout in this layer takes away of a name.
    fn hidden(&self, there: Name) -> Hidden {
        let node = &self.nodes[there.node];
        let layer = if node.is_folder() { node.mark.layer } else { there.layer };
        match (layer == self.layer, node.is_folder() && !(node.mark.own && node.mark.fresh)) {
            (false, _) => Hidden::Whole,
            (true, true) => Hidden::Below,
            (true, false) => Hidden::Not,
        }
    }

    /// Of a folder of a lower layer only the content of this one is left: it
    /// stays in the folder that this layer implies or names.
    fn keep_rest(&mut self, folder: usize, name: &OsStr, node: usize) {
        if !self.nodes[node].mark.own {
            if self.nodes[node].names.is_empty() {
                self.nodes[folder].names.remove(name);
                return;
            }
            self.nodes[node].entry = Node::implied(0).entry;
        }
        self.nodes[node].mark = Mark { layer: self.layer, own: true, fresh: true };
    }

    fn link(
        &mut self,
        path: &RelPath,
        parent: &RelPath,
        name: OsString,
        target: &RelPath,
    ) -> Result<()> {
        let bad = |found: &str| {
            Error::new(Code::UnsafeEntry, format!("linking {path} to {target}"))
                .found(found)
                .expected("a file that this layer, before this entry, or a lower layer has")
        };
        let (Some(from), Some(folder)) = (target.name(), target.parent()) else {
            return Err(bad("the root itself"));
        };
        let found = self.go(&folder, Parents::Find)?.ok_or_else(|| bad("nothing there"))?;
        let source = end(&found);
        let there = |index: &Self| index.nodes[source].names.get(from).map(|there| there.node);
        let node = there(self).ok_or_else(|| bad("nothing there"))?;
        if self.nodes[node].is_folder() {
            return Err(bad("a folder"));
        }
        let way = self.make(parent)?;
        if (end(&way), &name[..]) == (source, from) {
            return Err(bad("the entry itself"));
        }
        let gone = self.clear_way(&way, &name, path);
        if gone.is_some_and(|gone| found.contains(&gone)) || there(self) != Some(node) {
            return Err(bad("nothing there: it made way for this entry"));
        }
        self.put(&way, name, node);
        Ok(())
    }

    /// The way to the folder `path`; what is missing is made.
    fn make(&mut self, path: &RelPath) -> Result<Way> {
        Ok(self.go(path, Parents::Make)?.unwrap_or_default())
    }

    /// The way to the folder `path`, with links followed as in a chroot (but
    /// for whiteouts); what is missing is made, or else gives `None`.
    fn go(&mut self, path: &RelPath, parents: Parents) -> Result<Option<Way>> {
        let mut way = Way::new();
        let mut rest = path.as_bytes();
        let mut linked = false;
        if let Some((written, there, through_links)) = &self.last
            && path.starts_with(written)
            && !(*through_links && parents == Parents::Bare)
        {
            way.clone_from(there);
            linked = *through_links;
            rest = &rest[written.as_bytes().len()..];
        }
        let mut ahead = reversed(rest);
        let mut links = LINKS;
        while let Some(name) = ahead.pop() {
            if name == *".." {
                way.pop();
                continue;
            }
            let Some(there) = self.nodes[end(&way)].names.get(&name).copied() else {
                if parents != Parents::Make {
                    return Ok(None);
                }
                self.imply(&mut way, name)?;
                continue;
            };
            match &self.nodes[there.node].entry.kind {
                EntryKind::Directory => way.push(there.node),
                EntryKind::Symlink { .. } if parents == Parents::Bare => {
                    return Err(Error::new(Code::UnsafeEntry, format!("removing below {path}"))
                        .found(format!("a symbolic link named {}", shown(name.as_encoded_bytes())))
                        .expected("folders only: removing through links could reach anywhere"));
                }
                EntryKind::Symlink { target } => {
                    links = links.checked_sub(1).ok_or_else(|| {
                        Error::new(Code::UnsafeEntry, format!("finding {path}"))
                            .found("more than 40 symbolic links on the way")
                            .expected("a path that leads somewhere")
                    })?;
                    linked = true;
                    if target.starts_with(b"/") {
                        way.clear();
                    }
                    ahead.extend(reversed(target));
                }
                _ if parents != Parents::Make => return Ok(None),
                // Layers replace whole files; within one, readers differ (TR23).
                _ if self.is_fresh(&way) || there.layer == self.layer => {
                    let name = shown(name.as_encoded_bytes());
                    return Err(Error::new(Code::UnsafeEntry, format!("making the folder {path}"))
                        .found(format!("a file named {name} in the same layer"))
                        .expected("a folder: readers differ on what should become of the file"));
                }
                _ => self.imply(&mut way, name)?,
            }
        }
        self.last = Some((path.clone(), way.clone(), linked));
        Ok(Some(way))
    }

    /// Makes a folder that has no entry of its own, and goes there.
    fn imply(&mut self, way: &mut Way, name: OsString) -> Result<()> {
        let length = self.length(way, &name);
        reachable(length)?;
        self.nodes.push(Node { length, ..Node::implied(self.layer) });
        let node = self.nodes.len() - 1;
        self.put(way, name, node);
        way.push(node);
        Ok(())
    }

    /// How long the path of a name in a folder is.
    fn length(&self, way: &Way, name: &OsStr) -> usize {
        let around = self.nodes[end(way)].length;
        around + usize::from(around > 0) + name.len()
    }

    fn put(&mut self, way: &Way, name: OsString, node: usize) {
        self.passed(way);
        self.nodes[end(way)].names.insert(name, Name { node, layer: self.layer });
    }

    /// Records that the current layer has something in these folders.
    fn passed(&mut self, way: &Way) {
        for folder in way {
            let mark = &mut self.nodes[*folder].mark;
            if mark.layer != self.layer {
                *mark = Mark { layer: self.layer, own: false, fresh: false };
            }
        }
    }

    /// Whether everything in that folder is of the current layer.
    fn is_fresh(&self, way: &Way) -> bool {
        let fresh = |folder: &usize| {
            let mark = self.nodes[*folder].mark;
            mark.layer == self.layer && mark.fresh
        };
        self.fresh || way.iter().any(fresh)
    }

    /// Takes away what has that name, with all below it, and tells which file
    /// it was.
    fn clear_way(&mut self, way: &Way, name: &OsStr, path: &RelPath) -> Option<usize> {
        let gone = self.nodes[end(way)].names.remove(name)?;
        self.last = None;
        let node = &self.nodes[gone.node];
        let layer = if node.is_folder() { node.mark.layer } else { gone.layer };
        if layer == self.layer || self.is_fresh(way) {
            self.findings.note("duplicate-entry", || {
                Finding::new(
                    "duplicate-entry",
                    "the layer has several entries for it, the last one counts (LY2)",
                )
                .at(path)
            });
        }
        Some(gone.node)
    }
}

enum Hidden {
    /// Nothing: it is all of this layer.
    Not,
    /// All of it.
    Whole,
    /// What lower layers have in the folder.
    Below,
}

impl Node {
    /// A folder that has no entry of its own.
    fn implied(layer: u32) -> Self {
        let entry = Entry {
            path: RelPath::root(),
            kind: EntryKind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Timestamp::EPOCH,
            xattrs: Vec::new(),
        };
        let mark = Mark { layer, own: true, fresh: true };
        Self { entry, place: Place::default(), names: BTreeMap::new(), mark, length: 0 }
    }

    fn is_folder(&self) -> bool {
        self.entry.kind == EntryKind::Directory
    }
}

/// The folder that a way leads to.
fn end(way: &Way) -> usize {
    way.last().copied().unwrap_or(0)
}

/// The components of a path or link target, the last first.
fn reversed(path: &[u8]) -> Vec<OsString> {
    path.rsplit(|byte| *byte == b'/')
        .filter(|component| !matches!(*component, b"" | b"."))
        .map(|component| OsString::from_vec(component.to_vec()))
        .collect()
}
