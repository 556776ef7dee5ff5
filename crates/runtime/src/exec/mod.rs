//! The embedded executor: starts the process of a runtime config and waits
//! for it.
//!
//! Three processes. The caller's, which may have threads ([`run`]); the
//! *monitor*, this program started anew with one thread, which stays outside
//! of the container, passes on signals and holds the exit code; and *init*,
//! its forked child, which becomes process 1 of the container: it makes the
//! namespaces, mounts by handles, gives up privileges and replaces itself by
//! the program of the image. Nothing of this program runs inside of the
//! container afterwards, and until then its file is guarded (`own`).
//!
//! It is fail-closed: what a config asks for and this executor does not
//! enforce is refused before anything starts (`check`). It has no hooks and
//! no second process in a container, but for the one that takes the place of
//! process 1 when it is asked for ([`Options::init`]).

mod check;
mod console;
mod device;
mod init;
mod monitor;
mod mount;
mod options;
mod own;
mod payload;
mod privilege;
mod ranges;
mod reap;
mod report;
mod seccomp;
mod syscalls;
mod terminal;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use plimsoll_content::{Code, Error};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::rootless::Mapping;
use crate::signal::{Keys, Relay};
use crate::spec::Spec;
use crate::sys;
pub use check::enforceable;
pub(crate) use mount::attach;
use report::Report;

/// The exit code for what went wrong before the process of the image.
pub const FAILED: u8 = 125;
/// The exit code for a program that is there but can not be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// The exit code for a program that is not there.
pub const NOT_FOUND: u8 = 127;

/// The word by which this program knows that it is to be the monitor.
const MONITOR: &str = "__plimsoll-monitor";

/// Stands for a descriptor that there is none of.
const NONE: &str = "-";

/// Where the root filesystem comes from. All paths are of the host, UTF-8,
/// and trusted; what lies below them is not.
#[derive(Debug)]
pub enum Root {
    /// A prepared folder, used as it is: writes go to it.
    Folder(PathBuf),
    /// A mount that is attached nowhere, as [`overlay::mount`](crate::overlay::mount)
    /// makes them; gone with the process, when no other handle of it is left.
    Mounted {
        /// Its root.
        tree: OwnedFd,
        /// A folder of the host, which it covers in the container's own view until
        /// that has no other root.
        over: PathBuf,
    },
}

/// What is run.
#[derive(Debug)]
pub struct Bundle {
    /// The config. `root.path` is not looked at.
    pub spec: Spec,
    /// The root filesystem.
    pub root: Root,
}

/// How it is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Makes a missing working folder (owner 0:0, mode 0755) instead of
    /// refusing to start without.
    pub make_cwd: bool,
    /// Puts a small process 1 before the program, which passes signals on to
    /// it and takes the exit codes of processes that have lost their parent.
    pub init: bool,
}

/// How the process of the container ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exit {
    /// Its own exit code, or 128+N when signal N ended it.
    pub code: u8,
}

/// Why the process of the container was not started.
#[derive(Debug)]
pub struct NotStarted {
    /// [`FAILED`], [`NOT_EXECUTABLE`] or [`NOT_FOUND`]: what `run` exits with.
    pub exit: u8,
    /// What went wrong.
    pub error: Error,
}

impl From<Error> for NotStarted {
    fn from(error: Error) -> Self {
        Self { exit: FAILED, error }
    }
}

impl From<NotStarted> for Error {
    fn from(not_started: NotStarted) -> Self {
        not_started.error
    }
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

/// What the monitor is told.
#[derive(Deserialize, Serialize)]
struct Request {
    spec: Spec,
    /// The folder that is the root, or that it covers when it was handed on as a mount.
    root: PathBuf,
    make_cwd: bool,
    init: bool,
    /// The process that waits for the monitor.
    parent: i32,
}

/// Starts the process and waits for its end. Signals that arrive meanwhile
/// go to the process; those that are ignored here stay ignored.
///
/// Standard input, output and error are inherited; no other descriptor is.
/// The program must have called [`child_main`] first thing in its `main`.
/// May be called in a process with threads, but by one at a time.
pub fn run(bundle: Bundle, options: &Options) -> Result<Exit, NotStarted> {
    let mapping = Mapping::current()?;
    enforceable(&bundle.spec, &mapping)?;
    let wants_terminal = bundle.spec.process.as_ref().is_some_and(|process| process.terminal);
    let (root, tree) = match bundle.root {
        Root::Folder(path) => (path, None),
        Root::Mounted { tree, over } => (over, Some(tree)),
    };
    let request = Request {
        spec: bundle.spec,
        root,
        make_cwd: options.make_cwd,
        init: options.init,
        parent: rustix::process::getpid().as_raw_nonzero().get(),
    };
    let failed = |cause: io::Error| Error::io("starting", "the monitor process", cause);
    let request = sealed(&request)?;
    let (reports, report) =
        pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from).map_err(failed)?;

    let (console, send_console) = if wants_terminal {
        sys::descriptor_pair().map(|(here, there)| (Some(here), Some(there)))
    } else {
        Ok((None, None))
    }
    .map_err(failed)?;

    let program = own::file()?;
    let mut command = Command::new(own::path(&program));
    command
        .arg0("plimsoll")
        .arg(MONITOR)
        .arg(request.as_raw_fd().to_string())
        .arg(report.as_raw_fd().to_string())
        .arg(program.as_raw_fd().to_string())
        .args([&tree, &send_console].map(|maybe| match maybe {
            Some(descriptor) => descriptor.as_raw_fd().to_string(),
            None => NONE.to_owned(),
        }))
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit());
    let handed = [request, report, program].into_iter().chain(tree).chain(send_console).collect();
    sys::hand_on(&mut command, handed);
    let mut relay = Relay::start().map_err(failed)?;
    let monitor = command.spawn().map_err(failed)?;
    // Closes this side's copies of the descriptors, so that the pipe can end.
    drop(command);
    let pid = Pid::from_raw(monitor.id() as i32)
        .ok_or_else(|| Error::new(Code::Bug, "reading the number of the monitor process"))?;
    let terminal = match console {
        // Comes when the container has its terminal, or never, when it fails before.
        Some(console) => sys::receive_descriptor(console.as_fd())
            .and_then(|master| master.map(terminal::Terminal::start).transpose()),
        None => Ok(None),
    }
    .map_err(failed)?;
    if let Some(terminal) = &terminal {
        relay.on_resize(terminal.resize().map_err(failed)?).map_err(failed)?;
    }
    let code = relay.wait(pid, Keys::Own, || false).map_err(failed)?;
    drop(relay);
    drop(terminal);
    match Report::receive(reports)? {
        Some(report) => Err(report.into()),
        None => Ok(Exit { code }),
    }
}

/// The request in memory that nobody can change any more.
fn sealed(request: &Request) -> Result<OwnedFd, Error> {
    let what = "the request to the monitor process";
    let bytes = serde_json::to_vec(request)
        .map_err(|cause| Error::new(Code::Runtime, format!("writing {what}")).found(cause))?;
    let seal = || -> io::Result<OwnedFd> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = memfd_create("plimsoll-request", flags)?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let written = rustix::io::pwrite(&memory, rest, (bytes.len() - rest.len()) as u64)?;
            rest = &rest[written..];
        }
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(&memory, seals)?;
        Ok(memory)
    };
    seal().map_err(|cause| Error::io("writing", what, cause))
}

/// Takes over when this program was started by itself, as the monitor.
///
/// To be called first in `main`, before any thread is started, with the
/// arguments of the process. Gives the code to exit with at once; `None`
/// means that this is an ordinary start of the program.
pub fn child_main(args: impl IntoIterator<Item = OsString>) -> Option<u8> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != MONITOR {
        return None;
    }
    // `Some(None)` is one that was left out.
    let mut maybe = || -> Option<Option<OwnedFd>> {
        let word = args.next()?;
        let word = word.to_str()?;
        if word == NONE {
            return Some(None);
        }
        let number: RawFd = word.parse().ok()?;
        sys::inherited(number).ok().map(Some)
    };
    let handed = || -> Option<monitor::Handed> {
        Some(monitor::Handed {
            request: maybe()??,
            report: maybe()??,
            program: maybe()??,
            tree: maybe()?,
            console: maybe()?,
        })
    }();
    Some(handed.map_or(FAILED, monitor::main))
}
