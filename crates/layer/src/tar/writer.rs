//! Writing archives: the same entries give the same bytes, everywhere.
//!
//! What is written, byte for byte: ustar headers. A PAX header comes before
//! one only for what ustar can not hold, with its keys in order of bytes. Its
//! own name, mode and time are always the same. Owner names are empty;
//! device numbers are there for devices only; names of folders end in `/`;
//! the root is `./`. At the end come two zero blocks and no further padding.

use std::io::{self, Read, Write};

use plimsoll_content::{Code, Error, Result};

use super::block::{self, Block};
use crate::entry::{Entry, EntryKind, Timestamp};
use crate::limits;
use crate::path::shown;

/// Output goes on in pieces of this size.
const BUFFER: usize = 128 << 10;

/// The largest values that the octal fields hold with their NUL.
const ID: u32 = 0o7_777_777;
const LENGTH: u64 = 0o77_777_777_777;

/// The header of an entry, byte for byte as [`Writer`] writes it: for those
/// whose content comes in pieces, or whose size is known only at its end.
///
/// Behind the content belongs [`padding`], behind the last entry [`END`].
pub fn header(entry: &Entry) -> Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new());
    writer.header(entry)?;
    writer.drain()?;
    Ok(writer.writer)
}

/// The zeros that belong behind so many bytes of content.
pub fn padding(size: u64) -> &'static [u8] {
    &END[..block::padding(size) as usize]
}

/// The end marker of an archive.
pub const END: &[u8] = &[0; 2 * block::SIZE];

/// Writes an archive as a stream.
///
/// After an error the archive is incomplete and every further call fails.
pub struct Writer<W> {
    writer: W,
    buffer: Box<[u8]>,
    filled: usize,
    broken: bool,
    records: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Starts an archive.
    pub fn new(writer: W) -> Self {
        Self {
            writer,
            buffer: vec![0; BUFFER].into(),
            filled: 0,
            broken: false,
            records: Vec::new(),
        }
    }

    /// Writes one entry. `content` is read for regular files only, and must
    /// have exactly the size that the entry announces (BU02).
    ///
    /// Errors with [`Code::Size`] if it does not, with
    /// [`Code::Unrepresentable`] if an archive can not hold the entry.
    pub fn append(&mut self, entry: &Entry, content: impl Read) -> Result<()> {
        if self.broken {
            return Err(Error::new(Code::Usage, format!("writing entry {}", entry.path))
                .found("an archive that failed before"));
        }
        self.broken = true;
        self.header(entry)?;
        if let EntryKind::File { size } = entry.kind {
            self.content(entry, size, content)?;
        }
        self.broken = false;
        Ok(())
    }

    /// Writes the end marker (two zero blocks), and gives the writer back.
    pub fn finish(mut self) -> Result<W> {
        if self.broken {
            return Err(
                Error::new(Code::Usage, "ending an archive").found("an archive that failed before")
            );
        }
        self.put(&[0; 2 * block::SIZE])?;
        self.drain()?;
        Ok(self.writer)
    }

    fn header(&mut self, entry: &Entry) -> Result<()> {
        check(entry)?;
        let name = name(entry);
        let mut block = Block([0; block::SIZE]);
        let mut records = std::mem::take(&mut self.records);
        records.clear();

        // In the order of the keys' bytes: LINK..., SCHILY..., gid, linkpath,
        // mtime, path, size, uid.
        let mut xattrs: Vec<_> = entry.xattrs.iter().collect();
        xattrs.sort();
        for (key, value) in xattrs {
            record(&mut records, &[b"SCHILY.xattr.", &key[..]].concat(), value);
        }
        block.octal(block::GID, if entry.gid <= ID { entry.gid.into() } else { 0 });
        if entry.gid > ID {
            record(&mut records, b"gid", entry.gid.to_string().as_bytes());
        }
        if let Some(target) = link(&entry.kind) {
            if target.len() > block::LINK.len() {
                record(&mut records, b"linkpath", target);
            }
            block.put(block::LINK, target);
        }
        block.octal(block::MTIME, whole(entry.mtime));
        if Timestamp::from_seconds(whole(entry.mtime) as i64) != entry.mtime {
            record(&mut records, b"mtime", decimal(entry.mtime).as_bytes());
        }
        if let Some((prefix, rest)) = split(&name) {
            block.put(block::PREFIX, prefix);
            block.put(block::NAME, rest);
        } else {
            record(&mut records, b"path", &name);
            block.put(block::NAME, &name);
        }
        let size = if let EntryKind::File { size } = entry.kind { size } else { 0 };
        block.octal(block::LENGTH, if size <= LENGTH { size } else { 0 });
        if size > LENGTH {
            record(&mut records, b"size", size.to_string().as_bytes());
        }
        block.octal(block::UID, if entry.uid <= ID { entry.uid.into() } else { 0 });
        if entry.uid > ID {
            record(&mut records, b"uid", entry.uid.to_string().as_bytes());
        }
        block.octal(block::MODE, entry.mode.into());
        block.0[block::KIND] = flag(&entry.kind);
        if let EntryKind::Char { major, minor } | EntryKind::Block { major, minor } = entry.kind {
            block.octal(block::MAJOR, major.into());
            block.octal(block::MINOR, minor.into());
        }
        block.seal();

        if !records.is_empty() {
            let mut header = Block([0; block::SIZE]);
            header.put(block::NAME, b"././@PaxHeader");
            header.octal(block::MODE, 0o644);
            header.octal(block::UID, 0);
            header.octal(block::GID, 0);
            header.octal(block::LENGTH, records.len() as u64);
            header.octal(block::MTIME, 0);
            header.0[block::KIND] = b'x';
            header.seal();
            self.put(&header.0)?;
            self.put(&records)?;
            self.pad(records.len() as u64)?;
        }
        self.put(&block.0)?;
        self.records = records;
        Ok(())
    }

    fn content(&mut self, entry: &Entry, size: u64, mut content: impl Read) -> Result<()> {
        let wrong = |found: String| {
            Error::new(Code::Size, format!("reading the content of {}", entry.path))
                .found(found)
                .expected(format!("{size} bytes, as its entry says"))
                .fix("leave the file alone while it is packed")
        };
        let failed = |cause| Error::io("reading the content of", &entry.path, cause);
        let mut left = size;
        while left > 0 {
            if self.filled == self.buffer.len() {
                self.drain()?;
            }
            let room = &mut self.buffer[self.filled..];
            let most = room.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let length = read(&mut content, &mut room[..most]).map_err(failed)?;
            if length == 0 {
                return Err(wrong(format!("only {} bytes", size - left)));
            }
            self.filled += length;
            left -= length as u64;
        }
        if read(&mut content, &mut [0]).map_err(failed)? != 0 {
            return Err(wrong(format!("more than {size} bytes")));
        }
        self.pad(size)
    }

    fn pad(&mut self, length: u64) -> Result<()> {
        self.put(&[0; block::SIZE][..block::padding(length) as usize])
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.filled == self.buffer.len() {
                self.drain()?;
            }
            let length = bytes.len().min(self.buffer.len() - self.filled);
            self.buffer[self.filled..][..length].copy_from_slice(&bytes[..length]);
            self.filled += length;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<()> {
        self.writer
            .write_all(&self.buffer[..self.filled])
            .map_err(|cause| Error::io("writing", "a layer archive", cause))?;
        self.filled = 0;
        Ok(())
    }
}

impl<W> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Block {
    /// Zero-padded octal digits and a NUL. The value must fit.
    fn octal(&mut self, field: std::ops::Range<usize>, mut value: u64) {
        let field = &mut self.0[field];
        let digits = field.len() - 1;
        for digit in field[..digits].iter_mut().rev() {
            *digit = b'0' + (value & 7) as u8;
            value >>= 3;
        }
        debug_assert_eq!(value, 0, "the caller checks the range");
    }

    /// As much of the text as the field holds.
    fn put(&mut self, field: std::ops::Range<usize>, text: &[u8]) {
        let length = text.len().min(field.len());
        self.0[field][..length].copy_from_slice(&text[..length]);
    }

    /// Writes magic and checksum.
    fn seal(&mut self) {
        self.0[block::MAGIC].copy_from_slice(b"ustar\x0000");
        self.0[block::CHECKSUM].copy_from_slice(b"        ");
        let sum: u64 = self.0.iter().map(|byte| u64::from(*byte)).sum();
        let field = block::CHECKSUM;
        self.octal(field.start..field.end - 1, sum);
    }
}

/// Refuses what an archive can not hold, or what would read back differently.
fn check(entry: &Entry) -> Result<()> {
    let bad = |found: String, expected: &str| {
        Err(Error::new(Code::Unrepresentable, format!("writing entry {}", entry.path))
            .found(found)
            .expected(expected))
    };
    let folder = matches!(entry.kind, EntryKind::Directory);
    if entry.path.is_root() && !folder {
        return bad("a root that is no folder".into(), "a folder");
    }
    if entry.mode > 0o7777 {
        return bad(format!("mode {:o}", entry.mode), "permission bits only, at most 7777");
    }
    if entry.uid == u32::MAX || entry.gid == u32::MAX {
        return bad(format!("owner {}:{}", entry.uid, entry.gid), "ids below 4294967295");
    }
    match &entry.kind {
        EntryKind::Symlink { target }
            if target.is_empty() || target.len() > limits::LINK || target.contains(&0) =>
        {
            let target = shown(&target[..target.len().min(100)]);
            return bad(format!("link target {target:?}"), "1 to 4095 bytes without NUL");
        }
        EntryKind::Hardlink { target } if target.is_root() || *target == entry.path => {
            return bad(format!("a hard link to {target}"), "another file");
        }
        EntryKind::Char { major, minor } | EntryKind::Block { major, minor }
            if (*major).max(*minor) > ID =>
        {
            return bad(format!("device {major}:{minor}"), "numbers of at most 21 bits");
        }
        EntryKind::File { size } if *size > i64::MAX as u64 => {
            return bad(format!("{size} bytes"), "fewer");
        }
        _ => {}
    }
    for (name, _) in &entry.xattrs {
        if name.is_empty() || name.iter().any(|byte| matches!(byte, 0 | b'=')) {
            return bad(
                format!("extended attribute {:?}", shown(name)),
                "a name without NUL and =, which archives can not hold",
            );
        }
        if entry.xattrs.iter().filter(|(other, _)| other == name).count() > 1 {
            return bad(format!("extended attribute {:?} twice", shown(name)), "each name once");
        }
    }
    Ok(())
}

fn name(entry: &Entry) -> Vec<u8> {
    let mut name = entry.path.as_bytes().to_vec();
    if entry.path.is_root() {
        name.push(b'.');
    }
    if matches!(entry.kind, EntryKind::Directory) {
        name.push(b'/');
    }
    name
}

/// The name as prefix and rest, if ustar can hold it. The prefix is as long
/// as it can be.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= block::NAME.len() {
        return Some((b"", name));
    }
    // The slash goes to neither; the one at the end of a folder's name is no
    // place to split.
    let last = name.len() - 2;
    let slash = name[..=last.min(block::PREFIX.len())].iter().rposition(|byte| *byte == b'/')?;
    let (prefix, rest) = (&name[..slash], &name[slash + 1..]);
    (!prefix.is_empty() && rest.len() <= block::NAME.len()).then_some((prefix, rest))
}

fn link(kind: &EntryKind) -> Option<&[u8]> {
    match kind {
        EntryKind::Symlink { target } => Some(target),
        EntryKind::Hardlink { target } => Some(target.as_bytes()),
        _ => None,
    }
}

fn flag(kind: &EntryKind) -> u8 {
    match kind {
        EntryKind::File { .. } => b'0',
        EntryKind::Hardlink { .. } => b'1',
        EntryKind::Symlink { .. } => b'2',
        EntryKind::Char { .. } => b'3',
        EntryKind::Block { .. } => b'4',
        EntryKind::Directory => b'5',
        EntryKind::Fifo => b'6',
    }
}

/// The full second where the octal field holds it, else 0.
fn whole(time: Timestamp) -> u64 {
    u64::try_from(time.seconds()).ok().filter(|seconds| *seconds <= LENGTH).unwrap_or(0)
}

/// A time as PAX writes it: a decimal number without needless digits.
fn decimal(time: Timestamp) -> String {
    let nanoseconds = i128::from(time.seconds()) * 1_000_000_000 + i128::from(time.nanoseconds());
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let (seconds, rest) =
        (nanoseconds.unsigned_abs() / 1_000_000_000, nanoseconds.unsigned_abs() % 1_000_000_000);
    if rest == 0 {
        return format!("{sign}{seconds}");
    }
    let fraction = format!("{rest:09}");
    format!("{sign}{seconds}.{}", fraction.trim_end_matches('0'))
}

/// Appends `LENGTH KEY=VALUE\n`; the length counts its own digits.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length += 1;
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn read(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_their_own_length() {
        let mut records = Vec::new();
        record(&mut records, b"path", b"x");
        record(&mut records, b"k", &[b'v'; 93]);
        record(&mut records, b"k", &[b'v'; 94]);
        assert!(records.starts_with(b"9 path=x\n99 k=v"));
        assert_eq!(records.len(), 9 + 99 + 101);
        assert!(records[108..].starts_with(b"101 k="));
    }

    #[test]
    fn times_are_exact_decimals() {
        for (seconds, nanoseconds, text) in [
            (0, 0, "0"),
            (1, 500_000_000, "1.5"),
            (-1, 0, "-1"),
            (-1, 500_000_000, "-0.5"),
            (-2, 999_999_999, "-1.000000001"),
            (i64::MIN, 0, "-9223372036854775808"),
        ] {
            let time = Timestamp::new(seconds, nanoseconds).expect("good");
            assert_eq!(decimal(time), text);
        }
    }

    #[test]
    fn names_are_split_at_a_slash() {
        let long = [&[b'a'; 155][..], b"/", &[b'b'; 99], b"/"].concat();
        let (prefix, rest) = split(&long).expect("fits");
        assert_eq!((prefix.len(), rest.len()), (155, 100));
        assert!(split(&[b'a'; 101]).is_none());
        assert!(split(&[&[b'a'; 100][..], b"/"].concat()).is_none());
        assert!(split(&[&[b'a'; 156][..], b"/b"].concat()).is_none());
    }
}
