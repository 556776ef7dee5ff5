//! Folders for the time of a run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use plimsoll_content::{Error, Result};

/// A folder that is gone at the end.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes a folder below another one. Names are in lower case, as some
    /// tools take them for names of images.
    pub(crate) fn new(below: &Path) -> Result<Self> {
        let below = fs::canonicalize(below)
            .map_err(|cause| Error::io("finding", below.display(), cause))?;
        let mut number = std::process::id();
        loop {
            let path = below.join(format!("plimsoll-kit-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(cause) => return Err(Error::io("making", path.display(), cause)),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes a folder, also where an image has closed folders to their owner.
pub(crate) fn remove(path: &Path) {
    if fs::remove_dir_all(path).is_err() {
        open(path);
        let _ = fs::remove_dir_all(path);
    }
}

fn open(path: &Path) {
    if !path.is_symlink() && path.is_dir() {
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            open(&entry.path());
        }
    }
}
