//! Indexes that are converted: their images, nested indexes, and what builders
//! attach to images in them.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_content::{Code, Descriptor, Digest, Document, Error, Result};
use plimsoll_spec::Index;
use plimsoll_spec::graph::Node;
use serde_json::{Map, Value};

use super::{Converter, Family};
use crate::draft::{parse, update};
use crate::edit::array;
use crate::image;

/// What builders say of what they attach to an image inside of its index: what
/// it is, and the digest of the image.
const ATTACHED: &str = "vnd.docker.reference.type";
const ATTACHED_TO: &str = "vnd.docker.reference.digest";

/// What became of an entry.
enum Made {
    /// Another one in its place.
    One(Box<Descriptor>),
    /// The entries of the index that it was.
    Several(Vec<Value>),
}

impl Converter<'_> {
    pub(super) fn index(
        &mut self,
        descriptor: &Descriptor,
        index: &Document<Index>,
        depth: usize,
    ) -> Result<Descriptor> {
        let family = self.options.family.unwrap_or(Family::of(&descriptor.media_type));
        let mut value = parse(index.bytes())?;
        let lost = family.index(&mut value, &descriptor.media_type);
        self.lose(descriptor, lost);
        let to_docker = family == Family::Docker && family != Family::of(&descriptor.media_type);
        let mut flat = to_docker.then(BTreeSet::new);
        let members = self.members(descriptor, index, depth, &mut flat)?;
        *array(&mut value, "manifests")? = members;
        let new = self.write(descriptor, index, &value, family)?;
        self.told(descriptor, &new, Vec::new());
        Ok(new)
    }

    /// What an index lists now. Docker's lists list images with their
    /// platforms and nothing else: on the way to one (`flat`, the indexes that
    /// were taken apart), what a nested index lists is listed in the place of
    /// that.
    fn members(
        &mut self,
        descriptor: &Descriptor,
        index: &Document<Index>,
        depth: usize,
        flat: &mut Option<BTreeSet<Digest>>,
    ) -> Result<Vec<Value>> {
        let to_docker = flat.is_some();
        let mut made: BTreeMap<usize, Made> = BTreeMap::new();
        let mut of: BTreeMap<Digest, Digest> = BTreeMap::new();
        let mut lost = Vec::new();
        for (position, entry) in index.manifests.iter().enumerate() {
            if is_attached(entry) || !self.is_meant(entry, depth + 1)? {
                continue;
            }
            let at = |error: Error| error.context(format!("converting entry {}", position + 1));
            let one = if let Some(nested) = self.nested(entry, depth + 1, to_docker)? {
                if !flat.as_mut().is_some_and(|flat| flat.insert(entry.digest.clone())) {
                    // All that it lists is listed.
                    continue;
                }
                lost.push(format!(
                    "entry {}: the index {} around its images",
                    position + 1,
                    entry.digest
                ));
                let said = Family::Docker.index(&mut parse(nested.bytes())?, &entry.media_type);
                self.lose(entry, said);
                Made::Several(self.members(entry, &nested, depth + 1, flat).map_err(at)?)
            } else {
                let new = self.node(entry, depth + 1).map_err(at)?;
                of.insert(entry.digest.clone(), new.digest.clone());
                Made::One(Box::new(new))
            };
            made.insert(position, one);
        }
        let mut members = list(&parse(index.bytes())?);
        for (position, entry) in
            index.manifests.iter().enumerate().filter(|(_, it)| is_attached(it))
        {
            let about = entry.annotations.get(ATTACHED_TO).and_then(|text| text.parse().ok());
            let about = about.and_then(|old: Digest| of.get(&old).map(|new| (old, new.clone())));
            if to_docker {
                lost.push(format!("entry {}: the attestation {}", position + 1, entry.digest));
            } else if about.is_some() || self.only.is_none() {
                made.insert(position, Made::One(Box::new(self.node(entry, depth + 1)?)));
                self.reattach(entry, members.get_mut(position), about);
            }
        }
        let mut listed = Vec::new();
        for (position, (mut member, entry)) in members.drain(..).zip(&index.manifests).enumerate() {
            match made.remove(&position) {
                None => {}
                Some(Made::Several(members)) => listed.extend(members),
                Some(Made::One(new)) => {
                    if let Value::Object(members) = &mut member {
                        // What it says of the platform is true still.
                        update(members, entry, &Descriptor { platform: None, ..*new.clone() })?;
                        let kind = Value::from(new.media_type.as_str());
                        members.insert("mediaType".to_owned(), kind);
                        if to_docker {
                            fill_platform(members, &new)?;
                        }
                    }
                    if to_docker {
                        lost.extend(Family::Docker.entry(&mut member, position));
                    }
                    listed.push(member);
                }
            }
        }
        self.lose(descriptor, lost);
        Ok(listed)
    }

    /// An entry that is an index whose entries go into that around it.
    fn nested(
        &self,
        entry: &Descriptor,
        depth: usize,
        to_docker: bool,
    ) -> Result<Option<Document<Index>>> {
        if !to_docker || depth > self.source.limits().index_depth {
            return Ok(None);
        }
        match image::node(self.source, entry)? {
            Node::Index(index) => Ok(Some(index)),
            _ => Ok(None),
        }
    }

    /// Lets an attestation point at its image as it is now.
    fn reattach(
        &mut self,
        entry: &Descriptor,
        member: Option<&mut Value>,
        about: Option<(Digest, Digest)>,
    ) {
        let Some((old, now)) = about else {
            self.warn(format!("the attestation {} is about nothing in its index", entry.digest));
            return;
        };
        if old == now {
            return;
        }
        self.warn(format!(
            "the attestation {} goes along with {now}; what it states, it states of {old}",
            entry.digest
        ));
        if let Some(annotations) = member.and_then(|member| member.get_mut("annotations")) {
            annotations[ATTACHED_TO] = Value::from(now.to_string());
        }
    }

    /// Whether an entry is chosen, or leads to what is.
    fn is_meant(&mut self, entry: &Descriptor, depth: usize) -> Result<bool> {
        let Some(only) = &self.only else { return Ok(true) };
        if only.contains(&entry.digest) {
            return Ok(true);
        }
        if depth > self.source.limits().index_depth {
            return Ok(false);
        }
        if let Some(meant) = self.meant.get(&entry.digest) {
            return Ok(*meant);
        }
        let mut meant = false;
        match image::node(self.source, entry) {
            Ok(Node::Index(index)) => {
                for entry in &index.manifests {
                    meant = meant || self.is_meant(entry, depth + 1)?;
                }
            }
            Ok(_) => {}
            Err(error) if error.code() == Code::NotFound => {}
            Err(error) => return Err(error),
        }
        self.meant.insert(entry.digest.clone(), meant);
        Ok(meant)
    }
}

pub(super) fn is_attached(entry: &Descriptor) -> bool {
    entry.annotations.contains_key(ATTACHED)
}

/// Docker's lists say of each image what it runs on.
fn fill_platform(member: &mut Map<String, Value>, new: &Descriptor) -> Result<()> {
    if member.get("platform").is_none_or(Value::is_null)
        && let Some(platform) = &new.platform
    {
        let platform = serde_json::to_value(platform).map_err(|cause| {
            Error::new(Code::Bug, "writing a platform").found(&cause).cause(cause)
        })?;
        member.insert("platform".to_owned(), platform);
    }
    Ok(())
}

/// The entries of an index, as they are written there.
fn list(index: &Map<String, Value>) -> Vec<Value> {
    index.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default()
}
