//! Layers in another compression, in one pass.

use std::io::Write as _;

use plimsoll_content::{Algorithm, Code, Digest, Error, Result};
use plimsoll_layer::apply::{Announced, Blobs};
use plimsoll_layer::codec::{Compression, Encoder, Format};
use plimsoll_layer::limits::Limits;
use plimsoll_layer::recode::{Options, recode};

/// A blob, and what its proof says.
struct Blob<'a>(&'a [u8], Result<(), Code>);

impl<'a> Blobs for Blob<'a> {
    type Blob = &'a [u8];

    fn open(&mut self, _: usize) -> Result<&'a [u8]> {
        Ok(self.0)
    }

    fn prove(&mut self, _: usize, rest: &'a [u8]) -> Result<()> {
        assert!(rest.is_empty() || self.1.is_err(), "a blob is read to its end");
        self.1.map_err(|code| Error::new(code, "proving"))
    }
}

fn options(compression: Compression) -> Options {
    Options { compression, algorithm: Algorithm::Blake3, threads: 2, limits: Limits::default() }
}

/// Bytes that are no archive: recoding does not look.
fn plain() -> Vec<u8> {
    (0..3_000_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect()
}

fn packed(bytes: &[u8], compression: Compression) -> Vec<u8> {
    let mut encoder = Encoder::new(compression, Vec::new()).expect("made");
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

#[test]
fn the_bytes_are_those_of_compressing_the_plain_layer() {
    let plain = plain();
    let diff_id = Digest::of(Algorithm::Sha256, &plain);
    let all = ["none", "gzip:6", "zstd:3"].map(|text| text.parse::<Compression>().expect("good"));
    for from in all {
        let blob = packed(&plain, from);
        for to in all {
            let layer = Announced { format: from.format(), diff_id: diff_id.clone() };
            let (done, out) =
                recode(Blob(&blob, Ok(())), &layer, Vec::new(), &options(to)).expect("recoded");
            assert_eq!(out, packed(&plain, to), "{from} {to}");
            assert_eq!(done.diff_id, Digest::of(Algorithm::Blake3, &plain));
            assert_eq!(done.bytes, plain.len() as u64);
        }
    }
}

#[test]
fn nothing_passes_that_is_not_proved() {
    let plain = plain();
    let blob = packed(&plain, Compression::default());
    let diff_id = Digest::of(Algorithm::Sha256, &plain);
    let good = Announced { format: Format::Gzip, diff_id: diff_id.clone() };
    let code = |blob: Blob<'_>, layer: &Announced| {
        recode(blob, layer, Vec::new(), &options(Compression::None)).expect_err("refused").code()
    };
    let other = Announced { diff_id: Digest::of(Algorithm::Sha256, b"x"), ..good.clone() };
    assert_eq!(code(Blob(&blob, Ok(())), &other), Code::DiffId);
    assert_eq!(code(Blob(&blob, Err(Code::Digest)), &good), Code::Digest);
    // A broken stream is first of all not the blob that was announced.
    assert_eq!(code(Blob(&blob[..blob.len() / 2], Err(Code::Size)), &good), Code::Size);
    assert_eq!(code(Blob(&blob[..blob.len() / 2], Ok(())), &good), Code::Layer);
    let zstd = Announced { format: Format::Zstd, ..good };
    assert_eq!(code(Blob(&blob, Ok(())), &zstd), Code::Layer);
    let unknown = Announced { format: Format::Gzip, diff_id: "x:y".parse().expect("grammar") };
    assert_eq!(code(Blob(&blob, Ok(())), &unknown), Code::Unverifiable);
}
