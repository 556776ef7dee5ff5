//! Collecting in a bucket, while others push.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Bytes;
use plimsoll_content::{Algorithm, Digest, Result};
use plimsoll_serve::Options;
use plimsoll_serve::storage::object::Bucket;
use plimsoll_serve::storage::{Chunks, Storage, Sweep, Swept};

use super::{buckets, servers};
use crate::{Registry, sha256, untagged};

/// A body in one piece.
pub(super) struct Text(pub(super) Option<&'static str>);

impl Chunks for Text {
    fn poll_next(&mut self, _context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        Poll::Ready(self.0.take().map(|text| Ok(Bytes::from(text))))
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime")
}

fn seconds() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_secs().cast_signed()
}

/// Removes what nothing leads to, whatever its age.
fn all() -> Sweep {
    Sweep { blobs: seconds() + 1000, uploads: 0, untagged: None }
}

fn collect(bucket: &Bucket, sweep: Sweep) -> Swept {
    runtime().block_on(bucket.collect(sweep)).expect("collected")
}

#[test]
fn what_nothing_leads_to_goes_unless_it_is_young_or_promised() {
    for bucket in buckets() {
        let [registry]: [Registry; 1] = servers(&bucket, Options::default);
        let (_, first) = registry.image("a", Some("v1"), b"first");
        registry.image("b", Some("v1"), b"first");
        registry.image("a", Some("v1"), b"second");
        for content in [&b"old"[..], b"promised"] {
            registry.blob("a", content);
        }
        let path = |content: &[u8]| format!("/v2/a/blobs/{}", sha256(content));
        assert_eq!(
            collect(&bucket, Sweep { blobs: seconds() - 1000, uploads: 0, untagged: None }),
            Swept::default()
        );
        std::thread::sleep(Duration::from_millis(2100));
        let sweep = Sweep { blobs: seconds(), uploads: 0, untagged: None };
        registry.head(&path(b"promised")).is(200);
        let collected = collect(&bucket, sweep);
        assert_eq!(collected, Swept { blobs: 1, bytes: 3, ..Swept::default() });
        registry.get(&path(b"old")).is(404);
        for kept in [&b"promised"[..], b"first", b"second", b"{}"] {
            registry.get(&path(kept)).is(200);
        }
        registry.get(&format!("/v2/a/manifests/{first}")).is(200);
        // What is led to in another repository stays.
        registry.delete(&format!("/v2/a/manifests/{first}")).is(202);
        let collected = collect(&bucket, all());
        assert_eq!(collected.blobs, 1, "what was promised: {collected:?}");
        registry.get(&format!("/v2/b/manifests/{first}")).is(200);
        registry.get(&format!("/v2/b/blobs/{}", sha256(b"first"))).is(200);
        registry.delete(&format!("/v2/b/manifests/{first}")).is(202);
        assert_eq!(collect(&bucket, all()).blobs, 2, "the manifest and its layer");
        registry.get(&format!("/v2/b/blobs/{}", sha256(b"first"))).is(404);
        // It may come again.
        registry.image("b", Some("v1"), b"first");
        registry.get(&format!("/v2/b/blobs/{}", sha256(b"first"))).is(200);
        assert_eq!(collect(&bucket, all()), Swept::default());
    }
}

#[test]
fn uploads_that_nobody_goes_on_with_are_removed_with_their_pieces() {
    for bucket in buckets() {
        let name = "a".parse().expect("name");
        runtime().block_on(async {
            bucket.begin(&name, "old", Algorithm::Sha256).await.expect("begun");
            let text = Box::new(Text(Some("hello")));
            bucket.append(&name, "old", None, text).await.expect("appended");
            let young = Sweep { blobs: 0, uploads: seconds() - 1000, untagged: None };
            assert_eq!(bucket.collect(young).await.expect("collected"), Swept::default());
            assert_eq!(bucket.received(&name, "old").await.expect("asked"), Some(5));
            let old = Sweep { blobs: 0, uploads: seconds() + 1000, untagged: None };
            let swept = bucket.collect(old).await.expect("collected");
            assert_eq!(swept, Swept { uploads: 1, ..Swept::default() });
            assert_eq!(bucket.received(&name, "old").await.expect("asked"), None);
            assert_eq!(bucket.collect(old).await.expect("collected"), Swept::default());
        });
    }
}

#[test]
fn collecting_all_the_time_at_both_servers_takes_nothing_from_a_push() {
    for bucket in buckets() {
        let registries: [Registry; 2] = servers(&bucket, Options::default);
        let pushed = AtomicBool::new(false);
        // A grace period that is longer than a push, and as short as that.
        let grace = 20;
        let runs = std::thread::scope(|scope| {
            let collectors = [0, 1].map(|_| {
                scope.spawn(|| {
                    let mut runs = 0;
                    while !pushed.load(Ordering::Relaxed) {
                        collect(
                            &bucket,
                            Sweep { blobs: seconds() - grace, uploads: 0, untagged: None },
                        );
                        runs += 1;
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    runs
                })
            });
            let writers = [0, 1, 2, 3].map(|writer| {
                let client = &registries[writer % 2].client;
                scope.spawn(move || {
                    for number in 0..5 {
                        let tag = format!("w{writer}-{number}");
                        // The same layers come and go.
                        let layer = format!("layer {}", number % 3);
                        let name = format!("r{}", writer % 2);
                        let (_, digest) = client.image(&name, Some(&tag), layer.as_bytes());
                        let other = format!("other {tag}");
                        let (_, gone) = client.image(&name, None, other.as_bytes());
                        client.delete(&format!("/v2/{name}/manifests/{gone}")).is(202);
                        client.get(&format!("/v2/{name}/manifests/{digest}")).is(200);
                    }
                })
            });
            for writer in writers {
                writer.join().expect("wrote");
            }
            pushed.store(true, Ordering::Relaxed);
            collectors.into_iter().map(|collector| collector.join().expect("ended")).sum::<u32>()
        });
        assert!(runs >= 2, "{runs}");
        for writer in 0..4 {
            for number in 0..5 {
                let name = format!("r{}", writer % 2);
                let path = format!("/v2/{name}/manifests/w{writer}-{number}");
                let manifest = registries[number % 2].get(&path).is(200).json();
                let layer = manifest["layers"][0]["digest"].as_str().expect("a digest").to_owned();
                registries[0].get(&format!("/v2/{name}/blobs/{layer}")).is(200);
            }
        }
    }
}

/// A collection has chosen what is old, and in that moment somebody asks for
/// it, or stores it again: what was said to be there stays there.
#[test]
fn old_content_that_is_asked_for_while_it_is_collected_stays_or_comes_again() {
    for bucket in buckets() {
        let [registry]: [Registry; 1] = servers(&bucket, Options::default);
        let client = &registry.client;
        for round in 0..2 {
            let content = |number| format!("content {round} {number}").into_bytes();
            let digests: Vec<Digest> =
                (0..20).map(|number| client.blob("a", &content(number))).collect();
            std::thread::sleep(Duration::from_millis(2100));
            let sweep = Sweep { blobs: seconds(), uploads: 0, untagged: None };
            std::thread::scope(|scope| {
                for (number, digest) in digests.iter().enumerate() {
                    let content = content(number);
                    scope.spawn(move || {
                        std::thread::sleep(Duration::from_millis(5 * number as u64));
                        if client.head(&format!("/v2/a/blobs/{digest}")).status != 200 {
                            client.blob("a", &content);
                        }
                    });
                }
                collect(&bucket, sweep);
            });
            for (number, digest) in digests.iter().enumerate() {
                let read = client.get(&format!("/v2/a/blobs/{digest}"));
                assert_eq!(read.is(200).body, content(number));
            }
        }
    }
}

#[test]
fn manifests_without_a_tag_go_when_nothing_that_stays_leads_to_them() {
    for bucket in buckets() {
        let [registry]: [Registry; 1] = servers(&bucket, untagged::promising);
        untagged::what_nobody_needs_goes(&registry.client, &|sweep| collect(&bucket, sweep));
    }
}

#[test]
fn manifests_that_somebody_asks_for_while_they_are_collected_stay_or_come_again() {
    for bucket in buckets() {
        let registries: [Registry; 2] = servers(&bucket, untagged::promising);
        untagged::a_push_in_flight_loses_nothing(&registries[0].client, &|sweep| {
            collect(&bucket, sweep);
        });
    }
}
