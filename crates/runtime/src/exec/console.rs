//! The terminal of the container, inside: made in its own `devpts`, shown at
//! `/dev/console`, and sent to the caller, who holds the other end.
//!
//! Everything is done by handles of file systems that were just mounted here;
//! nothing that the image brought takes part (CVE-2025-52565).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use plimsoll_content::{Code, Error, Result};
use plimsoll_layer::root::Root as Tree;
use rustix::fs::{FsWord, Mode, OFlags, Uid, fchown, fstatfs, openat};
use rustix::io::Errno;
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::mount::{Mounts, attach, clone_tree};
use crate::spec::ProcessUser;
use crate::sys;

/// The file system of terminals (`linux/magic.h`).
const DEVPTS_MAGIC: FsWord = 0x1cd1;

/// The container's side of its terminal.
pub(super) struct Console(OwnedFd);

impl Console {
    /// Makes the terminal and sends the caller's side of it.
    pub(super) fn open(root: &Tree, mounts: &Mounts<'_>, way: &OwnedFd) -> Result<Self> {
        let failed = |cause: io::Error| Error::io("making", "the terminal of the container", cause);
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let master = root.open_at(b"/dev/pts/ptmx", flags, Mode::empty()).map_err(failed)?;
        let found = fstatfs(&master).map_err(|errno| failed(errno.into()))?;
        if found.f_type != DEVPTS_MAGIC {
            return Err(Error::new(Code::Runtime, "making the terminal of the container")
                .found("something else than a devpts at /dev/pts"));
        }
        let make = || -> io::Result<OwnedFd> {
            unlockpt(&master)?;
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            let slave = ioctl_tiocgptpeer(&master, flags)?;
            if let Some(dev) = mounts.dev() {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let target = openat(dev, "console", flags, Mode::from_raw_mode(0o600))?;
                attach(clone_tree(slave.as_fd(), false)?.as_fd(), target.as_fd())?;
            }
            sys::send_descriptor(way.as_fd(), master.as_fd())?;
            Ok(slave)
        };
        make().map(Self).map_err(failed)
    }

    /// Makes the terminal the user's, as programs that open it by name need it.
    pub(super) fn give_to(&self, user: &ProcessUser) -> Result<()> {
        fchown(&self.0, Some(Uid::from_raw(user.uid)), None)
            .map_err(|errno| Error::io("giving away", "the terminal", errno.into()))
    }

    /// Makes it the terminal of this process, in a session of its own, and its
    /// standard input, output and error.
    pub(super) fn enter(self) -> Result<()> {
        let enter = || -> Result<(), Errno> {
            setsid()?;
            ioctl_tiocsctty(&self.0)?;
            dup2_stdin(&self.0)?;
            dup2_stdout(&self.0)?;
            dup2_stderr(&self.0)
        };
        enter().map_err(|errno| Error::io("entering", "the terminal", errno.into()))
    }
}
