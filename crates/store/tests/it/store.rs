use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use plimsoll_content::{Algorithm, Code, Digest, Resolve, Tag};
use plimsoll_store::{Collect, Layout, Store};

use crate::build::{code, image};

#[test]
fn is_made_on_first_use_for_its_owner_and_is_a_layout() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("share/plimsoll/store");
    let store = Store::open(&path).expect("made");
    assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o700);
    let a = image(store.layout(), "a");
    store.layout().tag("app:v1", &a).expect("named");
    let again = Store::open(&path).expect("opened");
    assert_eq!(again.find("app:v1").expect("there").descriptor.digest, a.digest);
    let plain = Layout::open(&path).expect("a layout to others");
    assert_eq!(plain.resolve("app:v1").expect("there").digest, a.digest);
}

#[test]
fn a_name_goes_before_a_part_of_a_digest() {
    let folder = tempfile::tempdir().expect("folder");
    let store = Store::open(&folder.path().join("store")).expect("made");
    let (a, b) = (image(store.layout(), "a"), image(store.layout(), "b"));
    store.layout().tag("app:v1", &a).expect("named");
    let part = a.digest.encoded()[..10].to_owned();
    assert_eq!(store.find(&part).expect("by digest").descriptor.digest, a.digest);
    assert_eq!(store.find(&a.digest.to_string()).expect("whole").descriptor.digest, a.digest);
    store.layout().tag(&part, &b).expect("named");
    assert_eq!(store.find(&part).expect("by name").descriptor.digest, b.digest);
    assert_eq!(code(store.find("nothing")), Code::NotFound);
    assert_eq!(code(store.find("0123456789")), Code::NotFound);
    assert_eq!(code(store.find(&a.digest.encoded()[..7])), Code::NotFound);
}

#[test]
fn s12_a_store_of_a_later_version_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("store");
    drop(Store::open(&path).expect("made"));
    fs::write(path.join(".plimsoll/format"), "2\n").expect("written");
    let error = Store::open(&path).expect_err("refused");
    assert_eq!(error.code(), Code::NotALayout);
    assert!(error.to_string().contains("format \"2\""), "{error}");
}

#[test]
fn what_is_cached_is_there_only_whole() {
    let folder = tempfile::tempdir().expect("folder");
    let store = Store::open(&folder.path().join("store")).expect("made");
    let key = Digest::of(Algorithm::Sha256, b"a chain");
    assert_eq!(store.cached("layers", &key).expect("asked"), None);
    let first = store.stage("layers", &key).expect("staged");
    let second = store.stage("layers", &key).expect("staged");
    fs::write(first.path().join("file"), "1").expect("written");
    assert_eq!(store.cached("layers", &key).expect("asked"), None);
    let path = Store::keep(first).expect("kept");
    assert_eq!(store.cached("layers", &key).expect("asked"), Some(path.clone()));
    assert_eq!(Store::keep(second).expect("the first one's"), path);
    assert_eq!(fs::read(path.join("file")).expect("read"), b"1");
    assert_eq!(code(store.stage("layers", &key)), Code::Exists);
    assert!(store.forget("layers", &key).expect("forgotten"));
    assert!(!store.forget("layers", &key).expect("nothing to forget"));
    let around = path.parent().expect("folder");
    assert_eq!(fs::read_dir(around).expect("listed").count(), 0);
    for bad in ["", "../x", "a/b", "A"] {
        assert_eq!(code(store.cached(bad, &key)), Code::Usage);
    }
}

#[test]
fn what_somebody_runs_from_stays_until_they_end() {
    let folder = tempfile::tempdir().expect("folder");
    let store = Store::open(&folder.path().join("store")).expect("made");
    let (held_key, free_key) =
        (Digest::of(Algorithm::Sha256, b"held"), Digest::of(Algorithm::Sha256, b"free"));
    for key in [&held_key, &free_key] {
        Store::keep(store.stage("layers", key).expect("staged")).expect("kept");
    }
    let held = store.hold("layers", &held_key).expect("asked").expect("there");
    // Any number may run from it.
    let again = store.hold("layers", &held_key).expect("asked").expect("there");
    assert_eq!(code(store.forget("layers", &held_key)), Code::Locked);
    let nothing = |_: &Layout| Ok(BTreeSet::new());
    let dry = Collect { dry_run: true, ..Collect::default() };
    assert_eq!(store.collect(&dry, &nothing).expect("looked").cache.len(), 2);
    let swept = store.collect(&Collect::default(), &nothing).expect("collected");
    assert_eq!(swept.cache.len(), 1);
    assert_eq!(swept.cache[0].key, free_key);
    assert_eq!(swept.stayed.len(), 1);
    assert!(held.path().is_dir());
    drop((held, again));
    let needed = |_: &Layout| Ok(BTreeSet::from([held_key.clone()]));
    assert!(store.collect(&Collect::default(), &needed).expect("collected").cache.is_empty());
    assert_eq!(store.collect(&Collect::default(), &nothing).expect("collected").cache.len(), 1);
    assert!(store.hold("layers", &held_key).expect("asked").is_none());
    assert!(store.cache().expect("listed").is_empty());
}
