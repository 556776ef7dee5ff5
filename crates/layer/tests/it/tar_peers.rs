//! GNU tar, bsdtar and Python read what we write, and we read what they
//! write. Each test is skipped where its peer is missing.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_layer::tar::Writer;
use plimsoll_layer::{Entry, EntryKind, Timestamp};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use crate::tar_raw::read;
use crate::tar_roundtrip::entry;

/// Whether a program can be started.
fn there_is(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.env("TZ", "UTC").env("LC_ALL", "C").output().expect("started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    output.stdout
}

fn own_ids() -> (u32, u32) {
    (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw())
}

/// What a file system holds of an entry: kind, mode, time, link and content.
type Seen = (String, u32, i64, i64, Vec<u8>);

/// All files below `root`, by path; names of one file share its number.
fn walk(root: &Path) -> BTreeMap<Vec<u8>, (Seen, u64)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(root.join(&folder)).expect("a folder") {
            let path = folder.join(item.expect("a name").file_name());
            let full = root.join(&path);
            let meta = fs::symlink_metadata(&full).expect("there");
            let kind = meta.file_type();
            let (name, content) = if kind.is_dir() {
                folders.push(path.clone());
                ("folder", Vec::new())
            } else if kind.is_symlink() {
                ("symlink", fs::read_link(&full).expect("a link").as_os_str().as_bytes().to_vec())
            } else if kind.is_fifo() {
                ("fifo", Vec::new())
            } else {
                ("file", fs::read(&full).expect("a file"))
            };
            let seen =
                (name.into(), meta.mode() & 0o7777, meta.mtime(), meta.mtime_nsec(), content);
            found.insert(path.as_os_str().as_bytes().to_vec(), (seen, meta.ino()));
        }
    }
    found
}

/// The same view of a list of entries. Hard links are what they lead to.
fn model(list: &[(Entry, Vec<u8>)]) -> BTreeMap<Vec<u8>, Seen> {
    let mut found: BTreeMap<Vec<u8>, Seen> = BTreeMap::new();
    for (entry, content) in list {
        let (name, content) = match &entry.kind {
            EntryKind::Directory => ("folder", Vec::new()),
            EntryKind::Symlink { target } => ("symlink", target.clone()),
            EntryKind::Fifo => ("fifo", Vec::new()),
            EntryKind::File { .. } => ("file", content.clone()),
            EntryKind::Hardlink { target } => {
                let seen = found[target.as_bytes()].clone();
                found.insert(entry.path.as_bytes().to_vec(), seen);
                continue;
            }
            other => panic!("{other:?} is in no test of file systems"),
        };
        if entry.path.is_root() {
            continue;
        }
        let mode = if name == "symlink" { 0o777 } else { entry.mode };
        let (seconds, nanoseconds) = (entry.mtime.seconds(), entry.mtime.nanoseconds().into());
        let seen = (name.into(), mode, seconds, nanoseconds, content);
        found.insert(entry.path.as_bytes().to_vec(), seen);
    }
    found
}

/// Entries that any user can create, with everything that needs care.
fn ours() -> Vec<(Entry, Vec<u8>)> {
    let (uid, gid) = own_ids();
    let long = [&b"d/"[..], &[b'l'; 150], b"/", &[b'm'; 200]].concat();
    let split = [&b"d/"[..], &[b'l'; 150], b"/", &[b's'; 90]].concat();
    let file = |path: &[u8], content: &[u8]| {
        (entry(path, EntryKind::File { size: content.len() as u64 }), content.to_vec())
    };
    let plain = |path: &[u8], kind| (entry(path, kind), Vec::new());
    let symlink = |target: &[u8]| EntryKind::Symlink { target: target.to_vec() };
    let hardlink = |target: &Entry| EntryKind::Hardlink { target: target.path.clone() };
    let mut list = vec![
        plain(b"", EntryKind::Directory),
        plain(b"d", EntryKind::Directory),
        plain(&long[..152], EntryKind::Directory),
        file(b"d/empty", b""),
        file(b"d/full", &[b'x'; 512]),
        file(b"d/more", &[b'y'; 1_000]),
        file(b"d/caf\xc3\xa9 \n\\\"'", b"odd name"),
        file(b"d/\xe9\xff", b"not utf-8"),
        file(&split, b"split"),
        file(&long, b"long"),
        plain(b"d/link", symlink(b"../etc//passwd")),
        plain(b"d/long-link", symlink(&[b't'; 300])),
        plain(b"d/fifo", EntryKind::Fifo),
    ];
    let (short, long) = (list[4].0.clone(), list[9].0.clone());
    list.push(plain(b"d/hard", hardlink(&short)));
    list.push(plain(b"d/hard-long", hardlink(&long)));
    let times =
        [(1_700_000_000, 0), (1_700_000_000, 123_456_789), (-1, 0), (-86_400, 0), (1 << 33, 5)];
    for (index, (entry, _)) in list.iter_mut().enumerate() {
        (entry.uid, entry.gid) = (uid, gid);
        entry.mode = if entry.kind == EntryKind::Directory { 0o755 } else { 0o640 };
        let (seconds, nanoseconds) = times[index % times.len()];
        entry.mtime = Timestamp::new(seconds, nanoseconds).expect("good");
    }
    list
}

fn archive(list: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, content) in list {
        writer.append(entry, &content[..]).expect("written");
    }
    writer.finish().expect("ended")
}

/// Lets `program` extract our archive, and compares what lies there.
fn extracted_by(program: &str, arguments: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, root) = (folder.path().join("a.tar"), folder.path().join("root"));
    fs::create_dir(&root).expect("made");
    let list = ours();
    fs::write(&file, archive(&list)).expect("written");
    run(Command::new(program).args(arguments).arg("-xpf").arg(&file).arg("-C").arg(&root));
    let found = walk(&root);
    for (path, expected) in &model(&list) {
        let name = String::from_utf8_lossy(path);
        let (seen, _) = found.get(path).unwrap_or_else(|| panic!("{program} lost {name}"));
        assert_eq!(seen, expected, "{program}: {name}");
    }
    assert_eq!(found.len(), list.len() - 1, "{program} made no other files");
    assert_eq!(found[&b"d/hard"[..]].1, found[&b"d/full"[..]].1);
}

#[test]
fn gnu_tar_extracts_what_we_write() {
    if !there_is("tar") {
        eprintln!("skipped: no GNU tar here");
        return;
    }
    extracted_by("tar", &["--delay-directory-restore"]);
}

#[test]
fn bsdtar_extracts_what_we_write() {
    if !there_is("bsdtar") {
        eprintln!("skipped: no bsdtar here");
        return;
    }
    extracted_by("bsdtar", &[]);
}

/// Prints each member on a line; names and values in hexadecimal.
const LIST: &str = r#"
import os, sys, tarfile
from decimal import Decimal, ROUND_FLOOR
raw = lambda text: os.fsencode(text).hex() or "-"
with tarfile.open(sys.argv[1], errors="surrogateescape") as archive:
    for member in archive:
        time = Decimal(member.pax_headers.get("mtime", int(member.mtime)))
        second = int(time.to_integral_value(ROUND_FLOOR))
        xattrs = sorted(
            (key[len("SCHILY.xattr."):], value)
            for key, value in member.pax_headers.items() if key.startswith("SCHILY.xattr."))
        content = archive.extractfile(member).read() if member.isreg() else b""
        print(raw(member.name), member.type.decode(), oct(member.mode)[2:], member.uid, member.gid,
              second, int((time - second) * 10**9), raw(member.linkname), member.size,
              f"{member.devmajor}:{member.devminor}", content.hex() or "-",
              ",".join(f"{raw(k)}={raw(v)}" for k, v in xattrs) or "-")
"#;

#[test]
fn python_reads_what_we_write() {
    if !there_is("python3") {
        eprintln!("skipped: no Python here");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.tar");
    let mut list = ours();
    list.push((entry(b"null", EntryKind::Char { major: 1, minor: 3 }), Vec::new()));
    list.push((entry(b"disk", EntryKind::Block { major: 259, minor: 70_000 }), Vec::new()));
    let mut odd = entry(b"odd", EntryKind::File { size: 1 });
    (odd.uid, odd.gid, odd.mode) = (3_000_000_000, 2_097_152, 0o6755);
    odd.mtime = Timestamp::new(-2, 250_000_000).expect("good");
    odd.xattrs = vec![
        (b"security.capability".to_vec(), b"\x01\0\0\x02\0 =\n\xff".to_vec()),
        (b"user.empty".to_vec(), Vec::new()),
    ];
    list.push((odd, b"o".to_vec()));
    fs::write(&file, archive(&list)).expect("written");
    let output = run(Command::new("python3").args(["-c", LIST]).arg(&file));
    let text = String::from_utf8(output).expect("plain text");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), list.len());
    for ((entry, content), line) in list.iter().zip(lines) {
        assert_eq!(line, expected_line(entry, content));
    }
}

fn expected_line(entry: &Entry, content: &[u8]) -> String {
    let hex = |bytes: &[u8]| match bytes {
        [] => "-".to_owned(),
        _ => bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")),
    };
    let (kind, link, size, device) = match &entry.kind {
        EntryKind::File { size } => ('0', &b""[..], *size, (0, 0)),
        EntryKind::Hardlink { target } => ('1', target.as_bytes(), 0, (0, 0)),
        EntryKind::Symlink { target } => ('2', &target[..], 0, (0, 0)),
        EntryKind::Char { major, minor } => ('3', &b""[..], 0, (*major, *minor)),
        EntryKind::Block { major, minor } => ('4', &b""[..], 0, (*major, *minor)),
        EntryKind::Directory => ('5', &b""[..], 0, (0, 0)),
        EntryKind::Fifo => ('6', &b""[..], 0, (0, 0)),
    };
    let name = if entry.path.is_root() { b"." } else { entry.path.as_bytes() };
    let xattrs: Vec<String> =
        entry.xattrs.iter().map(|(name, value)| format!("{}={}", hex(name), hex(value))).collect();
    format!(
        "{} {kind} {:o} {} {} {} {} {} {size} {}:{} {} {}",
        hex(name),
        entry.mode,
        entry.uid,
        entry.gid,
        entry.mtime.seconds(),
        entry.mtime.nanoseconds(),
        hex(link),
        device.0,
        device.1,
        hex(content),
        if xattrs.is_empty() { "-".to_owned() } else { xattrs.join(",") },
    )
}

/// What a format can hold.
#[derive(Clone, Copy)]
struct Holds {
    fifo: bool,
    long: bool,
    nanoseconds: i64,
    oldest: i64,
}

const V7: Holds = Holds { fifo: false, long: false, nanoseconds: 0, oldest: 0 };
const USTAR: Holds = Holds { fifo: true, ..V7 };
const GNU: Holds = Holds { long: true, oldest: -77, ..USTAR };
const PAX: Holds = Holds { nanoseconds: 987_654_321, ..GNU };
/// bsdtar writes -1.5 for half a second after -1, and 0 for it in GNU's format.
const BSD: Holds = Holds { oldest: 77, ..PAX };

/// A tree with all that the formats differ in.
fn tree(root: &Path, holds: Holds) {
    let folder = root.join("d");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("empty"), "").expect("written");
    fs::write(folder.join("file"), vec![b'f'; 1_300]).expect("written");
    fs::write(folder.join(OsStr::from_bytes(b"\xe9\xff")), "not utf-8").expect("written");
    fs::hard_link(folder.join("file"), folder.join("hard")).expect("linked");
    symlink("../nowhere", folder.join("link")).expect("linked");
    if holds.fifo {
        let path = folder.join("fifo");
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from(0o600), 0).expect("made");
    }
    if holds.long {
        let deep = folder.join("k".repeat(140));
        fs::create_dir(&deep).expect("made");
        fs::write(deep.join("n".repeat(180)), "long").expect("written");
        symlink("t".repeat(260), folder.join("long-link")).expect("linked");
    }
    let mut sparse = File::create(folder.join("sparse")).expect("made");
    for offset in [100_000u64, 300_000, 700_000] {
        sparse.seek(SeekFrom::Start(offset)).expect("moved");
        sparse.write_all(b"data in a hole").expect("written");
    }
    sparse.set_len(1_000_000).expect("longer");
    fs::set_permissions(folder.join("file"), fs::Permissions::from_mode(0o4751)).expect("set");
    let mut paths: Vec<_> = walk(root).into_keys().collect();
    paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
    for (index, path) in paths.iter().enumerate() {
        let second = if index == 0 { holds.oldest } else { 1_600_000_000 };
        let time = Timespec { tv_sec: second, tv_nsec: holds.nanoseconds };
        let times = Timestamps { last_access: time, last_modification: time };
        let path = root.join(OsStr::from_bytes(path));
        rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("set");
    }
}

/// Reads an archive of `root` and compares it with what lies there.
fn compare(what: &str, root: &Path, bytes: &[u8]) -> Vec<(Entry, Vec<u8>)> {
    let (list, findings) = read(bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(findings.is_empty(), "{what}: {findings:?}");
    let (uid, gid) = own_ids();
    for (entry, _) in &list {
        assert_eq!((entry.uid, entry.gid), (uid, gid), "{what}");
    }
    let (found, expected) = (model(&list), walk(root));
    let names = |map: Vec<&Vec<u8>>| -> Vec<String> {
        map.into_iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    };
    assert_eq!(names(found.keys().collect()), names(expected.keys().collect()), "{what}");
    for (path, seen) in &found {
        let name = String::from_utf8_lossy(path);
        let expected = &expected[path].0;
        assert_eq!(seen.4, expected.4, "{what}: content of {name}");
        assert_eq!(
            (&seen.0, seen.1, seen.2, seen.3),
            (&expected.0, expected.1, expected.2, expected.3),
            "{what}: {name}"
        );
    }
    list
}

fn written_by(program: &str, formats: &[(&[&str], Holds)]) {
    for (arguments, holds) in formats {
        let folder = tempfile::tempdir().expect("a folder");
        tree(folder.path(), *holds);
        let mut command = Command::new(program);
        command.args(*arguments).args(["-cf", "-", "-C"]).arg(folder.path()).arg("d");
        compare(&format!("{program} {arguments:?}"), folder.path(), &run(&mut command));
    }
}

#[test]
fn we_read_what_gnu_tar_writes() {
    if !there_is("tar") {
        eprintln!("skipped: no GNU tar here");
        return;
    }
    written_by(
        "tar",
        &[
            (&["--format=v7"], V7),
            (&["--format=ustar"], USTAR),
            (&["--format=oldgnu"], GNU),
            (&["--format=gnu"], GNU),
            (&["--format=posix"], PAX),
            (&["--format=gnu", "--sparse"], GNU),
            (&["--format=oldgnu", "--sparse"], GNU),
            (&["--format=posix", "--sparse", "--sparse-version=0.0"], PAX),
            (&["--format=posix", "--sparse", "--sparse-version=0.1"], PAX),
            (&["--format=posix", "--sparse", "--sparse-version=1.0"], PAX),
        ],
    );
}

#[test]
fn we_read_what_bsdtar_writes() {
    if !there_is("bsdtar") {
        eprintln!("skipped: no bsdtar here");
        return;
    }
    written_by(
        "bsdtar",
        &[
            (&["--format=ustar"], USTAR),
            (&["--format=gnutar"], Holds { oldest: 0, ..GNU }),
            (&["--format=pax"], BSD),
            (&["--format=paxr"], Holds { nanoseconds: 0, ..BSD }),
        ],
    );
}

#[test]
fn we_read_what_python_writes() {
    if !there_is("python3") {
        eprintln!("skipped: no Python here");
        return;
    }
    let script = "import sys, tarfile\n\
        with tarfile.open(sys.argv[1], 'w', format=getattr(tarfile, sys.argv[2])) as archive:\n    \
        archive.add(sys.argv[3], 'd')";
    for (format, holds) in [("USTAR_FORMAT", USTAR), ("GNU_FORMAT", GNU), ("PAX_FORMAT", GNU)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, root) = (folder.path().join("a.tar"), folder.path().join("root"));
        fs::create_dir(&root).expect("made");
        // Python holds times as floating point numbers.
        tree(&root, holds);
        let mut command = Command::new("python3");
        run(command.args(["-c", script]).arg(&file).arg(format).arg(root.join("d")));
        compare(format, &root, &fs::read(&file).expect("written"));
    }
}

#[test]
fn attributes_pass_both_ways() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    fs::write(&path, "").expect("written");
    let value = b"a\n=\0\xff";
    if rustix::fs::setxattr(&path, "user.test", value, XattrFlags::empty()).is_err() {
        eprintln!("skipped: this file system has no user attributes");
        return;
    }
    let programs: [(&str, &[&str]); 2] =
        [("tar", &["--xattrs", "--format=posix"]), ("bsdtar", &["--xattrs", "--format=pax"])];
    for (program, arguments) in programs {
        if !there_is(program) {
            eprintln!("skipped in part: no {program} here");
            continue;
        }
        let mut command = Command::new(program);
        let bytes =
            run(command.args(arguments).args(["-cf", "-", "-C"]).arg(folder.path()).arg("file"));
        let (list, _) = read(&bytes).expect("read");
        assert_eq!(list[0].0.xattrs, [(b"user.test".to_vec(), value.to_vec())], "{program}");

        // And back: ours, extracted by them.
        let (file, root) =
            (folder.path().join("a.tar"), folder.path().join(format!("{program}.d")));
        fs::create_dir(&root).expect("made");
        fs::write(&file, archive(&list)).expect("written");
        let mut command = Command::new(program);
        run(command.args(["--xattrs", "-xpf"]).arg(&file).arg("-C").arg(&root));
        let mut buffer = [0; 64];
        let length =
            rustix::fs::getxattr(root.join("file"), "user.test", &mut buffer).expect("there");
        assert_eq!(&buffer[..length], value, "{program}");
    }
}
