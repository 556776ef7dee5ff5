//! What a layout serves at one moment: tags, documents, referrers.
//!
//! It is made anew when `index.json` has changed, by whomever. What was only
//! added to the list is added to the view; what documents say is read once,
//! for a digest never changes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use plimsoll_content::{Annotations, Code, Descriptor, Digest, Error, Result};
use plimsoll_registry::protocol::Repository;
use plimsoll_spec::Node;
use plimsoll_store::{Layout, Line, Stamp, document};

use super::naming::Naming;
use crate::storage::untagged::{self, Member};

/// What a layout serves.
#[derive(Debug)]
pub(super) struct View {
    /// Of which list it is; `None` if it has to be looked at anew.
    pub(super) stamp: Option<Stamp>,
    /// The list that it was made of.
    lines: Vec<Arc<Line>>,
    /// Repositories that have tags, and those.
    pub(super) repositories: BTreeMap<Repository, BTreeMap<String, Digest>>,
    /// Everything that can be asked for as a manifest: what is listed, and
    /// what indexes lead to.
    documents: HashMap<Digest, Arc<Facts>>,
    /// What is about what.
    referrers: HashMap<Digest, BTreeMap<Digest, Arc<Facts>>>,
}

/// What one document says.
#[derive(Debug)]
struct Facts {
    /// What it is, with the three members that each descriptor has.
    descriptor: Descriptor,
    /// Whether it is not there, or broken: whoever asks for it is told.
    broken: bool,
    /// The documents that it leads to.
    children: Vec<Descriptor>,
    /// What it is about.
    subject: Option<Digest>,
    /// How it is listed among referrers.
    referrer: Option<Descriptor>,
}

impl View {
    /// What was never looked at.
    pub(super) fn empty() -> Self {
        Self {
            stamp: None,
            lines: Vec::new(),
            repositories: BTreeMap::new(),
            documents: HashMap::new(),
            referrers: HashMap::new(),
        }
    }

    /// Looks at a layout; what the last look has read is not read again.
    pub(super) fn look(&mut self, layout: &Layout, naming: &Naming) -> Result<()> {
        // Before the list: a change in between is seen the next time.
        let stamp = layout.stamp()?;
        let lines = layout.lines()?;
        let mut known = HashMap::new();
        if self.stamp.is_none() || !begins_with(&lines, &self.lines) {
            // More than that the list has grown.
            known = std::mem::replace(self, Self::empty()).documents;
        }
        // If it ends with an error, all of it is looked at again.
        self.stamp = None;
        let new = &lines[self.lines.len()..];
        for line in new {
            self.name(line, naming);
        }
        for line in new {
            self.add(layout, line.descriptor(), &known)?;
        }
        self.lines = lines;
        self.stamp = Some(stamp);
        Ok(())
    }

    fn name(&mut self, line: &Line, naming: &Naming) {
        if let Some((repository, tag, usual)) = line.name().and_then(|name| naming.read(name)) {
            let tags = self.repositories.entry(repository).or_default();
            if usual || !tags.contains_key(tag.as_str()) {
                tags.insert(tag.to_string(), line.digest().clone());
            }
        }
    }

    /// Adds a document, and those that it leads to.
    fn add(
        &mut self,
        layout: &Layout,
        document: &Descriptor,
        known: &HashMap<Digest, Arc<Facts>>,
    ) -> Result<()> {
        let mut next = vec![plain(document)];
        while let Some(document) = next.pop() {
            if self.documents.get(&document.digest).is_some_and(|facts| !facts.broken) {
                continue;
            }
            let known = known.get(&document.digest);
            let known = known.filter(|facts| !facts.broken && facts.descriptor == document);
            let facts = match known {
                Some(facts) => Arc::clone(facts),
                None => match Facts::of(layout, document)? {
                    Some(facts) => Arc::new(facts),
                    None => continue,
                },
            };
            if let (Some(subject), Some(_)) = (&facts.subject, &facts.referrer) {
                let about = self.referrers.entry(subject.clone()).or_default();
                about.insert(facts.descriptor.digest.clone(), Arc::clone(&facts));
            }
            next.extend(facts.children.iter().cloned());
            self.documents.insert(facts.descriptor.digest.clone(), facts);
        }
        Ok(())
    }

    /// Notes that a document is gone, which the list does not tell.
    pub(super) fn forget(&mut self, digest: &Digest) {
        self.documents.remove(digest);
        self.stamp = None;
    }

    /// The listed documents without a name that nobody needs, though they are
    /// old: `young` says which are not.
    ///
    /// Errors with [`Code::Malformed`] if one can not be read, for then nobody
    /// can tell what it needs.
    pub(super) fn untagged(
        &self,
        young: impl Fn(&Digest) -> Result<bool>,
    ) -> Result<HashSet<Digest>> {
        let named = self.lines.iter().filter(|line| line.name().is_some());
        let named: HashSet<_> = named.map(|line| line.digest()).collect();
        let listed: HashSet<_> = self.lines.iter().map(|line| line.digest()).collect();
        let mut members = Vec::new();
        for (digest, facts) in &self.documents {
            if facts.broken {
                let doing = format!("finding what {digest} needs");
                return Err(Error::new(Code::Malformed, doing).found("a broken document"));
            }
            let stays = named.contains(digest) || (listed.contains(digest) && young(digest)?);
            members.push(Member {
                digest: digest.clone(),
                leads: facts.children.iter().map(|child| child.digest.clone()).collect(),
                subject: facts.subject.clone(),
                stays,
            });
        }
        let mut gone = untagged::unneeded(&members);
        gone.retain(|digest| listed.contains(digest));
        Ok(gone)
    }

    /// Whether it holds nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// What a digest stands for, if it is that of a document.
    pub(super) fn document(&self, digest: &Digest) -> Option<&Descriptor> {
        self.documents.get(digest).map(|facts| &facts.descriptor)
    }

    /// What a tag stands for.
    pub(super) fn tagged(&self, repository: &Repository, tag: &str) -> Option<&Descriptor> {
        self.document(self.repositories.get(repository)?.get(tag)?)
    }

    /// What is about a document, in the order of the digests.
    pub(super) fn about(&self, subject: &Digest) -> Vec<Descriptor> {
        let found = self.referrers.get(subject).map(BTreeMap::values);
        found.into_iter().flatten().filter_map(|facts| facts.referrer.clone()).collect()
    }
}

/// Whether a list is another one with more behind it.
fn begins_with(lines: &[Arc<Line>], old: &[Arc<Line>]) -> bool {
    lines.len() >= old.len() && old.iter().zip(lines).all(|(old, new)| Arc::ptr_eq(old, new))
}

impl Facts {
    /// What a document says; `None` if it is not there.
    fn of(layout: &Layout, descriptor: Descriptor) -> Result<Option<Self>> {
        let Ok(node) = document::node(layout, &descriptor) else {
            let there = layout.blob_file(&descriptor.digest)?.is_some();
            let (children, subject, referrer) = (Vec::new(), None, None);
            let facts = Self { descriptor, broken: true, children, subject, referrer };
            return Ok(there.then_some(facts));
        };
        let children = node.successors().into_iter().map(|(_, child)| child);
        let children = children.filter(|child| Node::is_document(&child.media_type));
        let children = children.map(plain).collect();
        let subject = node.subject().map(|subject| subject.digest.clone());
        let referrer = subject.as_ref().map(|_| referrer(&descriptor, &node));
        Ok(Some(Self { descriptor, broken: false, children, subject, referrer }))
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

#[cfg(test)]
mod tests {
    use plimsoll_content::{Algorithm, Sink};
    use plimsoll_spec::media_type;
    use plimsoll_store::Listing;
    use serde_json::json;

    use super::*;

    /// What can be seen of a view.
    fn seen(view: &View) -> impl PartialEq + std::fmt::Debug + use<> {
        let documents: BTreeMap<_, _> = view
            .documents
            .iter()
            .map(|(digest, facts)| (digest.clone(), facts.descriptor.clone()))
            .collect();
        let about: BTreeMap<_, _> =
            view.referrers.keys().map(|digest| (digest.clone(), view.about(digest))).collect();
        (view.repositories.clone(), format!("{documents:?} {about:?}"))
    }

    #[test]
    fn a_view_that_grows_is_like_one_that_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::open_or_create(&folder.path().join("layout")).expect("a layout");
        let naming = Naming { base: Some("a".parse().expect("a name")), others: false };
        let add = |kind: plimsoll_content::MediaType, value: serde_json::Value| {
            let bytes = value.to_string().into_bytes();
            let blob = Descriptor::of(kind, Algorithm::Sha256, &bytes);
            (&layout as &dyn Sink).write(&blob, &bytes).expect("written");
            blob
        };
        let config = add(media_type::EMPTY, json!({}));
        let manifest = |text: &str, subject: Option<&Descriptor>| {
            let mut value = json!({"schemaVersion": 2, "mediaType": media_type::MANIFEST,
                "config": config, "layers": [], "annotations": {"text": text}});
            if let Some(subject) = subject {
                value["subject"] = json!(subject);
            }
            add(media_type::MANIFEST, value)
        };
        let (one, two) = (manifest("one", None), manifest("two", None));
        let about = manifest("about", Some(&one));
        let index = add(
            media_type::INDEX,
            json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [one, about]}),
        );
        let all = [one, two, about, index];
        let mut view = View::empty();
        let (mut state, mut grew) = (1u32, 0);
        for _ in 0..300 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (what, which, tag) = (state >> 28, (state >> 24) as usize & 3, state >> 20 & 15);
            let target = all[which].clone();
            let names = if what < 8 { vec![format!("t{tag}")] } else { Vec::new() };
            match what {
                0..12 => layout.list(&[Listing { target, names }]).expect("listed"),
                12 | 13 => drop(layout.unname(&[format!("t{tag}")]).expect("unnamed")),
                14 => drop(layout.unlist(&target.digest, &|_| false).expect("unlisted")),
                // Another process: nothing is the same in memory.
                _ => {
                    let other = Layout::open(layout.path()).expect("a layout");
                    other.list(&[Listing { target, names: vec!["u".to_owned()] }]).expect("listed");
                }
            }
            let before = view.lines.len();
            view.look(&layout, &naming).expect("a view");
            grew += usize::from(view.lines.len() > before);
            let mut anew = View::empty();
            anew.look(&layout, &naming).expect("a view");
            assert_eq!(seen(&view), seen(&anew));
        }
        assert!(grew > 20, "{grew}");
    }
}
