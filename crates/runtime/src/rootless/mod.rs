//! Running as an ordinary user: one user namespace for the whole command.
//!
//! [`enter`] splits the command in two: the process that goes on is root in
//! a new user and mount namespace, the other one waits for it outside. With
//! ranges of subordinate ids (`/etc/subuid`, `/etc/subgid`, handed out by
//! `newuidmap` and `newgidmap`) all users of an image can exist inside;
//! without, only root, who is the ordinary user himself.

mod mapping;
mod ranges;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use plimsoll_content::{Code, Error, Result};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, Signal, WaitOptions, getegid, geteuid, set_parent_process_death_signal, waitpid,
};
use rustix::thread::UnshareFlags;

use crate::signal::{Keys, Relay};
use crate::sys;
use ranges::Ranges;

pub use mapping::Mapping;

/// No file of ids or mappings is longer.
const MOST: u64 = 1 << 20;

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
    let relay = Relay::start().and_then(Relay::with_resize).map_err(failed).map_err(reap)?;
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

/// The content of a file of the host, as far as it is sensible.
fn read(path: &str) -> Result<String> {
    use std::io::Read as _;
    let open = || -> io::Result<String> {
        let mut text = String::new();
        fs::File::open(path)?.take(MOST).read_to_string(&mut text)?;
        Ok(text)
    };
    open().map_err(|cause| Error::io("reading", path, cause))
}
