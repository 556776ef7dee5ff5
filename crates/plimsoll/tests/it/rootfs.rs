//! Layers as folders for overlays: what the kernel makes of them is the tree
//! that unpacking gives, entry by entry.

#![allow(clippy::print_stderr, reason = "tests say what they skip")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use plimsoll::content::{Algorithm, Descriptor, Digest, Document, Platform, Quiet, Sink, Source};
use plimsoll::image::Image;
use plimsoll::layer::apply::{Devices, Ids, Options};
use plimsoll::layer::tar::{Entries, Writer};
use plimsoll::layer::{Entry, EntryKind, Limits, RelPath, Root, Timestamp};
use plimsoll::rootfs::{self, Kind};
use plimsoll::runtime::overlay;
use plimsoll::spec::{Config, Manifest, media_type};
use plimsoll::store::{Flush, Store};
use plimsoll::unpack;
use proptest::prelude::*;
use tempfile::TempDir;

/// A store where overlays can be mounted, if this user may.
fn store() -> Option<(TempDir, Store)> {
    let folder = tempfile::tempdir().expect("folder");
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIP overlays: needs root");
        return None;
    }
    if let Err(error) = overlay::supported(folder.path()) {
        eprintln!("SKIP overlays: {error}");
        return None;
    }
    let options = plimsoll::store::Options { flush: Flush::Never, ..Default::default() };
    let store = Store::open_with(&folder.path().join("store"), options).expect("made");
    Some((folder, store))
}

/// An image of these plain layers.
fn image(store: &Store, layers: &[Vec<u8>]) -> Image {
    let sink: &dyn Sink = store.layout();
    let mut config = Config::new(&Platform::host());
    let mut blobs = Vec::new();
    for layer in layers {
        let blob = Descriptor::of(media_type::LAYER, Algorithm::Sha256, layer);
        blobs.push(sink.write(&blob, layer).expect("written"));
        config.rootfs.diff_ids.push(Digest::of(Algorithm::Sha256, layer));
    }
    let config = Document::new(config).expect("a config");
    let descriptor = config.descriptor(media_type::CONFIG, Algorithm::Sha256);
    sink.write(&descriptor, config.bytes()).expect("written");
    let manifest = Document::new(Manifest::new(descriptor, blobs)).expect("a manifest");
    let descriptor = manifest.descriptor(media_type::MANIFEST, Algorithm::Sha256);
    sink.write(&descriptor, manifest.bytes()).expect("written");
    Image::open(store.layout(), &descriptor, None).expect("an image")
}

/// All that is seen of a file but which names it has: an overlay copies a file
/// of a lower layer up under the name that is used, so groups of hard links
/// across layers come apart, as in every engine that uses overlays.
fn look(root: &Path, path: &Path, into: &mut BTreeMap<PathBuf, String>) {
    let place = root.join(path);
    let data = fs::symlink_metadata(&place).expect("there");
    let kind = data.file_type();
    let content = if kind.is_symlink() {
        fs::read_link(&place).expect("read").as_os_str().as_bytes().to_vec()
    } else if kind.is_file() {
        fs::read(&place).expect("read")
    } else {
        Vec::new()
    };
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(&place, &mut names[..]).unwrap_or(0);
    let mut attributes: Vec<_> = names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0; 1 << 10];
            let name = std::ffi::OsStr::from_bytes(name);
            let length = rustix::fs::lgetxattr(&place, name, &mut value[..]).expect("read");
            (name.to_owned(), value[..length].to_vec())
        })
        .collect();
    attributes.sort();
    let facts = format!(
        "{:o} {}:{} {}.{:09} {} {attributes:?}",
        data.mode(),
        data.uid(),
        data.gid(),
        data.mtime(),
        data.mtime_nsec(),
        Digest::of(Algorithm::Sha256, &content)
    );
    into.insert(path.to_owned(), facts);
    if kind.is_dir() {
        for entry in fs::read_dir(&place).expect("listed") {
            look(root, &path.join(entry.expect("listed").file_name()), into);
        }
    }
}

fn tree(root: impl AsFd) -> BTreeMap<PathBuf, String> {
    let mut tree = BTreeMap::new();
    let root = format!("/proc/self/fd/{}", root.as_fd().as_raw_fd());
    look(&fs::canonicalize(&root).unwrap_or(root.into()), Path::new(""), &mut tree);
    tree
}

/// Both ways; `None` if the layers are refused, by both.
fn both_ways(layers: &[Vec<u8>]) -> Option<(BTreeMap<PathBuf, String>, BTreeMap<PathBuf, String>)> {
    let (folder, store) = store()?;
    let image = image(&store, layers);
    let source: &dyn Source = store.layout();
    let plain = folder.path().join("plain");
    fs::create_dir(&plain).expect("made");
    let plain = Root::open(&plain).expect("opened");
    let options = Options { ids: Ids::Keep, devices: Devices::Omit, ..Options::default() };
    let unpacked = unpack::into(source, &image, plain.as_fd(), &options, &Quiet);
    let stacked = rootfs::layers(source, &image, &store, Kind::Root, Limits::default(), &Quiet);
    match (unpacked, stacked) {
        (Ok(_), Ok(stacked)) => {
            let merged = rootfs::merged(&stacked.0).expect("mounted");
            Some((seen(&merged), tree(&plain)))
        }
        (Err(_), Err(_)) => None,
        (unpacked, stacked) => panic!("{unpacked:?} but {stacked:?}"),
    }
}

/// What lies in a mount that is visible nowhere.
fn seen(root: impl AsFd) -> BTreeMap<PathBuf, String> {
    let mut tree = BTreeMap::new();
    let root = PathBuf::from(format!("/proc/self/fd/{}/.", root.as_fd().as_raw_fd()));
    look(&root, Path::new(""), &mut tree);
    tree
}

#[derive(Clone, Debug)]
enum Op {
    File,
    Folder(u32),
    Symlink(&'static str),
    Hard(String),
    Fifo,
    Hide,
    HideAll,
}

fn tar(layer: &[(String, Op)], number: usize) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (index, (path, op)) in layer.iter().enumerate() {
        let (folder, name) = path.rsplit_once('/').map_or(("", &path[..]), |(a, b)| (a, b));
        let text = (number * 100 + index).to_string();
        if matches!(op, Op::Hard(target) if target == path) {
            // No archive is written with a file that is a link to itself.
            continue;
        }
        let (path, kind, mode) = match op {
            Op::File => (path.clone(), EntryKind::File { size: text.len() as u64 }, 0o4640),
            Op::Folder(mode) => (path.clone(), EntryKind::Directory, *mode),
            Op::Symlink(target) => {
                (path.clone(), EntryKind::Symlink { target: target.as_bytes().to_vec() }, 0o777)
            }
            Op::Hard(target) => {
                let target = RelPath::parse(target.as_bytes()).expect("good");
                (path.clone(), EntryKind::Hardlink { target }, 0o644)
            }
            Op::Fifo => (path.clone(), EntryKind::Fifo, 0o600),
            Op::Hide => (format!("{folder}/.wh.{name}"), EntryKind::File { size: 0 }, 0),
            Op::HideAll => (format!("{path}/.wh..wh..opq"), EntryKind::File { size: 0 }, 0),
        };
        let xattrs = match op {
            Op::File | Op::Folder(_) => vec![(b"user.n".to_vec(), text.clone().into_bytes())],
            _ => Vec::new(),
        };
        let id = u32::try_from(index).expect("few");
        let entry = Entry {
            path: RelPath::parse(path.as_bytes()).expect("good"),
            kind,
            mode,
            uid: id,
            gid: id + 1,
            mtime: Timestamp::new(1_000_000 + i64::from(id), 7).expect("good"),
            xattrs,
        };
        let content: &[u8] = if matches!(op, Op::File) { text.as_bytes() } else { b"" };
        writer.append(&entry, content).expect("written");
    }
    writer.finish().expect("finished")
}

/// Layers in which nearly every pair of entries has to do with each other,
/// the root's own entry included.
fn stacks() -> impl Strategy<Value = Vec<Vec<(String, Op)>>> {
    let path = || prop::collection::vec("[abc]", 1..4).prop_map(|parts| parts.join("/"));
    let op = prop_oneof![
        5 => Just(Op::File),
        3 => prop_oneof![Just(0o700), Just(0o711), Just(0o1777)].prop_map(Op::Folder),
        1 => prop_oneof![Just("a"), Just("/b"), Just("../c"), Just("b/a")].prop_map(Op::Symlink),
        1 => path().prop_map(Op::Hard),
        1 => Just(Op::Fifo),
        3 => Just(Op::Hide),
        2 => Just(Op::HideAll),
    ];
    let entry = prop_oneof![
        20 => (path(), op),
        1 => Just((String::new(), Op::Folder(0o751))),
    ];
    prop::collection::vec(prop::collection::vec(entry, 0..7), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn random_layers_stack_to_the_tree_that_unpacking_gives(layers in stacks()) {
        let layers: Vec<_> =
            layers.iter().enumerate().map(|(number, layer)| tar(layer, number)).collect();
        if let Some((stacked, unpacked)) = both_ways(&layers) {
            prop_assert_eq!(stacked, unpacked);
        }
    }
}

#[test]
fn real_layers_stack_to_the_tree_that_unpacking_gives() {
    let home = std::env::var_os("HOME").unwrap_or_default();
    let path = Path::new(&home).join(".cache/plimsoll-peers/debian.tar");
    let Ok(base) = fs::read(&path) else {
        eprintln!("SKIP real layers: no {}", path.display());
        return;
    };
    // What the base has, so that the layers above have to do with it.
    let mut files = Vec::new();
    let mut archive = Entries::new(&base[..], Limits::default());
    while let Some((entry, mut body)) = archive.next().expect("read") {
        let _ = body.read(&mut []);
        files.push((entry.path.to_string(), entry.kind));
    }
    let of = |step: usize, offset: usize, folder: bool| {
        files
            .iter()
            .filter(move |(path, kind)| {
                (*kind == EntryKind::Directory) == folder && !path.contains('\\') && path != "/"
            })
            .map(|(path, _)| path.clone())
            .skip(offset)
            .step_by(step)
    };
    let mut layers = vec![base.clone()];
    for number in 1..5 {
        let mut ops: Vec<(String, Op)> = Vec::new();
        ops.extend(of(97, number, false).map(|path| (path, Op::Hide)));
        ops.extend(of(89, number * 7, false).map(|path| (path, Op::File)));
        ops.extend(of(83, number * 5, true).map(|path| (format!("{path}/new-{number}"), Op::File)));
        ops.extend(of(211, number * 3, true).map(|path| (path, Op::HideAll)));
        ops.extend(of(199, number * 11, true).map(|path| (path, Op::Folder(0o750))));
        layers.push(tar(&ops, number));
    }
    if let Some((stacked, unpacked)) = both_ways(&layers) {
        assert_eq!(stacked.len(), unpacked.len());
        for (path, facts) in &unpacked {
            assert_eq!(stacked.get(path), Some(facts), "{}", path.display());
        }
        assert!(unpacked.len() > 5_000, "{}", unpacked.len());
    }
}

#[test]
fn of_more_layers_than_the_kernel_stacks_the_lowest_are_one_folder() {
    let Some((folder, store)) = store() else { return };
    let layers: Vec<_> = (0..=overlay::LOWERS)
        .map(|number| {
            tar(&[("file".to_owned(), Op::File), (format!("n{number}"), Op::Fifo)], number)
        })
        .collect();
    let image = image(&store, &layers);
    let (source, limits): (&dyn Source, _) = (store.layout(), Limits::default());
    let prepare = |name: &str| {
        let scratch = folder.path().join(name);
        fs::create_dir(&scratch).expect("made");
        rootfs::prepare(source, &image, &store, Kind::Root, &scratch, limits, &Quiet)
            .expect("prepared")
    };
    let prepared = prepare("first");
    let (lowers, _held) =
        rootfs::layers(source, &image, &store, Kind::Root, limits, &Quiet).expect("cached");
    assert_eq!(lowers.len(), 1 + layers.len() - rootfs::GROUP);
    assert_eq!(prepared.held.len(), lowers.len());
    let content = prepared.handle.read_file(b"file", 100).expect("read");
    assert_eq!(content.as_deref(), Some(&b"50000"[..]));
    let names = fs::read_dir(lowers.last().expect("one")).expect("listed").count();
    assert_eq!(names, rootfs::GROUP + 1);
    // The second time nothing is read.
    for descriptor in &image.manifest.layers {
        let blob = store.path().join("blobs/sha256").join(descriptor.digest.encoded());
        fs::remove_file(blob).expect("removed");
    }
    let again = prepare("second");
    let content = again.handle.read_file(b"file", 100).expect("read");
    assert_eq!(content.as_deref(), Some(&b"50000"[..]));
}
