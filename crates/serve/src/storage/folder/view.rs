//! What a layout serves at one moment: tags, documents, referrers.
//!
//! It is made anew when `index.json` has changed, by whomever; what documents
//! say is read once, for a digest never changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use plimsoll_content::{Annotations, Descriptor, Digest, Result};
use plimsoll_registry::protocol::Repository;
use plimsoll_spec::Node;
use plimsoll_store::{Layout, Stamp, document};

use super::naming::Naming;

/// What a layout serves.
#[derive(Debug)]
pub(super) struct View {
    pub(super) stamp: Stamp,
    /// Repositories that have tags, and those.
    pub(super) repositories: BTreeMap<Repository, BTreeMap<String, Digest>>,
    /// Everything that can be asked for as a manifest: what is listed, and
    /// what indexes lead to.
    pub(super) documents: HashMap<Digest, Descriptor>,
    /// What is about what.
    pub(super) referrers: HashMap<Digest, BTreeMap<Digest, Descriptor>>,
    /// What the documents say.
    facts: HashMap<Digest, Arc<Facts>>,
}

/// What one document says.
#[derive(Debug, Default)]
struct Facts {
    /// The documents that it leads to.
    children: Vec<Descriptor>,
    /// What it is about.
    subject: Option<Digest>,
    /// How it is listed among referrers.
    referrer: Option<Descriptor>,
}

impl View {
    /// Looks at a layout; what the last look has read is not read again.
    pub(super) fn of(layout: &Layout, naming: &Naming, last: Option<&Self>) -> Result<Self> {
        // Before the list: a change in between is seen the next time.
        let stamp = layout.stamp()?;
        let mut view = Self {
            stamp,
            repositories: BTreeMap::new(),
            documents: HashMap::new(),
            referrers: HashMap::new(),
            facts: HashMap::new(),
        };
        let mut next = Vec::new();
        for entry in layout.entries()? {
            let mut target = entry.descriptor;
            if let Some(name) = target.annotations.remove(plimsoll_spec::annotations::REF_NAME)
                && let Some((repository, tag, usual)) = naming.read(&name)
            {
                let tags = view.repositories.entry(repository).or_default();
                if usual || !tags.contains_key(tag.as_str()) {
                    tags.insert(tag.to_string(), target.digest.clone());
                }
            }
            next.push(target);
        }
        while let Some(document) = next.pop() {
            let digest = &document.digest;
            if view.documents.contains_key(digest) {
                continue;
            }
            let known = last.and_then(|last| last.facts.get(digest)).cloned();
            let facts = match known {
                Some(facts) => facts,
                None => match Facts::of(layout, &document) {
                    Some(facts) => Arc::new(facts),
                    // Not there, or broken: whoever asks for it is told.
                    None => {
                        if layout.blob_file(digest)?.is_some() {
                            view.documents.insert(digest.clone(), document);
                        }
                        continue;
                    }
                },
            };
            if let (Some(subject), Some(referrer)) = (&facts.subject, &facts.referrer) {
                view.referrers
                    .entry(subject.clone())
                    .or_default()
                    .insert(digest.clone(), referrer.clone());
            }
            next.extend(facts.children.iter().cloned());
            view.facts.insert(digest.clone(), facts);
            view.documents.insert(digest.clone(), document);
        }
        Ok(view)
    }

    /// What a tag stands for.
    pub(super) fn tagged(&self, repository: &Repository, tag: &str) -> Option<&Descriptor> {
        self.documents.get(self.repositories.get(repository)?.get(tag)?)
    }
}

impl Facts {
    fn of(layout: &Layout, descriptor: &Descriptor) -> Option<Self> {
        let node = document::node(layout, descriptor).ok()?;
        let children = node.successors().into_iter().map(|(_, child)| child);
        let children = children.filter(|child| Node::is_document(&child.media_type));
        let children = children.map(plain).collect();
        let subject = node.subject().map(|subject| subject.digest.clone());
        let referrer = subject.as_ref().map(|_| referrer(descriptor, &node));
        Some(Self { children, subject, referrer })
    }
}

/// A descriptor with the three members that each has.
fn plain(descriptor: &Descriptor) -> Descriptor {
    Descriptor::new(descriptor.media_type.clone(), descriptor.digest.clone(), descriptor.size)
}

/// How a document is listed among the referrers of its subject: with its
/// annotations, and with what kind of artifact it is (distribution-spec,
/// "Listing Referrers").
pub(crate) fn referrer(descriptor: &Descriptor, node: &Node) -> Descriptor {
    let mut listed = plain(descriptor);
    let (kind, annotations) = match node {
        Node::Manifest(manifest) => (Some(manifest.kind().clone()), manifest.annotations.clone()),
        Node::Index(index) => (index.artifact_type.clone(), index.annotations.clone()),
        _ => (None, Annotations::new()),
    };
    listed.artifact_type = kind;
    listed.annotations = annotations;
    listed
}
