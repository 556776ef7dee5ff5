//! The images of a repository, as its owner lists them: an image index with
//! one entry for each ref (`oci-index/<path>` of a zone, and the document that
//! `oci-index-template-v1` gives).

use std::collections::BTreeMap;

use plimsoll_content::{
    Annotations, Code, Descriptor, Digest, Document, Error, MediaType, Platform, Result, View,
    json, limits::Limits,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::announcement::Engine;
use crate::reference::{Labels, Ref};

/// The media type of the document.
pub const MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// The annotation that a ref is compared with.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The largest document, in bytes.
pub const LIMIT: u64 = 4 << 20;

/// The images of a repository.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    /// 2.
    pub schema_version: u64,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The images.
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    /// Where their content is found (oci-discovery).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cas_engines: Vec<Engine>,
    /// Free text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl View for Listing {
    const NAME: &'static str = "the images of a repository";

    fn limit(_: &Limits) -> u64 {
        LIMIT
    }

    fn check(&self) -> Result<()> {
        json::refuse_lookalikes("", &self.other, &["schemaVersion", "manifests", "casEngines"])?;
        if self.schema_version != 2 {
            return Err(Error::new(Code::Malformed, format!("reading {}", Self::NAME))
                .found(format!("schemaVersion {}", self.schema_version))
                .expected("2"));
        }
        for (at, entry) in self.manifests.iter().enumerate() {
            entry.check(&format!("/manifests/{at}"))?;
        }
        Ok(())
    }
}

impl Listing {
    /// A list of these images.
    pub fn new(manifests: Vec<Descriptor>, cas_engines: Vec<Engine>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::from(MEDIA_TYPE)),
            manifests,
            cas_engines,
            annotations: Annotations::new(),
            other: Map::new(),
        }
    }

    /// Reads a list.
    pub fn parse(bytes: &[u8]) -> Result<Document<Self>> {
        Document::parse(bytes)
    }

    /// The image that is meant. `platform` decides only where the labels leave
    /// several; two different images that are left are an error.
    pub fn select(
        &self,
        which: &Ref,
        labels: &Labels,
        platform: Option<&Platform>,
    ) -> Result<Option<&Descriptor>> {
        let fits = |entry: &&Descriptor| {
            ref_of(entry) == Some(which.as_str())
                && labels.fits(entry.platform.as_ref())
                && labels.other.iter().all(|(key, value)| entry.annotations.get(key) == Some(value))
        };
        let mut left: Vec<&Descriptor> = self.manifests.iter().filter(fits).collect();
        let differ = |left: &[&Descriptor]| left.iter().any(|one| one.digest != left[0].digest);
        if let Some(platform) = platform.map(Platform::normalized)
            && differ(&left)
        {
            let own = |entry: &&&Descriptor| {
                entry.platform.as_ref().is_some_and(|other| {
                    let other = other.normalized();
                    other.os == platform.os
                        && other.architecture == platform.architecture
                        && other.variant == platform.variant
                })
            };
            let narrowed: Vec<&Descriptor> = left.iter().filter(own).copied().collect();
            if !narrowed.is_empty() {
                left = narrowed;
            }
        }
        if differ(&left) {
            let shown: Vec<String> = left
                .iter()
                .map(|entry| match &entry.platform {
                    Some(platform) => format!("{} for {platform}", entry.digest),
                    None => entry.digest.to_string(),
                })
                .collect();
            return Err(Error::new(Code::Discovery, format!("choosing ref {which}"))
                .found(format!("several images: {}", shown.join(", ")))
                .expected("one")
                .fix("add labels, as in ,os=linux,arch=amd64, or name the digest"));
        }
        Ok(left.first().copied())
    }

    /// The images, without what is about them.
    pub fn images(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().filter(|entry| !is_about(entry))
    }

    /// What is about the images, such as signatures: entries whose refs are made
    /// of the digests of images, as tags of registries are.
    pub fn attached(&self) -> Vec<Descriptor> {
        self.manifests.iter().filter(|entry| is_about(entry)).cloned().collect()
    }

    /// The refs of images, in order, each once.
    pub fn refs(&self) -> Vec<&str> {
        let mut refs: Vec<&str> = self.images().filter_map(ref_of).collect();
        refs.sort_unstable();
        refs.dedup();
        refs
    }
}

/// The engines that stand in the descriptor itself.
pub(crate) fn engines_of(descriptor: &Descriptor) -> Vec<Engine> {
    let engines = descriptor.other.get("casEngines").cloned();
    engines.and_then(|engines| serde_json::from_value(engines).ok()).unwrap_or_default()
}

/// Whether an entry is there for others.
fn is_about(entry: &Descriptor) -> bool {
    ref_of(entry).is_some_and(Digest::is_tag)
}

/// The ref of an entry.
pub fn ref_of(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(REF_NAME).map(String::as_str)
}
