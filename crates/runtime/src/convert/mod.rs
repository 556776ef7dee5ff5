//! From an image config to a runtime config (`conversion.md`, CV1 to CV39).
//!
//! [`to_runtime`] is pure: the config, the user that was looked up
//! ([`user::resolve`](crate::user::resolve)) and what the caller wants
//! otherwise go in, a [`Spec`] comes out. What the spec leaves open is decided
//! here, the same for every runtime: default environment, mounts, hidden
//! paths, capabilities, system calls.
//!
//! What does not live here: the root filesystem, the folders behind volumes,
//! the working folder if the image lacks it, and everything that `Healthcheck`,
//! `OnBuild` and `Shell` of Docker configs say (kept in the config, never
//! executed; hostile case RT11).

mod annotations;
mod filesystem;
pub mod flags;
mod process;
mod stop_signal;
mod users;

use std::collections::BTreeMap;

use plimsoll_content::{Code, Error, Result};
use plimsoll_spec::{Config, Execution};
use serde_json::Map;

use crate::capability::Changes;
use crate::spec::{
    self, DeviceRule, IdMapping, Linux, Mount, Namespace, NamespaceKind, Resources, Rlimit,
    RootFilesystem, Spec,
};
use crate::user::User;
use crate::{seccomp_file, seccomp_profile};

pub use stop_signal::stop_signal;

/// The name of the root filesystem's folder in a bundle.
pub const ROOTFS: &str = "rootfs";

/// What the caller wants otherwise than the image says, and what an image
/// cannot say. The default is `docker run IMAGE` without further words.
#[derive(Clone, Debug)]
pub struct Overrides {
    /// Arguments; if there are any they replace `Cmd`.
    pub args: Vec<String>,
    /// Replaces `Entrypoint`, and drops `Cmd`. Empty, or one empty string,
    /// means no entrypoint at all.
    pub entrypoint: Option<Vec<String>>,
    /// Entries `NAME=value`; they win over the image's.
    pub env: Vec<String>,
    /// Replaces `WorkingDir`.
    pub workdir: Option<String>,
    /// The host name in the container.
    pub hostname: Option<String>,
    /// More annotations; they win over the image's.
    pub annotations: BTreeMap<String, String>,
    /// More mounts, after the default ones, in this order. One at the path of
    /// a volume of the image takes its place.
    pub mounts: Vec<Mount>,
    /// More volumes than the image has: absolute paths in the container.
    pub volumes: Vec<String>,
    /// Resource limits of the process.
    pub rlimits: Vec<Rlimit>,
    /// What the container's cgroup is to allow.
    pub limits: Limits,
    /// Whether the process gets a terminal of its own.
    pub tty: bool,
    /// Whether the root filesystem is read-only.
    pub read_only: bool,
    /// Whether setuid programs gain nothing.
    pub no_new_privileges: bool,
    /// Which system calls are filtered.
    pub seccomp: SystemCalls,
    /// Capabilities beyond or below the default ones.
    pub capabilities: Changes,
    /// Where the process's network comes from.
    pub network: Network,
    /// Which users there are.
    pub users: Users,
    /// Whether the container sees its cgroup, read-only, at `/sys/fs/cgroup`.
    /// The embedded executor has no cgroups and refuses it.
    pub cgroup: bool,
}

impl Default for Overrides {
    fn default() -> Self {
        Self {
            args: Vec::new(),
            entrypoint: None,
            env: Vec::new(),
            workdir: None,
            hostname: None,
            annotations: BTreeMap::new(),
            mounts: Vec::new(),
            volumes: Vec::new(),
            rlimits: Vec::new(),
            limits: Limits::default(),
            tty: false,
            read_only: false,
            no_new_privileges: false,
            seccomp: SystemCalls::Default,
            capabilities: Changes::default(),
            network: Network::Private,
            users: Users::Host,
            cgroup: false,
        }
    }
}

/// Which system calls are filtered. The list is complete.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum SystemCalls {
    /// Those that [`seccomp_profile`] does not allow.
    #[default]
    Default,
    /// None.
    Unfiltered,
    /// Those that a profile of the caller's does not allow.
    Profile(Box<seccomp_file::Profile>),
}

/// What the cgroup of the container is to allow; none means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processors, in thousandths of one.
    pub milli_cpus: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

impl Limits {
    /// The part of the runtime config, if anything is limited.
    fn resources(&self) -> Option<Resources> {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        if *self == Self::default() {
            return None;
        }
        Some(Resources {
            memory: self
                .memory
                .map(|bytes| spec::Memory { limit: Some(number(bytes)), ..Default::default() }),
            cpu: self.milli_cpus.map(|part| spec::Cpu {
                quota: Some(number(part.saturating_mul(PERIOD / 1000))),
                period: Some(PERIOD),
                ..Default::default()
            }),
            pids: self.pids.map(|most| spec::Pids { limit: number(most), ..Default::default() }),
            ..Resources::default()
        })
    }
}

/// How long a period of the scheduler is, in microseconds: what every engine
/// takes.
const PERIOD: u64 = 100_000;

/// Where the process's network comes from. The list is complete.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Network {
    /// A namespace of its own, with nothing in it but `lo`.
    #[default]
    Private,
    /// The network of the runtime that starts it.
    Inherited,
    /// The network namespace at this path.
    Joined(String),
}

/// Which users the container has. The list is complete.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Users {
    /// Those of the host: the runtime is started by its root.
    #[default]
    Host,
    /// Those of a user namespace that the runtime makes.
    New(IdMappings),
    /// Those of a user namespace in which the runtime is started as user 0.
    Entered(IdMappings),
}

/// Which users and groups a user namespace has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdMappings {
    /// The users.
    pub uids: Vec<IdMapping>,
    /// The groups.
    pub gids: Vec<IdMapping>,
    /// Whether the process may have supplementary groups. It may not where
    /// the kernel was told to deny `setgroups`, as it must be when an
    /// ordinary user maps nobody but himself; nor with [`Users::New`] under
    /// runc, which refuses them to ordinary users in any case.
    pub setgroups: bool,
}

/// What comes out of a conversion.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// The runtime config. Its root is the folder [`ROOTFS`] of the bundle.
    pub spec: Spec,
    /// The image's volumes (CV30, CV32): absolute paths in normal form, a
    /// folder before what it holds. Nothing is mounted there yet: make a
    /// folder for each and add [`volume`] mounts.
    pub volumes: Vec<String>,
    /// The number of the signal that asks the process to stop.
    pub stop_signal: u8,
    /// What was odd but has one meaning, for people. Safe to print.
    pub findings: Vec<String>,
}

/// Makes the runtime config for `user` to run what `config` says.
///
/// # Errors
///
/// [`Code::Config`] for what cannot become a process: no command, a broken
/// `Env` entry, a relative `WorkingDir`, an unsafe volume, an unknown
/// `StopSignal`; [`Code::Platform`] for another system than Linux;
/// [`Code::UserNamespace`] for a user whom the mappings do not have;
/// [`Code::Limit`] for more than a process can be given; [`Code::Usage`] for
/// overrides that make no sense.
pub fn to_runtime(config: &Config, user: &User, overrides: &Overrides) -> Result<Conversion> {
    if config.os != "linux" {
        return Err(Error::new(Code::Platform, "making a runtime config")
            .found(format!("an image for {:?}", config.os))
            .expected("an image for linux"));
    }
    let none = Execution::default();
    let execution = config.config.as_ref().unwrap_or(&none);
    let mut findings = user.findings.clone();
    let stop_signal = match execution.stop_signal.as_deref() {
        None | Some("") => stop_signal::DEFAULT,
        Some(text) => stop_signal(text)?,
    };
    let volumes = filesystem::volumes(execution, overrides)?;
    let process = process::process(execution, user, overrides, &mut findings)?;
    let annotations =
        annotations::annotations(config, execution, &overrides.annotations, &mut findings);
    let bounding =
        process.capabilities.as_ref().map_or(&[][..], |capabilities| &capabilities.bounding);
    let seccomp = match &overrides.seccomp {
        SystemCalls::Default => Some(seccomp_profile::profile(&config.architecture, bounding)?),
        SystemCalls::Unfiltered => None,
        SystemCalls::Profile(profile) => Some(profile.filter(&config.architecture, bounding)?),
    };
    let spec = Spec {
        oci_version: spec::VERSION.to_owned(),
        root: Some(RootFilesystem {
            path: ROOTFS.to_owned(),
            readonly: overrides.read_only,
            other: Map::new(),
        }),
        process: Some(process),
        hostname: overrides.hostname.clone(),
        mounts: filesystem::mounts(overrides),
        annotations,
        linux: Some(linux(overrides, seccomp)),
        other: Map::new(),
    };
    Ok(Conversion { spec, volumes, stop_signal, findings })
}

fn linux(overrides: &Overrides, seccomp: Option<spec::Seccomp>) -> Linux {
    let mut namespaces: Vec<_> = [
        NamespaceKind::Pid,
        NamespaceKind::Ipc,
        NamespaceKind::Uts,
        NamespaceKind::Mount,
        NamespaceKind::Cgroup,
    ]
    .map(Namespace::new)
    .into();
    match &overrides.network {
        Network::Private => namespaces.push(Namespace::new(NamespaceKind::Network)),
        Network::Inherited => {}
        Network::Joined(path) => namespaces
            .push(Namespace { path: Some(path.clone()), ..Namespace::new(NamespaceKind::Network) }),
    }
    let (uid_mappings, gid_mappings) = match &overrides.users {
        Users::New(mappings) => {
            namespaces.push(Namespace::new(NamespaceKind::User));
            (mappings.uids.clone(), mappings.gids.clone())
        }
        Users::Host | Users::Entered(_) => (Vec::new(), Vec::new()),
    };
    // In a user namespace nobody can make device files, so there is nothing
    // to deny, and an ordinary user could not write the rule either.
    let mut resources = overrides.limits.resources();
    if overrides.users == Users::Host {
        resources.get_or_insert_default().devices = vec![DeviceRule::deny_all()];
    }
    Linux {
        namespaces,
        uid_mappings,
        gid_mappings,
        resources,
        seccomp,
        masked_paths: filesystem::masked(overrides),
        readonly_paths: filesystem::READONLY.iter().map(ToString::to_string).collect(),
        ..Linux::default()
    }
}

/// The mount that shows the folder `source` of the host (absolute, or relative
/// to the bundle) at a volume's path.
pub fn volume(destination: &str, source: &str) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: Some("bind".to_owned()),
        source: Some(source.to_owned()),
        options: ["rbind", "rprivate", "nosuid", "nodev"].map(str::to_owned).into(),
        other: Map::new(),
    }
}
