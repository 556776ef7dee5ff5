//! Packing a tar of a root filesystem: the stack of one archive, in which
//! whiteouts have no place.

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use plimsoll_content::{Code, Error, Result};

use super::index::{Archives, Index};
use super::spool::{self, At};
use super::{Options, Packed, stack};
use crate::codec::{Format, Inflated, is_compressed};
use crate::finding::Finding;

/// How much is read at once.
const CHUNK: usize = 256 << 10;

/// Packs the tree that a tar archive (plain, or in gzip, zstd, xz or bzip2)
/// unpacks to.
///
/// A plain archive in a regular file is read in place; any other is copied to
/// an anonymous file in [`Options::scratch`] first. The index of the entries
/// is held in memory, about 300 bytes each.
///
/// Errors: as [`Entries`](crate::tar::Entries) says for archives that are
/// malformed or unsafe; [`Code::UnsafeEntry`] where unpacking would refuse it
/// (a file as a parent, a hard link to nothing); [`Code::Unrepresentable`] for
/// names that start with `.wh.`; [`Code::Usage`] if a scratch folder is needed
/// and there is none.
pub fn archive<W: Write>(file: &File, out: W, options: &Options<'_>) -> Result<(Packed, W)> {
    let failed = |cause| Error::io("reading", "the archive", cause);
    let regular = file.metadata().map_err(failed)?.is_file();
    let mut start = [0; 512];
    let length = if regular { read_at_most(&mut At::new(file, 0), &mut start) } else { Ok(0) };
    let length = length.map_err(failed)?;
    let spool;
    let mut odd = Vec::new();
    let start = &start[..length];
    let plain = if regular && !is_compressed(start) && Format::detect(start)? == Format::Tar {
        file
    } else {
        (spool, odd) = copy(file, regular, options)?;
        &spool
    };
    let mut index = Index::new(Archives::Tree);
    let (_, _, found) = stack::read(At::new(plain, 0), 0, &mut index, options)?;
    let (mut packed, out) = stack::write(&index, plain, out, options)?;
    let placed = index.findings.into_vec();
    packed.findings.splice(0..0, odd.into_iter().chain(placed).chain(found));
    Ok((packed, out))
}

/// Copies the plain bytes to where they can be read in any order.
fn copy(mut file: &File, regular: bool, options: &Options<'_>) -> Result<(File, Vec<Finding>)> {
    let Some(folder) = options.scratch else {
        return Err(Error::new(Code::Usage, "packing an archive")
            .found("one that is compressed, or is no regular file")
            .expected("a folder for a temporary file")
            .fix("uncompress it to a file"));
    };
    let mut spool = spool::anonymous(folder)?;
    let reading = |cause| Error::io("reading", "the archive", cause);
    if regular {
        file.rewind().map_err(reading)?;
    }
    let mut decoder = Inflated::new(file, &options.limits)?;
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
    let findings = decoder.finish()?;
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
