//! Ends: a stop in the middle of requests, and a start after it.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use plimsoll_serve::storage::folder::Folder;
use plimsoll_serve::{Budget, Options};
use plimsoll_store::Options as StoreOptions;

use crate::client::Answer;
use crate::{Registry, bytes, sha256};

#[test]
fn an_upload_goes_on_after_the_registry_was_started_anew() {
    let registry = Registry::new();
    let content = bytes(2000);
    let begun = registry.send("POST", "/v2/a/blobs/uploads/", b"");
    let place = begun.is(202).header("location").to_owned();
    registry.send("PATCH", &place, &content[..1500]).is(202);
    let folder = registry.stopped();
    let storage = Folder::tree(&folder.path().join("root"), StoreOptions::default());
    let registry = Registry::of(Options::default(), None, storage.expect("folder"), folder);
    assert_eq!(registry.get(&place).is(204).header("range"), "0-1499");
    let digest = sha256(&content);
    registry.send("PUT", &format!("{place}?digest={digest}"), &content[1500..]).is(201);
    assert_eq!(registry.get(&format!("/v2/a/blobs/{digest}")).is(200).body, content);
}

#[test]
fn a_request_comes_to_its_end_when_the_registry_stops() {
    let registry = Registry::new();
    let content = bytes(1000);
    let digest = sha256(&content);
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    let head = registry.begun("POST", &path, &[("Content-Length", "1000")]);
    let mut stream = registry.connect();
    stream.write_all(format!("{head}\r\n").as_bytes()).expect("sent");
    stream.write_all(&content[..500]).expect("sent");
    let mut idle = registry.connect();
    std::thread::sleep(Duration::from_millis(100));
    registry.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(200));
    stream.write_all(&content[500..]).expect("sent");
    Answer::read(&mut stream, "POST").is(201);
    let mut rest = Vec::new();
    // Whoever asked for nothing is sent away.
    let _ = idle.read_to_end(&mut rest);
    assert!(rest.is_empty());
    let log = std::sync::Arc::clone(&registry.log);
    registry.stopped();
    let events = log.events.lock().expect("lock");
    assert_eq!(
        events.last().map(|event| event.text.as_str()),
        Some("every request came to its end")
    );
}

#[test]
fn who_never_ends_is_broken_off() {
    let budget = Budget { stop: Duration::from_millis(300), ..Budget::default() };
    let registry = Registry::with(Options { budget, ..Options::default() });
    let head = registry.begun("POST", "/v2/a/blobs/uploads/", &[("Content-Length", "1000")]);
    let mut stream = registry.connect();
    stream.write_all(format!("{head}\r\n").as_bytes()).expect("sent");
    std::thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    registry.stopped();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
}
