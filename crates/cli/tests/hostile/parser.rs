//! Archives that readers take differently, or that ask for too much (TP).

use crate::archive::{Layer, Tar, record};
use crate::case::{layer, paths};

const LAYER: &str = "E_LAYER";
const LIMIT: &str = "E_LIMIT";
const UNSAFE: &str = "E_UNSAFE_ENTRY";

/// The header of an empty file.
fn smuggled() -> Vec<u8> {
    Tar::new().file("smuggled", "").open()
}

#[test]
fn tp01_a_size_in_the_pax_header_and_none_in_the_other() {
    let tar = Tar::new().pax("size", "512").file("a", "").raw(smuggled()).file("b", "");
    layer(tar).accepted(|tree, _| assert_eq!(paths(tree), "a b"));
}

#[test]
fn tp02_no_size_in_the_pax_header_and_one_in_the_other() {
    let tar = Tar::new().pax("size", "0").at(124, b"00000001000\0").file("a", "").file("b", "");
    layer(tar).accepted_with(&["tar-two-sizes"], |tree, _| assert_eq!(paths(tree), "a b"));
}

#[test]
fn tp03_a_negative_size() {
    layer(Tar::new().pax("size", "-1").file("a", "")).refused(LAYER);
}

#[test]
fn tp04_a_size_of_25_digits() {
    layer(Tar::new().pax("size", "1".repeat(25)).file("a", "")).refused(LAYER);
}

#[test]
fn tp06_a_record_that_is_longer_than_its_header() {
    layer(Tar::new().extended(b'x', "99 path=x\n").file("a", "")).refused(LAYER);
}

#[test]
fn tp07_a_record_length_of_zero_with_a_sign_or_a_space() {
    for text in ["0 path=x\n", "-9 path=x\n", "+9 path=x\n", " 9 path=x\n", "09 path=x\n"] {
        layer(Tar::new().extended(b'x', text).file("a", "")).refused(LAYER);
    }
}

#[test]
fn tp08_a_record_without_a_line_feed() {
    layer(Tar::new().extended(b'x', "11 path=evil").file("a", "")).refused(LAYER);
}

#[test]
fn tp09_a_nul_in_a_path() {
    layer(Tar::new().pax("path", "good\0evil").file("a", "")).refused(UNSAFE);
    layer(Tar::new().pax("linkpath", "good\0evil").link("a", "t")).refused(UNSAFE);
}

#[test]
fn tp10_a_path_for_all_entries() {
    layer(Tar::new().extended(b'g', record("path", b"x")).file("a", "")).refused(UNSAFE);
    layer(Tar::new().extended(b'g', record("comment", b"as git writes it")).file("a", ""))
        .accepted(|tree, _| assert_eq!(paths(tree), "a"));
}

#[test]
fn tp11_a_hard_link_whose_pax_target_is_absolute() {
    crate::case::image(|yard| {
        let victim = format!("{}/victim", yard.outside());
        vec![Tar::new().pax("linkpath", victim).hard("h", "x").file("h", "evil").into()]
    })
    .refused(UNSAFE);
}

#[test]
fn tp12_a_size_of_minus_one_in_base_256() {
    layer(Tar::new().gnu().at(124, [0xff; 12]).file("a", "")).refused(LAYER);
}

#[test]
fn tp13_the_largest_size_of_all() {
    let mut size = [0xff; 12];
    size[..5].copy_from_slice(&[0x80, 0, 0, 0, 0x7f]);
    layer(Tar::new().gnu().at(124, size).file("a", "")).refused(LIMIT);
}

#[test]
fn tp16_a_long_name_of_a_tebibyte() {
    let mut size = [0; 12];
    size[0] = 0x80;
    size[6] = 1;
    layer(Tar::new().gnu().at(124, size).entry(b'L', "long", b"", b"").raw(vec![b'a'; 4096]))
        .refused(LIMIT);
}

#[test]
fn tp17_a_wrong_checksum_in_the_second_header() {
    let mut second = Tar::new().file("b", "").open();
    second[0] ^= 1;
    layer(Tar::new().file("a", "").raw(second)).refused(LAYER);
}

#[test]
fn tp18_an_archive_that_ends_too_early() {
    let whole = Tar::new().file("a", "x").pax("comment", "c").file("b", vec![7; 700]).open();
    for length in [100, 700, 1_100, 1_800, whole.len() - 600, whole.len() - 1] {
        layer(whole[..length].to_vec()).refused(LAYER);
    }
}

#[test]
fn tp21_an_archive_without_an_end() {
    layer(Tar::new().file("a", "x").open())
        .accepted_with(&["tar-no-end"], |tree, _| assert_eq!(paths(tree), "a"));
}

#[test]
fn tp22_an_unknown_type() {
    layer(Tar::new().file("a", "").entry(b'Z', "odd", b"", b"abc").file("b", ""))
        .tolerated(&["tar-unknown-type"], |tree, _| assert_eq!(paths(tree), "a b"));
}

fn sparse(size: &str) -> Tar {
    Tar::new()
        .pax("GNU.sparse.major", "1")
        .pax("GNU.sparse.minor", "0")
        .pax("GNU.sparse.name", "big")
        .pax("GNU.sparse.realsize", size)
}

#[test]
fn tp26_a_sparse_file_of_four_tebibytes() {
    layer(sparse("4398046511104").file("x", "1\n4398046511104\n0\n")).refused(LIMIT);
}

#[test]
fn tp27_a_sparse_map_that_makes_no_sense() {
    for map in ["10,512,30,10,9000,0", "5000,512,10,512,9000,0", "8995,10,9000,0"] {
        let tar = Tar::new()
            .pax("GNU.sparse.size", "9000")
            .pax("GNU.sparse.numblocks", (map.split(',').count() / 2).to_string())
            .pax("GNU.sparse.map", map);
        layer(tar.file("x", vec![b'd'; 1024])).refused(UNSAFE);
    }
}

#[test]
fn tp28_a_million_blocks_of_a_sparse_map() {
    let piece = b"00000000000\x0000000000000\0";
    let mut block = piece.repeat(21);
    block.resize(512, 0);
    block[504] = 1;
    let tar = Tar::new()
        .gnu()
        .at(386, piece.repeat(4))
        .at(482, [1])
        .at(483, b"00000001000\0")
        .entry(b'S', "s", b"", b"");
    // A tenth of them: the budget is a hundredth.
    layer(tar.raw(block.repeat(100_000))).large().refused(LIMIT);
}

#[test]
fn tp29_a_sparse_map_of_a_hundred_million_pieces() {
    let map = format!("100000000\n{}", "0\n0\n".repeat(1 << 20));
    layer(sparse("1000").file("x", map)).refused(LIMIT);
}

#[test]
fn tp30_a_pax_header_of_64_mib() {
    layer(Tar::new().pax("comment", vec![b'c'; 64 << 20]).file("a", "")).refused(LIMIT);
    layer(Tar::new().pax("comment", vec![b'c'; (1 << 20) - 20]).file("a", ""))
        .accepted(|tree, _| assert_eq!(paths(tree), "a"));
}

#[test]
fn tp32_an_extended_header_that_is_the_last() {
    for kind in *b"LKx" {
        layer(Tar::new().file("a", "").extended(kind, record("path", b"x"))).refused(LAYER);
    }
}

#[test]
fn tp33_fields_of_one_dialect_in_another() {
    for magic in [&b"ustar  \0"[..], &[0; 8], b"ustar 00"] {
        layer(Tar::new().at(257, magic).at(345, b"prefix").file("a", "")).refused(UNSAFE);
    }
    layer(Tar::new().at(345, b"prefix").file("a", ""))
        .accepted(|tree, _| assert_eq!(paths(tree), "prefix prefix/a"));
    layer(Tar::new().at(257, [0; 8]).at(337, b"0000003\0").entry(b'3', "null", b"", b""))
        .refused(UNSAFE);
}

#[test]
fn tp34_numbers_as_nobody_should_write_them() {
    for field in [&b"-000644\0"[..], b"0x00644\0", b"\x00000644\0", b"0000649\0", b"+000644\0"] {
        layer(Tar::new().at(100, field).file("a", "")).refused(LAYER);
    }
    for field in [&b"   644 \0"[..], b"644\0\0\0\0\0", b"00000644"] {
        layer(Tar::new().at(100, field).file("a", ""))
            .accepted(|tree, _| assert_eq!(tree["a"].mode, 0o644));
    }
}

#[test]
fn tp36_a_charset() {
    layer(Tar::new().pax("hdrcharset", "BINARY").pax("path", b"\xe9").file("a", ""))
        .accepted(|tree, _| assert_eq!(paths(tree), r"\xe9"));
}

#[test]
fn tp38_types_that_have_no_place_in_layers() {
    layer(Tar::new().entry(b'7', "seven", b"", b"abc"))
        .accepted_with(&["tar-contiguous"], |tree, _| assert_eq!(tree["seven"].text(), "abc"));
    for kind in *b"VMNAD" {
        layer(Tar::new().gnu().entry(kind, "odd", b"", b"").file("a", ""))
            .tolerated(&["tar-unknown-type"], |tree, _| assert_eq!(paths(tree), "a"));
    }
    layer(Layer::from(Tar::new().entry(b'S', "s", b"", b""))).refused(UNSAFE);
}
