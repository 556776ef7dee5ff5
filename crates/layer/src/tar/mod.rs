//! Tar archives, read and written as a stream.
//!
//! [`Entries`] reads what images in the wild hold: v7, ustar, PAX, old GNU,
//! sparse files of all GNU versions. It is strict: bytes from which common
//! readers (GNU tar, libarchive, Go, Python) extract different trees are
//! refused. What is odd but read by all in the same way is read, with a
//! [`Finding`](crate::Finding):
//!
//! | name | what |
//! |---|---|
//! | `tar-no-end` | the end marker is missing or half |
//! | `tar-after-end` | there are bytes behind the end marker (zeros are no finding) |
//! | `tar-signed-checksum` | a checksum sums up signed bytes |
//! | `tar-unknown-type` | an entry of a type without a place in layers was skipped |
//! | `tar-contiguous` | type 7 was read as a regular file |
//! | `tar-two-sizes` | the size of the PAX header counts, the other one does not |
//! | `tar-size-ignored` | a link, folder, device or FIFO has a size |
//! | `time-clamped` | a time is beyond 64 bits of seconds |
//! | `path-absolute` | a name starts with `/`, which is dropped |
//! | `pax-ignored` | an access control list or label in vendor keys was not applied |
//! | `xattr-percent` | a % in an attribute's name, which GNU tar would decode |
//!
//! [`Writer`] writes one fixed form.
//!
//! What does not live here: files and folders, compression, whiteouts, and
//! whether the paths of several entries make sense together.

mod block;
mod body;
mod entries;
mod fault;
mod input;
mod interpret;
mod pax;
mod sparse;
mod writer;

pub use body::{Body, Chunk};
pub use entries::Entries;
pub use sparse::Segment;
pub use writer::{END, Writer, header, padding};

/// Whether a stream starts as an archive does: with a header whose checksum
/// holds, or with zeros.
pub(crate) fn is_archive(start: &[u8]) -> bool {
    let Some(first) = start.first_chunk().map(|first| block::Block(*first)) else {
        return false;
    };
    first.is_zero() || first.checksum() != block::Checksum::Wrong
}
