//! What an image is, from its documents alone.

use plimsoll_content::{Annotations, Code, Descriptor, Digest, Platform, Result, Source};
use plimsoll_spec::graph::Node;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::image::{self, Image};

/// What a reference stands for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspected {
    /// The digest of what was named.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// What kind of artifact it is, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: Annotations,
    /// The images in it, one for each platform.
    pub images: Vec<InspectedImage>,
    /// What else it refers to: artifacts and unknown documents.
    pub others: Vec<Other>,
}

/// An image for one platform.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectedImage {
    /// What it runs on.
    pub platform: String,
    /// The digest of the manifest.
    pub digest: Digest,
    /// The length of config and layers together, in bytes.
    pub bytes: u64,
    /// The digest of the config: docker's image id. Images of Docker schema 1
    /// have no config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_digest: Option<Digest>,
    /// When it was made, as the config says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The member `config` of the config, as it is written there.
    pub config: Map<String, Value>,
    /// The layers, from the bottom up.
    pub layers: Vec<InspectedLayer>,
}

/// A layer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectedLayer {
    /// The digest of the blob.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its length, in bytes.
    pub size: u64,
    /// The digest of the uncompressed tar, as the config says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<Digest>,
}

/// Something that is not an image.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Other {
    /// Its digest.
    pub digest: Digest,
    /// Its media type, or the kind of artifact.
    pub media_type: String,
    /// Its length, in bytes.
    pub size: u64,
}

impl InspectedImage {
    /// The config in lines for people: name and value.
    pub fn lines(&self) -> Vec<(&str, String)> {
        let mut lines = Vec::new();
        if let Some(created) = &self.created {
            lines.push(("created", created.clone()));
        }
        for (name, value) in &self.config {
            match value {
                Value::Null => {}
                Value::String(text) => lines.push((name, text.clone())),
                Value::Array(entries) if name == "Env" => {
                    lines.extend(
                        entries
                            .iter()
                            .filter_map(Value::as_str)
                            .map(|entry| (name.as_str(), entry.to_owned())),
                    );
                }
                Value::Object(members)
                    if members
                        .values()
                        .all(|value| value.as_object().is_some_and(Map::is_empty)) =>
                {
                    lines.extend(members.keys().map(|key| (name.as_str(), key.clone())));
                }
                Value::Object(members) if members.values().all(Value::is_string) => {
                    lines.extend(members.iter().filter_map(|(key, value)| {
                        value.as_str().map(|value| (name.as_str(), format!("{key}={value}")))
                    }));
                }
                other => lines.push((name, other.to_string())),
            }
        }
        lines
    }
}

/// Tells what `root` is, on all platforms or on the one given.
pub fn inspect(
    source: &dyn Source,
    root: &Descriptor,
    platform: Option<&Platform>,
) -> Result<Inspected> {
    let mut inspected = Inspected {
        digest: root.digest.clone(),
        media_type: root.media_type.to_string(),
        artifact_type: None,
        annotations: Annotations::new(),
        images: Vec::new(),
        others: Vec::new(),
    };
    if platform.is_some() {
        let image = Image::open(source, root, platform)?;
        inspected.digest = image.descriptor.digest.clone();
        inspected.media_type = image.descriptor.media_type.to_string();
        inspected.annotations.clone_from(&image.manifest.annotations);
        inspected.images.push(of(&image)?);
        return Ok(inspected);
    }
    match image::node(source, root)? {
        Node::Index(index) => {
            inspected.annotations.clone_from(&index.annotations);
            inspected.artifact_type = index.artifact_type.as_ref().map(ToString::to_string);
        }
        Node::Manifest(manifest) => {
            inspected.annotations.clone_from(&manifest.annotations);
            inspected.artifact_type = manifest.artifact_type.as_ref().map(ToString::to_string);
        }
        Node::Schema1(_) | Node::Opaque => {}
    }
    walk(source, root, 0, &mut inspected)?;
    Ok(inspected)
}

fn walk(
    source: &dyn Source,
    descriptor: &Descriptor,
    depth: usize,
    into: &mut Inspected,
) -> Result<()> {
    let visited = into.images.len() + into.others.len();
    let limits = source.limits();
    if depth > limits.index_depth || visited > limits.index_visits {
        return Err(plimsoll_content::Error::new(
            Code::Limit,
            format!("inspecting {}", into.digest),
        )
        .found("more nested or listed documents than are ever sensible"));
    }
    let node = match image::node(source, descriptor) {
        Ok(node) => node,
        // A layout need not hold every platform (LA14).
        Err(error) if depth > 0 && error.code() == Code::NotFound => Node::Opaque,
        Err(error) => return Err(error),
    };
    match node {
        Node::Index(index) => {
            for entry in &index.manifests {
                walk(source, entry, depth + 1, into)?;
            }
        }
        Node::Manifest(manifest) => match Image::open(source, descriptor, None) {
            Ok(image) => into.images.push(of(&image)?),
            Err(error) if error.code() == Code::MediaType => {
                let kind = manifest.artifact_type.as_ref().unwrap_or(&manifest.config.media_type);
                into.others.push(other(descriptor, kind.as_str()));
            }
            Err(error) => return Err(error),
        },
        Node::Schema1(_) => into.images.push(of(&Image::open(source, descriptor, None)?)?),
        Node::Opaque => into.others.push(other(descriptor, descriptor.media_type.as_str())),
    }
    Ok(())
}

fn other(descriptor: &Descriptor, kind: &str) -> Other {
    Other { digest: descriptor.digest.clone(), media_type: kind.to_owned(), size: descriptor.size }
}

fn of(image: &Image) -> Result<InspectedImage> {
    let config = image.schema1.is_none().then_some(&image.manifest.config);
    let members = match &image.config.config {
        Some(execution) => serde_json::to_value(execution).map_err(|cause| {
            plimsoll_content::Error::new(Code::Bug, "showing the config").found(&cause).cause(cause)
        })?,
        None => Value::Null,
    };
    let layers: Vec<_> = image
        .manifest
        .layers
        .iter()
        .enumerate()
        .map(|(position, layer)| InspectedLayer {
            digest: layer.digest.clone(),
            media_type: layer.media_type.to_string(),
            size: layer.size,
            diff_id: image.config.rootfs.diff_ids.get(position).cloned(),
        })
        .collect();
    Ok(InspectedImage {
        platform: image.platform().to_string(),
        digest: image.descriptor.digest.clone(),
        bytes: layers.iter().fold(config.map_or(0, |config| config.size), |sum, layer| {
            sum.saturating_add(layer.size)
        }),
        config_digest: config.map(|config| config.digest.clone()),
        created: image.config.created.clone(),
        config: members.as_object().cloned().unwrap_or_default(),
        layers,
    })
}
