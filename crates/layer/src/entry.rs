//! What a layer says about one file.

use plimsoll_content::{Code, Error, Result};

use crate::path::RelPath;

/// One entry of a layer, independent of how the archive encodes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Where the file lies below the root.
    pub path: RelPath,
    /// What kind of file it is.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky: at most 0o7777.
    pub mode: u32,
    /// The owner, by number; names in archives are ignored (LY5).
    pub uid: u32,
    /// The group, by number.
    pub gid: u32,
    /// When the content was last changed.
    pub mtime: Timestamp,
    /// Extended attributes: full name and value, sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The kinds of file that a layer can hold. The list is complete: sockets
/// can not be expressed in tar (LY10).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EntryKind {
    /// A regular file with that many bytes of content (the real size, where
    /// the archive holds it sparsely).
    File {
        /// The length of the content in bytes.
        size: u64,
    },
    /// A folder.
    Directory,
    /// A symbolic link and what it holds, as it is written.
    Symlink {
        /// The target, never followed while reading or writing layers.
        target: Vec<u8>,
    },
    /// Another name of a file that the layer, or a layer below, holds.
    Hardlink {
        /// The other name, below the root.
        target: RelPath,
    },
    /// A character device.
    Char {
        /// The major number.
        major: u32,
        /// The minor number.
        minor: u32,
    },
    /// A block device.
    Block {
        /// The major number.
        major: u32,
        /// The minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// A point in time: seconds since 1970-01-01 UTC and nanoseconds after that
/// second (0 to 999,999,999, also before 1970).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp {
    seconds: i64,
    nanoseconds: u32,
}

impl Timestamp {
    /// The first moment of 1970.
    pub const EPOCH: Self = Self { seconds: 0, nanoseconds: 0 };

    /// A point in time; `nanoseconds` must be below 1,000,000,000.
    pub fn new(seconds: i64, nanoseconds: u32) -> Result<Self> {
        if nanoseconds >= 1_000_000_000 {
            return Err(Error::new(Code::Usage, "making a time")
                .found(format!("{nanoseconds} nanoseconds"))
                .expected("fewer than a second has"));
        }
        Ok(Self { seconds, nanoseconds })
    }

    /// A full second.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanoseconds: 0 }
    }

    /// The seconds since 1970, rounded down.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// The nanoseconds after [`Timestamp::seconds`].
    pub fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// The same time without its fraction.
    pub fn whole_seconds(self) -> Self {
        Self { nanoseconds: 0, ..self }
    }
}
