//! One layout that is served, and who may do what in it at the same time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use plimsoll_content::{Code, Delete, Descriptor, Digest, Result, Sink};
use plimsoll_registry::protocol::{Repository, Tag};
use plimsoll_store::{Collect, Layout, Listing, Writing};

use super::naming::Naming;
use super::view::View;
use crate::storage::{NewManifest, Put, Removal, Sweep, Swept};

/// One layout that is served.
pub(super) struct Room {
    pub(super) layout: Arc<Layout>,
    pub(super) naming: Naming,
    view: RwLock<View>,
    /// Shared by those who store and rely on what is stored; alone for who
    /// removes.
    gate: RwLock<()>,
    lease: Mutex<Lease>,
    /// New listings that wait for their turn, and whose turn it is.
    waiting: Mutex<Vec<Arc<Ticket>>>,
    turn: Mutex<()>,
}

/// The guard that keeps other processes from removing blobs while a push is
/// under way: from its first request until nothing has come for a while.
#[derive(Default)]
struct Lease {
    guard: Option<Writing>,
    used: i64,
}

struct Ticket {
    listing: Listing,
    done: AtomicBool,
}

impl Room {
    pub(super) fn new(layout: Layout, naming: Naming) -> Self {
        Self {
            layout: Arc::new(layout),
            naming,
            view: RwLock::new(View::empty()),
            gate: RwLock::default(),
            lease: Mutex::default(),
            waiting: Mutex::default(),
            turn: Mutex::default(),
        }
    }

    /// What the layout serves now. Whoever holds it looks something up in it,
    /// and no more: others may wait to change it.
    pub(super) fn view(&self) -> Result<RwLockReadGuard<'_, View>> {
        let mut looked = false;
        loop {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            // One that somebody else found newer still is good, too.
            let good = looked && view.stamp.is_some();
            if good || view.stamp == Some(self.layout.stamp()?) {
                return Ok(view);
            }
            drop(view);
            let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
            // Somebody else may have been quicker.
            if view.stamp != Some(self.layout.stamp()?) {
                view.look(&self.layout, &self.naming)?;
            }
            looked = true;
        }
    }

    /// Does something that relies on what is stored. Nobody removes anything
    /// meanwhile, nor, in other processes, for a while after it.
    pub(super) fn store<T>(&self, now: i64, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        let mut lease = lock(&self.lease);
        if lease.guard.is_none() {
            lease.guard = Some(self.layout.writing()?);
        }
        lease.used = now;
        drop(lease);
        work()
    }

    /// Does something that removes blobs, alone.
    fn remove<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        // It would wait for our own guard.
        lock(&self.lease).guard = None;
        work()
    }

    /// Lets go of the guard if nobody has stored anything since `before`.
    pub(super) fn rest(&self, before: i64) {
        let mut lease = lock(&self.lease);
        if lease.used < before {
            lease.guard = None;
        }
    }

    /// Whether nothing is going on here that must not be forgotten.
    pub(super) fn is_idle(&self) -> bool {
        lock(&self.lease).guard.is_none()
    }

    pub(super) fn put(&self, name: &Repository, manifest: &NewManifest) -> Result<Put> {
        for needed in &manifest.needs {
            if !self.layout.has(needed)? {
                return Ok(Put::Missing(needed.digest.clone()));
            }
        }
        (&*self.layout as &dyn Sink).write(&manifest.descriptor, &manifest.bytes)?;
        // One that was there is as new as any other.
        self.keep(&manifest.descriptor.digest)?;
        let names = manifest.tags.iter().map(|tag| self.naming.written(name, tag)).collect();
        self.enlist(Listing { target: manifest.descriptor.clone(), names })?;
        Ok(Put::Stored)
    }

    /// Lists a document. Those who come at once go into one change of the
    /// list, which has to be written as a whole each time.
    fn enlist(&self, listing: Listing) -> Result<()> {
        let own = Arc::new(Ticket { listing, done: AtomicBool::new(false) });
        lock(&self.waiting).push(Arc::clone(&own));
        let _turn = lock(&self.turn);
        if own.done.load(Ordering::Acquire) {
            return Ok(());
        }
        let batch = std::mem::take(&mut *lock(&self.waiting));
        let all: Vec<_> = batch.iter().map(|ticket| ticket.listing.clone()).collect();
        if batch.len() > 1 && self.layout.list(&all).is_ok() {
            for ticket in batch {
                ticket.done.store(true, Ordering::Release);
            }
            return Ok(());
        }
        // Of several, one can not be listed: each finds out for itself.
        self.layout.list(std::slice::from_ref(&own.listing))
    }

    pub(super) fn remove_tag(&self, name: &Repository, tag: &Tag) -> Result<bool> {
        let _turn = lock(&self.turn);
        Ok(self.layout.unname(&self.naming.spellings(name, tag))? > 0)
    }

    pub(super) fn remove_manifest(&self, name: &Repository, digest: &Digest) -> Result<Removal> {
        if self.view()?.document(digest).is_none() {
            return Ok(Removal::Unknown);
        }
        self.remove(|| {
            let turn = lock(&self.turn);
            self.layout.unlist(digest, &|other| !self.naming.is_of(other, name))?;
            drop(turn);
            // Another repository of the same layout may go on with it.
            if self.layout.lines()?.iter().any(|line| line.digest() == digest) {
                return Ok(Removal::Done);
            }
            // An index may still lead to it: it must not be found there.
            self.layout.delete(digest)?;
            // No change of the list, so the next look must be a new one.
            self.view.write().unwrap_or_else(PoisonError::into_inner).forget(digest);
            Ok(Removal::Done)
        })
    }

    pub(super) fn remove_blob(&self, digest: &Digest) -> Result<Removal> {
        if self.view()?.document(digest).is_some() {
            return Ok(Removal::Refused);
        }
        let removed = self.remove(|| self.layout.delete(digest))?;
        Ok(if removed { Removal::Done } else { Removal::Unknown })
    }

    /// The length of a blob that is there, which from now on counts as new.
    pub(super) fn keep(&self, digest: &Digest) -> Result<Option<u64>> {
        let Some((_, size)) = self.layout.blob_file(digest)? else { return Ok(None) };
        match self.layout.touch(digest) {
            Ok(true) => Ok(Some(size)),
            Ok(false) => Ok(None),
            // Of another owner: its age is what it is.
            Err(error) if error.code() == Code::Permission => Ok(Some(size)),
            Err(error) => Err(error),
        }
    }

    /// Takes a blob over from another layout, or promises it where it is.
    pub(super) fn take_from(&self, from: &Self, digest: &Digest, now: i64) -> Result<bool> {
        if std::ptr::eq(self, from) {
            return self.store(now, || Ok(self.keep(digest)?.is_some()));
        }
        // Nobody removes it there meanwhile. Always in one order: two who
        // take from each other would wait for each other.
        let (first, second) = if std::ptr::from_ref(self) < std::ptr::from_ref(from) {
            (self, from)
        } else {
            (from, self)
        };
        first.store(now, || second.store(now, || self.take(from, digest)))
    }

    fn take(&self, from: &Self, digest: &Digest) -> Result<bool> {
        let Some((_, size)) = from.layout.blob_file(digest)? else { return Ok(false) };
        let blob = Descriptor::new("application/octet-stream".into(), digest.clone(), size);
        match self.layout.take(&from.layout, &blob) {
            Ok(()) => Ok(self.keep(digest)?.is_some()),
            // It has gone bad there, or is gone: it has to come anew.
            Err(error) if matches!(error.code(), Code::Digest | Code::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn collect(&self, sweep: Sweep, swept: &mut Swept) -> Result<()> {
        swept.uploads += self.layout.expire_uploads(sweep.uploads)?.len() as u64;
        let options = Collect { before: Some(sweep.blobs), ..Collect::default() };
        let collect = || {
            if let Some(before) = sweep.untagged {
                swept.manifests += self.untag(before)?;
            }
            self.layout.collect_with(&options)
        };
        match self.remove(collect) {
            Ok(collected) => {
                swept.blobs += collected.blobs.len() as u64;
                swept.bytes += collected.blobs.iter().map(|blob| blob.size).sum::<u64>();
                Ok(())
            }
            Err(error) if error.code() == Code::Locked => {
                swept.busy += 1;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the manifests without a tag off the list that nobody needs and
    /// that are older than that; gives how many there were.
    fn untag(&self, before: i64) -> Result<u64> {
        let gone = self.view()?.untagged(|digest| {
            let written = self.layout.written(digest)?;
            Ok(written.is_some_and(|written| written >= before))
        })?;
        if gone.is_empty() {
            return Ok(0);
        }
        let _turn = lock(&self.turn);
        Ok(self.layout.unlist_nameless(&gone)? as u64)
    }
}

/// The lock, also if somebody else panicked while holding it: what it guards
/// is whole at any moment.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
