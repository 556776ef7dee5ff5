//! What a runtime is told: the part of the runtime spec (`config.json`,
//! version 1.2) that this software writes.
//!
//! The types are a subset on purpose. Every object keeps the members that it
//! does not know in `other`, and [`Spec::unknown`] lists them by path, so
//! that a runtime can refuse what it would not enforce instead of starting
//! without it.
//!
//! What does not live here: how a spec comes out of an image
//! ([`convert`](crate::convert)), and what is done with it.

mod linux;

use std::collections::BTreeMap;

use plimsoll_content::limits::Limits;
use plimsoll_content::{Document, Result, View, json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use linux::{
    Comparison, Cpu, Device, DeviceKind, DeviceRule, IdMapping, Linux, Memory, Namespace,
    NamespaceKind, Pids, Resources, Seccomp, SeccompAction, SeccompArg, SeccompRule,
};

/// The version of the runtime spec that is written. It is the oldest that has
/// what containers cannot start without: runtimes may refuse newer ones.
pub const VERSION: &str = "1.0.2";

/// A runtime config: the content of `config.json`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Spec {
    /// The version of the runtime spec.
    #[serde(rename = "ociVersion")]
    pub oci_version: String,
    /// The root filesystem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<RootFilesystem>,
    /// The process to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// The host name in the container; needs a UTS namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// What is mounted over the root filesystem, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Annotations: data, never commands (hostile case RT08).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What only Linux has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linux: Option<Linux>,
    /// Members that these types do not know, `hooks` among them.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Spec {
    /// Reads a `config.json`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Document::<Self>::parse(bytes).map(|document| document.view().clone())
    }

    /// The bytes of the `config.json`, in canonical form.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        json::canonical(self)
    }

    /// The paths of all members that these types do not know, such as
    /// `linux.intelRdt` or `mounts[2].uidMappings`, in document order.
    pub fn unknown(&self) -> Vec<String> {
        let mut unknown = Unknown(Vec::new());
        unknown.at("", &self.other);
        if let Some(root) = &self.root {
            unknown.at("root", &root.other);
        }
        if let Some(process) = &self.process {
            unknown.at("process", &process.other);
            unknown.at("process.user", &process.user.other);
            if let Some(capabilities) = &process.capabilities {
                unknown.at("process.capabilities", &capabilities.other);
            }
            for (n, limit) in process.rlimits.iter().enumerate() {
                unknown.at(&format!("process.rlimits[{n}]"), &limit.other);
            }
        }
        for (n, mount) in self.mounts.iter().enumerate() {
            unknown.at(&format!("mounts[{n}]"), &mount.other);
        }
        if let Some(linux) = &self.linux {
            linux.unknown(&mut unknown);
        }
        unknown.0
    }
}

impl View for Spec {
    const NAME: &'static str = "a runtime config";

    fn limit(limits: &Limits) -> u64 {
        limits.config
    }

    /// Nothing: unknown members are for [`Spec::unknown`].
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

struct Unknown(Vec<String>);

impl Unknown {
    fn at(&mut self, path: &str, other: &Map<String, Value>) {
        let joint = if path.is_empty() { "" } else { "." };
        self.0.extend(other.keys().map(|name| format!("{path}{joint}{name}")));
    }
}

/// `root`: the root filesystem of the container.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RootFilesystem {
    /// The folder, absolute or relative to the bundle.
    pub path: String,
    /// Whether it is read-only inside of the container.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub readonly: bool,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `process`: the process of the container.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Process {
    /// Whether it gets a terminal of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terminal: bool,
    /// Who it runs as.
    pub user: ProcessUser,
    /// The program and its arguments; never empty.
    #[serde(default)]
    pub args: Vec<String>,
    /// The environment: entries `NAME=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The working folder: an absolute path in the container.
    pub cwd: String,
    /// The capability sets; none given means none held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Resource limits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rlimits: Vec<Rlimit>,
    /// Whether the process is kept from gaining privileges by `execve`.
    #[serde(rename = "noNewPrivileges", default, skip_serializing_if = "std::ops::Not::not")]
    pub no_new_privileges: bool,
    /// The score by which the kernel picks its victim when memory runs out.
    #[serde(rename = "oomScoreAdj", default, skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `process.user`: numbers inside of the container.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ProcessUser {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The file mode creation mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// The supplementary groups.
    #[serde(rename = "additionalGids", default, skip_serializing_if = "Vec::is_empty")]
    pub additional_gids: Vec<u32>,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `process.capabilities`: the five sets, as names such as `CAP_CHOWN`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Capabilities {
    /// What may ever be held.
    #[serde(default)]
    pub bounding: Vec<String>,
    /// What the kernel checks.
    #[serde(default)]
    pub effective: Vec<String>,
    /// What files may hand on; always empty here (CVE-2022-24769).
    #[serde(default)]
    pub inheritable: Vec<String>,
    /// What may be made effective.
    #[serde(default)]
    pub permitted: Vec<String>,
    /// What survives `execve` without root; always empty here.
    #[serde(default)]
    pub ambient: Vec<String>,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One of `process.rlimits`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Rlimit {
    /// The resource, such as `RLIMIT_NOFILE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The ceiling of the limit.
    pub hard: u64,
    /// The limit.
    pub soft: u64,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One of `mounts`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Mount {
    /// Where, as an absolute path in the container.
    pub destination: String,
    /// The file system; `bind` for a bind mount.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The device, or what a bind mount shows: a path of the host, absolute
    /// or relative to the bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Options as in `fstab`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_every_unknown_member_by_its_path() {
        let spec = Spec::parse(
            br#"{"ociVersion":"1.2.0","hooks":{},"root":{"path":"r","x":1},
                "process":{"user":{"uid":0,"gid":0,"username":"a"},"cwd":"/","selinuxLabel":"l",
                  "rlimits":[{"type":"RLIMIT_CORE","hard":1,"soft":1,"y":2}]},
                "mounts":[{"destination":"/a"},{"destination":"/b","uidMappings":[]}],
                "linux":{"intelRdt":{},"resources":{"memory":{"limit":1,"kernel":2},"blockIO":{},"devices":[{"allow":false,"z":0}]},
                  "namespaces":[{"type":"pid","n":1}],
                  "seccomp":{"defaultAction":"SCMP_ACT_ERRNO","listenerPath":"p",
                    "syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","comment":"c",
                      "args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ","q":1}]}]}}}"#,
        )
        .expect("a config");
        assert_eq!(
            spec.unknown(),
            [
                "hooks",
                "root.x",
                "process.selinuxLabel",
                "process.user.username",
                "process.rlimits[0].y",
                "mounts[1].uidMappings",
                "linux.intelRdt",
                "linux.namespaces[0].n",
                "linux.resources.blockIO",
                "linux.resources.memory.kernel",
                "linux.resources.devices[0].z",
                "linux.seccomp.listenerPath",
                "linux.seccomp.syscalls[0].comment",
                "linux.seccomp.syscalls[0].args[0].q",
            ]
        );
        let bytes = spec.to_bytes().expect("written");
        assert_eq!(Spec::parse(&bytes).expect("read again"), spec);
    }
}
