//! What is different in Docker v2.2 documents.
//!
//! A Docker manifest or manifest list has the members of the OCI document of
//! that kind under other media types, so [`Manifest`](crate::Manifest) and
//! [`Index`](crate::Index) are read from both, bytes untouched. The config has
//! members of its own, which [`Extras`] names; an image that is only carried
//! or unpacked needs none of them.

use std::collections::BTreeMap;

use plimsoll_content::{MediaType, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Config, media_type};

/// A Docker v2.2 manifest: the members of an OCI manifest, `mediaType` mandatory.
pub type Manifest = crate::Manifest;

/// A Docker v2.2 manifest list: the members of an OCI index, `mediaType` mandatory.
pub type ManifestList = crate::Index;

/// The members that only Docker's config has.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Extras {
    /// The container from which the image was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The config of that container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_config: Option<Map<String, Value>>,
    /// The version of docker that made the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_version: Option<String>,
    /// The member `Healthcheck` of `config`.
    #[serde(skip)]
    pub healthcheck: Option<Value>,
    /// The member `OnBuild` of `config`: instructions for builds on this image.
    #[serde(skip)]
    pub on_build: Vec<String>,
    /// The member `Shell` of `config`.
    #[serde(skip)]
    pub shell: Vec<String>,
    /// All other unknown members at the top.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

impl Extras {
    /// What Docker's config says beyond the OCI one.
    pub fn of(config: &Config) -> Result<Self> {
        let broken = |cause: serde_json::Error| {
            plimsoll_content::Error::new(
                plimsoll_content::Code::Malformed,
                "reading Docker's part of an image config",
            )
            .found(&cause)
            .cause(cause)
        };
        let mut extras: Self =
            serde_json::from_value(Value::Object(config.other.clone())).map_err(broken)?;
        if let Some(execution) = &config.config {
            let member = |name| execution.other.get(name).filter(|value| !value.is_null()).cloned();
            extras.healthcheck = member("Healthcheck");
            extras.on_build =
                serde_json::from_value(member("OnBuild").unwrap_or(Value::Array(Vec::new())))
                    .map_err(broken)?;
            extras.shell =
                serde_json::from_value(member("Shell").unwrap_or(Value::Array(Vec::new())))
                    .map_err(broken)?;
        }
        Ok(extras)
    }
}

/// Whether the media type belongs to Docker's family.
pub fn is_docker(media_type: &MediaType) -> bool {
    [
        media_type::DOCKER_MANIFEST,
        media_type::DOCKER_MANIFEST_LIST,
        media_type::DOCKER_CONFIG,
        media_type::DOCKER_LAYER,
        media_type::DOCKER_LAYER_GZIP,
        media_type::DOCKER_LAYER_ZSTD,
        media_type::DOCKER_FOREIGN_LAYER,
        media_type::DOCKER_FOREIGN_LAYER_GZIP,
    ]
    .contains(media_type)
}
