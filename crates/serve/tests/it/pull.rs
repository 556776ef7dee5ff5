//! Pulling: blobs with their ranges, manifests with their headers.

use std::io::Write;

use crate::client::Answer;
use crate::{MANIFEST, Registry, bytes, sha256};

#[test]
pub(crate) fn the_base_says_what_this_is() {
    let registry = Registry::new();
    for path in ["/v2/", "/v2", "/v2/?ns=docker.io"] {
        let answer = registry.get(path);
        assert_eq!(answer.is(200).header("docker-distribution-api-version"), "registry/2.0");
    }
    registry.send("PUT", "/v2/", b"").refused(405, "UNSUPPORTED");
    registry.get("/v2/nothing").refused(404, "UNSUPPORTED");
    registry.get("/").is(200);
}

#[test]
pub(crate) fn blobs_come_whole_and_in_ranges() {
    let registry = Registry::new();
    let content = bytes(200_000);
    let digest = registry.blob("org/app", &content);
    let path = format!("/v2/org/app/blobs/{digest}?ns=docker.io");
    let whole = registry.get(&path);
    assert_eq!(whole.is(200).body, content);
    assert_eq!(whole.header("docker-content-digest"), digest.to_string());
    assert_eq!(whole.header("content-length"), "200000");
    let head = registry.head(&path);
    assert_eq!(head.is(200).header("content-length"), "200000");
    assert_eq!(head.header("docker-content-digest"), digest.to_string());
    let ranged = |range: &str| registry.request("GET", &path, &[("Range", range)], b"");
    for (range, first, last) in [
        ("bytes=500-1499", 500, 1499),
        ("bytes=0-0", 0, 0),
        ("bytes=199990-", 199_990, 199_999),
        ("bytes=-500", 199_500, 199_999),
        ("bytes=199000-999999", 199_000, 199_999),
        ("bytes=0-", 0, 199_999),
    ] {
        let part = ranged(range);
        assert_eq!(part.is(206).body, content[first..=last], "{range}");
        assert_eq!(part.header("content-range"), format!("bytes {first}-{last}/200000"));
    }
    for range in ["bytes=500-0", "bytes=200000-", "bytes=-0"] {
        assert_eq!(ranged(range).is(416).header("content-range"), "bytes */200000");
    }
    for range in ["bytes=0-1,5-6", "pages=1-2"] {
        assert_eq!(ranged(range).is(200).body.len(), 200_000);
    }
    let other = [("Range", "bytes=0-1"), ("If-Range", "\"other\"")];
    registry.request("GET", &path, &other, b"").is(200);
    let missing = format!("/v2/org/app/blobs/{}", sha256(b"no"));
    registry.get(&missing).refused(404, "BLOB_UNKNOWN");
    assert!(registry.head(&missing).is(404).body.is_empty());
    registry.get(&format!("/v2/none/blobs/{digest}")).refused(404, "BLOB_UNKNOWN");
    registry.get("/v2/org/app/blobs/sha256:short").refused(400, "DIGEST_INVALID");
}

#[test]
pub(crate) fn manifests_come_byte_for_byte_by_tag_and_by_digest() {
    let registry = Registry::new();
    let (manifest, digest) = registry.image("org/app", Some("v1"), b"layer");
    for reference in ["v1".to_owned(), digest.to_string()] {
        let path = format!("/v2/org/app/manifests/{reference}");
        let answer = registry.get(&path);
        assert_eq!(answer.is(200).body, manifest);
        assert_eq!(answer.header("content-type"), MANIFEST);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        let head = registry.head(&path);
        assert_eq!(head.is(200).header("content-length"), manifest.len().to_string());
        assert_eq!(head.header("content-type"), MANIFEST);
        let etag = answer.header("etag").to_owned();
        registry.request("GET", &path, &[("If-None-Match", &etag)], b"").is(304);
    }
    for missing in
        ["v2", "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ".bad"]
    {
        registry.get(&format!("/v2/org/app/manifests/{missing}")).refused(404, "MANIFEST_UNKNOWN");
    }
    registry.get("/v2/org/app/manifests/sha256:bad").refused(400, "DIGEST_INVALID");
    // A layer is no manifest, whatever its digest is asked for as.
    let layer = format!("/v2/org/app/manifests/{}", sha256(b"layer"));
    registry.get(&layer).refused(404, "MANIFEST_UNKNOWN");
    registry.get("/v2/Org/app/manifests/v1").refused(400, "NAME_INVALID");
}

#[test]
fn a_manifest_that_has_gone_bad_is_not_sent() {
    let registry = Registry::new();
    let (manifest, digest) = registry.image("a", Some("v1"), b"layer");
    let place = registry.root().join("a/blobs/sha256").join(digest.encoded());
    std::fs::write(place, vec![b' '; manifest.len()]).expect("spoilt");
    registry.get("/v2/a/manifests/v1").is(500);
    let told = registry.log.requests.lock().expect("lock").last().cloned().expect("a request");
    assert!(told.error.is_some_and(|error| error.contains("E_DIGEST")));
}

#[test]
fn one_connection_takes_many_requests_and_is_closed_in_the_end() {
    let registry = Registry::new();
    let digest = registry.blob("a", b"hello");
    let mut stream = registry.connect();
    for _ in 0..3 {
        let head = registry.begun("GET", &format!("/v2/a/blobs/{digest}"), &[]);
        stream.write_all(format!("{head}\r\n").as_bytes()).expect("sent");
        assert_eq!(Answer::read(&mut stream, "GET").is(200).body, b"hello");
    }
    stream.write_all(b"nonsense\r\n\r\n").expect("sent");
    Answer::read(&mut stream, "GET").is(400);
}
