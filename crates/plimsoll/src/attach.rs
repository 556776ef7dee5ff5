//! Artifacts about images: attaching them, and finding them again.
//!
//! An artifact is a manifest with a `subject`. In a layout it is found by
//! reading every manifest; for tools that do not, an index under the fallback
//! tag of the distribution spec (`sha256-…`) lists it as well, which also
//! keeps it from being collected.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use plimsoll_content::{
    Algorithm, Annotations, Code, Descriptor, Digest, Document, Error, MediaType, Platform, Result,
    Sealing, Sink, Source, Watch,
};
pub use plimsoll_registry::client::fallback_tag;
use plimsoll_spec::annotations::TITLE;
use plimsoll_spec::graph::Node;
use plimsoll_spec::{Index, Manifest, media_type};
use plimsoll_store::{Entry, Layout, reachable};
use serde::Serialize;

use crate::draft::{document, parse};
use crate::edit::array;
use crate::image::{self, Image};
use crate::place::{Held, Home, Opened};
use crate::reference::Reference;
use crate::transfer;

/// How often somebody else may change the fallback tag first.
const RACES: usize = 100;

/// A file that becomes a blob of an artifact.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub media_type: Option<MediaType>,
}

/// What an artifact says of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// What kind of artifact it is.
    pub artifact_type: MediaType,
    /// Its annotations.
    pub annotations: Annotations,
}

/// An artifact that was attached.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    /// The digest of its manifest.
    pub digest: Digest,
    /// What kind of artifact it is.
    pub artifact_type: String,
    /// What it is about.
    pub subject: Digest,
    /// The name of the list for tools that do not look at subjects.
    pub fallback_tag: String,
    /// Its blobs.
    pub blobs: Vec<Digest>,
}

/// Something that is about an image.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// What kind of artifact it is.
    pub artifact_type: String,
    /// The length of its manifest, in bytes.
    pub size: u64,
    /// Its annotations.
    pub annotations: Annotations,
}

impl Home {
    /// Attaches files to an image, in its place.
    pub fn attach(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        files: &[Attachment],
        about: &About,
        watch: &dyn Watch,
    ) -> Result<Attached> {
        let opened = self.open_to_change(reference)?;
        let sink = opened.held().sink(opened.place())?;
        // Until the artifact is listed, nobody may take it for unneeded.
        let _writing = match opened.held() {
            Held::Layout(layout) => Some(layout.writing()?),
            _ => None,
        };
        let subject = subject(&opened, platform)?;
        let mut blobs = Vec::new();
        for file in files {
            blobs.push(blob(file, sink, watch)?);
        }
        let digests = match &blobs[..] {
            [] => vec![Manifest::empty_blob().digest],
            all => all.iter().map(|blob| blob.digest.clone()).collect(),
        };
        let attached = put(opened.held(), sink, &subject, blobs, about)?;
        Ok(Attached {
            digest: attached.digest,
            artifact_type: about.artifact_type.to_string(),
            fallback_tag: fallback_tag(&subject.digest),
            subject: subject.digest,
            blobs: digests,
        })
    }

    /// What is about an image in its place, in the order of digests; with
    /// `artifact_type`, only of that kind.
    pub fn referrers(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        artifact_type: Option<&str>,
    ) -> Result<(Digest, Vec<Referrer>)> {
        let opened = self.open(reference)?;
        let subject = subject(&opened, platform)?;
        let source = opened.source();
        let mut found: BTreeMap<Digest, Referrer> = BTreeMap::new();
        if let Held::Registry(remote) = opened.held() {
            // As the registry tells it; nothing is read for it.
            for entry in remote.referrers(&subject.digest)? {
                found.insert(entry.digest.clone(), told(&entry));
            }
            return Ok((subject.digest, of_kind(found, artifact_type)));
        }
        if let Held::Named(_) = opened.held() {
            for entry in opened.held().about()?.to(&subject)? {
                found.insert(entry.digest.clone(), told(&entry));
            }
            return Ok((subject.digest, of_kind(found, artifact_type)));
        }
        let tag = fallback_tag(&subject.digest);
        for entry in opened.held().catalog()?.into_entries() {
            if entry.name() == Some(&tag) {
                listed(source, &entry, &mut found);
            }
            // What is broken is for fsck; it is about nothing.
            let Ok(leads) = reachable(source, &entry.descriptor) else { continue };
            for blob in leads.present {
                let Ok(node) = image::node(source, &blob) else { continue };
                if node.subject().is_some_and(|about| about.digest == subject.digest) {
                    found.insert(blob.digest.clone(), referrer(&blob, &node));
                }
            }
        }
        Ok((subject.digest, of_kind(found, artifact_type)))
    }
}

/// Writes the artifact of blobs that are there, and lists it.
pub(crate) fn put(
    held: &Held,
    sink: &dyn Sink,
    subject: &Descriptor,
    blobs: Vec<Descriptor>,
    about: &About,
) -> Result<Descriptor> {
    if blobs.is_empty() {
        sink.write(&Manifest::empty_blob(), b"{}")?;
    }
    let mut manifest = Manifest::artifact(about.artifact_type.clone(), blobs);
    sink.write(&manifest.config, b"{}")?;
    manifest.annotations.clone_from(&about.annotations);
    // Only what finds it, not what it is called in this layout.
    manifest.subject =
        Some(Descriptor::new(subject.media_type.clone(), subject.digest.clone(), subject.size));
    let manifest = Document::new(manifest)?;
    let mut descriptor = manifest.descriptor(media_type::MANIFEST, Algorithm::Sha256);
    // A registry lists it itself, or its client does.
    sink.write(&descriptor, manifest.bytes())?;
    descriptor.artifact_type = Some(about.artifact_type.clone());
    descriptor.annotations.clone_from(&about.annotations);
    if let Held::Layout(layout) = held {
        list(layout, &fallback_tag(&subject.digest), &descriptor)?;
    }
    Ok(descriptor)
}

fn of_kind(found: BTreeMap<Digest, Referrer>, artifact_type: Option<&str>) -> Vec<Referrer> {
    let wanted = |found: &Referrer| artifact_type.is_none_or(|kind| found.artifact_type == kind);
    found.into_values().filter(wanted).collect()
}

pub(crate) fn subject(opened: &Opened, platform: Option<&Platform>) -> Result<Descriptor> {
    match platform {
        Some(_) => Ok(Image::open(opened.source(), &opened.root, platform)?.descriptor),
        None => Ok(opened.root.clone()),
    }
}

fn blob(file: &Attachment, sink: &dyn Sink, watch: &dyn Watch) -> Result<Descriptor> {
    let shown = file.path.display().to_string();
    let mut reader = File::open(&file.path).map_err(|cause| Error::io("opening", &shown, cause))?;
    watch.begin(&format!("attaching {shown}"), None);
    let ingest = sink.begin()?;
    let mut sealing = Sealing::new(transfer::Counted::new(ingest, watch), Algorithm::Sha256);
    io::copy(&mut reader, &mut sealing).map_err(|cause| Error::io("reading", &shown, cause))?;
    let media_type =
        file.media_type.clone().unwrap_or_else(|| MediaType::from("application/octet-stream"));
    let (proof, ingest) = sealing.finish(media_type);
    let mut descriptor = proof.descriptor().clone();
    ingest.into_inner().commit(proof)?;
    if let Some(name) = file.path.file_name() {
        descriptor.annotations.insert(TITLE.to_owned(), name.to_string_lossy().into_owned());
    }
    watch.end(&format!("attached {shown}"));
    Ok(descriptor)
}

/// Lists an artifact under the fallback tag, losing nothing that others list
/// there meanwhile.
fn list(layout: &Layout, tag: &str, artifact: &Descriptor) -> Result<()> {
    let artifact_value = serde_json::to_value(artifact).map_err(|cause| {
        Error::new(Code::Bug, "writing a descriptor").found(&cause).cause(cause)
    })?;
    for _ in 0..RACES {
        let old = layout.entries()?.into_iter().find(|entry| entry.name() == Some(tag));
        let index = match &old {
            None => Document::new(Index::new(vec![artifact.clone()]))?,
            Some(entry) => {
                let old: Document<Index> =
                    (layout as &dyn Source).document(&entry.descriptor).map_err(|error| {
                        error.context(format!("reading the list of referrers {tag}"))
                    })?;
                if old.manifests.iter().any(|other| other.digest == artifact.digest) {
                    return Ok(());
                }
                let mut value = parse(old.bytes())?;
                array(&mut value, "manifests")?.push(artifact_value.clone());
                document::<Index>(&value)?
            }
        };
        let descriptor = index.descriptor(media_type::INDEX, Algorithm::Sha256);
        (layout as &dyn Sink).write(&descriptor, index.bytes())?;
        let done = match &old {
            None => layout.tag_new(tag, &descriptor)?,
            Some(entry) => layout.tag_over(tag, &entry.descriptor.digest, &descriptor)?,
        };
        if done {
            return Ok(());
        }
    }
    Err(Error::new(Code::Locked, format!("listing {} under {tag}", artifact.digest))
        .found("others who keep changing the list")
        .expected("a moment of rest"))
}

/// What a list of referrers says, also of manifests that are not here.
fn listed(source: &dyn Source, entry: &Entry, found: &mut BTreeMap<Digest, Referrer>) {
    let Ok(Node::Index(index)) = image::node(source, &entry.descriptor) else { return };
    for descriptor in &index.manifests {
        found.entry(descriptor.digest.clone()).or_insert_with(|| told(descriptor));
    }
}

/// What its descriptor in a list says of a referrer.
fn told(descriptor: &Descriptor) -> Referrer {
    let kind = descriptor.artifact_type.as_ref();
    Referrer {
        digest: descriptor.digest.clone(),
        media_type: descriptor.media_type.to_string(),
        artifact_type: kind.map(ToString::to_string).unwrap_or_default(),
        size: descriptor.size,
        annotations: descriptor.annotations.clone(),
    }
}

fn referrer(blob: &Descriptor, node: &Node) -> Referrer {
    let (kind, annotations) = match node {
        Node::Manifest(manifest) => (manifest.kind().to_string(), manifest.annotations.clone()),
        Node::Index(index) => (
            index.artifact_type.as_ref().map(ToString::to_string).unwrap_or_default(),
            index.annotations.clone(),
        ),
        Node::Schema1(_) | Node::Opaque => (String::new(), Annotations::new()),
    };
    Referrer {
        digest: blob.digest.clone(),
        media_type: blob.media_type.to_string(),
        artifact_type: kind,
        size: blob.size,
        annotations,
    }
}
