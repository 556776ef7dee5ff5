//! Signatures and policies, through the public interface.

mod certificates;
mod chains;
mod gpg;
mod judge;
mod keys;
mod leniency;
mod notary;
mod policy;
mod support;
mod trustpolicy;
mod vectors;
