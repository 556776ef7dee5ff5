//! Process 1 for programs that are none: passes signals on to the program and
//! takes the exit codes of those who have lost their parent.
//!
//! It is this program, without a way to anything: privileges are given up
//! before, descriptors are closed, its memory is not to be looked at, and its
//! file is guarded as before (`own`).

use plimsoll_content::{Error, Result};
use rustix::process::{DumpableBehavior, Pid, WaitOptions, set_dumpable_behavior, waitpid};

use crate::signal::exit_code;
use crate::sys;

/// Signals that are about this process itself, or that the terminal sends to
/// the program anyway.
const KEPT: &[i32] = &[
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGSYS,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGPIPE,
];

/// Splits off the process that becomes the program, and comes back in it
/// alone. All signals are held back in both.
pub(super) fn fork() -> Result<()> {
    match sys::fork().map_err(|cause| Error::io("making", "the process beside init", cause))? {
        sys::Fork::Child => Ok(()),
        sys::Fork::Parent(child) => {
            // Neither can fail for a reason that would be better than to go on.
            let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
            let _ = sys::close_from_three();
            sys::leave(until_end(child))
        }
    }
}

/// Serves as process 1 until the child has ended; gives its exit code.
fn until_end(child: Pid) -> u8 {
    loop {
        match sys::next_signal() {
            Ok(libc::SIGCHLD) => {
                while let Ok(Some((pid, status))) = waitpid(None, WaitOptions::NOHANG) {
                    if pid == child {
                        return exit_code(status);
                    }
                }
            }
            Ok(signal) if KEPT.contains(&signal) => {}
            Ok(signal) => {
                let _ = sys::kill(child, signal);
            }
            // Interrupted by what can not be held back.
            Err(_) => {}
        }
    }
}
