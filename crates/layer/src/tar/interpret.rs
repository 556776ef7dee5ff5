//! What a header block means, together with the extended headers before it.
//!
//! The measure is what GNU tar, libarchive, Go and Python make of the same
//! bytes: where they extract different trees the entry is refused, and where
//! they agree it is read, with a finding if it is odd.

use std::borrow::Cow;

use plimsoll_content::Code;

use super::block::{self, Block, Dialect};
use super::fault::{Fault, Result};
use super::pax::Pax;
use super::sparse::{self, Form};
use crate::entry::{Entry, EntryKind, Timestamp};
use crate::finding::{Finding, Findings};
use crate::limits;
use crate::path::{RelPath, shown};

/// What precedes a header and belongs to it.
#[derive(Debug, Default)]
pub(super) struct Before<'a> {
    /// The name of a GNU `L` header.
    pub(super) name: Option<&'a [u8]>,
    /// The link target of a GNU `K` header.
    pub(super) link: Option<&'a [u8]>,
    /// The keys of a PAX `x` header.
    pub(super) pax: Option<Pax<'a>>,
}

/// What a header means.
#[derive(Debug)]
pub(super) enum Meaning {
    /// A file of the tree; so many bytes of content follow, padding not
    /// counted, of which a sparse map may be a part.
    Entry { entry: Entry, stored: u64, form: Form },
    /// Nothing that belongs into a file tree.
    Other { stored: u64 },
}

/// Checks that all number fields are readable, in whichever header: some
/// readers take an unreadable one for the end of the archive.
pub(super) fn check_numbers(block: &Block) -> Result<()> {
    for (field, what) in [
        (block::MODE, "mode"),
        (block::UID, "uid"),
        (block::GID, "gid"),
        (block::LENGTH, "size"),
        (block::MTIME, "mtime"),
        (block::MAJOR, "device major"),
        (block::MINOR, "device minor"),
    ] {
        number(block, field, what)?;
    }
    Ok(())
}

/// The path as it is written, for errors as well.
pub(super) fn name<'a>(block: &'a Block, before: &'a Before<'_>) -> Cow<'a, [u8]> {
    let pax = before.pax.as_ref();
    let sparse = pax.and_then(|pax| pax.sparse.as_ref()).and_then(|sparse| sparse.name);
    if let Some(name) = sparse.or(pax.and_then(|pax| pax.path)).or(before.name) {
        return Cow::Borrowed(name);
    }
    let name = block.text(block::NAME);
    let prefix = block.text(block::PREFIX);
    if block.dialect() != Dialect::Posix || prefix.is_empty() {
        return Cow::Borrowed(name);
    }
    Cow::Owned([prefix, b"/", name].concat())
}

/// Reads a header block whose checksum holds.
pub(super) fn meaning(
    block: &Block,
    mut before: Before<'_>,
    strict: bool,
    findings: &mut Findings,
) -> Result<Meaning> {
    let (header_size, size) = sizes(block, &before)?;
    let kind = block.kind();
    let sparse_block = kind == b'S' && block.dialect() == Dialect::Gnu;
    if !matches!(kind, 0 | b'0'..=b'7') && !sparse_block {
        return other(block, &before, size, strict, findings);
    }

    let name = name(block, &before);
    check_prefix(block, &before)?;
    if name.is_empty() {
        return Err(Fault::hostile("an empty name", "a name"));
    }
    if name[0] == b'/' {
        findings.note("path-absolute", || {
            Finding::new("path-absolute", format!("{} is taken below the root", shown(&name)))
        });
    }
    let path = RelPath::parse(&name)?;
    if before.link.is_some() && matches!(kind, b'1' | b'2') && block.0[block::LINK.start] == 0 {
        return Err(Fault::hostile(
            "a long link name before a header without any",
            "its start in the header as well: libarchive makes no link of this one",
        ));
    }
    let mut form = Form::None;
    let kind = match kind {
        0 if name.ends_with(b"/") || block.text(block::NAME).ends_with(b"/") => {
            if name.ends_with(b"/") != block.text(block::NAME).ends_with(b"/") {
                return Err(Fault::hostile(
                    "a / at the end of only one of two names, without a type",
                    "the same in both: readers disagree whether this is a folder",
                ));
            }
            EntryKind::Directory
        }
        0 | b'0' | b'7' | b'S' => {
            if name.ends_with(b"/") {
                return Err(Fault::hostile(
                    "a regular file whose name ends in /",
                    "none: readers disagree whether this is a folder",
                ));
            }
            if kind == b'7' {
                findings.note("tar-contiguous", || {
                    Finding::new("tar-contiguous", "type 7 is read as a regular file").at(&path)
                });
            }
            let (found, size) = regular(block, &before, size)?;
            form = found;
            EntryKind::File { size }
        }
        b'1' => {
            let target = link(block, &before);
            let target = RelPath::parse(target).map_err(|error| {
                let fault = Fault::from(error);
                let target = shown(&target[..target.len().min(limits::PATH)]);
                Fault { found: format!("{} in link target {target}", fault.found), ..fault }
            })?;
            if target.is_root() || target == path {
                return Err(Fault::hostile(
                    format!("a hard link to {target}"),
                    "another file of the layer or of one below",
                ));
            }
            EntryKind::Hardlink { target }
        }
        b'2' => EntryKind::Symlink { target: symlink(link(block, &before))? },
        b'3' | b'4' => device(block, &before, kind)?,
        b'5' => EntryKind::Directory,
        _ => EntryKind::Fifo,
    };
    if path.is_root() && kind != EntryKind::Directory {
        return Err(Fault::hostile("a root that is no folder", "a folder"));
    }
    let file = matches!(kind, EntryKind::File { .. });
    if !file && before.pax.as_ref().is_some_and(|pax| pax.sparse.is_some()) {
        return Err(Fault::layer("a sparse entry that is no file", "a regular file"));
    }
    let stored = if file { size } else { no_content(block, &before, size, &path, findings)? };
    let pax_size = before.pax.as_ref().and_then(|pax| pax.size);
    if pax_size.is_some_and(|size| header_size != 0 && size != header_size) {
        findings.note("tar-two-sizes", || {
            let what = format!("size {size} of the PAX header counts, {header_size} does not");
            Finding::new("tar-two-sizes", what).at(&path)
        });
    }

    let pax = before.pax.take().unwrap_or_default();
    let entry = Entry {
        path,
        kind,
        mode: (number(block, block::MODE, "mode")? & 0o7777) as u32,
        uid: pax.uid.map_or_else(|| id(block, block::UID, "uid"), Ok)?,
        gid: pax.gid.map_or_else(|| id(block, block::GID, "gid"), Ok)?,
        mtime: pax.mtime.map_or_else(|| time(block, findings), Ok)?,
        xattrs: pax.xattrs,
    };
    Ok(Meaning::Entry { entry, stored, form })
}

/// The size in the header, and the one that counts (TP01, TP02).
fn sizes(block: &Block, before: &Before<'_>) -> Result<(u64, u64)> {
    let size = size(block)?;
    Ok((size, before.pax.as_ref().and_then(|pax| pax.size).unwrap_or(size)))
}

/// The size field (TP12, TP13).
pub(super) fn size(block: &Block) -> Result<u64> {
    block
        .number(block::LENGTH)
        .and_then(|size| i64::try_from(size).ok()?.try_into().ok())
        .ok_or_else(|| unreadable(block, block::LENGTH, "size"))
}

/// Types that have no place in a file tree (TP22, TP38).
fn other(
    block: &Block,
    before: &Before<'_>,
    stored: u64,
    strict: bool,
    findings: &mut Findings,
) -> Result<Meaning> {
    let kind = char::from(block.kind()).escape_default().to_string();
    match block.kind() {
        b'S' | b'X' => Err(Fault::hostile(
            format!("type {kind} of another dialect"),
            "a type of POSIX or GNU: readers disagree about this one",
        )),
        _ if strict => {
            Err(Fault::layer(format!("type {kind}"), "a file, folder, link, device or FIFO"))
        }
        _ => {
            findings.note("tar-unknown-type", || {
                let what = format!("{} of type {kind} is skipped", shown(&name(block, before)));
                Finding::new("tar-unknown-type", what)
            });
            Ok(Meaning::Other { stored })
        }
    }
}

/// The prefix field has a meaning in POSIX headers only, but some readers
/// use it in all (TP33).
fn check_prefix(block: &Block, before: &Before<'_>) -> Result<()> {
    let used = before.name.is_none() && before.pax.as_ref().is_none_or(|pax| pax.path.is_none());
    let prefix = &block.0[block::PREFIX];
    let disputed = match block.dialect() {
        // star has times behind the first 131 bytes.
        Dialect::Posix => &block.0[block::TRAILER] == b"tar\0" && !prefix[..131].contains(&0),
        Dialect::Gnu | Dialect::V7 => block.kind() != b'S' && prefix[0] != 0,
    };
    if used && disputed {
        return Err(Fault::hostile(
            format!("{} where some readers look for a prefix of the name", shown(&prefix[..12])),
            "nothing there, in this dialect of tar",
        ));
    }
    Ok(())
}

/// Where the content of a regular file is, and its real size.
fn regular(block: &Block, before: &Before<'_>, size: u64) -> Result<(Form, u64)> {
    let pax = before.pax.as_ref();
    let sparse = pax.and_then(|pax| pax.sparse.as_ref());
    if block.kind() != b'S' {
        // libarchive takes these fields for a map in files of any type.
        if block.dialect() == Dialect::Gnu
            && block.0[block::SPARSE_ALL].iter().any(|byte| *byte != 0)
        {
            return Err(Fault::hostile(
                "a map of a sparse file, in a header of another type",
                "type S, or no map: readers disagree about this one",
            ));
        }
        let Some(keys) = sparse else {
            return Ok((Form::None, size));
        };
        // GNU tar looks for them in POSIX archives only.
        if block.dialect() != Dialect::Posix {
            return Err(Fault::hostile(
                "GNU.sparse keys before a header that is not POSIX's",
                "them in PAX archives only: readers disagree about this one",
            ));
        }
        // Python finds the next header by the real size then.
        if pax.is_some_and(|pax| pax.size.is_some()) {
            return Err(Fault::hostile(
                "a size and GNU.sparse keys in one PAX header",
                "one of them: readers disagree where the next entry is",
            ));
        }
        return sparse::form(keys);
    }
    if sparse.is_some() || pax.is_some_and(|pax| pax.size.is_some()) {
        return Err(Fault::hostile("a sparse file that is described twice", "one description"));
    }
    Ok((Form::Blocks, sparse::real_size(block)?))
}

/// Entries without content may have a size in their header: all readers
/// ignore it, but not one in a PAX header.
fn no_content(
    block: &Block,
    before: &Before<'_>,
    size: u64,
    path: &RelPath,
    findings: &mut Findings,
) -> Result<u64> {
    let announced = before.pax.as_ref().is_some_and(|pax| pax.size.is_some());
    let hardlink = block.kind() == b'1' && block.dialect() == Dialect::Posix;
    if size == 0 {
        return Ok(0);
    }
    if announced || hardlink {
        return Err(Fault::hostile(
            format!("a size of {size} for a type without content"),
            "none: readers disagree whether content follows",
        ));
    }
    findings.note("tar-size-ignored", || {
        let what = format!("size {size} of a type without content is ignored");
        Finding::new("tar-size-ignored", what).at(path)
    });
    Ok(0)
}

fn link<'a>(block: &'a Block, before: &'a Before<'_>) -> &'a [u8] {
    let pax = before.pax.as_ref().and_then(|pax| pax.link);
    pax.or(before.link).unwrap_or_else(|| block.text(block::LINK))
}

fn symlink(target: &[u8]) -> Result<Vec<u8>> {
    if target.is_empty() || target.len() > limits::LINK || target.contains(&0) {
        return Err(Fault::hostile(
            format!(
                "a link target of {} bytes: {:?}",
                target.len(),
                shown(&target[..target.len().min(60)])
            ),
            "1 to 4095 bytes without NUL",
        ));
    }
    Ok(target.to_vec())
}

/// Device numbers. v7 has no place for them, but Python reads them in all
/// dialects; libarchive takes those of a PAX header instead.
fn device(block: &Block, before: &Before<'_>, kind: u8) -> Result<EntryKind> {
    let mut numbers = [0; 2];
    let pax = before.pax.as_ref().map(|pax| pax.device).unwrap_or_default();
    for (place, (field, what)) in
        [(block::MAJOR, "device major"), (block::MINOR, "device minor")].into_iter().enumerate()
    {
        let number = number(block, field.clone(), what)?;
        let other = pax[place].is_some_and(|other| i128::from(other) != number);
        if other || number != 0 && block.dialect() == Dialect::V7 {
            return Err(Fault::hostile(
                format!("{what} {number}, where some readers find another one"),
                "a POSIX or GNU header, and the same number in a PAX header",
            ));
        }
        numbers[place] = u32::try_from(number).map_err(|_| unreadable(block, field, what))?;
    }
    let [major, minor] = numbers;
    Ok(match kind {
        b'3' => EntryKind::Char { major, minor },
        _ => EntryKind::Block { major, minor },
    })
}

/// Owners are numbers that the kernel takes (MD15).
fn id(block: &Block, field: std::ops::Range<usize>, what: &str) -> Result<u32> {
    u32::try_from(number(block, field.clone(), what)?)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or_else(|| Fault { code: Code::UnsafeEntry, ..unreadable(block, field, what) })
}

fn time(block: &Block, findings: &mut Findings) -> Result<Timestamp> {
    let seconds = number(block, block::MTIME, "mtime")?;
    Ok(Timestamp::from_seconds(i64::try_from(seconds).unwrap_or_else(|_| {
        findings.note("time-clamped", || {
            Finding::new("time-clamped", format!("mtime {seconds} is beyond 64 bits"))
        });
        if seconds < 0 { i64::MIN } else { i64::MAX }
    })))
}

fn number(block: &Block, field: std::ops::Range<usize>, what: &str) -> Result<i128> {
    block.number(field.clone()).ok_or_else(|| unreadable(block, field, what))
}

fn unreadable(block: &Block, field: std::ops::Range<usize>, what: &str) -> Fault {
    Fault::layer(
        format!("{what} \"{}\"", block.0[field].escape_ascii()),
        "an octal number, or one in base 256, in the range of its field",
    )
}
