//! What registries do to a layout: uploads over many requests, names that
//! leave what they stood for, blobs that are taken over.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use plimsoll_content::{
    Algorithm, Code, Descriptor, Digest, Ingest, MediaType, Resolve, Sealing, Sink, Source, Tag,
};
use plimsoll_spec::media_type;
use plimsoll_store::{Collect, Layout, Listing};
use serde_json::{Value, json};
use tempfile::TempDir;

fn layout(folder: &TempDir) -> Arc<Layout> {
    Arc::new(Layout::create(&folder.path().join("image")).expect("layout"))
}

fn index(layout: &Layout, text: &str) -> Descriptor {
    let bytes = format!("{{\"manifests\":[],\"schemaVersion\":2,\"x\":{text:?}}}");
    let descriptor = Descriptor::of(media_type::INDEX, Algorithm::Sha256, bytes.as_bytes());
    (layout as &dyn Sink).write(&descriptor, bytes.as_bytes()).expect("written")
}

fn listing(target: &Descriptor, names: &[&str]) -> Listing {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Listing { target: target.clone(), names }
}

fn names(layout: &Layout) -> Vec<(Option<String>, Digest)> {
    let entries = layout.entries().expect("entries");
    entries
        .into_iter()
        .map(|entry| (entry.name().map(str::to_owned), entry.descriptor.digest))
        .collect()
}

fn octets() -> MediaType {
    MediaType::from_static("application/octet-stream")
}

#[test]
fn a_name_that_moves_leaves_what_it_stood_for_on_the_list() {
    let folder = TempDir::new().expect("folder");
    let layout = layout(&folder);
    let (a, b) = (index(&layout, "a"), index(&layout, "b"));
    let before = layout.stamp().expect("stamp");
    layout.list(&[listing(&a, &[]), listing(&a, &["v1", "_odd..tag-"])]).expect("listed");
    assert_ne!(layout.stamp().expect("stamp"), before);
    let name = |name: &str| Some(name.to_owned());
    let (da, db) = (a.digest.clone(), b.digest.clone());
    assert_eq!(names(&layout), [(name("v1"), da.clone()), (name("_odd..tag-"), da.clone())]);
    layout.list(&[listing(&b, &["v1", "_odd..tag-"])]).expect("listed");
    let expected = [(None, da.clone()), (name("v1"), db.clone()), (name("_odd..tag-"), db.clone())];
    assert_eq!(names(&layout), expected);
    assert_eq!(layout.resolve("v1").expect("a name").digest, db);
    assert_eq!(layout.unname(&["v1".into(), "none".into()]).expect("unnamed"), 1);
    assert_eq!(layout.unname(&["_odd..tag-".into()]).expect("unnamed"), 1);
    assert_eq!(names(&layout), [(None, da.clone()), (None, db.clone())]);
    assert!(layout.collect().expect("collected").is_empty(), "both are listed");
    assert_eq!(layout.unlist(&da, &|_| false).expect("unlisted"), 1);
    assert_eq!(layout.collect().expect("collected"), std::slice::from_ref(&da));
    let error = layout.list(&[listing(&a, &["v1"])]).expect_err("gone");
    assert_eq!(error.code(), Code::NotFound);
    layout.list(&[listing(&b, &["mine", "theirs"])]).expect("listed");
    assert_eq!(layout.unlist(&db, &|name| name == "theirs").expect("unlisted"), 1);
    assert_eq!(names(&layout), [(name("theirs"), db)]);
}

#[test]
fn an_upload_goes_on_in_another_process_and_becomes_a_blob_once_it_is_proved() {
    let folder = TempDir::new().expect("folder");
    let layout = layout(&folder);
    let mut upload = layout.begin_upload("a-1").expect("begun");
    upload.write_all(b"hello, w").expect("written");
    assert_eq!(layout.begin_upload("a-1").expect_err("taken").code(), Code::Exists);
    assert_eq!(layout.resume_upload("a-1").expect_err("locked").code(), Code::Locked);
    upload.cut(7).expect("cut");
    drop(upload);
    let again = Arc::new(Layout::open(layout.path()).expect("layout"));
    let upload = again.resume_upload("a-1").expect("opened").expect("an upload");
    assert_eq!(upload.length(), 7);
    let content = upload.content().expect("content");
    let mut sealing = Sealing::resume(upload, Algorithm::Sha512, content).expect("hashed");
    sealing.write_all(b"world").expect("written");
    let blob = Descriptor::of(octets(), Algorithm::Sha512, b"hello, world");
    assert!(!layout.has(&blob).expect("looked"));
    let (proof, upload) = sealing.finish(octets());
    Box::new(upload).commit(proof).expect("proved");
    let source: &dyn Source = &*layout;
    assert_eq!(source.read(&blob, "blob", 100).expect("read"), b"hello, world");
    assert!(layout.resume_upload("a-1").expect("looked").is_none());
    for bad in ["", "..", "a/b", "a.b", &"a".repeat(65)] {
        assert_eq!(layout.begin_upload(bad).expect_err(bad).code(), Code::Usage);
    }
}

#[test]
fn uploads_are_given_up_or_grow_too_old() {
    let folder = TempDir::new().expect("folder");
    let layout = layout(&folder);
    layout.begin_upload("given-up").expect("begun").give_up();
    drop(layout.begin_upload("old").expect("begun"));
    let busy = layout.begin_upload("busy").expect("begun");
    assert!(layout.resume_upload("given-up").expect("looked").is_none());
    assert!(layout.expire_uploads(0).expect("swept").is_empty(), "written later");
    assert_eq!(layout.expire_uploads(i64::MAX).expect("swept"), ["old"]);
    drop(busy);
    // With a day more than blobs have.
    let options = Collect { before: Some(i64::MAX), ..Collect::default() };
    let collected = layout.collect_with(&options).expect("collected");
    assert_eq!(collected.leftovers, [std::path::Path::new(".plimsoll/uploads/busy")]);
}

#[test]
fn a_blob_is_taken_over_without_a_second_file_and_proved_first() {
    let folder = TempDir::new().expect("folder");
    let from = layout(&folder);
    let to = Layout::create(&folder.path().join("other")).expect("layout");
    let blob = index(&from, "a");
    to.take(&from, &blob).expect("taken");
    let place = format!("blobs/sha256/{}", blob.digest.encoded());
    let inode = |layout: &Layout| layout.path().join(&place).metadata().expect("a file").ino();
    assert_eq!(inode(&to), inode(&from));
    to.take(&from, &blob).expect("there already");
    let bad = index(&from, "b");
    let place = from.path().join(format!("blobs/sha256/{}", bad.digest.encoded()));
    std::fs::write(place, "x".repeat(bad.size as usize)).expect("spoilt");
    assert_eq!(to.take(&from, &bad).expect_err("bad bytes").code(), Code::Digest);
    assert!(!to.has(&bad).expect("looked"));
}

#[test]
fn who_touches_a_blob_keeps_it() {
    let folder = TempDir::new().expect("folder");
    let layout = layout(&folder);
    let blob = index(&layout, "a");
    let place = layout.path().join(format!("blobs/sha256/{}", blob.digest.encoded()));
    let file = std::fs::File::options().write(true).open(place).expect("file");
    file.set_modified(std::time::UNIX_EPOCH).expect("old");
    let options = Collect { before: Some(1_000_000), ..Collect::default() };
    assert!(layout.touch(&blob.digest).expect("touched"));
    assert!(layout.collect_with(&options).expect("collected").blobs.is_empty());
    file.set_modified(std::time::UNIX_EPOCH).expect("old");
    assert_eq!(layout.collect_with(&options).expect("collected").blobs.len(), 1);
    assert!(!layout.touch(&blob.digest).expect("touched"));
}

#[test]
fn a_layout_may_hold_layouts_of_its_own() {
    let folder = TempDir::new().expect("folder");
    let around = folder.path().join("org");
    let inner = around.join("app");
    std::fs::create_dir(&around).expect("folder");
    Layout::create(&inner).expect("inner");
    assert_eq!(Layout::create(&around).expect_err("not empty").code(), Code::NotALayout);
    Layout::open_or_create_around(&around, plimsoll_store::Options::default()).expect("around");
    Layout::open(&around).expect("a layout");
    Layout::open(&inner).expect("still one");
}

#[test]
fn what_others_write_between_two_changes_is_kept_with_all_it_says() {
    let folder = TempDir::new().expect("folder");
    let layout = layout(&folder);
    let (one, two) = (index(&layout, "one"), index(&layout, "two"));
    layout.list(&[listing(&one, &["v1"])]).expect("listed");
    // Another tool, in its own way of writing and into the file itself.
    let path = layout.path().join("index.json");
    let read = || -> Value {
        serde_json::from_slice(&std::fs::read(&path).expect("a list")).expect("JSON")
    };
    let mut list = read();
    list["x-list"] = json!({"n": 1.50});
    let mut other = json!(two);
    other["annotations"] = json!({"org.opencontainers.image.ref.name": "theirs"});
    other["x-line"] = json!([null]);
    list["manifests"].as_array_mut().expect("a list").push(other.clone());
    std::fs::write(&path, serde_json::to_vec_pretty(&list).expect("JSON")).expect("written");
    layout.list(&[listing(&one, &["v2"])]).expect("listed");
    layout.list(&[listing(&two, &["v1"])]).expect("listed");
    let after = read();
    assert_eq!(after["x-list"], list["x-list"]);
    assert_eq!(after["manifests"][0], other);
    let lines = layout.lines().expect("lines");
    let names: Vec<_> = lines.iter().map(|line| line.name().unwrap_or_default()).collect();
    assert_eq!(names, ["theirs", "v2", "v1"]);
    layout.untag("theirs").expect("untagged");
    let fewer = layout.lines().expect("lines");
    assert!(fewer.iter().zip(&lines[1..]).all(|(line, old)| Arc::ptr_eq(line, old)));
    assert_eq!(read()["x-list"], list["x-list"]);
}
