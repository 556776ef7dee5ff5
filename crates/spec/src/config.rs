//! Image configs (`config.md`); Docker v2.2 configs have the same members and
//! some more, which are kept in `other`.

use std::collections::BTreeMap;

use plimsoll_content::limits::Limits;
use plimsoll_content::{Code, Digest, Error, Platform, Result, View, json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::manifest::count;
use crate::null;

/// An image config: what it runs on, how it is started, what it is made of.
///
/// Every optional member may be `null`, which means absent (CF3).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Config {
    /// When the image was made (RFC 3339, CF4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The architecture, as GOARCH (CF5).
    pub architecture: String,
    /// The operating system, as GOOS (CF6).
    pub os: String,
    /// Its version (CF7).
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Its mandatory features (CF8).
    #[serde(
        rename = "os.features",
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null::is_default"
    )]
    pub os_features: Vec<String>,
    /// The variant of the CPU (CF9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How the image is started (CF10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Execution>,
    /// What the layers inflate to (CF19).
    pub rootfs: RootFs,
    /// How the layers came about, from the first to the last (CF23).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null::elements_are_default"
    )]
    pub history: Vec<History>,
    /// Members that this version does not know (CF24).
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How the image is started.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Execution {
    /// Who runs the program (CF11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The ports that the program listens on (CF12).
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null::is_default"
    )]
    pub exposed_ports: BTreeMap<String, Value>,
    /// The environment, as `NAME=VALUE` (CF13).
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null::is_default")]
    pub env: Vec<String>,
    /// The program and its fixed arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The default arguments; the program, too, without an entrypoint (CF14).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Folders for data that is not part of the image.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null::is_default"
    )]
    pub volumes: BTreeMap<String, Value>,
    /// The folder in which the program starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Free text, carried to the runtime as annotations (CF15).
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null::is_default"
    )]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to stop (CF16).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Deprecated; only Windows images use it (CF17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_escaped: Option<bool>,
    /// Members that this version does not know, and reserved ones (CF18).
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What the layers inflate to.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RootFs {
    /// Always `layers` (CF20).
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the uncompressed layers, from the bottom up (CF22).
    #[serde(deserialize_with = "null::is_default")]
    pub diff_ids: Vec<Digest>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new(), other: Map::new() }
    }
}

/// One step in which the image was made.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct History {
    /// When (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By what command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether the step made no layer.
    #[serde(
        default,
        skip_serializing_if = "null::is_false",
        deserialize_with = "null::is_default"
    )]
    pub empty_layer: bool,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Config {
    /// A config without layers.
    pub fn new(platform: &Platform) -> Self {
        Self {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            os_version: platform.os_version.clone(),
            os_features: platform.os_features.clone(),
            variant: platform.variant.clone(),
            ..Self::default()
        }
    }

    /// What the image runs on.
    pub fn platform(&self) -> Platform {
        Platform {
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            variant: self.variant.clone(),
            ..Platform::new(&self.os, &self.architecture)
        }
    }

    /// Puts a layer on top, and tells of it in the history if that tells of
    /// all layers below.
    pub fn push_layer(&mut self, diff_id: Digest, step: History) {
        let told = self.history.iter().filter(|step| !step.empty_layer).count();
        if told == self.rootfs.diff_ids.len() {
            self.history.push(History { empty_layer: false, ..step });
        }
        self.rootfs.diff_ids.push(diff_id);
    }
}

pub(crate) const MEMBERS: &[&str] = &[
    "created",
    "author",
    "architecture",
    "os",
    "os.version",
    "os.features",
    "variant",
    "config",
    "rootfs",
    "history",
];

pub(crate) const EXECUTION: &[&str] = &[
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "ArgsEscaped",
];

impl View for Config {
    const NAME: &'static str = "an image config";

    fn limit(limits: &Limits) -> u64 {
        limits.config
    }

    fn check(&self) -> Result<()> {
        json::refuse_lookalikes("", &self.other, MEMBERS)?;
        if let Some(execution) = &self.config {
            json::refuse_lookalikes("/config", &execution.other, EXECUTION)?;
        }
        made_of(Self::NAME, &self.rootfs, &self.history)
    }

    fn within(&self, limits: &Limits) -> Result<()> {
        count(Self::NAME, "rootfs.diff_ids", self.rootfs.diff_ids.len(), limits.layers)
    }
}

/// The rules for the parts that OCI and Docker configs share.
pub(crate) fn made_of(what: &str, rootfs: &RootFs, history: &[History]) -> Result<()> {
    json::refuse_lookalikes("/rootfs", &rootfs.other, &["type", "diff_ids"])?;
    for (position, step) in history.iter().enumerate() {
        let known = &["created", "created_by", "author", "comment", "empty_layer"];
        json::refuse_lookalikes(&format!("/history/{position}"), &step.other, known)?;
    }
    if rootfs.kind != "layers" {
        return Err(Error::new(Code::Malformed, format!("reading {what}"))
            .found(format!("rootfs.type {:?}", rootfs.kind))
            .expected("layers"));
    }
    Ok(())
}
