//! PAX records: nothing panics, and an entry that is accepted is what a plain
//! reading of its records makes of it.
#![no_main]

use std::collections::BTreeMap;
use std::io::Read as _;

use libfuzzer_sys::fuzz_target;
use plimsoll_layer::tar::{Entries, Writer};
use plimsoll_layer::{Entry, EntryKind, Limits, RelPath, Timestamp};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    // Lengths that fit are rare: most inputs are lines that get theirs.
    let records = if first % 4 == 0 { rest.to_vec() } else { with_lengths(rest) };
    let limits = Limits { bytes: 1 << 20, extension: 64 << 10, ..Limits::default() };
    let archive = archive(&records, first % 4 == 1);
    let mut entries = Entries::new(&archive[..], limits);
    let Ok(Some((entry, mut body))) = entries.next() else { return };
    let mut content = Vec::new();
    if body.read_to_end(&mut content).is_err() {
        return;
    }
    let records = plain_reading(&records);
    if records.keys().any(|key| key.starts_with(b"GNU.sparse.")) {
        return;
    }
    let value = |key: &str| records.get(key.as_bytes());
    let number = |key: &str| {
        let text = String::from_utf8(value(key)?.clone()).expect("digits");
        Some(text.parse::<u64>().expect("a number"))
    };
    assert_eq!(u64::from(entry.uid), number("uid").unwrap_or(7));
    assert_eq!(u64::from(entry.gid), number("gid").unwrap_or(8));
    let path = value("path").map_or(&b"name"[..], |path| path);
    assert_eq!(entry.path, RelPath::parse(path).expect("it was accepted"));
    match &entry.kind {
        EntryKind::File { size } => {
            assert_eq!(*size, number("size").unwrap_or(5));
            assert_eq!(*size, content.len() as u64);
        }
        EntryKind::Symlink { target } => {
            assert_eq!(target, value("linkpath").map_or(&b"target"[..], |target| target));
        }
        other => panic!("{other:?}"),
    }
    if let Some(mtime) = value("mtime") {
        let text = String::from_utf8(mtime.clone()).expect("digits");
        if let Ok(seconds) = text.parse::<i64>() {
            assert_eq!(entry.mtime, Timestamp::from_seconds(seconds));
        }
    }
    for (key, value) in &records {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            let found = entry.xattrs.iter().find(|(other, _)| other == name);
            assert_eq!(found.map(|(_, value)| value), Some(value));
        }
    }
});

/// Key and value of each record, the last one of a key.
fn plain_reading(mut records: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut read = BTreeMap::new();
    while !records.is_empty() {
        let space = records.iter().position(|byte| *byte == b' ').expect("it was accepted");
        let length = String::from_utf8(records[..space].to_vec()).expect("digits");
        let length: usize = length.parse().expect("a number");
        let record = &records[space + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=').expect("it was accepted");
        read.insert(record[..equals].to_vec(), record[equals + 1..].to_vec());
        records = &records[length..];
    }
    read
}

/// Lines of the form KEY=VALUE become records.
fn with_lengths(lines: &[u8]) -> Vec<u8> {
    let mut records = Vec::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let mut length = line.len() + 3;
        while length != line.len() + 2 + length.to_string().len() {
            length += 1;
        }
        records.extend_from_slice(format!("{length} ").as_bytes());
        records.extend_from_slice(line);
        records.push(b'\n');
    }
    records
}

/// A file or link, with these records before its header.
fn archive(records: &[u8], link: bool) -> Vec<u8> {
    let kind = if link {
        EntryKind::Symlink { target: b"target".to_vec() }
    } else {
        EntryKind::File { size: 5 }
    };
    let entry = Entry {
        path: RelPath::parse(b"name").expect("good"),
        kind,
        mode: 0o644,
        uid: 7,
        gid: 8,
        mtime: Timestamp::from_seconds(9),
        xattrs: Vec::new(),
    };
    let mut writer = Writer::new(Vec::new());
    writer.append(&entry, &b"hello"[..]).expect("good");
    let rest = writer.finish().expect("good");
    let mut archive = rest[..512].to_vec();
    archive[156] = b'x';
    archive[124..135].copy_from_slice(format!("{:011o}", records.len()).as_bytes());
    archive[148..156].copy_from_slice(b"        ");
    let sum: u32 = archive.iter().map(|byte| u32::from(*byte)).sum();
    archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend_from_slice(records);
    archive.resize(archive.len().next_multiple_of(512), 0);
    archive.extend_from_slice(&rest);
    archive
}
