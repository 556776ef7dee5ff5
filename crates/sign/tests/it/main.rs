//! Signatures and policies, through the public interface.

mod gpg;
mod judge;
mod keys;
mod leniency;
mod notary;
mod policy;
mod support;
mod vectors;
