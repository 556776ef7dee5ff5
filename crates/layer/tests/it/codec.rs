//! Compression both ways, and what attackers do to it.

use std::io::{self, Read, Write};

use plimsoll_content::{Code, Error, Result};
use plimsoll_layer::codec::{Compression, Decoder, Encoder, Format};
use plimsoll_layer::{Finding, Limits};
use proptest::prelude::*;

fn encode(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(compression, Vec::new()).expect("made");
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("ended")
}

fn decode(format: Format, bytes: &[u8]) -> Result<(Vec<u8>, Vec<Finding>)> {
    decode_with(format, bytes, &Limits::default())
}

fn decode_with(format: Format, bytes: &[u8], limits: &Limits) -> Result<(Vec<u8>, Vec<Finding>)> {
    let mut decoder = Decoder::new(format, bytes, limits)?;
    let mut plain = Vec::new();
    decoder.read_to_end(&mut plain).map_err(|cause| Error::io("reading", "a stream", cause))?;
    let (_, findings) = decoder.finish()?;
    Ok((plain, findings))
}

fn refused(format: Format, bytes: &[u8]) -> Code {
    decode(format, bytes).map(|_| ()).expect_err("must be refused").code()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    encode(Compression::Gzip { level: 6 }, bytes)
}

/// A gzip member with a header of its own, and the same data.
fn gzip_with_header(header: &[u8], bytes: &[u8]) -> Vec<u8> {
    [header, &gzip(bytes)[10..]].concat()
}

/// Bytes that do not compress to nothing, from a small generator.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 26) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn encode_with(compression: Compression, bytes: &[u8], threads: usize) -> Vec<u8> {
    let mut encoder = Encoder::with_threads(compression, Vec::new(), threads).expect("made");
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("ended")
}

const ALL: [Compression; 6] = [
    Compression::None,
    Compression::Gzip { level: 0 },
    Compression::Gzip { level: 1 },
    Compression::Gzip { level: 9 },
    Compression::Zstd { level: 1 },
    Compression::Zstd { level: 3 },
];

#[test]
fn what_is_compressed_is_decompressed_at_all_block_limits() {
    for compression in ALL {
        for length in [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 8 << 20, (8 << 20) + 1] {
            let plain = noise(length);
            let packed = encode(compression, &plain);
            let (found, findings) = decode(compression.format(), &packed).expect("our own");
            assert!(found == plain, "{compression} of {length} bytes");
            assert!(findings.is_empty());
        }
    }
}

#[test]
fn bytes_do_not_depend_on_how_they_are_written() {
    let plain = noise((5 << 20) + 321);
    for compression in ALL {
        let whole = encode(compression, &plain);
        for size in [511, 4_096, 1_000_003] {
            let mut encoder = Encoder::new(compression, Vec::new()).expect("made");
            for piece in plain.chunks(size) {
                encoder.write_all(piece).expect("memory");
                encoder.flush().expect("memory");
            }
            assert!(encoder.finish().expect("ended") == whole, "{compression} in {size}");
        }
    }
}

#[test]
fn bytes_do_not_depend_on_the_number_of_threads() {
    let plain = noise((26 << 20) + 321);
    for compression in ALL {
        let one = encode_with(compression, &plain, 1);
        let (found, _) = decode(compression.format(), &one).expect("our own");
        assert!(found == plain, "{compression}");
        for threads in [0, 2, 3, 8, 1000] {
            let many = encode_with(compression, &plain, threads);
            assert!(many == one, "{compression} with {threads} threads");
        }
    }
}

#[test]
fn errors_of_the_writer_end_compression_with_any_number_of_threads() {
    /// Takes some bytes, then breaks.
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 < bytes.len() {
                return Err(Error::new(Code::Interrupted, "stopping").into());
            }
            self.0 -= bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let plain = noise(9 << 20);
    for compression in [Compression::Gzip { level: 1 }, Compression::Zstd { level: 1 }] {
        for threads in [1, 3] {
            for room in [0, 100, 1 << 20] {
                let mut encoder =
                    Encoder::with_threads(compression, Full(room), threads).expect("made");
                let code = |error| Error::io("writing", "it", error).code();
                let written = encoder.write_all(&plain);
                if let Err(error) = written {
                    assert_eq!(code(error), Code::Interrupted);
                    // A stream with a hole in it must not go on.
                    assert_eq!(code(encoder.write(b"x").expect_err("broken")), Code::Usage);
                    assert_eq!(encoder.finish().map(|_| ()).expect_err("no").code(), Code::Usage);
                } else {
                    let error = encoder.finish().map(|_| ()).expect_err("no room");
                    assert_eq!(error.code(), Code::Interrupted);
                }
            }
        }
    }
}

#[test]
fn the_gzip_header_is_fixed() {
    assert_eq!(gzip(b"")[..], *b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03\0\0\0\0\0\0\0\0\0");
    assert_eq!(
        encode(Compression::Gzip { level: 1 }, b"x")[..10],
        *b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"
    );
    assert_eq!(
        encode(Compression::Gzip { level: 9 }, b"x")[..10],
        *b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
    );
}

#[test]
fn cz01_cz02_bombs_stop_at_the_budget_of_output() {
    let limits = Limits { bytes: 10 << 20, ..Limits::default() };
    let zeros = vec![0; 11 << 20];
    for compression in [Compression::Gzip { level: 9 }, Compression::Zstd { level: 3 }] {
        let bomb = encode(compression, &zeros);
        assert!(bomb.len() < 32 << 10);
        let error = decode_with(compression.format(), &bomb, &limits).map(|_| ());
        assert_eq!(error.expect_err("a bomb").code(), Code::Limit);
        let fits = encode(compression, &zeros[..10 << 20]);
        assert!(decode_with(compression.format(), &fits, &limits).is_ok());
    }
    let error = decode_with(Format::Tar, &zeros, &limits).map(|_| ());
    assert_eq!(error.expect_err("too long").code(), Code::Limit);
}

#[test]
fn cz04_windows_have_a_budget() {
    // A frame header that announces a window of 2 GiB (exponent 21).
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
    assert_eq!(refused(Format::Zstd, &frame), Code::Limit);
    // 128 MiB (exponent 17) are still read.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00];
    assert_eq!(decode(Format::Zstd, &frame).expect("empty").0, b"");
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 18 << 3, 0x01, 0x00, 0x00];
    assert_eq!(refused(Format::Zstd, &frame), Code::Limit);
}

#[test]
fn cz05_gzip_in_gzip_is_no_tar() {
    let (plain, _) = decode(Format::Gzip, &gzip(&gzip(&[0; 4096]))).expect("one layer of it");
    assert_eq!(Format::detect(&plain).expect("known"), Format::Gzip);
    let mut entries = plimsoll_layer::tar::Entries::new(&plain[..], Limits::default());
    assert_eq!(entries.next().map(|_| ()).expect_err("no tar").code(), Code::Layer);
}

#[test]
fn cz06_cz11_all_members_are_read_in_linear_time() {
    let two = [gzip(b"first, "), gzip(b"second")].concat();
    assert_eq!(decode(Format::Gzip, &two).expect("both").0, b"first, second");
    let mut many = gzip(b"").repeat(100_000);
    many.extend_from_slice(&gzip(b"end"));
    assert_eq!(decode(Format::Gzip, &many).expect("all").0, b"end");

    let skippable = b"\x5a\x2a\x4d\x18\x03\0\0\0toc";
    let frames = |bytes: &[u8]| encode(Compression::Zstd { level: 3 }, bytes);
    let two = [frames(b"first, ").as_slice(), skippable, &frames(b"second"), skippable].concat();
    assert_eq!(decode(Format::Zstd, &two).expect("both").0, b"first, second");
    let many = [skippable.repeat(100_000), frames(b"end")].concat();
    assert_eq!(decode(Format::Zstd, &many).expect("all").0, b"end");
}

#[test]
fn cz07_only_zeros_may_follow_the_last_member() {
    let plain = b"content";
    for garbage in [&b"garbage"[..], b"\x1f", b"\x1f\x8b", b"\0\0\0x", b"\x1f\x8b\x08\0garbage"] {
        assert_eq!(refused(Format::Gzip, &[&gzip(plain), garbage].concat()), Code::Layer);
    }
    for zeros in [1, 512, 300_000] {
        let (found, findings) =
            decode(Format::Gzip, &[gzip(plain), vec![0; zeros]].concat()).expect("tolerated");
        assert_eq!(found, plain);
        assert_eq!(findings[0].name, "gzip-trailing-zeros");
    }
    let frame = encode(Compression::Zstd { level: 3 }, plain);
    for garbage in [&b"garbage"[..], b"\0\0\0\0\0\0\0\0", b"\0", b"\x28\xb5"] {
        assert_eq!(refused(Format::Zstd, &[&frame, garbage].concat()), Code::Layer);
    }
}

#[test]
fn cz09_every_member_is_checked() {
    for place in 1..=8 {
        let mut second = gzip(b"second");
        let at = second.len() - place;
        second[at] ^= 1;
        assert_eq!(refused(Format::Gzip, &[gzip(b"first"), second].concat()), Code::Layer);
    }
    let mut frame = encode(Compression::Zstd { level: 3 }, b"content");
    *frame.last_mut().expect("a checksum") ^= 1;
    assert_eq!(refused(Format::Zstd, &frame), Code::Layer);
}

#[test]
fn cz10_headers_are_skipped_within_a_budget() {
    let header =
        |flags: u8, rest: &[u8]| [&[0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3][..], rest].concat();
    for header in [
        header(8, b"../../evil\0"),
        header(16, b"a comment\0"),
        header(4, b"\x03\0abc"),
        header(4 | 8 | 16, b"\x01\0xname\0comment\0"),
    ] {
        let (plain, _) = decode(Format::Gzip, &gzip_with_header(&header, b"x")).expect("skipped");
        assert_eq!(plain, b"x");
    }
    for flags in [8, 16] {
        let mut long = vec![b'n'; 1 << 20];
        long.push(0);
        let long = header(flags, &long);
        assert_eq!(refused(Format::Gzip, &gzip_with_header(&long, b"x")), Code::Limit);
    }
    // The checksum of a header is checked where there is one.
    let mut crc = flate2::Crc::new();
    crc.update(&header(2, b""));
    let sum = (crc.sum() as u16).to_le_bytes();
    assert!(decode(Format::Gzip, &gzip_with_header(&header(2, &sum), b"x")).is_ok());
    let sum = (crc.sum() as u16 ^ 1).to_le_bytes();
    assert_eq!(refused(Format::Gzip, &gzip_with_header(&header(2, &sum), b"x")), Code::Layer);
    assert_eq!(refused(Format::Gzip, &gzip_with_header(&header(0x20, b""), b"x")), Code::Layer);
}

#[test]
fn cz14_bytes_are_what_the_media_type_says() {
    let tar = vec![0; 1024];
    let zstd = encode(Compression::Zstd { level: 3 }, &tar);
    let xz = [&b"\xfd7zXZ\0"[..], &[0; 600]].concat();
    let brotli = vec![0x8b; 600];
    for (format, bytes, name) in [
        (Format::Gzip, &tar, "tar"),
        (Format::Gzip, &zstd, "zstd"),
        (Format::Gzip, &xz, "xz"),
        (Format::Gzip, &brotli, "no known format"),
        (Format::Gzip, &vec![], "nothing"),
        (Format::Zstd, &gzip(&tar), "gzip"),
        (Format::Zstd, &tar, "tar"),
        (Format::Tar, &gzip(&tar), "gzip"),
        (Format::Tar, &zstd, "zstd"),
        (Format::Tar, &xz, "xz"),
    ] {
        let error = decode(format, bytes).map(|_| ()).expect_err("something else");
        assert_eq!(error.code(), Code::Layer);
        assert!(error.found_text().expect("said").contains(name), "{format}: {error}");
    }
    for (bytes, format) in [(&tar, Format::Tar), (&zstd, Format::Zstd), (&gzip(&tar), Format::Gzip)]
    {
        assert_eq!(Format::detect(bytes).expect("known"), format);
    }
    assert!(Format::detect(&xz).expect_err("xz").to_string().contains("xz"));
    assert!(Format::detect(&brotli).is_err());
}

#[test]
fn cz15_every_truncation_is_seen() {
    let plain = noise(3_000);
    let gzip = [gzip(&plain), gzip(b"second")].concat();
    let first = gzip.len() - self::gzip(b"second").len();
    for length in (0..gzip.len()).filter(|length| *length != first) {
        assert_eq!(refused(Format::Gzip, &gzip[..length]), Code::Layer, "gzip cut at {length}");
    }
    let frame = encode(Compression::Zstd { level: 3 }, &plain);
    let two = [frame.clone(), encode(Compression::Zstd { level: 3 }, b"second")].concat();
    for length in (0..two.len()).filter(|length| *length != frame.len()) {
        assert_eq!(refused(Format::Zstd, &two[..length]), Code::Layer, "zstd cut at {length}");
    }
}

#[test]
fn errors_of_the_reader_below_pass_unchanged() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(Error::new(Code::Digest, "proving a blob").into())
        }
    }
    let start = gzip(&noise(100_000));
    let reader = start[..10_000].chain(Broken);
    let mut decoder = Decoder::new(Format::Gzip, reader, &Limits::default()).expect("started");
    let error = io::copy(&mut decoder, &mut io::sink()).expect_err("broken");
    assert_eq!(Error::io("reading", "it", error).code(), Code::Digest);
    assert!(decoder.read(&mut [0]).is_err(), "and it stays broken");
}

#[test]
fn compressions_are_written_as_they_are_read() {
    for text in ["none", "gzip:0", "gzip:9", "zstd:1", "zstd:22"] {
        assert_eq!(text.parse::<Compression>().expect(text).to_string(), text);
    }
    assert_eq!("gzip".parse::<Compression>().expect("good"), Compression::default());
    assert_eq!("zstd".parse::<Compression>().expect("good").to_string(), "zstd:3");
    for text in ["", "gzip:", "gzip:10", "gzip:-1", "zstd:0", "zstd:23", "xz", "none:1", "GZIP"] {
        assert_eq!(text.parse::<Compression>().expect_err(text).code(), Code::Usage);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_and_damaged_streams_do_no_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let limits = Limits { bytes: 1 << 20, ..Limits::default() };
        for compression in [Compression::Gzip { level: 6 }, Compression::Zstd { level: 3 }] {
            let format = compression.format();
            let magic: &[u8] = if format == Format::Gzip { b"\x1f\x8b\x08\0" } else { b"\x28\xb5\x2f\xfd" };
            let _ = decode_with(format, &[magic, &bytes].concat(), &limits);
            let mut packed = encode(compression, &bytes);
            for (place, byte) in &damage {
                let place = place.index(packed.len());
                packed[place] = *byte;
            }
            if let Ok((plain, _)) = decode_with(format, &packed, &limits) {
                // What is not covered by a checksum does not change content.
                prop_assert_eq!(plain, bytes.clone());
            }
        }
    }
}
