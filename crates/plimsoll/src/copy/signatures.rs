//! Signatures go along with the images that are copied: what vouches for an image, or
//! attests something of it, among its referrers and under the tags that cosign makes of
//! its digest.
//!
//! That is no more than the source lists cheaply: of a registry, one list of referrers and
//! one tag are asked for, and what an index lists is only looked at if the index itself is
//! signed. What can not be had is a warning and no error, since nobody has asked for it.
//! Whoever wants all that is about an image says so (`Options::referrers`).

use std::cell::RefCell;
use std::collections::BTreeMap;

use plimsoll_content::{Descriptor, Digest, Result, Source};
use plimsoll_sign::Limits;
use plimsoll_spec::Index;
use plimsoll_spec::graph::Node;
use plimsoll_store::{About, Catalog, Entry};

use crate::attach::fallback_tag;
use crate::image;
use crate::place::{Held, registry};
use crate::trust::gather::{self, is_signature};

/// Where signatures are looked for.
pub(super) struct Place<'a> {
    pub(super) source: &'a dyn Source,
    /// What it lists, where it lists little.
    pub(super) catalog: Option<Catalog>,
    /// Who is asked by name.
    pub(super) held: Option<&'a Held>,
}

impl<'a> Place<'a> {
    pub(super) fn of(held: &'a Held) -> Result<Self> {
        let catalog = match held {
            Held::Registry(_) | Held::Named(_) => None,
            other => Some(other.catalog()?),
        };
        Ok(Self { source: held.source(), catalog, held: Some(held) })
    }

    /// What says that it is about some content.
    fn to(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let Some(catalog) = &self.catalog else {
            let Some(held) = self.held else { return Ok(Vec::new()) };
            return gather::about(held)?.to(subject);
        };
        let mut found = Vec::new();
        let tag = fallback_tag(&subject.digest);
        for entry in catalog.entries() {
            let of_kind = entry.descriptor.artifact_type.as_ref();
            if entry.name() == Some(&tag) {
                let list = self.source.document::<Index>(&entry.descriptor)?;
                found.extend(list.manifests.iter().cloned());
            } else if of_kind.is_some_and(|kind| is_signature(kind.as_str())) {
                found.push(entry.descriptor.clone());
            }
        }
        Ok(found)
    }

    /// What has that name.
    fn named(&self, name: &str) -> Result<Option<Entry>> {
        if let Some(catalog) = &self.catalog {
            return Ok(catalog.find_name(name).ok());
        }
        let Some(held) = self.held else { return Ok(None) };
        let found = gather::tagged(held, name)?;
        Ok(found.map(|descriptor| registry::called(descriptor, name)))
    }
}

/// The signatures of one image and of what it lists.
pub(super) struct Signatures<'a> {
    place: Place<'a>,
    root: Digest,
    known: RefCell<Known>,
    limits: Limits,
}

#[derive(Default)]
struct Known {
    /// Those of each content, as far as they were looked for.
    of: BTreeMap<Digest, (Vec<Descriptor>, Vec<Entry>)>,
    /// How many there are, and how long.
    count: usize,
    bytes: u64,
    warnings: Vec<String>,
}

impl<'a> Signatures<'a> {
    pub(super) fn of(place: Place<'a>, root: &Descriptor) -> Self {
        let signatures = Self {
            place,
            root: root.digest.clone(),
            known: RefCell::default(),
            limits: Limits::default(),
        };
        signatures.look(root);
        signatures
    }

    /// What could not be had.
    pub(super) fn warnings(self) -> Vec<String> {
        self.known.into_inner().warnings
    }

    fn warn(&self, about: &Digest, what: impl std::fmt::Display) {
        self.known
            .borrow_mut()
            .warnings
            .push(format!("signatures of {about} are not copied: {what}"));
    }

    /// Those of some content, which are looked for once.
    fn look(&self, subject: &Descriptor) -> (Vec<Descriptor>, Vec<Entry>) {
        let digest = &subject.digest;
        if let Some(known) = self.known.borrow().of.get(digest) {
            return known.clone();
        }
        let root = *digest == self.root;
        if !Node::is_document(&subject.media_type) || (!root && !self.any()) {
            return Default::default();
        }
        // Nobody asks who vouches for what is looked at here.
        self.known.borrow_mut().of.insert(digest.clone(), Default::default());
        let mut referrers = self.place.to(subject).unwrap_or_else(|error| {
            self.warn(digest, error);
            Vec::new()
        });
        referrers.retain(|one| {
            one.artifact_type.as_ref().is_none_or(|kind| is_signature(kind.as_str()))
                && self.whole(one, Some(subject))
        });
        let mut named = Vec::new();
        for ending in ["sig", "att"] {
            // Attestations of the old kind come with signatures, or are not asked for.
            let far = self.place.catalog.is_none();
            if far && ending == "att" && referrers.is_empty() && named.is_empty() {
                break;
            }
            let tag = format!("{}-{}.{ending}", digest.algorithm_name(), digest.encoded());
            match self.place.named(&tag) {
                Ok(entry) => named.extend(entry.filter(|it| self.whole(&it.descriptor, None))),
                Err(error) => self.warn(digest, error),
            }
        }
        let found = (referrers, named);
        let known = &mut *self.known.borrow_mut();
        for signature in found.0.iter().chain(found.1.iter().map(|entry| &entry.descriptor)) {
            known.of.insert(signature.digest.clone(), Default::default());
        }
        known.of.insert(digest.clone(), found.clone());
        found
    }

    /// Whether the image itself has any.
    fn any(&self) -> bool {
        let known = self.known.borrow();
        known.of.get(&self.root).is_some_and(|(to, named)| !to.is_empty() || !named.is_empty())
    }

    /// Whether a signature is there with all that it holds, and is one of the subject.
    fn whole(&self, found: &Descriptor, subject: Option<&Descriptor>) -> bool {
        let about = subject.map_or(&self.root, |subject| &subject.digest);
        let manifest = match image::node(self.place.source, found) {
            Ok(Node::Manifest(manifest)) => manifest,
            Ok(_) => return false,
            Err(error) => {
                self.warn(about, error);
                return false;
            }
        };
        if let Some(subject) = subject {
            let right =
                manifest.subject.as_ref().is_some_and(|about| about.digest == subject.digest);
            if !right || !is_signature(manifest.kind().as_str()) {
                return false;
            }
        }
        let blobs = || manifest.layers.iter().chain([&manifest.config]);
        let bytes = blobs().map(|blob| blob.size).fold(0, u64::saturating_add);
        {
            let known = &mut *self.known.borrow_mut();
            known.count += 1;
            known.bytes = known.bytes.saturating_add(bytes);
            let Limits { candidates, total, .. } = self.limits;
            if known.count > candidates || known.bytes > total {
                known.warnings.push(format!("more signatures of {about} than are copied"));
                return false;
            }
        }
        for blob in blobs() {
            match self.place.source.holds(blob) {
                Ok(true) => {}
                Ok(false) => {
                    self.warn(about, format!("{} is not there", blob.digest));
                    return false;
                }
                Err(error) => {
                    self.warn(about, error);
                    return false;
                }
            }
        }
        true
    }
}

impl About for Signatures<'_> {
    fn to(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        Ok(self.look(subject).0)
    }

    fn named(&self, subject: &Descriptor) -> Result<Vec<Entry>> {
        Ok(self.look(subject).1)
    }
}
