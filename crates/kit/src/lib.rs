//! Conformance cases for builders, registries and engines of container
//! images, and what runs them against any implementation.
//!
//! A case is a few lines of JSON below `cases/`: a recipe, the rules of the
//! image specification that it is about, and what is right. Everything else is
//! made from that: layouts, archives, layers ([`case`]), files for other
//! languages ([`export`]), and verdicts on a command ([`run`]).
//!
//! What does not live here: a judgement of our own. The kit knows the program
//! from the command line only, as it knows every other tool.

mod bases;
pub mod case;
mod embedded;
pub mod export;
pub mod peer;
mod recipe;
pub mod rule;
pub mod run;
pub mod table;
mod tree;
pub mod vectors;

pub use case::{Case, Role, Selection, Verdict};
pub use peer::Peer;
pub use recipe::Layout;
