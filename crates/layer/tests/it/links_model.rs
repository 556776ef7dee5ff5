//! Layers applied to a real folder, against a model that has no files: all
//! whiteouts of a layer first, then its entries in order. Links lead as in a
//! chroot, files of lower layers make way for folders, folders merge.
//!
//! Where the order of a layer does matter, it does not go: whiteouts never hit
//! links, and hard links of layers with whiteouts lead to files of their own
//! layer. The fuzz target `apply_model` uses this file too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use plimsoll_content::{Algorithm, Digest};
use plimsoll_layer::apply::{Applier, Ids, Options, Threads};
use plimsoll_layer::codec::Format;
use plimsoll_layer::tar::Writer;
use plimsoll_layer::{Entry, EntryKind, RelPath, Root, Timestamp};

/// Where links lead: inside, outside, to each other, to nothing.
const TARGETS: [&str; 8] = ["a", "/a/b", "../../b", "/", "l", "/m", "a/c", "c"];
const MODES: [u32; 4] = [0o755, 0o700, 0o555, 0o711];

#[derive(Clone, Debug)]
enum Op {
    File,
    Folder(u32),
    Link(&'static str),
    /// The path of an earlier file.
    Hard(String),
    Hide,
    HideAll,
}

type Layer = Vec<(String, Op)>;

#[derive(Clone, Debug, Eq, PartialEq)]
enum Node {
    File(usize),
    Folder(u32),
    Link(&'static str),
}

#[derive(Clone, Debug, Default)]
struct Model {
    nodes: BTreeMap<String, Node>,
    /// What the current layer has put there.
    own: BTreeSet<String>,
}

/// The layer is refused.
struct Refused;

impl Model {
    fn remove(&mut self, path: &str) {
        self.nodes.remove(path);
        self.own.remove(path);
        self.empty(path);
    }

    fn empty(&mut self, path: &str) {
        let below = format!("{path}/");
        self.nodes.retain(|other, _| !other.starts_with(&below));
        self.own.retain(|other| !other.starts_with(&below));
    }

    fn put(&mut self, path: String, node: Node) {
        self.own.insert(path.clone());
        self.nodes.insert(path, node);
    }

    /// Where the entry `path` really is. What is missing is made, or nothing
    /// is.
    fn place(&mut self, path: &str, make: bool) -> Result<String, Refused> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (mut here, mut links) = (Vec::<String>::new(), 40);
        let mut ahead: Vec<String> = pieces(parent);
        while let Some(next) = ahead.pop() {
            if next == ".." {
                here.pop();
                continue;
            }
            let there = join(&here, &next);
            match self.nodes.get(&there) {
                Some(Node::Folder(_)) => here.push(next),
                Some(Node::Link(target)) => {
                    links -= 1;
                    if links < 0 {
                        return Err(Refused);
                    }
                    if target.starts_with('/') {
                        here.clear();
                    }
                    ahead.extend(pieces(target));
                }
                Some(Node::File(_)) if !make || self.own.contains(&there) => return Err(Refused),
                None if !make => return Err(Refused),
                _ => {
                    self.remove(&there);
                    self.put(there, Node::Folder(0o755));
                    here.push(next);
                }
            }
        }
        Ok(join(&here, name))
    }

    fn apply(&mut self, layer: &Layer, number: usize) -> Result<(), Refused> {
        self.own.clear();
        for (path, op) in layer {
            match op {
                Op::Hide => self.remove(path),
                Op::HideAll => self.empty(path),
                _ => {}
            }
        }
        for (index, (path, op)) in layer.iter().enumerate() {
            match op {
                Op::Hide | Op::HideAll => {}
                Op::Folder(mode) => {
                    let place = self.place(path, true)?;
                    if !matches!(self.nodes.get(&place), Some(Node::Folder(_))) {
                        self.remove(&place);
                    }
                    self.put(place, Node::Folder(*mode));
                }
                Op::File => {
                    let place = self.place(path, true)?;
                    self.remove(&place);
                    self.put(place, Node::File(number * 1_000 + index));
                }
                Op::Link(target) => {
                    let place = self.place(path, true)?;
                    self.remove(&place);
                    self.put(place, Node::Link(target));
                }
                Op::Hard(target) => {
                    let from = self.place(target, false)?;
                    let found = self.nodes.get(&from).cloned().ok_or(Refused)?;
                    if matches!(found, Node::Folder(_)) {
                        return Err(Refused);
                    }
                    let place = self.place(path, true)?;
                    if place != from {
                        self.remove(&place);
                    }
                    // Making way may have taken the target away.
                    if place == from || self.nodes.get(&from) != Some(&found) {
                        return Err(Refused);
                    }
                    self.put(place, found);
                }
            }
        }
        Ok(())
    }
}

/// The components, the last one first.
fn pieces(path: &str) -> Vec<String> {
    path.rsplit('/').filter(|piece| !piece.is_empty()).map(str::to_owned).collect()
}

fn join(here: &[String], name: &str) -> String {
    if here.is_empty() { name.to_owned() } else { format!("{}/{name}", here.join("/")) }
}

/// Layers out of bytes: three for each entry, zero for the end of a layer.
fn layers(bytes: &[u8]) -> Vec<Layer> {
    let mut layers: Vec<Layer> = vec![Vec::new()];
    let mut files: Vec<String> = Vec::new();
    for piece in bytes.chunks_exact(3).take(60) {
        let [what, one, two] = [piece[0], piece[1], piece[2]];
        if what == 0 {
            layers.push(Vec::new());
            continue;
        }
        let plain = plain(one);
        let path = match what % 4 {
            0 => format!("{}/{plain}", ["l", "m"][usize::from(two & 1)]),
            _ => plain.clone(),
        };
        let layer = layers.last_mut().expect("there is one");
        let op = match what / 4 % 8 {
            0..=2 => Op::File,
            3 => Op::Folder(MODES[usize::from(two) % MODES.len()]),
            4 => Op::Link(TARGETS[usize::from(two) % TARGETS.len()]),
            5 if !files.is_empty() => {
                let own = layer
                    .iter()
                    .filter(|(path, op)| matches!(op, Op::File) && !path.starts_with(['l', 'm']));
                let own: Vec<_> = own.map(|(path, _)| path).collect();
                let hides = layer.iter().any(|(_, op)| matches!(op, Op::Hide | Op::HideAll));
                match (hides, own.is_empty()) {
                    (false, _) => Op::Hard(files[usize::from(two) % files.len()].clone()),
                    (true, false) => Op::Hard(own[usize::from(two) % own.len()].clone()),
                    (true, true) => continue,
                }
            }
            // No hard link before it may lead to what it hides.
            6 | 7 if layer.iter().all(|(_, op)| !matches!(op, Op::Hard(_))) => {
                layer.push((plain, if what & 1 == 0 { Op::Hide } else { Op::HideAll }));
                continue;
            }
            _ => continue,
        };
        // Links have names of their own, so that no whiteout hits one.
        let path = match op {
            Op::Link(_) => ["l", "m"][usize::from(one & 1)].to_owned(),
            _ => path,
        };
        if matches!(op, Op::File) {
            files.push(path.clone());
        }
        layer.push((path, op));
    }
    layers
}

/// One to three of the letters a, b, c.
fn plain(byte: u8) -> String {
    let letters = [byte & 3, byte >> 2 & 3, byte >> 4 & 3];
    let mut path = String::from(["a", "b", "c", "a"][usize::from(letters[0])]);
    for letter in &letters[1..] {
        if *letter == 3 {
            break;
        }
        path.push('/');
        path.push_str(["a", "b", "c"][usize::from(*letter)]);
    }
    path
}

fn archive(layer: &Layer, number: usize) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (index, (path, op)) in layer.iter().enumerate() {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let content = match op {
            Op::File => (number * 1_000 + index).to_string(),
            _ => String::new(),
        };
        let file = EntryKind::File { size: content.len() as u64 };
        let (path, mode, kind) = match op {
            Op::File => (path.clone(), 0o644, file),
            Op::Folder(mode) => (path.clone(), *mode, EntryKind::Directory),
            Op::Link(target) => {
                let target = target.as_bytes().to_vec();
                (path.clone(), 0o777, EntryKind::Symlink { target })
            }
            Op::Hard(target) => {
                if target == path {
                    continue;
                }
                let target = RelPath::parse(target.as_bytes()).expect("plain");
                (path.clone(), 0o644, EntryKind::Hardlink { target })
            }
            Op::Hide => (format!("{folder}/.wh.{name}"), 0o644, file),
            Op::HideAll => (format!("{path}/.wh..wh..opq"), 0o644, file),
        };
        let entry = Entry {
            path: RelPath::parse(path.as_bytes()).expect("plain"),
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: Timestamp::EPOCH,
            xattrs: Vec::new(),
        };
        writer.append(&entry, content.as_bytes()).expect("memory");
    }
    writer.finish().expect("memory")
}

/// What lies in the folder, and how many names each file has.
fn look(root: &Path) -> (BTreeMap<String, Node>, BTreeMap<usize, u64>) {
    let (mut nodes, mut names) = (BTreeMap::new(), BTreeMap::new());
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        for entry in fs::read_dir(&path).expect("listed") {
            let path = entry.expect("listed").path();
            let data = fs::symlink_metadata(&path).expect("there");
            let name = path.strip_prefix(root).expect("below").display().to_string();
            let node = if data.is_dir() {
                let mode = data.mode() & 0o7777;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("own");
                waiting.push(path);
                Node::Folder(mode)
            } else if data.is_symlink() {
                let target = fs::read_link(&path).expect("read").display().to_string();
                Node::Link(TARGETS.iter().find(|known| **known == target).expect("one of ours"))
            } else {
                let number = fs::read_to_string(&path).expect("read").parse().expect("a number");
                names.insert(number, data.nlink());
                Node::File(number)
            };
            nodes.insert(name, node);
        }
    }
    (nodes, names)
}

fn place() -> PathBuf {
    let base = if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
    Path::new(base).join(format!("plimsoll-fuzz-{}", std::process::id()))
}

/// Applies the layers that `bytes` stand for, and compares.
///
/// # Panics
///
/// If the model has something else.
pub(crate) fn check(bytes: &[u8]) {
    let mut layers = layers(bytes);
    for layer in &mut layers {
        // The archive leaves out what no archive can say.
        layer.retain(|(path, op)| !matches!(op, Op::Hard(target) if target == path));
    }
    let mut model = Model::default();
    let expected = layers
        .iter()
        .enumerate()
        .try_for_each(|(number, layer)| model.apply(layer, number).map_err(|Refused| ()));

    let folder = place();
    let root = folder.join("root");
    fs::create_dir_all(&root).expect("made");
    let handle = Root::open(&root).expect("opened");
    // The length of the input decides, so that a fuzzer tries both.
    let threads = if bytes.len().is_multiple_of(2) { Threads::One } else { Threads::Two };
    let options = Options { ids: Ids::Own, threads, ..Options::default() };
    let mut applier = Applier::new(handle.as_fd(), options).expect("made");
    let applied = layers.iter().enumerate().try_for_each(|(number, layer)| {
        let archive = archive(layer, number);
        let diff_id = Digest::of(Algorithm::Sha256, &archive);
        applier.apply(&archive[..], Format::Tar, &diff_id).map(|_| ())
    });
    let applied = applied.and_then(|()| applier.finish());
    match (&applied, expected) {
        (Ok(()), Ok(())) => {
            let (nodes, names) = look(&root);
            assert_eq!(nodes, model.nodes, "{layers:?}");
            for (number, count) in names {
                let same = model.nodes.values().filter(|node| **node == Node::File(number)).count();
                assert_eq!(count, same as u64, "names of {number}: {layers:?}");
            }
        }
        (Err(_), Err(())) => {}
        _ => panic!("{applied:?}, but the model says {expected:?}: {layers:?}"),
    }
    let parent = Root::open(&folder).expect("opened");
    plimsoll_layer::remove::tree(parent.as_fd(), "root".as_ref()).expect("removed");
    assert_eq!(fs::read_dir(&folder).expect("listed").count(), 0, "something beside the root");
}
