//! Layers flattened into one, without unpacking them.

use std::fs::File;
use std::io::{Read, Write};

use plimsoll_content::{Code, Digest, Error, Result};

use super::emit::Emit;
use super::index::{Archives, Index, Lower, Node, Step};
use super::spool::{self, Content, Place, Tee};
use super::{Options, Packed};
use crate::apply::pipe::{Chunks, Plain};
use crate::apply::{Announced, Blobs, Single, Summary, lead};
use crate::codec::Format;
use crate::entry::{Entry, EntryKind};
use crate::path::RelPath;
use crate::tar::Entries;

/// A stack of layers that becomes one: the bytes are those of packing the
/// tree that unpacking all of them would give.
///
/// Each layer is read once, proved, and kept as plain bytes in an anonymous
/// file in [`Options::scratch`]; its entries are placed in an index in
/// memory, of about 300 bytes each. Nothing is written before
/// [`Stack::write`], and a layer that fails takes the stack with it, so only
/// what is proved can get out.
#[derive(Debug)]
pub struct Stack<'a> {
    index: Index,
    lower: Option<Lower>,
    spool: File,
    length: u64,
    options: &'a Options<'a>,
}

impl<'a> Stack<'a> {
    /// A stack without layers.
    ///
    /// Errors with [`Code::Usage`] if there is no scratch folder.
    pub fn new(options: &'a Options<'a>) -> Result<Self> {
        let folder = options.scratch.ok_or_else(|| {
            Error::new(Code::Usage, "flattening layers")
                .found("no folder for a temporary file")
                .expected("one, for the plain bytes of the layers")
        })?;
        let spool = spool::anonymous(folder)?;
        Ok(Self { index: Index::new(Archives::Layers), lower: None, spool, length: 0, options })
    }

    /// Puts a layer on top, reads it to its end, and proves that its plain
    /// bytes are those of `diff_id`. Nothing else is proved: see
    /// [`Stack::layers`].
    ///
    /// Errors: as [`crate::apply::Applier::apply`].
    pub fn layer(
        self,
        blob: impl Read + Send,
        format: Format,
        diff_id: &Digest,
    ) -> Result<(Self, Summary)> {
        let announced = Announced { format, diff_id: diff_id.clone() };
        let mut summary = None;
        let stack = self
            .layers(Single(Some(blob)), &[announced], |_, done| summary = Some(done))
            .map_err(|(_, error)| error)?;
        let missing = || Error::new(Code::Bug, "flattening a layer").found("no summary");
        Ok((stack, summary.ok_or_else(missing)?))
    }

    /// Puts several layers on top, the lowest first, with all proofs.
    ///
    /// Errors: as [`crate::apply::Applier::apply_all`].
    pub fn layers(
        mut self,
        blobs: impl Blobs,
        layers: &[Announced],
        mut done: impl FnMut(usize, Summary),
    ) -> Result<Self, (usize, Error)> {
        let limits = self.options.limits;
        lead(blobs, layers, &limits, |chunks, diff_id| self.one(chunks, diff_id), &mut done)?;
        Ok(self)
    }

    /// Puts the next layer that comes out of `chunks` on top.
    fn one(&mut self, chunks: &mut Chunks, diff_id: &Digest) -> Result<Summary> {
        let plain = Plain::new(chunks, diff_id.computable("a layer")?);
        let tee = Tee { reader: plain, keep: &self.spool };
        let (tee, entries, found) = read(tee, self.length, &mut self.index, self.options)?;
        let passed = tee.reader.finish()?;
        passed.prove(diff_id)?;
        self.length += passed.bytes;
        let placed = std::mem::take(&mut self.index.findings).into_vec();
        Ok(Summary {
            entries,
            bytes: passed.bytes,
            diff_id: passed.diff_id,
            whiteouts: self.index.whiteouts,
            findings: passed.findings.into_iter().chain(found).chain(placed).collect(),
        })
    }

    /// Lets the layers so far lie below: what comes from here on is above
    /// them, for [`Stack::squash`].
    pub fn base(&mut self) {
        self.lower = Some(self.index.lower());
    }

    /// Writes the layer that all of them come to.
    pub fn write<W: Write>(self, out: W) -> Result<(Packed, W)> {
        write(&self.index, &self.spool, out, self.options)
    }

    /// Writes one layer that does to the layers below ([`Stack::base`]) what
    /// those above do; without a base it is all of them. What is gone has
    /// whiteouts only where the layers below have it, and the root has an entry
    /// only if one changed it, whatever [`Options::root`] says.
    pub fn squash<W: Write>(self, out: W) -> Result<(Packed, W)> {
        let options = Options { root: true, ..*self.options };
        let mut emit = Emit::new(out, &options)?;
        for step in self.index.above(&self.lower.unwrap_or_else(Lower::nothing)) {
            match step {
                Step::Gone(folder, name) => emit.whiteout(&folder, &name)?,
                Step::Put(path, node, first) => {
                    put(&mut emit, &self.spool, &path, self.index.node(node), first.as_ref())?;
                }
            }
        }
        emit.finish()
    }
}

/// Reads an archive into the index; its plain bytes lie from `base` on. Gives
/// the reader back, at its end, and how many entries there were.
pub(super) fn read<R: Read>(
    reader: R,
    base: u64,
    index: &mut Index,
    options: &Options<'_>,
) -> Result<(R, u64, Vec<crate::Finding>)> {
    index.begin();
    let mut entries = Entries::new(reader, options.limits);
    let mut count = 0;
    while let Some((entry, body)) = entries.next()? {
        count += 1;
        let segments = body.is_sparse().then(|| body.segments().to_vec());
        let offset = base + entries.position();
        index.add(entry, Place { offset, segments })?;
    }
    let (reader, findings) = entries.finish()?;
    Ok((reader, count, findings))
}

/// Writes what is in the index; its content lies in `plain`.
pub(super) fn write<W: Write>(
    index: &Index,
    plain: &File,
    out: W,
    options: &Options<'_>,
) -> Result<(Packed, W)> {
    let mut emit = Emit::new(out, options)?;
    index.each(|path, node, first| put(&mut emit, plain, path, node, first))?;
    emit.finish()
}

/// Writes one file, whose content lies in `plain`; or a link to its first
/// name, if that was written.
fn put<W: Write>(
    emit: &mut Emit<'_, W>,
    plain: &File,
    path: &RelPath,
    node: &Node,
    first: Option<&RelPath>,
) -> Result<()> {
    let kind = match first {
        Some(target) => EntryKind::Hardlink { target: target.clone() },
        None => node.entry.kind.clone(),
    };
    let size = if let EntryKind::File { size } = kind { size } else { 0 };
    let entry = Entry { path: path.clone(), kind, ..node.entry.clone() };
    emit.entry(entry, Content::new(plain, &node.place, size))
}
