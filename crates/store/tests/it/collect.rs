use std::fs;
use std::time::Duration;

use plimsoll_content::{Code, Descriptor, MediaType, Sink, Tag};
use plimsoll_spec::media_type;

use crate::build::{Place, code, image, index, put, read};

#[test]
fn walks_from_an_index_to_every_blob() {
    let place = Place::new();
    let (a, b) = (image(&place.layout, "a"), image(&place.layout, "b"));
    let inner = index(&place.layout, vec![a.clone(), b.clone()]);
    let outer = index(&place.layout, vec![inner.clone(), a.clone()]);
    let reachable = place.layout.reachable(&outer).expect("walked");
    assert_eq!(reachable.present.len(), 8);
    assert_eq!(reachable.present[0].digest, outer.digest);
    assert_eq!(reachable.present[1].digest, inner.digest);
    assert_eq!(reachable.present[2].digest, a.digest);
    assert!(reachable.missing.is_empty());
    fs::remove_file(place.blob(&b)).expect("removed");
    let reachable = place.layout.reachable(&outer).expect("LA14: missing is no error");
    assert_eq!((reachable.present.len(), reachable.missing.len()), (5, 1));
}

#[test]
fn gr03_deep_and_wide_indexes_end_at_the_budget() {
    let place = Place::new();
    let mut node = image(&place.layout, "a");
    for depth in 0..9 {
        if depth == 8 {
            place.layout.reachable(&node).expect("eight levels");
        }
        node = index(&place.layout, vec![node]);
    }
    assert_eq!(code(place.layout.reachable(&node)), Code::Limit);
    let blob = put(&place.layout, b"x");
    let wide = index(&place.layout, vec![blob; 10_001]);
    assert_eq!(code(place.layout.reachable(&wide)), Code::Limit);
}

#[test]
fn a_document_that_is_something_else_stops_the_walk() {
    let place = Place::new();
    let a = image(&place.layout, "a");
    let lie = Descriptor { media_type: media_type::INDEX, ..a };
    assert_eq!(code(place.layout.reachable(&lie)), Code::Malformed);
}

#[test]
fn removes_what_nothing_leads_to_and_nothing_else() {
    let place = Place::new();
    let (a, b) = (image(&place.layout, "a"), image(&place.layout, "b"));
    let nested = index(&place.layout, vec![a.clone()]);
    let loose = put(&place.layout, b"loose");
    place.layout.tag("a", &nested).expect("named");
    place.layout.tag("b", &b).expect("named");
    assert_eq!(place.layout.unreachable().expect("found"), std::slice::from_ref(&loose.digest));
    place.layout.untag("b").expect("taken");
    let removed = place.layout.collect().expect("collected");
    assert_eq!(removed.len(), 4);
    assert!(removed.contains(&b.digest) && removed.contains(&loose.digest));
    assert!(place.layout.unreachable().expect("found").is_empty());
    let reachable = place.layout.reachable(&nested).expect("walked");
    assert!(reachable.missing.is_empty());
}

#[test]
fn what_documents_of_unknown_kinds_mention_stays() {
    let place = Place::new();
    let blob = put(&place.layout, b"needed");
    let text = format!(r#"{{"parts":[{{"at":"{}"}}]}}"#, blob.digest);
    let future = Descriptor {
        media_type: MediaType::from("application/vnd.example.future+json"),
        ..put(&place.layout, text.as_bytes())
    };
    place.layout.tag("future", &future).expect("named");
    assert!(place.layout.collect().expect("collected").is_empty());
    assert_eq!(read(&place.layout, &blob).expect("there"), b"needed");
}

#[test]
fn nothing_is_removed_while_a_document_is_broken() {
    let place = Place::new();
    let a = image(&place.layout, "a");
    place.layout.tag("a", &a).expect("named");
    let whole = fs::read(place.blob(&a)).expect("read");
    let mut rotten = whole.clone();
    rotten[10] ^= 1;
    for bytes in [&rotten[..], &whole[..whole.len() - 1], b""] {
        fs::write(place.blob(&a), bytes).expect("written");
        let before = place.layout.inventory().expect("listed").blobs;
        assert!(place.layout.collect().is_err());
        assert_eq!(place.layout.inventory().expect("listed").blobs, before);
    }
}

#[test]
fn one_digest_said_to_be_two_things_keeps_what_either_needs() {
    let place = Place::new();
    let a = image(&place.layout, "a");
    let plain = Descriptor { media_type: MediaType::from("a/b"), ..a.clone() };
    place.layout.tag("plain", &plain).expect("named");
    place.layout.tag("a", &a).expect("named");
    assert!(place.layout.collect().expect("collected").is_empty());
}

#[test]
fn waits_for_writers_and_removes_nothing_of_theirs() {
    let place = Place::new();
    let writing = place.layout.writing().expect("guarded");
    let a = image(&place.layout, "a");
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| place.layout.collect());
        std::thread::sleep(Duration::from_millis(300));
        assert!(!collector.is_finished());
        place.layout.tag("a", &a).expect("named");
        drop(writing);
        assert!(collector.join().expect("no panic").expect("collected").is_empty());
    });
    assert!(place.layout.has(&a).expect("asked"));
}

#[test]
fn gives_up_when_a_writer_takes_long() {
    let place = Place::new();
    let _ingest = place.layout.begin().expect("begun");
    assert_eq!(code(place.layout.collect()), Code::Locked);
}
