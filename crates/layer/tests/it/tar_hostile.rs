//! Archives that common readers take differently, or that are attacks. The
//! ids are those of the project's list of hostile inputs.

use std::io::{self, Read};

use plimsoll_content::Code;
use plimsoll_layer::tar::{Chunk, Entries};
use plimsoll_layer::{EntryKind, Limits};

use crate::tar_raw::*;

/// Puts parts and an end marker together.
fn archive(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), END.to_vec()].concat()
}

fn refused(parts: &[Vec<u8>]) -> Code {
    let error = read(&archive(parts)).map(|(list, _)| list).expect_err("must be refused");
    assert!(!error.headline().is_empty() && error.found_text().is_some(), "{error:?}");
    error.code()
}

fn paths(listing: &Listing) -> Vec<String> {
    listing.0.iter().map(|(entry, _)| entry.path.to_string()).collect()
}

#[test]
fn tp01_tp02_the_size_of_the_pax_header_counts() {
    let smuggled = empty(b"smuggled");
    let parts = [pax(&[("size", b"512")]), empty(b"a"), smuggled.clone(), empty(b"b")];
    let listing = read(&archive(&parts)).expect("good");
    assert_eq!(paths(&listing), ["a", "b"]);
    assert_eq!(listing.0[0].1, smuggled);
    assert!(names(&listing).is_empty());

    let parts = [pax(&[("size", b"0")]), Header::new(b"a", b'0').size(512).seal(), empty(b"b")];
    let listing = read(&archive(&parts)).expect("good");
    assert_eq!(paths(&listing), ["a", "b"]);
    assert_eq!(names(&listing), ["tar-two-sizes"]);
}

#[test]
fn tp03_tp04_sizes_are_numbers_in_range() {
    for size in
        ["-1", "1234567890123456789012345", "9223372036854775808", "", "0x10", "1.5", "+1", " 1"]
    {
        assert!(
            read(&archive(&[pax(&[("size", size.as_bytes())]), empty(b"a")])).is_err(),
            "{size}"
        );
    }
}

#[test]
fn tp06_to_tp08_records_are_strict() {
    for data in [&b"99 path=x\n"[..], b"0 path=x\n", b"-9 path=x\n", b" 9 path=x\n", b"9 path=ab"] {
        assert_eq!(refused(&[extended(b'x', data), empty(b"a")]), Code::Layer);
    }
}

#[test]
fn tp09_a_nul_ends_no_path_early() {
    assert_eq!(refused(&[pax(&[("path", b"good\0evil")]), empty(b"a")]), Code::UnsafeEntry);
    let link = Header::new(b"a", b'2').link(b"t").seal();
    assert_eq!(refused(&[pax(&[("linkpath", b"t\0evil")]), link]), Code::UnsafeEntry);
    assert_eq!(refused(&[extended(b'L', b"good\0evil\0"), empty(b"a")]), Code::UnsafeEntry);
    assert_eq!(refused(&[extended(b'L', b"\0"), empty(b"a")]), Code::UnsafeEntry);
    assert_eq!(refused(&[extended(b'L', b""), empty(b"a")]), Code::UnsafeEntry);
}

#[test]
fn an_extended_header_ends_where_its_size_says() {
    for (kind, content, more) in [
        (b'x', &b"9 size=3\n"[..], &b"9 path=x\n"[..]),
        (b'g', b"13 comment=a\n", b"9 path=x\n"),
        (b'L', b"good", b"/evil"),
        (b'K', b"good", b"/evil"),
    ] {
        let header = Header::new(b"h", kind).size(content.len() as u64).seal();
        let good = [header.clone(), padded(content)].concat();
        assert!(read(&archive(&[good, file(b"a", b"abc")])).is_ok());
        let bad = [header, padded(&[content, more].concat())].concat();
        assert_eq!(refused(&[bad, file(b"a", b"abc")]), Code::UnsafeEntry);
    }
}

#[test]
fn tp10_a_global_header_says_nothing_about_entries() {
    for key in ["path", "linkpath", "size", "uid", "mtime", "SCHILY.xattr.user.a", "x.unknown"] {
        let global = extended(b'g', &record(key, b"1"));
        assert_eq!(refused(&[global, empty(b"a")]), Code::UnsafeEntry, "{key}");
    }
    let global = extended(b'g', &record("comment", b"28007b3b8f2f"));
    let listing = read(&archive(&[global, empty(b"a")])).expect("as git writes it");
    assert_eq!(paths(&listing), ["a"]);
}

#[test]
fn tp12_tp13_base_256_is_checked_before_anything_is_reserved() {
    let minus_one = Header::gnu(b"x", b'0').set(124, &[0xff; 12]).seal();
    assert_eq!(refused(&[minus_one]), Code::Layer);
    let mut huge = [0xff; 12];
    huge[..5].copy_from_slice(&[0x80, 0, 0, 0, 0x7f]);
    assert_eq!(refused(&[Header::gnu(b"x", b'0').set(124, &huge).seal()]), Code::Limit);
    let mut beyond = [0; 12];
    beyond[..5].copy_from_slice(&[0x80, 0, 0, 0, 0x80]);
    assert_eq!(refused(&[Header::gnu(b"x", b'0').set(124, &beyond).seal()]), Code::Layer);
}

#[test]
fn tp16_tp30_extended_headers_have_a_budget() {
    for kind in *b"LKxg" {
        for size in [(1 << 20) + 1, 64 << 20, 1 << 32] {
            let header = Header::new(b"h", kind).size(size).seal();
            // Endless content: reading it would not end.
            let stream = header.chain(io::repeat(b'a'));
            let mut entries = Entries::new(stream, Limits::default());
            let error = entries.next().map(|_| ()).expect_err("above 1 MiB");
            assert_eq!(error.code(), Code::Limit);
        }
    }
}

#[test]
fn tp17_checksums_hold_in_every_header() {
    let mut second = empty(b"b");
    second[0] ^= 1;
    let error = read(&archive(&[empty(b"a"), second])).map(|_| ()).expect_err("damaged");
    assert_eq!(error.code(), Code::Layer);
    assert!(error.headline().contains("byte 512"), "{error}");

    // As summed up over signed bytes by old writers.
    let mut header = Header::new(b"\xe9", b'0').seal();
    let sum: i32 = header.iter().map(|byte| i32::from(*byte as i8)).sum::<i32>()
        - header[148..156].iter().map(|byte| i32::from(*byte as i8)).sum::<i32>()
        + 8 * 32;
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let listing = read(&archive(&[header])).expect("tolerated");
    assert_eq!(names(&listing), ["tar-signed-checksum"]);
}

#[test]
fn tp18_every_truncation_is_seen() {
    let whole = [
        pax(&[("path", b"long"), ("SCHILY.xattr.user.a", b"1")]),
        file(b"a", &[7; 700]),
        file(b"b", b"x"),
    ]
    .concat();
    assert!(read(&archive(std::slice::from_ref(&whole))).is_ok());
    // Ends that are those of an entry: behind the first file, and of all.
    let whole_entries = [0, whole.len() - 1024, whole.len()];
    for length in 0..whole.len() {
        let error = read(&whole[..length]).err().map(|error| error.code());
        let expected = (!whole_entries.contains(&length)).then_some(Code::Layer);
        assert_eq!(error, expected, "cut at {length}");
    }
}

#[test]
fn tp21_a_missing_end_marker_is_found() {
    for end in [&[0; 0][..], &[0; 512]] {
        let listing = read(&[&empty(b"a"), end].concat()).expect("tolerated");
        assert_eq!(names(&listing), ["tar-no-end"]);
    }
    for end in [&[0; 1024][..], &[0; 10_240]] {
        assert!(names(&read(&[&empty(b"a"), end].concat()).expect("good")).is_empty());
    }
    let listing = read(&[&empty(b"a")[..], &END, &empty(b"hidden")].concat()).expect("ignored");
    assert_eq!(paths(&listing), ["a"]);
    assert_eq!(names(&listing), ["tar-after-end"]);
}

#[test]
fn a_lone_zero_block_is_no_end() {
    let bytes = [&empty(b"a")[..], &[0; 512], &empty(b"b"), &END].concat();
    assert_eq!(read(&bytes).map(|_| ()).expect_err("disputed").code(), Code::UnsafeEntry);
}

#[test]
fn tp22_tp38_types_without_a_place_in_layers() {
    for kind in *b"VMNADZ" {
        let odd = [Header::gnu(b"odd", kind).size(3).seal(), padded(b"abc")].concat();
        let bytes = archive(&[empty(b"a"), odd, empty(b"b")]);
        let listing = read(&bytes).expect("skipped");
        assert_eq!(paths(&listing), ["a", "b"]);
        assert_eq!(names(&listing), ["tar-unknown-type"]);

        let mut entries = Entries::new(&bytes[..], Limits::default()).strict();
        assert!(entries.next().expect("the first").is_some());
        assert_eq!(entries.next().map(|_| ()).expect_err("strict").code(), Code::Layer);
    }
    let listing = read(&archive(&[Header::new(b"c", b'7').seal()])).expect("a file");
    assert_eq!(listing.0[0].0.kind, EntryKind::File { size: 0 });
    assert_eq!(names(&listing), ["tar-contiguous"]);
    for header in [Header::new(b"s", b'S').seal(), Header::new(b"s", b'X').seal()] {
        assert_eq!(refused(&[header]), Code::UnsafeEntry);
    }
}

#[test]
fn tp26_tp29_sparse_sizes_and_maps_have_budgets() {
    let keys = |size: &'static [u8]| {
        pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"big"),
            ("GNU.sparse.realsize", size),
        ])
    };
    let four_tib = [keys(b"4398046511104"), file(b"x", &padded(b"0\n"))].concat();
    assert_eq!(refused(&[four_tib]), Code::Limit);
    let many = [keys(b"1000"), file(b"x", &padded(b"100000000\n"))].concat();
    assert_eq!(refused(&[many]), Code::Limit);
    let endless = [keys(b"1000"), file(b"x", &padded(b"3\n"))].concat();
    assert!(read(&archive(&[endless])).is_err(), "a map longer than its content");
}

#[test]
fn tp27_sparse_maps_make_sense() {
    let sparse = |map: &str, pieces: &str, stored: usize| {
        let keys = pax(&[
            ("GNU.sparse.size", b"9000"),
            ("GNU.sparse.numblocks", pieces.as_bytes()),
            ("GNU.sparse.map", map.as_bytes()),
        ]);
        [keys, file(b"x", &vec![b'd'; stored])].concat()
    };
    let listing = read(&archive(&[sparse("10,512,8990,10", "2", 522)])).expect("good");
    let content = &listing.0[0].1;
    assert_eq!(content.len(), 9_000);
    assert_eq!(content.iter().position(|byte| *byte == b'd'), Some(10));
    for (map, pieces, stored) in [
        ("10,512,30,10,9000,0", "3", 522),
        ("5000,512,10,512,9000,0", "3", 1_024),
        ("8995,10", "1", 10),
        ("10,5,9000,0", "2", 6),
        ("10,5,9000,0", "2", 4),
        ("10,5,9000,0,", "2", 5),
        ("10,5,9000", "2", 5),
        ("10,5,9000,0", "3", 5),
        ("a,5,9000,0", "2", 5),
        // GNU tar pads each piece, and makes the file as long as its map.
        ("10,5,20,5,9000,0", "3", 10),
        ("10,5", "1", 5),
    ] {
        assert!(read(&archive(&[sparse(map, pieces, stored)])).is_err(), "{map}");
    }
}

#[test]
fn tp28_old_gnu_maps_have_a_budget() {
    let mut header = Header::gnu(b"s", b'S');
    header
        .set(386, &b"00000000000\x0000000000000\0".repeat(4))
        .set(482, &[1])
        .set(483, b"00000001000\0");
    let mut bytes = header.seal();
    // Each block holds 21 pieces without data, and says that more follow.
    let piece = b"00000000000\x0000000000000\0";
    let mut block = piece.repeat(21);
    block.resize(512, 0);
    block[504] = 1;
    let stream = bytes.len();
    for _ in 0..1_000 {
        bytes.extend_from_slice(&block);
    }
    assert!(bytes.len() > stream);
    assert_eq!(read(&bytes).map(|_| ()).expect_err("too many").code(), Code::Limit);

    // An end inside, and more behind it, is no attack but a contradiction.
    let mut bytes = header.seal();
    for _ in 0..3 {
        let mut block = vec![0; 512];
        block[504] = 1;
        bytes.extend_from_slice(&block);
    }
    assert_eq!(read(&bytes).map(|_| ()).expect_err("endless").code(), Code::UnsafeEntry);
}

#[test]
fn old_gnu_sparse_files_are_read() {
    let header = Header::gnu(b"s", b'S')
        .size(515)
        .set(386, b"00000000012\x0000000001000\0")
        .set(410, b"00000002000\x0000000000003\0")
        .set(434, b"00000004000\x0000000000000\0")
        .set(483, b"00000004000\0")
        .seal();
    let data = [&[b'a'; 512][..], b"def"].concat();
    let bytes = archive(&[header, padded(&data), empty(b"next")]);
    let mut entries = Entries::new(&bytes[..], Limits::default());
    let (entry, mut body) = entries.next().expect("good").expect("one");
    assert_eq!(entry.kind, EntryKind::File { size: 2048 });
    assert!(body.is_sparse());
    assert_eq!(body.segments().len(), 2);
    assert_eq!(body.chunk().expect("good"), Some(Chunk::Hole(10)));
    assert_eq!(body.chunk().expect("good"), Some(Chunk::Data(&[b'a'; 512])));
    assert_eq!(body.remaining(), 1526);
    assert_eq!(body.chunk().expect("good"), Some(Chunk::Hole(502)));
    assert_eq!(body.chunk().expect("good"), Some(Chunk::Data(b"def")));
    assert_eq!(body.chunk().expect("good"), Some(Chunk::Hole(1021)));
    assert_eq!(body.chunk().expect("good"), None);
    let (entry, _) = entries.next().expect("good").expect("one");
    assert_eq!(entry.path.to_string(), "next");
}

#[test]
fn a_map_belongs_to_its_dialect() {
    let keys = || {
        pax(&[
            ("GNU.sparse.size", b"9000"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.map", b"10,3,9000,0"),
        ])
    };
    let entry = |magic: &[u8]| {
        let header = Header::new(b"a", b'0').size(3).set(257, magic).seal();
        [keys(), header, padded(b"abc")].concat()
    };
    assert!(read(&archive(&[entry(b"ustar\x0000")])).is_ok());
    assert_eq!(refused(&[entry(b"ustar  \0")]), Code::UnsafeEntry);
    assert_eq!(refused(&[entry(b"\0\0\0\0\0\0\0\0")]), Code::UnsafeEntry);
    assert_eq!(refused(&[Header::gnu(b"a", b'0').set(386, b"/").seal()]), Code::UnsafeEntry);
    assert_eq!(refused(&[Header::gnu(b"a", b'0').set(490, b"1").seal()]), Code::UnsafeEntry);
    let folder = Header::new(b"d", b'5').seal();
    assert_eq!(refused(&[keys(), folder]), Code::Layer);
}

#[test]
fn tp32_an_extended_header_needs_an_entry() {
    for header in [extended(b'L', b"x\0"), extended(b'K', b"x\0"), pax(&[("path", b"x")])] {
        assert_eq!(refused(std::slice::from_ref(&header)), Code::Layer);
        assert_eq!(read(&header).map(|_| ()).expect_err("alone").code(), Code::Layer);
    }
}

#[test]
fn two_extended_headers_do_not_compete() {
    let (long, link) = (extended(b'L', b"l\0"), extended(b'K', b"k\0"));
    let (keys, global) = (pax(&[("path", b"p")]), extended(b'g', &record("comment", b"c")));
    for two in [
        [&keys, &keys],
        [&long, &long],
        [&link, &link],
        [&long, &keys],
        [&keys, &long],
        [&keys, &link],
        [&keys, &global],
        [&long, &global],
    ] {
        assert_eq!(refused(&[two[0].clone(), two[1].clone(), empty(b"a")]), Code::UnsafeEntry);
    }
    let symlink = Header::gnu(b"cut", b'2').link(b"cut").seal();
    for two in [[&long, &link], [&link, &long]] {
        let parts = [two[0].clone(), two[1].clone(), symlink.clone()];
        let listing = read(&archive(&parts)).expect("as GNU tar writes it");
        assert_eq!(paths(&listing), ["l"]);
        assert_eq!(listing.0[0].0.kind, EntryKind::Symlink { target: b"k".to_vec() });
    }
    let twice = pax(&[("path", b"p"), ("path", b"q")]);
    assert_eq!(refused(&[twice, empty(b"a")]), Code::UnsafeEntry);
}

#[test]
fn tp33_the_prefix_belongs_to_the_name_in_posix_headers_only() {
    let listing = read(&archive(&[Header::new(b"name", b'0').set(345, b"pre/fix").seal()]));
    assert_eq!(paths(&listing.expect("good")), ["pre/fix/name"]);
    for magic in [&b"ustar  \0"[..], b"\0\0\0\0\0\0\0\0", b"ustar 00", b"USTAR\x0000"] {
        let header = Header::new(b"name", b'0').set(257, magic).set(345, b"prefix").seal();
        assert_eq!(refused(&[header]), Code::UnsafeEntry, "{magic:?}");
        let header = Header::new(b"name", b'0').set(257, magic).seal();
        assert_eq!(paths(&read(&archive(&[header])).expect("good")), ["name"]);
    }
    // star: times behind 131 bytes of prefix.
    let star = |prefix: &[u8]| {
        let mut header = Header::new(b"name", b'0');
        header.set(345, prefix).set(476, b"01234567012 ").set(508, b"tar\0");
        header.seal()
    };
    assert_eq!(paths(&read(&archive(&[star(b"pre")])).expect("good")), ["pre/name"]);
    assert_eq!(refused(&[star(&[b'p'; 131])]), Code::UnsafeEntry);
    // v7 has no type for folders.
    let folder = Header::new(b"d/", 0).set(257, &[0; 8]).seal();
    let listing = read(&archive(&[folder])).expect("good");
    assert_eq!(listing.0[0].0.kind, EntryKind::Directory);
}

#[test]
fn tp34_numbers_have_a_documented_form() {
    for field in [&b"   644 \0"[..], b"644\0\0\0\0\0", b"00000644", b"0000644 "] {
        let header = Header::new(b"a", b'0').set(100, field).seal();
        assert_eq!(read(&archive(&[header])).expect("good").0[0].0.mode, 0o644);
    }
    for field in [&b"-000644\0"[..], b"0x00644\0", b"\x00000644\0", b"0000649\0"] {
        assert_eq!(refused(&[Header::new(b"a", b'0').set(100, field).seal()]), Code::Layer);
    }
}

#[test]
fn an_unreadable_number_is_no_end_in_any_header() {
    // Python ends the archive there, without a word.
    for kind in *b"xgLK05V" {
        for at in [100, 108, 116, 124, 136, 329, 337] {
            let header = Header::new(b"h", kind).set(at, b"00K0000\0").seal();
            assert_eq!(refused(&[empty(b"a"), header, empty(b"b")]), Code::Layer, "{at}");
        }
    }
}

#[test]
fn tp36_charsets_change_no_bytes() {
    let keys = pax(&[("hdrcharset", b"BINARY"), ("path", b"\xe9\xff")]);
    let listing = read(&archive(&[keys, empty(b"a")])).expect("good");
    assert_eq!(listing.0[0].0.path.as_bytes(), b"\xe9\xff");
}

#[test]
fn a_slash_at_the_end_makes_no_second_reading() {
    for kind in *b"07" {
        assert_eq!(refused(&[Header::new(b"d/", kind).seal()]), Code::UnsafeEntry);
    }
    assert_eq!(refused(&[pax(&[("path", b"d/")]), Header::new(b"d", 0).seal()]), Code::UnsafeEntry);
    assert_eq!(refused(&[pax(&[("path", b"d")]), Header::new(b"d/", 0).seal()]), Code::UnsafeEntry);
    // Elsewhere the type is plain.
    let link = Header::new(b"l/", b'2').link(b"t").seal();
    assert_eq!(paths(&read(&archive(&[link])).expect("a link")), ["l"]);
}

#[test]
fn a_size_without_content_is_ignored_or_refused_as_readers_do() {
    for kind in *b"23456" {
        let header = Header::new(b"x", kind).link(b"t").size(512).seal();
        let listing = read(&archive(&[header, empty(b"next")])).expect("all ignore it");
        assert_eq!(paths(&listing), ["x", "next"]);
        assert_eq!(names(&listing), ["tar-size-ignored"]);
        let header = Header::new(b"x", kind).link(b"t").seal();
        assert_eq!(refused(&[pax(&[("size", b"512")]), header]), Code::UnsafeEntry);
    }
    let hardlink = |mut header: Header| header.link(b"t").size(512).seal();
    assert_eq!(refused(&[hardlink(Header::new(b"x", b'1'))]), Code::UnsafeEntry);
    let listing = read(&archive(&[hardlink(Header::gnu(b"x", b'1')), empty(b"next")]));
    assert_eq!(paths(&listing.expect("all ignore it")), ["x", "next"]);
}

#[test]
fn tr02_tr10_nm06_names_of_the_root_and_no_names() {
    let listing = read(&archive(&[empty(b"/abs")])).expect("below the root");
    assert_eq!((paths(&listing), names(&listing)), (vec!["abs".into()], vec!["path-absolute"]));
    let listing = read(&archive(&[Header::new(b"./", b'5').seal()])).expect("the root");
    assert!(listing.0[0].0.path.is_root());
    let link = Header::new(b".", b'2').link(b"t").seal();
    for parts in [empty(b""), empty(b"."), empty(b"/"), link, Header::new(b"", b'5').seal()] {
        assert_eq!(refused(&[parts]), Code::UnsafeEntry);
    }
}

#[test]
fn nm04_nm05_long_names_are_refused_never_cut() {
    let name = [b'n'; 256];
    let error = read(&archive(&[pax(&[("path", &name)]), empty(b"a")])).map(|_| ());
    let error = error.expect_err("above NAME_MAX");
    assert!(error.headline().contains(&"n".repeat(256)), "{error}");
    let path = b"ab/".repeat(1_366);
    assert_eq!(refused(&[pax(&[("path", &path)]), empty(b"a")]), Code::UnsafeEntry);
    let listing = read(&archive(&[pax(&[("path", &path[..4_094])]), empty(b"a")])).expect("good");
    assert_eq!(listing.0[0].0.path.as_bytes().len(), 4_094);
}

#[test]
fn nm11_tr14_hard_links_lead_to_another_file_below_the_root() {
    for target in [&b"a"[..], b"./a", b"/a", b".", b"", b"../../x"] {
        assert_eq!(refused(&[Header::new(b"a", b'1').link(target).seal()]), Code::UnsafeEntry);
    }
    let listing = read(&archive(&[Header::new(b"a", b'1').link(b"/etc/b").seal()])).expect("below");
    let EntryKind::Hardlink { target } = &listing.0[0].0.kind else { panic!("a hard link") };
    assert_eq!(target.as_bytes(), b"etc/b");
}

#[test]
fn nm12_symlinks_have_a_target_that_linux_takes() {
    let link = || Header::new(b"a", b'2').seal();
    assert_eq!(refused(&[link()]), Code::UnsafeEntry);
    assert_eq!(refused(&[pax(&[("linkpath", &[b't'; 5_000])]), link()]), Code::UnsafeEntry);
    let target = [b't'; 4_095];
    let listing = read(&archive(&[pax(&[("linkpath", &target)]), link()])).expect("the longest");
    assert_eq!(listing.0[0].0.kind, EntryKind::Symlink { target: target.to_vec() });
}

#[test]
fn nm14_the_number_of_entries_has_a_budget() {
    let limits = Limits { entries: 2, ..Limits::default() };
    assert!(read_with(&archive(&[empty(b"a"), empty(b"b")]), limits).is_ok());
    let error = read_with(&archive(&[empty(b"a"), empty(b"b"), empty(b"c")]), limits);
    assert_eq!(error.map(|_| ()).expect_err("three").code(), Code::Limit);
}

#[test]
fn md08_extended_attributes_have_budgets() {
    let value = vec![0; 200_000];
    assert_eq!(refused(&[pax(&[("SCHILY.xattr.user.a", &value)]), empty(b"a")]), Code::Limit);
    let names: Vec<String> = (0..257).map(|n| format!("SCHILY.xattr.user.{n}")).collect();
    let keys: Vec<(&str, &[u8])> = names.iter().map(|name| (&name[..], &b"v"[..])).collect();
    assert_eq!(refused(&[pax(&keys), empty(b"a")]), Code::Limit);
    assert!(read(&archive(&[pax(&keys[..256]), empty(b"a")])).is_ok());
    assert_eq!(refused(&[pax(&[("SCHILY.xattr.", b"v")]), empty(b"a")]), Code::Layer);
    let two = pax(&[("SCHILY.xattr.user.a", b"1"), ("LIBARCHIVE.xattr.user.a", b"Mg")]);
    assert_eq!(refused(&[two, empty(b"a")]), Code::UnsafeEntry);
}

#[test]
fn values_of_attributes_are_bytes_in_both_spellings() {
    let keys = pax(&[
        ("SCHILY.xattr.user.b", b"a\n=\0\xff"),
        ("LIBARCHIVE.xattr.user.a%3D", b"AQID/w"),
        ("SCHILY.xattr.user.empty", b""),
    ]);
    let listing = read(&archive(&[keys, empty(b"a")])).expect("good");
    let expected: Vec<(Vec<u8>, Vec<u8>)> = vec![
        (b"user.a=".to_vec(), vec![1, 2, 3, 255]),
        (b"user.b".to_vec(), b"a\n=\0\xff".to_vec()),
        (b"user.empty".to_vec(), Vec::new()),
    ];
    assert_eq!(listing.0[0].0.xattrs, expected);
}

#[test]
fn md11_times_are_kept_exactly_or_clamped_with_a_finding() {
    for (text, seconds, nanoseconds) in [
        ("-1", -1, 0),
        ("-2208988800", -2_208_988_800, 0),
        ("8589934592", 1 << 33, 0),
        ("1700000000.123456789", 1_700_000_000, 123_456_789),
        ("-1.25", -2, 750_000_000),
    ] {
        let listing = read(&archive(&[pax(&[("mtime", text.as_bytes())]), empty(b"a")]));
        let listing = listing.expect(text);
        let mtime = listing.0[0].0.mtime;
        assert_eq!((mtime.seconds(), mtime.nanoseconds()), (seconds, nanoseconds), "{text}");
        assert!(names(&listing).is_empty());
    }
    for text in ["9223372036854775808", "10000000000000000000"] {
        let listing = read(&archive(&[pax(&[("mtime", text.as_bytes())]), empty(b"a")]));
        let listing = listing.expect(text);
        assert_eq!(listing.0[0].0.mtime.seconds(), i64::MAX);
        assert_eq!(names(&listing), ["time-clamped"]);
    }
    // GNU writes negative times in base 256.
    let listing = read(&archive(&[Header::gnu(b"a", b'0').set(136, &[0xff; 12]).seal()]));
    assert_eq!(listing.expect("good").0[0].0.mtime.seconds(), -1);
    assert_eq!(refused(&[pax(&[("mtime", b"1e9")]), empty(b"a")]), Code::Layer);
}

#[test]
fn md15_owners_are_numbers_that_the_kernel_has() {
    for id in ["4294967296", "4294967295", "-1", "18446744073709551616", ""] {
        for key in ["uid", "gid"] {
            let parts = [pax(&[(key, id.as_bytes())]), empty(b"a")];
            assert!(read(&archive(&parts)).is_err(), "{key} {id}");
        }
    }
    let header = Header::gnu(b"a", b'0').set(108, &[0xff; 8]).seal();
    assert_eq!(refused(&[header]), Code::UnsafeEntry);
    let listing = read(&archive(&[pax(&[("uid", b"4294967294")]), empty(b"a")])).expect("the last");
    assert_eq!(listing.0[0].0.uid, u32::MAX - 1);
}

#[test]
fn md16_only_permission_bits_are_taken_from_the_mode() {
    let listing = read(&archive(&[Header::new(b"a", b'0').mode(0o177_777).seal()])).expect("good");
    assert_eq!(listing.0[0].0.mode, 0o7777);
}

#[test]
fn cz01_the_whole_archive_has_a_budget() {
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    // Zeros behind the end marker, for ever.
    let file = empty(b"a");
    let stream = file.chain(io::repeat(0));
    let mut entries = Entries::new(stream, limits);
    assert!(entries.next().expect("one").is_some());
    assert_eq!(entries.finish().map(|_| ()).expect_err("endless").code(), Code::Limit);
    // A body that does not fit is refused before it is read.
    let error = read_with(&Header::new(b"a", b'0').size(2 << 20).seal(), limits);
    assert_eq!(error.map(|_| ()).expect_err("too big").code(), Code::Limit);
}

#[test]
fn an_error_names_entry_and_place_and_ends_the_archive() {
    let bytes = archive(&[empty(b"a"), Header::new(b"b\x1b[31m", b'0').set(100, b"x").seal()]);
    let mut entries = Entries::new(&bytes[..], Limits::default());
    assert!(entries.next().expect("one").is_some());
    let error = entries.next().map(|_| ()).expect_err("bad mode");
    assert_eq!(error.headline(), r"reading entry b\u{1b}[31m (header at byte 512 of the archive)");
    assert!(entries.next().is_err());
    assert!(entries.finish().is_err());
}

#[test]
fn device_numbers_belong_to_dialects_that_have_them() {
    let device = |magic: &[u8]| {
        let mut header = Header::new(b"d", b'4');
        header.set(257, magic).set(329, b"0000001\0").set(337, b"0000003\0");
        header.seal()
    };
    for magic in [&b"ustar\x0000"[..], b"ustar  \0"] {
        let listing = read(&archive(&[device(magic)])).expect("good");
        assert_eq!(listing.0[0].0.kind, EntryKind::Block { major: 1, minor: 3 });
    }
    // GNU tar and libarchive make 0:0 of it, Python 1:3.
    assert_eq!(refused(&[device(&[0; 8])]), Code::UnsafeEntry);
    // libarchive takes this one, others that of the header.
    let other = pax(&[("SCHILY.devmajor", b"9")]);
    assert_eq!(refused(&[other, device(b"ustar\x0000")]), Code::UnsafeEntry);
    let same = pax(&[("SCHILY.devmajor", b"1"), ("SCHILY.devminor", b"3")]);
    assert!(read(&archive(&[same, device(b"ustar\x0000")])).is_ok());
}

#[test]
fn a_long_link_name_belongs_to_a_link_with_a_name() {
    let long = extended(b'K', b"target\0");
    for kind in *b"12" {
        let header = |link: &[u8]| Header::gnu(b"a", kind).link(link).seal();
        assert!(read(&archive(&[long.clone(), header(b"targ")])).is_ok());
        assert_eq!(refused(&[long.clone(), header(b"")]), Code::UnsafeEntry);
    }
    // Go leaves out of the header what is not ASCII, which may be all of it.
    let link = Header::new(b"a", b'2').seal();
    assert!(read(&archive(&[pax(&[("linkpath", "中".as_bytes())]), link])).is_ok());
}

#[test]
fn tp02_a_sparse_file_has_no_second_size() {
    // Python looks for the next header behind 4096 bytes, others behind 512.
    let keys = pax(&[
        ("size", b"512"),
        ("GNU.sparse.size", b"4096"),
        ("GNU.sparse.numblocks", b"2"),
        ("GNU.sparse.map", b"0,512,4096,0"),
    ]);
    assert_eq!(refused(&[keys, file(b"x", &[b'd'; 512]), empty(b"next")]), Code::UnsafeEntry);
}
