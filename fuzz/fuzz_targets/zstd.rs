//! Zstd: nothing panics, the budgets of output and of the window hold, all
//! frames are read, and the library's own reader gives the same bytes.
#![no_main]

use std::io::{Read, Write};

use libfuzzer_sys::fuzz_target;
use plimsoll_layer::Limits;
use plimsoll_layer::codec::{Compression, Decoder, Encoder, Format};

/// Small enough that a bomb shows as a budget that did not hold.
const BYTES: u64 = 1 << 18;

/// The largest window, and its exponent.
const WINDOW: u64 = 1 << 20;
const WINDOW_LOG: u32 = 20;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    if first % 4 == 0 {
        round(*first, rest);
    } else {
        same(rest);
    }
});

/// Against the library's own loop over frames.
fn same(stream: &[u8]) {
    let ours = read(stream, 4096);
    assert_eq!(ours.as_ref().ok(), read(stream, 7).as_ref().ok(), "however it is asked for");
    let mut theirs = Vec::new();
    let verdict = zstd::stream::read::Decoder::new(stream).and_then(|mut decoder| {
        decoder.window_log_max(WINDOW_LOG)?;
        decoder.take(BYTES + 1).read_to_end(&mut theirs)
    });
    match (ours, verdict) {
        (Ok(ours), Ok(_)) => assert!(ours == theirs),
        (Ok(_), Err(error)) => panic!("only we accept it: {error}"),
        // No bytes at all are no stream here, and none there.
        (Err(_), Ok(_)) => assert!(stream.len() < 4 || theirs.len() as u64 > BYTES),
        (Err(_), Err(_)) => {}
    }
}

/// What we write, we read.
fn round(first: u8, plain: &[u8]) {
    let level = i32::from(first / 4 % 22) + 1;
    let mut encoder = Encoder::new(Compression::Zstd { level }, Vec::new()).expect("a known level");
    encoder.write_all(plain).expect("a vector takes everything");
    let stream = encoder.finish().expect("a vector takes everything");
    assert!(read(&stream, 4096).as_deref() == Ok(plain));
}

/// Reads it all in pieces, within the budgets.
fn read(stream: &[u8], piece: usize) -> Result<Vec<u8>, String> {
    let limits = Limits { bytes: BYTES, zstd_window: WINDOW, ..Limits::default() };
    let mut decoder =
        Decoder::new(Format::Zstd, stream, &limits).map_err(|error| error.to_string())?;
    let mut plain = Vec::new();
    let mut buffer = vec![0; piece];
    loop {
        match decoder.read(&mut buffer).map_err(|error| error.to_string())? {
            0 => break,
            length => plain.extend_from_slice(&buffer[..length]),
        }
        assert!(plain.len() as u64 <= BYTES, "{} bytes under a budget of {BYTES}", plain.len());
    }
    decoder.finish().expect("it was read to its end");
    Ok(plain)
}
