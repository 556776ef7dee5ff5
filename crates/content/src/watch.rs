//! Progress and interruption of long operations, in one object.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::Digest;

/// Who watches a long operation, and may stop it.
///
/// Calls come from several threads, once per chunk of work.
pub trait Watch: Send + Sync {
    /// A step begins: `what` in words, and its size in bytes if it is known.
    fn begin(&self, what: &str, total: Option<u64>);

    /// That many more bytes of the current step went by.
    fn advance(&self, bytes: u64);

    /// The step is done; `what` in words for those who read lines, empty if
    /// its parts have said everything.
    fn end(&self, what: &str);

    /// A part of the current step begins. It counts its own bytes; those that
    /// go by are told by [`advance`](Self::advance) as well.
    fn enter(&self, _part: &Arc<Part>) {}

    /// A part is over, and settled; `what` in words for those who read lines,
    /// empty if there is nothing to say.
    fn leave(&self, _part: &Part, _what: &str) {}

    /// Something that the caller should know, though nothing failed.
    fn warn(&self, message: &str);

    /// Whether the operation is to stop at the next chunk.
    fn interrupted(&self) -> bool {
        false
    }
}

/// One blob of a step, and how far it is. Counting takes no lock.
#[derive(Debug)]
pub struct Part {
    digest: Digest,
    size: u64,
    bytes: AtomicU64,
    state: AtomicU8,
}

/// How far a [`Part`] is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// Its bytes are on their way.
    Under,
    /// It is there now.
    Done,
    /// It had been there before.
    Exists,
    /// The place took it over from another one of the same system.
    Mounted,
    /// It failed, or was stopped.
    Failed,
}

impl Part {
    /// The blob of that digest and size in bytes, of which nothing has come.
    pub fn new(digest: &Digest, size: u64) -> Arc<Self> {
        Arc::new(Self {
            digest: digest.clone(),
            size,
            bytes: AtomicU64::new(0),
            state: AtomicU8::new(Stage::Under as u8),
        })
    }

    /// What is being brought.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its size in bytes, as it was announced.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many bytes of it have come, those of an earlier time included.
    pub fn bytes(&self) -> u64 {
        match self.stage() {
            Stage::Under | Stage::Failed => self.bytes.load(Ordering::Relaxed).min(self.size),
            Stage::Done | Stage::Exists | Stage::Mounted => self.size,
        }
    }

    /// That many bytes more have come.
    pub fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It begins, or begins anew, behind that many bytes.
    pub fn start(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        let state = self.state.load(Ordering::Relaxed);
        [Stage::Done, Stage::Exists, Stage::Mounted, Stage::Failed]
            .into_iter()
            .find(|stage| *stage as u8 == state)
            .unwrap_or(Stage::Under)
    }

    /// It is over.
    pub fn settle(&self, stage: Stage) {
        self.state.store(stage as u8, Ordering::Relaxed);
    }
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Watch for Quiet {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn end(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}
