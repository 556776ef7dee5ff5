//! The list of a layout as registries change it: what once was stored stays
//! listed until its digest is removed, whatever happens to its names.

use std::collections::HashSet;
use std::sync::Arc;

use plimsoll_content::{Descriptor, Digest, Error, Result};
use plimsoll_spec::annotations::REF_NAME;
use serde_json::Value;

use super::lines::Line;
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
        self.edit(|lines| {
            let mut changed = false;
            for listing in listings {
                self.must_have(&listing.target, "listing")?;
                changed |= list(lines, listing)?;
            }
            Ok(changed)
        })?;
        Ok(())
    }

    /// Takes names away; what they stood for stays listed. Gives how many of
    /// them there were.
    pub fn unname(&self, names: &[String]) -> Result<usize> {
        let mut removed = 0;
        self.edit(|lines| {
            removed = 0;
            for name in names {
                removed += usize::from(take_name(lines, name, None)?);
            }
            Ok(removed > 0)
        })?;
        Ok(removed)
    }

    /// Takes the entries of that digest off the list, but for those with a
    /// name that `keep` wants kept; gives how many that were.
    pub fn unlist(&self, digest: &Digest, keep: &dyn Fn(&str) -> bool) -> Result<usize> {
        let mut removed = 0;
        self.edit(|lines| {
            let before = lines.len();
            lines.retain(|line| line.digest() != digest || line.name().is_some_and(keep));
            removed = before - lines.len();
            Ok(removed > 0)
        })?;
        Ok(removed)
    }

    /// Takes the lines without a name off the list that are of these digests;
    /// gives how many there were.
    pub fn unlist_nameless(&self, digests: &HashSet<Digest>) -> Result<usize> {
        let mut removed = 0;
        self.edit(|lines| {
            let before = lines.len();
            lines.retain(|line| line.name().is_some() || !digests.contains(line.digest()));
            removed = before - lines.len();
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

fn list(lines: &mut Vec<Arc<Line>>, listing: &Listing) -> Result<bool> {
    let digest = &listing.target.digest;
    let mut changed = false;
    for name in listing.names.iter().filter(|name| !name.is_empty()) {
        let there = lines.iter().any(|line| line.name() == Some(name) && line.digest() == digest);
        changed |= take_name(lines, name, Some(digest))?;
        if there {
            continue;
        }
        let mut target = listing.target.clone();
        target.annotations.insert(REF_NAME.to_owned(), name.clone());
        let line = Line::new(target)?;
        // A line without a name gets this one.
        let bare = lines.iter_mut().find(|line| line.digest() == digest && line.name().is_none());
        match bare {
            Some(bare) => *bare = line,
            None => lines.push(line),
        }
        changed = true;
    }
    if !lines.iter().any(|line| line.digest() == digest) {
        lines.push(Line::new(listing.target.clone())?);
        changed = true;
    }
    Ok(changed)
}

/// Takes a name away from all lines but those of `keep`. The last line of
/// its content stays, without a name. Says whether there was one.
fn take_name(lines: &mut Vec<Arc<Line>>, name: &str, keep: Option<&Digest>) -> Result<bool> {
    let mut found = false;
    let mut position = 0;
    while position < lines.len() {
        let line = &lines[position];
        if line.name() != Some(name) || keep == Some(line.digest()) {
            position += 1;
            continue;
        }
        found = true;
        let others = lines.iter().filter(|other| other.digest() == line.digest()).count() - 1;
        if others > 0 {
            lines.remove(position);
            continue;
        }
        lines[position] = nameless(line)?;
        position += 1;
    }
    Ok(found)
}

/// The same line without its name.
fn nameless(line: &Line) -> Result<Arc<Line>> {
    let mut value = line.value()?;
    if let Some(Value::Object(annotations)) = value.get_mut("annotations") {
        annotations.remove(REF_NAME);
        if annotations.is_empty()
            && let Value::Object(members) = &mut value
        {
            members.remove("annotations");
        }
    }
    Line::of(&value)
}
