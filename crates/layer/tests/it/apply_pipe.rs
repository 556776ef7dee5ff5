//! Several layers at once: the order of errors is that of one thread, and
//! nothing waits for anything that does not come.

use std::fs;
use std::io::{Cursor, Read};
use std::process::Command;

use plimsoll_content::{Algorithm, Code, Digest, Error, Result};
use plimsoll_layer::Root;
use plimsoll_layer::apply::{Announced, Applier, Blobs, Summary};
use plimsoll_layer::codec::Format;
use rustix::fd::AsFd;

use crate::apply_support::{Tar, Yard, found, needs_root, options};

/// What a blob does: some bytes, then perhaps more, then a verdict.
struct Blob {
    bytes: Vec<u8>,
    endless: bool,
    opens: Option<Code>,
    proves: Option<Code>,
}

fn blob(bytes: Vec<u8>) -> Blob {
    Blob { bytes, endless: false, opens: None, proves: None }
}

struct Layers(Vec<Blob>);

impl Blobs for Layers {
    type Blob = Box<dyn Read + Send>;

    fn open(&mut self, layer: usize) -> Result<Self::Blob> {
        let blob = &mut self.0[layer];
        if let Some(code) = blob.opens {
            return Err(Error::new(code, "opening"));
        }
        let bytes = Cursor::new(std::mem::take(&mut blob.bytes));
        Ok(if blob.endless { Box::new(bytes.chain(std::io::repeat(0))) } else { Box::new(bytes) })
    }

    fn prove(&mut self, layer: usize, _: Self::Blob) -> Result<()> {
        self.0[layer].proves.map_or(Ok(()), |code| Err(Error::new(code, "proving")))
    }
}

/// Applies the blobs as plain archives whose diff_ids are right.
fn apply(blobs: Vec<Blob>) -> (Vec<Summary>, Result<(), (usize, Code)>) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = Root::open(folder.path()).expect("opened");
    let announced: Vec<_> = blobs
        .iter()
        .map(|blob| Announced {
            format: Format::Tar,
            diff_id: Digest::of(Algorithm::Sha256, &blob.bytes),
        })
        .collect();
    let mut applier = Applier::new(root.as_fd(), options()).expect("a root");
    let mut summaries = Vec::new();
    let done = applier.apply_all(Layers(blobs), &announced, |layer, summary| {
        assert_eq!(layer, summaries.len());
        summaries.push(summary);
    });
    (summaries, done.map_err(|(layer, error)| (layer, error.code())))
}

fn good(name: &str) -> Vec<u8> {
    Tar::new().file(name, "x").done()
}

/// More than all chunks in flight hold.
fn long(first: Tar) -> Vec<u8> {
    first.file("long", vec![7; 32 << 20]).done()
}

#[test]
fn layers_come_out_in_their_order() {
    let (summaries, done) = apply((0..300).map(|n| blob(good(&format!("f{n}")))).collect());
    assert_eq!(done, Ok(()));
    assert_eq!(summaries.len(), 300);
    assert!(summaries.iter().all(|summary| summary.entries == 1));
    assert_eq!(apply(Vec::new()).1, Ok(()));
}

#[test]
fn the_error_of_a_layer_comes_before_those_of_later_ones() {
    let lost = Blob { opens: Some(Code::NotFound), ..blob(Vec::new()) };
    let (summaries, done) = apply(vec![blob(good("a")), blob(good("..")), lost]);
    assert_eq!((summaries.len(), done), (1, Err((1, Code::UnsafeEntry))));
    let lost = Blob { opens: Some(Code::NotFound), ..blob(Vec::new()) };
    let (summaries, done) = apply(vec![blob(good("a")), blob(good("b")), lost]);
    assert_eq!((summaries.len(), done), (2, Err((2, Code::NotFound))));
}

#[test]
fn a_blob_that_is_not_what_was_announced_is_no_layer() {
    let other = Blob { proves: Some(Code::Digest), ..blob(good("b")) };
    let (summaries, done) = apply(vec![blob(good("a")), other, blob(good("c"))]);
    assert_eq!((summaries.len(), done), (1, Err((1, Code::Digest))));
}

#[test]
fn a_damaged_blob_is_said_to_be_that_and_not_a_bad_archive() {
    for bytes in [good("..")[..700].to_vec(), long(Tar::new().file("..", ""))] {
        let damaged = Blob { proves: Some(Code::Digest), ..blob(bytes) };
        let (_, done) = apply(vec![blob(good("a")), damaged, blob(good("c"))]);
        assert_eq!(done, Err((1, Code::Digest)));
    }
    let mut bytes = good("b");
    bytes[100] = b'9';
    let damaged = Blob { proves: Some(Code::Digest), ..blob(bytes) };
    assert_eq!(apply(vec![damaged]).1, Err((0, Code::Digest)));
}

#[test]
fn an_error_ends_reading_however_much_is_left() {
    let endless = Blob { endless: true, ..blob(good("..")) };
    assert_eq!(apply(vec![endless]).1, Err((0, Code::UnsafeEntry)));
    let (summaries, done) = apply(vec![blob(long(Tar::new().file("..", ""))), blob(good("a"))]);
    assert_eq!((summaries.len(), done), (0, Err((0, Code::UnsafeEntry))));
}

#[test]
fn bytes_before_an_error_of_reading_are_used_first() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(Error::new(Code::Interrupted, "reading").into())
        }
    }
    struct One(Option<Vec<u8>>);
    impl Blobs for One {
        type Blob = std::io::Chain<Cursor<Vec<u8>>, Fails>;
        fn open(&mut self, _: usize) -> Result<Self::Blob> {
            Ok(Cursor::new(self.0.take().expect("opened once")).chain(Fails))
        }
        fn prove(&mut self, _: usize, _: Self::Blob) -> Result<()> {
            Ok(())
        }
    }
    for (name, code) in [("..", Code::UnsafeEntry), ("a", Code::Interrupted)] {
        let folder = tempfile::tempdir().expect("a folder");
        let root = Root::open(folder.path()).expect("opened");
        let bytes = good(name);
        let announced =
            [Announced { format: Format::Tar, diff_id: Digest::of(Algorithm::Sha256, &bytes) }];
        let mut applier = Applier::new(root.as_fd(), options()).expect("a root");
        let (layer, error) =
            applier.apply_all(One(Some(bytes)), &announced, |_, _| {}).expect_err("failed");
        assert_eq!((layer, error.code()), (0, code));
    }
}

/// Files with content for the second thread, in folders of this layer.
fn many(tar: Tar, folder: &str, count: usize) -> Tar {
    let tar = tar.dir(folder);
    (0..count).fold(tar, |tar, number| tar.file(&format!("{folder}/{number}"), "x".repeat(number)))
}

#[test]
fn names_that_are_under_way_are_waited_for() {
    // The yard compares with one thread, findings and errors included.
    let layer = many(Tar::new(), "a", 300).hard("b", "a/299").file("a/299", "again");
    let layer = layer.link("a/298", "299").fifo("a/297").file("a/296", vec![1; 100_000]);
    let layer = layer.dir("a/295").file("a/295/in", "1").file("a/295", "2").file("x/y/z", "1");
    let layer = (0..40).fold(layer, |tar, number| tar.file("a/twice", number.to_string()));
    // A folder that was left is entered again, and gets its time once more.
    let layer = many(layer.file("x/other", "1"), "d", 50).time(7).dir("a").file("d/late", "");
    let yard = Yard::new();
    let done = yard.apply(std::slice::from_ref(&layer)).expect("applied");
    assert_eq!((yard.read("b").len(), yard.read("a/299")), (299, "again".to_owned()));
    assert_eq!((yard.read("a/295"), yard.read("a/twice")), ("2".to_owned(), "39".to_owned()));
    assert_eq!(yard.tree().0["a"].time.seconds(), 7);
    // 20 of them, and how many more there are.
    assert_eq!(found(&done), ["duplicate-entry"; 21]);

    let upper = many(Tar::new().file("d/.wh..wh..opq", ""), "d", 20).file("d/.wh.7", "");
    let upper = upper.file(".wh.a", "").file("a/new", "n");
    let yard = Yard::new();
    yard.apply(&[layer, upper]).expect("applied");
    assert_eq!(yard.read("a/new"), "n");
    assert_eq!(fs::read_dir(yard.root().join("d")).expect("listed").count(), 20);
}

#[test]
fn a_file_in_the_way_is_refused_also_while_it_is_under_way() {
    let bad = many(Tar::new(), "a", 100).file("a/99/below", "");
    let error = Yard::new().apply(&[many(bad, "z", 100)]).expect_err("refused");
    assert_eq!(error.code(), Code::UnsafeEntry);
}

#[test]
fn the_earlier_error_is_that_of_the_second_thread() {
    if needs_root("mounting a small file system") {
        return;
    }
    let yard = Yard::new();
    let small = yard.root().display().to_string();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", &small])
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        return;
    }
    // No room for its files, and broken behind them.
    let full = (0..40)
        .fold(Tar::new().dir("a"), |tar, number| tar.file(&format!("a/{number}"), [7; 4096]));
    let error = yard.apply(&[full.hard("b", "nothing")]).expect_err("refused");
    Command::new("umount").arg(&small).status().expect("umount runs");
    assert_eq!(error.code(), Code::Space, "{error}");
}
