//! This program's own file, out of reach for the container.
//!
//! Until init has become the program of the image, `/proc/self/exe` leads to
//! the file that init itself runs, and an image may name it as its program,
//! as the interpreter of a script or as an ELF loader (CVE-2019-5736). So
//! the monitor runs from a private mount of that file alone, and makes the
//! mount read-only and not executable once it runs: all these ways end in
//! EACCES, whoever follows the link.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use plimsoll_content::{Error, Result};
use rustix::fs::{CWD, MemfdFlags, SealFlags, fcntl_add_seals, fstat, memfd_create};
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use crate::sys;

/// This program's file, as the kernel names it.
const EXE: &str = "/proc/self/exe";

/// A handle from which this program can be started so that [`guard`] works.
pub(super) fn file() -> Result<OwnedFd> {
    mounted()
        .or_else(|_| copied())
        .map_err(|cause| Error::io("opening", "this program's file", cause))
}

/// The path under which a child finds the file that a handle stands for.
pub(super) fn path(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn mounted() -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let file = open_tree(CWD, fs::read_link(EXE)?, flags)?;
    let (found, running) = (fstat(&file)?, fs::metadata(EXE)?);
    if (found.st_dev, found.st_ino) == (running.dev(), running.ino()) {
        Ok(file)
    } else {
        Err(io::Error::other("another file than the running one"))
    }
}

/// A copy in memory, for when the file was replaced since the start (by an
/// update). It can be executed from inside of the container, and not changed.
fn copied() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = File::from(memfd_create("plimsoll", flags)?);
    io::copy(&mut File::open(EXE)?, &mut copy)?;
    fcntl_add_seals(
        &copy,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?;
    Ok(copy.into())
}

/// Closes the ways to the file that this process runs, which `file` is.
pub(super) fn guard(file: BorrowedFd<'_>) -> io::Result<()> {
    // The sealed copy is no mount of its own, and needs no guard.
    if rustix::fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SealFlags::WRITE)) {
        return Ok(());
    }
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_NOSUID;
    sys::set_mount_attributes(file.as_fd(), u64::from(attributes.bits()), false)
}
