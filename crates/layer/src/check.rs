//! Whether the entries of an image's layers make sense together, told
//! without making any file.
//!
//! It is stricter than applying: what the image specification forbids and
//! engines write nevertheless is an error here ([`Check::is_error`]). What
//! shows only when links are followed, such as a path through a loop of them,
//! shows in applying alone.
//!
//! Paths are held as 96 bits of two keyed hashes, so that a layer of five
//! million entries fits into 160 MiB.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use plimsoll_content::{Code, Error, Result};

use crate::apply::whiteout::{Meaning, is_known_private, meaning};
use crate::entry::{Entry, EntryKind};
use crate::finding::{Finding, Findings};

/// What is known of a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Known {
    /// A folder without an entry of its own.
    Implied,
    Folder,
    Link,
    Other,
}

type Key = [u8; 12];

/// Checks the entries of layers, the lowest layer first.
#[derive(Debug, Default)]
pub struct Check {
    keys: [RandomState; 2],
    /// What lower layers have, whether it is hidden since or not.
    lower: HashMap<Key, Known>,
    own: HashMap<Key, Known>,
    /// Whether there are layers that nobody looked into.
    skipped: bool,
    findings: Findings,
}

impl Check {
    /// Nothing was seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a finding of that name breaks a rule of the specification, or
    /// is read differently by engines.
    pub fn is_error(name: &str) -> bool {
        matches!(name, "duplicate-entry" | "whiteout-not-empty" | "whiteout-unknown")
    }

    /// Takes in the next entry of a layer.
    ///
    /// Errors with [`Code::UnsafeEntry`] where applying would.
    pub fn entry(&mut self, entry: &Entry) -> Result<()> {
        let path = entry.path.as_bytes();
        let meaning = meaning(&entry.path)?;
        if meaning == Meaning::Private {
            let (name, what) = if is_known_private(&entry.path) {
                ("aufs-private", "a private file of AUFS")
            } else {
                ("whiteout-unknown", "a name that starts with .wh..wh. and has no meaning")
            };
            self.findings.note(name, || Finding::new(name, what).at(&entry.path));
            return Ok(());
        }
        if meaning != Meaning::File {
            if entry.kind != (EntryKind::File { size: 0 }) {
                self.findings.note("whiteout-not-empty", || {
                    Finding::new("whiteout-not-empty", "a whiteout that is no empty file")
                        .at(&entry.path)
                });
            }
            if self.leads_through_link(parent(path).unwrap_or_default()) {
                return Err(bad(entry, "a whiteout below a symbolic link", "folders only"));
            }
            self.duplicates(entry, Known::Other);
            return Ok(());
        }
        if let EntryKind::Hardlink { target } = &entry.kind {
            self.target(entry, target.as_bytes())?;
        }
        self.parents(entry)?;
        let known = match entry.kind {
            EntryKind::Directory => Known::Folder,
            EntryKind::Symlink { .. } => Known::Link,
            _ => Known::Other,
        };
        self.duplicates(entry, known);
        Ok(())
    }

    /// Ends a layer; gives what was found in it.
    pub fn end_layer(&mut self) -> Vec<Finding> {
        let own = std::mem::take(&mut self.own);
        if self.lower.is_empty() {
            self.lower = own;
        } else {
            self.lower.extend(own);
        }
        std::mem::take(&mut self.findings).into_vec()
    }

    /// Ends a layer that is not looked into, or not to its end. What it has
    /// is not known then.
    pub fn skip_layer(&mut self) {
        self.end_layer();
        self.skipped = true;
    }

    fn duplicates(&mut self, entry: &Entry, known: Known) {
        let before = self.own.insert(self.key(entry.path.as_bytes()), known);
        let implied = before == Some(Known::Implied) && known == Known::Folder;
        if before.is_some() && !implied {
            self.findings.note("duplicate-entry", || {
                Finding::new("duplicate-entry", "the layer has several entries for it")
                    .at(&entry.path)
            });
        }
    }

    /// The folders around an entry. Those of an ancestor that is known were
    /// looked at before.
    fn parents(&mut self, entry: &Entry) -> Result<()> {
        let mut path = entry.path.as_bytes();
        while let Some(above) = parent(path).filter(|above| !above.is_empty()) {
            let key = self.key(above);
            match self.own.get(&key) {
                None => drop(self.own.insert(key, Known::Implied)),
                Some(Known::Other) => {
                    return Err(bad(
                        entry,
                        "a file of the same layer where its folder should be",
                        "a folder: readers differ on what should become of the file",
                    ));
                }
                Some(_) => break,
            }
            path = above;
        }
        Ok(())
    }

    fn target(&self, entry: &Entry, target: &[u8]) -> Result<()> {
        let key = self.key(target);
        match self.own.get(&key).or_else(|| self.lower.get(&key)) {
            Some(Known::Folder | Known::Implied) => {
                Err(bad(entry, "a hard link to a folder", "one to a file"))
            }
            None if !self.skipped && !self.leads_through_link(target) => Err(bad(
                entry,
                "a hard link to nothing",
                "one to a file that this layer, before this entry, or a lower layer has",
            )),
            _ => Ok(()),
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
}

fn parent(path: &[u8]) -> Option<&[u8]> {
    if path.is_empty() {
        return None;
    }
    Some(&path[..path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)])
}

fn bad(entry: &Entry, found: &str, expected: &str) -> Error {
    Error::new(Code::UnsafeEntry, format!("checking entry {}", entry.path))
        .found(found)
        .expected(expected)
}
