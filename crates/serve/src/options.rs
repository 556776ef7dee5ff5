//! How a registry behaves.

use std::time::Duration;

use crate::auth::Access;

/// How a registry behaves.
#[derive(Debug)]
pub struct Options {
    /// Nothing is stored or removed.
    pub read_only: bool,
    /// Whether tags, manifests and blobs may be removed.
    pub delete: bool,
    /// Manifests may lead to content that is not there.
    pub sparse: bool,
    /// Who may do what.
    pub access: Access,
    /// Whether there is a page `/metrics`.
    pub metrics: bool,
    /// What each answer about content warns of (header `Warning`).
    pub warning: Option<String>,
    /// The budgets for what comes from outside.
    pub budget: Budget,
    /// How often what nothing leads to is removed; `None` for never.
    pub collect_every: Option<Duration>,
    /// How long what was stored or promised stays, though nothing leads to it.
    pub collect_after: Duration,
    /// How long a manifest without a tag stays to which nothing leads; `None`
    /// for as long as nobody removes it.
    pub collect_untagged: Option<Duration>,
    /// How long an upload on which nobody works can go on.
    pub upload_life: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_only: false,
            delete: true,
            sparse: false,
            access: Access::default(),
            metrics: true,
            warning: None,
            budget: Budget::default(),
            collect_every: None,
            collect_after: Duration::from_hours(1),
            collect_untagged: None,
            upload_life: Duration::from_hours(24),
        }
    }
}

/// The budgets for what comes from outside.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// The largest blob, in bytes: by default, as large as can be said.
    pub blob: u64,
    /// The largest manifest, in bytes: the specification wants 4 MB at least,
    /// and all of it is in memory.
    pub manifest: u64,
    /// How many connections are open at once; others wait to be taken.
    pub connections: usize,
    /// How many blobs and manifests come in at once; others wait for a while.
    pub uploads: usize,
    /// How long a request may take to say what it wants, and a connection may
    /// be open without one: clients of docker's kind let go of it after 90 s,
    /// and must be the first to do so.
    pub head: Duration,
    /// How long nothing may come or go in the middle of a body.
    pub idle: Duration,
    /// How long requests may go on after the registry was told to stop.
    pub stop: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            blob: plimsoll_content::limits::SIZE,
            manifest: 8 << 20,
            connections: 4096,
            uploads: 256,
            head: Duration::from_mins(2),
            idle: Duration::from_mins(1),
            stop: Duration::from_secs(30),
        }
    }
}
