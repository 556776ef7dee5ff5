//! The budgets for layers, with their reasons. They are defaults of
//! [`Limits`]; nothing is allocated or written before they are checked.

use crate::finding::Finding;

/// The longest path of an entry, in bytes: what Linux takes (PATH_MAX).
pub const PATH: usize = 4096;

/// The longest component of a path, in bytes: what Linux file systems take.
pub const NAME: usize = 255;

/// The longest target of a symbolic link, in bytes (PATH_MAX with its NUL).
pub const LINK: usize = 4095;

/// How many times a layer may be longer than its blob before that is told:
/// gzip has no more than 1,032, and file trees a few times at most. It is
/// still read, within [`Limits::bytes`].
pub const RATIO: u64 = 1_000;

/// What to say of a layer of `plain` bytes that a blob of `compressed` has
/// become, if it is told at all.
pub fn ratio(plain: u64, compressed: u64) -> Option<Finding> {
    let times = plain / compressed.max(1);
    (times >= RATIO).then(|| {
        let what = format!("{plain} bytes out of {compressed}, {times} times as many");
        Finding::new("layer-ratio", what)
    })
}

/// Adjustable budgets of reading one layer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How many entries a layer may have.
    pub entries: u64,
    /// The largest PAX or GNU long-name block, in bytes (CVE-2022-2879).
    pub extension: u64,
    /// How many extended attributes an entry may have.
    pub xattrs: usize,
    /// The largest value of an extended attribute, in bytes (what Linux takes).
    pub xattr: usize,
    /// How many pieces a sparse file may have (CVE-2025-58183).
    pub sparse: usize,
    /// How many bytes the uncompressed layer may have, sparse files counted
    /// by their real size (decompression bombs).
    pub bytes: u64,
    /// The largest zstd window, in bytes: the decoder must hold it.
    pub zstd_window: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 5_000_000,
            extension: 1 << 20,
            xattrs: 256,
            xattr: 64 << 10,
            sparse: 10_000,
            bytes: 1 << 40,
            zstd_window: 128 << 20,
        }
    }
}
