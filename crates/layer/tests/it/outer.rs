//! Archives in xz and bzip2, which are only read.

use std::io::{Read, Write};

use plimsoll_content::{Code, Error, Result};
use plimsoll_layer::Limits;
use plimsoll_layer::codec::{Compression, Encoder, Inflated, is_compressed};

const TEXT: &[u8] = b"what lies in an xz stream\n";

/// `xz -0` of the text.
const XZ: &str = "fd377a585a000004e6d6b446020021010c0000008f98419c01001977686174206c69657320696e20616e20787a2073747265616d0a0000001e6397868f8e574a0001321a201894301fb6f37d010000000004595a";

/// `xz --lzma2=preset=0,dict=1GiB` of the same.
const WIDE: &str = "fd377a585a000004e6d6b44602002101240000005e1fc7f901001977686174206c69657320696e20616e20787a2073747265616d0a0000001e6397868f8e574a0001321a201894301fb6f37d010000000004595a";

fn hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("ended")
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>> {
    inflate_with(bytes, &Limits::default())
}

fn inflate_with(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>> {
    let mut inflated = Inflated::new(bytes, limits)?;
    let mut plain = Vec::new();
    inflated.read_to_end(&mut plain).map_err(|cause| Error::io("reading", "a stream", cause))?;
    inflated.finish()?;
    Ok(plain)
}

fn refused(bytes: &[u8]) -> Code {
    inflate(bytes).expect_err("refused").code()
}

#[test]
fn whatever_a_file_is_compressed_with_is_inflated() {
    assert_eq!(inflate(&hex(XZ)).expect("xz"), TEXT);
    assert_eq!(inflate(&[hex(XZ), hex(XZ)].concat()).expect("two streams"), [TEXT, TEXT].concat());
    assert_eq!(inflate(&bzip2(TEXT)).expect("bzip2"), TEXT);
    let two = [bzip2(TEXT), bzip2(TEXT)].concat();
    assert_eq!(inflate(&two).expect("two streams"), [TEXT, TEXT].concat());
    for level in [Compression::Gzip { level: 6 }, Compression::Zstd { level: 3 }] {
        let mut encoder = Encoder::new(level, Vec::new()).expect("made");
        encoder.write_all(TEXT).expect("memory");
        let packed = encoder.finish().expect("ended");
        assert!(is_compressed(&packed));
        assert_eq!(inflate(&packed).expect("inflated"), TEXT);
    }
    assert!(is_compressed(&hex(XZ)) && is_compressed(&bzip2(TEXT)) && !is_compressed(TEXT));
}

#[test]
fn cz_what_is_cut_off_or_damaged_is_refused() {
    for packed in [hex(XZ), bzip2(TEXT)] {
        for length in 16..packed.len() {
            assert_eq!(refused(&packed[..length]), Code::Layer, "{length}");
        }
        for at in 12..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x10;
            let read = inflate(&damaged);
            let good = read.as_ref().is_err_and(|error| error.code() != Code::Bug);
            assert!(good || read.is_ok_and(|plain| plain == TEXT), "{at}");
        }
    }
    assert_eq!(refused(&[hex(XZ), b"garbage of any kind".to_vec()].concat()), Code::Layer);
}

#[test]
fn cz_windows_and_lengths_have_limits() {
    assert_eq!(refused(&hex(WIDE)), Code::Limit);
    let short = Limits { bytes: 10, ..Limits::default() };
    for packed in [hex(XZ), bzip2(TEXT), bzip2(&vec![0; 1 << 20])] {
        let error = inflate_with(&packed, &short).expect_err("too long");
        assert_eq!(error.code(), Code::Limit);
    }
}
