//! User, groups, capabilities, limits: what the program is left with.

use plimsoll_content::{Code, Error, Result};
use rustix::process::{Gid, Resource, Rlimit, Uid, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::check::refuse;
use super::seccomp::Filter;
use crate::capability::NAMES;
use crate::cgroup;
use crate::rootless::Mapping;
use crate::spec::{DeviceRule, Process, ProcessUser, Spec};

/// The limits by name.
const LIMITS: &[(&str, Resource)] = &[
    ("RLIMIT_AS", Resource::As),
    ("RLIMIT_CORE", Resource::Core),
    ("RLIMIT_CPU", Resource::Cpu),
    ("RLIMIT_DATA", Resource::Data),
    ("RLIMIT_FSIZE", Resource::Fsize),
    ("RLIMIT_LOCKS", Resource::Locks),
    ("RLIMIT_MEMLOCK", Resource::Memlock),
    ("RLIMIT_MSGQUEUE", Resource::Msgqueue),
    ("RLIMIT_NICE", Resource::Nice),
    ("RLIMIT_NOFILE", Resource::Nofile),
    ("RLIMIT_NPROC", Resource::Nproc),
    ("RLIMIT_RSS", Resource::Rss),
    ("RLIMIT_RTPRIO", Resource::Rtprio),
    ("RLIMIT_RTTIME", Resource::Rttime),
    ("RLIMIT_SIGPENDING", Resource::Sigpending),
    ("RLIMIT_STACK", Resource::Stack),
];

/// `RLIM_INFINITY`.
const UNLIMITED: u64 = u64::MAX;

/// Refuses what [`Privileges`] could not bring about.
pub(super) fn check(spec: &Spec, process: &Process, mapping: &Mapping) -> Result<()> {
    Privileges::of(process)?;
    if needs_device_filter(spec, mapping)? && !cgroup::filters_devices() {
        return Err(refuse("linux.resources.devices")
            .found("rules, or CAP_MKNOD or CAP_SYS_ADMIN in process.capabilities")
            .expected("neither, or a user namespace, or a writable cgroup that filters devices"));
    }
    Ok(())
}

/// Whether devices must be held back by a cgroup: mounts alone do it only as
/// long as nobody can make device files, or mount.
pub(super) fn needs_device_filter(spec: &Spec, mapping: &Mapping) -> Result<bool> {
    let (Some(process), Some(linux)) = (&spec.process, &spec.linux) else { return Ok(false) };
    let privileges = Privileges::of(process)?;
    let devices = CapabilitySet::MKNOD | CapabilitySet::SYS_ADMIN;
    let ever = privileges.bounding | privileges.sets.permitted | privileges.sets.inheritable;
    let rules = linux.resources.iter().flat_map(|resources| &resources.devices);
    Ok(mapping.is_initial() && ever.intersects(devices)
        || rules.into_iter().any(|rule| *rule != DeviceRule::deny_all()))
}

/// What a process is left with.
pub(super) struct Privileges<'a> {
    user: &'a ProcessUser,
    bounding: CapabilitySet,
    sets: CapabilitySets,
    ambient: CapabilitySet,
    limits: Vec<(&'a str, Resource, Rlimit)>,
    no_new: bool,
}

impl<'a> Privileges<'a> {
    /// Reads a config.
    pub(super) fn of(process: &'a Process) -> Result<Self> {
        let given = process.capabilities.clone().unwrap_or_default();
        let mut limits = Vec::new();
        for (n, limit) in process.rlimits.iter().enumerate() {
            let Some((name, resource)) = LIMITS.iter().find(|(name, _)| *name == limit.kind) else {
                return Err(
                    refuse(&format!("process.rlimits[{n}]")).found(format!("{:?}", limit.kind))
                );
            };
            let bound = |value: u64| (value != UNLIMITED).then_some(value);
            let value = Rlimit { current: bound(limit.soft), maximum: bound(limit.hard) };
            limits.push((*name, *resource, value));
        }
        Ok(Self {
            user: &process.user,
            bounding: set("bounding", &given.bounding)?,
            sets: CapabilitySets {
                effective: set("effective", &given.effective)?,
                permitted: set("permitted", &given.permitted)?,
                inheritable: set("inheritable", &given.inheritable)?,
            },
            ambient: set("ambient", &given.ambient)?,
            limits,
            no_new: process.no_new_privileges,
        })
    }

    /// Sets the resource limits, which takes the rights of before.
    pub(super) fn limit(&self) -> Result<()> {
        for (name, resource, limit) in &self.limits {
            setrlimit(*resource, *limit).map_err(|errno| {
                Error::io("setting limit", name, errno.into())
                    .expected("a limit that is not above that of this process")
            })?;
        }
        Ok(())
    }

    /// Becomes the user and gives up everything else. `as_user` runs with the
    /// user's numbers and without capabilities that the user lacks.
    pub(super) fn give_up(
        &self,
        filters: &[Filter],
        as_user: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let failed = |doing: &'static str| {
            move |errno: rustix::io::Errno| Error::io(doing, "of the process", errno.into())
        };
        let held = capabilities(None).map_err(failed("reading the capabilities"))?.permitted;
        let missing = self.sets.permitted & !held;
        if !missing.is_empty() {
            let names: Vec<_> = (0..NAMES.len())
                .filter(|n| missing.bits() & (1 << n) != 0)
                .map(|n| NAMES[n])
                .collect();
            return Err(Error::new(Code::Runtime, "setting the capabilities of the process")
                .found(format!("{} not held here", names.join(", ")))
                .fix(format!("--cap-drop {}", names.join(" --cap-drop "))));
        }

        clear_ambient_capability_set().map_err(failed("clearing the ambient capabilities"))?;
        for number in 0..64 {
            let one = CapabilitySet::from_bits_retain(1 << number);
            if self.bounding.contains(one) {
                continue;
            }
            match remove_capability_from_bounding_set(one) {
                Ok(()) => {}
                // The kernel knows none above this one.
                Err(rustix::io::Errno::INVAL) => break,
                Err(errno) => return Err(failed("limiting the capabilities")(errno)),
            }
        }

        // Filters that come without `no_new_privs` need CAP_SYS_ADMIN until they are in place.
        set_keep_capabilities(true).map_err(failed("keeping the capabilities"))?;
        self.become_user()?;
        let all = CapabilitySets {
            effective: held,
            permitted: held,
            inheritable: CapabilitySet::empty(),
        };
        if self.no_new {
            set_no_new_privs(true).map_err(failed("setting no_new_privs"))?;
        } else {
            set_capabilities(None, all).map_err(failed("keeping the capabilities"))?;
            install(filters)?;
        }
        set_capabilities(None, self.sets).map_err(failed("setting the capabilities"))?;
        set_keep_capabilities(false).map_err(failed("setting the capabilities"))?;
        for number in 0..NAMES.len() {
            let one = CapabilitySet::from_bits_retain(1 << number);
            if self.ambient.contains(one) {
                configure_capability_in_ambient_set(one, true)
                    .map_err(failed("setting the ambient capabilities"))?;
            }
        }
        as_user()?;
        if self.no_new { install(filters) } else { Ok(()) }
    }

    fn become_user(&self) -> Result<()> {
        let failed = |errno: rustix::io::Errno| {
            Error::io("becoming", format!("user {}:{}", self.user.uid, self.user.gid), errno.into())
        };
        let groups: Vec<_> =
            self.user.additional_gids.iter().map(|gid| Gid::from_raw(*gid)).collect();
        match set_thread_groups(&groups) {
            // With a single mapped group the kernel forbids it; there is nothing to set then.
            Err(rustix::io::Errno::PERM)
                if self.user.additional_gids.iter().all(|gid| *gid == self.user.gid) => {}
            other => other.map_err(failed)?,
        }
        let (uid, gid) = (Uid::from_raw(self.user.uid), Gid::from_raw(self.user.gid));
        set_thread_res_gid(gid, gid, gid).map_err(failed)?;
        set_thread_res_uid(uid, uid, uid).map_err(failed)
    }
}

fn install(filters: &[Filter]) -> Result<()> {
    filters.iter().try_for_each(Filter::install)
}

fn set(member: &str, names: &[String]) -> Result<CapabilitySet> {
    let mut set = CapabilitySet::empty();
    for (n, name) in names.iter().enumerate() {
        let Some(number) = NAMES.iter().position(|known| known == name) else {
            return Err(refuse(&format!("process.capabilities.{member}[{n}]"))
                .found(format!("{name:?}"))
                .expected("the name of a capability"));
        };
        set |= CapabilitySet::from_bits_retain(1 << number);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_set_has_the_known_value() {
        let names = [
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_FOWNER",
            "CAP_FSETID",
            "CAP_KILL",
            "CAP_NET_BIND_SERVICE",
            "CAP_SETFCAP",
            "CAP_SETGID",
            "CAP_SETPCAP",
            "CAP_SETUID",
            "CAP_SYS_CHROOT",
        ]
        .map(ToOwned::to_owned);
        assert_eq!(set("bounding", &names).expect("known").bits(), 0x8004_05fb);
        assert!(set("bounding", &["CAP_ALL".to_owned()]).is_err());
    }
}
