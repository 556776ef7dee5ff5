//! What is written is read again; what is random never does harm.

use std::io::{self, Read};

use plimsoll_content::Code;
use plimsoll_layer::tar::{self, Chunk, Entries, Writer};
use plimsoll_layer::{Entry, EntryKind, Limits, RelPath, Timestamp};
use proptest::prelude::*;

use crate::tar_raw::{read, seal};

pub(crate) fn entry(path: &[u8], kind: EntryKind) -> Entry {
    Entry {
        path: RelPath::parse(path).expect("a good path"),
        kind,
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: Timestamp::EPOCH,
        xattrs: Vec::new(),
    }
}

fn write(list: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, content) in list {
        writer.append(entry, &content[..]).expect("written");
    }
    writer.finish().expect("ended")
}

fn component() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("a byte of a name", |byte| !matches!(byte, 0 | b'/'));
    let short = prop::collection::vec(byte.clone(), 1..12);
    prop_oneof![4 => short, 1 => prop::collection::vec(byte, 90..=255)]
        .prop_filter("a name", |name| !matches!(&name[..], b"." | b".."))
}

fn path() -> impl Strategy<Value = RelPath> {
    prop::collection::vec(component(), 1..6)
        .prop_map(|parts| RelPath::parse(&parts.join(&b'/')).expect("a good path"))
}

fn kind() -> impl Strategy<Value = (EntryKind, Vec<u8>)> {
    let byte = any::<u8>().prop_filter("no NUL", |byte| *byte != 0);
    let target = prop_oneof![
        prop::collection::vec(byte.clone(), 1..150),
        prop::collection::vec(byte, 1..=4095)
    ];
    let number = || prop_oneof![0..300u32, 0..=0o7_777_777u32];
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..2_000)
            .prop_map(|content| (EntryKind::File { size: content.len() as u64 }, content)),
        2 => Just((EntryKind::Directory, Vec::new())),
        2 => target.prop_map(|target| (EntryKind::Symlink { target }, Vec::new())),
        1 => path().prop_map(|target| (EntryKind::Hardlink { target }, Vec::new())),
        1 => (number(), number())
            .prop_map(|(major, minor)| (EntryKind::Char { major, minor }, Vec::new())),
        1 => (number(), number())
            .prop_map(|(major, minor)| (EntryKind::Block { major, minor }, Vec::new())),
        1 => Just((EntryKind::Fifo, Vec::new())),
    ]
}

fn time() -> impl Strategy<Value = Timestamp> {
    let seconds = prop_oneof![0..2_000_000_000i64, -10..10i64, any::<i64>()];
    let nanoseconds = prop_oneof![Just(0), 0..1_000_000_000u32];
    (seconds, nanoseconds).prop_map(|(s, n)| Timestamp::new(s, n).expect("below a second"))
}

fn xattrs() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let byte = any::<u8>().prop_filter("a byte of a name", |byte| !matches!(byte, 0 | b'='));
    let name = prop::collection::vec(byte, 1..40);
    let value = prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::btree_map(name, value, 0..5).prop_map(|map| map.into_iter().collect()),
    ]
}

prop_compose! {
    fn any_entry()(
        path in path(),
        (kind, content) in kind(),
        mode in 0..=0o7777u32,
        uid in prop_oneof![0..2_000u32, 0..u32::MAX],
        gid in prop_oneof![0..2_000u32, 0..u32::MAX],
        mtime in time(),
        xattrs in xattrs(),
    ) -> (Entry, Vec<u8>) {
        // A hard link to itself is refused.
        let kind = match kind {
            EntryKind::Hardlink { target } if target == path => EntryKind::Fifo,
            kind => kind,
        };
        (Entry { path, kind, mode, uid, gid, mtime, xattrs }, content)
    }
}

/// Reads in an odd way, so that all ways of reading are used.
fn read_in_pieces(archive: &[u8]) -> Vec<(Entry, Vec<u8>)> {
    let mut entries = Entries::new(OneByOne(archive), Limits::default());
    let mut list = Vec::new();
    while let Some((entry, mut body)) = entries.next().expect("good") {
        let mut content = Vec::new();
        while let Some(chunk) = body.chunk().expect("good") {
            match chunk {
                Chunk::Data(bytes) => content.extend_from_slice(bytes),
                Chunk::Hole(length) => content.resize(content.len() + length as usize, 0),
            }
        }
        list.push((entry, content));
    }
    list
}

/// A reader that gives few bytes at a time.
struct OneByOne<'a>(&'a [u8]);

impl Read for OneByOne<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(7);
        self.0.read(&mut buffer[..most])
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(list in prop::collection::vec(any_entry(), 0..8)) {
        let archive = write(&list);
        prop_assert_eq!(archive.len() % 512, 0);
        let (found, findings) = read(&archive).expect("our own");
        prop_assert_eq!(&found, &list);
        // A % in the name of an attribute is the only thing to be said.
        prop_assert!(findings.iter().all(|finding| finding.name == "xattr-percent"));
        prop_assert_eq!(&read_in_pieces(&archive), &list);
        prop_assert_eq!(&write(&found), &archive);
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
        let _ = read(&bytes);
    }

    #[test]
    fn tp37_damaged_archives_do_no_harm(
        list in prop::collection::vec(any_entry(), 1..4),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
        repair in any::<bool>(),
        cut in prop_oneof![Just(None), any::<prop::sample::Index>().prop_map(Some)],
    ) {
        let mut archive = write(&list);
        for (place, byte) in damage {
            let place = place.index(archive.len());
            archive[place] = byte;
            if repair {
                // Right checksums lead the damage deeper.
                let block = place / 512 * 512;
                seal(&mut archive[block..block + 512]);
            }
        }
        if let Some(cut) = cut {
            archive.truncate(cut.index(archive.len()));
        }
        let _ = read(&archive);
    }
}

#[test]
fn bu02_content_has_the_announced_size() {
    let file = entry(b"a", EntryKind::File { size: 5 });
    for content in [&b"1234"[..], b"123456", b""] {
        let mut writer = Writer::new(Vec::new());
        let error = writer.append(&file, content).expect_err("another size");
        assert_eq!(error.code(), Code::Size);
        assert!(writer.append(&file, &b"12345"[..]).is_err(), "the archive is broken");
        assert!(writer.finish().is_err());
    }
}

#[test]
fn what_no_archive_can_hold_is_refused() {
    let good = || entry(b"a", EntryKind::File { size: 0 });
    let xattr = |name: &[u8]| Entry { xattrs: vec![(name.to_vec(), Vec::new())], ..good() };
    let xattr_twice = {
        let name = || (b"user.a".to_vec(), Vec::new());
        Entry { xattrs: vec![name(), name()], ..good() }
    };
    let target = RelPath::parse(b"a").expect("good");
    for entry in [
        entry(b".", EntryKind::Fifo),
        Entry { mode: 0o100_644, ..good() },
        Entry { uid: u32::MAX, ..good() },
        xattr(b""),
        xattr(b"user.a=b"),
        xattr(b"user.a\0b"),
        xattr_twice,
        entry(b"a", EntryKind::Symlink { target: Vec::new() }),
        entry(b"a", EntryKind::Symlink { target: vec![b't'; 4096] }),
        entry(b"a", EntryKind::Hardlink { target }),
        entry(b"a", EntryKind::Hardlink { target: RelPath::root() }),
        entry(b"a", EntryKind::Char { major: 1 << 21, minor: 0 }),
    ] {
        let error = Writer::new(Vec::new()).append(&entry, io::empty()).expect_err("refused");
        assert_eq!(error.code(), Code::Unrepresentable, "{entry:?}");
    }
}

#[test]
fn an_archive_has_one_form() {
    let mut file = entry(b"dir/file", EntryKind::File { size: 3 });
    (file.uid, file.gid, file.mode) = (1000, 100, 0o4755);
    file.mtime = Timestamp::from_seconds(1_700_000_000);
    let list = [(entry(b"", EntryKind::Directory), vec![]), (file, b"abc".to_vec())];
    let archive = write(&list);
    assert_eq!(archive.len(), 512 + 1024 + 1024, "no PAX header, no further padding");
    assert!(archive.starts_with(b"./\0"));
    let header = &archive[512..1024];
    assert!(header.starts_with(b"dir/file\0"));
    assert_eq!(&header[100..148], b"0004755\x000001750\x000000144\x0000000000003\x0014524770400\0");
    assert_eq!(&header[156..157], b"0");
    assert_eq!(&header[257..265], b"ustar\x0000");
    assert!(header[265..].iter().all(|byte| *byte == 0), "no owner names, no device numbers");

    let mut file = entry(&[b'n'; 120], EntryKind::File { size: 0 });
    file.xattrs = vec![(b"user.b".to_vec(), b"\0".to_vec()), (b"user.a".to_vec(), vec![])];
    (file.uid, file.mtime) = (3_000_000, Timestamp::new(-1, 500_000_000).expect("good"));
    let archive = write(&[(file, vec![])]);
    assert!(archive.starts_with(b"././@PaxHeader\0"));
    let records = archive[512..1024].split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
    let records: Vec<_> =
        records.map(|record| String::from_utf8_lossy(&record).into_owned()).collect();
    assert_eq!(records[0], "24 SCHILY.xattr.user.a=");
    assert_eq!(records[1], "25 SCHILY.xattr.user.b=\0");
    assert_eq!(records[2], "14 mtime=-0.5");
    assert_eq!(records[3], format!("130 path={}", "n".repeat(120)));
    assert_eq!(records[4], "15 uid=3000000");
}

#[test]
fn seeking_gives_the_same_entries_and_where_their_content_lies() {
    let sizes = [0u64, 1, 511, 512, 513, 200_000, 1 << 20, 7];
    let list: Vec<_> = sizes
        .iter()
        .enumerate()
        .map(|(number, size)| {
            let content = vec![number as u8; *size as usize];
            (entry(format!("file {number}").as_bytes(), EntryKind::File { size: *size }), content)
        })
        .collect();
    let archive = write(&list);
    let mut entries = Entries::new(io::Cursor::new(&archive[..]), Limits::default()).seeking();
    for (expected, content) in &list {
        let (entry, _) = entries.next().expect("read").expect("an entry");
        assert_eq!(entry, *expected);
        let at = entries.position() as usize;
        assert_eq!(&archive[at..at + content.len()], &content[..], "{}", entry.path);
    }
    assert!(entries.next().expect("read").is_none());
}

#[test]
fn a_header_alone_is_that_of_the_archive() {
    let content = b"content".to_vec();
    let file = entry(&[b'n'; 120], EntryKind::File { size: content.len() as u64 });
    let mut pieces = tar::header(&file).expect("a header");
    pieces.extend_from_slice(&content);
    pieces.extend_from_slice(tar::padding(content.len() as u64));
    pieces.extend_from_slice(tar::END);
    assert_eq!(pieces, write(&[(file, content)]));
}
