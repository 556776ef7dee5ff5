//! Profiles of system calls that people bring: docker's and podman's JSON
//! form, and the form of runtime configs.
//!
//! A profile says which rules hold on which architecture, with which
//! capabilities and on which kernel; [`Profile::filter`] decides that once.
//! A member that is not known is refused: what it restricts would be lost.

use plimsoll_content::{Code, Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::seccomp_profile;
use crate::spec::{Seccomp, SeccompAction, SeccompArg, SeccompRule};

/// The longest profile, in bytes: a hundred times docker's.
pub const FILE: u64 = 1 << 20;

/// A profile as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    file: File,
    /// The kernel: rules may be for newer ones only.
    kernel: (u32, u32),
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    default_action: SeccompAction,
    default_errno_ret: Option<u32>,
    /// The same by name, for readers of podman's.
    #[serde(rename = "defaultErrno")]
    _default_errno: Option<String>,
    #[serde(rename = "archMap")]
    _arch_map: Option<Vec<Value>>,
    #[serde(rename = "architectures")]
    _architectures: Option<Vec<String>>,
    syscalls: Option<Vec<Rule>>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    names: Vec<String>,
    name: Option<String>,
    action: SeccompAction,
    errno_ret: Option<u32>,
    #[serde(rename = "errno")]
    _errno: Option<String>,
    args: Option<Vec<SeccompArg>>,
    #[serde(rename = "comment")]
    _comment: Option<String>,
    #[serde(default)]
    includes: Condition,
    #[serde(default)]
    excludes: Condition,
}

/// When a rule holds, or does not.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Condition {
    #[serde(default)]
    caps: Vec<String>,
    #[serde(default)]
    arches: Vec<String>,
    min_kernel: Option<String>,
}

impl Profile {
    /// Reads a profile, for this version of the kernel (major, minor).
    ///
    /// # Errors
    ///
    /// [`Code::Config`] for text that is no profile, and members that are not known.
    pub fn parse(bytes: &[u8], kernel: (u32, u32)) -> Result<Self> {
        let bad = |found: String| {
            Error::new(Code::Config, "reading a seccomp profile")
                .found(found)
                .expected("a profile as docker and podman have it")
        };
        if bytes.len() as u64 > FILE {
            return Err(bad(format!("{} bytes", bytes.len())).recode(Code::Limit));
        }
        let file: File = serde_json::from_slice(bytes).map_err(|cause| bad(cause.to_string()))?;
        for (n, rule) in file.syscalls.iter().flatten().enumerate() {
            let unknown = rule.args.iter().flatten().flat_map(|arg| arg.other.keys()).next();
            if let Some(name) = unknown {
                return Err(bad(format!("syscalls[{n}].args: {name:?}")));
            }
            for condition in [&rule.includes, &rule.excludes] {
                if condition.min_kernel.as_deref().is_some_and(|text| version(text).is_none()) {
                    return Err(bad(format!(
                        "syscalls[{n}]: minKernel {:?}",
                        condition.min_kernel
                    )));
                }
            }
        }
        Ok(Self { file, kernel })
    }

    /// The filter for an architecture (by its name in image configs) and a
    /// bounding set of capabilities.
    pub fn filter(&self, architecture: &str, capabilities: &[String]) -> Result<Seccomp> {
        let held = |name: &String| capabilities.contains(name);
        let here = |name: &String| match (name.as_str(), architecture) {
            ("x86", "386") | ("x32" | "amd64", "amd64") => true,
            (name, architecture) => name == architecture,
        };
        let new_enough = |text: &String| version(text).is_some_and(|least| self.kernel >= least);
        let applies = |rule: &&Rule| {
            let (with, without) = (&rule.includes, &rule.excludes);
            with.caps.iter().all(held)
                && (with.arches.is_empty() || with.arches.iter().any(here))
                && with.min_kernel.iter().all(new_enough)
                && !without.caps.iter().any(held)
                && !without.arches.iter().any(here)
                && !without.min_kernel.iter().any(new_enough)
        };
        let rules = self.file.syscalls.iter().flatten().filter(applies).map(|rule| SeccompRule {
            names: rule.names.iter().chain(&rule.name).cloned().collect(),
            action: rule.action,
            errno_ret: rule.errno_ret,
            args: rule.args.clone().unwrap_or_default(),
            other: Map::new(),
        });
        Ok(Seccomp {
            default_action: self.file.default_action,
            default_errno_ret: self.file.default_errno_ret,
            architectures: vec![seccomp_profile::native(architecture)?.to_owned()],
            syscalls: rules.collect(),
            other: Map::new(),
        })
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,
        "archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],
        "syscalls":[
          {"names":["read"],"action":"SCMP_ACT_ALLOW","args":null,"comment":"","includes":{},"excludes":{}},
          {"names":["bpf"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_BPF"]}},
          {"names":["bpf"],"action":"SCMP_ACT_ERRNO","errnoRet":1,"excludes":{"caps":["CAP_BPF"]}},
          {"names":["s390_pci"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["s390x"]}},
          {"name":"ptrace","action":"SCMP_ACT_ALLOW","includes":{"minKernel":"4.8"}}]}"#;

    #[test]
    fn rules_hold_by_architecture_capability_and_kernel() {
        let names = |kernel, caps: &[&str]| {
            let caps: Vec<_> = caps.iter().map(ToString::to_string).collect();
            let profile = Profile::parse(PROFILE.as_bytes(), kernel).expect("read");
            let filter = profile.filter("amd64", &caps).expect("a filter");
            assert_eq!(filter.default_errno_ret, Some(38));
            let rules = filter.syscalls.iter();
            rules.map(|rule| format!("{}{:?}", rule.names[0], rule.errno_ret)).collect::<Vec<_>>()
        };
        assert_eq!(names((6, 1), &[]), ["readNone", "bpfSome(1)", "ptraceNone"]);
        assert_eq!(names((4, 7), &["CAP_BPF"]), ["readNone", "bpfNone"]);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for bad in [
            r#"{"defaultAction":"SCMP_ACT_ERRNO","listenerPath":"/x"}"#,
            r#"{"defaultAction":"SCMP_ACT_NOSUCH"}"#,
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","includes":{"uid":0}}]}"#,
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"x"}}]}"#,
            "[]",
            "",
        ] {
            assert_eq!(Profile::parse(bad.as_bytes(), (6, 1)).expect_err(bad).code(), Code::Config);
        }
    }

    #[test]
    fn podmans_own_profile_is_read() {
        let Ok(bytes) = std::fs::read("/usr/share/containers/seccomp.json") else { return };
        let profile = Profile::parse(&bytes, (6, 1)).expect("read");
        let filter = profile.filter("amd64", &[]).expect("a filter");
        assert!(filter.syscalls.iter().any(|rule| rule.names.iter().any(|name| name == "openat")));
    }
}
