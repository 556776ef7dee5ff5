//! Archives: nothing panics, budgets hold, and what was read can be written,
//! and reads as the same then.
#![no_main]

use std::io::Read as _;

use libfuzzer_sys::fuzz_target;
use plimsoll_content::Code;
use plimsoll_layer::tar::{Entries, Writer};
use plimsoll_layer::{Entry, EntryKind, Limits};

/// Small enough that a bomb shows as a budget that did not hold.
const BYTES: u64 = 1 << 20;

fn limits() -> Limits {
    Limits { entries: 1_000, bytes: BYTES, extension: 64 << 10, ..Limits::default() }
}

fuzz_target!(|bytes: &[u8]| {
    // The first byte says whether checksums are mended, without which few
    // inputs get beyond the first header.
    let Some((first, archive)) = bytes.split_first() else { return };
    let mut archive = archive.to_vec();
    if first % 4 != 0 {
        mend(&mut archive);
    }
    let Some(read) = read(&archive) else { return };

    let mut writer = Writer::new(Vec::new());
    let mut kept = Vec::new();
    for (entry, content) in read {
        match writer.append(&entry, &content[..]) {
            Ok(()) => kept.push((entry, content)),
            Err(error) if error.code() == Code::Unrepresentable => return,
            Err(error) => panic!("{error}: {entry:?}"),
        }
    }
    let written = writer.finish().expect("a vector takes everything");
    let roomy = Limits { bytes: 64 * BYTES, ..limits() };
    let mut entries = Entries::new(&written[..], roomy);
    for (entry, content) in kept {
        let (same, mut body) =
            entries.next().expect("what we write we read").expect("no entry is lost");
        assert_eq!(same, entry);
        let mut read = Vec::new();
        body.read_to_end(&mut read).expect("with its content");
        assert_eq!(read, content);
    }
    assert!(entries.next().expect("and an end").is_none());
});

fn read(archive: &[u8]) -> Option<Vec<(Entry, Vec<u8>)>> {
    let mut entries = Entries::new(archive, limits());
    let mut read = Vec::new();
    let mut total = 0;
    while let Some((entry, mut body)) = entries.next().ok()? {
        let mut content = Vec::new();
        body.read_to_end(&mut content).ok()?;
        total += content.len() as u64;
        assert!(total <= BYTES, "{total} bytes of content under a budget of {BYTES}");
        match entry.kind {
            EntryKind::File { size } => assert_eq!(size, content.len() as u64),
            _ => assert!(content.is_empty()),
        }
        read.push((entry, content));
    }
    entries.finish().ok()?;
    Some(read)
}

/// Writes the right checksum into what stands where headers are expected.
fn mend(archive: &mut [u8]) {
    let mut at = 0;
    while let Some(block) = archive.get_mut(at..at + 512) {
        if block.iter().all(|byte| *byte == 0) {
            return;
        }
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let digits = block[124..136].iter().take_while(|byte| (b'0'..=b'7').contains(byte));
        let size = digits.fold(0_usize, |size, digit| size << 3 | usize::from(digit - b'0'));
        let held = matches!(block[156], b'0' | 0 | b'7' | b'x' | b'g' | b'L' | b'K' | b'S');
        at += 512 + if held { size.div_ceil(512).min(1 << 20) * 512 } else { 0 };
    }
}
