//! Making a layer out of a file tree, always with the same bytes for the
//! same input.
//!
//! [`tree`] packs a folder, [`archive`] a tar of a root filesystem, [`Stack`]
//! layers of an image; archives give the very bytes that the tree they unpack
//! to would give. What makes
//! bytes differ elsewhere is settled here: entries come in the order of
//! [`RelPath`](crate::RelPath), every parent has an entry, user and group
//! names are left out, the first name of a file with several is the file and
//! the others are links to it.
//!
//! The root itself has no entry unless [`Options::root`] asks for it: what a
//! folder on the builder's disk happens to look like from outside is not part
//! of its content, a root of mode 0700 locks the image's users out, and on
//! top of a base image the entry would change the base's root. Without it
//! engines make the root 0755.
//!
//! What does not live here: comparing two trees, and sealing the compressed
//! bytes (the caller's writer does that).

mod archive;
pub(crate) mod emit;
mod index;
pub(crate) mod read;
mod spool;
mod stack;
mod tree;

use std::os::fd::BorrowedFd;

use plimsoll_content::{Algorithm, Digest};

use crate::codec::Compression;
use crate::finding::Finding;
use crate::ids::IdMap;
use crate::limits::Limits;

pub use archive::archive;
pub use stack::Stack;
pub use tree::tree;

/// How a layer is made.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// How it is compressed.
    pub compression: Compression,
    /// How many threads compress, beside the one that reads, hashes and
    /// writes; 0 and 1 leave it all to that one. The bytes are the same.
    pub threads: usize,
    /// What its diff_id is computed with.
    pub algorithm: Algorithm,
    /// The latest time that a file may have, in seconds since 1970; later ones
    /// become this (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
    /// The user and group that become 0:0, unless another owner is recorded
    /// for a file: an ordinary user's own, so that who packs does not matter.
    pub own: Option<(u32, u32)>,
    /// What the ids of the image are in the tree, so that packing takes back
    /// what unpacking with the same map did; files of other owners are refused,
    /// and file capabilities that the map's root has set become those of every
    /// machine.
    pub map: Option<&'a IdMap>,
    /// The owner and group of all files, instead of their own.
    pub owner: Option<(u32, u32)>,
    /// Whether the root folder has an entry of its own.
    pub root: bool,
    /// A folder for an anonymous temporary file, which layers and compressed
    /// archives need: their plain bytes are read twice.
    pub scratch: Option<BorrowedFd<'a>>,
    /// The budgets of reading an archive.
    pub limits: Limits,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            threads: 1,
            algorithm: Algorithm::Sha256,
            epoch: None,
            own: None,
            map: None,
            owner: None,
            root: false,
            scratch: None,
            limits: Limits::default(),
        }
    }
}

/// What was packed.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The digest of the uncompressed layer.
    pub diff_id: Digest,
    /// How many entries it has.
    pub entries: u64,
    /// How many bytes it has uncompressed.
    pub bytes: u64,
    /// What was left out or is odd.
    pub findings: Vec<Finding>,
}
