//! Removing what nothing leads to.

use std::collections::HashSet;

use plimsoll_content::{Digest, Result};

use super::Layout;
use super::walk::Walk;

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
    /// Nothing is removed while somebody writes with this software
    /// ([`Layout::writing`]): it waits 10 s for that to end, then errors with
    /// [`Locked`](plimsoll_content::Code::Locked). Tools that know nothing of
    /// the lock must not write meanwhile. Do not call it while holding a
    /// guard.
    pub fn collect(&self) -> Result<Vec<Digest>> {
        let _no_writer = self.removing()?;
        let _no_name = self.lock_index()?;
        let mut removed = self.unreachable()?;
        let mut failed = None;
        removed.retain(|digest| match self.remove_blob(digest) {
            Ok(removed) => removed,
            Err(error) => {
                failed.get_or_insert(error);
                false
            }
        });
        failed.map_or(Ok(removed), Err)
    }
}
