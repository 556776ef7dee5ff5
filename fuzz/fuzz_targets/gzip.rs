//! Gzip: nothing panics, the budget of output holds, all members are read, and
//! what is accepted gives the same bytes as flate2's reader.
#![no_main]

use std::io::{Read, Write};

use flate2::read::{DeflateDecoder, MultiGzDecoder};
use libfuzzer_sys::fuzz_target;
use plimsoll_layer::Limits;
use plimsoll_layer::codec::{Compression, Decoder, Encoder, Format};

/// Small enough that a bomb shows as a budget that did not hold.
const BYTES: u64 = 1 << 18;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    // Checksums let few changed inputs through: two of three kinds have them
    // right.
    match first % 3 {
        0 => same(rest),
        1 => members(rest),
        _ => round(*first, rest),
    }
});

/// As it is, against another reader.
fn same(stream: &[u8]) {
    let (ours, findings) = read(stream, 4096);
    let (pieces, more_findings) = read(stream, 7);
    // Where an error is noticed depends on how much was asked for.
    assert_eq!(ours.as_ref().ok(), pieces.as_ref().ok(), "however it is asked for");
    assert_eq!(findings, more_findings);
    let Ok(ours) = ours else { return };
    let mut theirs = Vec::new();
    let verdict = MultiGzDecoder::new(stream).take(BYTES + 1).read_to_end(&mut theirs);
    // Zeros behind the last member are an error there and a finding here.
    assert!(verdict.is_ok() || findings > 0, "{verdict:?}");
    assert!(ours == theirs);
}

/// The bytes as raw deflate data, one member behind the other.
fn members(mut data: &[u8]) {
    let (mut stream, mut plain) = (Vec::new(), Vec::new());
    while !data.is_empty() {
        let mut inflate = DeflateDecoder::new(data);
        let mut content = Vec::new();
        let length = inflate.by_ref().take(BYTES + 1).read_to_end(&mut content);
        let taken = inflate.total_in() as usize;
        if length.is_err() || content.len() as u64 > BYTES || taken == 0 {
            break;
        }
        // The reader gives nothing and no error for a stream that is cut.
        let mut crc = flate2::Crc::new();
        crc.update(&content);
        stream.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        stream.extend_from_slice(&data[..taken]);
        stream.extend_from_slice(&crc.sum().to_le_bytes());
        stream.extend_from_slice(&(content.len() as u32).to_le_bytes());
        plain.extend_from_slice(&content);
        data = &data[taken..];
    }
    let (ours, findings) = read(&stream, 4096);
    match ours {
        Ok(ours) => assert!(ours == plain && findings == 0),
        Err(_) => {
            let mut theirs = Vec::new();
            let verdict = MultiGzDecoder::new(&stream[..]).read_to_end(&mut theirs);
            assert!(verdict.is_err() || plain.len() as u64 > BYTES, "refused for nothing");
        }
    }
}

/// What we write, we read.
fn round(first: u8, plain: &[u8]) {
    let level = u32::from(first / 3 % 10);
    let mut encoder = Encoder::new(Compression::Gzip { level }, Vec::new()).expect("a known level");
    encoder.write_all(plain).expect("a vector takes everything");
    let stream = encoder.finish().expect("a vector takes everything");
    let (ours, findings) = read(&stream, 4096);
    assert!(ours.as_deref() == Ok(plain) && findings == 0);
}

/// Reads it all in pieces, within the budget; with the number of findings.
fn read(stream: &[u8], piece: usize) -> (Result<Vec<u8>, String>, usize) {
    let limits = Limits { bytes: BYTES, ..Limits::default() };
    let mut decoder = match Decoder::new(Format::Gzip, stream, &limits) {
        Ok(decoder) => decoder,
        Err(error) => return (Err(error.to_string()), 0),
    };
    let mut plain = Vec::new();
    let mut buffer = vec![0; piece];
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => plain.extend_from_slice(&buffer[..length]),
            Err(error) => return (Err(error.to_string()), 0),
        }
        assert!(plain.len() as u64 <= BYTES, "{} bytes under a budget of {BYTES}", plain.len());
    }
    let (_, findings) = decoder.finish().expect("it was read to its end");
    (Ok(plain), findings.len())
}
