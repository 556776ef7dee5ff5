//! Images for several platforms: making an index, adding to it, taking from it.
//!
//! What goes into an index stays as it is, byte for byte: an index in an
//! index stays one.

use plimsoll_content::{
    Algorithm, Annotations, Code, Descriptor, Digest, Document, Error, MediaType, Platform, Result,
    Sink, Watch,
};
use plimsoll_spec::annotations::REF_NAME;
use plimsoll_spec::graph::Node;
use plimsoll_spec::{Index, media_type, select};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::draft::{document, parse};
use crate::edit::{Edit, array};
use crate::image::{self, Image};
use crate::place::{Home, Opened};
use crate::reference::Reference;
use crate::{schema1, transfer};

/// Annotations that say what an entry of a layout is called there.
const NAMES: [&str; 2] = [REF_NAME, "io.containerd.image.name"];

/// What is done to the JSON of an index.
type Change<'a> = dyn FnMut(&mut Map<String, Value>, &dyn Sink) -> Result<()> + 'a;

/// An index that was made or changed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
    /// What it lists.
    pub manifests: Vec<Listed>,
}

/// An entry of an index.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// What it points at.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// What it runs on, if it says so.
    pub platform: Option<String>,
}

/// What an index says of itself.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Its annotations.
    pub annotations: Annotations,
    /// The annotations of the entries that are added.
    pub entry_annotations: Annotations,
    /// What kind of artifact it is.
    pub artifact_type: Option<MediaType>,
}

impl Home {
    /// Makes an index of images, called `name`.
    pub fn index_create(
        &self,
        name: &Reference,
        images: &[Reference],
        about: &About,
        watch: &dyn Watch,
    ) -> Result<Report> {
        let target = self.target(name)?;
        let mut entries: Vec<Descriptor> = Vec::new();
        for image in images {
            let entry = self.entry(image, about, target.sink(), watch)?;
            if !entries.iter().any(|other| other.digest == entry.digest) {
                entries.push(entry);
            }
        }
        warn_of_twins(&entries, watch);
        let mut index = Index::new(entries);
        index.annotations.clone_from(&about.annotations);
        index.artifact_type.clone_from(&about.artifact_type);
        let index = Document::new(index)?;
        let descriptor = index.descriptor(media_type::INDEX, Algorithm::Sha256);
        target.sink().write(&descriptor, index.bytes())?;
        let named = target.published_name().to_owned();
        target.publish(&descriptor)?;
        Ok(report(named, &descriptor, &index))
    }

    /// Adds images to an index; one that is listed already is listed anew in
    /// its place.
    pub fn index_add(
        &self,
        name: &Reference,
        images: &[Reference],
        about: &About,
        watch: &dyn Watch,
    ) -> Result<Report> {
        self.index_change(name, about, &mut |value, sink| {
            for image in images {
                let entry = self.entry(image, about, sink, watch)?;
                let digest = entry.digest.to_string();
                let entry = serde_json::to_value(entry).map_err(|cause| {
                    Error::new(Code::Bug, "writing a descriptor").found(&cause).cause(cause)
                })?;
                let entries = array(value, "manifests")?;
                let is_same = |old: &&mut Value| {
                    old.get("digest").and_then(Value::as_str) == Some(digest.as_str())
                };
                match entries.iter_mut().find(is_same) {
                    Some(old) => *old = entry,
                    None => entries.push(entry),
                }
            }
            warn_of_twins(&document::<Index>(value)?.manifests, watch);
            Ok(())
        })
    }

    /// Takes entries from an index: by digest, by the first digits of it, or
    /// by platform. What they point at stays until `gc`.
    pub fn index_remove(&self, name: &Reference, which: &[String]) -> Result<Report> {
        self.index_change(name, &About::default(), &mut |value, _| {
            for which in which {
                let index = document::<Index>(value)?;
                let gone = chosen(&index, which)?;
                let mut position = 0;
                array(value, "manifests")?.retain(|_| {
                    position += 1;
                    !gone.contains(&(position - 1))
                });
            }
            Ok(())
        })
    }

    fn index_change(
        &self,
        name: &Reference,
        about: &About,
        change: &mut Change<'_>,
    ) -> Result<Report> {
        let (name, _, descriptor, index) = self.change(name, None, &mut |opened, target| {
            let index = index_of(opened)?;
            let mut value = parse(index.bytes())?;
            change(&mut value, target.sink())?;
            Edit::default().annotate(&mut value, &about.annotations)?;
            if let Some(kind) = &about.artifact_type {
                value.insert("artifactType".to_owned(), Value::from(kind.as_str()));
            }
            let index = document::<Index>(&value)?;
            let algorithm = opened.root.digest.computable("a changed index")?;
            let descriptor = index.descriptor(opened.root.media_type.clone(), algorithm);
            target.sink().write(&descriptor, index.bytes())?;
            Ok((descriptor, index))
        })?;
        Ok(report(name, &descriptor, &index))
    }

    /// The entry for an image, all of which is in the sink then.
    fn entry(
        &self,
        image: &Reference,
        about: &About,
        sink: &dyn Sink,
        watch: &dyn Watch,
    ) -> Result<Descriptor> {
        let opened = self.open(image)?;
        let source = opened.source();
        transfer::all(source, sink, &opened.root, watch)?;
        let mut entry = opened.root.clone();
        entry.annotations.retain(|name, _| !NAMES.contains(&name.as_str()));
        entry.annotations.extend(about.entry_annotations.clone());
        let node = image::node(source, &entry)?;
        if let Node::Schema1(_) = node {
            return Err(schema1::refused(format!("listing {}", entry.digest)));
        }
        if let Node::Manifest(manifest) = node {
            if entry.artifact_type.is_none() {
                entry.artifact_type.clone_from(&manifest.artifact_type);
            }
            if entry.platform.is_none() {
                match Image::open(source, &entry, None) {
                    Ok(image) => entry.platform = Some(image.platform()),
                    // An artifact runs on nothing.
                    Err(error) if error.code() == Code::MediaType => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(entry)
    }
}

fn index_of(opened: &Opened) -> Result<Document<Index>> {
    match image::node(opened.source(), &opened.root)? {
        Node::Index(index) => Ok(index),
        _ => Err(Error::new(Code::MediaType, format!("changing index {}", opened.root.digest))
            .found(format!("media type {:?}", opened.root.media_type.as_str()))
            .expected("an index")
            .fix("plimsoll index create NAME REF…   makes one")),
    }
}

/// The positions of the entries that are meant.
fn chosen(index: &Index, which: &str) -> Result<Vec<usize>> {
    let positions = |matches: &dyn Fn(&Descriptor) -> bool| -> Vec<usize> {
        let entries = index.manifests.iter().enumerate();
        entries.filter(|(_, entry)| matches(entry)).map(|(position, _)| position).collect()
    };
    let digits = which.strip_prefix("sha256:").unwrap_or(which);
    let is_prefix = digits.len() >= 8
        && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let found = if let Ok(digest) = which.parse::<Digest>() {
        positions(&|entry| entry.digest == digest)
    } else if is_prefix {
        positions(&|entry| entry.digest.encoded().starts_with(digits))
    } else {
        let platform: Platform = which.parse().map_err(|error: Error| {
            error.expected("a digest, at least eight digits of one, or OS/ARCH[/VARIANT]")
        })?;
        // All that is for it, and nothing that it merely could run.
        positions(&|entry| {
            entry.platform.as_ref().is_some_and(|said| {
                let said = said.clone().normalized();
                (&said.os, &said.architecture) == (&platform.os, &platform.architecture)
                    && (platform.variant.is_none() || said.variant == platform.variant)
            })
        })
    };
    if found.is_empty() {
        let there = select::platforms(index);
        return Err(Error::new(Code::NotFound, format!("taking {which:?} from an index"))
            .found(format!("{} entries, for {}", index.manifests.len(), there.join(", ")))
            .expected("one of them"));
    }
    if is_prefix && found.len() > 1 {
        return Err(Error::new(Code::Reference, format!("taking {which:?} from an index"))
            .found(format!("{} entries that begin so", found.len()))
            .expected("one")
            .fix("write more digits"));
    }
    Ok(found)
}

/// Two entries for one platform: whoever chooses takes the first.
fn warn_of_twins(entries: &[Descriptor], watch: &dyn Watch) {
    for (position, entry) in entries.iter().enumerate() {
        if let Some(platform) = &entry.platform
            && entry.artifact_type.is_none()
            && entries[..position].iter().any(|other| other.platform.as_ref() == Some(platform))
        {
            watch.warn(&format!(
                "{} is a further entry for {platform}, which nobody will choose",
                entry.digest
            ));
        }
    }
}

fn report(name: String, descriptor: &Descriptor, index: &Index) -> Report {
    Report {
        name,
        digest: descriptor.digest.clone(),
        manifests: index
            .manifests
            .iter()
            .map(|entry| Listed {
                digest: entry.digest.clone(),
                media_type: entry.media_type.to_string(),
                platform: entry.platform.as_ref().map(ToString::to_string),
            })
            .collect(),
    }
}
