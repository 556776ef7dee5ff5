use std::fs;

use plimsoll_content::{Algorithm, Code, Descriptor, MediaType, Resolve, Tag};
use plimsoll_spec::annotations::REF_NAME;
use serde_json::{Value, json};

use crate::build::{Place, code, image};

fn document(place: &Place) -> Value {
    serde_json::from_slice(&fs::read(place.path("index.json")).expect("read")).expect("json")
}

fn entry(name: Option<&str>, target: &Descriptor) -> Value {
    let mut entry = target.clone();
    if let Some(name) = name {
        entry.annotations.insert(REF_NAME.to_owned(), name.to_owned());
    }
    serde_json::to_value(entry).expect("json")
}

#[test]
fn a_name_is_given_replaced_and_taken() {
    let place = Place::new();
    let (a, b) = (image(&place.layout, "a"), image(&place.layout, "b"));
    place.layout.tag("v1", &a).expect("named");
    place.layout.tag("v2", &b).expect("named");
    assert_eq!(place.layout.resolve("v1").expect("there").digest, a.digest);
    place.layout.tag("v1", &b).expect("moved");
    assert_eq!(place.layout.resolve("v1").expect("there").digest, b.digest);
    assert_eq!(place.layout.entries().expect("listed").len(), 2);
    assert!(place.layout.untag("v1").expect("taken"));
    assert!(!place.layout.untag("v1").expect("nothing to take"));
    assert_eq!(code(place.layout.resolve("v1")), Code::NotFound);
    assert!(place.staging_is_empty());
}

#[test]
fn unknown_members_entries_and_their_order_survive() {
    let place = Place::new();
    let a = image(&place.layout, "a");
    let unknown = json!({
        "mediaType": "application/xml", "size": 3,
        "digest": format!("future512+b64:{}", "Ab_-".repeat(10)),
        "x-number": [1, 2.5], "annotations": {"org.freedesktop.specifications.metainfo.version": "1.0"}
    });
    place.set_index(
        &json!({
            "schemaVersion": 2, "x-top": {"deep": [null, true]}, "annotations": {"a": "b"},
            "manifests": [unknown, entry(Some("old"), &a), entry(None, &a), entry(Some("z"), &a)]
        })
        .to_string()
        .replace("2.5", "2.50e+1"),
    );
    let before = document(&place);
    let b = image(&place.layout, "b");
    place.layout.tag("old", &b).expect("moved");
    place.layout.tag("new", &a).expect("named");
    let after = document(&place);
    let mut expected = before.clone();
    expected["manifests"][1] = entry(Some("old"), &b);
    expected["manifests"].as_array_mut().expect("array").push(entry(Some("new"), &a));
    assert_eq!(after, expected);
    let text = fs::read_to_string(place.path("index.json")).expect("read");
    assert!(text.contains("2.50e+1"), "numbers keep their digits");
    place.layout.untag("new").expect("taken");
    place.layout.untag("old").expect("taken");
    expected["manifests"].as_array_mut().expect("array").remove(4);
    expected["manifests"].as_array_mut().expect("array").remove(1);
    assert_eq!(document(&place), expected);
}

#[test]
fn null_for_an_empty_list_is_read_and_replaced() {
    let place = Place::new();
    place.set_index(r#"{"schemaVersion":2,"manifests":null}"#);
    let a = image(&place.layout, "a");
    place.layout.tag("v1", &a).expect("named");
    assert_eq!(place.layout.resolve("v1").expect("there").digest, a.digest);
}

#[test]
fn gr10_one_name_for_different_content_is_refused_until_it_is_given_anew() {
    let place = Place::new();
    let (a, b) = (image(&place.layout, "a"), image(&place.layout, "b"));
    let list = [entry(Some("v1"), &a), entry(None, &b), entry(Some("v1"), &b)];
    place.set_index(&json!({"schemaVersion": 2, "manifests": list}).to_string());
    let error = place.layout.resolve("v1").expect_err("ambiguous");
    assert_eq!(error.code(), Code::Reference);
    for digest in [&a.digest, &b.digest] {
        assert!(error.to_string().contains(&digest.to_string()));
    }
    place.layout.tag("v1", &b).expect("given anew");
    assert_eq!(place.layout.resolve("v1").expect("one").digest, b.digest);
    assert_eq!(document(&place)["manifests"], json!([entry(Some("v1"), &b), entry(None, &b)]));
}

#[test]
fn la18_entries_of_one_name_and_one_digest_are_one_thing() {
    let place = Place::new();
    let a = image(&place.layout, "a");
    let list = [entry(Some("v1"), &a), entry(Some("v1"), &a)];
    place.set_index(&json!({"schemaVersion": 2, "manifests": list}).to_string());
    assert_eq!(place.layout.resolve("v1").expect("one").digest, a.digest);
}

#[test]
fn an_entry_of_the_same_content_keeps_what_it_has() {
    let place = Place::new();
    let a = image(&place.layout, "a");
    let mut old = entry(Some("v1"), &a);
    old["x-mine"] = json!({"kept": 1});
    old["annotations"]["other"] = json!("kept");
    place.set_index(&json!({"schemaVersion": 2, "manifests": [old]}).to_string());
    let before = fs::metadata(place.path("index.json")).expect("there");
    place.layout.tag("v1", &a).expect("named");
    let after = fs::metadata(place.path("index.json")).expect("there");
    assert_eq!(document(&place)["manifests"], json!([old]));
    use std::os::unix::fs::MetadataExt;
    assert_eq!(before.ino(), after.ino(), "nothing changed, so nothing was written");
}

#[test]
fn la19_names_deeper_than_the_top_do_not_count() {
    let place = Place::new();
    let mut inner = image(&place.layout, "a");
    inner.annotations.insert(REF_NAME.to_owned(), "inner".to_owned());
    let outer = crate::build::index(&place.layout, vec![inner]);
    place.layout.tag("outer", &outer).expect("named");
    assert_eq!(code(place.layout.resolve("inner")), Code::NotFound);
}

#[test]
fn an12_names_outside_the_grammar_are_read_and_not_written() {
    let place = Place::new();
    let a = image(&place.layout, "a");
    place.set_index(
        &json!({"schemaVersion": 2, "manifests": [entry(Some("a b/../ü"), &a)]}).to_string(),
    );
    assert_eq!(place.layout.resolve("a b/../ü").expect("read").digest, a.digest);
    assert_eq!(code(place.layout.tag("a b/../ü", &a)), Code::Reference);
    assert!(place.layout.untag("a b/../ü").expect("taken"));
}

#[test]
fn a_name_is_not_given_to_what_is_not_there() {
    let place = Place::new();
    let a = Descriptor::of(MediaType::from("a/b"), Algorithm::Sha256, b"nowhere");
    assert_eq!(code(place.layout.tag("v1", &a)), Code::NotFound);
    assert_eq!(code(place.layout.add(&a)), Code::NotFound);
    assert!(place.layout.entries().expect("listed").is_empty());
}

#[test]
fn content_is_listed_once_without_a_name_and_removed_by_digest() {
    let place = Place::new();
    let (a, b) = (image(&place.layout, "a"), image(&place.layout, "b"));
    place.layout.add(&a).expect("listed");
    place.layout.add(&a).expect("listed before");
    place.layout.tag("v1", &b).expect("named");
    place.layout.tag("v2", &b).expect("named");
    place.layout.add(&b).expect("listed by name");
    assert_eq!(place.layout.entries().expect("listed").len(), 3);
    assert_eq!(place.layout.remove(&b.digest).expect("removed"), 2);
    assert_eq!(place.layout.remove(&b.digest).expect("nothing"), 0);
    assert_eq!(place.layout.entries().expect("listed")[0].name(), None);
}

#[test]
fn what_is_not_found_is_told_with_what_there_is() {
    let place = Place::new();
    let error = place.layout.resolve("v1").expect_err("empty");
    assert_eq!(error.found_text(), Some("an empty layout"));
    let a = image(&place.layout, "a");
    for number in 0..12 {
        place.layout.tag(&format!("v{number}"), &a).expect("named");
    }
    let error = place.layout.resolve("w1").expect_err("not there");
    let found = error.found_text().expect("said");
    assert!(found.starts_with(r#""v0", "v1""#) && found.ends_with("and 2 more"), "{found}");
    assert!(error.fix_text().is_some());
}

#[test]
fn an_index_that_nobody_would_read_is_not_written() {
    let place = Place::new();
    let a = image(&place.layout, "a");
    let filler = "x".repeat((8 << 20) - 100);
    place.set_index(&json!({"schemaVersion": 2, "manifests": [], "x": filler}).to_string());
    let before = fs::read(place.path("index.json")).expect("read");
    assert_eq!(code(place.layout.tag("v1", &a)), Code::Limit);
    assert!(fs::read(place.path("index.json")).expect("read") == before);
}

#[test]
fn a_name_moves_only_from_what_it_was_thought_to_be() {
    let place = Place::new();
    let (a, b) = (image(&place.layout, "a"), image(&place.layout, "b"));
    assert!(place.layout.tag_new("v1", &a).expect("free"));
    assert!(!place.layout.tag_new("v1", &b).expect("taken"));
    assert!(!place.layout.tag_over("v1", &b.digest, &b).expect("another"));
    assert!(!place.layout.tag_over("v2", &a.digest, &b).expect("absent"));
    assert_eq!(place.layout.resolve("v1").expect("there").digest, a.digest);
    assert!(place.layout.tag_over("v1", &a.digest, &b).expect("the same"));
    assert_eq!(place.layout.resolve("v1").expect("there").digest, b.digest);
    assert_eq!(place.layout.entries().expect("listed").len(), 1);
}
