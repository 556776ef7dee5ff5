//! Mounting a file system that is one file, read-only, where people can see it,
//! and unmounting it again.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{AtFlags, CWD, FsWord, Mode, OFlags, StatxFlags, fstatfs, openat, statx};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, unmount as unmount_path,
};

use crate::exec::attach;

/// The file system of images (`linux/magic.h`).
const EROFS_MAGIC: FsWord = 0xe0f5_e1e2;

/// Whether something is mounted at the very path (`STATX_ATTR_MOUNT_ROOT`).
const MOUNT_ROOT: u64 = 0x2000;

/// Mounts the EROFS image in the file `image` at the folder `directory`,
/// read-only, without devices and without setuid programs.
///
/// # Errors
///
/// [`Code::Permission`] without the privilege to mount, [`Code::Runtime`] for
/// a kernel that does not mount such files by themselves.
pub fn mount(image: &Path, directory: &Path) -> Result<()> {
    let target = folder(directory)?;
    let failed = |errno| explained(errno, format!("mounting an image at {}", directory.display()));
    let make = || -> Result<OwnedFd, Errno> {
        let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&context, "source", image)?;
        fsconfig_set_flag(&context, "ro")?;
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOSUID;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    let tree = make().map_err(failed)?;
    attach(tree.as_fd(), target.as_fd())
        .map_err(|cause| Error::io("mounting an image at", directory.display(), cause))
}

/// Whether images can be mounted by this user on this machine at all, as far as
/// can be told without one; the error says why not.
pub fn possible() -> Result<()> {
    fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)
        .map(drop)
        .map_err(|errno| explained(errno, "mounting an image".to_owned()))
}

fn explained(errno: Errno, doing: String) -> Error {
    match errno {
        Errno::PERM | Errno::ACCESS => Error::new(Code::Permission, doing)
            .found(io::Error::from(errno))
            .expected("the privilege to mount: root, outside of user namespaces")
            .fix("plimsoll unpack REF DIR   needs none"),
        Errno::NODEV | Errno::NOTBLK | Errno::INVAL | Errno::NXIO => {
            Error::new(Code::Runtime, doing)
                .found(io::Error::from(errno))
                .expected("a kernel that mounts EROFS images from files: Linux 6.12 or newer")
                .fix("plimsoll unpack REF DIR   needs none")
        }
        errno => Error::new(Code::Io, doing).found(io::Error::from(errno)),
    }
}

/// Takes away what [`mount`] put at `directory`, and nothing else.
///
/// # Errors
///
/// [`Code::NotFound`] if no image is mounted there, [`Code::Locked`] while a
/// process uses it.
pub fn unmount(directory: &Path) -> Result<()> {
    let there = folder(directory)?;
    let failed =
        |errno: Errno| Error::io("unmounting the image at", directory.display(), errno.into());
    let found = fstatfs(&there).map_err(failed)?;
    let root = statx(&there, "", AtFlags::EMPTY_PATH, StatxFlags::empty()).map_err(failed)?;
    let is_root = root.stx_attributes.bits() & MOUNT_ROOT != 0;
    // The word is signed on some machines and longer on others.
    if found.f_type as u32 != EROFS_MAGIC as u32 || !is_root {
        return Err(Error::new(
            Code::NotFound,
            format!("unmounting the image at {}", directory.display()),
        )
        .found("no image that is mounted there")
        .expected("a folder that was given to plimsoll mount"));
    }
    drop(there);
    unmount_path(directory, UnmountFlags::NOFOLLOW).map_err(|errno| match errno {
        Errno::BUSY => {
            Error::new(Code::Locked, format!("unmounting the image at {}", directory.display()))
                .found("a process that uses it")
                .fix(format!("fuser -vm {}   tells which", directory.display()))
        }
        errno => failed(errno),
    })
}

fn folder(path: &Path) -> Result<OwnedFd> {
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::io("opening folder", path.display(), errno.into()))
}
