//! The way out: entries in order become the bytes of a layer, hashed and then
//! compressed.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;

use plimsoll_content::{Code, Error, MediaType, Result, Sealing};

use super::{Options, Packed};
use crate::apply::capability;
use crate::apply::recorded_owner;
use crate::apply::reserved::{CAPABILITY, RECORDED, SELINUX, WHITEOUT, is_overlay};
use crate::codec::Encoder;
use crate::entry::{Entry, EntryKind, Timestamp};
use crate::finding::{Finding, Findings};
use crate::ids::IdMap;
use crate::limits;
use crate::path::RelPath;
use crate::tar::Writer;

/// A layer that is being written.
pub(crate) struct Emit<'a, W: Write> {
    writer: Writer<Sealing<Encoder<W>>>,
    options: &'a Options<'a>,
    entries: u64,
    pub(crate) findings: Findings,
}

impl<'a, W: Write> Emit<'a, W> {
    pub(crate) fn new(out: W, options: &'a Options<'a>) -> Result<Self> {
        let encoder = Encoder::with_threads(options.compression, out, options.threads)?;
        Ok(Self {
            writer: Writer::new(Sealing::new(encoder, options.algorithm)),
            options,
            entries: 0,
            findings: Findings::default(),
        })
    }

    /// Writes one entry; the caller keeps the order and the parents.
    pub(crate) fn entry(&mut self, mut entry: Entry, content: impl Read) -> Result<()> {
        if entry.path.is_root() && !self.options.root {
            return Ok(());
        }
        if let (Some(map), None) = (self.options.map, self.options.owner) {
            unmap(&mut entry, map)?;
        }
        normalise(&mut entry, self.options, &mut self.findings);
        self.entries += 1;
        self.writer.append(&entry, content)
    }

    /// Writes that what lies at `name` in `folder` is gone. A whiteout says
    /// nothing but its name: owner, mode and time are always the same.
    pub(crate) fn whiteout(&mut self, folder: &RelPath, name: &OsStr) -> Result<()> {
        let path = folder.join(name);
        expressible(&path, name)?;
        let marked = [WHITEOUT, name.as_bytes()].concat();
        if marked.len() > limits::NAME {
            return Err(Error::new(Code::Unrepresentable, format!("removing {path} in a layer"))
                .found(format!("a name of {} bytes", name.len()))
                .expected("at most 251: a whiteout is that name behind .wh.")
                .fix("remove the folder around it, and make that anew under another name"));
        }
        let entry = Entry {
            path: folder.join(OsStr::from_bytes(&marked)),
            kind: EntryKind::File { size: 0 },
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: Timestamp::EPOCH,
            xattrs: Vec::new(),
        };
        self.entries += 1;
        self.writer.append(&entry, io::empty())
    }

    pub(crate) fn finish(self) -> Result<(Packed, W)> {
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

/// Turns ids of this machine into those of the image. Owners that are recorded
/// are those of the image already.
fn unmap(entry: &mut Entry, map: &IdMap) -> Result<()> {
    let recorded = recorded(&entry.xattrs);
    let (uid, gid) = map.inside(entry.uid, entry.gid);
    let told = |id| Some(id).filter(|id| *id != u32::MAX);
    match (told(recorded.0).or(uid), told(recorded.1).or(gid)) {
        (Some(uid), Some(gid)) => {
            (entry.uid, entry.gid) = (uid, gid);
            Ok(())
        }
        _ => Err(Error::new(Code::Unrepresentable, format!("packing {}", entry.path))
            .found(format!("owner {}:{}", entry.uid, entry.gid))
            .expected("ids within the map: those outside are none of the image's")
            .fix("map more ids, change the owner, or give all files one with --owner")),
    }
}

/// The owner that is recorded for a file; `u32::MAX` where none is.
pub(crate) fn recorded(xattrs: &[(Vec<u8>, Vec<u8>)]) -> (u32, u32) {
    let value = xattrs.iter().find(|(name, _)| name == RECORDED).map(|(_, value)| &value[..]);
    value.and_then(recorded_owner).unwrap_or((u32::MAX, u32::MAX))
}

/// Takes out what belongs to one machine or one way of unpacking.
fn normalise(entry: &mut Entry, options: &Options<'_>, findings: &mut Findings) {
    if let Some((uid, gid)) = options.own {
        entry.uid = if entry.uid == uid { 0 } else { entry.uid };
        entry.gid = if entry.gid == gid { 0 } else { entry.gid };
    }
    let (uid, gid) = recorded(&entry.xattrs);
    entry.uid = if uid == u32::MAX { entry.uid } else { uid };
    entry.gid = if gid == u32::MAX { entry.gid } else { gid };
    if let Some((uid, gid)) = options.owner {
        (entry.uid, entry.gid) = (uid, gid);
    }
    entry.xattrs.retain(|(name, _)| name != RECORDED && name != SELINUX && !is_overlay(name));
    if matches!(entry.kind, EntryKind::Hardlink { .. }) {
        // They are the file's, and told there.
        entry.xattrs.clear();
    }
    let root = options.map.and_then(|map| map.outside(0, 0).0).unwrap_or(0);
    let path = &entry.path;
    entry.xattrs.retain_mut(|(name, value)| {
        let kept = name != CAPABILITY || capability::globalise(value, root);
        if !kept {
            findings.note("capability-left-out", || {
                let what = "a capability of another user namespace is left out";
                Finding::new("capability-left-out", what).at(path)
            });
        }
        kept
    });
    entry.xattrs.sort();
    if let Some(epoch) = options.epoch {
        entry.mtime = entry.mtime.min(Timestamp::from_seconds(epoch));
    }
}

/// Refuses a name that would be read as a whiteout (LY21, WH16).
pub(crate) fn expressible(path: &RelPath, name: &OsStr) -> Result<()> {
    if name.as_bytes().starts_with(WHITEOUT) {
        return Err(Error::new(Code::Unrepresentable, format!("packing {path}"))
            .found("a name that starts with .wh.")
            .expected("another name: in a layer, this one removes files")
            .fix("rename the file, or leave it out"));
    }
    Ok(())
}
