//! Image manifests (`manifest.md`); Docker v2.2 manifests have the same members.

use plimsoll_content::limits::Limits;
use plimsoll_content::{
    Algorithm, Annotations, Code, Descriptor, Error, MediaType, Result, View, json,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::media_type;
use crate::null;

/// An image manifest: a config and the layers, from the bottom up.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2 (MA2).
    pub schema_version: u32,
    /// What the document is (MA3, MA4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What an artifact is (MA6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// The config (MA10).
    pub config: Descriptor,
    /// The layers, from the bottom up (MA18 to MA21).
    #[serde(deserialize_with = "null::is_default")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is about (MA29).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text about the image (MA30).
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

impl Manifest {
    /// An OCI image manifest with these blobs.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: Annotations::new(),
            other: Map::new(),
        }
    }

    /// An OCI manifest of something that is no image: the empty config, and
    /// an `artifactType` instead (MA33). Without blobs it gets the empty one
    /// as its only layer, which portable artifacts have (MA34).
    pub fn artifact(artifact_type: MediaType, mut blobs: Vec<Descriptor>) -> Self {
        if blobs.is_empty() {
            blobs.push(Self::empty_blob());
        }
        Self { artifact_type: Some(artifact_type), ..Self::new(Self::empty_blob(), blobs) }
    }

    /// The descriptor of the two bytes `{}`, which it embeds (MA35).
    pub fn empty_blob() -> Descriptor {
        Descriptor {
            data: Some("e30=".to_owned()),
            ..Descriptor::of(media_type::EMPTY, Algorithm::Sha256, b"{}")
        }
    }

    /// What kind of artifact it is: its own word, or the media type of its
    /// config (MA36).
    pub fn kind(&self) -> &MediaType {
        self.artifact_type.as_ref().unwrap_or(&self.config.media_type)
    }
}

/// The members that have a meaning, in one kind of document or the other.
pub(crate) const MEMBERS: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "subject",
    "annotations",
    "manifests",
    "fsLayers",
];

/// Members of other documents than a manifest.
pub(crate) const FOREIGN: &[&str] = &["manifests", "fsLayers"];

impl View for Manifest {
    const NAME: &'static str = "an image manifest";

    fn limit(limits: &Limits) -> u64 {
        limits.document
    }

    fn check(&self) -> Result<()> {
        is_two(Self::NAME, self.schema_version)?;
        is_one_of(
            Self::NAME,
            self.media_type.as_ref(),
            &[media_type::MANIFEST, media_type::DOCKER_MANIFEST],
        )?;
        is_one_thing(Self::NAME, &self.other, FOREIGN)?;
        json::refuse_lookalikes("", &self.other, MEMBERS)?;
        self.config.check("/config")?;
        for (position, layer) in self.layers.iter().enumerate() {
            layer.check(&format!("/layers/{position}"))?;
        }
        self.subject.as_ref().map_or(Ok(()), |subject| subject.check("/subject"))
    }

    fn within(&self, limits: &Limits) -> Result<()> {
        count(Self::NAME, "layers", self.layers.len(), limits.layers)
    }
}

/// `schemaVersion` is 2 (MA2, IX3).
pub(crate) fn is_two(what: &str, version: u32) -> Result<()> {
    if version == 2 {
        return Ok(());
    }
    Err(Error::new(Code::Malformed, format!("reading {what}"))
        .found(format!("schemaVersion {version}"))
        .expected("2"))
}

/// No member that only another kind of document has: one reader would take
/// the document for that, and one digest would name two images (MA5, GR01,
/// CVE-2021-41190).
pub(crate) fn is_one_thing(what: &str, other: &Map<String, Value>, foreign: &[&str]) -> Result<()> {
    match foreign.iter().find(|member| other.contains_key(**member)) {
        None => Ok(()),
        Some(member) => Err(Error::new(Code::Malformed, format!("reading {what}"))
            .found(format!("the member {member}, which only another kind of document has"))
            .expected("a document that is one thing")),
    }
}

/// `mediaType`, where it stands, is the right one (MA4, IX5).
pub(crate) fn is_one_of(what: &str, found: Option<&MediaType>, known: &[MediaType]) -> Result<()> {
    match found {
        Some(found) if !known.contains(found) => {
            Err(Error::new(Code::Malformed, format!("reading {what}"))
                .found(format!("mediaType {:?}", found.as_str()))
                .expected(known[0].as_str()))
        }
        _ => Ok(()),
    }
}

/// Not more of something than is ever sensible (GR06).
pub(crate) fn count(what: &str, member: &str, found: usize, most: usize) -> Result<()> {
    if found <= most {
        return Ok(());
    }
    Err(Error::new(Code::Limit, format!("reading {what}"))
        .found(format!("{found} elements of {member}"))
        .expected(format!("at most {most}")))
}
