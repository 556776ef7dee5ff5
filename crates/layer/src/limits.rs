//! The budgets for layers, with their reasons; nothing is allocated or written
//! before they are checked.

use plimsoll_content::budgets;

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

budgets! {
    /// Adjustable budgets of reading one layer.
    pub struct Limits {
        /// How many entries a layer may have, extended headers counted.
        entries: u64 = 5_000_000, "entries", Count, u64::MAX,
            "each costs inodes and, in some steps, memory";
        /// The longest path of an entry.
        path: usize = PATH, "path", Bytes, PATH as u64,
            "what Linux takes";
        /// The longest component of a path.
        name: usize = NAME, "name", Bytes, NAME as u64,
            "what Linux file systems take";
        /// The longest target of a symbolic link.
        link: usize = LINK, "link", Bytes, LINK as u64,
            "what Linux takes";
        /// The largest PAX or GNU long-name block.
        extension: u64 = 1 << 20, "extension", Bytes, (1 << 32) - 1,
            "it is held in memory (CVE-2022-2879)";
        /// How many extended attributes an entry may have.
        xattrs: usize = 256, "xattrs", Count, u64::MAX,
            "file systems hold fewer";
        /// The largest value of an extended attribute.
        xattr: usize = 64 << 10, "xattr", Bytes, 64 << 10,
            "what Linux takes";
        /// How many pieces a sparse file may have.
        sparse: usize = 10_000, "sparse", Count, u64::MAX,
            "their map is held in memory (CVE-2025-58183)";
        /// How many bytes an uncompressed layer may have, holes of sparse files counted.
        bytes: u64 = 1 << 40, "layer-bytes", Bytes, u64::MAX,
            "decompression bombs";
        /// The largest window of a zstd frame.
        zstd_window: u64 = 128 << 20, "zstd-window", Bytes, 1 << 31,
            "the decoder has to hold it";
        /// The longest header of a gzip member.
        gzip_header: usize = 64 << 10, "gzip-header", Bytes, u64::MAX,
            "names and comments that nobody uses";
    }
}
