//! Running as an ordinary user: one user namespace for the whole command.
//!
//! [`enter`] splits the command in two: the process that goes on is root in
//! a new user and mount namespace, the other one waits for it outside. With
//! ranges of subordinate ids (`/etc/subuid`, `/etc/subgid`, handed out by
//! `newuidmap` and `newgidmap`) all users of an image can exist inside;
//! without, only root, who is the ordinary user himself.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, Signal, WaitOptions, getegid, geteuid, set_parent_process_death_signal, waitpid,
};
use rustix::thread::UnshareFlags;

use crate::convert::IdMappings;
use crate::signal::{Keys, Relay};
use crate::spec::{IdMapping, ProcessUser};
use crate::sys;

/// Where the set-user-id programs that write mappings may lie. Not `PATH`:
/// what is there with this bit is trusted, what the environment names is not.
const HELPERS: &[&str] = &["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin"];

/// No file of ids or mappings is longer.
const MOST: u64 = 1 << 20;

/// One line of a mapping: ids from `inside` on stand for those from `outside` on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Range {
    inside: u32,
    outside: u32,
    count: u32,
}

/// Which users and groups exist in a user namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mapping {
    uids: Vec<Range>,
    gids: Vec<Range>,
    /// Whether the kernel lets supplementary groups be set.
    set_groups: bool,
}

impl Mapping {
    /// The mapping of this process's user namespace.
    pub fn current() -> Result<Self> {
        let map = |path: &str| -> Result<Vec<Range>> {
            let text = read(path)?;
            text.lines().map(parse_range).collect::<Option<_>>().ok_or_else(|| {
                Error::new(Code::UserNamespace, format!("reading {path}")).found("no mapping")
            })
        };
        Ok(Self {
            uids: map("/proc/self/uid_map")?,
            gids: map("/proc/self/gid_map")?,
            set_groups: read("/proc/self/setgroups").is_ok_and(|text| text.trim() == "allow"),
        })
    }

    /// The mapping in the words of the runtime config.
    pub fn to_spec(&self) -> IdMappings {
        let lines = |ranges: &[Range]| {
            let line = |range: &Range| IdMapping {
                container_id: range.inside,
                host_id: range.outside,
                size: range.count,
                other: serde_json::Map::new(),
            };
            ranges.iter().map(line).collect()
        };
        IdMappings { uids: lines(&self.uids), gids: lines(&self.gids), setgroups: self.set_groups }
    }

    /// Whether every id stands for itself, as outside of all user namespaces.
    pub fn is_initial(&self) -> bool {
        self.uids == [Range { inside: 0, outside: 0, count: u32::MAX }]
    }

    /// Whether there is only one user.
    pub fn is_single(&self) -> bool {
        matches!(self.uids[..], [Range { count: 1, .. }])
    }

    /// Whether the user exists.
    pub fn has_uid(&self, uid: u32) -> bool {
        contains(&self.uids, uid)
    }

    /// Whether the group exists.
    pub fn has_gid(&self, gid: u32) -> bool {
        contains(&self.gids, gid)
    }

    /// The supplementary groups of a user that can not be had here. A caller
    /// that starts a process without them should say so.
    pub fn unavailable_groups(&self, user: &ProcessUser) -> Vec<u32> {
        let lost = |gid: &&u32| !(**gid == user.gid || self.set_groups && self.has_gid(**gid));
        user.additional_gids.iter().filter(lost).copied().collect()
    }

    /// Refuses a user or groups that do not exist here ([`Code::UserNamespace`]).
    pub fn allows(&self, user: &ProcessUser) -> Result<()> {
        let wanted = if !self.has_uid(user.uid) {
            format!("uid {}", user.uid)
        } else if !self.has_gid(user.gid) {
            format!("gid {}", user.gid)
        } else if let Some(gid) = self.unavailable_groups(user).first() {
            format!("supplementary gid {gid}")
        } else {
            return Ok(());
        };
        let outside =
            self.uids.iter().find(|range| range.inside == 0).map_or(0, |range| range.outside);
        let error = |headline: String| {
            Error::new(Code::UserNamespace, headline).found(format!("image wants {wanted}"))
        };
        if !self.is_single() {
            return Err(error("starting a process in this user namespace".to_owned())
                .expected("an id that is mapped in it"));
        }
        let why = match Ranges::of(outside) {
            Ok(_) => "newuidmap did not map the ranges".to_owned(),
            Err(why) => why,
        };
        Err(error(format!(
            "no user namespace with more ids for uid {outside}: {why}, so only uid 0 of the image \
             can exist"
        ))
        .fix(format!(
            "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {}",
            user_name(outside).unwrap_or_else(|| outside.to_string())
        )))
    }
}

fn contains(ranges: &[Range], id: u32) -> bool {
    ranges.iter().any(|range| id.checked_sub(range.inside).is_some_and(|at| at < range.count))
}

fn parse_range(line: &str) -> Option<Range> {
    let mut numbers = line.split_whitespace().map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(Range { inside: next()?, outside: next()?, count: next()? })
}

/// What this machine lets the user do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Status {
    /// The user is root already.
    Root,
    /// A user namespace with all users of an image.
    Ranges,
    /// A user namespace with only one user, and why not more.
    Single(String),
    /// No user namespace, and why.
    Unavailable(String),
}

/// What [`enter`] would bring about, as far as settings tell.
pub fn status() -> Status {
    if geteuid().is_root() {
        return Status::Root;
    }
    if let Some(why) = forbidden() {
        return Status::Unavailable(why);
    }
    match Ranges::of(geteuid().as_raw()) {
        Ok(_) => Status::Ranges,
        Err(why) => Status::Single(why),
    }
}

/// What has become of this process.
#[derive(Debug)]
pub enum Entered {
    /// It is to go on, as root of a user namespace or outside of any.
    Inside(Mapping),
    /// The process that went on has ended, with this exit code.
    Ended(u8),
}

/// Makes an ordinary user root of a new user and mount namespace.
///
/// To be called early in `main`, before any thread is started: the process
/// is split, one half comes back as [`Entered::Inside`] and does the work,
/// the other half passes on signals meanwhile and comes back as
/// [`Entered::Ended`]. Root stays what he is.
///
/// Errors are [`Code::UserNamespace`] and say which setting forbids it.
pub fn enter() -> Result<Entered> {
    if geteuid().is_root() {
        return Mapping::current().map(Entered::Inside);
    }
    match Ranges::of(geteuid().as_raw()) {
        Ok(ranges) => match split(Some(&ranges)) {
            Err(Failure::Helper(_)) => split(None),
            other => other,
        },
        Err(_) => split(None),
    }
    .map_err(|failure| match failure {
        Failure::Helper(error) | Failure::Other(error) => error,
    })
}

enum Failure {
    /// `newuidmap` or `newgidmap` did not do their work.
    Helper(Error),
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// What the new process does first, told to the waiting one as a byte.
const MADE: u8 = 0;

fn split(ranges: Option<&Ranges>) -> std::result::Result<Entered, Failure> {
    let failed = |cause: io::Error| Error::io("making", "the process in the user namespace", cause);
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from).map_err(failed);
    let (made, tell_made) = pipe()?;
    let (mapped, tell_mapped) = pipe()?;
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let outside = rustix::process::getpid();
    let child = match sys::fork().map_err(failed)? {
        sys::Fork::Parent(pid) => pid,
        sys::Fork::Child => {
            drop((made, tell_mapped));
            let own = ranges.is_none().then_some((uid, gid));
            return Ok(Entered::Inside(inside(own, tell_made, mapped, outside)));
        }
    };
    drop((tell_made, mapped));
    let reap = |error: Error| {
        let _ = sys::kill(child, libc::SIGKILL);
        let _ = waitpid(Some(child), WaitOptions::empty());
        error
    };
    let relay = Relay::start().map_err(failed).map_err(reap)?;
    let mut told = [0u8; 1];
    match rustix::io::retry_on_intr(|| rustix::io::read(&made, &mut told)) {
        Ok(1) if told[0] == MADE => {}
        Ok(1) => {
            let errno = Errno::from_raw_os_error(i32::from(told[0]));
            return Err(reap(refused(errno)).into());
        }
        _ => return Err(reap(failed(io::ErrorKind::UnexpectedEof.into())).into()),
    }
    if let Some(ranges) = ranges {
        ranges.map(child, uid, gid).map_err(|error| Failure::Helper(reap(error)))?;
    }
    // The child may be gone already; waiting for it tells.
    let _ = rustix::io::write(&tell_mapped, &[MADE]);
    let code = relay.wait(child, Keys::Shared, || false).map_err(failed)?;
    Ok(Entered::Ended(code))
}

/// The new process: makes the namespaces and waits to be mapped. Ends on
/// failure, which the waiting process reports.
fn inside(own: Option<(u32, u32)>, tell_made: OwnedFd, mapped: OwnedFd, outside: Pid) -> Mapping {
    let make = || -> io::Result<()> {
        sys::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)?;
        if let Some((uid, gid)) = own {
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
            fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
        }
        Ok(())
    };
    let told = match make() {
        Ok(()) => MADE,
        Err(error) => {
            error.raw_os_error().and_then(|errno| u8::try_from(errno).ok()).unwrap_or(u8::MAX)
        }
    };
    let mut go = [0u8; 1];
    let sent = rustix::io::write(&tell_made, &[told]);
    drop(tell_made);
    let ready = told == MADE
        && sent.is_ok()
        && rustix::io::retry_on_intr(|| rustix::io::read(&mapped, &mut go)) == Ok(1)
        && mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).is_ok()
        && set_parent_process_death_signal(Some(Signal::KILL)).is_ok()
        && rustix::process::getppid() == Some(outside);
    match Mapping::current() {
        Ok(mapping) if ready => mapping,
        _ => sys::leave(crate::exec::FAILED),
    }
}

/// The error for an unshare or a mapping that the kernel refused.
fn refused(errno: Errno) -> Error {
    let error = Error::new(
        Code::UserNamespace,
        format!("making a user namespace for uid {}", geteuid().as_raw()),
    );
    match forbidden() {
        Some(why) => error.found(why).fix("run as root, or ask the administrator to allow it"),
        None => error
            .found(io::Error::from(errno))
            .fix("run as root; in a container, its seccomp profile may forbid user namespaces"),
    }
}

/// The setting that forbids user namespaces to ordinary users, if one does.
fn forbidden() -> Option<String> {
    let setting = |path: &str| read(path).ok().map(|text| text.trim().to_owned());
    if !Path::new("/proc/self/ns/user").exists() {
        return Some("a kernel without user namespaces".to_owned());
    }
    [
        ("/proc/sys/user/max_user_namespaces", "0"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
    ]
    .into_iter()
    .find(|(path, bad)| setting(path).as_deref() == Some(*bad))
    .map(|(path, bad)| format!("{path} is {bad}"))
}

/// The subordinate ids of a user, and who writes them into a mapping.
#[derive(Debug)]
struct Ranges {
    uids: Vec<(u32, u32)>,
    gids: Vec<(u32, u32)>,
    new_uid_map: PathBuf,
    new_gid_map: PathBuf,
}

impl Ranges {
    /// The ranges of a user; the error says what is missing.
    fn of(uid: u32) -> std::result::Result<Self, String> {
        let name = user_name(uid);
        let ranges = |path: &str| -> std::result::Result<Vec<(u32, u32)>, String> {
            let text = read(path).unwrap_or_default();
            let found = subordinate(&text, name.as_deref(), uid);
            if found.is_empty() { Err(format!("no range in {path}")) } else { Ok(found) }
        };
        let helper = |name: &str| -> std::result::Result<PathBuf, String> {
            HELPERS
                .iter()
                .map(|folder| Path::new(folder).join(name))
                .find(|path| access(path, Access::EXEC_OK).is_ok())
                .ok_or_else(|| format!("no program {name} (package uidmap)"))
        };
        Ok(Self {
            uids: ranges("/etc/subuid")?,
            gids: ranges("/etc/subgid")?,
            new_uid_map: helper("newuidmap")?,
            new_gid_map: helper("newgidmap")?,
        })
    }

    fn map(&self, child: Pid, uid: u32, gid: u32) -> Result<()> {
        write_map(&self.new_uid_map, child, uid, &self.uids)?;
        write_map(&self.new_gid_map, child, gid, &self.gids)
    }
}

/// Maps id 0 to the user's own, and those from 1 on to the ranges.
fn write_map(program: &Path, child: Pid, own: u32, ranges: &[(u32, u32)]) -> Result<()> {
    let mut command = Command::new(program);
    command.env_clear().arg(child.as_raw_nonzero().to_string());
    command.args(["0", &own.to_string(), "1"]);
    let mut inside = 1u32;
    for (start, count) in ranges {
        // What does not fit in front of the number that means "no id" is left out.
        let count = (*count).min(u32::MAX - 1 - inside);
        if count == 0 {
            break;
        }
        command.args([inside, *start, count].map(|number| number.to_string()));
        inside += count;
    }
    let doing = format!("mapping ids with {}", program.display());
    let output = command.output().map_err(|cause| {
        Error::io("starting", program.display(), cause).recode(Code::UserNamespace)
    })?;
    if output.status.success() {
        return Ok(());
    }
    let mut found = format!("{}", output.status);
    let _ = write!(found, ": {}", String::from_utf8_lossy(&output.stderr).trim().escape_debug());
    Err(Error::new(Code::UserNamespace, doing).found(found))
}

/// The ranges of a user in the text of `/etc/subuid` or `/etc/subgid`.
fn subordinate(text: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    let uid = uid.to_string();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let range = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            (Some(owner) == name || owner == uid).then_some(range)
        })
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// The name of a user of the host, as its `/etc/passwd` says.
fn user_name(uid: u32) -> Option<String> {
    let uid = uid.to_string();
    read("/etc/passwd").ok()?.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

fn read(path: &str) -> Result<String> {
    use std::io::Read as _;
    let open = || -> io::Result<String> {
        let mut text = String::new();
        fs::File::open(path)?.take(MOST).read_to_string(&mut text)?;
        Ok(text)
    };
    open().map_err(|cause| Error::io("reading", path, cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single() -> Mapping {
        let one = |outside| vec![Range { inside: 0, outside, count: 1 }];
        Mapping { uids: one(4_000_000_000), gids: one(4_000_000_000), set_groups: false }
    }

    #[test]
    fn a_single_user_is_told_what_is_missing() {
        let user = |uid, gid, groups: &[u32]| ProcessUser {
            uid,
            gid,
            additional_gids: groups.to_vec(),
            ..ProcessUser::default()
        };
        let mapping = single();
        assert!(mapping.allows(&user(0, 0, &[0])).is_ok());
        assert_eq!(mapping.unavailable_groups(&user(0, 0, &[0, 5])), [5]);
        let error = mapping.allows(&user(1000, 0, &[])).expect_err("unmapped");
        assert_eq!(error.code(), Code::UserNamespace);
        assert!(error.to_string().contains("no range in /etc/subuid"), "{error}");
        assert!(error.to_string().contains("image wants uid 1000"), "{error}");
    }

    #[test]
    fn subordinate_ids_are_found_by_name_and_by_number() {
        let text = "root:1:1\napp:100000:65536\n\n7:300000:10\nbad\napp:x:1\napp:5:0\n";
        assert_eq!(subordinate(text, Some("app"), 7), [(100_000, 65_536), (300_000, 10)]);
        assert!(subordinate(text, None, 8).is_empty());
    }

    #[test]
    fn the_whole_range_is_the_initial_mapping() {
        assert_eq!(
            parse_range("         0          0 4294967295").map(|range| range.count),
            Some(u32::MAX)
        );
        assert!(parse_range("0 0").is_none());
        assert!(contains(&[Range { inside: 1, outside: 9, count: 2 }], 2));
        assert!(!contains(&[Range { inside: 1, outside: 9, count: 2 }], 3));
    }
}
