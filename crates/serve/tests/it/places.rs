//! What is served: a folder of layouts, one layout, the local store.

use plimsoll_content::{Algorithm, Descriptor, Resolve, Sink, Tag};
use plimsoll_serve::Options;
use plimsoll_serve::storage::folder::Folder;
use plimsoll_spec::media_type;
use plimsoll_store::{Layout, Options as StoreOptions};
use serde_json::json;

use crate::{INDEX, MANIFEST, Registry, descriptor, sha256};

fn index(layout: &Layout, name: &str, text: &str) -> Descriptor {
    let bytes = format!("{{\"manifests\":[],\"schemaVersion\":2,\"x\":{text:?}}}");
    let target = Descriptor::of(media_type::INDEX, Algorithm::Sha256, bytes.as_bytes());
    (layout as &dyn Sink).write(&target, bytes.as_bytes()).expect("written");
    layout.tag(name, &target).expect("named");
    target
}

#[test]
fn a_layout_is_served_as_it_lies_and_written_as_others_do() {
    let registry = Registry::over(Options::default(), |folder| {
        let path = folder.join("My Image");
        let layout = Layout::create(&path).expect("layout");
        index(&layout, "v1", "a");
        index(&layout, "org/app:v2", "b");
        index(&layout, "my-image:v1", "shadowed");
        Folder::layout(&path, None, StoreOptions::default()).expect("storage")
    });
    let layout = Layout::open(&registry.folder.path().join("My Image")).expect("layout");
    let names = registry.get("/v2/_catalog").is(200).json()["repositories"].clone();
    assert_eq!(names, json!(["my-image", "org/app"]));
    let v1 = registry.get("/v2/my-image/manifests/v1");
    let expected = layout.resolve("v1").expect("a name").digest;
    assert_eq!(v1.is(200).header("docker-content-digest"), expected.to_string());
    registry.get("/v2/org/app/manifests/v2").is(200);
    registry.get("/v2/org/app/manifests/v1").is(404);
    registry.get("/v2/none/tags/list").refused(404, "NAME_UNKNOWN");
    // What others write is seen at once, without a restart.
    index(&layout, "v3", "c");
    assert_eq!(registry.get("/v2/my-image/tags/list").json()["tags"], json!(["v1", "v3"]));
    let (_, digest) = registry.image("my-image", Some("v4"), b"layer");
    assert_eq!(layout.resolve("v4").expect("a name").digest, digest);
    registry.image("org/other", Some("v1"), b"layer");
    assert_eq!(layout.resolve("org/other:v1").expect("a name").digest, digest);
    // Removed from one repository, it stays in the other.
    registry.delete(&format!("/v2/my-image/manifests/{digest}")).is(202);
    registry.get("/v2/my-image/manifests/v4").is(404);
    registry.get("/v2/org/other/manifests/v1").is(200);
    registry.delete("/v2/my-image/manifests/v1").is(202);
    registry.get("/v2/my-image/manifests/v1").is(404);
}

#[test]
fn the_store_is_served_under_the_names_that_it_has() {
    let registry = Registry::over(Options::default(), |folder| {
        let path = folder.join("store");
        let storage = Folder::store(&path, StoreOptions::default()).expect("storage");
        let layout = Layout::open(&path).expect("layout");
        index(&layout, "app", "a");
        index(&layout, "example.com/app:v1", "b");
        storage
    });
    let names = registry.get("/v2/_catalog").is(200).json()["repositories"].clone();
    assert_eq!(names, json!(["app", "example.com/app"]));
    registry.get("/v2/app/manifests/latest").is(200);
    registry.get("/v2/example.com/app/manifests/v1").is(200);
    let (_, digest) = registry.image("app", Some("latest"), b"layer");
    let found = registry.get("/v2/app/manifests/latest");
    assert_eq!(found.is(200).header("docker-content-digest"), digest.to_string());
    registry.delete("/v2/app/manifests/latest").is(202);
    registry.get("/v2/app/manifests/latest").refused(404, "MANIFEST_UNKNOWN");
}

#[test]
fn platforms_of_a_copied_index_are_found_by_their_digests() {
    let registry = Registry::new();
    let layout = Layout::create(&registry.root().join("a")).expect("layout");
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
        "config": descriptor("application/x", b"{}")})
    .to_string();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX,
        "manifests": [descriptor(MANIFEST, manifest.as_bytes())]})
    .to_string();
    for (media_type, bytes) in [(MANIFEST, &manifest), (INDEX, &index)] {
        let target = Descriptor::of(media_type.into(), Algorithm::Sha256, bytes.as_bytes());
        (&layout as &dyn Sink).write(&target, bytes.as_bytes()).expect("written");
    }
    let target = Descriptor::of(INDEX.into(), Algorithm::Sha256, index.as_bytes());
    layout.tag("v1", &target).expect("named");
    let path = format!("/v2/a/manifests/{}", sha256(manifest.as_bytes()));
    let found = registry.get(&path);
    assert_eq!(found.is(200).header("content-type"), MANIFEST);
    assert_eq!(found.body, manifest.as_bytes());
    // A folder that is taken away is gone, and one that comes back is there.
    std::fs::rename(registry.root().join("a"), registry.root().join("b")).expect("renamed");
    registry.get(&path).is(404);
    registry.get("/v2/b/manifests/v1").is(200);
}

#[test]
fn a_folder_that_is_a_layout_is_not_taken_for_many() {
    let folder = tempfile::TempDir::new().expect("folder");
    Layout::create(&folder.path().join("image")).expect("layout");
    let refused = Folder::tree(&folder.path().join("image"), StoreOptions::default());
    assert!(refused.err().is_some_and(|error| error.fix_text().is_some()));
}

#[test]
pub(crate) fn concurrent_pushes_lose_no_tag() {
    let registry = Registry::new();
    let client = &registry.client;
    std::thread::scope(|scope| {
        for writer in 0..8 {
            scope.spawn(move || {
                for number in 0..8 {
                    let tag = format!("w{writer}-{number}");
                    client.image("a", Some(&tag), tag.as_bytes());
                    // Everybody moves this one too.
                    client.image("a", Some("latest"), tag.as_bytes());
                }
            });
        }
    });
    let tags = registry.get("/v2/a/tags/list").is(200).json();
    assert_eq!(tags["tags"].as_array().map(Vec::len), Some(65));
    for writer in 0..8 {
        for number in 0..8 {
            let tag = format!("w{writer}-{number}");
            let found = registry.get(&format!("/v2/a/manifests/{tag}")).is(200).json();
            let layer = found["layers"][0]["digest"].as_str().expect("a digest").to_owned();
            assert_eq!(layer, sha256(tag.as_bytes()).to_string());
            registry.get(&format!("/v2/a/blobs/{layer}")).is(200);
        }
    }
}
