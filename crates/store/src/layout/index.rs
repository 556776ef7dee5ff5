//! Names: what `index.json` lists, and how it is changed.
//!
//! A change edits the JSON as it was read, not our view of it, so what this
//! version does not know stays: members anywhere, entries of any kind, their
//! order.

use std::sync::Arc;

use plimsoll_content::{Code, Descriptor, Digest, Error, Resolve, Result, Sink, Tag};
use plimsoll_spec::annotations::REF_NAME;
use serde_json::Value;

use super::lines::Line;
use super::{INDEX, Layout};
use crate::catalog::{Catalog, Entry};
use crate::check_ref_name;

impl Layout {
    /// What `index.json` lists, in its order.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        self.catalog().map(Catalog::into_entries)
    }

    /// The same, to find something in.
    pub fn catalog(&self) -> Result<Catalog> {
        let index = self.index()?;
        let manifests = index.view().manifests.clone();
        Ok(Catalog::new("oci:", self.path.display().to_string(), manifests))
    }

    /// Lists content without a name, unless its digest is listed already:
    /// for what belongs to images, such as signatures.
    pub fn add(&self, target: &Descriptor) -> Result<()> {
        self.must_have(target, "listing")?;
        self.edit(|lines| {
            if lines.iter().any(|line| *line.digest() == target.digest) {
                return Ok(false);
            }
            lines.push(Line::new(target.clone())?);
            Ok(true)
        })?;
        Ok(())
    }

    /// Takes all entries of that digest away, with their names; gives how
    /// many there were. The content stays.
    pub fn remove(&self, digest: &Digest) -> Result<usize> {
        let mut removed = 0;
        self.edit(|lines| {
            let before = lines.len();
            lines.retain(|line| line.digest() != digest);
            removed = before - lines.len();
            Ok(removed > 0)
        })?;
        Ok(removed)
    }

    /// Changes the list, alone. `change` says whether it did anything.
    ///
    /// The list is read under the lock, and once more before it is replaced:
    /// other tools know nothing of the lock, and what they added meanwhile
    /// must not be lost here (hostile case ST24).
    pub(super) fn edit(
        &self,
        mut change: impl FnMut(&mut Vec<Arc<Line>>) -> Result<bool>,
    ) -> Result<bool> {
        /// How often another tool may be faster.
        const RACES: usize = 100;
        let _alone = self.lock_index()?;
        for _ in 0..RACES {
            let before = self.listed()?;
            let mut lines = before.to_lines();
            if !change(&mut lines)? {
                return Ok(false);
            }
            let after = before.with(lines)?;
            let most = self.options.limits.index;
            if after.bytes.len() as u64 > most {
                return Err(Error::new(
                    Code::Limit,
                    format!("writing {INDEX} of layout {}", self.path.display()),
                )
                .found(format!("{} bytes", after.bytes.len()))
                .expected(format!("at most {most} bytes, or nobody reads it"))
                .fix("remove names that are not needed, or use another layout"));
            }
            if self.index_is(&before.bytes)? {
                self.put(INDEX, &after.bytes)?;
                self.keep(&Arc::new(after));
                return Ok(true);
            }
        }
        Err(Error::new(Code::Locked, format!("writing {INDEX} of layout {}", self.path.display()))
            .found("another tool that keeps changing it")
            .expected("a moment of rest"))
    }

    /// Refuses to list what is not there: a name given while the content is
    /// being removed would lead nowhere.
    pub(super) fn must_have(&self, target: &Descriptor, doing: &str) -> Result<()> {
        if target.data.is_some() || self.has(target)? {
            return Ok(());
        }
        Err(Error::new(Code::NotFound, format!("{doing} {}", target.digest))
            .found(format!(
                "no such blob of {} bytes in layout {}",
                target.size,
                self.path.display()
            ))
            .expected("content that is written before its name"))
    }
}

impl Resolve for Layout {
    /// Only names in `index.json` itself count (LA19).
    ///
    /// Errors with [`Code::Reference`] if entries of that name point at
    /// different content (hostile case GR10).
    fn resolve(&self, name: &str) -> Result<Descriptor> {
        self.find_name(name).map(|entry| entry.descriptor)
    }
}

impl Layout {
    pub(crate) fn find_name(&self, name: &str) -> Result<Entry> {
        self.catalog()?.find_name(name)
    }
}

impl Tag for Layout {
    /// The entry keeps its place in the list; all others of the name go. An
    /// entry that points at the same content keeps members that `target`
    /// does not have.
    ///
    /// Errors with [`Code::Reference`] if the name is outside the grammar,
    /// and with [`Code::NotFound`] if the layout does not hold the content.
    fn tag(&self, name: &str, target: &Descriptor) -> Result<()> {
        self.set(name, target, &|_| true).map(|_| ())
    }

    fn untag(&self, name: &str) -> Result<bool> {
        self.edit(|lines| {
            let before = lines.len();
            lines.retain(|line| line.name() != Some(name));
            Ok(lines.len() < before)
        })
    }
}

impl Layout {
    /// Gives content a name if that stands for `old` now; `false` if it does
    /// not, and nothing was changed.
    pub fn tag_over(&self, name: &str, old: &Digest, target: &Descriptor) -> Result<bool> {
        let old = old.to_string();
        self.set(name, target, &|found| found == [old.as_str()])
    }

    /// Gives content a name if that is free; `false` if it is not, and
    /// nothing was changed.
    pub fn tag_new(&self, name: &str, target: &Descriptor) -> Result<bool> {
        self.set(name, target, &|found| found.is_empty())
    }

    /// Gives content a name, if `may` says so of the digests that the name
    /// stands for.
    fn set(&self, name: &str, target: &Descriptor, may: &dyn Fn(&[&str]) -> bool) -> Result<bool> {
        check_ref_name(name)?;
        let mut entry = target.clone();
        entry.annotations.insert(REF_NAME.to_owned(), name.to_owned());
        let entry = Line::new(entry)?;
        let mut allowed = true;
        self.edit(|lines| {
            let named = || lines.iter().filter(|line| line.name() == Some(name));
            let mut found: Vec<_> = named().map(|line| line.digest().to_string()).collect();
            found.dedup();
            allowed = may(&found.iter().map(String::as_str).collect::<Vec<_>>());
            if !allowed {
                return Ok(false);
            }
            // Under the lock: removal of blobs takes it too.
            self.must_have(target, &format!("naming {name:?}"))?;
            let first = lines.iter().position(|line| line.name() == Some(name));
            let same = named().find(|line| *line.digest() == target.digest).cloned();
            let new = match &same {
                Some(same) => Line::of(&merged(&same.value()?, &entry.value()?))?,
                None => Arc::clone(&entry),
            };
            let unchanged = same.is_some_and(|same| same == new);
            let before = lines.len();
            let mut position = 0;
            lines.retain(|line| {
                let keep = line.name() != Some(name) || Some(position) == first;
                position += 1;
                keep
            });
            let removed = before - lines.len();
            match first {
                Some(first) => lines[first] = new,
                None => lines.push(new),
            }
            Ok(!unchanged || removed > 0)
        })?;
        Ok(allowed)
    }
}

/// `old` with the members of `new`; their annotations likewise.
fn merged(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return new.clone();
    };
    let mut members = old.clone();
    for (name, value) in new {
        let value = match (name.as_str(), members.get(name)) {
            ("annotations", Some(before)) => merged(before, value),
            _ => value.clone(),
        };
        members.insert(name.clone(), value);
    }
    Value::Object(members)
}
