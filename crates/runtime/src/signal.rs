//! Waiting for a child while passing on the signals that arrive here.
//!
//! Used at every joint of the chain from the command to the container, so
//! that a signal sent to the first process has its effect in the last.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus, pidfd_open, waitpid};

use crate::sys;

/// Signals that stay with the process that gets them.
///
/// `CHLD`, `URG` and `WINCH` speak of this process's own children, sockets and
/// terminal; `TSTP`, `TTIN`, `TTOU` are the shell's job control; the rest can
/// not be caught, or reports a fault of this process, or a limit it ran into.
const KEPT: &[i32] = &[
    libc::SIGCHLD,
    libc::SIGURG,
    libc::SIGWINCH,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGPIPE,
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGSYS,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGPROF,
    libc::SIGVTALRM,
];

/// Whether the child gets keys of the terminal (Ctrl-C) from the kernel too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Keys {
    /// It does: it is in the same process group.
    Shared,
    /// It does not: it has a session of its own.
    Own,
}

/// Catches the signals that are passed on, from its making to its dropping.
///
/// One at a time in a process.
pub(crate) struct Relay {
    read: OwnedFd,
    // Open as long as a handler may write to it.
    _write: OwnedFd,
    before: Vec<(i32, sys::Disposition)>,
    /// What a change of the terminal's size brings about.
    resized: Option<Box<dyn Fn()>>,
}

impl Relay {
    /// Starts to catch; signals that are ignored stay ignored (`nohup`).
    pub(crate) fn start() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        sys::set_listener(write.as_raw_fd());
        let mut relay = Self { read, _write: write, before: Vec::new(), resized: None };
        // 32 and 33 belong to the C library.
        for number in (1..=31).chain(34..=sys::last_signal()) {
            if KEPT.contains(&number) {
                continue;
            }
            if let Some(before) = sys::listen(number)? {
                relay.before.push((number, before));
            }
        }
        Ok(relay)
    }

    /// From now on runs `resized` whenever the terminal here has another size.
    pub(crate) fn on_resize(&mut self, resized: impl Fn() + 'static) -> io::Result<()> {
        if let Some(before) = sys::listen(libc::SIGWINCH)? {
            self.before.push((libc::SIGWINCH, before));
        }
        self.resized = Some(Box::new(resized));
        Ok(())
    }

    /// Passes on also that the terminal here has another size, for a child that
    /// is to look at it.
    pub(crate) fn with_resize(mut self) -> io::Result<Self> {
        if let Some(before) = sys::listen(libc::SIGWINCH)? {
            self.before.push((libc::SIGWINCH, before));
        }
        Ok(self)
    }

    /// Waits for the end of the child and gives its exit code, or 128+N if
    /// signal N ended it. After each signal that came, `gone` says whether
    /// the child is to be killed instead.
    pub(crate) fn wait(&self, child: Pid, keys: Keys, gone: impl Fn() -> bool) -> io::Result<u8> {
        let pidfd = pidfd_open(child, PidfdFlags::empty())?;
        loop {
            let mut waits = [
                PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.read.as_fd(), PollFlags::IN),
            ];
            match poll(&mut waits, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let ended = waits[0].revents().contains(PollFlags::IN);
            self.pass_on(child, keys);
            if gone() {
                let _ = sys::kill(child, libc::SIGKILL);
            }
            if ended && let Some((_, status)) = waitpid(Some(child), WaitOptions::NOHANG)? {
                return Ok(exit_code(status));
            }
        }
    }

    fn pass_on(&self, child: Pid, keys: Keys) {
        let mut notes = [0u8; 64];
        while let Ok(read) = rustix::io::read(&self.read, &mut notes)
            && read > 0
        {
            for note in notes[..read].chunks_exact(2) {
                if let (libc::SIGWINCH, Some(resized)) = (i32::from(note[0]), &self.resized) {
                    resized();
                    continue;
                }
                if note[1] == 1 && keys == Keys::Shared {
                    continue;
                }
                // The child is not reaped yet, so the number is still its own.
                let _ = sys::kill(child, i32::from(note[0]));
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for (number, before) in &self.before {
            sys::restore(*number, before);
        }
        sys::set_listener(-1);
    }
}

/// The exit code that stands for the end of a process.
pub(crate) fn exit_code(status: WaitStatus) -> u8 {
    if let Some(signal) = status.terminating_signal() {
        return 128u8.saturating_add(signal as u8);
    }
    status.exit_status().map_or(u8::MAX, |code| code as u8)
}
