//! What an entry leads to.

use std::collections::HashSet;

use plimsoll_content::limits::Limits;
use plimsoll_content::{Code, Descriptor, Digest, Error, MediaType, Result, Sink, Source};
use plimsoll_spec::Node;
use plimsoll_spec::media_type::{DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED};
use serde_json::Value;

use super::Layout;

/// What a descriptor leads to, itself included: each digest once, documents
/// before what they point at, in their order. Subjects, which are weak links,
/// are not followed.
#[derive(Clone, Debug, Default)]
pub struct Reachable {
    /// What the layout holds, with the right size.
    pub present: Vec<Descriptor>,
    /// What the layout does not hold, or holds with another size. That is
    /// legal (LA14); what a missing document points at is unknown.
    pub missing: Vec<Descriptor>,
}

impl Layout {
    /// Walks from a descriptor through indexes and manifests to all that they
    /// point at. Documents are read and proved, other content is not.
    ///
    /// Errors if a document is not what it is said to be, and with
    /// [`Code::Limit`] if indexes nest deeper than [`Limits::index_depth`]
    /// or there is more than [`Limits::index_visits`] to visit.
    pub fn reachable(&self, start: &Descriptor) -> Result<Reachable> {
        let mut walk = Walk::default();
        walk.from(self, start)?;
        Ok(walk.reachable)
    }
}

/// Walks that share what they have seen.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) reachable: Reachable,
    /// Digests that stand in documents whose meaning is unknown.
    pub(super) mentioned: HashSet<Digest>,
    /// One digest may be said to be several things.
    seen: HashSet<(Digest, MediaType)>,
    listed: HashSet<Digest>,
}

impl Walk {
    pub(super) fn from(&mut self, layout: &Layout, start: &Descriptor) -> Result<()> {
        let limit = |what: String| {
            Error::new(Code::Limit, format!("following {}", start.digest)).found(what)
        };
        let Limits { index_visits, index_depth, .. } = layout.options.limits;
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
                read(layout, &descriptor)?
            } else {
                None
            };
            let present =
                document.is_some() || descriptor.data.is_some() || layout.has(&descriptor)?;
            if self.listed.insert(descriptor.digest.clone()) {
                let list =
                    if present { &mut self.reachable.present } else { &mut self.reachable.missing };
                list.push(descriptor.clone());
            }
            let Some(bytes) = document else {
                if entry && present {
                    self.mention(layout, &descriptor);
                }
                continue;
            };
            let node = Node::parse_within(&descriptor, bytes, &layout.options.limits)?;
            let below = depth + usize::from(matches!(node, Node::Index(_)));
            if below > index_depth {
                return Err(
                    limit(format!("more than {index_depth} nested indexes")).expected("fewer")
                );
            }
            let entries = matches!(node, Node::Index(_));
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
    fn mention(&mut self, layout: &Layout, descriptor: &Descriptor) {
        let old = [DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED].contains(&descriptor.media_type);
        if !old && !descriptor.media_type.as_str().ends_with("json") {
            return;
        }
        let most = layout.options.limits.document;
        let Ok(bytes) = (layout as &dyn Source).read(descriptor, "a document", most) else {
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

/// The bytes of a document, or `None` if the layout does not hold it. One
/// that is there and broken is an error: what it points at must not be taken
/// for unneeded.
fn read(layout: &Layout, descriptor: &Descriptor) -> Result<Option<Vec<u8>>> {
    let limits = layout.options.limits;
    let limit = limits.index.max(limits.document);
    match (layout as &dyn Source).read(descriptor, "a document", limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.code() == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
