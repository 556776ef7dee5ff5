//! Names: what `index.json` lists, and how it is changed.
//!
//! A change edits the JSON as it was read, not our view of it, so what this
//! version does not know stays: members anywhere, entries of any kind, their
//! order.

use plimsoll_content::{Code, Descriptor, Digest, Error, Resolve, Result, Sink, Tag, json};
use plimsoll_spec::annotations::REF_NAME;
use serde_json::{Map, Value};

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
        let (_, index) = self.read_index()?;
        let manifests = index.view().manifests.clone();
        Ok(Catalog::new("oci:", self.path.display().to_string(), manifests))
    }

    /// Lists content without a name, unless its digest is listed already:
    /// for what belongs to images, such as signatures.
    pub fn add(&self, target: &Descriptor) -> Result<()> {
        self.must_have(target, "listing")?;
        self.edit(|entries| {
            let digest = target.digest.to_string();
            if entries.iter().any(|entry| digest_of(entry) == Some(&digest)) {
                return Ok(false);
            }
            entries.push(to_value(target)?);
            Ok(true)
        })?;
        Ok(())
    }

    /// Takes all entries of that digest away, with their names; gives how
    /// many there were. The content stays.
    pub fn remove(&self, digest: &Digest) -> Result<usize> {
        let digest = digest.to_string();
        let mut removed = 0;
        self.edit(|entries| {
            let before = entries.len();
            entries.retain(|entry| digest_of(entry) != Some(&digest));
            removed = before - entries.len();
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
        mut change: impl FnMut(&mut Vec<Value>) -> Result<bool>,
    ) -> Result<bool> {
        /// How often another tool may be faster.
        const RACES: usize = 100;
        let _alone = self.lock_index()?;
        for _ in 0..RACES {
            let (before, _) = self.read_index()?;
            let mut document: Map<String, Value> =
                serde_json::from_slice(&before).map_err(|cause| {
                    Error::new(Code::Malformed, format!("reading {INDEX}"))
                        .found(&cause)
                        .cause(cause)
                })?;
            // Some writers put null for an empty list.
            let mut entries = match document.remove("manifests") {
                Some(Value::Array(entries)) => entries,
                _ => Vec::new(),
            };
            if !change(&mut entries)? {
                return Ok(false);
            }
            document.insert("manifests".to_owned(), Value::Array(entries));
            let after = json::canonical(&document)?;
            let most = self.options.limits.index;
            if after.len() as u64 > most {
                return Err(Error::new(
                    Code::Limit,
                    format!("writing {INDEX} of layout {}", self.path.display()),
                )
                .found(format!("{} bytes", after.len()))
                .expected(format!("at most {most} bytes, or nobody reads it"))
                .fix("remove names that are not needed, or use another layout"));
            }
            if self.read_document(INDEX, most)?.as_deref() == Some(&before) {
                self.put(INDEX, &after)?;
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
        self.edit(|entries| {
            let before = entries.len();
            entries.retain(|entry| name_of(entry) != Some(name));
            Ok(entries.len() < before)
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
        let entry = to_value(&entry)?;
        let digest = target.digest.to_string();
        let mut allowed = true;
        self.edit(|entries| {
            let mut found: Vec<_> = entries
                .iter()
                .filter(|entry| name_of(entry) == Some(name))
                .filter_map(digest_of)
                .collect();
            found.dedup();
            allowed = may(&found);
            if !allowed {
                return Ok(false);
            }
            // Under the lock: removal of blobs takes it too.
            self.must_have(target, &format!("naming {name:?}"))?;
            let first = entries.iter().position(|entry| name_of(entry) == Some(name));
            let same = entries
                .iter()
                .find(|entry| name_of(entry) == Some(name) && digest_of(entry) == Some(&digest));
            let new = match same {
                Some(same) => merged(same, &entry),
                None => entry.clone(),
            };
            let unchanged = same == Some(&new);
            let before = entries.len();
            let mut position = 0;
            entries.retain(|entry| {
                let keep = name_of(entry) != Some(name) || Some(position) == first;
                position += 1;
                keep
            });
            let removed = before - entries.len();
            match first {
                Some(first) => entries[first] = new,
                None => entries.push(new),
            }
            Ok(!unchanged || removed > 0)
        })?;
        Ok(allowed)
    }
}

pub(super) fn name_of(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(REF_NAME)?.as_str()
}

pub(super) fn digest_of(entry: &Value) -> Option<&str> {
    entry.get("digest")?.as_str()
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

pub(super) fn to_value(descriptor: &Descriptor) -> Result<Value> {
    serde_json::to_value(descriptor)
        .map_err(|cause| Error::new(Code::Bug, "writing a descriptor").found(&cause).cause(cause))
}
