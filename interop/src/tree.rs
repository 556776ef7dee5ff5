//! What lies below a folder, in full.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Everything that is said about a file but its times of access and change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// `file`, `folder`, `link`, `char`, `block`, `fifo`.
    pub kind: &'static str,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Seconds and nanoseconds.
    pub mtime: (i64, i64),
    /// Names and values, sorted.
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// The content of a file, the target of a link, the numbers of a device.
    pub content: Vec<u8>,
    /// The first path of the hard-link group; the own one for a single file.
    pub group: PathBuf,
}

/// Nodes by their path below the root, which is the empty path.
pub type Tree = BTreeMap<PathBuf, Node>;

/// Lists what lies at `root`.
///
/// # Panics
///
/// If something can not be read.
pub fn list(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut first = BTreeMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(path) = waiting.pop() {
        let place = root.join(&path);
        let node = node(&place);
        if node.kind == "folder" {
            let entries = fs::read_dir(&place).expect("a folder can be listed");
            waiting.extend(entries.map(|entry| path.join(entry.expect("listed").file_name())));
        }
        tree.insert(path, node);
    }
    // In the order of paths, so that the first name of a group is the same in
    // equal trees.
    for (path, node) in &mut tree {
        let meta = root.join(path).symlink_metadata().expect("it was there a moment ago");
        let key = (meta.dev(), meta.ino());
        let leader = if node.kind == "folder" { path } else { first.entry(key).or_insert(path) };
        node.group.clone_from(leader);
    }
    tree
}

fn node(place: &Path) -> Node {
    let meta =
        place.symlink_metadata().unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    let kind = meta.file_type();
    let (kind, content) = if kind.is_file() {
        ("file", fs::read(place).unwrap_or_else(|error| panic!("{}: {error}", place.display())))
    } else if kind.is_dir() {
        ("folder", Vec::new())
    } else if kind.is_symlink() {
        let target = fs::read_link(place).expect("a link can be read");
        ("link", target.as_os_str().as_bytes().to_vec())
    } else if kind.is_fifo() {
        ("fifo", Vec::new())
    } else if kind.is_char_device() {
        ("char", meta.rdev().to_string().into_bytes())
    } else if kind.is_block_device() {
        ("block", meta.rdev().to_string().into_bytes())
    } else {
        ("socket", Vec::new())
    };
    Node {
        kind,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        xattrs: xattrs(place),
        content,
        group: PathBuf::new(),
    }
}

fn xattrs(place: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names = vec![0; 1 << 16];
    let Ok(length) = rustix::fs::llistxattr(place, &mut names[..]) else { return Vec::new() };
    let mut found: Vec<_> = names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .filter_map(|name| {
            let mut value = vec![0; 1 << 16];
            let length =
                rustix::fs::lgetxattr(place, OsStr::from_bytes(name), &mut value[..]).ok()?;
            value.truncate(length);
            Some((String::from_utf8_lossy(name).into_owned(), value))
        })
        .collect();
    found.sort();
    found
}

/// What differs, one line for each member of each entry.
pub fn differences(ours: &Tree, theirs: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    let mut paths: Vec<_> = ours.keys().chain(theirs.keys()).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        let mut say = |what: &str, ours: String, theirs: String| {
            if ours != theirs {
                lines.push(format!("/{}: {what}: {ours} and {theirs}", path.display()));
            }
        };
        match (ours.get(path), theirs.get(path)) {
            (Some(one), Some(two)) => {
                say("kind", one.kind.into(), two.kind.into());
                say("mode", format!("{:o}", one.mode), format!("{:o}", two.mode));
                say("uid", one.uid.to_string(), two.uid.to_string());
                say("gid", one.gid.to_string(), two.gid.to_string());
                say("mtime", format!("{:?}", one.mtime), format!("{:?}", two.mtime));
                say("xattrs", format!("{:?}", one.xattrs), format!("{:?}", two.xattrs));
                say("group", one.group.display().to_string(), two.group.display().to_string());
                if one.content != two.content {
                    let (one, two) = (one.content.len(), two.content.len());
                    lines.push(format!("/{}: content, {one} and {two} bytes", path.display()));
                }
            }
            (one, _) => {
                let side = if one.is_some() { "first" } else { "second" };
                lines.push(format!("/{}: only in the {side}", path.display()));
            }
        }
    }
    lines
}

/// Two folders hold the same, entry by entry.
///
/// # Panics
///
/// If they do not, with the first differences.
#[track_caller]
pub fn assert_equal(ours: &Path, theirs: &Path) {
    compare(&list(ours), &list(theirs), ours, theirs);
}

/// The same, but for the time of the folders themselves: where an image says
/// nothing of its root, each tool has a choice.
///
/// # Panics
///
/// If they hold something else, with the first differences.
#[track_caller]
pub fn assert_equal_below(ours: &Path, theirs: &Path) {
    let (mut one, mut two) = (list(ours), list(theirs));
    for tree in [&mut one, &mut two] {
        tree.entry(PathBuf::new()).and_modify(|root| root.mtime = (0, 0));
    }
    compare(&one, &two, ours, theirs);
}

#[track_caller]
fn compare(one: &Tree, two: &Tree, ours: &Path, theirs: &Path) {
    let lines = differences(one, two);
    assert!(
        lines.is_empty(),
        "{} and {} differ in {} of {} entries:\n{}",
        ours.display(),
        theirs.display(),
        lines.len(),
        one.len(),
        lines.iter().take(40).cloned().collect::<Vec<_>>().join("\n")
    );
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_member_of_an_entry_counts() {
        let scratch = crate::Scratch::new();
        let make = |name: &str, content: &str, target: &str, linked: bool| {
            let root = scratch.join(name);
            fs::create_dir_all(root.join("a")).unwrap();
            fs::write(root.join("a/file"), content).unwrap();
            symlink(target, root.join("link")).unwrap();
            if linked {
                fs::hard_link(root.join("a/file"), root.join("b")).unwrap();
            } else {
                fs::write(root.join("b"), content).unwrap();
            }
            for path in ["a/file", "b", "link", "a", ""] {
                let stamp = rustix::fs::Timespec { tv_sec: 1_000, tv_nsec: 5 };
                rustix::fs::utimensat(
                    rustix::fs::CWD,
                    root.join(path),
                    &rustix::fs::Timestamps { last_access: stamp, last_modification: stamp },
                    rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
                )
                .unwrap();
            }
            root
        };
        let one = make("one", "x", "a", true);
        assert_equal(&one, &make("same", "x", "a", true));
        let differ = |other: &Path| differences(&list(&one), &list(other));
        assert_eq!(
            differ(&make("content", "y", "a", true)),
            ["/a/file: content, 1 and 1 bytes", "/b: content, 1 and 1 bytes"]
        );
        assert_eq!(differ(&make("target", "x", "b", true)), ["/link: content, 1 and 1 bytes"]);
        assert_eq!(differ(&make("group", "x", "a", false)).len(), 1);
        let late = make("late", "x", "a", true);
        fs::write(late.join("c"), "").unwrap();
        let lines = differ(&late);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("/: mtime"));
        assert!(lines[1].contains("/c: only in the second"));
    }
}
