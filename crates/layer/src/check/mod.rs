//! Whether the entries of an image's layers make sense together, told
//! without making any file.
//!
//! It goes on behind whatever it finds. What shows only when links are
//! followed, such as a path through a loop of them, shows in applying alone.
//!
//! | name | what |
//! |---|---|
//! | `duplicate-entry` | the layer has several entries for a path |
//! | `duplicate-folder` | the same, all alike, for a folder |
//! | `whiteout-bare` | `.wh.` without a name |
//! | `whiteout-folder` | something in a folder named as a whiteout is |
//! | `whiteout-unknown` | a name that starts with `.wh..wh.` and has no meaning |
//! | `whiteout-not-empty` | a whiteout that is no empty file |
//! | `whiteout-below-link` | a whiteout below a symbolic link |
//! | `aufs-private` | a file that AUFS kept for itself |
//! | `hardlink-to-folder` | a hard link to a folder |
//! | `hardlink-to-nothing` | a hard link to what no layer has up to there |
//! | `file-as-folder` | something below a file of the same layer |
//! | `folder-implied` | a folder that no layer has an entry for |
//!
//! How bad each of these is, is for whoever asks.
//!
//! Paths are held as 96 bits of two keyed hashes, so that a layer of five
//! million entries fits into 160 MiB.

mod read;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::apply::whiteout::{Meaning, Odd, is_known_private, look};
use crate::entry::{Entry, EntryKind};
use crate::finding::{Finding, Findings};
use crate::path::RelPath;

pub use read::Read;

/// How many implied folders are told by name.
const IMPLIED: usize = 20;

/// What is known of a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Known {
    /// A folder without an entry of its own.
    Implied,
    /// A folder, with a part of a hash of its attributes.
    Folder([u8; 3]),
    Link,
    Other,
}

impl Known {
    fn is_folder(self) -> bool {
        matches!(self, Self::Implied | Self::Folder(_))
    }
}

type Key = [u8; 12];

/// Checks the entries of layers, the lowest layer first.
#[derive(Debug, Default)]
pub struct Check {
    keys: [RandomState; 2],
    /// What lower layers have, whether it is hidden since or not.
    lower: HashMap<Key, Known>,
    own: HashMap<Key, Known>,
    /// The first of the folders that are implied so far.
    implied: Vec<(RelPath, u64)>,
    /// Whether there are layers that nobody looked into.
    skipped: bool,
    findings: Findings,
}

impl Check {
    /// Nothing was seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next entry of a layer, which begins at byte `offset` of
    /// the archive.
    pub fn entry(&mut self, entry: &Entry, offset: u64) {
        self.findings.stand_at(Some(offset));
        let path = entry.path.as_bytes();
        let meaning = match look(&entry.path) {
            Ok(meaning) => meaning,
            Err(Odd::Folder) => {
                let what = "something below a folder named as a whiteout is";
                return self.find("whiteout-folder", what, &entry.path);
            }
            Err(Odd::Bare) => {
                let what = "a whiteout without the name of a file behind .wh.";
                return self.find("whiteout-bare", what, &entry.path);
            }
        };
        if meaning == Meaning::Private {
            let (name, what) = if is_known_private(&entry.path) {
                ("aufs-private", "a private file of AUFS")
            } else {
                ("whiteout-unknown", "a name that starts with .wh..wh. and has no meaning")
            };
            return self.find(name, what, &entry.path);
        }
        if meaning != Meaning::File {
            if entry.kind != (EntryKind::File { size: 0 }) {
                self.find("whiteout-not-empty", "a whiteout that is no empty file", &entry.path);
            }
            if self.leads_through_link(parent(path).unwrap_or_default()) {
                let what = "a whiteout below a symbolic link: readers differ on what it removes";
                self.find("whiteout-below-link", what, &entry.path);
            }
            self.duplicates(entry, Known::Other);
            return;
        }
        if let EntryKind::Hardlink { target } = &entry.kind {
            self.target(entry, target);
        }
        self.parents(entry, offset);
        let known = match entry.kind {
            EntryKind::Directory => Known::Folder(self.attributes(entry)),
            EntryKind::Symlink { .. } => Known::Link,
            _ => Known::Other,
        };
        self.duplicates(entry, known);
    }

    /// Ends a layer; gives what was found in it.
    pub fn end_layer(&mut self) -> Vec<Finding> {
        self.implied_folders();
        let own = std::mem::take(&mut self.own);
        if self.lower.is_empty() {
            self.lower = own;
        } else {
            for (key, known) in own {
                // A folder that has an entry below is none that is implied.
                let place = self.lower.entry(key).or_insert(known);
                if known != Known::Implied || !place.is_folder() {
                    *place = known;
                }
            }
        }
        std::mem::take(&mut self.findings).into_vec()
    }

    /// Ends a layer that is not looked into, or not to its end. What it has
    /// is not known then.
    pub fn skip_layer(&mut self) {
        self.skipped = true;
        self.end_layer();
    }

    fn find(&mut self, name: &'static str, what: &str, path: &RelPath) {
        self.findings.note(name, || Finding::new(name, what).at(path));
    }

    fn duplicates(&mut self, entry: &Entry, known: Known) {
        let key = self.key(entry.path.as_bytes());
        match (self.own.insert(key, known), known) {
            (None, _) | (Some(Known::Implied), Known::Folder(_)) => {}
            (Some(before), Known::Folder(_)) if before == known => {
                let what = "the layer has several entries for the folder, all alike";
                self.find("duplicate-folder", what, &entry.path);
            }
            _ => self.find("duplicate-entry", "the layer has several entries for it", &entry.path),
        }
    }

    /// The folders around an entry. Those of an ancestor that is known were
    /// looked at before.
    fn parents(&mut self, entry: &Entry, offset: u64) {
        let mut path = entry.path.as_bytes();
        while let Some(above) = parent(path).filter(|above| !above.is_empty()) {
            let key = self.key(above);
            match self.own.get(&key) {
                None => {
                    self.own.insert(key, Known::Implied);
                    let below = self.lower.get(&key).is_some_and(|known| *known != Known::Implied);
                    if self.implied.len() < IMPLIED
                        && !below
                        && let Ok(folder) = RelPath::parse(above)
                    {
                        self.implied.push((folder, offset));
                    }
                }
                Some(Known::Other) => {
                    let what = "it lies below a file of the same layer: readers differ on what \
                                becomes of that file";
                    return self.find("file-as-folder", what, &entry.path);
                }
                Some(_) => break,
            }
            path = above;
        }
    }

    /// Folders that got no entry, neither here nor in a lower layer. Each
    /// engine makes up owner and mode of such a folder.
    fn implied_folders(&mut self) {
        for (folder, offset) in std::mem::take(&mut self.implied) {
            let key = self.key(folder.as_bytes());
            if self.own.get(&key) != Some(&Known::Implied) || self.skipped {
                continue;
            }
            self.findings.stand_at(Some(offset));
            let what = "no layer has an entry for the folder: its owner and mode are up to engines";
            self.find("folder-implied", what, &folder);
        }
    }

    fn target(&mut self, entry: &Entry, target: &RelPath) {
        let key = self.key(target.as_bytes());
        let known = self.own.get(&key).or_else(|| self.lower.get(&key)).copied();
        if known.is_some_and(Known::is_folder) {
            self.find("hardlink-to-folder", "a hard link to a folder", &entry.path);
        } else if known.is_none() && !self.skipped && !self.leads_through_link(target.as_bytes()) {
            let what = format!("a hard link to {target}, which no layer has up to here");
            self.find("hardlink-to-nothing", &what, &entry.path);
        }
    }

    /// Whether the path, or a folder around it, is a symbolic link in some layer.
    fn leads_through_link(&self, path: &[u8]) -> bool {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        ends.chain([path.len()]).any(|end| {
            let key = self.key(&path[..end]);
            [&self.own, &self.lower].iter().any(|map| map.get(&key) == Some(&Known::Link))
        })
    }

    fn key(&self, path: &[u8]) -> Key {
        let mut key = [0; 12];
        key[..8].copy_from_slice(&self.keys[0].hash_one(path).to_le_bytes());
        key[8..].copy_from_slice(&self.keys[1].hash_one(path).to_le_bytes()[..4]);
        key
    }

    fn attributes(&self, entry: &Entry) -> [u8; 3] {
        let Entry { mode, uid, gid, mtime, xattrs, .. } = entry;
        let hash = self.keys[0].hash_one((mode, uid, gid, mtime, xattrs)).to_le_bytes();
        [hash[0], hash[1], hash[2]]
    }
}

fn parent(path: &[u8]) -> Option<&[u8]> {
    if path.is_empty() {
        return None;
    }
    Some(&path[..path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)])
}
