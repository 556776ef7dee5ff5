//! Collecting what nothing leads to, while others push.

use std::time::{Duration, UNIX_EPOCH};

use plimsoll_content::{Algorithm, Code};
use plimsoll_serve::Options;
use plimsoll_serve::storage::folder::Folder;
use plimsoll_serve::storage::{Storage, Sweep, Swept};
use plimsoll_store::{Collect, Layout};

use crate::{Registry, sha256};

/// Lets a blob be as old as can be.
fn age(registry: &Registry, name: &str, content: &[u8]) {
    let place = registry.root().join(name).join("blobs/sha256").join(sha256(content).encoded());
    let file = std::fs::File::options().write(true).open(place).expect("file");
    file.set_modified(UNIX_EPOCH).expect("old");
}

fn collecting(after: Duration) -> Options {
    let collect_every = Some(Duration::from_millis(50));
    Options { collect_every, collect_after: after, ..Options::default() }
}

impl Registry {
    /// Waits for a collection that has begun after now.
    fn collected(&self) {
        let count = || {
            let events = self.log.events.lock().expect("lock");
            events.iter().filter(|event| event.event == "collected").count()
        };
        let before = count();
        for _ in 0..500 {
            if count() >= before + 2 {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{:?}", self.log.events.lock().expect("lock"));
    }
}

#[test]
fn what_nothing_leads_to_goes_when_it_is_old_and_nobody_was_promised_it() {
    let mut storage = None;
    let registry = Registry::over(Options::default(), |folder| {
        let options = plimsoll_store::Options::default();
        let folder = Folder::tree(&folder.join("root"), options).expect("folder");
        storage.insert(folder).clone()
    });
    registry.image("a", Some("v1"), b"layer");
    for content in [&b"young"[..], b"old", b"promised", b"mounted"] {
        registry.blob("a", content);
    }
    for content in [&b"old"[..], b"promised", b"mounted", b"layer"] {
        age(&registry, "a", content);
    }
    let path = |content: &[u8]| format!("/v2/a/blobs/{}", sha256(content));
    registry.head(&path(b"promised")).is(200);
    let mount = format!("/v2/b/blobs/uploads/?mount={}&from=a", sha256(b"mounted"));
    registry.send("POST", &mount, b"").is(201);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("runtime");
    let sweep = Sweep { blobs: 1_000_000, uploads: 0, untagged: None };
    let collected = runtime.block_on(storage.expect("a folder").collect(sweep));
    assert_eq!(collected.expect("collected"), Swept { blobs: 1, bytes: 3, ..Swept::default() });
    for kept in [&b"young"[..], b"promised", b"mounted", b"layer"] {
        registry.get(&path(kept)).is(200);
    }
    registry.get(&path(b"old")).is(404);
    registry.get(&format!("/v2/b/blobs/{}", sha256(b"mounted"))).is(200);
}

#[test]
fn what_is_broken_in_one_repository_stops_no_other() {
    let registry = Registry::with(collecting(Duration::from_hours(1)));
    let (manifest, digest) = registry.image("a", Some("v1"), b"layer");
    for name in ["a", "b"] {
        registry.blob(name, b"old");
        age(&registry, name, b"old");
    }
    let place = registry.root().join("a/blobs/sha256").join(digest.encoded());
    std::fs::write(place, vec![b'x'; manifest.len()]).expect("spoilt");
    registry.collected();
    registry.collected();
    registry.get(&format!("/v2/b/blobs/{}", sha256(b"old"))).is(404);
    let events = registry.log.events.lock().expect("lock");
    assert!(events.iter().any(|event| event.event == "collect-failed"), "{events:?}");
}

#[test]
fn manifests_that_lost_their_tags_stay_and_removed_ones_let_their_layers_go() {
    let registry = Registry::with(collecting(Duration::from_hours(1)));
    let (_, first) = registry.image("a", Some("v1"), b"first");
    registry.image("a", Some("v1"), b"second");
    age(&registry, "a", b"first");
    registry.collected();
    registry.get(&format!("/v2/a/manifests/{first}")).is(200);
    let layer = format!("/v2/a/blobs/{}", sha256(b"first"));
    registry.get(&layer).is(200);
    registry.delete(&format!("/v2/a/manifests/{first}")).is(202);
    registry.collected();
    registry.get(&layer).is(404);
}

#[test]
fn collecting_all_the_time_takes_nothing_from_a_push() {
    let registry = Registry::with(collecting(Duration::from_secs(5)));
    let client = &registry.client;
    std::thread::scope(|scope| {
        for writer in 0..4 {
            scope.spawn(move || {
                for number in 0..10 {
                    let tag = format!("w{writer}-{number}");
                    client.image(&format!("r{}", writer % 2), Some(&tag), tag.as_bytes());
                }
            });
        }
    });
    registry.collected();
    for writer in 0..4 {
        for number in 0..10 {
            let tag = format!("w{writer}-{number}");
            let name = format!("r{}", writer % 2);
            registry.get(&format!("/v2/{name}/manifests/{tag}")).is(200);
            registry.get(&format!("/v2/{name}/blobs/{}", sha256(tag.as_bytes()))).is(200);
        }
    }
}

#[test]
fn other_processes_remove_nothing_while_a_push_is_under_way() {
    let registry = Registry::new();
    registry.image("a", Some("v1"), b"layer");
    registry.blob("a", b"half of a push");
    let layout = Layout::open(&registry.root().join("a")).expect("layout");
    let error = layout.collect().expect_err("a push is under way");
    assert_eq!(error.code(), Code::Locked);
    let folder = registry.stopped();
    let layout = Layout::open(&folder.path().join("root/a")).expect("layout");
    assert_eq!(layout.collect().expect("collected"), [sha256(b"half of a push")]);
}

#[test]
fn uploads_that_nobody_goes_on_with_are_removed() {
    let folder = tempfile::TempDir::new().expect("folder");
    let storage = Folder::tree(folder.path(), plimsoll_store::Options::default()).expect("storage");
    let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("runtime");
    runtime.block_on(async {
        let name = "a".parse().expect("name");
        storage.begin(&name, "old", Algorithm::Sha256).await.expect("begun");
        let sweep = Sweep { blobs: 0, uploads: i64::MAX, untagged: None };
        let busy = storage.collect(sweep).await.expect("collected");
        assert_eq!(busy, Swept::default(), "it is open");
        storage.rest(i64::MAX);
        let swept = storage.collect(sweep).await.expect("collected");
        assert_eq!(swept, Swept { uploads: 1, ..Swept::default() });
        assert_eq!(storage.received(&name, "old").await.expect("looked"), None);
    });
    let layout = Layout::open(&folder.path().join("a")).expect("layout");
    layout.collect_with(&Collect::default()).expect("nobody holds it");
}
