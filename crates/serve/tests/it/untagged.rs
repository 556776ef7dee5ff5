//! Manifests without a tag, which are removed on demand: what that takes, and
//! what it takes nothing from.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use plimsoll_content::Digest;
use plimsoll_serve::Options;
use plimsoll_serve::storage::folder::Folder;
use plimsoll_serve::storage::{Storage, Sweep, Swept};
use serde_json::json;

use crate::client::Client;
use crate::{INDEX, MANIFEST, Registry, descriptor, sha256};

/// A registry that promises manifests, and who collects in it.
fn registry() -> (Registry, impl Fn(Sweep) -> Swept + Sync) {
    let mut storage = None;
    let registry = Registry::over(promising(), |folder| {
        let options = plimsoll_store::Options::default();
        let folder = Folder::tree(&folder.join("root"), options).expect("folder");
        storage.insert(folder).clone()
    });
    let storage = storage.expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("runtime");
    (registry, move |sweep| runtime.block_on(storage.collect(sweep)).expect("collected"))
}

pub(crate) fn promising() -> Options {
    Options { collect_untagged: Some(Duration::from_hours(1)), ..Options::default() }
}

/// Only manifests, those that are older than that.
fn older(before: i64) -> Sweep {
    Sweep { blobs: 0, uploads: 0, untagged: Some(before) }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs().cast_signed()
}

/// Pushes an index of one manifest, under a tag or by its digest.
fn index(client: &Client, tag: Option<&str>, child: &[u8]) -> (u16, Digest) {
    let index =
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(MANIFEST, child)]});
    let bytes = index.to_string().into_bytes();
    let digest = sha256(&bytes);
    let reference = tag.map_or_else(|| digest.to_string(), str::to_owned);
    (client.put("a", &reference, INDEX, &bytes).status, digest)
}

/// Pushes a manifest about another one.
fn about(client: &Client, subject: &[u8], text: &str) -> (Vec<u8>, Digest) {
    let mut manifest = client.parts("a", b"layer");
    manifest["subject"] = descriptor(MANIFEST, subject);
    manifest["annotations"] = json!({"text": text});
    let bytes = manifest.to_string().into_bytes();
    let digest = sha256(&bytes);
    client.put("a", &digest.to_string(), MANIFEST, &bytes).is(201);
    (bytes, digest)
}

/// Manifests of all kinds, of which some go.
pub(crate) fn what_nobody_needs_goes(client: &Client, collect: &dyn Fn(Sweep) -> Swept) {
    let (old, old_digest) = client.image("a", Some("v1"), b"old");
    let (new, new_digest) = client.image("a", Some("v1"), b"new");
    let (child, child_digest) = client.image("a", None, b"child");
    let (_, multi) = index(client, Some("multi"), &child);
    let (signature, signature_digest) = about(client, &new, "of new");
    let (_, above) = about(client, &signature, "of a signature");
    let (_, of_child) = about(client, &child, "of a child");
    let (_, of_old) = about(client, &old, "of old");
    let (_, of_nothing) = about(client, b"not there", "of nothing");
    let (lost_child, lost_child_digest) = client.image("a", None, b"lost");
    let (_, lost) = index(client, None, &lost_child);
    // In another repository it has a tag.
    client.image("b", Some("v1"), b"old");
    let path = |digest: &Digest| format!("/v2/a/manifests/{digest}");
    let kept = [new_digest, child_digest, multi, signature_digest, above, of_child];
    let gone = [old_digest, of_old, of_nothing, lost_child_digest, lost];

    let all = Sweep { blobs: 0, uploads: 0, untagged: None };
    assert_eq!(collect(all), Swept::default(), "nobody has asked for it");
    assert_eq!(collect(older(now() - 1000)), Swept::default(), "all of it is young");
    let swept = collect(older(now() + 1000));
    assert_eq!(swept, Swept { manifests: 5, ..Swept::default() });
    for digest in &gone {
        client.get(&path(digest)).is(404);
    }
    for digest in &kept {
        client.get(&path(digest)).is(200);
    }
    let referrers = client.get(&format!("/v2/a/referrers/{}", gone[0])).is(200).json();
    assert_eq!(referrers["manifests"], json!([]));
    client.get("/v2/b/manifests/v1").is(200);
    assert_eq!(collect(older(now() + 1000)), Swept::default());
    // Their layers go with the next collection of blobs, and only they.
    let blobs = Sweep { blobs: now() + 1000, uploads: 0, untagged: None };
    assert!(collect(blobs).blobs > 0);
    client.get(&format!("/v2/a/blobs/{}", sha256(b"lost"))).is(404);
    for layer in [&b"new"[..], b"child", b"layer"] {
        client.get(&format!("/v2/a/blobs/{}", sha256(layer))).is(200);
    }
    client.get(&format!("/v2/b/blobs/{}", sha256(b"old"))).is(200);
    // They may come again.
    client.image("a", Some("again"), b"old");
    client.get(&path(&gone[0])).is(200);
}

/// Old manifests, to which in this moment somebody pushes an index: it was
/// asked whether they are there.
pub(crate) fn a_push_in_flight_loses_nothing(client: &Client, collect: &(dyn Fn(Sweep) + Sync)) {
    let children: Vec<_> =
        (0..16u8).map(|number| client.image("a", None, &[b'c', number])).collect();
    client.image("a", Some("keep"), b"keep");
    std::thread::sleep(Duration::from_millis(2100));
    let before = now();
    std::thread::scope(|scope| {
        for (number, (child, digest)) in children.iter().enumerate() {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(8 * number as u64));
                if client.head(&format!("/v2/a/manifests/{digest}")).status != 200 {
                    client.image("a", None, &[b'c', u8::try_from(number).expect("few")]);
                }
                let (status, _) = index(client, Some(&format!("t{number}")), child);
                assert_eq!(status, 201, "{number}");
            });
        }
        for _ in 0..3 {
            collect(older(before));
        }
    });
    collect(older(before));
    for (number, (child, digest)) in children.iter().enumerate() {
        client.get(&format!("/v2/a/manifests/t{number}")).is(200);
        assert_eq!(client.get(&format!("/v2/a/manifests/{digest}")).is(200).body, *child);
    }
}

#[test]
fn manifests_without_a_tag_go_when_nothing_that_stays_leads_to_them() {
    let (registry, collect) = registry();
    what_nobody_needs_goes(&registry.client, &collect);
}

#[test]
fn manifests_that_somebody_asks_for_while_they_are_collected_stay_or_come_again() {
    let (registry, collect) = registry();
    let run = |sweep| {
        collect(sweep);
    };
    a_push_in_flight_loses_nothing(&registry.client, &run);
}

#[test]
fn one_that_is_asked_for_or_pushed_again_is_young() {
    let (registry, collect) = registry();
    let age = |digest: &Digest| {
        let place = registry.root().join("a/blobs/sha256").join(digest.encoded());
        let file = std::fs::File::options().write(true).open(place).expect("file");
        file.set_modified(UNIX_EPOCH).expect("old");
    };
    let images =
        [&b"one"[..], b"two", b"three", b"four"].map(|layer| registry.image("a", None, layer));
    for (_, digest) in &images {
        age(digest);
    }
    let path = |at: usize| format!("/v2/a/manifests/{}", images[at].1);
    registry.head(&path(0)).is(200);
    registry.put("a", &images[1].1.to_string(), MANIFEST, &images[1].0).is(201);
    // Reading is no push.
    registry.get(&path(2)).is(200);
    assert_eq!(collect(older(1_000_000)), Swept { manifests: 2, ..Swept::default() });
    for (at, status) in [(0, 200), (1, 200), (2, 404), (3, 404)] {
        registry.get(&path(at)).is(status);
    }
}

#[test]
fn nothing_goes_where_a_document_is_broken() {
    let (registry, collect) = registry();
    registry.image("a", None, b"old");
    let (manifest, digest) = registry.image("a", Some("v1"), b"new");
    let place = registry.root().join("a/blobs/sha256").join(digest.encoded());
    registry.image("b", None, b"old");
    std::fs::write(place, vec![b'x'; manifest.len()]).expect("spoilt");
    // The server has read it; whoever starts anew has not.
    drop(collect);
    let root = registry.stopped();
    let folder = Folder::tree(&root.path().join("root"), plimsoll_store::Options::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("runtime");
    let folder = folder.expect("folder");
    let swept = runtime.block_on(folder.collect(older(now() + 1000))).expect("collected");
    assert_eq!((swept.manifests, swept.failures.len()), (1, 1), "{swept:?}");
}
