//! Flattening: a stack of layers gives the bytes that packing the tree would
//! give which unpacking them makes.

use std::fs::File;
use std::io::Read;

use plimsoll_content::{Algorithm, Code, Digest, Result};
use plimsoll_layer::Root;
use plimsoll_layer::codec::{Compression, Encoder, Format};
use plimsoll_layer::pack::{self, Options, Packed, Stack};
use proptest::prelude::*;
use rustix::fd::AsFd;

use crate::apply_support::{Tar, Yard, apply_bytes, found, is_root, options};

fn settings() -> Options<'static> {
    let own = (!is_root())
        .then(|| (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()));
    Options { compression: Compression::None, root: true, own, ..Options::default() }
}

fn flatten(layers: &[Tar]) -> Result<(Packed, Vec<u8>)> {
    let folder = File::open(std::env::temp_dir()).expect("opened");
    let options = Options { scratch: Some(folder.as_fd()), own: None, ..settings() };
    let mut stack = Stack::new(&options)?;
    for layer in layers {
        let bytes = layer.clone().done();
        let diff_id = Digest::of(Algorithm::Sha256, &bytes);
        (stack, _) = stack.layer(&bytes[..], Format::Tar, &diff_id)?;
    }
    stack.write(Vec::new())
}

/// The same by way of files; `None` if these layers are refused.
fn through_files(layers: &[Tar]) -> Result<Vec<u8>> {
    let yard = Yard::new();
    yard.apply(layers)?;
    let root = Root::open(&yard.root()).expect("opened");
    Ok(pack::tree(root.as_fd(), Vec::new(), &settings()).expect("packed").1)
}

/// The layers with all above the lowest `keep` joined.
fn squash(layers: &[Tar], keep: usize) -> Result<Vec<Vec<u8>>> {
    let folder = File::open(std::env::temp_dir()).expect("opened");
    let options = Options { scratch: Some(folder.as_fd()), own: None, root: false, ..settings() };
    let mut stack = Stack::new(&options)?;
    let mut bytes: Vec<_> = layers.iter().map(|layer| layer.clone().done()).collect();
    for (number, bytes) in bytes.iter().enumerate() {
        if number == keep && keep > 0 {
            stack.base();
        }
        let diff_id = Digest::of(Algorithm::Sha256, bytes);
        (stack, _) = stack.layer(&bytes[..], Format::Tar, &diff_id)?;
    }
    let joined = stack.squash(Vec::new())?.1;
    bytes.truncate(keep);
    bytes.push(joined);
    Ok(bytes)
}

/// The tree that layers unpack to, packed.
fn unpacked(layers: &[Vec<u8>]) -> Vec<u8> {
    let yard = Yard::new();
    apply_bytes(&yard.root(), layers, options()).expect("applied");
    let root = Root::open(&yard.root()).expect("opened");
    pack::tree(root.as_fd(), Vec::new(), &settings()).expect("packed").1
}

/// The paths in a layer.
fn paths(layer: &[u8]) -> Vec<String> {
    let mut entries = plimsoll_layer::tar::Entries::new(layer, plimsoll_layer::Limits::default());
    let mut paths = Vec::new();
    while let Some((entry, _)) = entries.next().expect("good") {
        paths.push(entry.path.to_string());
    }
    paths
}

#[track_caller]
fn same(layers: &[Tar]) {
    let flat = flatten(layers).expect("flattened").1;
    assert_eq!(flat, through_files(layers).expect("applied"));
}

#[test]
fn layers_of_everything_come_out_as_their_tree_would() {
    let lower = Tar::new()
        .mode(0o1777)
        .dir("tmp")
        .mode(0o700)
        .dir("root")
        .file("root/secret", "s")
        .xattr("user.note", "kept")
        .file("etc/passwd", "root")
        .hard("etc/again", "etc/passwd")
        .link("lib", "usr/lib")
        .time(77)
        .file("usr/lib/so", vec![9; 200_000])
        .fifo("run/pipe")
        .file("gone/a", "a")
        .file("gone/b/c", "c")
        .file("etc.d", "sorts between");
    let upper = Tar::new()
        .file("tmp/new", "parents keep what they are")
        .file("lib/through-a-link", "x")
        .file("etc/.wh.passwd", "")
        .file("gone/.wh..wh..opq", "")
        .file("gone/fresh", "f")
        .hard("root/twin", "etc/again")
        .mode(0o750)
        .xattr("user.replaced", "r")
        .dir("etc");
    let top = Tar::new().file("gone/b", "a file now").file(".wh.run", "").link("tmp/l", "/etc");
    same(&[lower.clone(), upper.clone()]);
    same(&[lower.clone(), upper.clone(), top]);
    same(&[]);
    same(&[Tar::new(), lower, Tar::new()]);
}

#[test]
fn wh13_the_other_name_of_a_hidden_file_keeps_its_content() {
    let lower = Tar::new().file("a", "content").hard("b", "a").hard("c", "a");
    same(&[lower.clone(), Tar::new().file(".wh.a", "")]);
    same(&[lower, Tar::new().file("a", "other").hard("d", "c")]);
}

#[test]
fn wh15_attributes_of_overlays_and_recorded_owners_stay_out() {
    let layer = Tar::new()
        .xattr("user.overlay.opaque", "y")
        .xattr("user.rootlesscontainers", "\x08\x05")
        .xattr("user.kept", "k")
        .file("file", "x");
    same(&[layer]);
}

#[test]
fn what_the_applier_refuses_is_not_flattened() {
    let lower = Tar::new().file("file", "x").dir("dir").link("link", "dir");
    for bad in [
        Tar::new().file("x", "").file("x/y", ""),
        Tar::new().file("link/.wh.y", ""),
        Tar::new().hard("a", "nothing"),
        Tar::new().hard("a", "dir"),
        Tar::new().hard("file", "file"),
        Tar::new().hard("file/x", "file"),
        Tar::new().file("dir/../../x", ""),
        Tar::new().file(".wh.", ""),
        Tar::new().file("", "root is no file"),
        Tar::new().link("round", "round").file("round/x", ""),
    ] {
        let layers = [lower.clone(), bad];
        let ours = flatten(&layers).expect_err("refused");
        let theirs = through_files(&layers).expect_err("refused");
        assert!([Code::UnsafeEntry, Code::Permission].contains(&theirs.code()), "{theirs}");
        assert_eq!(ours.code(), Code::UnsafeEntry, "{ours}");
    }
}

#[test]
fn nothing_comes_out_of_a_layer_that_is_not_the_one() {
    let folder = File::open(std::env::temp_dir()).expect("opened");
    let options = Options { scratch: Some(folder.as_fd()), ..settings() };
    let bytes = Tar::new().file("a", "x").done();
    let diff_id = Digest::of(Algorithm::Sha256, b"something else");
    let stack = Stack::new(&options).expect("made");
    let error = stack.layer(&bytes[..], Format::Tar, &diff_id).expect_err("another layer");
    assert_eq!(error.code(), Code::DiffId);
    let stack = Stack::new(&options).expect("made");
    let broken = stack.layer(&bytes[..700], Format::Tar, &diff_id).expect_err("cut off");
    assert_eq!(broken.code(), Code::Layer);
    assert_eq!(Stack::new(&settings()).expect_err("no scratch").code(), Code::Usage);
}

/// Links that lead below links build trees of any depth: an image with fifteen
/// of them overflowed the stack, one with thirty-five took 4 GiB.
#[test]
fn links_build_no_tree_that_is_deeper_than_a_path() {
    let chain = vec!["a"; 1900].join("/");
    let mut lower = Tar::new().dir(&chain);
    for number in 1..=3 {
        let below = if number == 1 { chain.clone() } else { format!("s{}/{chain}", number - 1) };
        lower = lower.pax("linkpath", &below).link(&format!("s{number}"), "s");
        lower = lower.dir(&format!("s{number}/{chain}"));
    }
    let layers = [lower];
    assert_eq!(flatten(&layers).expect_err("refused").code(), Code::UnsafeEntry);
    assert_eq!(through_files(&layers).expect_err("refused").code(), Code::UnsafeEntry);
    // The deepest that there can be is taken, and hidden from within.
    let deepest = vec!["a"; 2040].join("/");
    let lower = Tar::new().dir(&deepest).file(&format!("{deepest}/low"), "");
    let upper = Tar::new().file(&format!("{deepest}/new"), "x").file(".wh..wh..opq", "");
    same(&[lower, upper]);
}

#[test]
fn compressed_layers_and_what_is_odd_about_them() {
    let folder = File::open(std::env::temp_dir()).expect("opened");
    let options = Options { scratch: Some(folder.as_fd()), ..settings() };
    let tar = Tar::new().file("a", "1").file("a", "2").file("b/.wh.none", "");
    let bytes = tar.clone().done();
    let diff_id = Digest::of(Algorithm::Sha256, &bytes);
    for compression in [Compression::default(), Compression::Zstd { level: 3 }] {
        let mut encoder = Encoder::new(compression, Vec::new()).expect("made");
        std::io::copy(&mut bytes.as_slice().take(u64::MAX), &mut encoder).expect("written");
        let blob = encoder.finish().expect("finished");
        let stack = Stack::new(&options).expect("made");
        let (stack, summary) =
            stack.layer(&blob[..], compression.format(), &diff_id).expect("good");
        assert_eq!((summary.entries, summary.whiteouts), (3, 1));
        assert_eq!(found(&[summary]), ["duplicate-entry"]);
        let (packed, flat) = stack.write(Vec::new()).expect("written");
        assert_eq!(packed.diff_id, Digest::of(Algorithm::Sha256, &flat));
        assert_eq!(flat, through_files(std::slice::from_ref(&tar)).expect("applied"));
    }
}

#[test]
fn joined_layers_say_what_is_new_and_what_is_gone_below() {
    let lower = Tar::new()
        .mode(0o700)
        .dir("keep")
        .file("keep/a", "a")
        .file("keep/b", "b")
        .dir("whole")
        .file("whole/x", "x")
        .link("lib", "usr/lib")
        .file("usr/lib/so", "so")
        .file("was-a-file", "f")
        .file("was-a-folder/f", "f");
    let middle = Tar::new()
        .file("keep/.wh.a", "")
        .file("keep/passing", "gone again")
        .file("lib/new", "through a link")
        .file(".wh.whole", "")
        .file("was-a-file/now", "a folder")
        .file("was-a-folder", "a file");
    let top = Tar::new()
        .file("keep/.wh.passing", "")
        .file("keep/.wh.never", "")
        .file("whole/.wh..wh..opq", "")
        .file("whole/y", "y");
    let layers = [lower, middle, top];
    let joined = squash(&layers, 1).expect("joined");
    assert_eq!(
        paths(&joined[1]),
        [
            "keep",
            "keep/.wh.a",
            "usr",
            "usr/lib",
            "usr/lib/new",
            "was-a-file",
            "was-a-file/now",
            "was-a-folder",
            "whole",
            "whole/.wh.x",
            "whole/y",
        ]
    );
    for keep in 0..3 {
        let joined = squash(&layers, keep).expect("joined");
        assert_eq!(joined.len(), keep + 1);
        assert_eq!(unpacked(&joined), through_files(&layers).expect("applied"), "{keep}");
    }
    // Nothing that is gone as a whole needs a whiteout in a sole layer.
    assert!(
        !paths(&squash(&layers, 0).expect("joined")[0]).iter().any(|path| path.contains(".wh."))
    );
}

#[test]
fn the_root_has_an_entry_only_where_layers_change_it() {
    let plain = Tar::new().file("a", "1");
    let rooted = Tar::new().mode(0o711).dir("./").file("b", "2");
    let of = |layers: &[Tar], keep| paths(&squash(layers, keep).expect("joined")[keep]);
    assert_eq!(of(&[plain.clone(), plain.clone()], 0), ["a"]);
    assert_eq!(of(&[rooted.clone(), plain.clone()], 0).len(), 3);
    assert_eq!(of(&[rooted.clone(), plain.clone()], 1), ["a"]);
    assert_eq!(of(&[plain, rooted], 1).len(), 2);
}

#[test]
fn a_file_of_a_lower_layer_with_a_further_name_is_written_with_all() {
    let lower = Tar::new().file("a", "content").hard("b", "a").file("z", "other");
    let upper = Tar::new().hard("c", "a").file(".wh.z", "");
    let joined = squash(&[lower.clone(), upper.clone(), Tar::new()], 1).expect("joined");
    assert_eq!(paths(&joined[1]), [".wh.z", "a", "b", "c"]);
    assert_eq!(unpacked(&joined), through_files(&[lower, upper]).expect("applied"));
}

/// An entry, by the path that a random layer has it at.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    File,
    Folder(u32),
    Symlink(&'static str),
    Hard(String),
    Fifo,
    Hide,
    HideAll,
}

type Layer = Vec<(String, Op)>;

fn tars(layers: &[Layer]) -> Vec<Tar> {
    layers.iter().enumerate().map(|(number, layer)| tar(layer, number)).collect()
}

fn tar(layer: &Layer, number: usize) -> Tar {
    let mut tar = Tar::new();
    for (index, (path, op)) in layer.iter().enumerate() {
        let (folder, name) = path.rsplit_once('/').map_or(("", &path[..]), |(a, b)| (a, b));
        let text = (number * 100 + index).to_string();
        tar = tar.time(1_000_000 + i64::try_from(number * 100 + index).expect("small"));
        tar = match op {
            Op::File => tar.file(path, text),
            Op::Folder(mode) => tar.mode(*mode).xattr("user.n", text).dir(path),
            Op::Symlink(target) => tar.link(path, target),
            Op::Hard(target) => tar.hard(path, target),
            Op::Fifo => tar.fifo(path),
            Op::Hide => tar.file(&format!("{folder}/.wh.{name}"), ""),
            Op::HideAll => tar.file(&format!("{path}/.wh..wh..opq"), ""),
        };
    }
    tar
}

/// Layers in which nearly every pair of entries has to do with each other.
fn stacks() -> impl Strategy<Value = Vec<Layer>> {
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
    prop::collection::vec(prop::collection::vec((path(), op), 0..7), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn random_stacks_are_what_they_were_when_some_are_joined(layers in stacks(), keep in 0_usize..4) {
        let layers = tars(&layers);
        if let Ok(whole) = through_files(&layers) {
            let joined = squash(&layers, keep.min(layers.len() - 1)).expect("joined");
            prop_assert_eq!(unpacked(&joined), whole);
        }
    }

    #[test]
    fn random_stacks_come_out_as_their_tree_would(layers in stacks()) {
        let layers = tars(&layers);
        match (flatten(&layers), through_files(&layers)) {
            (Ok((_, ours)), Ok(theirs)) => prop_assert_eq!(ours, theirs),
            (Err(ours), Err(_)) => prop_assert_eq!(ours.code(), Code::UnsafeEntry),
            (ours, theirs) => {
                let (ours, theirs) = (ours.map(drop), theirs.map(drop));
                prop_assert!(false, "{ours:?} but {theirs:?}");
            }
        }
    }
}
