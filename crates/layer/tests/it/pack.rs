//! Packing: same tree, same bytes; and what was packed unpacks to what it was.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use plimsoll_content::{Algorithm, Code, Digest, Error, Result};
use plimsoll_layer::apply::{Applier, Devices, Options as ApplyOptions};
use plimsoll_layer::codec::{Compression, Encoder, Format};
use plimsoll_layer::pack::{self, Options, Packed};
use plimsoll_layer::{Limits, Root, Timestamp};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, utimensat};

use crate::apply_support::{Tar, Tree, is_root, look, needs_root, options};

/// No compression, and an entry for the root.
fn plain() -> Options<'static> {
    Options { compression: Compression::None, root: true, ..Options::default() }
}

fn tree(root: &Path, options: &Options<'_>) -> Result<(Packed, Vec<u8>)> {
    let root = Root::open(root)?;
    pack::tree(root.as_fd(), Vec::new(), options)
}

fn archive(bytes: &[u8], options: &Options<'_>) -> Result<(Packed, Vec<u8>)> {
    let mut file = tempfile::tempfile().expect("made");
    file.write_all(bytes).expect("written");
    pack::archive(&file, Vec::new(), options)
}

fn unpack(blob: &[u8], format: Format, diff_id: &Digest) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    let root = Root::open(folder.path()).expect("opened");
    let mut applier = Applier::new(root.as_fd(), options()).expect("made");
    applier.apply(blob, format, diff_id).expect("applied");
    applier.finish().expect("finished");
    folder
}

fn unpack_plain(bytes: &[u8]) -> tempfile::TempDir {
    unpack(bytes, Format::Tar, &Digest::of(Algorithm::Sha256, bytes))
}

/// A tree with one of everything that this user can make.
fn variety() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    let at = |path: &str| folder.path().join(path);
    fs::create_dir_all(at("dir/deep")).expect("made");
    fs::write(at("dir/file"), "content").expect("written");
    fs::write(at("dir-file"), vec![7; 300_000]).expect("written");
    fs::write(at("dir/deep/empty"), "").expect("written");
    fs::write(at(&format!("dir/{}", "long".repeat(60))), "x").expect("written");
    fs::write(folder.path().join(OsStr::from_bytes(b"dir/latin-\xe9\n")), "x").expect("written");
    symlink("../nowhere", at("dir/link")).expect("linked");
    symlink("t".repeat(300), at("dir/longlink")).expect("linked");
    fs::hard_link(at("dir/file"), at("dir/a-twin")).expect("linked");
    fs::hard_link(at("dir/file"), at("zz-twin")).expect("linked");
    fs::hard_link(at("dir/link"), at("link-twin")).expect("linked");
    rustix::fs::mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR, 0).expect("made");
    fs::set_permissions(at("dir/deep/empty"), fs::Permissions::from_mode(0o4711)).expect("set");
    fs::set_permissions(at("dir/deep"), fs::Permissions::from_mode(0o1750)).expect("set");
    let value = b"\0binary=\xff\n";
    rustix::fs::setxattr(at("dir/file"), "user.note", value, XattrFlags::empty()).expect("set");
    rustix::fs::setxattr(at("dir"), "user.folder", b"", XattrFlags::empty()).expect("set");
    if is_root() {
        let device = rustix::fs::makedev(1, 3);
        let kind = FileType::CharacterDevice;
        rustix::fs::mknodat(CWD, at("null"), kind, Mode::RUSR, device).expect("made");
        std::os::unix::fs::chown(at("dir-file"), Some(3_000_000_000), Some(70_000)).expect("set");
        std::os::unix::fs::lchown(at("dir/link"), Some(12), Some(34)).expect("set");
        // A sparse file system without devices would not tell.
        let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let name = "security.capability";
        rustix::fs::setxattr(at("dir-file"), name, capability, XattrFlags::empty()).expect("set");
    }
    for (path, seconds, nanoseconds) in [
        ("dir/file", 1_234_567_890, 123_456_789),
        ("dir/link", -5, 5),
        ("dir-file", 10_000_000_000, 0),
        ("pipe", 0, 1),
        ("dir/deep", 99, 0),
        ("dir", 1_000_000_000, 0),
        ("", 1_500_000_000, 500_000_000),
    ] {
        let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, at(path), &times, AtFlags::SYMLINK_NOFOLLOW).expect("set");
    }
    folder
}

/// What an ordinary user's tree looks like after the way through a layer: the
/// owner is only recorded.
fn comparable(folder: &Path) -> Tree {
    let mut tree = look(folder);
    for facts in tree.0.values_mut() {
        facts.xattrs.retain(|(name, _)| name != b"user.rootlesscontainers");
    }
    tree
}

#[test]
fn bu05_a_tree_comes_back_as_it_was() {
    let folder = variety();
    for compression in [Compression::None, Compression::default(), Compression::Zstd { level: 3 }] {
        let options = Options { compression, ..plain() };
        let (packed, blob) = tree(folder.path(), &options).expect("packed");
        assert_eq!(packed.findings, []);
        let back = unpack(&blob, compression.format(), &packed.diff_id);
        assert_eq!(comparable(back.path()), comparable(folder.path()));
    }
}

#[test]
fn the_same_tree_gives_the_same_bytes_wherever_it_lies() {
    let folder = variety();
    let (packed, bytes) = tree(folder.path(), &plain()).expect("packed");
    assert_eq!(packed.bytes, bytes.len() as u64);
    assert_eq!(packed.diff_id, Digest::of(Algorithm::Sha256, &bytes));
    assert_eq!(tree(folder.path(), &plain()).expect("packed").1, bytes);
    // Files made in another order, by another program.
    let back = unpack_plain(&bytes);
    assert!(tree(back.path(), &plain()).expect("packed").1 == bytes);
    // What the folder itself is like counts only if it is asked for.
    let without = Options { root: false, ..plain() };
    let (fewer, bytes) = tree(folder.path(), &without).expect("packed");
    assert_eq!(fewer.entries + 1, packed.entries);
    fs::set_permissions(back.path(), fs::Permissions::from_mode(0o700)).expect("set");
    assert!(tree(back.path(), &without).expect("packed").1 == bytes);
}

#[test]
fn an_archive_gives_the_bytes_of_the_tree_that_it_unpacks_to() {
    let folder = variety();
    let (_, sorted) = tree(folder.path(), &plain()).expect("packed");
    assert!(archive(&sorted, &plain()).expect("packed").1 == sorted);
    let messy = Tar::new()
        .file("z/y/x", "late parents")
        .time(5)
        .mode(0o700)
        .dir("z")
        .file("b", "first")
        .hard("a", "b")
        .hard("z/c", "./b")
        .link("l", "z/y")
        .file("l/through", "a link")
        .file("twice", "1")
        .mode(0o600)
        .file("./twice", "2")
        .dir("gone")
        .file("gone/x", "")
        .fifo("gone")
        .xattr("user.b", "2")
        .xattr("user.a", "1")
        .file("noted", "")
        .pax("mtime", "12.5")
        .file("/absolute", "")
        .done();
    let unpacked = unpack_plain(&messy);
    let (packed, from_archive) = archive(&messy, &plain()).expect("packed");
    let owner = Options { owner: Some((0, 0)), ..plain() };
    let (_, from_tree) = tree(unpacked.path(), &owner).expect("packed");
    assert!(from_archive == from_tree);
    let names: Vec<_> = packed.findings.iter().map(|finding| finding.name).collect();
    assert_eq!(names.iter().filter(|name| **name == "duplicate-entry").count(), 2);
    let back = unpack_plain(&from_archive);
    assert_eq!(look(back.path()), look(unpacked.path()));
    assert_eq!(look(back.path()).get("b").group, "a");
}

#[test]
fn an_archive_with_holes_is_filled_with_zeros() {
    let mut content = b"2\n1024\n5\n4096\n0\n".to_vec();
    content.resize(512, 0);
    content.extend(b"hello");
    let sparse = Tar::new()
        .pax("GNU.sparse.major", "1")
        .pax("GNU.sparse.minor", "0")
        .pax("GNU.sparse.name", "sparse")
        .pax("GNU.sparse.realsize", "4096")
        .file("GNUSparseFile.0/sparse", content)
        .file("after", "next")
        .done();
    let (_, bytes) = archive(&sparse, &plain()).expect("packed");
    let back = unpack_plain(&bytes);
    let mut expected = vec![0; 4096];
    expected[1024..1029].copy_from_slice(b"hello");
    assert!(fs::read(back.path().join("sparse")).expect("read") == expected);
    assert_eq!(fs::read(back.path().join("after")).expect("read"), b"next");
}

#[test]
fn compressed_archives_and_pipes_go_through_a_scratch_folder() {
    let bytes = Tar::new().file("b", "2").file("a", "1").done();
    let expected = archive(&bytes, &plain()).expect("packed").1;
    let scratch = tempfile::tempdir().expect("folder");
    let handle = File::open(scratch.path()).expect("opened");
    let options = Options { scratch: Some(handle.as_fd()), ..plain() };
    for compression in [Compression::default(), Compression::Zstd { level: 3 }] {
        let mut encoder = Encoder::new(compression, Vec::new()).expect("made");
        encoder.write_all(&bytes).expect("memory");
        let blob = encoder.finish().expect("memory");
        assert_eq!(archive(&blob, &options).expect("packed").1, expected);
        assert_eq!(archive(&blob, &plain()).expect_err("no folder").code(), Code::Usage);
    }
    let (reader, writer) = std::io::pipe().expect("made");
    let pipe = File::from(std::os::fd::OwnedFd::from(reader));
    std::thread::scope(|scope| {
        let mut writer = writer;
        scope.spawn(move || writer.write_all(&bytes));
        assert_eq!(pack::archive(&pipe, Vec::new(), &options).expect("packed").1, expected);
    });
    assert_eq!(fs::read_dir(scratch.path()).expect("listed").count(), 0);
}

#[test]
fn what_unpacking_refuses_is_not_packed() {
    let refused = |tar: Tar| archive(&tar.done(), &plain()).expect_err("refused").code();
    assert_eq!(refused(Tar::new().file("../x", "")), Code::UnsafeEntry);
    assert_eq!(refused(Tar::new().file("x", "").file("x/y", "")), Code::UnsafeEntry);
    assert_eq!(refused(Tar::new().hard("a", "b")), Code::UnsafeEntry);
    assert_eq!(refused(Tar::new().dir("d").hard("a", "d")), Code::UnsafeEntry);
    assert_eq!(refused(Tar::new().file("a", "").hard("a", "./a")), Code::UnsafeEntry);
    assert_eq!(refused(Tar::new().dir("a").file("a/b", "").hard("a", "a/b")), Code::UnsafeEntry);
    assert_eq!(
        refused(Tar::new().link("a", "b").link("b", "a").file("a/x", "")),
        Code::UnsafeEntry
    );
    assert_eq!(refused(Tar::new().file("d/.wh.x", "")), Code::Unrepresentable);
    assert_eq!(refused(Tar::new().file(".wh.x/y", "")), Code::Unrepresentable);
    let cut = Tar::new().file("x", "content").done();
    assert_eq!(archive(&cut[..700], &plain()).expect_err("cut").code(), Code::Layer);
    assert_eq!(archive(b"no archive", &plain()).expect_err("other").code(), Code::Layer);
}

#[test]
fn wh16_ly21_names_of_whiteouts_are_refused() {
    for name in [".wh.x", ".wh..wh..opq", ".wh."] {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("d")).expect("made");
        fs::write(folder.path().join("d").join(name), "").expect("written");
        let error = tree(folder.path(), &plain()).expect_err("refused");
        assert_eq!(error.code(), Code::Unrepresentable);
        assert!(error.headline().contains(&format!("d/{name}")), "{error}");
    }
}

#[test]
fn bu03_sockets_are_left_out_with_a_finding() {
    let folder = tempfile::tempdir().expect("folder");
    fs::write(folder.path().join("file"), "").expect("written");
    let _socket = UnixListener::bind(folder.path().join("socket")).expect("made");
    let (packed, bytes) = tree(folder.path(), &plain()).expect("packed");
    assert_eq!(packed.findings[0].name, "socket-left-out");
    assert_eq!(look(unpack_plain(&bytes).path()).0.len(), 2);
}

#[test]
fn bu02_a_file_that_changes_while_it_is_read_is_an_error() {
    /// Grows a file as soon as its first bytes come out.
    struct Meddler<'a>(&'a Path, &'a dyn Fn(&Path));
    impl Write for Meddler<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            (self.1)(self.0);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let open =
        |path: &Path, append| File::options().write(true).append(append).open(path).expect("there");
    let meddle: [&dyn Fn(&Path); 3] = [
        &|path| open(path, true).write_all(b"x").expect("written"),
        &|path| open(path, false).set_len(10).expect("cut"),
        &|path| open(path, false).write_all(b"x").expect("written"),
    ];
    for change in meddle {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("busy");
        fs::write(&path, vec![1; 8 << 20]).expect("written");
        std::thread::sleep(std::time::Duration::from_millis(20));
        let root = Root::open(folder.path()).expect("opened");
        let packed = pack::tree(root.as_fd(), Meddler(&path, change), &plain());
        let error: Error = packed.map(|_| ()).expect_err("changed");
        assert!(error.headline().contains("busy"), "{error}");
    }
}

#[test]
fn bu06_what_is_mounted_in_the_tree_is_left_out() {
    if needs_root("mounting") {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let point = folder.path().join("proc");
    fs::create_dir(&point).expect("made");
    let flags = rustix::mount::MountFlags::empty();
    if rustix::mount::mount("none", &point, "tmpfs", flags, None).is_err() {
        return;
    }
    fs::write(point.join("secret"), "").expect("written");
    let packed = tree(folder.path(), &plain());
    rustix::mount::unmount(&point, rustix::mount::UnmountFlags::DETACH).expect("ours");
    let (packed, bytes) = packed.expect("packed");
    assert_eq!(packed.findings[0].name, "mount-left-out");
    let back = look(unpack_plain(&bytes).path());
    assert_eq!(back.0.keys().collect::<Vec<_>>(), ["", "proc"]);
}

#[test]
fn owners_and_times_can_be_settled() {
    let folder = variety();
    let options = Options { owner: Some((5, 6)), epoch: Some(1_000_000_000), ..plain() };
    let (_, bytes) = tree(folder.path(), &options).expect("packed");
    let mut entries = plimsoll_layer::tar::Entries::new(&bytes[..], Limits::default());
    let mut last = None;
    while let Some((entry, _)) = entries.next().expect("good") {
        assert_eq!((entry.uid, entry.gid), (5, 6));
        assert!(entry.mtime <= Timestamp::from_seconds(1_000_000_000), "{}", entry.path);
        assert!(last < Some(entry.path.clone()), "in order");
        last = Some(entry.path);
    }
}

#[test]
fn a_recorded_owner_may_leave_one_id_as_it_is() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("f");
    fs::write(&path, "").expect("written");
    let value = b"\x08\xff\xff\xff\xff\x0f\x10\xc8\x03";
    let name = "user.rootlesscontainers";
    rustix::fs::setxattr(&path, name, value, XattrFlags::empty()).expect("set");
    let own = fs::metadata(&path).map(|meta| (meta.uid(), meta.gid())).expect("there");
    let (_, bytes) = tree(folder.path(), &Options { own: Some(own), ..plain() }).expect("packed");
    let mut entries = plimsoll_layer::tar::Entries::new(&bytes[..], Limits::default());
    let mut found = None;
    while let Some((entry, _)) = entries.next().expect("good") {
        found = Some((entry.uid, entry.gid)).filter(|_| entry.path.as_bytes() == b"f").or(found);
    }
    assert_eq!(found, Some((0, 456)));
}

#[test]
fn a_recorded_owner_becomes_the_owner_again() {
    let layer = Tar::new().owner(1234, 5678).file("f", "").hard("h", "f").owner(0, 0).file("g", "");
    let folder = tempfile::tempdir().expect("folder");
    let own = ApplyOptions {
        ids: plimsoll_layer::apply::Ids::Own,
        devices: Devices::Omit,
        ..ApplyOptions::default()
    };
    crate::apply_support::apply(folder.path(), &[layer], own).expect("applied");
    let (_, bytes) = tree(folder.path(), &plain()).expect("packed");
    let mut entries = plimsoll_layer::tar::Entries::new(&bytes[..], Limits::default());
    while let Some((entry, _)) = entries.next().expect("good") {
        if entry.path.as_bytes() != b"g" && !entry.path.is_root() {
            assert_eq!((entry.uid, entry.gid), (1234, 5678));
        }
        assert!(entry.xattrs.is_empty());
    }
}

#[test]
fn tr33_a_thousand_levels_are_packed_with_few_handles() {
    let layer = (1..=1_000).fold(Tar::new(), |tar, depth| tar.dir(&"d/".repeat(depth)));
    let folder = unpack_plain(&layer.done());
    let (packed, bytes) = tree(folder.path(), &plain()).expect("packed");
    assert_eq!(packed.entries, 1_001);
    assert!(archive(&bytes, &plain()).expect("packed").1 == bytes);
}

#[test]
fn removing_takes_the_whole_tree_and_nothing_else() {
    let folder = variety();
    symlink("dir", folder.path().join("pointer")).expect("linked");
    for path in ["dir/deep", "dir"] {
        fs::set_permissions(folder.path().join(path), fs::Permissions::from_mode(0o000))
            .expect("set");
    }
    let handle = File::open(folder.path()).expect("opened");
    let remove = |name: &str| plimsoll_layer::remove::tree(handle.as_fd(), OsStr::new(name));
    assert!(remove("pointer").expect("removed"));
    assert!(fs::exists(folder.path().join("dir")).expect("looked"));
    assert!(remove("dir").expect("removed"));
    assert!(!remove("dir").expect("nothing there"));
    assert!(fs::exists(folder.path().join("dir-file")).expect("looked"));
}
