//! The tree that an archive of a root filesystem unpacks to, without its
//! content: entries are placed as applying a layer places files.

use std::collections::BTreeMap;
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
    pub(super) entry: Entry,
    pub(super) place: Place,
}

/// Names and files.
#[derive(Debug)]
pub(super) struct Index {
    names: BTreeMap<RelPath, usize>,
    nodes: Vec<Node>,
    pub(super) findings: Findings,
    /// The parent found last, as it is written and as it is.
    last: Option<(RelPath, RelPath)>,
}

impl Index {
    /// A tree with nothing in it.
    pub(super) fn new() -> Self {
        let root = Node { entry: implied(RelPath::root()), place: Place::default() };
        Self {
            names: BTreeMap::from([(RelPath::root(), 0)]),
            nodes: vec![root],
            findings: Findings::default(),
            last: None,
        }
    }

    /// Places an entry.
    pub(super) fn add(&mut self, mut entry: Entry, place: Place) -> Result<()> {
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
            let (node, there) = self.target(&entry.path, target)?;
            let path = self.parent(&parent, true)?.unwrap_or_default().join(&name);
            if path == there {
                return Err(unlinkable(&entry.path, target, "the entry itself"));
            }
            self.clear_way(&path);
            // What made way may have been the target's folder.
            if self.names.get(&there) != Some(&node) {
                return Err(unlinkable(&entry.path, target, "nothing there"));
            }
            self.names.insert(path, node);
            return Ok(());
        }
        let parent = self.parent(&parent, true)?.unwrap_or_default();
        let path = parent.join(&name);
        entry.path = path.clone();
        let is_folder = entry.kind == EntryKind::Directory;
        if is_folder && let Some(node) = self.folder(&path) {
            self.nodes[node].entry = entry;
            return Ok(());
        }
        self.clear_way(&path);
        self.nodes.push(Node { entry, place });
        self.names.insert(path, self.nodes.len() - 1);
        Ok(())
    }

    /// All names in order. Each comes with its file, and with the first name
    /// of that file if it is another one.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&RelPath, &Node, Option<&RelPath>)> {
        let mut first: Vec<Option<&RelPath>> = vec![None; self.nodes.len()];
        self.names.iter().map(move |(path, node)| {
            let before = first[*node];
            first[*node].get_or_insert(path);
            (path, &self.nodes[*node], before)
        })
    }

    fn folder(&self, path: &RelPath) -> Option<usize> {
        let node = *self.names.get(path)?;
        (self.nodes[node].entry.kind == EntryKind::Directory).then_some(node)
    }

    /// The file that a hard link is to, and its real path.
    fn target(&mut self, path: &RelPath, target: &RelPath) -> Result<(usize, RelPath)> {
        let (Some(name), Some(folder)) = (target.name(), target.parent()) else {
            return Err(unlinkable(path, target, "the root itself"));
        };
        let real = self.parent(&folder, false)?.map(|folder| folder.join(name));
        let found = real.and_then(|real| Some((*self.names.get(&real)?, real)));
        match found {
            None => Err(unlinkable(path, target, "nothing there")),
            Some((node, _)) if self.nodes[node].entry.kind == EntryKind::Directory => {
                Err(unlinkable(path, target, "a folder"))
            }
            Some(found) => Ok(found),
        }
    }

    /// The real path of the folder `path`, with links followed as in a
    /// chroot; what is missing is made, or else gives `None`.
    fn parent(&mut self, path: &RelPath, make: bool) -> Result<Option<RelPath>> {
        if let Some((written, real)) = &self.last
            && written == path
        {
            return Ok(Some(real.clone()));
        }
        let mut real = RelPath::root();
        let mut ahead: Vec<OsString> = path.components().map(OsStr::to_owned).collect();
        ahead.reverse();
        let mut links = LINKS;
        while let Some(name) = ahead.pop() {
            if name == *".." {
                real = real.parent().unwrap_or_default();
                continue;
            }
            let next = real.join(&name);
            let Some(node) = self.names.get(&next) else {
                if !make {
                    return Ok(None);
                }
                let node = Node { entry: implied(next.clone()), place: Place::default() };
                self.nodes.push(node);
                self.names.insert(next.clone(), self.nodes.len() - 1);
                real = next;
                continue;
            };
            match &self.nodes[*node].entry.kind {
                EntryKind::Directory => real = next,
                EntryKind::Symlink { target } => {
                    links = links.checked_sub(1).ok_or_else(|| {
                        Error::new(Code::UnsafeEntry, format!("finding {path}"))
                            .found("more than 40 symbolic links on the way")
                            .expected("a path that leads somewhere")
                    })?;
                    if target.starts_with(b"/") {
                        real = RelPath::root();
                    }
                    let components = target.rsplit(|byte| *byte == b'/');
                    ahead.extend(
                        components
                            .filter(|component| !matches!(*component, b"" | b"."))
                            .map(|component| OsString::from_vec(component.to_vec())),
                    );
                }
                _ if !make => return Ok(None),
                _ => {
                    return Err(Error::new(Code::UnsafeEntry, format!("making the folder {path}"))
                        .found(format!("a file at {next}"))
                        .expected("a folder: readers differ on what should become of the file"));
                }
            }
        }
        self.last = Some((path.clone(), real.clone()));
        Ok(Some(real))
    }

    /// Takes away what has that path, and all below it.
    fn clear_way(&mut self, path: &RelPath) {
        if self.names.remove(path).is_none() {
            return;
        }
        self.last = None;
        self.findings.note("duplicate-entry", || {
            Finding::new("duplicate-entry", "there are several entries for it, the last one counts")
                .at(path)
        });
        let below: Vec<RelPath> = self
            .names
            .range(path.clone()..)
            .map(|(name, _)| name)
            .take_while(|name| name.starts_with(path))
            .cloned()
            .collect();
        for name in below {
            self.names.remove(&name);
        }
    }
}

fn implied(path: RelPath) -> Entry {
    Entry {
        path,
        kind: EntryKind::Directory,
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: Timestamp::EPOCH,
        xattrs: Vec::new(),
    }
}

fn unlinkable(path: &RelPath, target: &RelPath, found: &str) -> Error {
    Error::new(Code::UnsafeEntry, format!("linking {path} to {target}"))
        .found(found)
        .expected("a file that the archive has before this entry")
}
