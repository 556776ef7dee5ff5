//! Trees that are changed, and layers that say how.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_content::{Algorithm, Digest, Error, Result};
use plimsoll_layer::apply::Applier;
use plimsoll_layer::codec::{Compression, Format};
use plimsoll_layer::diff::{self, Diff};
use plimsoll_layer::tar::Entries;
use plimsoll_layer::{EntryKind, Limits, Root, pack};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use tempfile::TempDir;

use crate::apply_support::{Tree, look, options};

/// No compression.
pub(crate) fn plain() -> pack::Options<'static> {
    pack::Options { compression: Compression::None, ..pack::Options::default() }
}

/// A tree, and a copy of it as it was.
pub(crate) struct Pair {
    folder: TempDir,
}

impl Pair {
    /// Makes a tree with a script, and a copy that nothing will change.
    pub(crate) fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("new")).expect("made");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path().join("new"), mode).expect("set");
        let pair = Self { folder };
        pair.change(script);
        sh(pair.folder.path(), "cp -a new old");
        pair
    }

    pub(crate) fn old(&self) -> PathBuf {
        self.folder.path().join("old")
    }

    pub(crate) fn new_tree(&self) -> PathBuf {
        self.folder.path().join("new")
    }

    /// Changes the tree.
    pub(crate) fn change(&self, script: &str) {
        sh(&self.new_tree(), script);
    }

    pub(crate) fn diff(&self) -> Result<(Diff, Vec<u8>)> {
        let (old, new) = (Root::open(&self.old())?, Root::open(&self.new_tree())?);
        diff::trees(old.as_fd(), new.as_fd(), Vec::new(), &plain())
    }

    /// The layer, which must make the new tree of the old one.
    pub(crate) fn layer(&self) -> (Diff, Vec<u8>) {
        let (diff, bytes) = self.diff().expect("compared");
        self.check(&bytes);
        (diff, bytes)
    }

    /// A layer must make the new tree of the old one.
    pub(crate) fn check(&self, bytes: &[u8]) {
        let again = self.folder.path().join("again");
        sh(self.folder.path(), "rm -rf again && cp -a old again");
        apply(&again, bytes);
        assert_same(&again, &self.new_tree(), bytes);
    }
}

/// The changes, a line each.
pub(crate) fn changes(diff: &Diff) -> Vec<String> {
    let line = |change: &diff::Change| {
        let letter = match change.kind {
            diff::Changed::Added => 'A',
            diff::Changed::Changed => 'C',
            diff::Changed::Removed => 'D',
        };
        format!("{letter} {}", change.path)
    };
    diff.changes.iter().map(line).collect()
}

/// A handle of a folder.
pub(crate) fn handle(path: &Path) -> Result<OwnedFd> {
    File::open(path).map(OwnedFd::from).map_err(|cause| Error::io("opening", path.display(), cause))
}

/// Two trees look the same; `bytes` is the layer that should have seen to it.
#[track_caller]
pub(crate) fn assert_same(one: &Path, two: &Path, bytes: &[u8]) {
    let (one, two) = (settled(one), settled(two));
    let mut paths: Vec<_> = one.0.keys().chain(two.0.keys()).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        assert_eq!(one.0.get(path), two.0.get(path), "{path:?} after {:?}", list(bytes));
    }
}

/// Sockets are not in layers, and recorded owners are attributes of ours.
fn settled(path: &Path) -> Tree {
    let mut tree = look(path);
    tree.0.retain(|_, facts| facts.kind != "other");
    for facts in tree.0.values_mut() {
        facts.xattrs.retain(|(name, _)| name != b"user.rootlesscontainers");
    }
    tree
}

pub(crate) fn apply(root: &Path, bytes: &[u8]) {
    let root = Root::open(root).expect("opened");
    let mut applier = Applier::new(root.as_fd(), options()).expect("made");
    let diff_id = Digest::of(Algorithm::Sha256, bytes);
    applier.apply(bytes, Format::Tar, &diff_id).expect("applied");
    applier.finish().expect("finished");
}

/// The entries of a layer in its order: folders end in a slash, links tell
/// where they lead.
pub(crate) fn list(bytes: &[u8]) -> Vec<String> {
    let mut entries = Entries::new(bytes, Limits::default());
    let mut found = Vec::new();
    while let Some((entry, _)) = entries.next().expect("a good layer") {
        found.push(match entry.kind {
            EntryKind::Directory => format!("{}/", entry.path).replace("//", "/"),
            EntryKind::Hardlink { target } => format!("{} = {target}", entry.path),
            EntryKind::Symlink { target } => {
                format!("{} -> {}", entry.path, String::from_utf8_lossy(&target))
            }
            _ => entry.path.to_string(),
        });
    }
    found
}

#[track_caller]
pub(crate) fn sh(folder: &Path, script: &str) {
    let script = format!("set -e; umask 022; {script}");
    let done = Command::new("sh").args(["-c", &script]).current_dir(folder).output();
    let done = done.expect("sh starts");
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Sets the time of a file's content, in nanoseconds.
pub(crate) fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("set");
}
