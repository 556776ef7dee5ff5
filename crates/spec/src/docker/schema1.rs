//! Docker image manifest version 2, schema 1: what registries held before
//! configs had digests. It is read, and never written.
//!
//! The manifest lists the blobs of the layers, the uppermost first, without
//! sizes, and for each one a [`V1Image`] as text. Most are signed: around the
//! text that counts, the payload, lies a JSON signature, and the digest of the
//! manifest is that of the payload ([`payload`]). Whose signature it is says
//! nothing: the key comes with it, so it is not looked at.
//!
//! What such an image runs on and how it is started is known at once; its
//! diff_ids are known when its layers were inflated.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plimsoll_content::limits::Limits;
use plimsoll_content::{Code, Digest, Document, Error, MediaType, Result, View, json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::V1Image;
use crate::manifest::{count, is_one_of, is_one_thing};
use crate::{Config, History, media_type};

/// A schema 1 manifest, without its signatures.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Schema1 {
    /// Always 1.
    pub schema_version: u32,
    /// The repository that it was written for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tag that it was written for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The architecture, as GOARCH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The layers, the uppermost first.
    pub fs_layers: Vec<FsLayer>,
    /// What each layer is, the uppermost first.
    pub history: Vec<Compatibility>,
    /// Other members.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A layer of a schema 1 manifest.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FsLayer {
    /// The digest of the blob.
    pub blob_sum: Digest,
    /// Other members.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a layer of a schema 1 manifest is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compatibility {
    /// A [`V1Image`], as text.
    pub v1_compatibility: String,
    /// Other members.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One step of an image, and its layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What came to be.
    pub image: V1Image,
    /// The blob of the layer.
    pub blob: Digest,
}

impl Schema1 {
    /// The steps, from the bottom up.
    ///
    /// Each is the parent of the next one. Some old manifests have one of
    /// them twice in a row, which counts once, as docker and skopeo have it.
    pub fn parts(&self, limits: &Limits) -> Result<Vec<Part>> {
        let mut parts: Vec<Part> = Vec::new();
        for (position, (layer, text)) in self.fs_layers.iter().zip(&self.history).enumerate().rev()
        {
            let doing = || format!("reading history {position} of {}", Self::NAME);
            let image = Document::<V1Image>::parse_within(text.v1_compatibility.as_bytes(), limits)
                .map_err(|error| error.context(doing()))?;
            let image = image.view().clone();
            let below = parts.last().and_then(|below| below.image.id.clone());
            if below.is_some() && below == image.id {
                continue;
            }
            let parent = image.parent.clone().filter(|parent| !parent.is_empty());
            if parent != below {
                let shown = |id: Option<String>| id.unwrap_or_else(|| "none".to_owned());
                return Err(Error::new(Code::Malformed, doing())
                    .found(format!("the parent {:?}", shown(parent)))
                    .expected(format!("{:?}, the layer below", shown(below))));
            }
            parts.push(Part { image, blob: layer.blob_sum.clone() });
        }
        Ok(parts)
    }

    /// The blobs of all layers, each once, the uppermost first; those of
    /// steps without a layer are among them.
    pub fn blobs(&self) -> Vec<&Digest> {
        let mut seen = BTreeSet::new();
        self.fs_layers
            .iter()
            .map(|layer| &layer.blob_sum)
            .filter(|blob| seen.insert(*blob))
            .collect()
    }

    /// The OCI config of these steps, from the bottom up; `diff_ids` are those
    /// of the steps that have a layer.
    pub fn config(&self, parts: &[Part], diff_ids: Vec<Digest>) -> Result<Config> {
        let history: Vec<History> =
            parts.iter().map(|part| part.image.step(part.image.throwaway)).collect();
        let mut top = parts.last().map(|part| part.image.clone()).unwrap_or_default();
        if top.architecture.as_deref().is_none_or(str::is_empty) {
            top.architecture.clone_from(&self.architecture);
        }
        Config::try_from(&top.into_config(diff_ids, history))
    }
}

impl View for Schema1 {
    const NAME: &'static str = "a Docker schema 1 manifest";

    fn limit(limits: &Limits) -> u64 {
        limits.document
    }

    fn check(&self) -> Result<()> {
        if self.schema_version != 1 {
            return Err(Error::new(Code::Malformed, format!("reading {}", Self::NAME))
                .found(format!("schemaVersion {}", self.schema_version))
                .expected("1"));
        }
        let said = self.other.get("mediaType").and_then(Value::as_str).map(MediaType::from);
        let known = [media_type::DOCKER_SCHEMA1, media_type::DOCKER_SCHEMA1_SIGNED];
        is_one_of(Self::NAME, said.as_ref(), &known)?;
        is_one_thing(Self::NAME, &self.other, &["manifests", "layers", "config"])?;
        let known = [
            "schemaVersion",
            "name",
            "tag",
            "architecture",
            "fsLayers",
            "history",
            "signatures",
            "manifests",
            "layers",
            "config",
        ];
        let mut other = self.other.clone();
        other.remove("signatures");
        json::refuse_lookalikes("", &other, &known)?;
        for (position, layer) in self.fs_layers.iter().enumerate() {
            json::refuse_lookalikes(&format!("/fsLayers/{position}"), &layer.other, &["blobSum"])?;
        }
        for (position, step) in self.history.iter().enumerate() {
            let pointer = format!("/history/{position}");
            json::refuse_lookalikes(&pointer, &step.other, &["v1Compatibility"])?;
        }
        if self.fs_layers.is_empty() || self.fs_layers.len() != self.history.len() {
            return Err(Error::new(Code::Malformed, format!("reading {}", Self::NAME))
                .found(format!(
                    "{} fsLayers and {} elements of history",
                    self.fs_layers.len(),
                    self.history.len()
                ))
                .expected("one of each for each layer, and a layer"));
        }
        Ok(())
    }

    fn within(&self, limits: &Limits) -> Result<()> {
        count(Self::NAME, "fsLayers", self.fs_layers.len(), limits.layers)
    }
}

/// Whether the media type is that of a schema 1 manifest.
pub fn is_schema1(media_type: &MediaType) -> bool {
    [media_type::DOCKER_SCHEMA1, media_type::DOCKER_SCHEMA1_SIGNED].contains(media_type)
}

/// The media type of a schema 1 manifest by its members, if it is one.
pub fn media_type_of(value: &Value) -> Option<MediaType> {
    let old = value.get("schemaVersion").and_then(Value::as_u64) == Some(1)
        && value.get("fsLayers").is_some();
    let signed = value.get("signatures").is_some_and(|signatures| !signatures.is_null());
    old.then_some(if signed {
        media_type::DOCKER_SCHEMA1_SIGNED
    } else {
        media_type::DOCKER_SCHEMA1
    })
}

/// What the signatures of a manifest are about; `None` if there are none.
///
/// It is a part of the bytes and what stands behind it. All signatures must
/// mean the same, and that must be what stands there: else the one digest
/// would be about two images.
pub fn payload(bytes: &[u8], limits: &Limits) -> Result<Option<Vec<u8>>> {
    let doing = "reading the signatures of a manifest";
    json::check_within(Schema1::NAME, bytes, limits.json_depth)?;
    let bad = |found: &str, expected: &str| {
        Error::new(Code::Malformed, doing).found(found).expected(expected)
    };
    let parse = |bytes: &[u8]| {
        serde_json::from_slice::<Value>(bytes)
            .map_err(|cause| Error::new(Code::Malformed, doing).found(&cause).cause(cause))
    };
    let mut whole = parse(bytes)?;
    let Some(signatures) = whole.as_object_mut().and_then(|whole| whole.remove("signatures"))
    else {
        return Ok(None);
    };
    let signatures: Vec<Signature> = match signatures {
        Value::Null => return Ok(None),
        signatures => serde_json::from_value(signatures)
            .map_err(|cause| Error::new(Code::Malformed, doing).found(&cause).cause(cause))?,
    };
    let mut payloads = BTreeSet::new();
    for signature in &signatures {
        let header = URL_SAFE_NO_PAD.decode(&signature.protected).ok();
        let header = header.and_then(|header| serde_json::from_slice::<Protected>(&header).ok());
        let header = header.ok_or_else(|| {
            bad("a protected header that can not be read", "formatLength and formatTail")
        })?;
        let tail = URL_SAFE_NO_PAD
            .decode(&header.format_tail)
            .map_err(|_| bad("a formatTail that is not base64", "base64 for addresses"))?;
        payloads.insert((header.format_length, tail));
        if payloads.len() > 1 {
            return Err(bad("signatures of different content", "one payload"));
        }
    }
    let Some((length, tail)) = payloads.pop_first() else {
        return Err(bad("an empty list of signatures", "signatures, or no such member"));
    };
    let start = usize::try_from(length).ok().and_then(|length| bytes.get(..length));
    let start = start.ok_or_else(|| {
        bad(&format!("a formatLength of {length}"), "no more than there are bytes")
    })?;
    let payload = [start, &tail].concat();
    json::check_within(Schema1::NAME, &payload, limits.json_depth)?;
    if parse(&payload)? != whole {
        return Err(bad("something else than what is signed", "the same beside the signatures"));
    }
    Ok(Some(payload))
}

#[derive(Deserialize)]
struct Signature {
    protected: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Protected {
    format_length: u64,
    format_tail: String,
}
