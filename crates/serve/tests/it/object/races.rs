//! Two servers before one bucket, who do the same at the same time.

use std::sync::Barrier;

use plimsoll_content::{Algorithm, Digest};
use plimsoll_registry::protocol::Repository;
use plimsoll_serve::Options;
use plimsoll_serve::storage::{Append, Removal, Storage};

use super::{buckets, servers};
use crate::client::Answer;
use crate::{MANIFEST, Registry, sha256};

const ROUNDS: usize = 60;

/// Lets both do something in the same moment.
fn both<T: Send>(
    registries: &[Registry; 2],
    work: impl Fn(usize, &Registry) -> T + Sync,
) -> [T; 2] {
    let start = Barrier::new(2);
    let (work, start) = (&work, &start);
    std::thread::scope(|scope| {
        let threads = [0, 1].map(|at| {
            scope.spawn(move || {
                start.wait();
                work(at, &registries[at])
            })
        });
        threads.map(|thread| thread.join().expect("ended"))
    })
}

#[test]
fn both_may_create_the_same_and_it_is_there_once() {
    for bucket in buckets() {
        let registries: [Registry; 2] = servers(&bucket, Options::default);
        for round in 0..ROUNDS {
            let content = format!("the same {round}").into_bytes();
            let digest = sha256(&content);
            both(&registries, |_, registry| registry.blob("a", &content));
            for registry in &registries {
                let read = registry.get(&format!("/v2/a/blobs/{digest}"));
                assert_eq!(read.is(200).body, content);
            }
        }
    }
}

#[test]
fn an_upload_of_one_name_is_begun_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("runtime");
    for bucket in buckets() {
        let name: Repository = "a".parse().expect("name");
        for round in 0..ROUNDS {
            let upload = format!("round-{round}");
            let won = runtime.block_on(async {
                let begin = || {
                    let (bucket, upload) = (bucket.clone(), upload.clone());
                    let name = name.clone();
                    tokio::spawn(async move {
                        bucket.begin(&name, &upload, Algorithm::Sha256).await.is_ok()
                    })
                };
                let begun = [begin(), begin(), begin(), begin()];
                let mut won = 0;
                for begun in begun {
                    won += usize::from(begun.await.expect("ended"));
                }
                won
            });
            assert_eq!(won, 1, "round {round}");
        }
    }
}

#[test]
fn a_tag_that_both_move_stands_for_one_of_the_two() {
    for bucket in buckets() {
        let registries: [Registry; 2] = servers(&bucket, Options::default);
        let images = [&b"one"[..], b"other"].map(|layer| registries[0].image("a", None, layer));
        for round in 0..ROUNDS {
            let tag = format!("v{}", round / 10);
            both(&registries, |at, registry| {
                registry.put("a", &tag, MANIFEST, &images[at].0).is(201);
            });
            let path = format!("/v2/a/manifests/{tag}");
            let seen = [0, 1].map(|at| {
                let answer: Answer = registries[at].get(&path);
                answer.is(200).header("docker-content-digest").to_owned()
            });
            assert_eq!(seen[0], seen[1], "round {round}");
            assert!(images.iter().any(|(_, digest)| digest.to_string() == seen[0]));
        }
    }
}

#[test]
fn a_tag_that_moves_while_its_manifest_is_removed_is_not_lost() {
    for bucket in buckets() {
        let registries: [Registry; 2] = servers(&bucket, Options::default);
        for round in 0..ROUNDS / 3 {
            let old = registries[0].image("a", Some("v1"), format!("old {round}").as_bytes()).1;
            let (new, digest) = registries[0].image("a", None, format!("new {round}").as_bytes());
            both(&registries, |at, registry| {
                if at == 0 {
                    registry.put("a", "v1", MANIFEST, &new).is(201);
                } else {
                    registry.delete(&format!("/v2/a/manifests/{old}")).is(202);
                }
            });
            let found = registries[round % 2].get("/v2/a/manifests/v1");
            assert_eq!(found.is(200).header("docker-content-digest"), digest.to_string());
        }
    }
}

#[test]
fn a_manifest_that_one_stores_while_the_other_removes_it_is_whole_or_gone() {
    for bucket in buckets() {
        let registries: [Registry; 2] = servers(&bucket, Options::default);
        for round in 0..ROUNDS / 3 {
            let layer = format!("layer {round}");
            let (manifest, digest) = registries[0].image("a", Some("v1"), layer.as_bytes());
            both(&registries, |at, registry| {
                if at == 0 {
                    registry.put("a", "v2", MANIFEST, &manifest).is(201);
                } else {
                    registry.delete(&format!("/v2/a/manifests/{digest}")).is(202);
                }
            });
            let there = registries[0].get(&format!("/v2/a/manifests/{digest}"));
            if there.status == 200 {
                assert_eq!(there.body, manifest);
                registries[1].get(&format!("/v2/a/blobs/{}", sha256(layer.as_bytes()))).is(200);
            }
            // A tag never leads to what is not there.
            let tags = registries[1].get("/v2/a/tags/list");
            if tags.status == 200 {
                let tags = tags.json()["tags"].clone();
                for tag in tags.as_array().expect("a list") {
                    let tag = tag.as_str().expect("text");
                    registries[0].get(&format!("/v2/a/manifests/{tag}")).is(200);
                }
            }
        }
    }
}

#[test]
fn an_upload_that_is_gone_is_unknown_to_all_that_follows() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    for bucket in buckets() {
        runtime.as_ref().expect("runtime").block_on(async {
            let name: Repository = "a".parse().expect("name");
            bucket.begin(&name, "x", Algorithm::Sha256).await.expect("begun");
            assert!(bucket.cancel(&name, "x").await.expect("cancelled"));
            assert!(!bucket.cancel(&name, "x").await.expect("asked"));
            let digest = Digest::of(Algorithm::Sha256, b"");
            assert_eq!(bucket.finish(&name, "x", &digest).await.expect("asked"), None);
            let none = Box::new(crate::object::gc::Text(None));
            let appended = bucket.append(&name, "x", None, none).await.expect("asked");
            assert_eq!(appended, Append::Unknown);
            let removed = bucket.remove_blob(&name, &digest).await.expect("asked");
            assert_eq!(removed, Removal::Unknown);
        });
    }
}
