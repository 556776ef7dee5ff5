//! Limits of the container: a cgroup of its own, in whichever hierarchies
//! have the controllers: the old ones, the one new one, or both beside each
//! other.
//!
//! A limit that can not be set is an error that names it. Nothing is made
//! when nothing is limited, so a machine without writable cgroups matters
//! only to those who ask for limits.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_content::{Code, Error, Result};

use crate::device_filter::{self, Instruction};
use crate::spec::{DeviceRule, Resources};
use crate::sys;

/// The start of the names of our cgroups; the number of the process that
/// removes it follows.
const NAME: &str = "plimsoll-";

/// How often the removal is tried: the kernel takes its time to bury processes.
const TRIES: u32 = 200;

/// What every container may do with devices: make any file for one, use the
/// default ones and terminals.
const DEVICES: &[(&str, Option<i64>, Option<i64>, &str)] = &[
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", Some(1), Some(3), "rwm"),
    ("c", Some(1), Some(5), "rwm"),
    ("c", Some(1), Some(7), "rwm"),
    ("c", Some(1), Some(8), "rwm"),
    ("c", Some(1), Some(9), "rwm"),
    ("c", Some(5), Some(0), "rwm"),
    ("c", Some(5), Some(2), "rwm"),
    ("c", Some(136), None, "rwm"),
];

/// The controller for devices, in old hierarchies.
const DEVICE_CONTROLLER: &str = "devices";

/// One file of a cgroup and what it is to say.
#[derive(Clone, Debug, PartialEq)]
struct Setting {
    controller: &'static str,
    /// Its name and text in old hierarchies.
    old: Vec<(&'static str, String)>,
    /// The same in the new one.
    new: New,
}

/// What sets a limit in the new hierarchy.
#[derive(Clone, Debug, PartialEq)]
enum New {
    /// A file and its text.
    File(&'static str, String),
    /// A program that is asked about devices. The controller has no name there.
    Program(Vec<Instruction>),
}

/// What a config asks for.
fn settings(resources: &Resources, devices: bool) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    let bounded = |number: i64| if number < 0 { None } else { Some(number) };
    if let Some(limit) = resources.memory.as_ref().and_then(|memory| memory.limit) {
        let old = bounded(limit).unwrap_or(-1).to_string();
        let new = bounded(limit).map_or("max".to_owned(), |limit| limit.to_string());
        settings.push(Setting {
            controller: "memory",
            old: vec![("memory.limit_in_bytes", old)],
            new: New::File("memory.max", new),
        });
    }
    if let Some(cpu) = &resources.cpu
        && (cpu.quota.is_some() || cpu.period.is_some())
    {
        let period = cpu.period.unwrap_or(100_000);
        let quota = cpu.quota.and_then(bounded);
        let new = quota.map_or("max".to_owned(), |quota| quota.to_string());
        settings.push(Setting {
            controller: "cpu",
            old: vec![
                ("cpu.cfs_period_us", period.to_string()),
                ("cpu.cfs_quota_us", quota.unwrap_or(-1).to_string()),
            ],
            new: New::File("cpu.max", format!("{new} {period}")),
        });
    }
    if let Some(pids) = &resources.pids {
        let most = if pids.limit > 0 { pids.limit.to_string() } else { "max".to_owned() };
        settings.push(Setting {
            controller: "pids",
            old: vec![("pids.max", most.clone())],
            new: New::File("pids.max", most),
        });
    }
    if devices {
        let usual = DEVICES.iter().map(|(kind, major, minor, access)| DeviceRule {
            allow: true,
            kind: Some((*kind).to_owned()),
            major: *major,
            minor: *minor,
            access: Some((*access).to_owned()),
            ..DeviceRule::default()
        });
        // Everything is denied before the first one already.
        let asked = resources.devices.iter().filter(|rule| **rule != DeviceRule::deny_all());
        let rules: Vec<_> = usual.chain(asked.cloned()).collect();
        let mut old = vec![("devices.deny", "a".to_owned())];
        old.extend(rules.iter().map(|rule| {
            (if rule.allow { "devices.allow" } else { "devices.deny" }, rule_text(rule))
        }));
        let program = device_filter::program(&rules).ok_or_else(|| {
            Error::new(Code::Runtime, "limiting the devices of the container")
                .found("a rule that is none, in linux.resources.devices")
                .expected("the type a, b or c; access of r, w and m; numbers that devices have")
        })?;
        settings.push(Setting { controller: DEVICE_CONTROLLER, old, new: New::Program(program) });
    }
    Ok(settings)
}

fn rule_text(rule: &DeviceRule) -> String {
    let number = |number: Option<i64>| number.map_or("*".to_owned(), |number| number.to_string());
    let kind = rule.kind.as_deref().unwrap_or("a");
    let access = rule.access.as_deref().unwrap_or("rwm");
    format!("{kind} {}:{} {access}", number(rule.major), number(rule.minor))
}

/// A hierarchy: where its part for this process begins, and whether it is the new one.
#[derive(Clone, Debug, PartialEq)]
struct Hierarchy {
    controllers: BTreeSet<String>,
    new: bool,
    /// The folder of this process's own cgroup.
    own: PathBuf,
    /// The topmost folder that can be seen.
    top: PathBuf,
}

/// Reads `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn hierarchies(cgroup: &str, mounts: &str) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    for line in mounts.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let mut before = before.split(' ').skip(3);
        let (Some(root), Some(point)) = (before.next(), before.next()) else { continue };
        let mut after = after.split(' ');
        let (Some(kind), _, Some(options)) = (after.next(), after.next(), after.next()) else {
            continue;
        };
        let new = match kind {
            "cgroup2" => true,
            "cgroup" => false,
            _ => continue,
        };
        let options: BTreeSet<&str> = options.split(',').collect();
        let own = cgroup.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (number, names, path) = (parts.next()?, parts.next()?, parts.next()?);
            let this = if new {
                number == "0" && names.is_empty()
            } else {
                !names.is_empty() && names.split(',').all(|name| options.contains(name))
            };
            this.then_some((names, path))
        });
        let Some((names, path)) = own else { continue };
        let point = PathBuf::from(unescaped(point));
        // What lies above the root of the mount can not be reached.
        let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
        let below = below.strip_prefix("/").unwrap_or(below);
        let controllers = names.split(',').filter(|name| !name.is_empty()).map(str::to_owned);
        found.push(Hierarchy {
            controllers: controllers.collect(),
            new,
            own: point.join(below),
            top: point,
        });
    }
    found
}

/// The text of a path in a list of mounts.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

/// The cgroup of a container, removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Cgroup {
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// Makes the cgroup that a config asks for; `devices` says whether it must
    /// filter devices too. `None` if nothing is limited.
    pub(crate) fn make(resources: &Resources, devices: bool) -> Result<Option<Self>> {
        let settings = settings(resources, devices)?;
        if settings.is_empty() {
            return Ok(None);
        }
        let read = |path: &str| {
            fs::read_to_string(path).map_err(|cause| Error::io("reading", path, cause))
        };
        let found = hierarchies(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?);
        let number = std::process::id();
        Self::make_in(&found, &settings, number).map(Some)
    }

    fn make_in(found: &[Hierarchy], settings: &[Setting], number: u32) -> Result<Self> {
        let mut cgroup = Self { folders: Vec::new() };
        for setting in settings {
            let mut tried = Vec::new();
            let set = found.iter().any(|hierarchy| {
                match cgroup.set(hierarchy, setting, settings, number) {
                    Ok(done) => done,
                    Err(error) => {
                        tried.push(format!("{}: {error}", hierarchy.own.display()));
                        false
                    }
                }
            });
            if !set {
                let mut error = Error::new(
                    Code::Runtime,
                    format!("limiting the {} of the container", what(setting.controller)),
                )
                .found(if tried.is_empty() {
                    format!("no cgroup hierarchy with the controller {}", setting.controller)
                } else {
                    "no cgroup that this user can write to".to_owned()
                })
                .expected(format!("a writable cgroup with the controller {}", setting.controller))
                .fix(format!(
                    "run without {}, or as root, or in a cgroup that was delegated to you: systemd-run --user --scope -p Delegate=yes plimsoll run …",
                    flag(setting.controller)
                ));
                for text in tried {
                    error = error.tried(text);
                }
                return Err(error);
            }
        }
        Ok(cgroup)
    }

    /// Sets one limit in one hierarchy; `false` if that has no such controller.
    fn set(
        &mut self,
        hierarchy: &Hierarchy,
        setting: &Setting,
        all: &[Setting],
        number: u32,
    ) -> io::Result<bool> {
        if hierarchy.new {
            let (file, text) = match &setting.new {
                New::File(file, text) => (file, text),
                New::Program(program) => {
                    let program = sys::load_device_filter(program)?;
                    // One folder is enough; this needs no controller to be had there.
                    let made = self.folders.iter().find(|made| made.starts_with(&hierarchy.top));
                    let folder = match made {
                        Some(made) => made.clone(),
                        None => self.folder(&hierarchy.own, number)?,
                    };
                    sys::attach_device_filter(File::open(folder)?.as_fd(), program.as_fd())?;
                    return Ok(true);
                }
            };
            let Some(parent) = with_controller(hierarchy, setting, all)? else { return Ok(false) };
            let folder = self.folder(&parent, number)?;
            fs::write(folder.join(file), text)?;
            return Ok(true);
        }
        if !hierarchy.controllers.contains(setting.controller) {
            return Ok(false);
        }
        let folder = self.folder(&hierarchy.own, number)?;
        for (file, text) in &setting.old {
            fs::write(folder.join(file), text)?;
        }
        Ok(true)
    }

    /// The container's own folder below `parent`, made if it is missing.
    fn folder(&mut self, parent: &Path, number: u32) -> io::Result<PathBuf> {
        if let Some(made) = self.folders.iter().find(|made| made.parent() == Some(parent)) {
            return Ok(made.clone());
        }
        sweep(parent);
        for n in 0..100u32 {
            let name =
                if n == 0 { format!("{NAME}{number}") } else { format!("{NAME}{number}.{n}") };
            let folder = parent.join(name);
            match fs::create_dir(&folder) {
                Ok(()) => {
                    self.folders.push(folder.clone());
                    return Ok(folder);
                }
                // Somebody in another process namespace has the same number.
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(cause),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Moves the calling process into it.
    pub(crate) fn enter(&self) -> Result<()> {
        self.folders.iter().try_for_each(|folder| {
            fs::write(folder.join("cgroup.procs"), "0")
                .map_err(|cause| Error::io("entering cgroup", folder.display(), cause))
        })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            for _ in 0..TRIES {
                match fs::remove_dir(folder) {
                    Err(cause) if cause.kind() == io::ErrorKind::ResourceBusy => {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    _ => break,
                }
            }
        }
    }
}

/// Whether devices can be filtered by a cgroup here.
pub(crate) fn filters_devices() -> bool {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    hierarchies(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo")).iter().any(|hierarchy| {
        let can = hierarchy.controllers.contains(DEVICE_CONTROLLER)
            || hierarchy.new
                && device_filter::program(&[])
                    .is_some_and(|program| sys::load_device_filter(&program).is_ok());
        can && rustix::fs::access(&hierarchy.own, rustix::fs::Access::WRITE_OK).is_ok()
    })
}

/// The nearest cgroup of the new hierarchy below which the controller can be
/// had. A cgroup with processes can not hand controllers on, so it is not our
/// own one as a rule, but one above it.
fn with_controller(
    hierarchy: &Hierarchy,
    setting: &Setting,
    all: &[Setting],
) -> io::Result<Option<PathBuf>> {
    let lists = |file: PathBuf, setting: &Setting| -> io::Result<bool> {
        Ok(fs::read_to_string(file)?.split_whitespace().any(|name| name == setting.controller))
    };
    let mut refused = None;
    for parent in hierarchy.own.ancestors().take_while(|path| path.starts_with(&hierarchy.top)) {
        if !lists(parent.join("cgroup.controllers"), setting)? {
            continue;
        }
        let control = parent.join("cgroup.subtree_control");
        // All at once: what is enabled one after another could end up in different places.
        let missing = all.iter().filter(|setting| matches!(setting.new, New::File(..)));
        for setting in missing {
            if !lists(control.clone(), setting)?
                && let Err(cause) = fs::write(&control, format!("+{}", setting.controller))
            {
                refused = Some(cause);
            }
        }
        if lists(control, setting)? {
            return Ok(Some(parent.to_owned()));
        }
    }
    match refused {
        Some(cause) => Err(cause),
        None => Ok(None),
    }
}

/// Removes what killed runs left: empty ones whose process is gone.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(NAME));
        let number = number.and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
        if number.is_some_and(|number| !Path::new("/proc").join(number.to_string()).exists()) {
            // The kernel refuses while there is a process in it.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn what(controller: &str) -> &str {
    match controller {
        "cpu" => "processors",
        "pids" => "processes",
        other => other,
    }
}

fn flag(controller: &str) -> &str {
    match controller {
        "memory" => "--memory",
        "cpu" => "--cpus",
        "pids" => "--pids-limit",
        _ => "--cap-add MKNOD",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Cpu, Memory, Pids};

    const HYBRID: (&str, &str) = (
        "8:pids:/\n4:memory:/user/a b\n2:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n",
        "30 25 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
         31 25 0:27 /user /sys/fs/cgroup/mem\\040ory rw - cgroup none rw,memory\n\
         32 25 0:28 / /sys/fs/cgroup/cpu rw shared:1 - cgroup cgroup rw,cpu,cpuacct\n\
         33 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n\
         34 25 0:30 / /tmp rw - tmpfs tmpfs rw\n",
    );

    #[test]
    fn hierarchies_of_both_kinds_are_found_where_they_are_mounted() {
        let found = hierarchies(HYBRID.0, HYBRID.1);
        let of = |name: &str| found.iter().find(|found| found.controllers.contains(name));
        assert_eq!(of("pids").expect("found").own, Path::new("/sys/fs/cgroup/pids"));
        assert_eq!(of("memory").expect("found").own, Path::new("/sys/fs/cgroup/mem ory/a b"));
        assert_eq!(of("cpu").expect("found").own, Path::new("/sys/fs/cgroup/cpu"));
        let new: Vec<_> = found.iter().filter(|found| found.new).collect();
        assert_eq!(new.len(), 1);
        assert_eq!(new[0].own, Path::new("/sys/fs/cgroup/unified"));
    }

    fn all() -> Resources {
        Resources {
            memory: Some(Memory { limit: Some(1 << 20), ..Memory::default() }),
            cpu: Some(Cpu { quota: Some(150_000), period: Some(100_000), ..Cpu::default() }),
            pids: Some(Pids { limit: 7, ..Pids::default() }),
            ..Resources::default()
        }
    }

    /// A folder that is as the new hierarchy in what is asked of it.
    #[test]
    fn the_new_hierarchy_is_used_above_the_own_cgroup_and_left_empty() {
        let folder = tempfile::tempdir().expect("folder");
        let own = folder.path().join("slice/scope");
        fs::create_dir_all(&own).expect("made");
        fs::write(own.join("cgroup.controllers"), "").expect("written");
        fs::write(own.join("cgroup.subtree_control"), "").expect("written");
        let slice = folder.path().join("slice");
        for file in ["cgroup.controllers", "cgroup.subtree_control"] {
            fs::write(slice.join(file), "cpu memory pids\n").expect("written");
        }
        let found = [Hierarchy {
            controllers: BTreeSet::new(),
            new: true,
            own,
            top: folder.path().to_owned(),
        }];
        let cgroup =
            Cgroup::make_in(&found, &settings(&all(), false).expect("known"), 7).expect("made");
        assert_eq!(cgroup.folders, [slice.join("plimsoll-7")]);
        for (file, text) in
            [("memory.max", "1048576"), ("cpu.max", "150000 100000"), ("pids.max", "7")]
        {
            let said = fs::read_to_string(slice.join("plimsoll-7").join(file)).expect(file);
            assert_eq!(said, text, "{file}");
        }
    }

    #[test]
    fn texts_are_those_of_each_kind() {
        let settings = settings(&all(), true).expect("known");
        let file = |name, text: &str| New::File(name, text.to_owned());
        let new: Vec<_> = settings[..3].iter().map(|setting| setting.new.clone()).collect();
        assert_eq!(
            new,
            [
                file("memory.max", "1048576"),
                file("cpu.max", "150000 100000"),
                file("pids.max", "7")
            ]
        );
        assert!(matches!(settings[3].new, New::Program(_)));
        let mut odd = all();
        odd.devices = vec![DeviceRule { kind: Some("x".to_owned()), ..DeviceRule::default() }];
        assert!(super::settings(&odd, true).is_err());
        assert_eq!(settings[1].old[1], ("cpu.cfs_quota_us", "150000".to_owned()));
        assert_eq!(settings[3].old[0], ("devices.deny", "a".to_owned()));
        assert_eq!(settings[3].old[3], ("devices.allow", "c 1:3 rwm".to_owned()));
    }

    #[test]
    fn a_limit_that_can_not_be_set_is_named() {
        let error =
            Cgroup::make_in(&[], &settings(&all(), false).expect("known"), 1).expect_err("nowhere");
        assert_eq!(error.code(), Code::Runtime);
        assert!(error.to_string().contains("memory"), "{error}");
        assert!(error.fix_text().is_some_and(|fix| fix.contains("--memory")));
    }
}
