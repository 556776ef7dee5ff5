//! What this machine can do, found out by trying where that is possible.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use plimsoll_content::Result;
use plimsoll_runtime::overlay;
use plimsoll_runtime::rootless::{self, Status};
use plimsoll_store::StagedDir;
use rustix::fs::{
    FileType, Mode, OFlags, ResolveFlags, StatVfs, XattrFlags, fsetxattr, fstatvfs, makedev,
    mknodat, openat, openat2,
};
use rustix::io::Errno;
use serde::Serialize;

/// How much free space is too little for a usual image, in bytes.
const SPACE: u64 = 1 << 30;

/// How few free inodes are too few for a usual image.
const INODES: u64 = 50_000;

/// How it stands.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is missing.
    Ok,
    /// Something works in another way, or not at all.
    Warning,
    /// Hardly anything works.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What it is, in a word.
    pub name: &'static str,
    /// How it stands.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What follows from it.
    pub means: String,
}

/// Looks at the machine, and at the file system that `folder` is on, in which
/// a private folder is made for a moment.
pub fn doctor(folder: &Path) -> Result<Vec<Check>> {
    let probe = StagedDir::beside(&folder.join("doctor"))
        .map_err(|error| error.context("trying what the file system can do"))?;
    let root = rustix::process::geteuid().is_root();
    let mut checks = vec![
        kernel(),
        confined(probe.fd()),
        users(),
        overlays(&probe.path(), root),
        attribute(probe.fd(), "user", "owners that this user can not give to files are lost"),
        temporary(probe.fd()),
        space(probe.fd()),
    ];
    if root {
        let lost = "attributes of that name are left out, and overlays do not work";
        checks.push(attribute(probe.fd(), "trusted", lost));
        checks.push(devices(probe.fd()));
    }
    Ok(checks)
}

fn ok(name: &'static str, found: impl Into<String>, means: impl Into<String>) -> Check {
    Check { name, level: Level::Ok, found: found.into(), means: means.into() }
}

fn warning(name: &'static str, found: impl Into<String>, means: impl Into<String>) -> Check {
    Check { level: Level::Warning, ..ok(name, found, means) }
}

fn kernel() -> Check {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut parts = release.split(|letter: char| !letter.is_ascii_digit());
    let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
    let found = format!("Linux {release}");
    match (number(), number()) {
        version if version >= (6, 5) => ok("kernel", found, "new enough for everything"),
        version if version >= (5, 6) => {
            warning("kernel", found, "run unpacks images each time: overlays need 6.5")
        }
        _ => Check {
            level: Level::Error,
            ..ok("kernel", found, "too old to unpack: that needs 5.6 (openat2)")
        },
    }
}

/// Names in images are resolved by this call; a sandbox may forbid it.
fn confined(folder: BorrowedFd<'_>) -> Check {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match openat2(folder, c".", flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        Ok(_) => ok("openat2", "it works", "names in images stay inside of their root"),
        Err(errno) => Check {
            level: Level::Error,
            ..ok("openat2", errno.to_string(), "images can not be unpacked safely, so they are not")
        },
    }
}

fn users() -> Check {
    let name = "user namespaces";
    match rootless::status() {
        Status::Root => ok(name, "root", "run needs none"),
        Status::Ranges => ok(name, "with ranges of ids", "run gives images all their users"),
        Status::Single(why) => {
            warning(name, format!("with one id: {why}"), "run can not change to other users")
        }
        Status::Unavailable(why) => warning(name, why, "run needs root"),
    }
}

fn overlays(folder: &Path, root: bool) -> Check {
    if !root {
        return ok(
            "overlays",
            "not tried outside of a user namespace",
            "run tries, and unpacks \
             images each time where it can not mount one",
        );
    }
    match overlay::supported(folder) {
        Ok(()) => ok("overlays", "one was mounted", "run stacks cached layers"),
        Err(error) => warning("overlays", error.to_string(), "run unpacks images each time"),
    }
}

fn attribute(folder: BorrowedFd<'_>, kind: &'static str, lost: &str) -> Check {
    let name = if kind == "user" { "user attributes" } else { "trusted attributes" };
    match fsetxattr(folder, format!("{kind}.plimsoll"), b"1", XattrFlags::empty()) {
        Ok(()) => ok(name, "one was set", "extended attributes are kept"),
        Err(errno) => warning(name, errno.to_string(), lost),
    }
}

fn temporary(folder: BorrowedFd<'_>) -> Check {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match openat(folder, c".", flags, Mode::RUSR | Mode::WUSR) {
        Ok(_) => ok("nameless files", "one was made", "export and pack can use this place"),
        Err(errno) => {
            warning("nameless files", errno.to_string(), "export and pack need TMPDIR elsewhere")
        }
    }
}

fn space(folder: BorrowedFd<'_>) -> Check {
    let StatVfs { f_bavail, f_frsize, f_favail, f_files, .. } = match fstatvfs(folder) {
        Ok(found) => found,
        Err(errno) => return warning("space", errno.to_string(), "unknown"),
    };
    let free = f_bavail.saturating_mul(f_frsize);
    // Some file systems count no inodes, and say 0.
    let inodes = if f_files == 0 { u64::MAX } else { f_favail };
    let mut found = format!("{} MB", free / 1_000_000);
    if f_files != 0 {
        found.push_str(&format!(" and {inodes} inodes"));
    }
    if free < SPACE || inodes < INODES {
        return warning("space", found, "a usual image may not fit");
    }
    ok("space", found, "room for images")
}

fn devices(folder: BorrowedFd<'_>) -> Check {
    let made = mknodat(
        folder.as_fd(),
        c"null",
        FileType::CharacterDevice,
        Mode::RUSR | Mode::WUSR,
        makedev(1, 3),
    );
    match made {
        Ok(()) => ok("devices", "one was made", "devices of images are made"),
        Err(errno @ (Errno::PERM | Errno::ACCESS)) => {
            warning("devices", errno.to_string(), "devices of images are left out")
        }
        Err(errno) => warning("devices", errno.to_string(), "images with devices may fail"),
    }
}
