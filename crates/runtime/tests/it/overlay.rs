//! Overlays as folders that are visible nowhere.

#![allow(clippy::print_stderr, reason = "tests say what they skip")]

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use plimsoll_content::Code;
use plimsoll_layer::Root;
use plimsoll_runtime::overlay::{self, LOWERS, Overlay};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, unlinkat};
use rustix::process::geteuid;
use tempfile::TempDir;

/// A folder where overlays can be mounted, if this user may.
fn folder() -> Option<TempDir> {
    let folder = tempfile::tempdir().expect("folder");
    if !geteuid().is_root() {
        eprintln!("SKIP overlays: needs root");
        return None;
    }
    match overlay::supported(folder.path()) {
        Ok(()) => Some(folder),
        Err(error) => {
            eprintln!("SKIP overlays: {error}");
            None
        }
    }
}

fn open(path: &Path) -> OwnedFd {
    fs::create_dir_all(path).expect("made");
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect("opened")
}

#[test]
fn what_is_done_through_the_handle_becomes_a_layer_for_the_next() {
    let Some(folder) = folder() else { return };
    let at = |name: &str| folder.path().join(name);
    let base = open(&at("base"));
    fs::create_dir(at("base/kept")).expect("made");
    for file in ["base/gone", "base/kept/low"] {
        fs::write(at(file), "base").expect("written");
    }
    let (upper, work) = (open(&at("upper")), open(&at("work")));
    let merged = overlay::mount(&Overlay {
        lowers: vec![base.as_fd()],
        upper: Some((upper.as_fd(), work.as_fd())),
        user_attributes: false,
        volatile: false,
    })
    .expect("mounted");
    unlinkat(&merged, "gone", AtFlags::empty()).expect("removed");
    unlinkat(&merged, "kept/low", AtFlags::empty()).expect("removed");
    unlinkat(&merged, "kept", AtFlags::REMOVEDIR).expect("removed");
    mkdirat(&merged, "kept", Mode::from_raw_mode(0o755)).expect("made");
    mkdirat(&merged, "kept/new", Mode::from_raw_mode(0o755)).expect("made");
    drop(merged);
    assert!(at("base/gone").exists() && at("base/kept/low").exists());

    let second = overlay::mount(&Overlay {
        lowers: vec![upper.as_fd(), base.as_fd()],
        upper: None,
        user_attributes: false,
        volatile: false,
    })
    .expect("mounted");
    let second = Root::new(second);
    assert!(second.read_file(b"gone", 10).expect("read").is_none());
    assert!(second.read_file(b"kept/low", 10).expect("read").is_none());
    assert!(second.open_at(b"kept/new", OFlags::PATH, Mode::empty()).is_ok());
    assert!(mkdirat(&second, "x", Mode::from_raw_mode(0o755)).is_err());
    let mounts = fs::read_to_string("/proc/self/mounts").expect("read");
    assert!(!mounts.contains(&folder.path().display().to_string()), "{mounts}");
}

#[test]
fn as_many_layers_as_the_kernel_takes_and_no_more() {
    let Some(folder) = folder() else { return };
    let lowers: Vec<_> =
        (0..=LOWERS).map(|n| open(&folder.path().join(format!("layer{n}")))).collect();
    fs::write(folder.path().join("layer499/deep"), "found").expect("written");
    let with = |count: usize| Overlay {
        lowers: lowers[..count].iter().map(AsFd::as_fd).collect(),
        upper: None,
        user_attributes: false,
        volatile: false,
    };
    let merged = Root::new(overlay::mount(&with(LOWERS)).expect("mounted"));
    assert_eq!(merged.read_file(b"deep", 10).expect("read").as_deref(), Some(&b"found"[..]));
    let error = overlay::mount(&with(LOWERS + 1)).expect_err("too many");
    assert_eq!(error.code(), Code::Limit);
    assert_eq!(error.found_text(), Some("501 layers"));
}
