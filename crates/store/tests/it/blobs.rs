use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use plimsoll_content::{Algorithm, Code, Delete, Descriptor, MediaType, Sink, Source};

use crate::build::{Place, code, ingest, is_root, put, read};

#[test]
fn keeps_what_was_proved_and_gives_it_back() {
    let place = Place::new();
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Blake3] {
        let blob = Descriptor::of(MediaType::from("a/b"), algorithm, b"hello");
        assert!(!place.layout.has(&blob).expect("asked"));
        (&place.layout as &dyn Sink).write(&blob, b"hello").expect("written");
        (&place.layout as &dyn Sink).write(&blob, b"hello").expect("written again");
        assert!(place.layout.has(&blob).expect("asked"));
        assert_eq!(read(&place.layout, &blob).expect("read"), b"hello");
        assert_eq!(fs::read(place.blob(&blob)).expect("there"), b"hello");
    }
    assert!(place.staging_is_empty());
    assert_eq!(place.layout.inventory().expect("listed").blobs.len(), 3);
}

#[test]
fn reads_from_the_middle() {
    let place = Place::new();
    let blob = put(&place.layout, b"hello");
    let mut rest = String::new();
    let content = place.layout.fetch(&blob, 3).expect("there");
    content.without_proof().read_to_string(&mut rest).expect("read");
    assert_eq!(rest, "lo");
    assert_eq!(code(place.layout.fetch(&blob, 6)), Code::Usage);
}

#[test]
fn an_absent_blob_may_be_embedded_in_its_descriptor() {
    let place = Place::new();
    let mut blob = Descriptor::of(MediaType::from("a/b"), Algorithm::Sha256, b"{}");
    assert_eq!(code(place.layout.fetch(&blob, 0)), Code::NotFound);
    blob.data = Some("e30=".to_owned());
    assert_eq!(read(&place.layout, &blob).expect("embedded"), b"{}");
}

#[test]
fn an_ingest_dropped_at_any_byte_leaves_nothing() {
    let place = Place::new();
    let bytes = b"some content of a blob that never arrives";
    for at in 0..=bytes.len() {
        assert_eq!(code(ingest(&place.layout, bytes, Some(at))), Code::Interrupted);
        assert!(place.staging_is_empty(), "byte {at}");
        assert!(place.layout.inventory().expect("listed").blobs.is_empty(), "byte {at}");
    }
    let blob = ingest(&place.layout, bytes, None).expect("the retry succeeds");
    assert_eq!(read(&place.layout, &blob).expect("read"), bytes);
}

#[test]
fn content_that_is_not_what_was_announced_is_not_kept() {
    let place = Place::new();
    let blob = Descriptor::of(MediaType::from("a/b"), Algorithm::Sha256, b"hello");
    for (bytes, found) in
        [(&b"hallo"[..], Code::Digest), (b"hell", Code::Size), (b"hello!", Code::Size)]
    {
        assert_eq!(code((&place.layout as &dyn Sink).write(&blob, bytes)), found);
    }
    assert!(place.staging_is_empty());
    assert!(!place.layout.has(&blob).expect("asked"));
}

#[test]
fn a_proof_of_other_bytes_than_were_written_is_refused() {
    let place = Place::new();
    let mut right = place.layout.begin().expect("begun");
    let blob = Descriptor::of(MediaType::from("a/b"), Algorithm::Sha256, b"hello");
    let reader = plimsoll_content::Unverified::new(&b"hello"[..]).verify(&blob).expect("known");
    let (proof, _) = reader.finish().expect("proved");
    right.write_all(b"hell").expect("written");
    assert_eq!(code(right.commit(proof)), Code::Bug);
    assert!(!place.layout.has(&blob).expect("asked"));
}

#[test]
fn ly13_a_blob_gone_bad_is_found_on_reading_and_healed_by_writing() {
    let place = Place::new();
    let blob = put(&place.layout, b"hello");
    fs::write(place.blob(&blob), "hallo").expect("bit rot");
    assert!(place.layout.has(&blob).expect("asked"), "the size is right");
    assert_eq!(code(read(&place.layout, &blob)), Code::Digest);
    put(&place.layout, b"hello");
    assert_eq!(read(&place.layout, &blob).expect("healed"), b"hello");

    fs::write(place.blob(&blob), "hell").expect("cut");
    assert!(!place.layout.has(&blob).expect("asked"));
    let error = place.layout.fetch(&blob, 0).expect_err("refused");
    assert_eq!(error.code(), Code::Size);
    assert!(error.found_text().is_some_and(|text| text.starts_with("4 bytes")));
    put(&place.layout, b"hello");
    assert_eq!(read(&place.layout, &blob).expect("healed"), b"hello");
}

#[test]
fn ly14_a_hard_linked_blob_is_never_written_into() {
    let place = Place::new();
    let blob = put(&place.layout, b"hello");
    let shared = place.folder.path().join("other layout");
    fs::hard_link(place.blob(&blob), &shared).expect("linked");
    let before = fs::metadata(&shared).expect("there");
    put(&place.layout, b"hello");
    let after = fs::metadata(&shared).expect("there");
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    assert_eq!(fs::read(&shared).expect("read"), b"hello");
    assert!(place.layout.delete(&blob.digest).expect("deleted"));
    assert_eq!(fs::read(&shared).expect("still there"), b"hello");
}

#[test]
fn deletes_blobs() {
    let place = Place::new();
    let blob = put(&place.layout, b"hello");
    assert!(place.layout.delete(&blob.digest).expect("deleted"));
    assert!(!place.layout.delete(&blob.digest).expect("nothing to delete"));
    assert_eq!(code(place.layout.fetch(&blob, 0)), Code::NotFound);
    let other: plimsoll_content::Digest = "other:abc".parse().expect("a digest");
    assert!(!place.layout.delete(&other).expect("no such folder"));
}

#[test]
fn leftovers_of_the_killed_are_swept_and_work_is_not() {
    let place = Place::new();
    let ingest = place.layout.begin().expect("begun");
    let leftover = place.path(".plimsoll/staging/.plimsoll-1-1.tmp");
    let foreign = place.path(".plimsoll/staging/note");
    fs::write(&leftover, "half").expect("written");
    fs::write(&foreign, "of somebody else").expect("written");
    let second = place.layout.begin().expect("begun");
    assert!(!leftover.exists());
    assert!(foreign.exists());
    let staged = || fs::read_dir(place.path(".plimsoll/staging")).expect("listed").count();
    assert_eq!(staged(), 3);
    drop((ingest, second));
    assert_eq!(staged(), 1);
}

#[test]
fn st18_blobs_on_another_file_system_are_staged_there() {
    if !is_root() {
        println!("skipped: only root can mount");
        return;
    }
    let place = Place::new();
    if !crate::space::mount_tmpfs(&place.path("blobs"), "size=1m") {
        println!("skipped: this root can not mount");
        return;
    }
    let blob = put(&place.layout, b"hello");
    let read_back = read(&place.layout, &blob);
    let names = fs::read_dir(place.path("blobs/sha256")).expect("listed").count();
    crate::space::unmount(&place.path("blobs"));
    assert_eq!(read_back.expect("read"), b"hello");
    assert_eq!(names, 1);
    assert!(place.staging_is_empty());
}
