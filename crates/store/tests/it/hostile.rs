//! Layouts of strangers (hostile cases LY).

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use plimsoll_content::{Code, Sink, Source, Tag};
use plimsoll_store::{Layout, Options};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::build::{Place, code, image, is_root, put, read};

#[test]
fn ly01_a_pipe_for_a_blob_is_refused_at_once() {
    let place = Place::new();
    let blob = put(&place.layout, b"hello");
    fs::remove_file(place.blob(&blob)).expect("removed");
    mknodat(CWD, place.blob(&blob), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("made");
    let error = place.layout.fetch(&blob, 0).expect_err("refused");
    assert_eq!(error.code(), Code::UnsafeEntry);
    assert_eq!(error.found_text(), Some("a named pipe"));
    assert!(!place.layout.has(&blob).expect("asked"));
    put(&place.layout, b"hello");
    assert_eq!(read(&place.layout, &blob).expect("replaced"), b"hello");
    for name in ["index.json", "oci-layout"] {
        fs::remove_file(place.path(name)).expect("removed");
        mknodat(CWD, place.path(name), FileType::Fifo, Mode::RUSR, 0).expect("made");
        assert_eq!(code(Layout::open(place.layout.path())), Code::UnsafeEntry, "{name}");
    }
}

#[test]
fn ly03_ly04_links_to_devices_and_secrets_are_refused_unread() {
    let place = Place::new();
    let blob = put(&place.layout, b"hello");
    let secret = place.folder.path().join("secret");
    fs::write(&secret, "hello").expect("written");
    for target in ["/dev/zero", secret.to_str().expect("UTF-8"), "../../../secret"] {
        let _ = fs::remove_file(place.blob(&blob));
        symlink(target, place.blob(&blob)).expect("linked");
        let error = place.layout.fetch(&blob, 0).expect_err("refused");
        assert_eq!(error.code(), Code::UnsafeEntry, "{target}");
        assert_eq!(error.found_text(), Some("a symbolic link"));
        assert!(!place.layout.has(&blob).expect("asked"));
    }
    for name in ["index.json", "oci-layout"] {
        fs::remove_file(place.path(name)).expect("removed");
        symlink("/dev/zero", place.path(name)).expect("linked");
        assert_eq!(code(Layout::open(place.layout.path())), Code::UnsafeEntry, "{name}");
    }
    // Following links does not make a device a file.
    let follow = Options { follow_symlinks: true, ..Options::default() };
    assert_eq!(code(Layout::open_with(place.layout.path(), follow)), Code::UnsafeEntry);
}

#[test]
fn ly05_a_linked_blob_is_read_only_when_links_are_allowed() {
    let place = Place::new();
    let blob = put(&place.layout, b"hello");
    let elsewhere = place.folder.path().join("elsewhere");
    fs::rename(place.blob(&blob), &elsewhere).expect("moved");
    symlink(&elsewhere, place.blob(&blob)).expect("linked");
    assert_eq!(code(read(&place.layout, &blob)), Code::UnsafeEntry);
    let follow = Options { follow_symlinks: true, ..Options::default() };
    let follower = Layout::open_with(place.layout.path(), follow).expect("opened");
    assert!(follower.has(&blob).expect("asked"));
    assert_eq!(read(&follower, &blob).expect("followed"), b"hello");
    // What a link leads to is not what is removed.
    assert_eq!(follower.collect().expect("collected"), [blob.digest]);
    assert!(elsewhere.exists());
}

#[test]
fn ly06_linked_folders_of_blobs_are_read_only_when_links_are_allowed() {
    for name in ["blobs", "blobs/sha256"] {
        let place = Place::new();
        let blob = put(&place.layout, b"hello");
        let elsewhere = place.folder.path().join("elsewhere");
        fs::rename(place.path(name), &elsewhere).expect("moved");
        symlink(&elsewhere, place.path(name)).expect("linked");
        assert_eq!(code(read(&place.layout, &blob)), Code::UnsafeEntry, "{name}");
        let other = (&place.layout as &dyn Sink).write(&blob, b"hello");
        assert!(other.is_err(), "{name}: written through a link");
        let follow = Options { follow_symlinks: true, ..Options::default() };
        let follower = Layout::open_with(place.layout.path(), follow).expect("opened");
        assert_eq!(read(&follower, &blob).expect("followed"), b"hello");
        put(&follower, b"more");
        // They may be the blobs of other layouts too.
        assert_eq!(code(follower.collect()), Code::UnsafeEntry, "{name}");
        assert_eq!(read(&follower, &blob).expect("still there"), b"hello");
    }
}

#[test]
fn ly07_what_is_no_file_is_refused() {
    let place = Place::new();
    let blob = put(&place.layout, b"hello");
    fs::remove_file(place.blob(&blob)).expect("removed");
    fs::create_dir(place.blob(&blob)).expect("made");
    assert_eq!(code(read(&place.layout, &blob)), Code::UnsafeEntry);
    assert!((&place.layout as &dyn Sink).write(&blob, b"hello").is_err());
    assert!(place.staging_is_empty());
    fs::remove_dir(place.blob(&blob)).expect("removed");

    // The path of a socket is limited to 108 bytes: bind it nearby.
    let short = place.folder.path().join("s");
    let _socket = UnixListener::bind(&short).expect("bound");
    fs::rename(&short, place.blob(&blob)).expect("moved");
    let error = place.layout.fetch(&blob, 0).expect_err("refused");
    assert_eq!(error.found_text(), Some("a socket"));
    fs::remove_file(place.blob(&blob)).expect("removed");

    let null = rustix::fs::makedev(1, 3);
    if mknodat(CWD, place.blob(&blob), FileType::CharacterDevice, Mode::RUSR, null).is_err() {
        println!("skipped in part: devices can not be made here");
        return;
    }
    let error = place.layout.fetch(&blob, 0).expect_err("refused");
    assert_eq!(error.code(), if is_root() { Code::UnsafeEntry } else { Code::Permission });
}

#[test]
fn ly08_the_file_that_was_opened_is_the_one_that_is_proved() {
    use std::io::Read;
    let place = Place::new();
    let content = vec![7; 300_000];
    let blob = put(&place.layout, &content);
    let mut reader = place.layout.open(&blob).expect("opened");
    reader.read_exact(&mut [0; 10]).expect("read");
    // Another file takes the name: the reader does not notice.
    fs::remove_file(place.blob(&blob)).expect("removed");
    fs::write(place.blob(&blob), vec![8; 300_000]).expect("written");
    let (proof, _) = reader.finish().expect("the old file");
    assert_eq!(proof.descriptor().digest, blob.digest);
    // The file itself changes: the hash decides.
    let mut reader = {
        fs::write(place.blob(&blob), &content).expect("written");
        place.layout.open(&blob).expect("opened")
    };
    reader.read_exact(&mut [0; 10]).expect("read");
    fs::write(place.blob(&blob), vec![8; 300_000]).expect("written");
    assert_eq!(code(reader.finish()), Code::Digest);
}

#[test]
fn ly10_a_bad_header_is_refused() {
    let place = Place::new();
    let header = place.path("oci-layout");
    let open = || Layout::open(place.layout.path());
    for (text, expected) in [
        (r#"{"imageLayoutVersion":"1.1.0"}"#, Code::NotALayout),
        (r#"{"imageLayoutVersion":"1.0.0","imageLayoutVersion":"1.0.0"}"#, Code::Malformed),
        (r#"{"imageLayoutVersion":1}"#, Code::Malformed),
        ("{}", Code::Malformed),
        ("[]", Code::Malformed),
        ("", Code::Malformed),
    ] {
        fs::write(&header, text).expect("written");
        let error = open().expect_err("refused");
        assert_eq!(error.code(), expected, "{text}");
        assert!(error.fix_text().is_some());
    }
    let file = fs::File::create(&header).expect("made");
    file.set_len(1 << 30).expect("sparse");
    assert_eq!(code(open()), Code::Limit);
    fs::remove_file(&header).expect("removed");
    let error = open().expect_err("refused");
    assert_eq!(error.code(), Code::NotALayout);
    fs::write(&header, r#"{"imageLayoutVersion":"1.0.0","x":1}"#).expect("written");
    open().expect("LA7: more members are no error");
    fs::remove_file(place.path("index.json")).expect("removed");
    assert_eq!(code(open()), Code::NotALayout);
}

#[test]
fn what_is_no_layout_is_named() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("x");
    assert_eq!(code(Layout::open(&path)), Code::NotFound);
    fs::write(&path, "").expect("written");
    let error = Layout::open(&path).expect_err("a file");
    assert_eq!(error.code(), Code::NotALayout);
    assert!(error.fix_text().is_some_and(|fix| fix.contains("oci-archive:")));
    for (names, found) in [
        (&[][..], "the folder is empty"),
        (&["etc", "usr"], "a root filesystem"),
        (&["config.json", "rootfs"], "a runtime bundle"),
        (&["manifest.json", "version"], "dir: format"),
    ] {
        let folder = tempfile::tempdir().expect("folder");
        for name in names {
            fs::write(folder.path().join(name), "").expect("written");
        }
        let error = Layout::open(folder.path()).expect_err("no layout");
        assert_eq!(error.code(), Code::NotALayout);
        assert!(error.found_text().is_some_and(|text| text.contains(found)), "{error}");
    }
}

#[test]
fn ly11_strangers_among_the_blobs_are_reported_and_left_alone() {
    let place = Place::new();
    let blob = put(&place.layout, b"hello");
    let upper = format!("blobs/sha256/{}", "A".repeat(64));
    let strangers =
        ["blobs/.DS_Store", "blobs/sha256/.tmp", "blobs/sha256/sub", "blobs/sha256/x", &upper];
    for name in strangers {
        if name.ends_with("sub") {
            fs::create_dir(place.path(name)).expect("made");
        } else {
            fs::write(place.path(name), "").expect("written");
        }
    }
    let inventory = place.layout.inventory().expect("listed");
    assert_eq!(inventory.blobs, std::slice::from_ref(&blob.digest));
    assert_eq!(inventory.strangers.len(), strangers.len());
    assert_eq!(place.layout.collect().expect("collected"), [blob.digest]);
    assert!(strangers.iter().all(|name| place.path(name).exists()));
}

#[test]
fn ly12_reading_needs_no_right_to_write_and_writing_fails_before_a_change() {
    let place = Place::new();
    let target = image(&place.layout, "a");
    place.layout.tag("v1", &target).expect("named");
    fs::remove_dir_all(place.path(".plimsoll")).expect("nobody writes");
    if is_root() {
        println!("as root: modes refuse nothing; the read-only mount is tried instead");
        if !crate::space::mount_read_only(place.layout.path()) {
            println!("skipped: this root can not mount");
            return;
        }
    } else {
        fs::set_permissions(place.layout.path(), fs::Permissions::from_mode(0o555)).expect("set");
    }
    let layout = Layout::open(place.layout.path()).expect("read");
    let results = (
        read(&layout, &target),
        layout.tag("v2", &target),
        layout.begin().map(drop),
        layout.collect(),
        layout.entries(),
    );
    if is_root() {
        crate::space::unmount(place.layout.path());
    } else {
        fs::set_permissions(place.layout.path(), fs::Permissions::from_mode(0o755)).expect("set");
    }
    results.0.expect("read");
    assert_eq!(code(results.1), Code::Permission);
    assert_eq!(code(results.2), Code::Permission);
    assert_eq!(code(results.3), Code::Permission);
    assert_eq!(results.4.expect("listed").len(), 1);
    assert!(!place.path(".plimsoll").exists());
}

#[test]
fn ly15_an_empty_or_torn_index_is_refused_with_a_hint() {
    let place = Place::new();
    let whole = fs::read(place.path("index.json")).expect("read");
    for length in 0..whole.len() {
        fs::write(place.path("index.json"), &whole[..length]).expect("written");
        let error = Layout::open(place.layout.path()).expect_err("torn");
        assert_eq!(error.code(), Code::Malformed, "{length}");
        assert!(error.fix_text().is_some_and(|fix| fix.contains("stopped while it wrote")));
    }
    fs::File::create(place.path("index.json")).expect("made").set_len(1 << 30).expect("sparse");
    assert_eq!(code(Layout::open(place.layout.path())), Code::Limit);
}

#[test]
fn a_layout_can_not_lead_our_own_files_out_of_it() {
    let place = Place::new();
    let outside = place.folder.path().join("outside");
    fs::create_dir(&outside).expect("made");
    fs::write(outside.join(".plimsoll-1-1.tmp"), "precious").expect("written");
    let _ = fs::remove_dir_all(place.path(".plimsoll"));
    for name in [".plimsoll", ".plimsoll/staging"] {
        if name.contains('/') {
            fs::create_dir(place.path(".plimsoll")).expect("made");
        }
        symlink(&outside, place.path(name)).expect("linked");
        assert!(place.layout.begin().is_err(), "{name}");
        assert!(place.layout.untag("x").is_ok_and(|done| !done) || name == ".plimsoll");
        fs::remove_file(place.path(name)).expect("removed");
    }
    assert_eq!(fs::read_dir(&outside).expect("listed").count(), 1);
}
