//! Reading: what breaks off goes on, and what is false is refused.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use plimsoll_content::{Code, Resolve, Source};
use plimsoll_registry::client::Options;

use crate::server::{Reply, Server};
use crate::{at, blob, bytes, options, read, remote, remote_with};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn a_blob_that_breaks_off_at_any_byte_goes_on_there() {
    let content = bytes(200);
    for cut in [0, 1, 99, 199] {
        for ranges in [true, false] {
            let whole = content.clone();
            let server = Server::spoilt(move |seen, before, mut reply| {
                if seen.is("GET", "/blobs/") && before == 0 {
                    reply.cut = Some(cut);
                } else if seen.is("GET", "/blobs/") && !ranges {
                    return Reply::new(200, &whole);
                }
                reply
            });
            let digest = server.add_blob(&content);
            let remote = remote(&server);
            assert_eq!(read(&remote, &blob(&digest, 200)).expect("read"), content, "{cut}");
            let seen = server.seen();
            let asked: Vec<_> = seen.iter().filter(|seen| seen.is("GET", "/blobs/")).collect();
            assert_eq!(asked.len(), 2);
            let range = (cut > 0).then(|| format!("bytes={cut}-"));
            assert_eq!(asked[1].header("range"), range.as_deref());
        }
    }
}

#[test]
fn a_blob_that_stalls_goes_on() {
    let content = bytes(5_000);
    let server = Server::spoilt(|seen, before, mut reply| {
        if seen.is("GET", "/blobs/") && before == 0 {
            reply.stall = Some(1_234);
        }
        reply
    });
    let digest = server.add_blob(&content);
    assert_eq!(read(&remote(&server), &blob(&digest, 5_000)).expect("read"), content);
}

#[test]
fn a_blob_that_always_breaks_off_is_given_up() {
    let content = bytes(5_000);
    let server = Server::spoilt(|seen, _, mut reply| {
        if seen.is("GET", "/blobs/") {
            reply.cut = Some(10);
        }
        reply
    });
    let digest = server.add_blob(&content);
    let error = read(&remote(&server), &blob(&digest, 5_000)).expect_err("never whole");
    assert_eq!(error.code(), Code::Network, "{error:?}");
    assert_eq!(server.count("GET", "/blobs/"), 4);
}

#[test]
fn what_goes_on_with_other_bytes_is_refused() {
    let content = bytes(100);
    let server = Server::spoilt(|seen, before, mut reply| {
        if seen.is("GET", "/blobs/") {
            match before {
                0 => reply.cut = Some(50),
                _ => reply.body[7] ^= 1,
            }
        }
        reply
    });
    let digest = server.add_blob(&content);
    let error = read(&remote(&server), &blob(&digest, 100)).expect_err("changed");
    assert_eq!(error.code(), Code::Digest, "{error}");
}

#[test]
fn lies_about_lengths_and_ranges_are_refused() {
    let content = bytes(100);
    type Lie = fn(&mut Reply);
    let short: Lie = |reply| reply.length = Some(99);
    let long: Lie = |reply| reply.length = Some(101);
    let less: Lie = |reply| reply.body.truncate(60);
    let more: Lie = |reply| reply.body.push(0);
    let range: Lie = |reply| {
        reply.status = 206;
        reply.headers.push(("Content-Range".into(), "bytes 1-100/101".into()));
    };
    for (lie, code) in [
        (short, Code::Size),
        (long, Code::Size),
        (less, Code::Size),
        (more, Code::Size),
        (range, Code::Registry),
    ] {
        let server = Server::spoilt(move |seen, _, mut reply| {
            if seen.is("GET", "/blobs/") {
                lie(&mut reply);
            }
            reply
        });
        let digest = server.add_blob(&content);
        let error = read(&remote(&server), &blob(&digest, 100)).expect_err("a lie");
        assert_eq!(error.code(), code, "{error:?}");
    }
}

#[test]
fn manifests_are_proved_against_what_the_registry_says() {
    let manifest = br#"{"schemaVersion":2}"#;
    for (header, expected) in [(true, Code::Digest), (false, Code::Size)] {
        let server = Server::spoilt(move |seen, _, mut reply| {
            if seen.is("GET", "/manifests/") {
                if header {
                    reply.body[0] = b' ';
                } else {
                    reply.body.truncate(3);
                    reply.length = Some(19);
                }
            }
            reply
        });
        server.add_manifest("org/app", "v1", MANIFEST, manifest);
        let error = remote(&server).resolve("v1").expect_err("a lie");
        // What is cut off may also count as broken.
        assert!(error.code() == expected || error.code() == Code::Network, "{error:?}");
    }
    let server = Server::new();
    let digest = server.add_manifest("org/app", "v1", MANIFEST, manifest);
    let remote = remote(&server);
    let found = remote.resolve("v1").expect("resolved");
    assert_eq!((found.digest.clone(), found.size), (digest, 19));
    assert_eq!(found.media_type.as_str(), MANIFEST);
    // It is remembered, proved.
    assert_eq!(read(&remote, &found).expect("read"), manifest);
    assert_eq!(server.count("GET", "/manifests/"), 1);
}

#[test]
fn a_manifest_that_is_too_large_is_not_read() {
    let server = Server::new();
    server.add_manifest("org/app", "v1", MANIFEST, &vec![b' '; 10_000]);
    let mut options = options();
    options.limits.document = 1_000;
    options.limits.index = 1_000;
    let error = remote_with(&server, options).resolve("v1").expect_err("too large");
    assert_eq!(error.code(), Code::Limit);
}

#[test]
fn who_is_asked_to_wait_waits_but_not_for_ever() {
    let content = bytes(10);
    for (status, after, good) in [(429, 0, true), (503, 1, true), (429, 3600, false)] {
        let server = Server::spoilt(move |seen, before, reply| {
            if seen.is("GET", "/blobs/") && before == 0 {
                return Reply::new(status, b"").with("Retry-After", after);
            }
            reply
        });
        let digest = server.add_blob(&content);
        let start = Instant::now();
        let found = read(&remote(&server), &blob(&digest, 10));
        let waited = start.elapsed().as_secs();
        assert!(waited < 60 && (!good || waited >= after), "{waited}");
        match found {
            Ok(found) => assert!(good && found == content),
            Err(error) => {
                assert!(!good && error.code() == Code::Network, "{error:?}");
                assert!(format!("{error}").contains("3600"), "{error}");
            }
        }
    }
}

#[test]
fn a_server_that_always_fails_is_given_up() {
    let server =
        Server::spoilt(
            |seen, _, reply| {
                if seen.is("GET", "/blobs/") { Reply::new(500, b"") } else { reply }
            },
        );
    let digest = server.add_blob(b"x");
    let error = read(&remote(&server), &blob(&digest, 1)).expect_err("fails");
    assert_eq!(error.code(), Code::Network);
    assert_eq!(server.count("GET", "/blobs/"), 4);
}

#[test]
fn a_web_page_is_no_registry() {
    for part in ["/v2/", "/manifests/", "/blobs/", "/tags/"] {
        let server = Server::spoilt(move |seen, _, reply| {
            if seen.path.ends_with(part) || part != "/v2/" && seen.path.contains(part) {
                return Reply::new(200, b"\n<html><title>Please log in</title>")
                    .with("Content-Type", "text/html; charset=utf-8");
            }
            reply
        });
        let digest = server.add_blob(b"hello");
        server.add_manifest("org/app", "v1", MANIFEST, b"{}");
        let remote = remote(&server);
        let error = match part {
            "/blobs/" => read(&remote, &blob(&digest, 5)).map(|_| ()),
            "/tags/" => remote.tags().map(|_| ()),
            _ => remote.resolve("v1").map(|_| ()),
        }
        .expect_err(part);
        assert_eq!(error.code(), Code::NotARegistry, "{part}: {error:?}");
        let text = error.to_string();
        assert!(text.contains("text/html") && text.contains("Please log in"), "{text}");
    }
}

#[test]
fn a_blob_that_is_not_there_is_not_found() {
    let server = Server::new();
    let digest = server.add_blob(b"x");
    let other = blob(&digest, 1);
    let remote = remote(&server);
    assert!(remote.holds(&other).expect("asked"));
    server.content().blobs.clear();
    assert!(!remote.holds(&other).expect("asked"));
    assert_eq!(read(&remote, &other).expect_err("gone").code(), Code::NotFound);
    assert_eq!(remote.resolve("v1").expect_err("no tag").code(), Code::NotFound);
}

#[test]
fn lists_go_on_page_by_page_on_one_server() {
    let server = Server::spoilt(|seen, _, reply| match seen.path.as_str() {
        "/v2/org/app/tags/list?n=1000" => Reply::new(200, br#"{"tags":["a","../x","b"]}"#)
            .with("Link", "</v2/org/app/tags/list?n=1000&last=b>; rel=\"next\""),
        "/v2/org/app/tags/list?n=1000&last=b" => Reply::new(200, br#"{"tags":["c"]}"#),
        "/v2/org/endless/tags/list?n=1000" => Reply::new(200, br#"{"tags":null}"#)
            .with("Link", "</v2/org/endless/tags/list?n=1000>; rel=\"next\""),
        "/v2/org/elsewhere/tags/list?n=1000" => Reply::new(200, br#"{"tags":[]}"#)
            .with("Link", "<https://elsewhere.test/v2/>; rel=\"next\""),
        _ => reply,
    });
    let remote = remote(&server);
    let tags: Vec<_> =
        remote.tags().expect("listed").iter().map(|tag| tag.as_str().to_owned()).collect();
    assert_eq!(tags, ["a", "b", "c"]);
    let client = plimsoll_registry::client::Client::new(options());
    let endless = at(&client, &server, "org/endless").tags().expect_err("endless");
    assert_eq!(endless.code(), Code::Limit);
    let elsewhere = at(&client, &server, "org/elsewhere").tags().expect_err("elsewhere");
    assert_eq!(elsewhere.code(), Code::Registry);
}

#[test]
fn warnings_of_a_registry_are_kept_for_people() {
    let server = Server::spoilt(|_, _, reply| reply.with("Warning", "299 - \"old\""));
    let remote = remote(&server);
    remote.tags().expect("listed");
    assert_eq!(remote.client().warnings(), [format!("{} says: old", server.host)]);
    assert!(remote.client().warnings().is_empty());
}

#[test]
fn whoever_interrupts_is_heard() {
    let server = Server::spoilt(|_, _, _| Reply::new(503, b"").with("Retry-After", 2));
    let flag = Arc::new(AtomicBool::new(true));
    let options = Options { interrupted: Some(flag), ..options() };
    let error = remote_with(&server, options).tags().expect_err("interrupted");
    assert_eq!(error.code(), Code::Interrupted);
}
