//! The part of a runtime config that only Linux has (`config-linux.md`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Unknown;

/// `linux`: namespaces, mappings, devices, paths that are hidden, seccomp.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Linux {
    /// The namespaces that are created or joined; the others are inherited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<Namespace>,
    /// How users of the container map to users outside; needs a user namespace.
    #[serde(rename = "uidMappings", default, skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<IdMapping>,
    /// How groups of the container map to groups outside; needs a user namespace.
    #[serde(rename = "gidMappings", default, skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<IdMapping>,
    /// Devices beyond those that every container gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Where the container's cgroup lies.
    #[serde(rename = "cgroupsPath", default, skip_serializing_if = "Option::is_none")]
    pub cgroups_path: Option<String>,
    /// What the container's cgroup allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// The propagation of the root mount, such as `private`.
    #[serde(rename = "rootfsPropagation", default, skip_serializing_if = "Option::is_none")]
    pub rootfs_propagation: Option<String>,
    /// Which system calls are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Seccomp>,
    /// Paths that can not be read in the container.
    #[serde(rename = "maskedPaths", default, skip_serializing_if = "Vec::is_empty")]
    pub masked_paths: Vec<String>,
    /// Paths that can not be written in the container.
    #[serde(rename = "readonlyPaths", default, skip_serializing_if = "Vec::is_empty")]
    pub readonly_paths: Vec<String>,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Linux {
    /// Whether a namespace of the kind is created or joined.
    pub fn has(&self, kind: NamespaceKind) -> bool {
        self.namespaces.iter().any(|namespace| namespace.kind == kind)
    }

    pub(super) fn unknown(&self, unknown: &mut Unknown) {
        unknown.at("linux", &self.other);
        for (n, namespace) in self.namespaces.iter().enumerate() {
            unknown.at(&format!("linux.namespaces[{n}]"), &namespace.other);
        }
        for (member, mappings) in
            [("uidMappings", &self.uid_mappings), ("gidMappings", &self.gid_mappings)]
        {
            for (n, mapping) in mappings.iter().enumerate() {
                unknown.at(&format!("linux.{member}[{n}]"), &mapping.other);
            }
        }
        for (n, device) in self.devices.iter().enumerate() {
            unknown.at(&format!("linux.devices[{n}]"), &device.other);
        }
        if let Some(resources) = &self.resources {
            unknown.at("linux.resources", &resources.other);
            if let Some(memory) = &resources.memory {
                unknown.at("linux.resources.memory", &memory.other);
            }
            if let Some(cpu) = &resources.cpu {
                unknown.at("linux.resources.cpu", &cpu.other);
            }
            if let Some(pids) = &resources.pids {
                unknown.at("linux.resources.pids", &pids.other);
            }
            for (n, rule) in resources.devices.iter().enumerate() {
                unknown.at(&format!("linux.resources.devices[{n}]"), &rule.other);
            }
        }
        if let Some(seccomp) = &self.seccomp {
            unknown.at("linux.seccomp", &seccomp.other);
            for (n, rule) in seccomp.syscalls.iter().enumerate() {
                unknown.at(&format!("linux.seccomp.syscalls[{n}]"), &rule.other);
                for (m, arg) in rule.args.iter().enumerate() {
                    unknown.at(&format!("linux.seccomp.syscalls[{n}].args[{m}]"), &arg.other);
                }
            }
        }
    }
}

/// One of `linux.namespaces`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Namespace {
    /// The kind of namespace.
    #[serde(rename = "type")]
    pub kind: NamespaceKind,
    /// The namespace to join; none means a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Namespace {
    /// A new namespace of the kind.
    pub fn new(kind: NamespaceKind) -> Self {
        Self { kind, path: None, other: Map::new() }
    }
}

/// The kinds of namespace of runtime spec 1.2. The list is complete.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceKind {
    /// Process numbers.
    Pid,
    /// Network devices, addresses, ports.
    Network,
    /// Mounts.
    Mount,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Host name and domain name.
    Uts,
    /// Users, groups, capabilities.
    User,
    /// The view of the cgroup tree.
    Cgroup,
    /// Offsets of the monotonic clocks.
    Time,
}

/// One of `linux.uidMappings` and `linux.gidMappings`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct IdMapping {
    /// The first number in the container.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// The number outside that it stands for.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// How many numbers are mapped.
    pub size: u32,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One of `linux.devices`: a device that the container gets.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Device {
    /// Where, as an absolute path in the container.
    pub path: String,
    /// The kind of device.
    #[serde(rename = "type")]
    pub kind: DeviceKind,
    /// The major number; not for FIFOs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major: Option<i64>,
    /// The minor number; not for FIFOs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minor: Option<i64>,
    /// Permission bits.
    #[serde(rename = "fileMode", default, skip_serializing_if = "Option::is_none")]
    pub file_mode: Option<u32>,
    /// The owner in the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The group in the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The kinds of device file. The list is complete.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum DeviceKind {
    /// A character device.
    #[serde(rename = "c")]
    Char,
    /// A block device.
    #[serde(rename = "b")]
    Block,
    /// A character device without buffer: the same to Linux.
    #[serde(rename = "u")]
    Unbuffered,
    /// A named pipe.
    #[serde(rename = "p")]
    Fifo,
}

/// `linux.resources`: what the cgroup of the container allows. Limits that
/// nobody asks for here stay in `other`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Resources {
    /// Which devices may be used, in order; later rules win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceRule>,
    /// How much memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// How much of the processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// How many processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<Pids>,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `linux.resources.memory`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Memory {
    /// Bytes; -1 for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `linux.resources.cpu`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Cpu {
    /// Microseconds of processor time in each period; -1 for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<i64>,
    /// The length of a period, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<u64>,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `linux.resources.pids`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Pids {
    /// How many; 0 or less for no limit.
    pub limit: i64,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One of `linux.resources.devices`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct DeviceRule {
    /// Whether the rule allows or denies.
    pub allow: bool,
    /// The kind of device: `a` (all), `b` or `c`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The major number; none means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major: Option<i64>,
    /// The minor number; none means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minor: Option<i64>,
    /// Any of `r`, `w`, `m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl DeviceRule {
    /// The rule that denies every device which no later rule allows.
    pub fn deny_all() -> Self {
        Self { access: Some("rwm".to_owned()), ..Self::default() }
    }
}

/// `linux.seccomp`: the filter of system calls.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Seccomp {
    /// What happens to calls that no rule matches.
    #[serde(rename = "defaultAction")]
    pub default_action: SeccompAction,
    /// The error number for [`SeccompAction::Errno`]; EPERM if none is given.
    #[serde(rename = "defaultErrnoRet", default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// The architectures whose calls the rules speak about, such as
    /// `SCMP_ARCH_X86_64`; none means the one of the machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// The rules. The first that matches a call decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub syscalls: Vec<SeccompRule>,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One of `linux.seccomp.syscalls`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SeccompRule {
    /// The system calls by name. Names that an architecture does not have
    /// are skipped there.
    pub names: Vec<String>,
    /// What happens to them.
    pub action: SeccompAction,
    /// The error number for [`SeccompAction::Errno`]; EPERM if none is given.
    #[serde(rename = "errnoRet", default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions on arguments; all of them must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<SeccompArg>,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One of `linux.seccomp.syscalls[].args`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SeccompArg {
    /// Which argument, from 0.
    pub index: u32,
    /// What it is compared with; the mask of [`Comparison::MaskedEqual`].
    pub value: u64,
    /// What the masked argument is compared with.
    #[serde(rename = "valueTwo", default, skip_serializing_if = "is_zero")]
    pub value_two: u64,
    /// How.
    pub op: Comparison,
    /// Members that these types do not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// What seccomp does with a call. The list is complete.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum SeccompAction {
    /// Kills the thread.
    #[serde(rename = "SCMP_ACT_KILL", alias = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    /// Kills the process.
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    /// Sends SIGSYS.
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    /// Fails the call with an error number.
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    /// Tells the tracer.
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    /// Lets it pass.
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    /// Lets it pass and logs it.
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    /// Asks another process.
    #[serde(rename = "SCMP_ACT_NOTIFY")]
    Notify,
}

/// How an argument of a system call is compared. The list is complete.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Comparison {
    /// Not equal.
    #[serde(rename = "SCMP_CMP_NE")]
    NotEqual,
    /// Less.
    #[serde(rename = "SCMP_CMP_LT")]
    Less,
    /// Less or equal.
    #[serde(rename = "SCMP_CMP_LE")]
    LessOrEqual,
    /// Equal.
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    /// Greater or equal.
    #[serde(rename = "SCMP_CMP_GE")]
    GreaterOrEqual,
    /// Greater.
    #[serde(rename = "SCMP_CMP_GT")]
    Greater,
    /// Equal to `valueTwo` after the argument was masked with `value`.
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEqual,
}
