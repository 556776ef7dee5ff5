//! What is remembered of one file: enough to see that it changed.

use plimsoll_content::{Algorithm, Hasher, Result};
use rustix::fs::Stat;

use crate::apply::reserved::{RECORDED, SELINUX, is_overlay};
use crate::entry::{EntryKind, Timestamp};
use crate::pack::emit::recorded;
use crate::pack::read::{self, Xattrs};
use crate::path::RelPath;

/// One name in a tree, and the file that it stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Record {
    pub(crate) path: RelPath,
    /// Never a hard link: those are told by `group`.
    pub(crate) kind: EntryKind,
    pub(crate) mode: u32,
    /// The owner that a layer would name: the recorded one, if there is one.
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Timestamp,
    /// A hash of the extended attributes that go into layers, if there are any.
    pub(crate) xattrs: Option<Box<Hash>>,
    /// Zero for folders: what is in them is looked at anyway.
    pub(crate) inode: u64,
    /// When anything about the file was last changed; zero for folders.
    pub(crate) ctime: Timestamp,
    /// The same number for all names of one file, zero if it has one name.
    pub(crate) group: u32,
    pub(crate) veil: Veil,
}

/// A BLAKE3 value.
pub(crate) type Hash = [u8; 32];

/// Whether what is in a folder can be seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Veil {
    #[default]
    None,
    /// Something is mounted over it.
    Mount,
    /// Its mode keeps this user out.
    Closed,
}

/// What stands for attributes that this user may not read.
pub(crate) const UNREADABLE: Hash = [0xff; 32];

impl Record {
    pub(crate) fn new(
        path: RelPath,
        kind: EntryKind,
        stat: &Stat,
        xattrs: Option<&Xattrs>,
    ) -> Result<Self> {
        let none = Vec::new();
        let readable = xattrs.is_some();
        let xattrs = xattrs.unwrap_or(&none);
        let recorded = recorded(xattrs);
        let uid = if recorded.0 == u32::MAX { stat.st_uid } else { recorded.0 };
        let gid = if recorded.1 == u32::MAX { stat.st_gid } else { recorded.1 };
        let hash = if readable { hash(xattrs) } else { Some(Box::new(UNREADABLE)) };
        let folder = kind == EntryKind::Directory;
        Ok(Self {
            path,
            kind,
            mode: stat.st_mode & 0o7777,
            uid,
            gid,
            mtime: read::mtime(stat)?,
            xattrs: hash,
            inode: if folder { 0 } else { stat.st_ino },
            ctime: if folder { Timestamp::EPOCH } else { ctime(stat)? },
            group: 0,
            veil: Veil::None,
        })
    }

    /// Whether all that a layer says about a file, but for content and names,
    /// is the same.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.kind == other.kind
            // The mode of a link means nothing.
            && (self.mode == other.mode || matches!(self.kind, EntryKind::Symlink { .. }))
            && (self.uid, self.gid, self.mtime) == (other.uid, other.gid, other.mtime)
            && self.xattrs == other.xattrs
    }

    /// Whether `stat` is that of this very file, with nothing changed since.
    pub(crate) fn is_still(&self, stat: &Stat) -> bool {
        self.inode == stat.st_ino
            && ctime(stat).is_ok_and(|time| time == self.ctime)
            && read::mtime(stat).is_ok_and(|time| time == self.mtime)
            && self.mode == stat.st_mode & 0o7777
            && match self.kind {
                EntryKind::File { size } => u64::try_from(stat.st_size) == Ok(size),
                _ => true,
            }
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.kind == EntryKind::Directory
    }
}

/// The time of the last change of anything about a file.
pub(crate) fn ctime(stat: &Stat) -> Result<Timestamp> {
    Timestamp::new(stat.st_ctime, u32::try_from(stat.st_ctime_nsec).unwrap_or(0))
}

/// A hash of the attributes that a layer would hold; `None` if there are none.
fn hash(xattrs: &Xattrs) -> Option<Box<Hash>> {
    let mut kept: Vec<_> = xattrs
        .iter()
        .filter(|(name, _)| name != RECORDED && name != SELINUX && !is_overlay(name))
        .collect();
    if kept.is_empty() {
        return None;
    }
    kept.sort();
    let mut hasher = Hasher::new(Algorithm::Blake3);
    for part in kept.into_iter().flat_map(|(name, value)| [name, value]) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Some(Box::new(value(&hasher.finish().encoded())))
}

/// The bytes that a digest of 32 bytes is written for.
pub(crate) fn value(hex: &str) -> Hash {
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let digit = |letter: u8| char::from(letter).to_digit(16).unwrap_or(0) as u8;
        *byte = digit(pair[0]) << 4 | digit(pair[1]);
    }
    bytes
}
