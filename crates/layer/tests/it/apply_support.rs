//! Layers made by hand, a root with neighbours that must not change, and what
//! a tree looks like from outside.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use plimsoll_content::{Algorithm, Code, Digest, Result};
use plimsoll_layer::apply::{Applier, Ids, Options, Summary, Threads};
use plimsoll_layer::codec::Format;
use plimsoll_layer::{Root, Timestamp};
use rustix::fd::AsFd;
use tempfile::TempDir;

/// An archive in the making. Names are written as they are given.
#[derive(Clone, Default)]
pub(crate) struct Tar {
    bytes: Vec<u8>,
    pax: Vec<u8>,
    mode: Option<u32>,
    owner: (u32, u32),
    time: i64,
}

impl Tar {
    pub(crate) fn new() -> Self {
        Self { time: 1_000_000_000, ..Self::default() }
    }

    /// The mode of the next entry.
    pub(crate) fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// The owner of all entries from here on.
    pub(crate) fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.owner = (uid, gid);
        self
    }

    /// The time of all entries from here on.
    pub(crate) fn time(mut self, time: i64) -> Self {
        self.time = time;
        self
    }

    /// A PAX record for the next entry.
    pub(crate) fn pax(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        let rest = key.len() + value.as_ref().len() + 3;
        let length = (rest..rest + 20).find(|length| *length == rest + length.to_string().len());
        self.pax.extend(format!("{} {key}=", length.expect("there is one")).bytes());
        self.pax.extend(value.as_ref());
        self.pax.push(b'\n');
        self
    }

    pub(crate) fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax(&format!("SCHILY.xattr.{name}"), value)
    }

    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(b'0', name, "", 0o644, content.as_ref())
    }

    pub(crate) fn dir(self, name: &str) -> Self {
        self.entry(b'5', name, "", 0o755, b"")
    }

    pub(crate) fn link(self, name: &str, target: &str) -> Self {
        self.entry(b'2', name, target, 0o777, b"")
    }

    pub(crate) fn hard(self, name: &str, target: &str) -> Self {
        self.entry(b'1', name, target, 0o644, b"")
    }

    pub(crate) fn fifo(self, name: &str) -> Self {
        self.entry(b'6', name, "", 0o644, b"")
    }

    pub(crate) fn device(self, kind: u8, name: &str) -> Self {
        self.entry(kind, name, "\x001\x003", 0o666, b"")
    }

    /// An entry of any type. A link of `\0MAJOR\0MINOR` gives device numbers.
    pub(crate) fn entry(
        mut self,
        kind: u8,
        name: &str,
        link: &str,
        mode: u32,
        content: &[u8],
    ) -> Self {
        if name.len() > 100 {
            self = self.pax("path", name);
        }
        if !self.pax.is_empty() {
            let records = std::mem::take(&mut self.pax);
            self.block(b'x', "pax", "", 0o644, &records);
        }
        let mode = self.mode.take().unwrap_or(mode);
        self.block(kind, &name[..name.len().min(100)], link, mode, content);
        self
    }

    fn block(&mut self, kind: u8, name: &str, link: &str, mode: u32, content: &[u8]) {
        let mut block = [0; 512];
        let mut set = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
        set(0, name.as_bytes());
        set(100, format!("{mode:07o}\0").as_bytes());
        set(108, format!("{:07o}\0{:07o}\0", self.owner.0, self.owner.1).as_bytes());
        set(124, format!("{:011o}\0", content.len()).as_bytes());
        set(136, format!("{:011o}\0", self.time).as_bytes());
        set(156, &[kind]);
        match link.strip_prefix('\0').and_then(|numbers| numbers.split_once('\0')) {
            Some((major, minor)) => set(329, format!("{major:0>7}\0{minor:0>7}\0").as_bytes()),
            None => set(157, link.as_bytes()),
        }
        set(257, b"ustar\x0000");
        set(148, b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend(block);
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }

    /// The archive with its end.
    pub(crate) fn done(mut self) -> Vec<u8> {
        self.bytes.extend([0; 1024]);
        self.bytes
    }
}

/// A root to unpack to, with a victim beside it that attacks aim at.
pub(crate) struct Yard {
    folder: TempDir,
    before: Tree,
}

impl Yard {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let outside = folder.path().join("outside");
        fs::create_dir(folder.path().join("root")).expect("made");
        fs::create_dir_all(outside.join("deep/er")).expect("made");
        fs::write(outside.join("victim"), "precious").expect("written");
        fs::hard_link(outside.join("victim"), outside.join("deep/twin")).expect("linked");
        fs::write(outside.join("deep/er/x"), "precious too").expect("written");
        symlink("victim", outside.join("pointer")).expect("linked");
        let mode = fs::Permissions::from_mode(0o640);
        fs::set_permissions(outside.join("victim"), mode).expect("changed");
        let before = look(&outside);
        Self { folder, before }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub(crate) fn outside(&self) -> PathBuf {
        self.folder.path().join("outside")
    }

    /// The path of the victim's folder as an archive would name it.
    pub(crate) fn outside_text(&self) -> String {
        self.outside().to_str().expect("temporary folders have plain names").to_owned()
    }

    /// Applies layers; whatever comes of it, nothing outside may change.
    pub(crate) fn apply(&self, layers: &[Tar]) -> Result<Vec<Summary>> {
        self.apply_with(layers, options())
    }

    /// The same; an empty root also shows that two threads do what one does.
    pub(crate) fn apply_with(&self, layers: &[Tar], options: Options) -> Result<Vec<Summary>> {
        let empty = fs::read_dir(self.root()).expect("listed").next().is_none();
        let two = Options { threads: Threads::Two, ..options.clone() };
        let done = apply(&self.root(), layers, two);
        let full = done.as_ref().is_err_and(|error| error.code() == Code::Space);
        if empty && !full {
            let root = TempDir::new().expect("a temporary folder");
            let mode = fs::metadata(self.root()).expect("there").permissions();
            fs::set_permissions(root.path(), mode).expect("changed");
            let one = Options { threads: Threads::One, ..options };
            let alone = apply(root.path(), layers, one);
            assert_eq!(format!("{done:?}"), format!("{alone:?}"), "one thread and two");
            if done.is_ok() {
                // Where absolute paths of both can reach.
                let (mut two, mut one) = (self.tree(), look(root.path()));
                two.0.retain(|path, _| path.len() < 3_000);
                one.0.retain(|path, _| path.len() < 3_000);
                assert_eq!(two, one, "one thread and two");
            }
        }
        assert_eq!(look(&self.outside()), self.before, "something outside changed");
        let mut names: Vec<_> = fs::read_dir(self.folder.path())
            .expect("listed")
            .map(|entry| entry.expect("listed").file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["outside", "root"], "something beside the root");
        done
    }

    /// What the root looks like.
    pub(crate) fn tree(&self) -> Tree {
        look(&self.root())
    }

    /// The paths in the root, joined by spaces.
    pub(crate) fn paths(&self) -> String {
        let tree = self.tree();
        let paths: Vec<_> = tree.0.keys().filter(|path| !path.is_empty()).cloned().collect();
        paths.join(" ")
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).expect(path)
    }
}

/// What this user can do: keep owners, or not.
pub(crate) fn options() -> Options {
    Options { ids: if is_root() { Ids::Keep } else { Ids::Own }, ..Options::default() }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says why a test does nothing; `true` if it must not.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn needs_root(why: &str) -> bool {
    if !is_root() {
        eprintln!("skipped: {why} needs root");
    }
    !is_root()
}

pub(crate) fn apply(root: &Path, layers: &[Tar], options: Options) -> Result<Vec<Summary>> {
    let layers: Vec<_> = layers.iter().map(|layer| layer.clone().done()).collect();
    apply_bytes(root, &layers, options)
}

/// Applies archives as they are.
pub(crate) fn apply_bytes(
    root: &Path,
    layers: &[Vec<u8>],
    options: Options,
) -> Result<Vec<Summary>> {
    let root = Root::open(root)?;
    let mut applier = Applier::new(root.as_fd(), options)?;
    let mut done = Vec::new();
    for bytes in layers {
        let diff_id = Digest::of(Algorithm::Sha256, bytes);
        done.push(applier.apply(&bytes[..], Format::Tar, &diff_id)?);
    }
    applier.finish()?;
    Ok(done)
}

/// The names of all findings.
pub(crate) fn found(summaries: &[Summary]) -> Vec<&'static str> {
    summaries.iter().flat_map(|layer| &layer.findings).map(|finding| finding.name).collect()
}

/// All that can be seen of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Facts {
    pub(crate) kind: &'static str,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) time: Timestamp,
    pub(crate) device: u64,
    pub(crate) names: u64,
    /// The first path of the same file.
    pub(crate) group: String,
    pub(crate) content: Vec<u8>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A file tree by path; the root has the empty path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Tree(pub(crate) BTreeMap<String, Facts>);

impl Tree {
    pub(crate) fn get(&self, path: &str) -> &Facts {
        self.0.get(path).unwrap_or_else(|| panic!("no {path} in {:?}", self.0.keys()))
    }
}

pub(crate) fn look(root: &Path) -> Tree {
    let mut tree = BTreeMap::new();
    let mut groups = BTreeMap::new();
    // Without recursion: folders may be 2,048 levels deep.
    let mut ahead = vec![root.to_owned()];
    while let Some(path) = ahead.pop() {
        let mut below = add(root, &path, &mut tree, &mut groups);
        below.reverse();
        ahead.append(&mut below);
    }
    Tree(tree)
}

/// Adds one file; gives the paths in it, sorted, if it is a folder.
fn add(
    root: &Path,
    path: &Path,
    tree: &mut BTreeMap<String, Facts>,
    groups: &mut BTreeMap<(u64, u64), String>,
) -> Vec<PathBuf> {
    let name = path.strip_prefix(root).expect("below").as_os_str().as_bytes();
    let name = name.escape_ascii().to_string();
    let data = match fs::symlink_metadata(path) {
        // Too deep to be looked at by path.
        Err(error) if error.kind() == ErrorKind::InvalidFilename => return Vec::new(),
        data => data.expect("there"),
    };
    let kind = data.file_type();
    let (kind, content) = if kind.is_dir() {
        ("folder", Vec::new())
    } else if kind.is_symlink() {
        ("link", fs::read_link(path).expect("read").as_os_str().as_bytes().to_vec())
    } else if kind.is_file() {
        ("file", fs::read(path).unwrap_or_else(|error| error.to_string().into_bytes()))
    } else if kind.is_fifo() {
        ("pipe", Vec::new())
    } else if kind.is_char_device() {
        ("char", Vec::new())
    } else if kind.is_block_device() {
        ("block", Vec::new())
    } else {
        ("other", Vec::new())
    };
    let key = (data.dev(), data.ino());
    let group = groups.entry(key).or_insert_with(|| name.clone()).clone();
    let time = Timestamp::new(data.mtime(), u32::try_from(data.mtime_nsec()).expect("in range"));
    let facts = Facts {
        kind,
        mode: data.mode() & 0o7777,
        owner: (data.uid(), data.gid()),
        time: time.expect("in range"),
        device: data.rdev(),
        names: if kind == "folder" { 0 } else { data.nlink() },
        group,
        content,
        xattrs: xattrs(path),
    };
    tree.insert(name, facts);
    let mut below: Vec<_> = match fs::read_dir(path) {
        Ok(list) if kind == "folder" => list.map(|entry| entry.expect("listed").path()).collect(),
        _ => Vec::new(),
    };
    below.sort();
    below
}

fn xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut list = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut list[..]).unwrap_or(0);
    let mut found = Vec::new();
    for name in list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        if let Ok(length) = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..]) {
            value.truncate(length);
            found.push((name.to_vec(), value));
        }
    }
    found.retain(|(name, _)| name != b"security.selinux");
    found.sort();
    found
}
