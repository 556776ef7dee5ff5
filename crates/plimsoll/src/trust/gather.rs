//! Finding what may be a signature of some content: among its referrers, under
//! the tags that are made of its digest, and where cosign lists it in a layout.
//!
//! Nothing that is found here is believed. What can not be had of one signature
//! makes that one bad; a place that does not answer is an error.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_content::{Code, Descriptor, Document, Error, Kind, Resolve, Result, Source};
use plimsoll_sign::Limits;
use plimsoll_sign::format::{bundle, dsse, notary};
use plimsoll_sign::judge::Evidence;
use plimsoll_sign::scheme::Candidate;
use plimsoll_spec::Manifest;
use plimsoll_spec::graph::Node;
use plimsoll_store::{About, Entry};

use crate::image;
use crate::naming::Attached;
use crate::place::{Held, registry};

/// How long a list of referrers may be, in pages.
const PAGES: usize = 32;

/// The annotation by which cosign marks entries of a layout.
const COSIGN_KIND: &str = "kind";

/// A place, for those who look for signatures.
pub(crate) struct Shelf<'a> {
    /// Where content is.
    pub(crate) source: &'a dyn Source,
    /// Who knows the referrers.
    pub(crate) about: &'a dyn About,
    /// What has that name.
    pub(crate) tag: &'a dyn Fn(&str) -> Result<Option<Descriptor>>,
    /// What the place lists, where it lists little.
    pub(crate) entries: &'a [Entry],
    /// The folder of a `dir:`, which holds signatures too.
    pub(crate) folder: Option<&'a Path>,
}

/// Who knows the referrers of a place, within reason.
pub(crate) fn about(held: &Held) -> Result<Box<dyn About + '_>> {
    match held {
        Held::Registry(remote) => Ok(Box::new(registry::Listed { remote, pages: Some(PAGES) })),
        Held::Named(place) => Ok(Box::new(Attached { place, pages: Some(PAGES) })),
        other => other.about(),
    }
}

/// What has that name in a place.
pub(crate) fn tagged(held: &Held, name: &str) -> Result<Option<Descriptor>> {
    let found = match held {
        Held::Registry(remote) => {
            // A digest may be too long for a tag, and then none is made of it.
            let Ok(tag) = name.parse::<plimsoll_registry::protocol::Tag>() else {
                return Ok(None);
            };
            remote.resolve(tag.as_str())
        }
        Held::Named(place) => return place.tagged(name),
        other => other.catalog()?.find_name(name).map(|entry| entry.descriptor),
    };
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a place lists; nothing of those that are asked by name.
pub(crate) fn entries(held: &Held) -> Result<Vec<Entry>> {
    match held {
        Held::Registry(_) | Held::Named(_) => Ok(Vec::new()),
        other => Ok(other.catalog()?.into_entries()),
    }
}

/// Finds what may be a signature or an attestation of `subject`.
///
/// Errors if the place does not tell.
pub(crate) fn gather(shelf: &Shelf<'_>, subject: &Descriptor, limits: &Limits) -> Result<Evidence> {
    let mut gathering = Gathering {
        source: shelf.source,
        limits,
        until: Instant::now() + Duration::from_secs(limits.seconds),
        total: 0,
        evidence: Evidence::default(),
    };
    match shelf.about.to(subject) {
        Ok(referrers) => {
            for referrer in &referrers {
                if gathering.full() {
                    break;
                }
                gathering.referrer(referrer, subject)?;
            }
        }
        Err(error) if error.code() == Code::Limit => {
            gathering.evidence.cut = Some("a list of referrers that is too long".to_owned());
        }
        Err(error) => return Err(error),
    }
    let digest = &subject.digest;
    for ending in ["sig", "att"] {
        let tag = format!("{}-{}.{ending}", digest.algorithm_name(), digest.encoded());
        if let Some(found) = (shelf.tag)(&tag)? {
            gathering.tagged(&found, &format!("tag {tag}"))?;
        }
    }
    let kinds = ["dev.cosignproject.cosign/sigs", "dev.cosignproject.cosign/atts"];
    for entry in shelf.entries {
        let kind = entry.descriptor.annotations.get(COSIGN_KIND);
        if kind.is_some_and(|kind| kinds.contains(&kind.as_str())) {
            let place = format!("entry {} of the layout", entry.position);
            gathering.tagged(&entry.descriptor, &place)?;
        }
    }
    Ok(gathering.evidence)
}

struct Gathering<'a> {
    source: &'a dyn Source,
    limits: &'a Limits,
    until: Instant,
    total: u64,
    evidence: Evidence,
}

impl Gathering<'_> {
    /// Whether there is more than is looked at; that is noted.
    fn full(&mut self) -> bool {
        let most = self.limits.candidates;
        if self.evidence.candidates.len() >= most {
            self.cut(format!("more than {most} signatures"));
        } else if Instant::now() >= self.until {
            self.cut(format!("more than {} seconds for looking", self.limits.seconds));
        }
        self.evidence.cut.is_some()
    }

    fn cut(&mut self, why: String) {
        self.evidence.cut.get_or_insert(why);
    }

    /// A manifest that says it is about the content.
    fn referrer(&mut self, referrer: &Descriptor, subject: &Descriptor) -> Result<()> {
        // What is not told must be looked at: fallback lists often say nothing.
        if let Some(kind) = &referrer.artifact_type
            && !is_signature(kind.as_str())
        {
            return Ok(());
        }
        let place = format!("referrer {}", referrer.digest);
        let Some(manifest) = self.manifest(referrer, &place)? else { return Ok(()) };
        if !is_signature(manifest.kind().as_str()) {
            return Ok(());
        }
        if manifest.subject.as_ref().is_none_or(|about| about.digest != subject.digest) {
            self.broken(referrer, &place, "its subject is another one".to_owned());
            return Ok(());
        }
        if manifest.kind().as_str() == notary::ARTIFACT && manifest.layers.len() != 1 {
            let found = format!("{} envelopes instead of one", manifest.layers.len());
            self.broken(referrer, &place, found);
            return Ok(());
        }
        self.layers(&manifest, &place)
    }

    /// A manifest whose layers are signatures.
    fn tagged(&mut self, found: &Descriptor, place: &str) -> Result<()> {
        if self.full() {
            return Ok(());
        }
        match self.manifest(found, place)? {
            Some(manifest) => self.layers(&manifest, place),
            None => Ok(()),
        }
    }

    fn manifest(&mut self, found: &Descriptor, place: &str) -> Result<Option<Document<Manifest>>> {
        match image::node(self.source, found) {
            Ok(Node::Manifest(manifest)) => Ok(Some(manifest)),
            Ok(_) => {
                self.broken(found, place, "no manifest".to_owned());
                Ok(None)
            }
            Err(error) => self.bad(found, place, error).map(|()| None),
        }
    }

    fn layers(&mut self, manifest: &Manifest, place: &str) -> Result<()> {
        let several = manifest.layers.len() > 1;
        for (position, layer) in manifest.layers.iter().enumerate() {
            if self.full() {
                return Ok(());
            }
            let place =
                if several { format!("{place}, layer {}", position + 1) } else { place.to_owned() };
            if layer.size > self.limits.attestation {
                self.cut(format!("{} bytes of one signature", layer.size));
                continue;
            }
            self.total = self.total.saturating_add(layer.size);
            if self.total > self.limits.total {
                self.cut(format!("more than {} bytes of signatures", self.limits.total));
                return Ok(());
            }
            match self.read(layer) {
                Ok(bytes) => self.evidence.candidates.push(Candidate {
                    media_type: layer.media_type.to_string(),
                    bytes,
                    annotations: layer.annotations.clone(),
                    place,
                    broken: None,
                }),
                Err(error) => self.bad(layer, &place, error)?,
            }
        }
        Ok(())
    }

    /// The bytes of a signature, proved; whoever drips them is not waited for.
    fn read(&self, blob: &Descriptor) -> Result<Arc<[u8]>> {
        if let Some(bytes) = blob.embedded()? {
            return Ok(bytes.into());
        }
        let mut reader = self.source.open(blob)?;
        let mut bytes = Vec::new();
        let mut chunk = [0; 8 << 10];
        loop {
            let length = reader
                .read(&mut chunk)
                .map_err(|cause| Error::io("reading signature", &blob.digest, cause))?;
            bytes.extend_from_slice(&chunk[..length]);
            if length == 0 {
                break;
            }
            if Instant::now() >= self.until {
                return Err(Error::new(
                    Code::SignatureLimit,
                    format!("reading signature {}", blob.digest),
                )
                .found(format!("more than {} seconds", self.limits.seconds)));
            }
        }
        // The proof is that it ends as announced; the bytes are at hand.
        let _ = reader.finish()?;
        Ok(bytes.into())
    }

    /// One that can not be had is bad, and no more; a place that does not answer
    /// could hide any.
    fn bad(&mut self, found: &Descriptor, place: &str, error: Error) -> Result<()> {
        match error.kind() {
            Kind::NotFound | Kind::Integrity => {
                self.broken(found, place, error.to_string());
                Ok(())
            }
            Kind::Trust => {
                self.cut(error.to_string());
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn broken(&mut self, found: &Descriptor, place: &str, why: String) {
        self.evidence.candidates.push(Candidate {
            media_type: found.media_type.to_string(),
            bytes: Arc::default(),
            annotations: found.annotations.clone(),
            place: place.to_owned(),
            broken: Some(why),
        });
    }
}

/// Whether a referrer of that kind may hold signatures or attestations.
pub(crate) fn is_signature(kind: &str) -> bool {
    bundle::is_bundle(kind)
        || [
            notary::ARTIFACT,
            "application/vnd.dev.cosign.artifact.sig.v1+json",
            dsse::MEDIA_TYPE,
            "application/vnd.in-toto+json",
        ]
        .contains(&kind)
}
