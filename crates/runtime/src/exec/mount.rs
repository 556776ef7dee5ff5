//! Mounts, by handles only.
//!
//! Every target is found by `openat2` in the root filesystem and every mount
//! is made detached and then moved onto that handle: no path below the
//! untrusted root is ever resolved by the mount calls themselves.
//!
//! What the image brings as device files is of no use: the root and all bind
//! mounts are `nodev`. With `CAP_MKNOD` refused (`check`) that is what other
//! runtimes use the device cgroup for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use plimsoll_content::{Code, Error, Result};
use plimsoll_layer::path::{RelPath, shown};
use plimsoll_layer::root::Root as Tree;
use rustix::fs::{
    CWD, FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, mkdirat, openat, openat2,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use super::device;
use super::options::{NO_DEVICES, NO_EXEC, NO_SETUID, Options, READ_ONLY};
use crate::rootless::Mapping;
use crate::spec::Mount;
use crate::sys;

/// The file systems that may be mounted besides bind mounts.
pub(super) const KINDS: &[&str] = &["proc", "sysfs", "tmpfs", "devpts", "mqueue"];

/// Where device files are made, in normal form.
const DEV: &str = "dev";

/// The mounts of one container while they are made.
pub(super) struct Mounts<'a> {
    root: &'a Tree,
    mapping: &'a Mapping,
    /// The empty tmpfs where device files are made.
    dev: Option<OwnedFd>,
    /// Made read-only at the end, when the mount points in them are made.
    read_only: Vec<OwnedFd>,
    /// The null device of the host.
    null: OwnedFd,
}

impl<'a> Mounts<'a> {
    /// Mounts the root filesystem in this mount namespace, over the folder `path`:
    /// what was handed on as a mount, or else that folder itself.
    pub(super) fn attach_root(path: &Path, tree: Option<OwnedFd>) -> Result<Tree> {
        let folder = open_folder(path)?;
        let tree = match tree {
            Some(tree) => tree,
            None => clone_tree(folder.as_fd(), true)
                .map_err(|cause| Error::io("mounting", path.display(), cause))?,
        };
        sys::set_mount_attributes(tree.as_fd(), u64::from(NO_DEVICES), true)
            .map_err(|cause| Error::io("disabling devices in", path.display(), cause))?;
        attach(tree.as_fd(), folder.as_fd())
            .map_err(|cause| Error::io("mounting", "the root filesystem", cause))?;
        Ok(Tree::new(tree))
    }

    /// Starts with an attached root and no mounts in it.
    pub(super) fn new(root: &'a Tree, mapping: &'a Mapping) -> Result<Self> {
        let null = device::host("null", (1, 3))?;
        Ok(Self { root, mapping, dev: None, read_only: Vec::new(), null })
    }

    /// The tmpfs at `/dev`, if the config has one.
    pub(super) fn dev(&self) -> Option<BorrowedFd<'_>> {
        self.dev.as_ref().map(AsFd::as_fd)
    }

    /// Makes one mount of the config, with its mount point if that is missing.
    pub(super) fn add(&mut self, mount: &Mount) -> Result<()> {
        self.try_add(mount).map_err(|error| {
            error.context(format!("mounting {}", shown(mount.destination.as_bytes())))
        })
    }

    fn try_add(&mut self, mount: &Mount) -> Result<()> {
        let options = Options::parse(mount).map_err(|option| {
            Error::new(Code::Bug, "reading mount options").found(format!("{option:?}"))
        })?;
        let path = RelPath::parse(mount.destination.as_bytes())?;
        let failed =
            |cause: io::Error| Error::io("mounting", shown(mount.destination.as_bytes()), cause);
        if let Some(recursive) = options.bind {
            return self.bind(mount, &options, recursive, &path);
        }
        let kind = mount.kind.as_deref().unwrap_or_default();
        let target = self.folder(&path)?;
        // The paths that are hidden below these two are only the right ones if they are in place.
        if matches!(kind, "proc" | "sysfs") {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let resolve =
                ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
            openat2(self.root, path.as_bytes(), flags, Mode::empty(), resolve).map_err(
                |errno| failed(errno.into()).expected("a mount point without symbolic links"),
            )?;
        }
        // Mount points may have to be made in it, and devices.
        let late = options.attributes & READ_ONLY != 0 && kind == "tmpfs";
        let attributes = if late { options.attributes & !READ_ONLY } else { options.attributes };
        let label = mount.source.as_deref().unwrap_or(kind);
        let tree = self.file_system(kind, label, &options, attributes).map_err(|errno| {
            let error = failed(errno.into());
            if errno == Errno::PERM && kind == "proc" {
                error
                    .expected("a /proc on this machine of which no part is hidden")
                    .fix("in a container: start that one with an unmasked /proc")
            } else {
                error
            }
        })?;
        if kind == "proc" {
            verify(tree.as_fd(), rustix::fs::PROC_SUPER_MAGIC)?;
        }
        attach(tree.as_fd(), target.as_fd()).map_err(failed)?;
        if kind == "tmpfs" && path.as_bytes() == DEV.as_bytes() {
            self.dev = Some(tree.try_clone().map_err(failed)?);
        }
        if late {
            self.read_only.push(tree);
        }
        Ok(())
    }

    /// A new file system, detached. The label is for lists of mounts.
    fn file_system(
        &self,
        kind: &str,
        label: &str,
        options: &Options,
        attributes: u32,
    ) -> rustix::io::Result<OwnedFd> {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&context, "source", label)?;
        for (name, value) in &options.data {
            match value {
                // A group that does not exist in this user namespace can not own anything.
                Some(value) if name == "gid" => {
                    if value.parse().is_ok_and(|gid| self.mapping.has_gid(gid)) {
                        fsconfig_set_string(&context, name, value)?;
                    }
                }
                Some(value) => fsconfig_set_string(&context, name, value)?,
                None => fsconfig_set_flag(&context, name)?,
            }
        }
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::from_bits_retain(attributes);
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    }

    fn bind(
        &mut self,
        mount: &Mount,
        options: &Options,
        recursive: bool,
        path: &RelPath,
    ) -> Result<()> {
        let source = mount.source.as_deref().unwrap_or_default();
        let failed = |cause: io::Error| Error::io("bind mounting", shown(source.as_bytes()), cause);
        // The source is the caller's own path on the host: links in it are followed.
        let source = openat(CWD, source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| failed(errno.into()))?;
        let stat = fstat(&source).map_err(|errno| failed(errno.into()))?;
        let target = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            self.folder(path)?
        } else {
            self.file(path)?
        };
        let tree = clone_tree(source.as_fd(), recursive).map_err(failed)?;
        let devices = if options.devices { 0 } else { NO_DEVICES };
        let attributes = u64::from(options.attributes | devices);
        if attributes != 0 {
            sys::set_mount_attributes(tree.as_fd(), attributes, recursive).map_err(failed)?;
        }
        attach(tree.as_fd(), target.as_fd()).map_err(failed)
    }

    /// The folder at a path, made (0755) where it is missing.
    pub(super) fn make_folder(&self, path: &str) -> Result<()> {
        self.folder(&RelPath::parse(path.as_bytes())?).map(drop)
    }

    fn folder(&self, path: &RelPath) -> Result<OwnedFd> {
        let failed = |cause| Error::io("opening folder", path, cause);
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.root.open_at(path.as_bytes(), flags, Mode::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other.map_err(failed),
        }
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(failed(io::ErrorKind::NotFound.into()));
        };
        let parent = self.folder(&parent)?;
        mkdirat(&parent, name, Mode::from_raw_mode(0o755))
            .map_err(|errno| Error::io("making folder", path, errno.into()))?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&parent, name, flags, Mode::empty()).map_err(|errno| failed(errno.into()))
    }

    /// The file at a path, made (empty, 0644) if it is missing.
    fn file(&self, path: &RelPath) -> Result<OwnedFd> {
        let failed = |cause| Error::io("opening file", path, cause);
        match self.root.open_at(path.as_bytes(), OFlags::PATH, Mode::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other.map_err(failed),
        }
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        };
        let parent = self.folder(&parent)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&parent, name, flags, Mode::from_raw_mode(0o644))
            .map_err(|errno| Error::io("making file", path, errno.into()))
    }

    /// What lies at a path, if anything does.
    fn existing(&self, path: &str) -> Result<Option<OwnedFd>> {
        match self.root.open_at(path.as_bytes(), OFlags::PATH, Mode::empty()) {
            Ok(target) => Ok(Some(target)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(Error::io("opening", shown(path.as_bytes()), error)),
        }
    }

    /// Makes read-only what is at the paths.
    pub(super) fn read_only(&self, paths: &[String]) -> Result<()> {
        for path in paths {
            let Some(target) = self.existing(path)? else { continue };
            let protect = || -> io::Result<()> {
                let tree = clone_tree(target.as_fd(), true)?;
                sys::set_mount_attributes(tree.as_fd(), u64::from(READ_ONLY), true)?;
                attach(tree.as_fd(), target.as_fd())
            };
            protect().map_err(|cause| {
                Error::io("protecting", shown(path.as_bytes()), cause).expected("a read-only mount")
            })?;
        }
        Ok(())
    }

    /// Hides what is at the paths: files behind the null device, folders
    /// behind an empty one.
    pub(super) fn mask(&self, paths: &[String]) -> Result<()> {
        let attributes = READ_ONLY | NO_SETUID | NO_EXEC;
        for path in paths {
            let Some(target) = self.existing(path)? else { continue };
            let hide = || -> io::Result<()> {
                let stat = fstat(&target)?;
                let tree = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    let empty = Options::default();
                    self.file_system("tmpfs", "tmpfs", &empty, attributes | NO_DEVICES)?
                } else {
                    let tree = clone_tree(self.null.as_fd(), false)?;
                    sys::set_mount_attributes(tree.as_fd(), u64::from(attributes), false)?;
                    tree
                };
                attach(tree.as_fd(), target.as_fd())
            };
            hide().map_err(|cause| Error::io("hiding", shown(path.as_bytes()), cause))?;
        }
        Ok(())
    }

    /// Makes read-only what was waiting for its mount points, and the root if
    /// it is asked for.
    pub(super) fn finish(self, read_only_root: bool) -> Result<()> {
        let root = read_only_root.then(|| self.root.as_fd());
        for mount in self.read_only.iter().map(AsFd::as_fd).chain(root) {
            sys::set_mount_attributes(mount, u64::from(READ_ONLY), false)
                .map_err(|cause| Error::io("making read-only", "a mount", cause))?;
        }
        Ok(())
    }
}

/// Opens a folder of the host; links in its path are followed.
fn open_folder(path: &Path) -> Result<OwnedFd> {
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::io("opening folder", path.display(), errno.into()))
}

/// A detached copy of the mount at a handle, from there down.
pub(super) fn clone_tree(from: BorrowedFd<'_>, recursive: bool) -> io::Result<OwnedFd> {
    let depth = if recursive { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | depth;
    Ok(open_tree(from, "", flags)?)
}

/// Moves a detached mount onto what a handle names.
pub(crate) fn attach(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(tree, "", target, "", flags)?)
}

fn verify(mount: BorrowedFd<'_>, magic: rustix::fs::FsWord) -> Result<()> {
    let found = fstatfs(mount).map_err(|errno| Error::io("checking", "/proc", errno.into()))?;
    if found.f_type == magic {
        return Ok(());
    }
    Err(Error::new(Code::Runtime, "checking the mount at /proc")
        .found(format!("file system {:#x}", found.f_type))
        .expected("the process file system"))
}
