//! Compression (CZ).

use std::os::unix::fs::PermissionsExt as _;

use crate::archive::{GZIP, Layer, TAR, Tar, ZSTD, gzip, zstd};
use crate::case::{layer, paths};
use crate::yard::{As, Yard, optimised};

const LAYER: &str = "E_LAYER";

fn plain() -> Vec<u8> {
    Tar::new().file("a", "x".repeat(2_000)).done()
}

/// A blob that does not become what the config says.
fn blob(media_type: &'static str, blob: Vec<u8>) -> Layer {
    Layer::new(media_type, blob, plain())
}

/// So many zeros in an empty archive, in gzip: a mebibyte is repeated as
/// members, which readers must take for one stream.
fn zeros(compress: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mebibytes = if optimised() { 1_024 } else { 64 };
    compress(&vec![0; 1 << 20]).repeat(mebibytes)
}

#[test]
fn cz01_a_gibibyte_of_zeros_in_gzip() {
    let bomb = zeros(gzip);
    assert!(bomb.len() < 2 << 20);
    // It is read to its end in little memory, and is not what the config says.
    layer(blob(GZIP, bomb)).large().refused("E_DIFF_ID");
    // As a file it is cut off at the size that its header says.
    let mut start = Tar::new().at(124, b"00000001000\0").file("a", "").open();
    start.extend(vec![0; 1 << 20]);
    start.extend(vec![0; 8 << 20]);
    layer(start)
        .accepted_with(&["layer-ratio"], |tree, _| assert_eq!(tree["a"].content.len(), 512));
}

#[test]
fn cz02_a_gibibyte_of_zeros_in_zstd() {
    let bomb = zeros(zstd);
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    layer(blob(ZSTD, bomb)).large().refused("E_DIFF_ID");
}

#[test]
fn cz03_xz() {
    let xz = [&b"\xfd7zXZ\0\0\x04"[..], &[0; 600]].concat();
    layer(blob(GZIP, xz.clone())).refused(LAYER);
    layer(blob(TAR, xz.clone())).refused(LAYER);
    layer(blob("application/vnd.oci.image.layer.v1.tar+xz", xz)).refused_by_unpack("E_MEDIA_TYPE");
}

#[test]
fn cz04_a_zstd_window_of_two_gibibytes() {
    // Descriptors with the exponents 21 and 18 above 2^10.
    for exponent in [21, 18] {
        let frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3, 1, 0, 0];
        layer(blob(ZSTD, frame)).refused("E_LIMIT");
    }
}

#[test]
fn cz05_gzip_in_gzip() {
    let inner = gzip(&plain());
    layer(Layer::new(GZIP, gzip(&inner), inner)).refused(LAYER);
}

#[test]
fn cz06_two_members() {
    let plain = plain();
    let (one, two) = plain.split_at(700);
    layer(blob(GZIP, [gzip(one), gzip(two)].concat()))
        .accepted(|tree, _| assert_eq!(paths(tree), "a"));
    layer(blob(ZSTD, [zstd(one), zstd(two)].concat()))
        .accepted(|tree, _| assert_eq!(paths(tree), "a"));
}

#[test]
fn cz07_garbage_behind_the_last_member() {
    layer(blob(GZIP, [gzip(&plain()), b"garbage".to_vec()].concat())).refused(LAYER);
    layer(blob(ZSTD, [zstd(&plain()), b"garbage".to_vec()].concat())).refused(LAYER);
}

#[test]
fn cz09_a_wrong_checksum_or_length_in_the_second_member() {
    let plain = plain();
    let (one, two) = plain.split_at(700);
    for place in [1, 4, 5, 8] {
        let mut second = gzip(two);
        let at = second.len() - place;
        second[at] ^= 1;
        layer(blob(GZIP, [gzip(one), second].concat())).refused(LAYER);
    }
}

#[test]
fn cz10_a_gzip_header_with_a_path_and_with_a_mebibyte() {
    let with = |flags: u8, field: &[u8]| {
        [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3], field, &gzip(&plain())[10..]].concat()
    };
    layer(blob(GZIP, with(8, b"../../evil\0"))).accepted(|tree, _| assert_eq!(paths(tree), "a"));
    for flags in [8, 16] {
        layer(blob(GZIP, with(flags, &[vec![b'n'; 1 << 20], vec![0]].concat()))).refused("E_LIMIT");
    }
    layer(blob(GZIP, with(2, b"\0\0"))).refused(LAYER);
}

#[test]
fn cz11_a_million_empty_members() {
    let mut blob_bytes = gzip(b"").repeat(1_000_000);
    blob_bytes.extend(gzip(&plain()));
    layer(blob(GZIP, blob_bytes)).large().accepted(|tree, _| assert_eq!(paths(tree), "a"));
}

#[test]
fn cz14_bytes_that_are_not_what_their_media_type_says() {
    for (media_type, bytes) in [
        (GZIP, plain()),
        (GZIP, zstd(&plain())),
        (GZIP, vec![0x8b; 600]),
        (ZSTD, gzip(&plain())),
        (ZSTD, plain()),
        (TAR, gzip(&plain())),
        (TAR, zstd(&plain())),
    ] {
        layer(blob(media_type, bytes)).refused(LAYER);
    }
}

#[test]
fn cz15_a_stream_cut_at_every_byte() {
    // In the program at some places; at all of them in the tests of the codec.
    for compress in [gzip, zstd] {
        let media_type = if compress(b"")[0] == 0x1f { GZIP } else { ZSTD };
        let whole = compress(&plain());
        for length in [1, 5, 12, whole.len() / 2, whole.len() - 5, whole.len() - 1] {
            layer(blob(media_type, whole[..length].to_vec())).refused(LAYER);
        }
    }
}

#[test]
fn cz17_a_decompressor_on_the_path() {
    let programs =
        ["gzip", "gunzip", "zcat", "pigz", "unpigz", "igzip", "zstd", "unzstd", "tar", "xz"];
    for who in As::all() {
        let yard = Yard::new(*who);
        let folder = yard.path("home/bin");
        std::fs::create_dir(&folder).expect("made");
        let marker = yard.path("home/executed");
        for name in programs {
            let path = folder.join(name);
            std::fs::write(&path, format!("#!/bin/sh\n: >{}\n", marker.display()))
                .expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("own");
        }
        yard.image(&[blob(GZIP, gzip(&plain())), Layer::new(ZSTD, zstd(&plain()), plain())]);
        assert_eq!(yard.run_small(&["unpack", "oci:layout:v1", "root"]).code, 0);
        assert_eq!(yard.run_small(&["validate", "oci:layout:v1"]).code, 0);
        assert!(!marker.exists(), "something from the path was executed");
        yard.intact(true);
    }
}
