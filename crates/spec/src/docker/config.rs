//! Docker's image config: the OCI one, what `docker` adds for starting and
//! building, and the marks of the container that some images were made from.

use std::collections::BTreeMap;

use plimsoll_content::limits::Limits;
use plimsoll_content::{Result, View, json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::{EXECUTION, MEMBERS, made_of};
use crate::manifest::count;
use crate::{History, RootFs, null};

/// A Docker v2.2 image config. Every optional member may be `null`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Config {
    /// When the image was made (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The architecture, as GOARCH.
    pub architecture: String,
    /// The operating system, as GOOS.
    pub os: String,
    /// Its version.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Its mandatory features.
    #[serde(
        rename = "os.features",
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null::is_default"
    )]
    pub os_features: Vec<String>,
    /// The variant of the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How the image is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Execution>,
    /// What the layers inflate to.
    pub rootfs: RootFs,
    /// How the layers came about, from the first to the last.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null::elements_are_default"
    )]
    pub history: Vec<History>,
    /// The id that the image had before ids were digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The image below, by that id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What was said when the image was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The container that was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// How that container was started; no instruction for anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_config: Option<Execution>,
    /// The version of docker that made the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_version: Option<String>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How the image is started, and how builds on it go on.
///
/// What belongs to a container rather than to an image (`Hostname`, `Tty` and
/// the like) is kept in `other`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Execution {
    /// Who runs the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The ports that the program listens on.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null::is_default"
    )]
    pub exposed_ports: BTreeMap<String, Value>,
    /// The environment, as `NAME=VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null::is_default")]
    pub env: Vec<String>,
    /// The program and its fixed arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The default arguments; the program, too, without an entrypoint.
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
    /// Free text.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null::is_default"
    )]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Whether a Windows command line is one string, quoted already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_escaped: Option<bool>,
    /// How it is found out whether the program works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Instructions for builds that start from this image.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null::is_default")]
    pub on_build: Vec<String>,
    /// The shell of instructions that are written as one string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// How long the program may take to stop, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How it is found out whether the program works. Times are in nanoseconds;
/// absent and 0 both mean what the engine takes by default.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// The command: empty for what the image below has, `NONE` for no check,
    /// `CMD` and arguments, or `CMD-SHELL` and one string.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null::is_default")]
    pub test: Vec<String>,
    /// The time between two checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    /// How long one check may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// How long failures do not count after the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<i64>,
    /// The time between two checks until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<i64>,
    /// After how many failures in a row the program does not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

pub(super) const OWN: &[&str] =
    &["id", "parent", "comment", "container", "container_config", "docker_version"];

const OWN_EXECUTION: &[&str] = &["Healthcheck", "OnBuild", "Shell", "StopTimeout"];

const HEALTHCHECK: &[&str] =
    &["Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"];

impl View for Config {
    const NAME: &'static str = "a Docker image config";

    fn limit(limits: &Limits) -> u64 {
        limits.config
    }

    fn check(&self) -> Result<()> {
        json::refuse_lookalikes("", &self.other, &[MEMBERS, OWN].concat())?;
        for (pointer, execution) in
            [("/config", &self.config), ("/container_config", &self.container_config)]
        {
            execution.as_ref().map_or(Ok(()), |execution| execution.check(pointer))?;
        }
        made_of(Self::NAME, &self.rootfs, &self.history)
    }

    fn within(&self, limits: &Limits) -> Result<()> {
        count(Self::NAME, "rootfs.diff_ids", self.rootfs.diff_ids.len(), limits.layers)
    }
}

impl Execution {
    pub(super) fn check(&self, pointer: &str) -> Result<()> {
        json::refuse_lookalikes(pointer, &self.other, &[EXECUTION, OWN_EXECUTION].concat())?;
        match &self.healthcheck {
            None => Ok(()),
            Some(check) => json::refuse_lookalikes(
                &format!("{pointer}/Healthcheck"),
                &check.other,
                HEALTHCHECK,
            ),
        }
    }
}
