//! Some platforms of an image: the index stays as it is, byte for byte, and
//! what it lists for other platforms is left where it was.

use std::collections::BTreeSet;

use plimsoll_content::{Descriptor, Digest, Platform, Result, Source};
use plimsoll_spec::Node;
use plimsoll_store::{About, Closure, closure};

use crate::image::{self, Image};

/// What builders say in an index of an entry that is about another one.
const ABOUT: &str = "vnd.docker.reference.digest";

/// What belongs to the images for these platforms, and the indexes that lead
/// to them.
pub(super) fn sparse(
    source: &dyn Source,
    root: &Descriptor,
    platforms: &[Platform],
    about: Option<&dyn About>,
) -> Result<Closure> {
    let mut wanted = BTreeSet::new();
    let mut parts = Parts { seen: BTreeSet::new(), all: Closure::default() };
    for platform in platforms {
        let image = Image::open(source, root, Some(platform))?.descriptor;
        wanted.insert(image.digest.clone());
        parts.add(closure(source, &image, about)?);
    }
    let mut way = Way { source, wanted: &wanted, vain: BTreeSet::new(), parts: &mut parts, about };
    way.indexes(root, 0)?;
    Ok(parts.all)
}

struct Parts {
    seen: BTreeSet<Digest>,
    all: Closure,
}

impl Parts {
    fn add(&mut self, part: Closure) {
        for blob in part.reachable.present {
            if self.seen.insert(blob.digest.clone()) {
                self.all.reachable.present.push(blob);
            }
        }
        for blob in part.reachable.missing {
            if self.seen.insert(blob.digest.clone()) {
                self.all.reachable.missing.push(blob);
            }
        }
        for referrer in part.referrers {
            if !self.all.referrers.iter().any(|other| other.digest == referrer.digest) {
                self.all.referrers.push(referrer);
            }
        }
        for entry in part.named {
            if !self.all.named.iter().any(|other| other.name() == entry.name()) {
                self.all.named.push(entry);
            }
        }
    }
}

struct Way<'a> {
    source: &'a dyn Source,
    wanted: &'a BTreeSet<Digest>,
    /// What was looked into already, with nothing in it.
    vain: BTreeSet<Digest>,
    parts: &'a mut Parts,
    about: Option<&'a dyn About>,
}

impl Way<'_> {
    /// Adds the indexes below `at` that lead to what is wanted, and says
    /// whether there are any.
    fn indexes(&mut self, at: &Descriptor, depth: usize) -> Result<bool> {
        if self.wanted.contains(&at.digest) {
            return Ok(true);
        }
        if depth > self.source.limits().index_depth || self.vain.contains(&at.digest) {
            return Ok(false);
        }
        if !Node::is_document(&at.media_type) {
            return Ok(false);
        }
        let Node::Index(index) = image::node(self.source, at)? else { return Ok(false) };
        let mut leads = false;
        for entry in &index.manifests {
            // Images are known by their digests: only indexes are looked into.
            let there = if self.wanted.contains(&entry.digest) {
                true
            } else if entry.platform.is_none() {
                self.source.holds(entry)? && self.indexes(entry, depth + 1)?
            } else {
                false
            };
            leads |= there;
        }
        if !leads {
            self.vain.insert(at.digest.clone());
            return Ok(false);
        }
        for entry in &index.manifests {
            let subject = entry.annotations.get(ABOUT).and_then(|text| text.parse().ok());
            if subject.is_some_and(|subject: Digest| self.wanted.contains(&subject)) {
                self.parts.add(closure(self.source, entry, None)?);
            }
        }
        self.index(at)?;
        Ok(true)
    }

    /// An index alone, and what is about it.
    fn index(&mut self, index: &Descriptor) -> Result<()> {
        let mut part = Closure::default();
        part.reachable.present.push(index.clone());
        self.parts.add(part);
        let Some(about) = self.about else { return Ok(()) };
        for referrer in about.to(index)? {
            let mut part = closure(self.source, &referrer, Some(about))?;
            part.referrers.insert(0, referrer);
            self.parts.add(part);
        }
        self.parts.add(Closure { named: about.named(index)?, ..Closure::default() });
        Ok(())
    }
}
