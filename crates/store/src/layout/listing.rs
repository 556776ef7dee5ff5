//! The list of a layout as registries change it: what once was stored stays
//! listed until its digest is removed, whatever happens to its names.

use plimsoll_content::{Descriptor, Digest, Error, Result};
use plimsoll_spec::annotations::REF_NAME;
use serde_json::Value;

use super::index::{digest_of, name_of, to_value};
use super::{INDEX, Layout};

/// A document that is to be listed, and the names that are to stand for it.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The document.
    pub target: Descriptor,
    /// Its new names, which it has beside those that stand for it already.
    /// Any text but the empty one: tags of registries are not all ref names.
    pub names: Vec<String>,
}

/// Which list it is: another one after each change, by whomever.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stamp {
    inode: u64,
    size: i64,
    seconds: i64,
    nanoseconds: u64,
}

impl Layout {
    /// Lists documents and gives them names, all in one step. What a name
    /// stood for before stays listed, without a name if it was the last one.
    ///
    /// Errors with [`Code::NotFound`](plimsoll_content::Code::NotFound) if the
    /// layout does not hold one of them.
    pub fn list(&self, listings: &[Listing]) -> Result<()> {
        self.edit(|entries| {
            let mut changed = false;
            for listing in listings {
                self.must_have(&listing.target, "listing")?;
                changed |= list(entries, listing)?;
            }
            Ok(changed)
        })?;
        Ok(())
    }

    /// Takes names away; what they stood for stays listed. Gives how many of
    /// them there were.
    pub fn unname(&self, names: &[String]) -> Result<usize> {
        let mut removed = 0;
        self.edit(|entries| {
            removed = names.iter().filter(|name| take_name(entries, name, None)).count();
            Ok(removed > 0)
        })?;
        Ok(removed)
    }

    /// Takes the entries of that digest off the list, but for those with a
    /// name that `keep` wants kept; gives how many that were.
    pub fn unlist(&self, digest: &Digest, keep: &dyn Fn(&str) -> bool) -> Result<usize> {
        let digest = digest.to_string();
        let mut removed = 0;
        self.edit(|entries| {
            let before = entries.len();
            entries.retain(|entry| {
                digest_of(entry) != Some(&digest) || name_of(entry).is_some_and(keep)
            });
            removed = before - entries.len();
            Ok(removed > 0)
        })?;
        Ok(removed)
    }

    /// Which list it is now.
    pub fn stamp(&self) -> Result<Stamp> {
        let stat = self.root.stat(INDEX);
        let stat =
            stat.map_err(|cause| Error::io("looking at", self.path.join(INDEX).display(), cause))?;
        let Some(stat) = stat else {
            // The error that says so.
            self.index()?;
            return Ok(Stamp { inode: 0, size: 0, seconds: 0, nanoseconds: 0 });
        };
        Ok(Stamp {
            inode: stat.st_ino,
            size: stat.st_size,
            seconds: stat.st_mtime,
            nanoseconds: stat.st_mtime_nsec,
        })
    }
}

fn list(entries: &mut Vec<Value>, listing: &Listing) -> Result<bool> {
    let digest = listing.target.digest.to_string();
    let mut changed = false;
    for name in listing.names.iter().filter(|name| !name.is_empty()) {
        let there = entries
            .iter()
            .any(|entry| name_of(entry) == Some(name) && digest_of(entry) == Some(&digest));
        changed |= take_name(entries, name, Some(&digest));
        if there {
            continue;
        }
        let mut entry = listing.target.clone();
        entry.annotations.insert(REF_NAME.to_owned(), name.clone());
        let entry = to_value(&entry)?;
        // An entry without a name gets this one.
        let bare = entries
            .iter_mut()
            .find(|entry| name_of(entry).is_none() && digest_of(entry) == Some(&digest));
        match bare {
            Some(bare) => *bare = entry,
            None => entries.push(entry),
        }
        changed = true;
    }
    if !entries.iter().any(|entry| digest_of(entry) == Some(&digest)) {
        entries.push(to_value(&listing.target)?);
        changed = true;
    }
    Ok(changed)
}

/// Takes a name away from all entries but those of `keep`. The last entry of
/// its content stays, without a name. Says whether there was one.
fn take_name(entries: &mut Vec<Value>, name: &str, keep: Option<&str>) -> bool {
    let mut found = false;
    let mut position = 0;
    while position < entries.len() {
        let entry = &entries[position];
        if name_of(entry) != Some(name) || (keep.is_some() && digest_of(entry) == keep) {
            position += 1;
            continue;
        }
        found = true;
        let digest = digest_of(entry).map(str::to_owned);
        let others =
            entries.iter().filter(|other| digest_of(other) == digest.as_deref()).count() - 1;
        if others > 0 {
            entries.remove(position);
            continue;
        }
        if let Some(Value::Object(annotations)) = entries[position].get_mut("annotations") {
            annotations.remove(REF_NAME);
            if annotations.is_empty()
                && let Value::Object(members) = &mut entries[position]
            {
                members.remove("annotations");
            }
        }
        position += 1;
    }
    found
}
