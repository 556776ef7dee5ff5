//! Publishing a zone: out of what is wanted and what is published, the files
//! that have to be written, in the order in which they may become visible.
//!
//! Nothing is remembered but what is published; files and keys are the
//! caller's. A zone whose keys are at several places is published in rounds:
//! each adds its signatures to the same [`Plan`].

mod config;
mod plan;
mod site;

pub use config::{Config, Days, Profile, RoleKeys};
pub use plan::{Missing, Pending, Plan, Wanted};
pub use site::{announcement, cas_path, index_path, ref_engines, target_paths};

/// From how many repositories on their lists are spread over hash bins.
pub const BINS_FROM: usize = 1_000;

/// The folder of metadata in the tree.
pub const METADATA: &str = "zone/metadata";

/// The folder of targets in the tree.
pub const TARGETS: &str = "zone/targets";
