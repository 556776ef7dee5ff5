//! Compression of layers: gzip and zstd, both ways, in this process.
//!
//! What a blob is compressed with is told by its media type, never guessed:
//! [`Decoder`] refuses bytes that are not what they should be. [`Format::detect`]
//! is for files that a person names by hand.
//!
//! What does not live here: hashing (`plimsoll_content`), media types
//! (`plimsoll-spec`), what is inside (`tar`).

mod decode;
mod encode;

use std::fmt;
use std::str::FromStr;

use plimsoll_content::{Code, Error, Result};

pub use decode::Decoder;
pub use encode::Encoder;

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
    pub fn detect(_start: &[u8]) -> Result<Self> {
        todo!()
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
