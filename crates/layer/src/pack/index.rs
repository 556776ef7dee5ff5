//! The tree that an archive of a root filesystem unpacks to, without its
//! content: entries are placed as applying a layer places files.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use plimsoll_content::{Code, Error, Result};

use super::emit::expressible;
use crate::entry::{Entry, EntryKind, Timestamp};
use crate::finding::{Finding, Findings};
use crate::path::RelPath;
use crate::tar::Segment;

/// How many links one path may lead through: what Linux allows.
const LINKS: usize = 40;

/// Where the content of a file lies.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// Where its data begins in the archive.
    pub(super) offset: u64,
    /// Which parts of the file the data is, if there are holes.
    pub(super) segments: Option<Vec<Segment>>,
}

/// One file; it may have several names.
#[derive(Debug)]
pub(super) struct Node {
    /// What its entry says; the path may be another name of it.
    pub(super) entry: Entry,
    pub(super) place: Place,
    /// The names in a folder.
    names: BTreeMap<OsString, usize>,
}

/// All files; the first is the root.
#[derive(Debug)]
pub(super) struct Index {
    nodes: Vec<Node>,
    pub(super) findings: Findings,
    /// The folder found last: as it was written, and the way to it.
    last: Option<(RelPath, Vec<usize>)>,
}

impl Index {
    /// A tree with nothing in it.
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::implied()], findings: Findings::default(), last: None }
    }

    /// Places an entry.
    pub(super) fn add(&mut self, entry: Entry, place: Place) -> Result<()> {
        let (Some(name), Some(parent)) = (entry.path.name(), entry.path.parent()) else {
            if entry.kind != EntryKind::Directory {
                return Err(Error::new(Code::UnsafeEntry, "reading the entry of the root")
                    .found("something else than a folder")
                    .expected("a folder (CVE-2021-29136)"));
            }
            self.nodes[0].entry = entry;
            return Ok(());
        };
        for component in entry.path.components() {
            expressible(&entry.path, component)?;
        }
        let name = name.to_owned();
        if let EntryKind::Hardlink { target } = &entry.kind {
            return self.link(&entry.path, &parent, name, target);
        }
        let folder = self.make(&parent)?;
        if entry.kind == EntryKind::Directory
            && let Some(there) = self.nodes[folder].names.get(&name)
            && self.nodes[*there].is_folder()
        {
            let there = *there;
            self.nodes[there].entry = entry;
            return Ok(());
        }
        self.clear_way(folder, &name, &entry.path);
        self.nodes.push(Node { entry, place, names: BTreeMap::new() });
        let node = self.nodes.len() - 1;
        self.nodes[folder].names.insert(name, node);
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
        let mut ahead: Vec<(RelPath, btree_map::Iter<'_, OsString, usize>)> =
            vec![(root, self.nodes[0].names.iter())];
        while let Some((folder, names)) = ahead.last_mut() {
            let Some((name, node)) = names.next() else {
                ahead.pop();
                continue;
            };
            let path = folder.join(name);
            let file = &self.nodes[*node];
            each(&path, file, first.get(node))?;
            if file.is_folder() {
                ahead.push((path, file.names.iter()));
            } else {
                first.entry(*node).or_insert(path);
            }
        }
        Ok(())
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
                .expected("a file that the archive has before this entry")
        };
        let (Some(from), Some(folder)) = (target.name(), target.parent()) else {
            return Err(bad("the root itself"));
        };
        let way = self.go(&folder, false)?.ok_or_else(|| bad("nothing there"))?;
        let source = way.last().copied().unwrap_or(0);
        let node = *self.nodes[source].names.get(from).ok_or_else(|| bad("nothing there"))?;
        if self.nodes[node].is_folder() {
            return Err(bad("a folder"));
        }
        let folder = self.make(parent)?;
        if (folder, &name[..]) == (source, from) {
            return Err(bad("the entry itself"));
        }
        if let Some(gone) = self.clear_way(folder, &name, path)
            && way.contains(&gone)
        {
            return Err(bad("nothing there: it was in the folder that this entry replaces"));
        }
        self.nodes[folder].names.insert(name, node);
        Ok(())
    }

    /// The folder `path`; what is missing is made.
    fn make(&mut self, path: &RelPath) -> Result<usize> {
        Ok(self.go(path, true)?.and_then(|way| way.last().copied()).unwrap_or(0))
    }

    /// The way from the root (which it leaves out) to the folder `path`, with
    /// links followed as in a chroot; what is missing is made, or else gives
    /// `None`.
    fn go(&mut self, path: &RelPath, make: bool) -> Result<Option<Vec<usize>>> {
        let mut way: Vec<usize> = Vec::new();
        let mut rest = path.as_bytes();
        if let Some((written, there)) = &self.last
            && path.starts_with(written)
        {
            way.clone_from(there);
            rest = &rest[written.as_bytes().len()..];
        }
        let mut ahead = reversed(rest);
        let mut links = LINKS;
        while let Some(name) = ahead.pop() {
            if name == *".." {
                way.pop();
                continue;
            }
            let folder = way.last().copied().unwrap_or(0);
            let Some(node) = self.nodes[folder].names.get(&name).copied() else {
                if !make {
                    return Ok(None);
                }
                self.nodes.push(Node::implied());
                let node = self.nodes.len() - 1;
                self.nodes[folder].names.insert(name, node);
                way.push(node);
                continue;
            };
            match &self.nodes[node].entry.kind {
                EntryKind::Directory => way.push(node),
                EntryKind::Symlink { target } => {
                    links = links.checked_sub(1).ok_or_else(|| {
                        Error::new(Code::UnsafeEntry, format!("finding {path}"))
                            .found("more than 40 symbolic links on the way")
                            .expected("a path that leads somewhere")
                    })?;
                    if target.starts_with(b"/") {
                        way.clear();
                    }
                    ahead.extend(reversed(target));
                }
                _ if !make => return Ok(None),
                _ => {
                    let name = crate::path::shown(name.as_encoded_bytes());
                    return Err(Error::new(Code::UnsafeEntry, format!("making the folder {path}"))
                        .found(format!("a file named {name}"))
                        .expected("a folder: readers differ on what should become of the file"));
                }
            }
        }
        self.last = Some((path.clone(), way.clone()));
        Ok(Some(way))
    }

    /// Takes away what has that name, with all below it, and tells which file
    /// it was.
    fn clear_way(&mut self, folder: usize, name: &OsStr, path: &RelPath) -> Option<usize> {
        let gone = self.nodes[folder].names.remove(name)?;
        self.last = None;
        self.findings.note("duplicate-entry", || {
            let what = "there are several entries for it, the last one counts";
            Finding::new("duplicate-entry", what).at(path)
        });
        Some(gone)
    }
}

impl Node {
    /// A folder that has no entry of its own.
    fn implied() -> Self {
        let entry = Entry {
            path: RelPath::root(),
            kind: EntryKind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Timestamp::EPOCH,
            xattrs: Vec::new(),
        };
        Self { entry, place: Place::default(), names: BTreeMap::new() }
    }

    fn is_folder(&self) -> bool {
        self.entry.kind == EntryKind::Directory
    }
}

/// The components of a path or link target, the last first.
fn reversed(path: &[u8]) -> Vec<OsString> {
    path.rsplit(|byte| *byte == b'/')
        .filter(|component| !matches!(*component, b"" | b"."))
        .map(|component| OsString::from_vec(component.to_vec()))
        .collect()
}
