//! Tar archives, read and written as a stream.
//!
//! What does not live here: files and folders, compression, whiteouts.

mod entries;
mod writer;

pub use entries::{Body, Chunk, Entries, Segment};
pub use writer::Writer;
