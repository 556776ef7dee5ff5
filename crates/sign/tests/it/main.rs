//! Signatures and policies, through the public interface.

mod judge;
mod keys;
mod leniency;
mod policy;
mod support;
mod vectors;
