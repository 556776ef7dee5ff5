//! Docker's manifest and manifest list.

use plimsoll_content::limits::Limits;
use plimsoll_content::{Descriptor, MediaType, Result, View, json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::manifest::{count, is_one_of, is_one_thing, is_two};
use crate::{index, manifest, media_type, null};

/// A Docker v2.2 manifest: a config and the layers, from the bottom up.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What the document is; unlike in OCI documents it always stands there.
    pub media_type: MediaType,
    /// The config.
    pub config: Descriptor,
    /// The layers, from the bottom up.
    #[serde(deserialize_with = "null::is_default")]
    pub layers: Vec<Descriptor>,
    /// Other members; `annotations` and whatever else OCI has among them.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Manifest {
    /// A Docker manifest with these blobs.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: media_type::DOCKER_MANIFEST,
            config,
            layers,
            other: Map::new(),
        }
    }
}

impl View for Manifest {
    const NAME: &'static str = "a Docker image manifest";

    fn limit(limits: &Limits) -> u64 {
        limits.document
    }

    fn check(&self) -> Result<()> {
        is_two(Self::NAME, self.schema_version)?;
        is_one_of(Self::NAME, Some(&self.media_type), &[media_type::DOCKER_MANIFEST])?;
        is_one_thing(Self::NAME, &self.other, manifest::FOREIGN)?;
        let known = ["schemaVersion", "mediaType", "config", "layers", "manifests", "fsLayers"];
        json::refuse_lookalikes("", &self.other, &known)?;
        self.config.check("/config")?;
        each(&self.layers, "layers")
    }

    fn within(&self, limits: &Limits) -> Result<()> {
        count(Self::NAME, "layers", self.layers.len(), limits.layers)
    }
}

/// A Docker v2.2 manifest list: what there is, by platform.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestList {
    /// Always 2.
    pub schema_version: u32,
    /// What the document is; unlike in OCI documents it always stands there.
    pub media_type: MediaType,
    /// The manifests, each with its platform.
    #[serde(deserialize_with = "null::is_default")]
    pub manifests: Vec<Descriptor>,
    /// Other members; `annotations` and whatever else OCI has among them.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl ManifestList {
    /// A manifest list of these.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: media_type::DOCKER_MANIFEST_LIST,
            manifests,
            other: Map::new(),
        }
    }
}

impl View for ManifestList {
    const NAME: &'static str = "a Docker manifest list";

    fn limit(limits: &Limits) -> u64 {
        limits.index
    }

    fn check(&self) -> Result<()> {
        is_two(Self::NAME, self.schema_version)?;
        is_one_of(Self::NAME, Some(&self.media_type), &[media_type::DOCKER_MANIFEST_LIST])?;
        is_one_thing(Self::NAME, &self.other, index::FOREIGN)?;
        let known = ["schemaVersion", "mediaType", "manifests", "config", "layers", "fsLayers"];
        json::refuse_lookalikes("", &self.other, &known)?;
        each(&self.manifests, "manifests")
    }
}

fn each(descriptors: &[Descriptor], member: &str) -> Result<()> {
    descriptors
        .iter()
        .enumerate()
        .try_for_each(|(position, one)| one.check(&format!("/{member}/{position}")))
}
