//! A registry in an object store: the same laws as in a folder, over an object
//! store in memory and over a server that speaks S3; and what only several
//! servers before one bucket can get wrong.

mod gc;
mod moto;
mod races;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use plimsoll_serve::Options;
use plimsoll_serve::storage::object::Bucket;

use crate::{Registry, bytes, sha256};

/// Makes what a registry is over.
type Make = fn() -> Option<Bucket>;

thread_local! {
    /// What registries of this test are over, if not over folders.
    static CHOSEN: Cell<Option<Make>> = const { Cell::new(None) };
}

pub(crate) fn chosen() -> Option<Bucket> {
    CHOSEN.get().and_then(|make| make())
}

fn memory() -> Bucket {
    Bucket::over(Arc::new(InMemory::new()), "some/prefix").expect("a bucket")
}

/// Runs a test over an object store in memory.
fn in_memory(law: fn()) {
    CHOSEN.set(Some(|| Some(memory())));
    law();
}

/// Runs a test over S3. Without the server it says `SKIP`.
fn in_s3(law: fn()) {
    if moto::bucket().is_some() {
        CHOSEN.set(Some(moto::bucket));
        law();
    }
}

macro_rules! laws {
    ($( $room:ident: $($law:ident),+; )+) => {
        mod laws_in_memory {
            $( $( #[test] fn $law() { super::in_memory(crate::$room::$law); } )+ )+
        }

        mod laws_in_s3 {
            $( $( #[test] fn $law() { super::in_s3(crate::$room::$law); } )+ )+
        }
    };
}

laws! {
    pull: the_base_says_what_this_is, blobs_come_whole_and_in_ranges, manifests_come_byte_for_byte_by_tag_and_by_digest;
    push: a_blob_comes_in_one_request_or_in_two, chunks_go_behind_each_other_and_gaps_are_refused, a_chunk_of_the_wrong_length_leaves_the_upload_as_it_was, what_is_not_its_digest_is_never_seen, uploads_are_cancelled_and_belong_to_their_repository, blobs_are_mounted_from_where_they_are, what_is_too_much_is_refused_before_it_is_kept, an_upload_that_breaks_off_goes_on_behind_what_came, too_many_at_once_wait_for_their_turn;
    manifests: a_manifest_is_given_back_as_it_came_whatever_stands_in_it, a_manifest_may_come_by_any_digest_and_with_tags, what_it_leads_to_must_be_there, what_nobody_could_use_is_refused, manifests_of_four_megabytes_and_more_are_taken, a_tag_moves_and_what_it_stood_for_stays, a_manifest_is_removed_with_its_tags_and_blobs_by_themselves;
    lists: tags_come_in_order_and_in_pages, the_catalogue_has_the_repositories_that_hold_manifests, referrers_are_listed_before_and_after_their_subject;
    places: concurrent_pushes_lose_no_tag;
}

/// Both kinds of store.
fn buckets() -> Vec<Bucket> {
    let mut buckets = vec![memory()];
    buckets.extend(moto::bucket());
    buckets
}

/// Several servers before one bucket.
fn servers<const N: usize>(bucket: &Bucket, options: fn() -> Options) -> [Registry; N] {
    std::array::from_fn(|_| Registry::over(options(), |_| bucket.clone()))
}

#[test]
fn an_upload_goes_on_at_another_server() {
    for bucket in buckets() {
        let [one, other] = servers(&bucket, Options::default);
        // Parts of a large object, with something left over.
        let content = bytes(11 << 20);
        for query in ["", "?digest-algorithm=sha512", "?digest-algorithm=blake3"] {
            let begun = one.send("POST", &format!("/v2/a/blobs/uploads/{query}"), b"");
            let place = begun.is(202).header("location").to_owned();
            one.send("PATCH", &place, &content[..1500]).is(202);
            assert_eq!(other.get(&place).is(204).header("range"), "0-1499");
            other.send("PATCH", &place, &content[1500..]).is(202);
            let algorithm = query.split_once('=').map_or("sha256", |(_, algorithm)| algorithm);
            let algorithm = algorithm.parse().expect("an algorithm");
            let digest = plimsoll_content::Digest::of(algorithm, &content);
            one.send("PUT", &format!("{place}?digest={digest}"), b"").is(201);
            let read = other.get(&format!("/v2/a/blobs/{digest}"));
            assert!(read.is(200).body == content, "{digest}");
            other.get(&place).is(404);
        }
    }
}

#[test]
fn of_two_who_add_to_one_upload_one_is_told_to_come_again() {
    for bucket in buckets() {
        let [one, other] = servers(&bucket, Options::default);
        for round in 0..10 {
            let place = one.send("POST", "/v2/a/blobs/uploads/", b"");
            let place = place.is(202).header("location").to_owned();
            let chunk = bytes(100_000 + round);
            let added = |registry: &Registry| {
                let client = registry.client.clone();
                let (place, chunk) = (place.clone(), chunk.clone());
                let range = format!("0-{}", chunk.len() - 1);
                std::thread::spawn(move || {
                    client.request("PATCH", &place, &[("Content-Range", &range)], &chunk).status
                })
            };
            let both = [added(&one), added(&other)];
            let mut both = both.map(|thread| thread.join().expect("ended"));
            both.sort_unstable();
            assert!(both[0] == 202 && [416, 503].contains(&both[1]), "{both:?}");
            let end = format!("{place}?digest={}", sha256(&chunk));
            other.send("PUT", &end, b"").is(201);
        }
    }
}

#[test]
fn clients_are_sent_to_the_store_for_blobs_with_an_address_that_needs_no_login() {
    let Some(bucket) = moto::redirecting() else { return };
    let [registry] = servers(&bucket, Options::default);
    let content = bytes(100_000);
    let digest = registry.blob("a", &content);
    let path = format!("/v2/a/blobs/{digest}");
    let sent = registry.get(&path);
    let place = sent.is(307).header("location").to_owned();
    assert_eq!(sent.header("docker-content-digest"), digest.to_string());
    assert!(place.contains("X-Amz-Signature=") && !place.contains("secret"), "{place}");
    let rest = place.strip_prefix("http://").expect("loopback");
    let (host, path_there) = rest.split_once('/').expect("a path");
    let store = crate::client::Client::new(host.parse().expect("an address"));
    let path_there = format!("/{path_there}");
    assert!(store.get(&path_there).is(200).body == content);
    let part = store.request("GET", &path_there, &[("Range", "bytes=10-19")], b"");
    assert_eq!(part.is(206).body, content[10..20]);
    registry.head(&path).is(200);
    registry.get(&path.replace("/v2/a/", "/v2/b/")).is(404);
}

#[test]
fn a_store_that_can_not_be_reached_is_no_missing_image() {
    let bucket = moto::at("http://127.0.0.1:1", "gone");
    let begun = std::time::Instant::now();
    let [registry] = servers(&bucket, Options::default);
    registry.get("/v2/a/manifests/v1").refused(500, "UNSUPPORTED");
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
    let told = registry.log.requests.lock().expect("lock").last().cloned().expect("a request");
    let error = told.error.expect("an error");
    assert!(error.contains("tags/a/_/v1") && !error.contains("secret"), "{error}");
}
