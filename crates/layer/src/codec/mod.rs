//! Compression of layers: gzip and zstd, both ways, in this process.
//!
//! What a blob is compressed with is told by its media type, never guessed:
//! [`Decoder`] refuses bytes that are not what they should be. [`Format::detect`]
//! and [`Inflated`], which knows xz and bzip2 too, are for files that a person
//! names by hand.
//!
//! What does not live here: hashing (`plimsoll_content`), media types
//! (`plimsoll-spec`), what is inside (`tar`).

mod block;
mod decode;
mod encode;
mod gzip;
mod outer;
mod pool;
mod source;
mod zstandard;

use std::fmt;
use std::str::FromStr;

use plimsoll_content::{Code, Error, Result};

pub use decode::Decoder;
pub use encode::Encoder;
pub use outer::{Inflated, is_compressed};

/// What the bytes of a layer are. The list is complete: the image spec knows
/// no other.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Format {
    /// An uncompressed tar archive.
    Tar,
    /// A tar archive in gzip.
    Gzip,
    /// A tar archive in zstd.
    Zstd,
}

impl Format {
    /// What a file looks like by its first bytes (512 are enough, fewer if
    /// the file is shorter).
    ///
    /// Errors with [`Code::Layer`] and the name of what it looks like.
    pub fn detect(start: &[u8]) -> Result<Self> {
        match looks_like(start) {
            Some((Some(format), _)) => Ok(format),
            other => Err(Error::new(Code::Layer, "telling what an archive is")
                .found(other.map_or("bytes of no known format", |(_, name)| name))
                .expected("tar, or tar in gzip or zstd")),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tar => "tar",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// What a stream looks like by its first bytes: the format if it is one of
/// ours, and its name.
fn looks_like(start: &[u8]) -> Option<(Option<Format>, &'static str)> {
    let [a, b, c, d, ..] = *start else {
        return start.is_empty().then_some((Some(Format::Tar), "nothing, an empty archive"));
    };
    let known = match [a, b, c, d] {
        [0x1f, 0x8b, ..] => (Some(Format::Gzip), "gzip"),
        // A frame, or a skippable one.
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => (Some(Format::Zstd), "zstd"),
        [0xfd, b'7', b'z', b'X'] => (None, "xz"),
        [b'B', b'Z', b'h', b'1'..=b'9'] => (None, "bzip2"),
        [0x04, 0x22, 0x4d, 0x18] => (None, "lz4"),
        [b'L', b'Z', b'I', b'P'] => (None, "lzip"),
        [0x5d, 0, 0, ..] => (None, "lzma"),
        [0x1f, 0x9d, ..] => (None, "compress (.Z)"),
        [b'P', b'K', 3, 4] => (None, "zip"),
        [b'h', b's', b'q', b's'] => (None, "squashfs"),
        _ if crate::tar::is_archive(start) => (Some(Format::Tar), "tar"),
        [b'{' | b'[', ..] => (None, "JSON"),
        _ => return None,
    };
    Some(known)
}

/// How a new layer is compressed. Written as `none`, `gzip`, `gzip:6`,
/// `zstd`, `zstd:3`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Compression {
    /// Not at all.
    None,
    /// With gzip.
    Gzip {
        /// 0 (stored) to 9 (smallest).
        level: u32,
    },
    /// With zstd.
    Zstd {
        /// 1 (fastest) to 22 (smallest).
        level: i32,
    },
}

impl Compression {
    /// What the encoder's output is.
    pub fn format(self) -> Format {
        match self {
            Self::None => Format::Tar,
            Self::Gzip { .. } => Format::Gzip,
            Self::Zstd { .. } => Format::Zstd,
        }
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::Gzip { level: 6 }
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse::<u8>())),
            None => (text, None),
        };
        match (name, level) {
            ("none", None) => Ok(Self::None),
            ("gzip", None) => Ok(Self::Gzip { level: 6 }),
            ("gzip", Some(Ok(level @ 0..=9))) => Ok(Self::Gzip { level: level.into() }),
            ("zstd", None) => Ok(Self::Zstd { level: 3 }),
            ("zstd", Some(Ok(level @ 1..=22))) => Ok(Self::Zstd { level: level.into() }),
            _ => Err(Error::new(Code::Usage, "reading a compression")
                .found(format!("{text:?}"))
                .expected("none, gzip, gzip:0 to gzip:9, zstd, or zstd:1 to zstd:22")),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Gzip { level } => write!(f, "gzip:{level}"),
            Self::Zstd { level } => write!(f, "zstd:{level}"),
        }
    }
}
