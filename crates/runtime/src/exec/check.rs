//! Refuses what a config asks for and this executor does not enforce.
//!
//! Everything that has an effect is either listed here or done by the other
//! modules; there is no member that is read past in silence, `annotations`
//! excepted, which are data.

use plimsoll_content::{Code, Error, Result};
use plimsoll_layer::path::shown;

use super::device::below_dev;
use super::mount::KINDS;
use super::options::Options;
use super::{privilege, seccomp};
use crate::rootless::Mapping;
use crate::spec::{Linux, NamespaceKind, Process, Spec};

/// Whether the embedded runtime enforces all that a config asks for, in the user
/// namespace that `mapping` describes.
///
/// # Errors
///
/// [`Code::Runtime`], with the path of the first member that is not enforced, or that
/// is missing.
pub fn enforceable(spec: &Spec, mapping: &Mapping) -> Result<()> {
    if let Some(path) = spec.unknown().first() {
        return Err(refuse(path));
    }
    if !spec.oci_version.starts_with("1.") {
        return Err(refuse("ociVersion").found(format!("{:?}", spec.oci_version)));
    }
    let linux = spec.linux.as_ref().ok_or_else(|| lacks("linux.namespaces"))?;
    let process = spec.process.as_ref().ok_or_else(|| lacks("process"))?;
    check_process(process, mapping)?;
    privilege::check(spec, process, mapping)?;
    check_linux(linux)?;
    if let Some(name) = &spec.hostname
        && (!linux.has(NamespaceKind::Uts) || name.contains('\0'))
    {
        return Err(refuse("hostname").found("no new uts namespace"));
    }
    let (mut dev, mut pts) = (false, false);
    for (n, mount) in spec.mounts.iter().enumerate() {
        let kind = mount.kind.as_deref().unwrap_or_default();
        let options = Options::parse(mount).map_err(|option| {
            refuse(&format!("mounts[{n}].options")).found(format!("{option:?}"))
        })?;
        if options.is_bind() {
            if !mount.source.as_deref().is_some_and(absolute) {
                return Err(
                    lacks(&format!("mounts[{n}].source")).expected("an absolute path of the host")
                );
            }
        } else if !KINDS.contains(&kind) {
            return Err(refuse(&format!("mounts[{n}].type")).found(format!("{kind:?}")));
        }
        if !absolute(&mount.destination) || mount.destination.trim_matches('/').is_empty() {
            return Err(lacks(&format!("mounts[{n}].destination"))
                .found(shown(mount.destination.as_bytes()))
                .expected("an absolute path below /"));
        }
        dev |= kind == "tmpfs" && mount.destination.trim_matches('/') == "dev";
        pts |= kind == "devpts" && mount.destination.trim_matches('/') == "dev/pts";
    }
    if process.terminal && !pts {
        return Err(lacks("mounts: devpts at /dev/pts, for process.terminal"));
    }
    if !dev {
        return Err(lacks("mounts: tmpfs at /dev"));
    }
    Ok(())
}

fn check_process(process: &Process, mapping: &Mapping) -> Result<()> {
    if process.oom_score_adj.is_some() {
        return Err(refuse("process.oomScoreAdj"));
    }
    if process.args.first().is_none_or(String::is_empty) {
        return Err(lacks("process.args"));
    }
    for (member, texts) in [("args", &process.args), ("env", &process.env)] {
        if let Some(n) = texts.iter().position(|text| text.contains('\0')) {
            return Err(refuse(&format!("process.{member}[{n}]")).found("a NUL byte"));
        }
    }
    if !absolute(&process.cwd) {
        return Err(lacks("process.cwd")
            .found(shown(process.cwd.as_bytes()))
            .expected("an absolute path"));
    }
    mapping.allows(&process.user)
}

fn check_linux(linux: &Linux) -> Result<()> {
    for (n, namespace) in linux.namespaces.iter().enumerate() {
        let path = format!("linux.namespaces[{n}]");
        if let Some(joined) = &namespace.path
            && (namespace.kind != NamespaceKind::Network || !absolute(joined))
        {
            return Err(refuse(&format!("{path}.path")));
        }
        if matches!(namespace.kind, NamespaceKind::User | NamespaceKind::Time) {
            return Err(refuse(&path).found(format!("{:?}", namespace.kind).to_lowercase()));
        }
    }
    for (kind, name) in [(NamespaceKind::Pid, "pid"), (NamespaceKind::Mount, "mount")] {
        if !linux.has(kind) {
            return Err(lacks("linux.namespaces").expected(format!("a {name} namespace")));
        }
    }
    if !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty() {
        return Err(refuse("linux.uidMappings"));
    }
    for (n, device) in linux.devices.iter().enumerate() {
        if below_dev(device).is_none() {
            return Err(refuse(&format!("linux.devices[{n}].path"))
                .found(shown(device.path.as_bytes()))
                .expected("a path below /dev"));
        }
    }
    if linux.cgroups_path.is_some() {
        return Err(refuse("linux.cgroupsPath"));
    }
    if let Some(propagation) = &linux.rootfs_propagation
        && !matches!(propagation.as_str(), "private" | "rprivate")
    {
        return Err(refuse("linux.rootfsPropagation").found(format!("{propagation:?}")));
    }
    for (member, paths) in
        [("maskedPaths", &linux.masked_paths), ("readonlyPaths", &linux.readonly_paths)]
    {
        if let Some(n) = paths.iter().position(|path| !absolute(path)) {
            return Err(lacks(&format!("linux.{member}[{n}]")).expected("an absolute path"));
        }
    }
    linux.seccomp.as_ref().map_or(Ok(()), |filter| seccomp::compile(filter).map(drop))
}

fn absolute(path: &str) -> bool {
    path.starts_with('/') && !path.contains('\0')
}

/// The error for a member that is not enforced.
pub(super) fn refuse(path: &str) -> Error {
    let path = shown(path.as_bytes());
    Error::new(
        Code::Runtime,
        format!("config.json asks for {path}, which the embedded runtime does not enforce"),
    )
    .fix("use --runtime runc")
}

fn lacks(path: &str) -> Error {
    Error::new(Code::Runtime, format!("config.json lacks {path}, without which nothing is started"))
}
