//! Overlay file systems, mounted detached from the tree of mounts.
//!
//! The handle that [`mount`] gives is the root of the merged tree; it can be
//! used as a folder at once, without being visible anywhere, and the mount
//! ends with the last handle. `exec` attaches one as a container's root.
//!
//! Needs Linux 6.5 (`lowerdir+`). What does not live here: deciding what the
//! layers are, and unpacking them.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use crate::rootless::Mapping;

/// The most lower folders that the kernel takes (`OVL_MAX_STACK`).
pub const LOWERS: usize = 500;

/// What an overlay is made of.
#[derive(Clone, Debug)]
pub struct Overlay<'a> {
    /// The read-only folders, topmost first; 1 to [`LOWERS`], with only one
    /// `upper` is needed.
    pub lowers: Vec<BorrowedFd<'a>>,
    /// What is written goes to the first folder; the second is an empty one
    /// on the same file system. None makes a read-only overlay.
    pub upper: Option<(BorrowedFd<'a>, BorrowedFd<'a>)>,
    /// Keeps the overlay's own attributes under `user.` instead of
    /// `trusted.`, as it must be in a user namespace. All folders must have
    /// been written in the same way.
    pub user_attributes: bool,
    /// Never syncs `upper` to disk, and refuses to use `work` again: for
    /// what is thrown away.
    pub volatile: bool,
}

/// Mounts an overlay, with device files disabled.
///
/// Renames, metadata copies and the index are off: they write into `upper`
/// what no layer can express (files of zeros, missing names of hard links).
pub fn mount(overlay: &Overlay<'_>) -> Result<OwnedFd> {
    let layers = overlay.lowers.len();
    if layers > LOWERS {
        return Err(Error::new(Code::Limit, "mounting an overlay")
            .found(format!("{layers} layers"))
            .expected(format!("at most {LOWERS}: the kernel takes no more"))
            .fix("squash layers, or unpack the image instead"));
    }
    let failed = |doing: &'static str| {
        move |errno: Errno| Error::io(doing, "an overlay", errno.into()).recode(Code::Runtime)
    };
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed("preparing"))?;
    // Kernels may have other defaults, and distributions do.
    for (name, value) in [("index", "off"), ("metacopy", "off"), ("redirect_dir", "nofollow")] {
        fsconfig_set_string(&context, name, value).map_err(failed("setting options of"))?;
    }
    if overlay.user_attributes {
        fsconfig_set_flag(&context, "userxattr").map_err(failed("setting options of"))?;
    }
    if overlay.volatile && overlay.upper.is_some() {
        fsconfig_set_flag(&context, "volatile").map_err(failed("setting options of"))?;
    }
    for lower in &overlay.lowers {
        set_folder(&context, "lowerdir+", *lower)
            .map_err(|errno| failed("adding a layer to")(errno).expected("Linux 6.5 or newer"))?;
    }
    if let Some((upper, work)) = overlay.upper {
        set_folder(&context, "upperdir", upper).map_err(failed("setting the upper folder of"))?;
        set_folder(&context, "workdir", work).map_err(failed("setting the work folder of"))?;
    }
    fsconfig_create(&context).map_err(|errno| {
        let error = failed("mounting")(errno);
        match said(&context) {
            Some(text) => error.expected(format!("what the kernel wants: {text}")),
            None => error,
        }
    })?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NODEV)
        .map_err(failed("mounting"))
}

/// Sets an option to a folder. Handles are taken since Linux 6.13; before,
/// the way to the same folder is through this process's own descriptors.
fn set_folder(context: &OwnedFd, name: &str, folder: BorrowedFd<'_>) -> rustix::io::Result<()> {
    match fsconfig_set_fd(context, name, folder) {
        Err(Errno::INVAL | Errno::OPNOTSUPP) => {
            let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
            fsconfig_set_string(context, name, path)
        }
        other => other,
    }
}

/// The last line of what the kernel has to say about a context.
fn said(context: &OwnedFd) -> Option<String> {
    let mut line = [0; 512];
    let mut last = None;
    // Bounded, because the kernel could have more to say than is of use.
    for _ in 0..16 {
        match rustix::io::read(context, &mut line) {
            Ok(read) if read > 0 => {
                last = Some(String::from_utf8_lossy(&line[..read]).trim().to_owned());
            }
            _ => break,
        }
    }
    last
}

/// Whether overlays can be mounted over folders of the file system that
/// `folder` is on, by trying; the error says why not.
///
/// Makes a folder in `folder` and removes it again.
pub fn supported(folder: &Path) -> Result<()> {
    let name = CString::new(format!(".overlay-probe-{}", std::process::id()))
        .map_err(|_| Error::new(Code::Bug, "naming a folder"))?;
    let probe = folder.join(name.to_string_lossy().as_ref());
    fs::create_dir(&probe).map_err(|cause| Error::io("making folder", probe.display(), cause))?;
    let tried = try_mount(&probe);
    let removed = fs::remove_dir_all(&probe)
        .map_err(|cause| Error::io("removing folder", probe.display(), cause));
    tried.and(removed).map_err(|error| {
        error.context(format!("checking for overlay support in {}", folder.display()))
    })
}

fn try_mount(probe: &Path) -> Result<()> {
    let mapping = Mapping::current()?;
    let mut folders = Vec::new();
    for name in ["lower", "upper", "work"] {
        let path = probe.join(name);
        let open = || -> io::Result<OwnedFd> {
            fs::create_dir(&path)?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(openat(CWD, &path, flags, Mode::empty())?)
        };
        folders.push(open().map_err(|cause| Error::io("making folder", path.display(), cause))?);
    }
    let [lower, upper, work] = &folders[..] else {
        return Err(Error::new(Code::Bug, "counting to three"));
    };
    mount(&Overlay {
        lowers: vec![lower.as_fd()],
        upper: Some((upper.as_fd(), work.as_fd())),
        user_attributes: !mapping.is_initial(),
        volatile: true,
    })
    .map(drop)
}
