//! What an entry leads to.

use std::collections::{BTreeMap, HashSet};

use plimsoll_content::limits::Limits;
use plimsoll_content::{Code, Descriptor, Digest, Error, MediaType, Result, Sink, Source};
use plimsoll_spec::Node;
use plimsoll_spec::media_type::DOCKER_LAYER_GZIP;
use serde_json::Value;

use super::Layout;
use crate::catalog::{Catalog, Entry};
use crate::document;

/// What a descriptor leads to, itself included: each digest once, documents
/// before what they point at, in their order. Subjects, which are weak links,
/// are not followed.
#[derive(Clone, Debug, Default)]
pub struct Reachable {
    /// What the place holds, with the right size.
    pub present: Vec<Descriptor>,
    /// What the place does not hold, or holds with another size. That is
    /// legal (LA14); what a missing document points at is unknown.
    pub missing: Vec<Descriptor>,
}

/// Everything that belongs to some content: what it leads to, and, to any
/// depth, what says by its `subject` that it is about a part of that.
#[derive(Clone, Debug, Default)]
pub struct Closure {
    /// All of it, each digest once: documents before what they point at.
    pub reachable: Reachable,
    /// The manifests that are about others, in the order of their digests
    /// for each subject. Nothing leads to them, so they must be listed.
    pub referrers: Vec<Descriptor>,
    /// The entries whose names are made of a digest, as clients of old
    /// registries write them: `sha256-….sig` and the like.
    pub named: Vec<Entry>,
}

/// Who knows what is about some content.
pub trait About {
    /// What says by its `subject` that it is about that content, in the order
    /// of digests.
    fn to(&self, subject: &Descriptor) -> Result<Vec<Descriptor>>;

    /// The entries that are named after that content.
    fn named(&self, subject: &Descriptor) -> Result<Vec<Entry>>;
}

/// Who points at whom by `subject` in a place, and who is named after whom.
#[derive(Debug, Default)]
pub struct Referrers {
    by_subject: BTreeMap<Digest, BTreeMap<Digest, Descriptor>>,
    named: Vec<Entry>,
}

impl Referrers {
    /// Looks at all documents that the entries of a place lead to.
    pub fn of(source: &dyn Source, catalog: &Catalog) -> Result<Self> {
        let mut walk = Walk::default();
        for entry in catalog.entries() {
            walk.over(source, &|blob| source.holds(blob), &entry.descriptor).map_err(|error| {
                error.context(format!("looking for referrers: entry @{}", entry.position))
            })?;
        }
        let mut found = Self::default();
        for (subject, referrer) in walk.subjects {
            found
                .by_subject
                .entry(subject)
                .or_default()
                .entry(referrer.digest.clone())
                .or_insert(referrer);
        }
        found.named = catalog
            .entries()
            .iter()
            .filter(|it| it.name().is_some_and(Digest::is_tag))
            .cloned()
            .collect();
        Ok(found)
    }
}

impl About for Referrers {
    fn to(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let about = self.by_subject.get(&subject.digest);
        Ok(about.into_iter().flat_map(BTreeMap::values).cloned().collect())
    }

    fn named(&self, subject: &Descriptor) -> Result<Vec<Entry>> {
        let digest = &subject.digest;
        let prefix = format!("{}-{}", digest.algorithm_name(), digest.encoded());
        let named = self.named.iter().filter(|entry| {
            let rest = entry.name().and_then(|name| name.strip_prefix(&prefix));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        Ok(named.cloned().collect())
    }
}

/// Everything that belongs to `start`; without `referrers`, only what it
/// leads to.
///
/// Errors as [`reachable`](fn@reachable) does, and with [`Code::Limit`] if
/// there is more than [`Limits::index_visits`] (hostile case GR05).
pub fn closure(
    source: &dyn Source,
    start: &Descriptor,
    referrers: Option<&dyn About>,
) -> Result<Closure> {
    let has = |blob: &Descriptor| source.holds(blob);
    let mut walk = Walk::default();
    walk.over(source, &has, start)?;
    let (mut listed, mut named) = (Vec::new(), Vec::new());
    let (mut known, mut known_names) = (HashSet::from([start.digest.clone()]), HashSet::new());
    if let Some(referrers) = referrers {
        let most = source.limits().index_visits;
        let mut next = 0;
        // What is found grows the list that is gone through.
        while let Some(blob) = walk.reachable.present.get(next).cloned() {
            next += 1;
            if next > most {
                return Err(Error::new(
                    Code::Limit,
                    format!("following referrers of {}", start.digest),
                )
                .found(format!("more than {most} blobs"))
                .expected("fewer"));
            }
            for referrer in referrers.to(&blob)? {
                if known.insert(referrer.digest.clone()) {
                    walk.over(source, &has, &referrer)?;
                    listed.push(referrer);
                }
            }
            for entry in referrers.named(&blob)? {
                let name = entry.name().map(str::to_owned);
                if known_names.insert((name, entry.descriptor.digest.clone())) {
                    walk.over(source, &has, &entry.descriptor)?;
                    named.push(entry);
                }
            }
        }
    }
    Ok(Closure { reachable: walk.reachable, referrers: listed, named })
}

/// Walks from a descriptor through indexes and manifests to all that they
/// point at, in any kind of place. Documents are read and proved, other
/// content is not.
///
/// Errors if a document is not what it is said to be, and with
/// [`Code::Limit`] if indexes nest deeper than [`Limits::index_depth`]
/// or there is more than [`Limits::index_visits`] to visit.
pub fn reachable(source: &dyn Source, start: &Descriptor) -> Result<Reachable> {
    let mut walk = Walk::default();
    walk.over(source, &|blob| source.holds(blob), start)?;
    Ok(walk.reachable)
}

impl Layout {
    /// The same as [`reachable`](fn@reachable) in a layout, where a blob of
    /// another size than announced counts as missing.
    pub fn reachable(&self, start: &Descriptor) -> Result<Reachable> {
        let mut walk = Walk::default();
        walk.from(self, start)?;
        Ok(walk.reachable)
    }
}

/// Walks that share what they have seen.
#[derive(Default)]
pub(crate) struct Walk {
    pub(crate) reachable: Reachable,
    /// Who points at whom by `subject`: the subject, and the document.
    pub(crate) subjects: Vec<(Digest, Descriptor)>,
    /// Digests that stand in documents whose meaning is unknown.
    pub(super) mentioned: HashSet<Digest>,
    /// One digest may be said to be several things.
    seen: HashSet<(Digest, MediaType)>,
    listed: HashSet<Digest>,
}

impl Walk {
    pub(super) fn from(&mut self, layout: &Layout, start: &Descriptor) -> Result<()> {
        self.over(layout, &|blob| layout.has(blob), start)
    }

    /// Walks in any place; `has` says what it holds.
    pub(crate) fn over(
        &mut self,
        source: &dyn Source,
        has: &dyn Fn(&Descriptor) -> Result<bool>,
        start: &Descriptor,
    ) -> Result<()> {
        let limit = |what: String| {
            Error::new(Code::Limit, format!("following {}", start.digest)).found(what)
        };
        let limits = source.limits();
        let Limits { index_visits, index_depth, .. } = limits;
        let mut visits = 0;
        let mut next = vec![(0, true, start.clone())];
        while let Some((depth, entry, descriptor)) = next.pop() {
            visits += 1;
            if visits > index_visits {
                return Err(
                    limit(format!("more than {index_visits} descriptors")).expected("fewer")
                );
            }
            if !self.seen.insert((descriptor.digest.clone(), descriptor.media_type.clone())) {
                continue;
            }
            let document = if Node::is_document(&descriptor.media_type) {
                read(source, &descriptor)?
            } else {
                None
            };
            let present = document.is_some() || descriptor.data.is_some() || has(&descriptor)?;
            if self.listed.insert(descriptor.digest.clone()) {
                let list =
                    if present { &mut self.reachable.present } else { &mut self.reachable.missing };
                list.push(descriptor.clone());
            }
            let Some(bytes) = document else {
                if entry && present {
                    self.mention(source, &descriptor);
                }
                continue;
            };
            let node = Node::parse_within(&descriptor, bytes, &limits)?;
            if let Some(subject) = node.subject() {
                self.subjects.push((subject.digest.clone(), descriptor.clone()));
            }
            let below = depth + usize::from(matches!(node, Node::Index(_)));
            if below > index_depth {
                return Err(
                    limit(format!("more than {index_depth} nested indexes")).expected("fewer")
                );
            }
            let entries = matches!(node, Node::Index(_));
            if let Node::Schema1(manifest) = &node {
                // Its layers have digests alone.
                let layers = manifest.blobs().into_iter().rev().map(|blob| {
                    let size = source.length(blob)?.unwrap_or_default();
                    Ok((below, false, Descriptor::new(DOCKER_LAYER_GZIP, blob.clone(), size)))
                });
                next.extend(layers.collect::<Result<Vec<_>>>()?);
            }
            let successors = node.successors();
            next.extend(
                successors
                    .into_iter()
                    .rev()
                    .map(|(_, successor)| (below, entries, successor.clone())),
            );
        }
        Ok(())
    }

    /// Notes every digest in a JSON document of an unknown kind: what it
    /// means is unknown, so it may be needed.
    fn mention(&mut self, source: &dyn Source, descriptor: &Descriptor) {
        if !descriptor.media_type.as_str().ends_with("json") {
            return;
        }
        let most = source.limits().document;
        let Ok(bytes) = source.read(descriptor, "a document", most) else {
            return;
        };
        let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { return };
        let mut values = vec![&value];
        while let Some(value) = values.pop() {
            match value {
                Value::String(text) => self.mentioned.extend(text.parse::<Digest>()),
                Value::Array(elements) => values.extend(elements),
                Value::Object(members) => values.extend(members.values()),
                _ => {}
            }
        }
    }
}

/// The bytes of a document, or `None` if the place does not hold it. One
/// that is there and broken is an error: what it points at must not be taken
/// for unneeded.
fn read(source: &dyn Source, descriptor: &Descriptor) -> Result<Option<Vec<u8>>> {
    match document::read(source, descriptor) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.code() == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
