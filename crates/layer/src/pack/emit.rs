//! The way out: entries in order become the bytes of a layer, hashed and then
//! compressed.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;

use plimsoll_content::{Code, Error, MediaType, Result, Sealing};

use super::{Options, Packed};
use crate::apply::recorded_owner;
use crate::apply::reserved::{RECORDED, SELINUX, WHITEOUT, is_overlay};
use crate::codec::Encoder;
use crate::entry::{Entry, EntryKind, Timestamp};
use crate::finding::Findings;
use crate::path::RelPath;
use crate::tar::Writer;

/// A layer that is being written.
pub(super) struct Emit<'a, W: Write> {
    writer: Writer<Sealing<Encoder<W>>>,
    options: &'a Options<'a>,
    entries: u64,
    pub(super) findings: Findings,
}

impl<'a, W: Write> Emit<'a, W> {
    pub(super) fn new(out: W, options: &'a Options<'a>) -> Result<Self> {
        let encoder = Encoder::with_threads(options.compression, out, options.threads)?;
        Ok(Self {
            writer: Writer::new(Sealing::new(encoder, options.algorithm)),
            options,
            entries: 0,
            findings: Findings::default(),
        })
    }

    /// Writes one entry; the caller keeps the order and the parents.
    pub(super) fn entry(&mut self, mut entry: Entry, content: impl Read) -> Result<()> {
        if entry.path.is_root() && !self.options.root {
            return Ok(());
        }
        normalise(&mut entry, self.options);
        self.entries += 1;
        self.writer.append(&entry, content)
    }

    pub(super) fn finish(self) -> Result<(Packed, W)> {
        // The media type is not looked at: only the digest of the tar is.
        let (proof, encoder) = self.writer.finish()?.finish(MediaType::from("application/x-tar"));
        let plain = proof.descriptor();
        let packed = Packed {
            diff_id: plain.digest.clone(),
            entries: self.entries,
            bytes: plain.size,
            findings: self.findings.into_vec(),
        };
        Ok((packed, encoder.finish()?))
    }
}

/// Takes out what belongs to one machine or one way of unpacking.
fn normalise(entry: &mut Entry, options: &Options<'_>) {
    let recorded = entry.xattrs.iter().find(|(name, _)| name == RECORDED);
    if let Some((uid, gid)) = recorded.and_then(|(_, value)| recorded_owner(value)) {
        (entry.uid, entry.gid) = (uid, gid);
    } else if let Some((uid, gid)) = options.own {
        entry.uid = if entry.uid == uid { 0 } else { entry.uid };
        entry.gid = if entry.gid == gid { 0 } else { entry.gid };
    }
    if let Some((uid, gid)) = options.owner {
        (entry.uid, entry.gid) = (uid, gid);
    }
    entry.xattrs.retain(|(name, _)| name != RECORDED && name != SELINUX && !is_overlay(name));
    if matches!(entry.kind, EntryKind::Hardlink { .. }) {
        // They are the file's, and told there.
        entry.xattrs.clear();
    }
    entry.xattrs.sort();
    if let Some(epoch) = options.epoch {
        entry.mtime = entry.mtime.min(Timestamp::from_seconds(epoch));
    }
}

/// Refuses a name that would be read as a whiteout (LY21, WH16).
pub(super) fn expressible(path: &RelPath, name: &OsStr) -> Result<()> {
    if name.as_bytes().starts_with(WHITEOUT) {
        return Err(Error::new(Code::Unrepresentable, format!("packing {path}"))
            .found("a name that starts with .wh.")
            .expected("another name: in a layer, this one removes files")
            .fix("rename the file, or leave it out"));
    }
    Ok(())
}
