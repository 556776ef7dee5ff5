//! Init: becomes process 1 of the container, and then the program of the
//! image.
//!
//! The order is the security: descriptors are closed, then the world is made
//! by handles from outside, then entered, then privileges are given up, and
//! the last call is `execve`.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use plimsoll_content::{Code, Error, Result};
use plimsoll_layer::path::shown;
use plimsoll_layer::root::Root as Tree;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FsWord, Mode, OFlags, Uid, fchown, fstatfs};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::{
    Signal, chdir, fchdir, getcwd, pivot_root, set_parent_process_death_signal, umask,
};
use rustix::system::sethostname;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::console::Console;
use super::monitor::namespace;
use super::mount::Mounts;
use super::privilege::Privileges;
use super::{NotStarted, Request, device, payload, reap, seccomp};
use crate::cgroup::Cgroup;
use crate::rootless::Mapping;
use crate::spec::{Linux, NamespaceKind, Process, ProcessUser, Spec};
use crate::sys;

/// The file mode creation mask where the config gives none.
const UMASK: u32 = 0o022;

/// The file system of anonymous pipes (`linux/magic.h`).
const PIPEFS_MAGIC: FsWord = 0x5049_5045;

/// Only comes back when the program was not started.
pub(super) fn main(
    request: Request,
    tree: Option<OwnedFd>,
    alive: OwnedFd,
    console: Option<OwnedFd>,
    cgroup: Option<&Cgroup>,
) -> NotStarted {
    match start(&request, tree, &alive, console, cgroup) {
        Err(not_started) => not_started,
        Ok(never) => match never {},
    }
}

/// No value has this type.
pub(super) enum Never {}

fn start(
    request: &Request,
    tree: Option<OwnedFd>,
    alive: &OwnedFd,
    console: Option<OwnedFd>,
    cgroup: Option<&Cgroup>,
) -> Result<Never, NotStarted> {
    let Request { spec, root, make_cwd, init, .. } = request;
    let (linux, process) = parts(spec)?;
    let mapping = Mapping::current()?;
    let filters = linux.seccomp.as_ref().map_or(Ok(Vec::new()), seccomp::compile)?;
    let privileges = Privileges::of(process)?;

    // Before its namespace is made, so that the container sees it as the root.
    cgroup.map_or(Ok(()), Cgroup::enter)?;
    enter_namespaces(spec, linux)?;
    leave_keyring()?;
    // Modes are exact until the program starts.
    umask(Mode::empty());
    let root = Mounts::attach_root(root, tree)?;
    let mut mounts = Mounts::new(&root, &mapping)?;
    for mount in &spec.mounts {
        mounts.add(mount)?;
    }
    device::fill(&mounts, &linux.devices, &mapping)?;
    let console = match console.filter(|_| process.terminal) {
        Some(way) => Some(Console::open(&root, &mounts, &way)?),
        None => None,
    };
    if *make_cwd {
        mounts.make_folder(&process.cwd)?;
    }
    mounts.read_only(&linux.readonly_paths)?;
    mounts.mask(&linux.masked_paths)?;
    mounts.finish(spec.root.as_ref().is_some_and(|root| root.readonly))?;
    enter_root(&root)?;

    let inside = enter_folder(&root, process)?;
    let user = &process.user;
    umask(Mode::from_raw_mode(user.umask.unwrap_or(UMASK) & 0o777));
    privileges.limit()?;
    own_pipes(user);
    if let Some(console) = &console {
        console.give_to(user)?;
    }
    privileges.give_up(&filters, || {
        follow_monitor(alive)?;
        if inside || enter_folder(&root, process)? {
            return Ok(());
        }
        let doing = format!("entering working folder {}", shown(process.cwd.as_bytes()));
        Err(Error::new(Code::Runtime, doing).found("the user may not enter it"))
    })?;
    sys::reset_signals();
    if *init {
        // Only the child comes back.
        reap::fork()?;
    }
    if let Some(console) = console {
        console.enter()?;
    }
    sys::block_signals(false)
        .map_err(|cause| Error::io("letting through", "the signals", cause))?;
    Err(payload::execute(process))
}

/// The members that `check` has found to be there.
fn parts(spec: &Spec) -> Result<(&Linux, &Process)> {
    spec.linux.as_ref().zip(spec.process.as_ref()).ok_or_else(|| {
        Error::new(Code::Bug, "reading the runtime config").expected("linux and process")
    })
}

fn enter_namespaces(spec: &Spec, linux: &Linux) -> Result<()> {
    let kinds = [
        (NamespaceKind::Mount, UnshareFlags::NEWNS),
        (NamespaceKind::Uts, UnshareFlags::NEWUTS),
        (NamespaceKind::Ipc, UnshareFlags::NEWIPC),
        (NamespaceKind::Network, UnshareFlags::NEWNET),
        (NamespaceKind::Cgroup, UnshareFlags::NEWCGROUP),
    ];
    let wanted = kinds
        .into_iter()
        .filter(|(kind, _)| linux.has(*kind) && joined(linux, *kind).is_none())
        .fold(UnshareFlags::empty(), |all, (_, flag)| all | flag);
    if let Some(path) = joined(linux, NamespaceKind::Network) {
        let join = || -> io::Result<()> {
            let namespace = File::open(path)?;
            Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
        };
        join().map_err(|cause| Error::io("joining", format!("network namespace {path}"), cause))?;
    }
    sys::unshare(wanted).map_err(|cause| namespace(&cause))?;
    // Nothing that is mounted here becomes visible outside.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|errno| Error::io("cutting off", "the mounts of the host", errno.into()))?;
    if let Some(name) = &spec.hostname {
        sethostname(name.as_bytes())
            .map_err(|errno| Error::io("setting", format!("host name {name:?}"), errno.into()))?;
    }
    if wanted.contains(UnshareFlags::NEWNET) {
        sys::loopback_up().map_err(|cause| Error::io("bringing up", "network device lo", cause))?;
    }
    Ok(())
}

/// The path of the namespace that is joined instead of made.
fn joined(linux: &Linux, kind: NamespaceKind) -> Option<&str> {
    let namespace = linux.namespaces.iter().find(|namespace| namespace.kind == kind)?;
    namespace.path.as_deref()
}

/// Leaves the keys of the caller behind. Kernels and outer containers may do
/// without keyrings; then there is nothing to leave.
fn leave_keyring() -> Result<()> {
    match sys::new_session_keyring() {
        Err(error) if !matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            Err(Error::io("making", "a session keyring", error))
        }
        _ => Ok(()),
    }
}

/// Makes the tree the root of this process and lets go of the host's.
fn enter_root(root: &Tree) -> Result<()> {
    let enter = || -> rustix::io::Result<()> {
        fchdir(root)?;
        // The old root is stacked on the new one, and unmounted from there.
        pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        chdir("/")
    };
    enter().map_err(|errno| Error::io("entering", "the root filesystem", errno.into()))
}

/// Enters the working folder. `false` means that it may only be possible
/// with the rights of the user.
fn enter_folder(root: &Tree, process: &Process) -> Result<bool> {
    let cwd = shown(process.cwd.as_bytes());
    let refuse = |found: &str| {
        Err(Error::new(Code::Runtime, format!("entering working folder {cwd}"))
            .found(found)
            .expected("a folder of the image"))
    };
    // Resolved as everything else: links of /proc lead nowhere (CVE-2024-21626).
    match root.open_at(process.cwd.as_bytes(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
        Ok(folder) => match fchdir(folder) {
            Ok(()) => {}
            Err(rustix::io::Errno::ACCESS) => return Ok(false),
            Err(errno) => return refuse(&io::Error::from(errno).to_string()),
        },
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
        Err(error) => return refuse(&error.to_string()),
    }
    // The kernel marks what is not below the root; the second lock after the first.
    match getcwd(Vec::new()) {
        Ok(path) if path.as_bytes().starts_with(b"/") => Ok(true),
        Ok(_) => refuse("a folder outside of the root filesystem"),
        Err(errno) => refuse(&io::Error::from(errno).to_string()),
    }
}

/// Gives the user the pipes at standard input, output and error, so that
/// programs can open `/dev/stdout` and the like. Files and terminals stay
/// whose they are.
fn own_pipes(user: &ProcessUser) {
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        // Of named pipes the file system is another.
        if fstatfs(stream).is_ok_and(|found| found.f_type == PIPEFS_MAGIC) {
            let _ = fchown(stream, Some(Uid::from_raw(user.uid)), None);
        }
    }
}

/// Dies with the monitor. Asked for after the last change of the user, which
/// would undo it.
fn follow_monitor(alive: &OwnedFd) -> Result<()> {
    let failed = |errno: rustix::io::Errno| {
        Error::io("asking for", "the end of the monitor process", errno.into())
    };
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)?;
    let mut pipe = [PollFd::from_borrowed_fd(alive.as_fd(), PollFlags::empty())];
    poll(&mut pipe, Some(&Timespec::default())).map_err(failed)?;
    if pipe[0].revents().contains(PollFlags::HUP) {
        return Err(Error::new(Code::Interrupted, "starting the process").found("no monitor"));
    }
    Ok(())
}
