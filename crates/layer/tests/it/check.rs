//! Whether entries make sense together, told without making files.

use std::io::Write;

use plimsoll_content::{Algorithm, Code, Digest, Error, Result};
use plimsoll_layer::apply::Blobs;
use plimsoll_layer::check::Read;
use plimsoll_layer::codec::{Compression, Encoder, Format};
use plimsoll_layer::{Check, Limits};

use crate::apply_support::Tar;

/// Checks layers; gives the names of what was found in the last one.
fn check(layers: &[Tar]) -> Vec<&'static str> {
    let mut check = Check::new();
    let mut found = Vec::new();
    for layer in layers {
        let bytes = layer.clone().done();
        let mut entries = plimsoll_layer::tar::Entries::new(&bytes[..], Limits::default());
        while let Some((entry, _)) = entries.next().expect("an archive") {
            check.entry(&entry, entries.header());
        }
        found = check.end_layer().iter().map(|finding| finding.name).collect();
    }
    found
}

#[test]
fn a_sound_image_has_no_findings() {
    let lower = Tar::new().dir(".").dir("d").file("d/f", "1").hard("d/h", "d/f").link("l", "d");
    let upper = Tar::new().file("d/.wh.f", "").hard("x", "d/h").file("l/through", "").dir("e");
    assert_eq!(check(&[lower, upper]), [""; 0]);
    // A folder may come behind what it holds.
    assert_eq!(check(&[Tar::new().file("a/b/c", "").dir("a/b").dir("a")]), [""; 0]);
}

#[test]
fn nm08_every_second_entry_for_a_path_is_found() {
    for layer in [
        Tar::new().file("a", "").file("./a", ""),
        Tar::new().file("a/b", "").file("a", ""),
        Tar::new().file("d/.wh.a", "").file("d/.wh.a", ""),
    ] {
        assert_eq!(check(&[Tar::new().dir("d"), layer]), ["duplicate-entry"]);
    }
    assert_eq!(check(&[Tar::new().dir("a").dir("./a")]), ["duplicate-folder"]);
    assert_eq!(check(&[Tar::new().dir("a").file("a", "")]), ["duplicate-entry"]);
}

#[test]
fn tr08_tr23_nm10_nm11_what_applying_would_refuse_is_found() {
    let lower = || Tar::new().dir("d").file("f", "").link("l", "d");
    for (upper, name) in [
        (Tar::new().file("l/.wh.x", ""), "whiteout-below-link"),
        (Tar::new().file("x", "").file("x/y", ""), "file-as-folder"),
        (Tar::new().hard("h", "nowhere"), "hardlink-to-nothing"),
        (Tar::new().hard("h", "d"), "hardlink-to-folder"),
        (Tar::new().hard("h", "late").file("late", ""), "hardlink-to-nothing"),
        (Tar::new().file(".wh.", ""), "whiteout-bare"),
        (Tar::new().file(".wh.x/y", ""), "whiteout-folder"),
        (Tar::new().file("new/y", ""), "folder-implied"),
    ] {
        assert_eq!(check(&[lower(), upper]), [name]);
    }
    // What lies below a link is not known without following it.
    assert_eq!(check(&[lower(), Tar::new().hard("h", "l/x")]), [""; 0]);
    // A file of a lower layer makes way.
    assert_eq!(check(&[lower(), Tar::new().file("f/x", "")]), [""; 0]);
}

#[test]
fn wh03_wh04_wh12_whiteouts_that_say_too_much_are_found() {
    let found = |layer: Tar| check(&[Tar::new().dir("d"), layer]);
    assert_eq!(found(Tar::new().file("d/.wh..wh.x", "")), ["whiteout-unknown"]);
    assert_eq!(found(Tar::new().file("d/.wh.x", "content")), ["whiteout-not-empty"]);
    assert_eq!(found(Tar::new().dir(".wh..wh.plnk")), ["aufs-private"]);
}

#[test]
fn what_a_skipped_layer_holds_is_not_known() {
    let mut check = Check::new();
    check.skip_layer();
    let bytes = Tar::new().hard("h", "somewhere").file("maybe/there", "").done();
    let mut entries = plimsoll_layer::tar::Entries::new(&bytes[..], Limits::default());
    while let Some((entry, _)) = entries.next().expect("good") {
        check.entry(&entry, 0);
    }
    assert!(check.end_layer().is_empty());
}

/// A blob that is proved, or is not.
struct Blob(Vec<u8>, bool);

impl Blobs for Blob {
    type Blob = std::io::Cursor<Vec<u8>>;

    fn open(&mut self, _: usize) -> Result<Self::Blob> {
        Ok(std::io::Cursor::new(self.0.clone()))
    }

    fn prove(&mut self, _: usize, _: Self::Blob) -> Result<()> {
        if self.1 { Ok(()) } else { Err(Error::new(Code::Digest, "proving")) }
    }
}

fn read(plain: &[u8], good: bool) -> Read {
    let mut gzip = Encoder::new(Compression::Gzip { level: 1 }, Vec::new()).expect("an encoder");
    gzip.write_all(plain).expect("written");
    let blob = Blob(gzip.finish().expect("finished"), good);
    let each = |_: &_, _: &mut dyn std::io::Read| {};
    Check::new().layer(blob, Format::Gzip, Algorithm::Sha256, &Limits::default(), each)
}

#[test]
fn a_layer_is_read_to_its_end_whatever_is_in_it() {
    let sound = Tar::new().dir("d").file("d/f", "text").done();
    let whole = read(&sound, true);
    assert_eq!((whole.entries, whole.bytes), (2, sound.len() as u64));
    assert_eq!(whole.diff_id, Some(Digest::of(Algorithm::Sha256, &sound)));
    assert!(whole.findings.is_empty() && whole.broken.is_none() && whole.damage.is_none());

    let twice = read(&Tar::new().dir("d").file("a", "1").file("a", "22").done(), true);
    let found: Vec<_> = twice.findings.iter().map(|one| (one.name, one.offset)).collect();
    assert_eq!(found, [("duplicate-entry", Some(1536))]);

    // The second header is broken: what comes behind is hashed all the same.
    let mut broken = sound.clone();
    broken[512 + 148] ^= 1;
    let stopped = read(&broken, true);
    assert_eq!(stopped.broken.expect("broken").0, 512);
    assert_eq!(stopped.diff_id, Some(Digest::of(Algorithm::Sha256, &broken)));
    assert!(stopped.damage.is_none());

    // Damage of the blob explains what else is wrong.
    let damaged = read(&broken, false);
    assert_eq!(damaged.damage.expect("damage").code(), Code::Digest);
    assert!(damaged.broken.is_none());
    let cut = Check::new().layer(
        Blob(vec![0x1f, 0x8b, 8, 0], true),
        Format::Gzip,
        Algorithm::Sha256,
        &Limits::default(),
        |_, _| {},
    );
    assert_eq!(cut.damage.expect("no gzip").code(), Code::Layer);
}
