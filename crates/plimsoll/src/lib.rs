//! The sentences: pack, copy, convert, edit, append, rebase, squash, index,
//! attach, sign, verify, mirror, inspect, validate, collect, check, unpack, export,
//! bundle, repack, run, mount.
//!
//! Each is a function over the rooms below, which are re-exported under
//! their short names. What does not live here: words of the command line,
//! printing, the environment, exit codes.

pub mod append;
pub mod attach;
pub mod bundle;
pub mod change;
pub mod collect;
pub mod convert;
pub mod copy;
pub mod diff;
pub mod doctor;
pub mod draft;
pub mod edit;
pub mod export;
pub mod fsck;
pub mod hello;
pub mod history;
pub mod image;
pub mod indexes;
pub mod inspect;
pub mod limits;
pub mod mirror;
pub mod mount;
pub mod naming;
mod notes;
pub mod pack;
pub mod place;
pub mod rebase;
pub mod reference;
pub mod registries;
pub mod repack;
pub mod rootfs;
pub mod run;
pub mod schema1;
pub mod squash;
pub mod transfer;
pub mod trust;
pub mod unpack;
pub mod validate;

pub use plimsoll_content as content;
pub use plimsoll_layer as layer;
pub use plimsoll_name as name;
pub use plimsoll_registry as registry;
pub use plimsoll_runtime as runtime;
pub use plimsoll_sign as sign;
pub use plimsoll_spec as spec;
pub use plimsoll_store as store;
