//! How a file tree becomes a layer, and back.
//!
//! A layer is a tar archive, possibly compressed (`layer.md`). This room
//! reads and writes such archives ([`tar`]), compresses them ([`codec`]),
//! applies them to a root filesystem below a directory handle, and makes them
//! out of a folder or another archive, or of what changed in a tree
//! ([`diff`]), always with the same bytes for the same input.
//!
//! What does not live here: documents, images, where layers lie. The crate
//! takes readers, writers and directory handles, so a layer can be applied
//! without an image.

pub mod apply;
pub mod check;
pub mod codec;
pub mod diff;
pub mod entry;
pub mod erofs;
pub mod finding;
mod handle;
pub mod ids;
pub mod limits;
pub mod pack;
pub mod path;
pub mod recode;
pub mod remove;
pub mod root;
pub mod tar;

pub use check::Check;
pub use entry::{Entry, EntryKind, Timestamp};
pub use finding::{Finding, Findings};
pub use ids::{IdMap, IdRange};
pub use limits::Limits;
pub use path::RelPath;
pub use root::Root;
