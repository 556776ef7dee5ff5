//! The recorded state of a tree, and the file that holds it.
//!
//! The form is described in `docs/format/state.md`; its bytes depend on the
//! tree and the time of recording alone.

use std::os::fd::BorrowedFd;
use std::thread;
use std::time::Duration;

use plimsoll_content::{Algorithm, Code, Digest, Error, Result};
use rustix::fs::{Mode, OFlags, fstat, openat};

use super::record::{Hash, Record, Veil, ctime, value};
use super::scan::{Look, scan};
use crate::entry::{EntryKind, Timestamp};
use crate::finding::Finding;
use crate::limits::{self, Limits};
use crate::pack::read::failed;
use crate::path::RelPath;

/// What a state begins with: what it is, and which version of it.
const MAGIC: &[u8] = b"plimsoll state 1\n";

/// How long recording waits for the clock of the file system to go on.
const PATIENCE: Duration = Duration::from_millis(40);

/// What is remembered of a tree in order to find later what changed in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct State {
    about: Vec<u8>,
    taken: Timestamp,
    records: Vec<Record>,
}

impl State {
    /// Records what lies below a folder. `about` is kept beside it, for the
    /// caller's purposes.
    ///
    /// Waits for some milliseconds, until whatever changes next will bear
    /// another time than what is recorded.
    pub fn record(tree: BorrowedFd<'_>, about: &[u8]) -> Result<(Self, Vec<Finding>)> {
        let taken = settle(tree)?;
        let found = scan(tree, &Look { closed: true, ..Look::default() })?;
        let state = Self { about: about.to_vec(), taken, records: found.records };
        Ok((state, found.findings.into_vec()))
    }

    /// The same state, with something else said about it.
    pub fn with_about(self, about: &[u8]) -> Self {
        Self { about: about.to_vec(), ..self }
    }

    /// The state of the tree at a later time. What is under a mount by then is
    /// what it was.
    pub(crate) fn next(&self, taken: Timestamp, mut records: Vec<Record>) -> Self {
        let mounts: Vec<RelPath> = records
            .iter()
            .filter(|record| record.veil == Veil::Mount)
            .map(|record| record.path.clone())
            .collect();
        if !mounts.is_empty() {
            records.retain(|record| record.veil != Veil::Mount);
            for mount in mounts {
                let below = self.records.iter().filter(|record| record.path.starts_with(&mount));
                // Groups may be others now: these count as files of one name,
                // and are looked at closely next time.
                records.extend(below.map(|record| Record { group: 0, ..record.clone() }));
            }
            records.sort_by(|one, two| one.path.cmp(&two.path));
        }
        Self { about: self.about.clone(), taken, records }
    }

    /// What the caller gave when it was recorded.
    pub fn about(&self) -> &[u8] {
        &self.about
    }

    /// How many names the tree had, its root included.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing is recorded, not even a root.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Whether every change after the recording bears another time than the
    /// recorded one.
    pub(crate) fn settled(&self, record: &Record) -> bool {
        record.ctime < self.taken && !record.is_folder()
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Out(MAGIC.to_vec());
        out.bytes(&self.about);
        out.time(self.taken);
        out.number(self.records.len() as u64);
        let mut last: &[u8] = b"";
        for record in &self.records {
            let path = record.path.as_bytes();
            let shared = last.iter().zip(path).take_while(|(one, two)| one == two).count();
            out.number(shared as u64);
            out.bytes(&path[shared..]);
            last = path;
            out.record(record);
        }
        let digest = value(&Digest::of(Algorithm::Blake3, &out.0).encoded());
        out.0.extend_from_slice(&digest);
        out.0
    }

    /// Reads the bytes of the file.
    ///
    /// Errors with [`Code::Malformed`] if they are none, with [`Code::Digest`]
    /// if they were changed.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            let known = bytes.starts_with(b"plimsoll state ");
            return Err(bad(if known { "another version of it" } else { "other bytes" })
                .expected("a state of version 1")
                .fix("unpack the image again"));
        };
        let Some((body, digest)) = rest.split_last_chunk::<32>() else {
            return Err(bad("a file that ends too early"));
        };
        let all = &bytes[..bytes.len() - 32];
        if value(&Digest::of(Algorithm::Blake3, all).encoded()) != *digest {
            return Err(Error::new(Code::Digest, DOING)
                .found("bytes that are not those that were written")
                .expected("the digest at the end of the file")
                .fix("unpack the image again"));
        }
        let mut input = In(body);
        let about = input.bytes()?.to_vec();
        let taken = input.time()?;
        let count = input.number()?;
        if count > Limits::default().entries {
            return Err(bad(&format!("{count} records")));
        }
        let mut records: Vec<Record> = Vec::new();
        let mut last: Vec<u8> = Vec::new();
        for _ in 0..count {
            let shared = usize::try_from(input.number()?).unwrap_or(usize::MAX);
            if shared > last.len() {
                return Err(bad("a path that begins with more than there is"));
            }
            last.truncate(shared);
            last.extend_from_slice(input.bytes()?);
            let path = RelPath::parse(&last)?;
            let ordered = records.last().is_none_or(|before| before.path < path);
            if path.as_bytes() != last || !ordered || records.is_empty() != path.is_root() {
                return Err(bad("paths that are not in order"));
            }
            records.push(input.record(path)?);
        }
        if !input.0.is_empty() || records.first().is_none_or(|root| !root.is_folder()) {
            return Err(bad("bytes after the end, or no root"));
        }
        Ok(Self { about, taken, records })
    }
}

/// Waits until the clock of the file system has gone on since everything that
/// is there was made, and gives its time.
pub(super) fn settle(tree: BorrowedFd<'_>) -> Result<Timestamp> {
    let now = || {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = openat(tree, c".", flags, Mode::RUSR)?;
        fstat(file)
    };
    let root = RelPath::root();
    // Where no such file can be made, nothing counts as settled, and content
    // is compared.
    let Ok(first) = now() else { return Ok(Timestamp::from_seconds(i64::MIN)) };
    let first = ctime(&first)?;
    let step = Duration::from_millis(1);
    for _ in 0..PATIENCE.as_millis() {
        let time = ctime(&now().map_err(failed(&root))?)?;
        if time > first {
            return Ok(time);
        }
        thread::sleep(step);
    }
    Ok(first)
}

const DOING: &str = "reading the recorded state of a tree";

fn bad(found: &str) -> Error {
    Error::new(Code::Malformed, DOING).found(found)
}

/// Numbers in groups of seven bits, the lowest first, the eighth bit telling
/// that there are more.
struct Out(Vec<u8>);

/// Bits of the byte that says what a record holds; the lowest three are the
/// kind.
const XATTRS: u8 = 1 << 3;
const GROUP: u8 = 1 << 4;
const CLOSED: u8 = 1 << 5;

impl Out {
    fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn time(&mut self, time: Timestamp) {
        let seconds = time.seconds();
        self.number((seconds << 1 ^ seconds >> 63) as u64);
        self.number(time.nanoseconds().into());
    }

    fn record(&mut self, record: &Record) {
        let kind = match record.kind {
            EntryKind::File { .. } => 0,
            EntryKind::Directory => 1,
            EntryKind::Symlink { .. } => 2,
            EntryKind::Char { .. } => 3,
            EntryKind::Block { .. } => 4,
            EntryKind::Fifo => 5,
            EntryKind::Hardlink { .. } => unreachable!("records are of files, not of links"),
        };
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        self.0.push(
            kind | flag(record.xattrs.is_some(), XATTRS)
                | flag(record.group != 0, GROUP)
                | flag(record.veil == Veil::Closed, CLOSED),
        );
        self.number(record.mode.into());
        self.number(record.uid.into());
        self.number(record.gid.into());
        self.time(record.mtime);
        match &record.kind {
            EntryKind::File { size } => self.number(*size),
            EntryKind::Symlink { target } => self.bytes(target),
            EntryKind::Char { major, minor } | EntryKind::Block { major, minor } => {
                self.number((*major).into());
                self.number((*minor).into());
            }
            _ => {}
        }
        if !record.is_folder() {
            self.number(record.inode);
            self.time(record.ctime);
        }
        if let Some(hash) = &record.xattrs {
            self.0.extend_from_slice(&hash[..]);
        }
        if record.group != 0 {
            self.number(record.group.into());
        }
    }
}

/// The inverse of [`Out`].
struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.0.split_first().ok_or_else(|| bad("an early end"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(bad("a number of more than 64 bits"))
    }

    fn small(&mut self) -> Result<u32> {
        u32::try_from(self.number()?).map_err(|_| bad("a number of more than 32 bits"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(|| bad("an early end"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        self.take(length)
    }

    fn time(&mut self) -> Result<Timestamp> {
        let zigzag = self.number()?;
        let seconds = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        Timestamp::new(seconds, self.small()?)
    }

    fn record(&mut self, path: RelPath) -> Result<Record> {
        let head = self.byte()?;
        let (mode, uid, gid) = (self.small()?, self.small()?, self.small()?);
        let mtime = self.time()?;
        let kind = match head & 7 {
            0 => EntryKind::File { size: self.number()? },
            1 => EntryKind::Directory,
            2 => {
                let target = self.bytes()?.to_vec();
                if target.len() > limits::LINK {
                    return Err(bad("a link target above 4095 bytes"));
                }
                EntryKind::Symlink { target }
            }
            3 => EntryKind::Char { major: self.small()?, minor: self.small()? },
            4 => EntryKind::Block { major: self.small()?, minor: self.small()? },
            5 => EntryKind::Fifo,
            _ => return Err(bad("an unknown kind of file")),
        };
        let folder = kind == EntryKind::Directory;
        let (inode, ctime) =
            if folder { (0, Timestamp::EPOCH) } else { (self.number()?, self.time()?) };
        let xattrs = if head & XATTRS != 0 {
            let hash: Hash = self.take(32)?.try_into().unwrap_or_default();
            Some(Box::new(hash))
        } else {
            None
        };
        let group = if head & GROUP != 0 { self.small()? } else { 0 };
        let veil = if head & CLOSED != 0 { Veil::Closed } else { Veil::None };
        Ok(Record { path, kind, mode, uid, gid, mtime, xattrs, inode, ctime, group, veil })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> State {
        let record = |path: &str, kind| Record {
            path: RelPath::parse(path.as_bytes()).expect("good"),
            kind,
            mode: 0o4755,
            uid: 1000,
            gid: u32::MAX - 1,
            mtime: Timestamp::new(-5, 999_999_999).expect("good"),
            xattrs: None,
            inode: u64::MAX,
            ctime: Timestamp::new(i64::MAX, 1).expect("good"),
            group: 0,
            veil: Veil::None,
        };
        let folder = |path: &str| Record {
            inode: 0,
            ctime: Timestamp::EPOCH,
            ..record(path, EntryKind::Directory)
        };
        let linked = |path: &str| Record {
            group: 7,
            xattrs: Some(Box::new([9; 32])),
            ..record(path, EntryKind::File { size: u64::MAX })
        };
        let records = vec![
            folder(""),
            Record { veil: Veil::Closed, ..folder("a") },
            linked("a/b"),
            linked("a/bc"),
            record("a-b", EntryKind::Symlink { target: b"x/\xff".to_vec() }),
            record("c", EntryKind::Char { major: 1, minor: 1 << 20 }),
            record("d", EntryKind::Block { major: 0, minor: 0 }),
            record("e", EntryKind::Fifo),
        ];
        State { about: b"{}".to_vec(), taken: Timestamp::from_seconds(1 << 33), records }
    }

    #[test]
    fn states_come_back_as_they_were() {
        let state = sample();
        assert_eq!(State::parse(&state.to_bytes()).expect("good"), state);
    }

    #[test]
    fn damaged_states_are_refused_and_never_misread() {
        let bytes = sample().to_bytes();
        for cut in 0..bytes.len() {
            assert!(State::parse(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(State::parse(&other).is_err(), "changed at {at}");
        }
        // With a digest that fits, bytes are still looked at.
        for at in MAGIC.len()..bytes.len() - 32 {
            for change in [1, 0x80, 0xff] {
                let mut other = bytes[..bytes.len() - 32].to_vec();
                other[at] ^= change;
                let digest = value(&Digest::of(Algorithm::Blake3, &other).encoded());
                other.extend_from_slice(&digest);
                let _ = State::parse(&other);
            }
        }
        let error = State::parse(b"plimsoll state 2\nxyz").expect_err("newer");
        assert_eq!(error.code(), Code::Malformed);
        assert!(error.to_string().contains("version"), "{error}");
    }
}
