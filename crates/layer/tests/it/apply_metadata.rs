//! Kinds of files and their attributes (MD, NM, LY3 to LY10, LY18, LY19).

use std::fs;
use std::os::unix::fs::MetadataExt;

use plimsoll_content::{Algorithm, Code, Digest};
use plimsoll_layer::apply::{Applier, Devices, Ids, Options, recorded_owner};
use plimsoll_layer::codec::{Compression, Encoder, Format};
use plimsoll_layer::tar::Entries;
use plimsoll_layer::{IdMap, IdRange, Limits, Root, Timestamp, pack};
use rustix::fd::AsFd;

use crate::apply_support::{Tar, Yard, found, is_root, needs_root, options};

fn refused(layer: Tar) -> Code {
    Yard::new().apply(&[layer]).expect_err("refused").code()
}

#[test]
fn what_no_entry_tells_is_always_the_same() {
    let yard = Yard::new();
    yard.apply(&[Tar::new().file("a/b/c", "")]).expect("applied");
    for path in ["", "a", "a/b"] {
        let facts = yard.tree().get(path).clone();
        assert_eq!((facts.mode, facts.time), (0o755, Timestamp::EPOCH), "{path:?}");
    }
}

#[test]
fn ly18_a_folder_over_a_folder_keeps_content_and_replaces_attributes() {
    let yard = Yard::new();
    let lower = Tar::new().xattr("user.old", "1").xattr("user.both", "1").dir("d").file("d/x", "");
    let upper = Tar::new().time(77).mode(0o711).xattr("user.both", "2").dir("d");
    yard.apply(&[lower, upper]).expect("applied");
    let tree = yard.tree();
    assert_eq!(yard.paths(), "d d/x");
    assert_eq!((tree.get("d").mode, tree.get("d").time.seconds()), (0o711, 77));
    assert_eq!(tree.get("d").xattrs, [(b"user.both".to_vec(), b"2".to_vec())]);
}

#[test]
fn ly19_anything_else_is_replaced_as_a_whole() {
    let yard = Yard::new();
    let kinds: [fn(Tar) -> Tar; 5] = [
        |tar| tar.file("x", "file").hard("other", "x"),
        |tar| tar.link("x", "target"),
        |tar| tar.dir("x").file("x/in", ""),
        |tar| tar.fifo("x"),
        |tar| tar.file("y", "y").hard("x", "y"),
    ];
    for first in kinds {
        for second in kinds {
            yard.apply(&[first(Tar::new()), second(Tar::new())]).expect("applied");
        }
    }
    assert_eq!(yard.read("x"), "y");
    assert_eq!(yard.read("other"), "file");
}

#[test]
fn md01_bits_above_the_permissions_are_set_after_the_owner() {
    let yard = Yard::new();
    let layer = Tar::new()
        .owner(1234, 4321)
        .mode(0o6755)
        .file("suid", "#!")
        .mode(0o3777)
        .dir("sticky")
        .mode(0)
        .file("none", "x");
    let done = yard.apply(&[layer]).expect("applied");
    let tree = yard.tree();
    assert_eq!(tree.get("suid").mode, 0o6755);
    assert_eq!(tree.get("sticky").mode, 0o3777);
    assert_eq!(tree.get("none").mode, 0);
    if is_root() {
        assert_eq!(tree.get("suid").owner, (1234, 4321));
        assert_eq!(tree.get("sticky").owner, (1234, 4321));
    } else {
        assert_eq!(found(&done), ["owner-recorded"; 3]);
        let value = &tree.get("suid").xattrs[0].1;
        assert_eq!(recorded_owner(value), Some((1234, 4321)));
    }
}

#[test]
fn an_ordinary_user_is_told_what_keeping_owners_needs() {
    if is_root() {
        return;
    }
    let keep = Options { ids: Ids::Keep, ..Options::default() };
    let error = Yard::new().apply_with(&[Tar::new().file("f", "")], keep).expect_err("refused");
    assert_eq!(error.code(), Code::Permission);
}

#[test]
fn md02_devices_are_made_or_reported() {
    let layer = Tar::new().device(b'3', "null").device(b'4', "disk").hard("same", "null");
    let yard = Yard::new();
    let done = yard.apply(std::slice::from_ref(&layer)).expect("applied");
    if is_root() && found(&done).is_empty() {
        let tree = yard.tree();
        assert_eq!((tree.get("null").kind, tree.get("disk").kind), ("char", "block"));
        assert_eq!(tree.get("null").device, rustix::fs::makedev(1, 3));
        assert_eq!(tree.get("null").mode, 0o666);
    }
    let yard = Yard::new();
    let omit = Options { devices: Devices::Omit, ..options() };
    let done = yard.apply_with(&[Tar::new().file("null", ""), layer], omit).expect("applied");
    assert_eq!(found(&done), ["device-omitted"; 3]);
    assert_eq!(yard.paths(), "");
}

#[test]
fn md03_a_pipe_is_made_and_replaced_without_being_opened() {
    let yard = Yard::new();
    let layer = Tar::new().mode(0o622).fifo("p").file("d/x", "");
    yard.apply(&[layer.clone(), layer.file("p2", ""), Tar::new().file("p", "file")])
        .expect("applied");
    assert_eq!(yard.read("p"), "file");
    let folder = Tar::new().fifo("q");
    yard.apply(&[folder, Tar::new().mode(0o2755).dir("q")]).expect("applied");
    assert_eq!(yard.tree().get("q").mode, 0o2755);
}

#[test]
fn md05_md06_md07_attributes_are_kept_or_reported() {
    let yard = Yard::new();
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let layer = Tar::new()
        .owner(5, 5)
        .xattr("security.capability", capability)
        .xattr("security.selinux", "label")
        .xattr("user.note", "text")
        .file("f", "x")
        .xattr("trusted.md5", "1")
        .file("g", "x")
        .xattr("user.impossible", "1")
        .link("l", "f");
    let done = yard.apply(&[layer]).expect("applied");
    let kept = &yard.tree().get("f").xattrs.clone();
    assert!(kept.contains(&(b"user.note".to_vec(), b"text".to_vec())));
    assert!(found(&done).contains(&"xattr-dropped"));
    assert!(found(&done).contains(&"xattr-not-set"), "user attributes of links");
    if is_root() {
        assert!(kept.contains(&(b"security.capability".to_vec(), capability.to_vec())));
        assert_eq!(yard.tree().get("g").xattrs.len(), 1);
    }
}

#[test]
fn md11_md13_times_are_kept_to_the_nanosecond_and_before_1970() {
    let yard = Yard::new();
    let layer = Tar::new()
        .pax("mtime", "1234567890.123456789")
        .file("f", "")
        .pax("mtime", "-1.5")
        .link("l", "f")
        .pax("mtime", "-0.000000001")
        .dir("d")
        .file("d/late", "")
        .pax("mtime", "8589934592")
        .fifo("p");
    yard.apply(&[layer]).expect("applied");
    let time = |path: &str| {
        let time = yard.tree().get(path).time;
        (time.seconds(), time.nanoseconds())
    };
    assert_eq!(time("f"), (1_234_567_890, 123_456_789));
    assert_eq!(time("l"), (-2, 500_000_000));
    assert_eq!(time("d"), (-1, 999_999_999));
    assert_eq!(time("p"), (8_589_934_592, 0));
    let yard = Yard::new();
    let done = yard.apply(&[Tar::new().pax("mtime", "99999999999999").file("f", "")]);
    assert_eq!(found(&done.expect("applied")), ["time-not-kept"]);
}

#[test]
fn md19_nm13_closed_folders_are_filled_and_get_mode_and_time_at_last() {
    let yard = Yard::new();
    let lower = Tar::new()
        .time(10)
        .mode(0o555)
        .dir(".")
        .mode(0)
        .dir("a")
        .mode(0o500)
        .dir("a/b")
        .file("a/b/x", "1")
        .file("top", "");
    let upper = Tar::new().time(20).file("a/b/y", "2").file("a/b/.wh.x", "").hard("a/z", "a/b/y");
    yard.apply(&[lower, upper]).expect("applied");
    let mode =
        |path: &str| fs::symlink_metadata(yard.root().join(path)).expect("there").mode() & 0o7777;
    assert_eq!((mode(""), mode("a")), (0o555, 0));
    let restore = fs::Permissions::from_mode(0o700);
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(yard.root().join("a"), restore.clone()).expect("ours");
    assert_eq!(mode("a/b"), 0o500);
    assert_eq!(yard.paths(), "a a/b a/b/y a/z top");
    for path in ["", "a", "a/b"] {
        assert_eq!(yard.tree().get(path).time.seconds(), 10, "{path:?}");
    }
    // What is closed on disk already can be filled, emptied and removed too.
    fs::set_permissions(yard.root().join("a"), fs::Permissions::from_mode(0o000)).expect("ours");
    yard.apply(&[Tar::new().file("a/b/new", ""), Tar::new().file("a/.wh.z", "")]).expect("applied");
    assert_eq!(mode("a"), 0);
    yard.apply(&[Tar::new().file(".wh.a", "")]).expect("applied");
    assert_eq!(yard.paths(), "top");
    fs::set_permissions(yard.root(), restore).expect("ours");
}

#[test]
fn nm08_of_entries_for_one_path_the_last_counts() {
    let yard = Yard::new();
    let layer =
        Tar::new().file("a", "1").dir("d").file("a", "2").dir("d").mode(0o600).file("./a", "3");
    let done = yard.apply(&[layer]).expect("applied");
    assert_eq!((yard.read("a"), yard.tree().get("a").mode), ("3".into(), 0o600));
    assert_eq!(found(&done), ["duplicate-entry"; 2]);
    let done = yard.apply(&[Tar::new().file("a", "4")]).expect("applied");
    assert!(found(&done).is_empty(), "another layer is no duplicate");
}

#[test]
fn nm10_nm11_hard_links_need_a_file_that_is_there() {
    for layer in [
        Tar::new().hard("b", "a").file("a", ""),
        Tar::new().hard("a", "a"),
        Tar::new().file("a", "").hard("a", "a"),
        Tar::new().dir("d").hard("b", "d"),
        Tar::new().hard("b", "no/where"),
        Tar::new().file("f", "").hard("b", "f/x"),
        Tar::new().dir("d").file("d/f", "").link("l", "d").hard("l/f", "d/f"),
    ] {
        assert_eq!(refused(layer), Code::UnsafeEntry);
    }
}

#[test]
fn hard_links_change_no_attributes() {
    let yard = Yard::new();
    let layer =
        Tar::new().mode(0o640).file("a", "x").time(5).owner(9, 9).mode(0o777).hard("b", "a");
    yard.apply(&[layer]).expect("applied");
    let tree = yard.tree();
    assert_eq!((tree.get("b").mode, tree.get("b").time.seconds()), (0o640, 1_000_000_000));
    assert_eq!(tree.get("b").group, "a");
}

#[test]
fn nm12_links_without_a_sensible_target_are_refused() {
    assert!(Yard::new().apply(&[Tar::new().link("l", "")]).is_err());
    assert!(
        Yard::new().apply(&[Tar::new().pax("linkpath", "x".repeat(5_000)).link("l", "x")]).is_err()
    );
}

#[test]
fn sparse_files_stay_sparse() {
    let yard = Yard::new();
    let size = 64 << 20;
    // PAX 1.0: a map in front of the data, one piece of 5 bytes at 1 MiB.
    let mut content = format!("2\n1048576\n5\n{size}\n0\n").into_bytes();
    content.resize(512, 0);
    content.extend(b"hello");
    let layer = Tar::new()
        .pax("GNU.sparse.major", "1")
        .pax("GNU.sparse.minor", "0")
        .pax("GNU.sparse.name", "sparse")
        .pax("GNU.sparse.realsize", size.to_string())
        .file("GNUSparseFile.0/sparse", content);
    yard.apply(&[layer]).expect("applied");
    let data = fs::metadata(yard.root().join("sparse")).expect("there");
    assert_eq!(data.len(), size);
    assert!(data.blocks() * 512 < 1 << 20, "{} blocks", data.blocks());
    let bytes = fs::read(yard.root().join("sparse")).expect("read");
    assert_eq!(&bytes[1 << 20..][..5], b"hello");
    assert!(bytes[..1 << 20].iter().chain(&bytes[(1 << 20) + 5..]).all(|byte| *byte == 0));
}

#[test]
fn all_compressions_give_the_same_tree_and_the_wrong_bytes_none() {
    let plain = Tar::new().file("d/a", vec![7; 3 << 20]).link("l", "d").done();
    let diff_id = Digest::of(Algorithm::Sha256, &plain);
    let mut trees = Vec::new();
    for compression in
        [Compression::None, Compression::Gzip { level: 1 }, Compression::Zstd { level: 1 }]
    {
        let mut encoder = Encoder::new(compression, Vec::new()).expect("made");
        std::io::Write::write_all(&mut encoder, &plain).expect("memory");
        let blob = encoder.finish().expect("memory");
        let yard = Yard::new();
        let root = Root::open(&yard.root()).expect("opened");
        let mut applier = Applier::new(root.as_fd(), options()).expect("made");
        let done = applier.apply(&blob[..], compression.format(), &diff_id).expect("applied");
        applier.finish().expect("finished");
        assert_eq!((done.entries, done.bytes, &done.diff_id), (2, plain.len() as u64, &diff_id));
        trees.push(yard.tree());
        // Truncated and damaged blobs, and the wrong name for the right one.
        let mut applier = Applier::new(root.as_fd(), options()).expect("made");
        let cut = applier.apply(&blob[..blob.len() / 2], compression.format(), &diff_id);
        assert_eq!(cut.expect_err("cut").code(), Code::Layer);
        let other = Digest::of(Algorithm::Sha512, b"other");
        let error = applier.apply(&blob[..], compression.format(), &other).expect_err("other");
        assert_eq!(error.code(), Code::DiffId);
        assert!(error.found_text().is_some_and(|found| found.starts_with("sha512:")));
        assert_eq!(error.expected_text(), Some(&other.to_string()[..]));
    }
    assert!(trees.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn errors_of_the_source_come_out_as_they_are() {
    struct Failing;
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(plimsoll_content::Error::new(Code::Digest, "verifying blob x").into())
        }
    }
    let yard = Yard::new();
    let root = Root::open(&yard.root()).expect("opened");
    for format in [Format::Tar, Format::Gzip, Format::Zstd] {
        let mut applier = Applier::new(root.as_fd(), options()).expect("made");
        let start = match format {
            Format::Tar => Tar::new().file("x", vec![0; 4096]).done()[..1024].to_vec(),
            Format::Gzip => vec![0x1f, 0x8b],
            Format::Zstd => vec![0x28, 0xb5, 0x2f, 0xfd],
        };
        let reader = std::io::Read::chain(&start[..], Failing);
        let error =
            applier.apply(reader, format, &Digest::of(Algorithm::Sha256, b"")).expect_err("fails");
        assert_eq!(error.code(), Code::Digest, "{format}: {error}");
    }
}

#[test]
fn an_error_in_an_entry_stops_an_endless_source() {
    let yard = Yard::new();
    let root = Root::open(&yard.root()).expect("opened");
    let mut applier = Applier::new(root.as_fd(), options()).expect("made");
    let start = Tar::new().file("../x", "").done();
    let endless = std::io::Read::chain(&start[..1024], std::io::repeat(1));
    let error = applier.apply(endless, Format::Tar, &Digest::of(Algorithm::Sha256, b""));
    assert_eq!(error.expect_err("refused").code(), Code::UnsafeEntry);
}

#[test]
fn cz01_the_budget_of_bytes_stops_a_bomb() {
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    let layer = Tar::new().file("big", vec![0; 2 << 20]);
    let error =
        Yard::new().apply_with(&[layer], Options { limits, ..options() }).expect_err("refused");
    assert_eq!(error.code(), Code::Limit);
}

#[test]
fn a_full_disk_is_told() {
    if needs_root("mounting a small file system") {
        return;
    }
    let yard = Yard::new();
    let root = yard.root();
    let flags = rustix::mount::MountFlags::empty();
    if rustix::mount::mount("none", &root, "tmpfs", flags, Some(c"size=1m")).is_err() {
        eprintln!("skipped: no tmpfs may be mounted here");
        return;
    }
    let done = yard.apply(&[Tar::new().file("big", vec![1; 3 << 20])]);
    rustix::mount::unmount(&root, rustix::mount::UnmountFlags::DETACH).expect("ours");
    assert_eq!(done.expect_err("full").code(), Code::Space);
}

#[test]
fn tr31_a_mount_point_is_not_removed() {
    if needs_root("mounting") {
        return;
    }
    let yard = Yard::new();
    let layer = Tar::new().dir("m").dir("m/p");
    yard.apply(&[layer]).expect("applied");
    let point = yard.root().join("m/p");
    let flags = rustix::mount::MountFlags::empty();
    if rustix::mount::mount("none", &point, "tmpfs", flags, None).is_err() {
        eprintln!("skipped: no tmpfs may be mounted here");
        return;
    }
    fs::write(point.join("precious"), "").expect("written");
    let done = yard.apply(&[Tar::new().file(".wh.m", "")]);
    let there = fs::exists(point.join("precious")).expect("looked");
    rustix::mount::unmount(&point, rustix::mount::UnmountFlags::DETACH).expect("ours");
    assert_eq!(done.expect_err("refused").code(), Code::UnsafeEntry);
    assert!(there);
}

#[test]
fn md17_owners_go_through_the_map_and_come_back() {
    if needs_root("giving files away") {
        return;
    }
    let ranges = || vec![IdRange::new(0, 100_000, 1000).expect("good")];
    let map = IdMap::new(ranges(), vec![IdRange::new(0, 200_000, 500).expect("good")]);
    let map = map.expect("good");
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let layer = Tar::new()
        .dir("implied-owner")
        .xattr("security.capability", capability)
        .file("root", "x")
        .owner(999, 499)
        .file("last", "x")
        .link("link", "last")
        .mode(0o4755)
        .file("setuid", "x")
        .owner(1000, 5)
        .file("outside", "x")
        .dir("folder")
        .link("lost", "x");
    let yard = Yard::new();
    let options =
        |strict| Options { ids: Ids::Mapped { map: map.clone(), strict }, ..Options::default() };
    let done = yard.apply_with(std::slice::from_ref(&layer), options(false)).expect("applied");
    let tree = yard.tree();
    for (path, owner) in [
        ("", (100_000, 200_000)),
        ("implied-owner", (100_000, 200_000)),
        ("last", (100_999, 200_499)),
        ("link", (100_999, 200_499)),
        ("setuid", (100_999, 200_499)),
        ("outside", (100_000, 200_005)),
        ("folder", (100_000, 200_005)),
        ("lost", (100_000, 200_005)),
    ] {
        assert_eq!(tree.get(path).owner, owner, "{path}");
    }
    assert_eq!(tree.get("setuid").mode, 0o4755);
    assert_eq!(found(&done), ["owner-recorded", "owner-recorded", "owner-not-kept"]);
    let recorded = |path| {
        let xattrs = &tree.get(path).xattrs;
        let value = xattrs.iter().find(|(name, _)| name == b"user.rootlesscontainers");
        value.and_then(|(_, value)| recorded_owner(value))
    };
    assert_eq!((recorded("outside"), recorded("folder")), (Some((1000, 5)), Some((1000, 5))));
    assert_eq!(recorded("last"), None);
    // The kernel stores the id of the namespace's root behind the capabilities.
    let of_root = &tree.get("root").xattrs[0].1;
    assert_eq!((of_root.len(), &of_root[20..]), (24, &100_000u32.to_le_bytes()[..]));

    let root = Root::open(&yard.root()).expect("opened");
    let back = pack::Options {
        compression: Compression::None,
        map: Some(&map),
        ..pack::Options::default()
    };
    let (_, bytes) = pack::tree(root.as_fd(), Vec::new(), &back).expect("packed");
    let mut entries = Entries::new(&bytes[..], Limits::default());
    let mut owners = std::collections::BTreeMap::new();
    while let Some((entry, _)) = entries.next().expect("read") {
        if entry.path.as_bytes() == b"root" {
            assert_eq!(entry.xattrs, [(b"security.capability".to_vec(), capability.to_vec())]);
        }
        owners.insert(entry.path.to_string(), (entry.uid, entry.gid));
    }
    assert_eq!(owners["last"], (999, 499));
    assert_eq!((owners["outside"], owners["folder"]), ((1000, 5), (1000, 5)));
    assert_eq!(owners["implied-owner"], (0, 0));

    std::os::unix::fs::chown(yard.root().join("last"), Some(7), None).expect("given away");
    let error = pack::tree(root.as_fd(), Vec::new(), &back).expect_err("an owner of nobody");
    assert_eq!(error.code(), Code::Unrepresentable);

    let error = Yard::new().apply_with(&[layer], options(true)).expect_err("outside of the map");
    assert_eq!(error.code(), Code::Permission);
    assert!(error.to_string().contains("1000:5"), "{error}");
}

#[test]
fn nm14_very_many_names_in_one_folder_are_all_made() {
    // A million with PLIMSOLL_LONG. What each costs is a matter of the benchmarks.
    let most = if std::env::var_os("PLIMSOLL_LONG").is_some() { 1_000_000 } else { 20_000 };
    let layer = (0..most).fold(Tar::new(), |tar, n| tar.file(&format!("d/{n}"), ""));
    let folder = tempfile::tempdir().expect("a folder");
    crate::apply_support::apply(folder.path(), &[layer], options()).expect("applied");
    assert_eq!(fs::read_dir(folder.path().join("d")).expect("listed").count(), most);
}

#[test]
fn md20_a_closed_folder_that_is_gone_gets_no_mode() {
    let closed = || Tar::new().dir("a").mode(0o555).dir("a/b").mode(0o500).dir("a/b/c");
    for upper in [
        Tar::new().link("a", "other"),
        Tar::new().link("a", "."),
        Tar::new().file("a", "").file(".wh.none", ""),
        Tar::new().file(".wh.a", "").link("a", "/"),
        Tar::new().file("a/.wh.b", "").link("a/b", "../x").dir("x").dir("x/c"),
        Tar::new().file("a/.wh..wh..opq", "").mode(0o711).dir("a/b").mode(0o711).dir("a/b/c"),
    ] {
        let yard = Yard::new();
        yard.apply(&[closed(), upper]).expect("applied");
        let tree = yard.tree();
        assert!(tree.0.values().all(|facts| !matches!(facts.mode, 0o555 | 0o500)), "{tree:?}");
    }
    // In one layer as well.
    Yard::new().apply(&[closed().link("a", "other")]).expect("applied");
}
