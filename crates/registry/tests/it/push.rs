//! Writing: what is not proved is not kept, and what is refused in one piece
//! goes in chunks.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use plimsoll_content::{
    Algorithm, Code, Delete, Descriptor, MediaType, Resolve, Result, Sink, Source, Tag, Unverified,
};
use plimsoll_registry::client::{Client, Options, Remote, fallback_tag};
use plimsoll_spec::media_type;

use crate::server::{Reply, Server};
use crate::{at, blob, bytes, options, remote, remote_with};

fn write(remote: &Remote, blob: &Descriptor, bytes: &[u8]) -> Result<()> {
    (remote as &dyn Sink).write(blob, bytes).map(|_| ())
}

fn octets(bytes: &[u8]) -> Descriptor {
    Descriptor::of(MediaType::from("application/octet-stream"), Algorithm::Sha256, bytes)
}

#[test]
fn small_and_large_blobs_come_as_they_are() {
    for length in [0, 1, 1_000, (4 << 20) + 1, 9 << 20] {
        let server = Server::new();
        let content = bytes(length);
        let blob = octets(&content);
        let remote = remote(&server);
        assert!(!remote.has(&blob).expect("asked"));
        write(&remote, &blob, &content).expect("written");
        assert_eq!(server.content().blobs[&blob.digest.to_string()], content);
        assert!(remote.has(&blob).expect("asked"));
        assert_eq!(server.count("PUT", "/uploads/"), 1, "{length}");
        assert_eq!(server.count("PATCH", ""), 0);
    }
}

#[test]
fn what_is_not_proved_is_not_sent_whole() {
    for length in [1_000, 9 << 20] {
        let server = Server::new();
        let content = bytes(length);
        let mut announced = octets(&content);
        announced.digest = octets(b"other").digest;
        let remote = remote(&server);
        let error = write(&remote, &announced, &content).expect_err("other bytes");
        assert_eq!(error.code(), Code::Digest);
        std::thread::sleep(std::time::Duration::from_millis(100));
        // The server counts only what came whole.
        assert_eq!(server.count("PUT", ""), 0);
        assert!(server.content().blobs.is_empty());
    }
}

#[test]
fn content_of_unknown_size_goes_in_chunks() {
    let server = Server::new();
    let content = bytes(40 << 20);
    let remote = remote(&server);
    let mut ingest = remote.begin().expect("begun");
    ingest.write_all(&content).expect("taken");
    let blob = octets(&content);
    let proof =
        Unverified::new(&content[..]).verify(&blob).expect("known").finish().expect("right").0;
    ingest.commit(proof).expect("kept");
    assert_eq!(server.content().blobs[&blob.digest.to_string()], content);
    assert_eq!(server.count("PATCH", "/uploads/"), 3);
}

#[test]
fn who_refuses_one_piece_gets_chunks() {
    let server = Server::spoilt(|seen, _, reply| {
        if seen.is("PUT", "/uploads/") && !seen.body.is_empty() {
            return Reply::new(413, b"");
        }
        reply
    });
    let content = bytes(6 << 20);
    let blob = octets(&content);
    let remote = remote(&server);
    let error = write(&remote, &blob, &content).expect_err("too large");
    assert!(remote.again(&error), "{error:?}");
    write(&remote, &blob, &content).expect("in chunks");
    assert_eq!(server.content().blobs[&blob.digest.to_string()], content);
}

#[test]
fn a_chunk_whose_answer_is_lost_is_not_sent_twice() {
    let server = Server::spoilt(|seen, before, reply| {
        // It was taken, and nobody said so; what comes twice is out of order.
        match (seen.method.as_str(), before) {
            ("PATCH", 0) => Reply::new(416, b""),
            _ => reply,
        }
    });
    let content = bytes(5 << 20);
    let remote = remote(&server);
    let mut ingest = remote.begin().expect("begun");
    ingest.write_all(&content).expect("taken");
    let blob = octets(&content);
    let proof =
        Unverified::new(&content[..]).verify(&blob).expect("known").finish().expect("right").0;
    ingest.commit(proof).expect("kept");
    assert_eq!(server.content().blobs[&blob.digest.to_string()], content);
}

#[test]
fn a_registry_that_keeps_something_else_is_caught() {
    let other = octets(b"other").digest.to_string();
    let server = Server::spoilt(move |seen, _, reply| {
        if seen.method == "PUT" {
            return Reply::new(201, b"").with("Docker-Content-Digest", &other);
        }
        reply
    });
    let remote = remote(&server);
    for kind in [MediaType::from("a/b"), media_type::MANIFEST] {
        let blob = Descriptor::of(kind, Algorithm::Sha256, b"{}");
        assert_eq!(write(&remote, &blob, b"{}").expect_err("a lie").code(), Code::Digest);
    }
}

#[test]
fn blobs_are_taken_over_from_the_same_registry_only() {
    let server = Server::new();
    let digest = server.add_blob(b"hello");
    let client = Client::new(options());
    let (from, to) = (at(&client, &server, "org/base"), at(&client, &server, "org/app"));
    let blob = blob(&digest, 5);
    let address = from.address().expect("an address");
    assert!(to.mount(&blob, &address).expect("asked"));
    assert!(!to.mount(&blob, "docker://elsewhere.test/org/base").expect("not asked"));
    let missing = octets(b"missing");
    assert!(!to.mount(&missing, &address).expect("asked"));
    // The upload that was begun instead is taken back.
    assert_eq!(server.count("DELETE", "/uploads/"), 1);
}

#[test]
fn tags_are_given_and_taken_and_manifests_removed() {
    let server = Server::new();
    let remote = remote(&server);
    let manifest = br#"{"schemaVersion":2, "x":  1}"#;
    let descriptor = Descriptor::of(media_type::MANIFEST, Algorithm::Sha256, manifest);
    write(&remote, &descriptor, manifest).expect("written");
    remote.tag("v1", &descriptor).expect("named");
    assert_eq!(remote.resolve("v1").expect("there").digest, descriptor.digest);
    assert_eq!(server.content().manifests[&descriptor.digest.to_string()].1, manifest);
    assert!(remote.untag("v1").expect("taken"));
    assert!(!remote.untag("v1").expect("nothing"));
    assert!(remote.delete(&descriptor.digest).expect("removed"));
    assert!(!remote.delete(&descriptor.digest).expect("nothing"));
    assert!(remote.tag("-bad-", &descriptor).is_err());
}

#[test]
fn referrers_are_listed_by_tag_where_the_registry_does_not() {
    for lists in [false, true] {
        let server = Server::spoilt(move |seen, _, reply| {
            if lists && seen.is("PUT", "/manifests/") {
                reply.with("OCI-Subject", "x")
            } else {
                reply
            }
        });
        let remote = remote(&server);
        let subject = octets(b"subject").digest;
        for number in 0..2 {
            let manifest = format!(
                "{{\"schemaVersion\":2,\"artifactType\":\"a/{number}\",\"annotations\":{{\"k\":\"v\"}},\
                 \"subject\":{{\"digest\":\"{subject}\",\"size\":7,\"mediaType\":\"a/b\"}}}}"
            );
            let descriptor =
                Descriptor::of(media_type::MANIFEST, Algorithm::Sha256, manifest.as_bytes());
            for _ in 0..2 {
                write(&remote, &descriptor, manifest.as_bytes()).expect("written");
            }
        }
        let listed = remote.referrers(&subject).expect("listed");
        if lists {
            assert!(listed.is_empty());
            continue;
        }
        let kinds: Vec<_> =
            listed.iter().map(|entry| entry.artifact_type.clone().expect("a type")).collect();
        assert_eq!(kinds, [MediaType::from("a/0"), MediaType::from("a/1")]);
        assert_eq!(listed[0].annotations["k"], "v");
        let key = ("org/app".to_owned(), fallback_tag(&subject));
        assert!(server.content().tags.contains_key(&key));
    }
}

#[test]
fn who_wants_chunks_sends_chunks() {
    let server = Server::new();
    let content = bytes(2_500_000);
    let blob = octets(&content);
    let remote = remote_with(&server, Options { chunk: Some(1_000_000), ..options() });
    write(&remote, &blob, &content).expect("written");
    assert_eq!(server.content().blobs[&blob.digest.to_string()], content);
    assert_eq!(server.count("PATCH", "/uploads/"), 3);
    // What is shorter than one goes whole.
    let small = octets(b"small");
    write(&remote, &small, b"small").expect("written");
    assert_eq!(server.count("PATCH", "/uploads/"), 3);
}

#[test]
fn large_content_is_refused_before_it_is_sent() {
    let server = Server::refusing(
        |seen, _| seen.is("PUT", "/uploads/").then(|| Reply::new(413, b"")),
        |_, _, reply| reply,
    );
    let content = bytes(6 << 20);
    let blob = octets(&content);
    let remote = remote(&server);
    let error = write(&remote, &blob, &content).expect_err("too large");
    assert!(remote.again(&error), "{error:?}");
    let seen = server.seen();
    let put = seen.iter().find(|seen| seen.method == "PUT").expect("asked");
    assert_eq!((put.header("expect"), put.body.len()), (Some("100-continue"), 0));
    // The next time in chunks, which are small enough.
    write(&remote, &blob, &content).expect("in chunks");
    assert_eq!(server.content().blobs[&blob.digest.to_string()], content);
}

#[test]
fn what_was_not_sent_yet_is_asked_for_again() {
    let refused = AtomicBool::new(false);
    let server = Server::refusing(
        move |_, _| (!refused.swap(true, Ordering::SeqCst)).then(|| Reply::new(503, b"")),
        |_, _, reply| reply,
    );
    let content = bytes(6 << 20);
    let blob = octets(&content);
    write(&remote(&server), &blob, &content).expect("written");
    assert_eq!(server.content().blobs[&blob.digest.to_string()], content);
    assert_eq!(server.count("PUT", "/uploads/"), 2);
}
