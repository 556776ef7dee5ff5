//! The sentences: pack, copy, inspect, validate, unpack, bundle, run.
//!
//! Each is a function over the rooms below, which are re-exported under
//! their short names. What does not live here: words of the command line,
//! printing, the environment, exit codes.

pub mod bundle;
pub mod copy;
pub mod edit;
pub mod hello;
pub mod image;
pub mod inspect;
mod notes;
pub mod pack;
pub mod place;
pub mod reference;
pub mod rootfs;
pub mod run;
pub mod transfer;
pub mod unpack;
pub mod validate;

pub use plimsoll_content as content;
pub use plimsoll_layer as layer;
pub use plimsoll_runtime as runtime;
pub use plimsoll_spec as spec;
pub use plimsoll_store as store;
