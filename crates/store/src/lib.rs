//! Where content lies on one machine: OCI layouts and the local store.
//!
//! [`Layout`] is a layout directory as a place to read from, to write to and
//! to name in; [`Target`] a layout that becomes visible as a whole; [`Store`]
//! the local store of one user, a layout with a cache; [`StagedDir`] a folder
//! that becomes visible as a whole.
//!
//! What does not live here: what the documents mean (`plimsoll-spec`), what
//! layers hold, registries. Nothing in a layout is trusted: names are opened
//! below directory handles without following links, and content is proved by
//! its readers.
//!
//! ```
//! use plimsoll_content::{Algorithm, Descriptor, Resolve, Sink, Source, Tag};
//! use plimsoll_spec::{Index, media_type};
//! use plimsoll_store::Layout;
//!
//! # let folder = tempfile::tempdir().expect("folder");
//! let layout = Layout::create(&folder.path().join("image"))?;
//! let bytes = br#"{"manifests":[],"schemaVersion":2}"#;
//! let index = Descriptor::of(media_type::INDEX, Algorithm::Sha256, bytes);
//! let guard = layout.writing()?;
//! (&layout as &dyn Sink).write(&index, bytes)?;
//! layout.tag("v1", &index)?;
//! drop(guard);
//! let found = layout.resolve("v1")?;
//! assert_eq!((&layout as &dyn Source).document::<Index>(&found)?.manifests.len(), 0);
//! # Ok::<(), plimsoll_content::Error>(())
//! ```

mod archive;
mod catalog;
mod dir;
pub mod document;
mod folder;
mod layout;
mod lock;
mod ref_name;
mod remove;
mod staged;
mod store;
mod temporary;

pub use archive::{Archive, DockerWriter, Form, OciWriter, Output, Reading, Received, receive};
pub use catalog::{Catalog, Entry};
pub use dir::{Dir, DirWriter};
pub use folder::Flush;
pub use layout::{
    About, Closure, Collect, Collected, Frame, Inventory, Layout, Line, Listing, Options,
    Reachable, Referrers, Removed, Selector, Stamp, Target, Upload, Writing, closure, reachable,
};
pub use ref_name::check_ref_name;
pub use staged::{StagedDir, StagedFile, write_file_atomic};
pub use store::{CacheFolder, Held, Store, Swept};
