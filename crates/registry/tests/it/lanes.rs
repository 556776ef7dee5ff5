//! Large blobs over several connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plimsoll_content::Code;
use plimsoll_registry::client::{Lanes, Options, Remote};

use crate::server::{Reply, Server};
use crate::{blob, bytes, options, read, remote_with};

const SIZE: usize = 2_000_000;

fn with(server: &Server, count: usize) -> Remote {
    let lanes = Lanes { least: 1_000_000, piece: 300_000, count };
    remote_with(server, Options { lanes, ..options() })
}

#[test]
fn pieces_come_side_by_side_and_are_read_in_order() {
    let content = bytes(SIZE);
    let server = Server::spoilt(|seen, _, mut reply| {
        if seen.is("GET", "/blobs/") {
            reply.pace = Some(Duration::from_millis(20));
        }
        reply
    });
    let digest = server.add_blob(&content);
    let time = |count| {
        let began = Instant::now();
        assert_eq!(read(&with(&server, count), &blob(&digest, SIZE)).expect("read"), content);
        began.elapsed()
    };
    let one = time(0);
    assert_eq!(server.count("GET", "/blobs/"), 1);
    let four = time(4);
    assert_eq!(server.count("GET", "/blobs/"), 1 + 7);
    // Each connection is slow by itself: about 620 ms against 100 to 200.
    assert!(four * 2 < one, "{four:?} against {one:?}");
}

#[test]
fn a_server_without_parts_is_read_as_ever() {
    let content = bytes(SIZE);
    let whole = content.clone();
    let server =
        Server::spoilt(
            move |seen, _, reply| {
                if seen.is("GET", "/blobs/") { Reply::new(200, &whole) } else { reply }
            },
        );
    let digest = server.add_blob(&content);
    assert_eq!(read(&with(&server, 4), &blob(&digest, SIZE)).expect("read"), content);
    assert_eq!(server.count("GET", "/blobs/"), 1);
}

#[test]
fn each_piece_goes_on_where_it_broke_off() {
    let content = bytes(SIZE);
    let broken = Mutex::new(Vec::new());
    let server = Server::spoilt(move |seen, _, mut reply| {
        // Each part breaks off once.
        if seen.is("GET", "/blobs/") {
            let range = seen.header("range").unwrap_or_default().to_owned();
            let end = range.split('-').next_back().unwrap_or_default().to_owned();
            let mut broken = broken.lock().expect("no panic");
            if !broken.contains(&end) {
                broken.push(end);
                reply.cut = Some(100_000);
            }
        }
        reply
    });
    let digest = server.add_blob(&content);
    assert_eq!(read(&with(&server, 4), &blob(&digest, SIZE)).expect("read"), content);
    assert_eq!(server.count("GET", "/blobs/"), 14);
}

#[test]
fn a_false_or_missing_piece_ends_it() {
    let content = bytes(SIZE);
    let server = Server::spoilt(|seen, _, mut reply| {
        if seen.header("range") == Some("bytes=900000-1199999") {
            reply.body[7] ^= 1;
        }
        reply
    });
    let digest = server.add_blob(&content);
    let error = read(&with(&server, 4), &blob(&digest, SIZE)).expect_err("false");
    assert_eq!(error.code(), Code::Digest);
    let server = Server::spoilt(|seen, _, reply| match seen.header("range") {
        Some("bytes=900000-1199999") => Reply::new(404, b""),
        _ => reply,
    });
    server.add_blob(&content);
    let error = read(&with(&server, 4), &blob(&digest, SIZE)).expect_err("missing");
    assert_eq!(error.code(), Code::NotFound, "{error:?}");
}

#[test]
fn there_are_never_more_connections_than_lanes() {
    let content = bytes(SIZE);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (of_server, of_server_most) = (Arc::clone(&now), Arc::clone(&most));
    let server = Server::spoilt(move |seen, _, reply| {
        if seen.is("GET", "/blobs/") {
            let here = of_server.fetch_add(1, Ordering::SeqCst) + 1;
            of_server_most.fetch_max(here, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(30));
            of_server.fetch_sub(1, Ordering::SeqCst);
        }
        reply
    });
    let digest = server.add_blob(&content);
    let remote = with(&server, 3);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                assert_eq!(read(&remote, &blob(&digest, SIZE)).expect("read"), content);
            });
        }
    });
    // Three lanes for both, and what each reads itself.
    assert!(most.load(Ordering::SeqCst) <= 5, "{most:?}");
}
