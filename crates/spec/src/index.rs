//! Image indexes (`image-index.md`), of images and of layouts; Docker v2.2
//! manifest lists have the same members.

use plimsoll_content::limits::Limits;
use plimsoll_content::{Annotations, Descriptor, MediaType, Result, View, json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::manifest::{is_one_of, is_one_thing, is_two};
use crate::media_type;
use crate::null;

/// An index: what there is, by platform or by name.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2 (IX3).
    pub schema_version: u32,
    /// What the document is (IX4, IX5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What an artifact is (IX6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// Manifests, indexes, and whatever else there may be (IX7 to IX12).
    #[serde(deserialize_with = "null::is_default")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this index is about (IX25).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text about the index (IX26).
    #[serde(
        default,
        skip_serializing_if = "Annotations::is_empty",
        deserialize_with = "null::is_default"
    )]
    pub annotations: Annotations,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Index {
    /// An OCI index of these.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::INDEX),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: Annotations::new(),
            other: Map::new(),
        }
    }
}

/// An index of nothing, as a new layout has it (IX7).
impl Default for Index {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// The members that have a meaning, in one kind of document or the other.
pub(crate) const MEMBERS: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "artifactType",
    "manifests",
    "subject",
    "annotations",
    "config",
    "layers",
    "fsLayers",
];

/// Members of other documents than an index.
pub(crate) const FOREIGN: &[&str] = &["config", "layers", "fsLayers"];

impl View for Index {
    const NAME: &'static str = "an image index";

    fn limit(limits: &Limits) -> u64 {
        limits.index
    }

    fn check(&self) -> Result<()> {
        is_two(Self::NAME, self.schema_version)?;
        is_one_of(
            Self::NAME,
            self.media_type.as_ref(),
            &[media_type::INDEX, media_type::DOCKER_MANIFEST_LIST],
        )?;
        is_one_thing(Self::NAME, &self.other, FOREIGN)?;
        json::refuse_lookalikes("", &self.other, MEMBERS)?;
        for (position, entry) in self.manifests.iter().enumerate() {
            entry.check(&format!("/manifests/{position}"))?;
        }
        self.subject.as_ref().map_or(Ok(()), |subject| subject.check("/subject"))
    }
}
