//! What the documents of container images say: index, manifest, config and
//! layout header of the OCI image spec, and their Docker v2.2 twins.
//!
//! Documents are plain structs with public fields; members that this version
//! does not know are kept in `other`, so an edit writes them again. What was
//! read keeps its bytes in [`plimsoll_content::Document`].
//!
//! Whether they say it rightly is for the rule book ([`rules`]), which judges
//! one document by its bytes.
//!
//! Deliberately not here: where documents lie, layers' content. Nothing does
//! input or output; the crate compiles for `wasm32-unknown-unknown`.

pub mod annotations;
pub mod appc;
mod chain;
mod config;
pub mod docker;
pub mod graph;
mod index;
mod layout;
mod manifest;
pub mod media_type;
mod null;
pub mod rules;
pub mod select;

pub use chain::{chain_ids, image_id};
pub use config::{Config, Execution, History, RootFs};
pub use graph::{Node, Role};
pub use index::Index;
pub use layout::LayoutHeader;
pub use manifest::Manifest;
pub use media_type::{LayerCompression, LayerType};
pub use rules::validate;
