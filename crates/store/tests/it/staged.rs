use std::ffi::CString;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use plimsoll_content::Code;
use plimsoll_store::{Flush, StagedDir, write_file_atomic};
use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, unlinkat};

use crate::build::{code, is_root};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("listed")
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn appears_as_a_whole() {
    let folder = tempfile::tempdir().expect("folder");
    let destination = folder.path().join("root");
    let staged = StagedDir::beside(&destination).expect("staged");
    fs::write(staged.path().join("file"), "content").expect("written");
    let mode = fs::metadata(staged.path()).expect("there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    assert!(!destination.exists());
    assert_eq!(staged.destination(), destination);
    rustix::fs::fchmod(staged.fd(), Mode::from_raw_mode(0o555)).expect("set");
    staged.publish().expect("published");
    assert_eq!(fs::read(destination.join("file")).expect("read"), b"content");
    assert_eq!(fs::metadata(&destination).expect("there").mode() & 0o7777, 0o555);
    assert_eq!(names(folder.path()), ["root"]);
}

#[test]
fn appears_as_a_whole_and_replaces_nothing_without_waiting_for_the_disk() {
    let folder = tempfile::tempdir().expect("folder");
    let destination = folder.path().join("root");
    let stage = || StagedDir::beside(&destination).expect("staged");
    let (first, second) = (stage(), stage());
    fs::write(first.path().join("file"), "first").expect("written");
    fs::write(second.path().join("file"), "second").expect("written");
    first.flushed(Flush::Never).publish().expect("published");
    assert_eq!(code(second.flushed(Flush::Never).publish()), Code::Exists);
    assert_eq!(fs::read(destination.join("file")).expect("read"), b"first");
    assert_eq!(names(folder.path()), ["root"]);
}

#[test]
fn replaces_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    for (name, make) in [
        ("file", (|path| fs::write(path, "old").expect("made")) as fn(&Path)),
        ("empty", |path| fs::create_dir(path).expect("made")),
        ("link", |path| symlink("nowhere", path).expect("made")),
    ] {
        let destination = folder.path().join(name);
        let staged = StagedDir::beside(&destination).expect("staged");
        make(&destination);
        let before = destination.symlink_metadata().expect("there").ino();
        assert_eq!(code(staged.publish()), Code::Exists, "{name}");
        assert_eq!(destination.symlink_metadata().expect("there").ino(), before, "{name}");
        if name != "empty" {
            assert_eq!(code(StagedDir::beside(&destination)), Code::Exists, "{name}");
        }
    }
    assert_eq!(names(folder.path()), ["empty", "file", "link"]);
}

#[test]
fn an_empty_folder_that_lay_there_is_replaced_unless_it_is_filled() {
    let folder = tempfile::tempdir().expect("folder");
    let destination = folder.path().join("root");
    fs::create_dir(&destination).expect("made");
    let staged = StagedDir::beside(&destination).expect("staged");
    fs::write(destination.join("mine"), "").expect("written");
    assert_eq!(code(staged.publish()), Code::Exists);
    assert_eq!(code(StagedDir::beside(&destination)), Code::Exists);
    fs::remove_file(destination.join("mine")).expect("removed");
    let staged = StagedDir::beside(&destination).expect("staged");
    fs::write(staged.path().join("file"), "").expect("written");
    staged.publish().expect("published");
    assert_eq!(names(&destination), ["file"]);
    let link = folder.path().join("link");
    symlink(folder.path(), &link).expect("linked");
    assert_eq!(code(StagedDir::beside(&link)), Code::Exists);
    assert_eq!(names(folder.path()), ["link", "root"]);
}

#[test]
fn a_destination_needs_a_name_and_a_folder_around_it() {
    let folder = tempfile::tempdir().expect("folder");
    assert_eq!(code(StagedDir::beside(&folder.path().join(".."))), Code::Usage);
    assert_eq!(code(StagedDir::beside(Path::new("/"))), Code::Usage);
    assert_eq!(code(StagedDir::beside(&folder.path().join("no/where"))), Code::NotFound);
}

#[test]
fn dropped_it_removes_everything_and_nothing_else() {
    let folder = tempfile::tempdir().expect("folder");
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).expect("made");
    fs::write(outside.join("precious"), "kept").expect("written");
    let staged = StagedDir::beside(&folder.path().join("root")).expect("staged");
    let path = staged.path();
    fs::create_dir_all(path.join("a/b/c")).expect("made");
    fs::write(path.join("a/b/c/file"), "content").expect("written");
    symlink(&outside, path.join("a/link")).expect("linked");
    symlink("/", path.join("root")).expect("linked");
    fs::hard_link(outside.join("precious"), path.join("hard")).expect("linked");
    for (name, mode) in [("a/b/c/file", 0), ("a/b/c", 0), ("a/b", 0o500), ("a", 0)] {
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(mode)).expect("set");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).expect("set");
    drop(staged);
    assert_eq!(names(folder.path()), ["outside"]);
    assert_eq!(fs::read(outside.join("precious")).expect("read"), b"kept");
}

#[test]
fn removes_trees_deeper_than_paths_and_handles_go() {
    let folder = tempfile::tempdir().expect("folder");
    let staged = StagedDir::beside(&folder.path().join("root")).expect("staged");
    let mut current = staged.fd().try_clone_to_owned().expect("handle");
    for _ in 0..3_000 {
        mkdirat(&current, "deeper", Mode::RWXU).expect("made");
        current = openat(&current, "deeper", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .expect("entered");
    }
    drop(current);
    drop(staged);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn leftovers_are_swept_and_work_is_not() {
    let folder = tempfile::tempdir().expect("folder");
    let working = StagedDir::beside(&folder.path().join("a")).expect("staged");
    for name in [".plimsoll-99-7.tmp", ".plimsoll-98-7.tmp", ".plimsoll-x", "mine.tmp"] {
        fs::create_dir(folder.path().join(name)).expect("made");
        fs::write(folder.path().join(name).join("file"), "").expect("written");
    }
    fs::write(folder.path().join(".plimsoll-97-0.tmp"), "").expect("written");
    symlink("mine.tmp", folder.path().join(".plimsoll-96-0.tmp")).expect("linked");
    assert_eq!(StagedDir::sweep(folder.path()).expect("swept"), 3);
    let working_name = working.path().file_name().expect("named").to_string_lossy().into_owned();
    let mut expected =
        vec![".plimsoll-96-0.tmp".to_owned(), ".plimsoll-x".to_owned(), "mine.tmp".to_owned()];
    expected.push(working_name);
    expected.sort();
    assert_eq!(names(folder.path()), expected);
    // The next one tidies up by itself.
    fs::create_dir(folder.path().join(".plimsoll-99-8.tmp")).expect("made");
    drop(StagedDir::beside(&folder.path().join("b")).expect("staged"));
    assert!(!folder.path().join(".plimsoll-99-8.tmp").exists());
    working.publish().expect("published");
}

#[test]
fn leftovers_of_other_users_are_left_alone() {
    if !is_root() {
        println!("skipped: only root can give files away");
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join(".plimsoll-99-7.tmp");
    fs::create_dir(&path).expect("made");
    std::os::unix::fs::chown(&path, Some(12345), None).expect("given away");
    assert_eq!(StagedDir::sweep(folder.path()).expect("swept"), 0);
    assert!(path.exists());
}

#[test]
fn a_mount_in_a_leftover_is_not_crossed() {
    if !is_root() {
        println!("skipped: only root can mount");
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let leftover = folder.path().join(".plimsoll-99-7.tmp");
    fs::create_dir_all(leftover.join("mount")).expect("made");
    if !crate::space::mount_tmpfs(&leftover.join("mount"), "size=1m") {
        println!("skipped: this root can not mount");
        return;
    }
    fs::write(leftover.join("mount/precious"), "kept").expect("written");
    let swept = StagedDir::sweep(folder.path());
    let kept = leftover.join("mount/precious").exists();
    crate::space::unmount(&leftover.join("mount"));
    assert_eq!(swept.expect("swept"), 0);
    assert!(kept);
    assert_eq!(StagedDir::sweep(folder.path()).expect("swept"), 1);
}

#[test]
fn a_file_is_replaced_in_one_step() {
    let folder = tempfile::tempdir().expect("folder");
    let handle = fs::File::open(folder.path()).expect("opened");
    let path = folder.path().join("config.json");
    write_file_atomic(handle.as_fd(), "config.json", b"one", 0o600).expect("written");
    let old = fs::File::open(&path).expect("opened");
    write_file_atomic(handle.as_fd(), "config.json", b"two", 0o644).expect("written");
    assert_eq!(fs::read(&path).expect("read"), b"two");
    assert_eq!(std::io::read_to_string(old).expect("read"), "one");
    assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o644);
    for bad in ["", ".", "..", "a/b", "a\0"] {
        assert_eq!(code(write_file_atomic(handle.as_fd(), bad, b"", 0o644)), Code::Usage);
    }
    // A link is replaced, not followed.
    let outside = tempfile::NamedTempFile::new().expect("file");
    unlinkat(handle.as_fd(), CString::new("config.json").expect("name"), AtFlags::empty())
        .expect("removed");
    symlink(outside.path(), &path).expect("linked");
    write_file_atomic(handle.as_fd(), "config.json", b"three", 0o644).expect("written");
    assert_eq!(fs::read(outside.path()).expect("read"), b"");
    assert_eq!(names(folder.path()), ["config.json"]);
}
