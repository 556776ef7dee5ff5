//! Small and read-only file systems. Only root can mount them; without the
//! right to, the tests say so and pass.

use std::fs;
use std::path::Path;

use plimsoll_content::{Code, Sink, Tag};
use plimsoll_store::{Layout, StagedDir};
use rustix::mount::{
    MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount as unmount_at,
};

use crate::build::{code, image, ingest, is_root, read, snapshot};

pub(crate) fn mount_tmpfs(at: &Path, options: &str) -> bool {
    let options = std::ffi::CString::new(options).expect("no NUL");
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), Some(&*options)).is_ok()
}

pub(crate) fn mount_read_only(at: &Path) -> bool {
    mount_bind(at, at).is_ok()
        && mount_remount(at, MountFlags::BIND | MountFlags::RDONLY, "").is_ok()
}

pub(crate) fn unmount(at: &Path) {
    unmount_at(at, UnmountFlags::DETACH).expect("unmounted");
}

/// Runs with a file system of that many bytes, if that can be had.
#[expect(clippy::print_stdout, reason = "a test says why it is skipped")]
fn with_space(bytes: u32, run: impl FnOnce(&Path)) {
    if !is_root() {
        println!("skipped: only root can mount");
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    if !mount_tmpfs(folder.path(), &format!("size={bytes}")) {
        println!("skipped: this root can not mount");
        return;
    }
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(folder.path())));
    unmount(folder.path());
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_full_disk_is_told_and_leaves_what_was_there() {
    with_space(256 << 10, |folder| {
        let layout = Layout::create(&folder.join("image")).expect("made");
        let a = image(&layout, "a");
        layout.tag("a", &a).expect("named");
        let before = snapshot(folder);
        assert_eq!(code(ingest(&layout, &vec![7; 1 << 20], None)), Code::Space);
        assert!(snapshot(folder) == before, "something changed");

        // Every step of naming, with less and less space.
        fs::write(folder.join("filler"), vec![0; 1 << 20]).expect_err("full");
        let before = fs::read(folder.join("image/index.json")).expect("read");
        assert_eq!(code(layout.tag("b", &a)), Code::Space);
        assert_eq!(
            code(layout.begin().and_then(|mut ingest| {
                ingest
                    .write_all(b"x")
                    .map_err(|cause| plimsoll_content::Error::io("writing", "blob", cause))
            })),
            Code::Space
        );
        assert_eq!(fs::read(folder.join("image/index.json")).expect("read"), before);
        read(&layout, &a).expect("as before");
        fs::remove_file(folder.join("filler")).expect("removed");
        layout.tag("b", &a).expect("space again");
    });
}

#[test]
fn no_inodes_left_is_a_full_disk_too() {
    with_space(1 << 20, |folder| {
        fs::create_dir(folder.join("few")).expect("made");
        if !mount_tmpfs(&folder.join("few"), "nr_inodes=16") {
            return;
        }
        let few = folder.join("few");
        let layout = Layout::create(&few.join("image")).expect("made");
        let mut number = 0;
        let found = loop {
            match ingest(&layout, format!("{number}").as_bytes(), None) {
                Ok(_) => number += 1,
                Err(error) => break error.code(),
            }
        };
        let staged = StagedDir::beside(&few.join("root"));
        let left = fs::read_dir(few.join("image/.plimsoll/staging")).expect("listed").count();
        unmount(&few);
        assert_eq!(found, Code::Space);
        assert_eq!(code(staged), Code::Space);
        assert_eq!(left, 0);
    });
}
