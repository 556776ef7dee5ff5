//! What the container sees of file systems: default mounts, hidden paths,
//! volumes.

use std::collections::BTreeSet;

use plimsoll_content::{Code, Error, Result};
use plimsoll_spec::Execution;
use serde_json::Map;

use super::users::has_tty_group;
use super::{Network, Overrides, Users};
use crate::spec::Mount;

/// How many volumes an image may have. Each is a folder and a mount at every
/// start (hostile case RT06).
pub(super) const VOLUMES: usize = 1_000;

/// Paths that cannot be read: what runc, docker or podman hide. They tell
/// about the host or reach into its hardware.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/dev/block",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
];

/// Paths that cannot be written: what any of runc, docker and podman protects.
pub(super) const READONLY: &[&str] =
    &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(super) fn mounts(overrides: &Overrides) -> Vec<Mount> {
    let mut pts = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    if has_tty_group(&overrides.users) {
        pts.push("gid=5");
    }
    let quiet = ["nosuid", "noexec", "nodev"];
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &quiet),
        mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"],
        ),
        mount("/dev/pts", "devpts", "devpts", &pts),
        mount(
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        ),
        mount("/dev/mqueue", "mqueue", "mqueue", &quiet),
    ];
    if shows_host_sys(overrides) {
        mounts.push(mount(
            "/sys",
            "bind",
            "/sys",
            &["rbind", "rprivate", "nosuid", "noexec", "nodev", "ro"],
        ));
    } else {
        mounts.push(mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]));
    }
    if overrides.cgroup {
        mounts.push(mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "relatime", "ro"],
        ));
    }
    mounts.extend(overrides.mounts.iter().cloned());
    mounts
}

/// The paths that cannot be read in the container.
pub(super) fn masked(overrides: &Overrides) -> Vec<String> {
    // A read-only bind mount is read-only at its top, not in the mounts below.
    let below = shows_host_sys(overrides).then_some(&"/sys/fs/cgroup");
    MASKED.iter().chain(below).map(ToString::to_string).collect()
}

/// Whether `/sys` is the host's: the kernel makes a new view only for those
/// who own the network namespace that it would show.
fn shows_host_sys(overrides: &Overrides) -> bool {
    match (&overrides.users, &overrides.network) {
        (Users::Host, _) | (_, Network::Private) => false,
        // Which was made in the same user namespace.
        (Users::Entered(_), Network::Joined(_)) => false,
        _ => true,
    }
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: Some(kind.to_owned()),
        source: Some(source.to_owned()),
        options: options.iter().map(ToString::to_string).collect(),
        other: Map::new(),
    }
}

/// The image's volumes, and those that are asked for, in normal form, sorted,
/// each once, without those that a mount of the caller takes the place of.
pub(super) fn volumes(execution: &Execution, overrides: &Overrides) -> Result<Vec<String>> {
    if execution.volumes.len() > VOLUMES {
        return Err(Error::new(Code::Limit, "reading the image config's Volumes")
            .found(format!("{} volumes", execution.volumes.len()))
            .expected(format!("at most {VOLUMES}")));
    }
    let asked = overrides.volumes.iter().map(|path| place("--volume", path));
    let volumes: Result<BTreeSet<_>> =
        execution.volumes.keys().map(|path| volume(path)).chain(asked).collect();
    let replaced = |path: &String| overrides.mounts.iter().any(|mount| mount.destination == *path);
    Ok(volumes?.into_iter().filter(|path| !replaced(path)).collect())
}

/// Refuses what would hide the container's own mounts, or lead out of the
/// root (CVE-2022-23648).
fn volume(path: &str) -> Result<String> {
    place("a volume of the image config,", path)
}

/// A place in the container where something may be mounted, in normal form.
pub(super) fn place(what: &str, path: &str) -> Result<String> {
    let shown: String = path.chars().take(256).collect();
    let bad = |found: &str, expected: &str| {
        Err(Error::new(Code::Config, format!("reading {what} {shown:?}"))
            .found(found)
            .expected(expected))
    };
    if !path.starts_with('/') {
        return bad("a relative path", "an absolute path");
    }
    if path.contains('\0') || path.len() >= plimsoll_layer::limits::PATH {
        return bad("a path that no file can have", "no NUL, at most 4095 bytes");
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return bad("a component ..", "a path without");
    }
    match parts[..] {
        [] => bad("the root of the container", "a folder below it"),
        ["dev"] | ["proc" | "sys", ..] => {
            bad("a place that the container's own mounts need", "a folder for data")
        }
        _ => Ok(format!("/{}", parts.join("/"))),
    }
}
