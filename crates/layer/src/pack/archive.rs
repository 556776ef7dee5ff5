//! Packing a tar of a root filesystem: its entries are read once for the
//! tree, sorted, and their content is copied from where it lies.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{Mode, OFlags, openat};

use super::emit::Emit;
use super::index::{Index, Place};
use super::{Options, Packed};
use crate::codec::{Decoder, Format};
use crate::entry::{Entry, EntryKind};
use crate::finding::Finding;
use crate::tar::{Entries, Segment};

/// How much is read at once.
const CHUNK: usize = 256 << 10;

/// Packs the tree that a tar archive (plain, gzip or zstd) unpacks to.
///
/// A plain archive in a regular file is read in place; any other is copied to
/// an anonymous file in [`Options::scratch`] first. The index of the entries
/// is held in memory, about 300 bytes each.
///
/// Errors: as [`Entries`] says for archives that are malformed or unsafe;
/// [`Code::UnsafeEntry`] where unpacking would refuse it (a file as a parent,
/// a hard link to nothing); [`Code::Unrepresentable`] for names that start
/// with `.wh.`; [`Code::Usage`] if a scratch folder is needed and there is
/// none.
pub fn archive<W: Write>(file: &File, out: W, options: &Options<'_>) -> Result<(Packed, W)> {
    let failed = |cause| Error::io("reading", "the archive", cause);
    let regular = file.metadata().map_err(failed)?.is_file();
    let mut start = [0; 512];
    let length = if regular { read_at_most(&mut At::new(file, 0), &mut start) } else { Ok(0) };
    let length = length.map_err(failed)?;
    let spool;
    let mut odd = Vec::new();
    let plain = if regular && Format::detect(&start[..length])? == Format::Tar {
        file
    } else {
        (spool, odd) = copy(file, regular, options)?;
        &spool
    };
    let index = read(plain, options)?;
    let mut emit = Emit::new(out, options)?;
    index.each(|path, node, first| {
        let kind = match first {
            Some(target) => EntryKind::Hardlink { target: target.clone() },
            None => node.entry.kind.clone(),
        };
        let size = if let EntryKind::File { size } = kind { size } else { 0 };
        let entry = Entry { path: path.clone(), kind, ..node.entry.clone() };
        emit.entry(entry, Content::new(plain, &node.place, size))
    })?;
    let (mut packed, out) = emit.finish()?;
    packed.findings.splice(0..0, odd.into_iter().chain(index.findings.into_vec()));
    Ok((packed, out))
}

fn read(plain: &File, options: &Options<'_>) -> Result<Index> {
    let mut index = Index::new();
    let mut entries = Entries::new(At::new(plain, 0), options.limits);
    while let Some((entry, body)) = entries.next()? {
        let segments = body.is_sparse().then(|| body.segments().to_vec());
        let offset = entries.position();
        index.add(entry, Place { offset, segments })?;
    }
    let (_, findings) = entries.finish()?;
    for finding in findings {
        index.findings.push(finding);
    }
    Ok(index)
}

/// Copies the plain bytes to where they can be read in any order.
fn copy(mut file: &File, regular: bool, options: &Options<'_>) -> Result<(File, Vec<Finding>)> {
    let Some(folder) = options.scratch else {
        return Err(Error::new(Code::Usage, "packing an archive")
            .found("one that is compressed, or is no regular file")
            .expected("a folder for a temporary file")
            .fix("uncompress it to a file"));
    };
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let spool = openat(folder, c".", flags, Mode::RUSR | Mode::WUSR);
    let mut spool =
        File::from(spool.map_err(|errno| Error::io("making", "a temporary file", errno.into()))?);
    let reading = |cause| Error::io("reading", "the archive", cause);
    if regular {
        file.rewind().map_err(reading)?;
    }
    let mut start = [0; 512];
    let length = read_at_most(&mut file, &mut start).map_err(reading)?;
    let start = &start[..length];
    let mut decoder = Decoder::new(Format::detect(start)?, start.chain(file), &options.limits)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = read_at_most(&mut decoder, &mut buffer).map_err(reading)?;
        if length == 0 {
            break;
        }
        spool
            .write_all(&buffer[..length])
            .map_err(|cause| Error::io("writing", "a temporary file", cause))?;
    }
    let (_, findings) = decoder.finish()?;
    Ok((spool, findings))
}

/// Fills the buffer unless the end comes before.
fn read_at_most(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Reads a file from a place on, whatever its own position is.
struct At<'a> {
    file: &'a File,
    position: u64,
}

impl<'a> At<'a> {
    fn new(file: &'a File, position: u64) -> Self {
        Self { file, position }
    }
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

/// The content of one file, with zeros where the archive leaves parts out.
struct Content<'a> {
    data: At<'a>,
    segments: Option<std::slice::Iter<'a, Segment>>,
    /// Bytes of zeros, then bytes of data, up to the next segment.
    hole: u64,
    stored: u64,
    position: u64,
    size: u64,
}

impl<'a> Content<'a> {
    fn new(file: &'a File, place: &'a Place, size: u64) -> Self {
        let segments = place.segments.as_ref().map(|list| list.iter());
        let stored = if segments.is_none() { size } else { 0 };
        let data = At::new(file, place.offset);
        Self { data, segments, hole: 0, stored, position: 0, size }
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.hole == 0 && self.stored == 0 {
            match self.segments.as_mut().and_then(Iterator::next) {
                Some(segment) => {
                    self.hole = segment.offset - self.position;
                    self.stored = segment.length;
                }
                None => self.hole = self.size - self.position,
            }
        }
        let stretch = if self.hole > 0 { self.hole } else { self.stored };
        let most = buffer.len().min(usize::try_from(stretch).unwrap_or(usize::MAX));
        let length = if self.hole > 0 {
            buffer[..most].fill(0);
            self.hole -= most as u64;
            most
        } else {
            let length = self.data.read(&mut buffer[..most])?;
            self.stored -= length as u64;
            length
        };
        self.position += length as u64;
        Ok(length)
    }
}
