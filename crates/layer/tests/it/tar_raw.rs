//! Archives made by hand, so that every byte can be wrong.

use std::io::Read;

use plimsoll_content::Result;
use plimsoll_layer::tar::Entries;
use plimsoll_layer::{Entry, Finding, Limits};

/// The two zero blocks at the end of an archive.
pub(crate) const END: [u8; 1024] = [0; 1024];

/// A header block in the making: a POSIX one for an empty file of root's.
pub(crate) struct Header([u8; 512]);

impl Header {
    pub(crate) fn new(name: &[u8], kind: u8) -> Self {
        let mut header = Self([0; 512]);
        header.0[156] = kind;
        header.set(0, name).mode(0o644).id(108, 0).id(116, 0).size(0).set(136, b"00000000000\0");
        header.set(257, b"ustar\x0000");
        header
    }

    pub(crate) fn gnu(name: &[u8], kind: u8) -> Self {
        let mut header = Self::new(name, kind);
        header.set(257, b"ustar  \0");
        header
    }

    /// Any bytes at any place.
    pub(crate) fn set(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn mode(&mut self, mode: u32) -> &mut Self {
        self.set(100, format!("{mode:07o}\0").as_bytes())
    }

    pub(crate) fn id(&mut self, at: usize, id: u32) -> &mut Self {
        self.set(at, format!("{id:07o}\0").as_bytes())
    }

    pub(crate) fn size(&mut self, size: u64) -> &mut Self {
        self.set(124, format!("{size:011o}\0").as_bytes())
    }

    pub(crate) fn link(&mut self, target: &[u8]) -> &mut Self {
        self.set(157, target)
    }

    /// The block with its checksum.
    pub(crate) fn seal(&mut self) -> Vec<u8> {
        seal(&mut self.0);
        self.0.to_vec()
    }
}

/// Writes the checksum of a header block.
pub(crate) fn seal(block: &mut [u8]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block[..512].iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// An empty file.
pub(crate) fn empty(name: &[u8]) -> Vec<u8> {
    Header::new(name, b'0').seal()
}

/// A file with content.
pub(crate) fn file(name: &[u8], content: &[u8]) -> Vec<u8> {
    [Header::new(name, b'0').size(content.len() as u64).seal(), padded(content)].concat()
}

/// A header of type `x`, `g`, `L` or `K` with its content.
pub(crate) fn extended(kind: u8, content: &[u8]) -> Vec<u8> {
    [Header::new(b"extended", kind).size(content.len() as u64).seal(), padded(content)].concat()
}

/// A PAX header.
pub(crate) fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let records: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
    extended(b'x', &records)
}

/// One PAX record.
pub(crate) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest..rest + 9).find(|length| *length == rest + length.to_string().len());
    let length = length.expect("there is one");
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// Content with its padding.
pub(crate) fn padded(content: &[u8]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    bytes.resize(content.len().next_multiple_of(512), 0);
    bytes
}

/// All that an archive holds.
pub(crate) type Listing = (Vec<(Entry, Vec<u8>)>, Vec<Finding>);

/// Reads an archive to its end.
pub(crate) fn read(archive: &[u8]) -> Result<Listing> {
    read_with(archive, Limits::default())
}

/// Reads an archive to its end, within other budgets.
pub(crate) fn read_with(archive: &[u8], limits: Limits) -> Result<Listing> {
    let mut entries = Entries::new(archive, limits);
    let mut list = Vec::new();
    while let Some((entry, mut body)) = entries.next()? {
        let mut content = Vec::new();
        body.read_to_end(&mut content)
            .map_err(|cause| plimsoll_content::Error::io("reading", "a body", cause))?;
        list.push((entry, content));
    }
    let (_, findings) = entries.finish()?;
    Ok((list, findings))
}

/// The names of the findings.
pub(crate) fn names(listing: &Listing) -> Vec<&'static str> {
    listing.1.iter().map(|finding| finding.name).collect()
}
