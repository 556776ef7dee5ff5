//! Small files that are made by a second thread while the walk goes on.
//!
//! The kernel's part of making a small file is longer than all that we do with
//! it, so two threads make nearly twice as many. What must stay true is that
//! the tree and the first error are those of one thread:
//!
//! - Only files in folders that the current layer made itself are given away.
//!   Nothing of a lower layer is there, and nobody else looks into them.
//! - Jobs are done in the order in which they were given, the attributes of a
//!   folder after the files in it.
//! - Who is about to use a name that is still under way waits for it
//!   ([`Aside::meet`]); who removes or lists waits for all ([`Aside::wait`]).
//! - An error of a job is earlier than any of the walk's, which is ahead.
//!
//! What does not live here: whose turn it is to make a file (`walk`).

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{Mode, Timestamps, fchmod, futimens};
use rustix::io::Errno;

use super::attributes::Attributes;
use super::entries::{duplicate, open_new};
use crate::entry::Entry;
use crate::finding::Findings;
use crate::path::shown;
use crate::remove;

/// The longest content that is given away: it has to be copied.
pub(super) const SMALL: u64 = 64 << 10;

/// How many jobs may be under way, each with a folder handle and up to
/// [`SMALL`] bytes.
pub(super) const MANY: u64 = 128;

/// Below that many the other thread soon has nothing to do.
pub(super) const FEW: u64 = 48;

/// How many jobs go over at once: waking a thread costs as much as a file.
const BATCH: usize = 16;

/// One thing to be done.
pub(super) enum Job {
    /// Makes a file.
    File {
        /// Where.
        folder: Arc<OwnedFd>,
        /// What, with its path in the layer.
        entry: Entry,
        /// All of its content.
        content: Vec<u8>,
        /// How many entries of the layer came before it.
        position: u64,
    },
    /// Sets what a folder gets when it is left.
    Leave {
        /// Which.
        folder: OwnedFd,
        /// Its real path.
        path: Vec<u8>,
        /// The mode, if it has to be set.
        mode: Option<Mode>,
        /// The times, if they have to be set.
        times: Option<Timestamps>,
    },
}

/// The second thread, and what is under way to it.
pub(super) struct Aside {
    attributes: Arc<Attributes>,
    thread: Option<Thread>,
    batch: Vec<Job>,
    given: u64,
    /// The names that may not be there yet, as hashes, the oldest first. Two
    /// with the same hash cost a wait, no more.
    ahead: VecDeque<u64>,
    keys: HashMap<u64, u32>,
    hash: RandomState,
}

struct Thread {
    jobs: SyncSender<Vec<Job>>,
    handle: JoinHandle<()>,
    shared: Arc<Shared>,
}

/// What both threads see.
#[derive(Default)]
struct Shared {
    done: AtomicU64,
    outcome: Mutex<Outcome>,
    progress: Condvar,
}

#[derive(Default)]
struct Outcome {
    /// The first error. Nothing was done after it.
    error: Option<Error>,
    findings: Findings,
}

impl Aside {
    pub(super) fn new(attributes: Arc<Attributes>) -> Self {
        Self {
            attributes,
            thread: None,
            batch: Vec::new(),
            given: 0,
            ahead: VecDeque::new(),
            keys: HashMap::new(),
            hash: RandomState::new(),
        }
    }

    /// How many jobs are not done yet.
    pub(super) fn backlog(&self) -> u64 {
        let done = self.thread.as_ref().map_or(0, |thread| thread.shared.done());
        self.given.saturating_sub(done)
    }

    /// Gives a job away that makes or ends `name` in the folder `here`.
    pub(super) fn give(&mut self, here: &[u8], name: &OsStr, job: Job) -> Result<()> {
        self.forget_done();
        let key = self.key(here, name);
        self.ahead.push_back(key);
        *self.keys.entry(key).or_default() += 1;
        self.given += 1;
        self.batch.push(job);
        if self.batch.len() < BATCH { Ok(()) } else { self.send() }
    }

    /// Waits for `name` in the folder `here` if it is under way.
    pub(super) fn meet(&mut self, here: &[u8], name: &OsStr) -> Result<()> {
        if self.ahead.is_empty() {
            return Ok(());
        }
        self.forget_done();
        if self.keys.contains_key(&self.key(here, name)) { self.wait() } else { Ok(()) }
    }

    /// Waits for all that is under way. Errors with the first error of it.
    pub(super) fn wait(&mut self) -> Result<()> {
        if self.ahead.is_empty() && self.batch.is_empty() {
            return Ok(());
        }
        self.send()?;
        let Some(thread) = &self.thread else { return Ok(()) };
        let mut outcome = thread.shared.outcome();
        while thread.shared.done() < self.given {
            let waited = thread.shared.progress.wait(outcome);
            outcome = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let error = outcome.error.take();
        drop(outcome);
        self.forget_done();
        error.map_or(Ok(()), Err)
    }

    /// What was tolerated since the last call. Waits for all.
    pub(super) fn findings(&mut self) -> Result<Findings> {
        self.wait()?;
        let thread = self.thread.as_ref();
        Ok(thread.map(|it| std::mem::take(&mut it.shared.outcome().findings)).unwrap_or_default())
    }

    fn send(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let jobs = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        let thread = match &mut self.thread {
            Some(thread) => thread,
            none => none.insert(Thread::start(self.attributes.clone())?),
        };
        thread.jobs.send(jobs).map_err(|_| {
            Error::new(Code::Bug, "making files").found("a thread that ended too early")
        })
    }

    fn forget_done(&mut self) {
        let backlog = usize::try_from(self.backlog()).unwrap_or(usize::MAX);
        while self.ahead.len() > backlog {
            let Some(key) = self.ahead.pop_front() else { break };
            if let Some(count) = self.keys.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.keys.remove(&key);
                }
            }
        }
    }

    fn key(&self, here: &[u8], name: &OsStr) -> u64 {
        let mut hasher = self.hash.build_hasher();
        hasher.write(here);
        hasher.write_u8(b'/');
        hasher.write(name.as_bytes());
        hasher.finish()
    }
}

impl Drop for Aside {
    /// Nothing is made any more once the walk is gone.
    fn drop(&mut self) {
        if let Some(Thread { jobs, handle, .. }) = self.thread.take() {
            drop(jobs);
            let _ = handle.join();
        }
    }
}

impl Thread {
    fn start(attributes: Arc<Attributes>) -> Result<Self> {
        let (jobs, from) = sync_channel(usize::try_from(MANY).unwrap_or(usize::MAX) / BATCH);
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let handle = Builder::new()
            .name("files".into())
            .spawn(move || work(&from, &attributes, &own))
            .map_err(|cause| Error::io("starting", "a thread", cause))?;
        Ok(Self { jobs, handle, shared })
    }
}

impl Shared {
    fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// A panic elsewhere leaves nothing half done in here.
    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The second thread.
fn work(jobs: &Receiver<Vec<Job>>, attributes: &Attributes, shared: &Shared) {
    let mut failed = false;
    let mut findings = Findings::default();
    while let Ok(batch) = jobs.recv() {
        let count = batch.len() as u64;
        let mut error = None;
        for job in batch {
            if !failed {
                error = job.run(attributes, &mut findings).err();
                failed = error.is_some();
            }
        }
        // Under the lock, so that nobody misses it who has just looked.
        let mut outcome = shared.outcome();
        outcome.findings.absorb(std::mem::take(&mut findings));
        outcome.error = outcome.error.take().or(error);
        shared.done.fetch_add(count, Ordering::Release);
        drop(outcome);
        shared.progress.notify_all();
    }
}

impl Job {
    fn run(self, attributes: &Attributes, findings: &mut Findings) -> Result<()> {
        match self {
            Self::File { folder, entry, content, position } => {
                let Some(name) = entry.path.name() else { return Ok(()) };
                findings.at(position);
                let mut made = open_new(&folder, name, &entry);
                if matches!(made, Err(Errno::EXIST)) {
                    duplicate(&entry, findings);
                    remove::tree(folder.as_fd(), name)
                        .map_err(|error| error.context(format!("replacing {}", entry.path)))?;
                    made = open_new(&folder, name, &entry);
                }
                let made = made.map_err(|errno| Error::io("making", &entry.path, errno.into()));
                let mut file = File::from(made?);
                file.write_all(&content)
                    .map_err(|cause| Error::io("writing", &entry.path, cause))?;
                attributes.file(&file, &entry, findings)
            }
            Self::Leave { folder, path, mode, times } => {
                let failed = |errno: Errno| {
                    Error::io("setting the attributes of", shown(&path), errno.into())
                };
                leave(&folder, mode, times).map_err(failed)
            }
        }
    }
}

/// Sets what a folder gets when it is left.
pub(super) fn leave(
    folder: impl AsFd,
    mode: Option<Mode>,
    times: Option<Timestamps>,
) -> Result<(), Errno> {
    if let Some(mode) = mode {
        fchmod(&folder, mode)?;
    }
    if let Some(times) = times {
        futimens(&folder, &times)?;
    }
    Ok(())
}
