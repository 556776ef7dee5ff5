//! What images are made of in the tests.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::peer::cache;
use crate::{peer, required, skip};

/// The archive of a real Debian root filesystem. `None` has said `SKIP`.
///
/// # Panics
///
/// If it is missing and `PLIMSOLL_REQUIRE_PEERS=1` says that it must not be.
pub fn debian_tar() -> Option<PathBuf> {
    let path = cache().join("debian.tar");
    if path.is_file() {
        return Some(path);
    }
    assert!(!required(), "{} is missing; interop/setup makes it", path.display());
    skip("a Debian root filesystem");
    None
}

/// Makes a small root filesystem with a shell, two users and some groups at
/// `root`. `None` has said `SKIP`.
///
/// The user `app` is 1000:1000 and also in the groups `extra` and `more`.
pub fn busybox_rootfs(root: &Path) -> Option<()> {
    let busybox = peer("busybox")?;
    let write = |path: &str, text: &str| {
        fs::write(root.join(path), text).expect("a file can be written");
    };
    for folder in ["bin", "etc", "tmp", "root", "proc", "sys", "dev", "home/app", "srv/data"] {
        fs::create_dir_all(root.join(folder)).expect("a folder can be made");
    }
    let shell = root.join("bin/busybox");
    fs::copy(&busybox.path, &shell).expect("busybox can be copied");
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).expect("an own file");
    for applet in ["sh", "cat", "env", "sort", "id", "pwd", "ls", "grep", "sleep", "kill", "echo"] {
        symlink("busybox", root.join("bin").join(applet)).expect("a link can be made");
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("own");
    write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n");
    write(
        "etc/group",
        "root:x:0:\napp:x:1000:\nextra:x:2000:app\nmore:x:2001:other,app\nrootish:x:2002:root\n",
    );
    Some(())
}
