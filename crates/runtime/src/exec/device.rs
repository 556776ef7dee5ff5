//! Device files and links in the container's `/dev`.
//!
//! They are made through the handle of the empty tmpfs that was mounted
//! there, so whatever the image has at `/dev` takes no part.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use plimsoll_content::{Code, Error, Result};
use plimsoll_layer::path::{RelPath, shown};
use rustix::fs::{
    AtFlags, CWD, Dev, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, major, makedev, minor,
    mkdirat, mknodat, openat, symlinkat,
};
use rustix::io::Errno;

use super::mount::{Mounts, attach, clone_tree};
use crate::rootless::Mapping;
use crate::spec::{Device, DeviceKind};

/// The devices of every container: runtime spec, "Default Devices".
const DEFAULT: &[(&str, (u32, u32))] = &[
    ("null", (1, 3)),
    ("zero", (1, 5)),
    ("full", (1, 7)),
    ("random", (1, 8)),
    ("urandom", (1, 9)),
    ("tty", (5, 0)),
];

/// The links of every container.
const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// A handle of a character device of the host, checked to be the right one
/// (CVE-2025-31133).
pub(super) fn host(name: &str, number: (u32, u32)) -> Result<OwnedFd> {
    open_host(format!("/dev/{name}").as_bytes(), FileType::CharacterDevice, number)
}

fn open_host(path: &[u8], kind: FileType, number: (u32, u32)) -> Result<OwnedFd> {
    let failed = |errno: Errno| Error::io("opening device", shown(path), errno.into());
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let device = openat(CWD, path, flags, Mode::empty()).map_err(failed)?;
    let stat = fstat(&device).map_err(failed)?;
    let found = (major(stat.st_rdev), minor(stat.st_rdev));
    if FileType::from_raw_mode(stat.st_mode) != kind || found != number {
        return Err(Error::new(
            Code::Runtime,
            format!("opening device {} of the host", shown(path)),
        )
        .found(format!("type {:o}, {}:{}", stat.st_mode >> 12, found.0, found.1))
        .expected(format!("device {}:{}", number.0, number.1)));
    }
    Ok(device)
}

/// Makes the default devices, those of the config, and the links.
pub(super) fn fill(mounts: &Mounts<'_>, devices: &[Device], mapping: &Mapping) -> Result<()> {
    let Some(dev) = mounts.dev() else {
        return Err(Error::new(Code::Bug, "making devices").found("no tmpfs at /dev"));
    };
    for (name, number) in DEFAULT {
        let node = Node {
            path: RelPath::parse(name.as_bytes())?,
            kind: FileType::CharacterDevice,
            number: *number,
            mode: 0o666,
            owner: (0, 0),
        };
        node.make(dev, mapping)?;
    }
    for device in devices {
        Node::of(device)?.make(dev, mapping)?;
    }
    for (name, target) in LINKS {
        match symlinkat(*target, dev, *name) {
            // A mount of the config is there already.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::io("making link /dev/", name, errno.into())),
        }
    }
    Ok(())
}

/// The path of a device below `/dev`; none if it lies elsewhere.
pub(super) fn below_dev(device: &Device) -> Option<RelPath> {
    let path = RelPath::parse(device.path.strip_prefix("/dev/")?.as_bytes()).ok()?;
    (!path.is_root()).then_some(path)
}

struct Node {
    path: RelPath,
    kind: FileType,
    number: (u32, u32),
    mode: u32,
    owner: (u32, u32),
}

impl Node {
    fn of(device: &Device) -> Result<Self> {
        let bad = |expected: &str| {
            Error::new(Code::Runtime, format!("making device {}", shown(device.path.as_bytes())))
                .expected(expected)
        };
        let part = |number: Option<i64>| {
            u32::try_from(number.unwrap_or_default()).map_err(|_| bad("a device number"))
        };
        Ok(Self {
            path: below_dev(device).ok_or_else(|| bad("a path below /dev"))?,
            kind: match device.kind {
                DeviceKind::Char | DeviceKind::Unbuffered => FileType::CharacterDevice,
                DeviceKind::Block => FileType::BlockDevice,
                DeviceKind::Fifo => FileType::Fifo,
            },
            number: (part(device.major)?, part(device.minor)?),
            mode: device.file_mode.unwrap_or(0o666) & 0o7777,
            owner: (device.uid.unwrap_or(0), device.gid.unwrap_or(0)),
        })
    }

    fn make(&self, dev: BorrowedFd<'_>, mapping: &Mapping) -> Result<()> {
        self.try_make(dev, mapping)
            .map_err(|error| error.context(format!("making /dev/{}", self.path)))
    }

    fn try_make(&self, dev: BorrowedFd<'_>, mapping: &Mapping) -> Result<()> {
        let failed = |errno: Errno| Error::io("making device", &self.path, errno.into());
        let (folder, name) = self.folder(dev)?;
        let folder = folder.as_ref().map_or(dev, AsFd::as_fd);
        let number: Dev = makedev(self.number.0, self.number.1);
        let made = if mapping.is_initial() || self.kind == FileType::Fifo {
            mknodat(folder, name, self.kind, Mode::from_raw_mode(self.mode), number)
        } else {
            Err(Errno::PERM)
        };
        match made {
            Ok(()) => {
                let (uid, gid) = (Uid::from_raw(self.owner.0), Gid::from_raw(self.owner.1));
                chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(failed)
            }
            // A mount of the config is there already.
            Err(Errno::EXIST) => Ok(()),
            Err(Errno::PERM) => self.bind(folder, name),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Shows the host's device, where none can be made.
    fn bind(&self, folder: BorrowedFd<'_>, name: &std::ffi::OsStr) -> Result<()> {
        let mut path = b"/dev/".to_vec();
        path.extend_from_slice(self.path.as_bytes());
        let source = open_host(&path, self.kind, self.number)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mount = || -> io::Result<()> {
            let target = openat(folder, name, flags, Mode::from_raw_mode(0o644))?;
            attach(clone_tree(source.as_fd(), false)?.as_fd(), target.as_fd())
        };
        mount().map_err(|cause| Error::io("bind mounting", shown(&path), cause))
    }

    /// The folder that the device lies in, made where it is missing, and its
    /// name there.
    fn folder(&self, dev: BorrowedFd<'_>) -> Result<(Option<OwnedFd>, &std::ffi::OsStr)> {
        let failed = |errno: Errno| Error::io("making folder of", &self.path, errno.into());
        let mut components: Vec<_> = self.path.components().collect();
        let Some(name) = components.pop() else {
            return Err(failed(Errno::INVAL));
        };
        let mut folder = None;
        for component in components {
            let parent = folder.as_ref().map_or(dev, AsFd::as_fd);
            match mkdirat(parent, component, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed(errno)),
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            folder = Some(openat(parent, component, flags, Mode::empty()).map_err(failed)?);
        }
        Ok((folder, name))
    }
}
