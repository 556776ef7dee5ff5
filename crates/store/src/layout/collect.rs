//! Removing what nothing leads to.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use plimsoll_content::{Digest, Error, Result};

use super::blobs::Removed;
use super::walk::Walk;
use super::{BLOBS, Layout, OWN, STAGING};
use crate::folder::Folder;
use crate::temporary;

/// How much longer than a blob an upload that has not grown is kept, in
/// seconds: whoever began it may go on after a night.
const UPLOADS_REST: i64 = 24 * 3600;

impl Layout {
    /// The blobs that no entry of the layout leads to.
    ///
    /// What stands as a digest in a JSON document of an unknown kind counts
    /// as needed. Errors if a document on the way is broken, for then nobody
    /// can tell what it needs. While others write, their blobs are among the
    /// answer until they are named; only [`Layout::collect`] excludes them.
    pub fn unreachable(&self) -> Result<Vec<Digest>> {
        let mut walk = Walk::default();
        for entry in self.entries()? {
            walk.from(self, &entry.descriptor).map_err(|error| {
                error.context(format!(
                    "finding what layout {} needs: entry @{}",
                    self.path.display(),
                    entry.position
                ))
            })?;
        }
        let mut needed: HashSet<Digest> = walk.mentioned;
        for descriptor in walk.reachable.present.iter().chain(&walk.reachable.missing) {
            needed.insert(descriptor.digest.clone());
        }
        let mut blobs = self.inventory()?.blobs;
        blobs.retain(|digest| !needed.contains(digest));
        Ok(blobs)
    }

    /// Removes the blobs that no entry leads to, and gives their digests.
    ///
    /// It is [`Layout::collect_with`] as it stands without options.
    pub fn collect(&self) -> Result<Vec<Digest>> {
        let collected = self.collect_with(&Collect::default())?;
        Ok(collected.blobs.into_iter().map(|blob| blob.digest).collect())
    }

    /// Removes the blobs that no entry leads to, and what killed processes
    /// left.
    ///
    /// Nothing is removed while somebody writes with this software
    /// ([`Layout::writing`]): it waits 10 s for that to end, then errors with
    /// [`Locked`](plimsoll_content::Code::Locked). Tools that know nothing of
    /// the lock must not write meanwhile, or [`Collect::before`] must give
    /// them time. Do not call it while holding a guard.
    pub fn collect_with(&self, options: &Collect) -> Result<Collected> {
        let _no_writer = self.removing()?;
        self.collect_alone(options)
    }

    /// The same for who has the right to remove already.
    pub(crate) fn collect_alone(&self, options: &Collect) -> Result<Collected> {
        let _no_name = self.lock_index()?;
        let mut digests = self.unreachable()?;
        if let Some(before) = options.before {
            let mut failed = None;
            digests.retain(|digest| match self.written(digest) {
                Ok(written) => written.is_none_or(|written| written < before),
                Err(error) => {
                    failed.get_or_insert(error);
                    false
                }
            });
            failed.map_or(Ok(()), Err)?;
        }
        let mut leftovers = self.leftovers(!options.dry_run)?;
        if let Some(before) = options.before.filter(|_| !options.dry_run) {
            let old = self.expire_uploads(before.saturating_sub(UPLOADS_REST))?;
            leftovers.extend(old.iter().map(|name| Path::new(OWN).join("uploads").join(name)));
        }
        let blobs = self.remove_blobs(&digests, options.dry_run)?;
        Ok(Collected { blobs, leftovers })
    }

    /// What killed processes of this software left in the layout and beside
    /// it, and nobody works on: relative to the layout.
    pub fn leftovers(&self, remove: bool) -> Result<Vec<PathBuf>> {
        let staging = format!("{OWN}/{STAGING}");
        let mut folders: Vec<PathBuf> =
            ["", OWN, &staging, BLOBS].iter().map(PathBuf::from).collect();
        if let Ok(blobs) = self.root.folder(BLOBS) {
            let names = blobs
                .names()
                .map_err(|cause| Error::io("listing", self.path.join(BLOBS).display(), cause))?;
            folders.extend(
                names.iter().map(|name| Path::new(BLOBS).join(OsStr::from_bytes(name.to_bytes()))),
            );
        }
        let mut found = Vec::new();
        for place in folders {
            let opened = if place.as_os_str().is_empty() {
                self.root.folder(".")
            } else {
                self.root.folder(&place)
            };
            // What is no folder, or not there, holds nothing.
            let Ok(folder) = opened else { continue };
            found.extend(in_folder(&folder, &place, remove)?);
        }
        // What was on its way to become a layout here.
        if self.path.file_name().is_some() {
            let around = self.path.parent().unwrap_or(Path::new(""));
            if let Ok(folder) = Folder::open(around, false) {
                found.extend(in_folder(&folder, Path::new(".."), remove)?);
            }
        }
        Ok(found)
    }
}

/// What is to be removed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Collect {
    /// Only say what would be removed.
    pub dry_run: bool,
    /// Keep blobs whose files were written at this time or later (seconds
    /// since 1970): tools that know nothing of the locks write the blobs of
    /// an image before its name. Uploads that have not grown for a day more
    /// than that go too.
    pub before: Option<i64>,
}

/// What was removed, or would be.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// Blobs that no entry led to.
    pub blobs: Vec<Removed>,
    /// What killed processes left, relative to the layout.
    pub leftovers: Vec<PathBuf>,
}

pub(crate) fn in_folder(folder: &Folder, place: &Path, remove: bool) -> Result<Vec<PathBuf>> {
    let names = temporary::leftovers(folder.as_fd(), remove, true)
        .map_err(|cause| Error::io("removing leftovers in", place.display(), cause))?;
    Ok(names.iter().map(|name| place.join(OsStr::from_bytes(name.to_bytes()))).collect())
}
