//! The Update Framework 1.0: signed metadata of a repository, and the
//! workflow of its client (specification, sections 4 and 5).
//!
//! It does not know what the targets are; [`crate::zone`] gives them a meaning.

mod canonical;
mod client;
mod metadata;

pub use canonical::canonical;
pub use client::{Freshness, Server, Shelf, Updater};
pub use metadata::{
    Delegated, Delegations, Envelope, File, Key, KeyValue, Metadata, Role, Root, SPEC_VERSION,
    Signature, Snapshot, Target, Targets, Timestamp, quoted,
};

/// How large documents of a repository may be, in bytes, and how many of them
/// one look-up follows: those of the most used clients.
pub mod limits {
    /// A root.
    pub const ROOT: u64 = 512_000;
    /// A timestamp.
    pub const TIMESTAMP: u64 = 16_384;
    /// A snapshot.
    pub const SNAPSHOT: u64 = 2_000_000;
    /// Targets of a role.
    pub const TARGETS: u64 = 5_000_000;
    /// How many roots may follow each other at once.
    pub const ROTATIONS: u64 = 32;
    /// How many roles one search visits.
    pub const DELEGATIONS: usize = 32;
}
