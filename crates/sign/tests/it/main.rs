//! Signatures and policies, through the public interface.

mod certificates;
mod chains;
#[path = "../forge/mod.rs"]
mod forge;
mod gpg;
mod judge;
mod keyless;
mod keys;
mod leniency;
mod notary;
mod policy;
mod support;
mod trustpolicy;
mod vectors;
