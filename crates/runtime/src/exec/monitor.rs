//! The monitor: outside of the container, one thread, alive as long as it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use plimsoll_content::{Code, Error, Result};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid};
use rustix::thread::UnshareFlags;

use super::report::Report;
use super::{FAILED, NotStarted, Request, init, own, privilege};
use crate::cgroup::Cgroup;
use crate::rootless::Mapping;
use crate::signal::{Keys, Relay};
use crate::sys;

/// What the monitor is started with.
pub(super) struct Handed {
    pub(super) request: OwnedFd,
    /// Where errors are told.
    pub(super) report: OwnedFd,
    /// The file that this process runs.
    pub(super) program: OwnedFd,
    /// The root filesystem, if it is a mount.
    pub(super) tree: Option<OwnedFd>,
    /// The way that the container's terminal takes, if it is to have one.
    pub(super) console: Option<OwnedFd>,
}

/// Does the work of the monitor and gives its exit code, which is that of
/// the container's process.
pub(super) fn main(handed: Handed) -> u8 {
    let Handed { request, report, program, tree, console } = handed;
    match start(request, &report, program, tree, console) {
        Ok(code) => code,
        Err(error) => {
            Report::from(NotStarted::from(error)).send(&report);
            FAILED
        }
    }
}

fn start(
    request: OwnedFd,
    report: &OwnedFd,
    program: OwnedFd,
    tree: Option<OwnedFd>,
    console: Option<OwnedFd>,
) -> Result<u8> {
    let failed = |doing: &'static str| {
        move |cause: io::Error| Error::io(doing, "of the monitor process", cause)
    };
    // Before anything else: what this process was started with is not for
    // the container (CVE-2024-21626).
    sys::close_on_exec_from_three().map_err(failed("closing descriptors"))?;
    own::guard(program.as_fd()).map_err(failed("guarding the file"))?;
    drop(program);
    let request = read(request)?;
    // A session of its own: keys of the terminal reach the caller alone,
    // and the container has no way to its terminal.
    setsid().map_err(io::Error::from).map_err(failed("making the session"))?;
    // The signal only wakes the relay up, which then finds the parent gone.
    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(io::Error::from)
        .map_err(failed("asking for the end of the parent"))?;
    let parent = Pid::from_raw(request.parent);
    let orphaned = move || getppid() != parent;
    if orphaned() {
        return Err(Error::new(Code::Interrupted, "starting the container").found("no caller"));
    }

    sys::block_signals(true).map_err(failed("holding back the signals"))?;
    // The writing end stays here; init sees by the reading end whether this process lives.
    let (alive, life) =
        pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from).map_err(failed("making pipes"))?;
    let resources = request.spec.linux.as_ref().and_then(|linux| linux.resources.clone());
    let resources = resources.unwrap_or_default();
    let filter = privilege::needs_device_filter(&request.spec, &Mapping::current()?)?;
    let cgroup = Cgroup::make(&resources, filter)?;
    sys::unshare(UnshareFlags::NEWPID).map_err(|cause| namespace(&cause))?;
    let init = match sys::fork().map_err(failed("making the child"))? {
        sys::Fork::Parent(pid) => pid,
        sys::Fork::Child => {
            drop(life);
            let not_started = init::main(request, tree, alive, console, cgroup.as_ref());
            let exit = not_started.exit;
            Report::from(not_started).send(report);
            sys::leave(exit)
        }
    };
    drop((alive, request, tree, console));
    let relay = Relay::start().map_err(failed("catching the signals"))?;
    sys::block_signals(false).map_err(failed("letting through the signals"))?;
    let code = relay.wait(init, Keys::Own, orphaned).map_err(failed("waiting for the child"))?;
    drop((life, cgroup));
    Ok(code)
}

fn read(memory: OwnedFd) -> Result<Request> {
    let what = "the request to the monitor process";
    let memory = File::from(memory);
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; memory.metadata()?.len() as usize];
        memory.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|cause| Error::io("reading", what, cause))?;
    serde_json::from_slice(&bytes)
        .map_err(|cause| Error::new(Code::Bug, format!("reading {what}")).found(cause))
}

/// The error for namespaces that the kernel does not give.
pub(super) fn namespace(cause: &io::Error) -> Error {
    Error::new(Code::Runtime, "making the namespaces of the container")
        .found(cause)
        .expected("the privilege to make namespaces (CAP_SYS_ADMIN)")
}
