use plimsoll_content::{Code, Tag};
use plimsoll_store::Selector;

use crate::build::{Place, code, image, index};

#[test]
fn reads_what_is_written_after_the_path() {
    for (text, selector) in [
        ("", Selector::Only),
        ("v1", Selector::Name("v1".into())),
        ("@0", Selector::Position(0)),
        ("example.com/a:v1", Selector::Name("example.com/a:v1".into())),
    ] {
        assert_eq!(text.parse::<Selector>().expect(text), selector);
    }
    let digest = format!("sha256:{}", "0".repeat(64));
    let selector: Selector = format!("@{digest}").parse().expect("a digest");
    assert_eq!(selector, Selector::Digest(digest.parse().expect("a digest")));
    for bad in ["@", "@x", "@-1", "@sha256:0", "@99999999999999999999999"] {
        assert_eq!(code(bad.parse::<Selector>()), Code::Reference, "{bad}");
    }
}

#[test]
fn finds_by_name_digest_position_and_alone() {
    let place = Place::new();
    assert_eq!(code(place.layout.find(&Selector::Only)), Code::NotFound);
    let a = image(&place.layout, "a");
    place.layout.tag("v1", &a).expect("named");
    place.layout.tag("v2", &a).expect("named");
    assert_eq!(place.layout.find(&Selector::Only).expect("one image").name(), Some("v1"));
    let b = image(&place.layout, "b");
    place.layout.add(&b).expect("listed");
    assert_eq!(code(place.layout.find(&Selector::Only)), Code::Reference);
    let found = place.layout.find(&Selector::Position(2)).expect("there");
    assert_eq!((found.position, &found.descriptor.digest), (2, &b.digest));
    assert_eq!(code(place.layout.find(&Selector::Position(3))), Code::NotFound);
    let found = place.layout.find(&Selector::Digest(b.digest.clone())).expect("there");
    assert_eq!(found.position, 2);
}

#[test]
fn finds_by_digest_what_an_entry_leads_to() {
    let place = Place::new();
    let inner = image(&place.layout, "a");
    let outer = index(&place.layout, vec![inner.clone()]);
    place.layout.tag("v1", &outer).expect("named");
    let found = place.layout.find(&Selector::Digest(inner.digest.clone())).expect("nested");
    assert_eq!(found.descriptor.media_type, inner.media_type);
    let found = place.layout.find_prefix(&inner.digest.encoded()[..8]).expect("nested");
    assert_eq!(found.descriptor.digest, inner.digest);
}

#[test]
fn finds_by_a_part_of_a_digest_that_is_long_enough_and_unique() {
    let place = Place::new();
    let a = image(&place.layout, "a");
    place.layout.tag("v1", &a).expect("named");
    for prefix in [&a.digest.encoded()[..8], &a.digest.to_string()[..15], &a.digest.to_string()] {
        assert_eq!(place.layout.find_prefix(prefix).expect(prefix).descriptor.digest, a.digest);
    }
    for bad in [&a.digest.encoded()[..7], "", "v1", "ABCDEF01"] {
        assert_eq!(code(place.layout.find_prefix(bad)), Code::Reference, "{bad}");
    }
    assert_eq!(code(place.layout.find_prefix("00000000")), Code::NotFound);
    let wrong = format!("sha512:{}", &a.digest.encoded()[..10]);
    assert_eq!(code(place.layout.find_prefix(&wrong)), Code::NotFound);
}

#[test]
fn an_ambiguous_part_of_a_digest_is_refused_with_the_readings() {
    use std::fmt::Write;
    let place = Place::new();
    let mut list = String::new();
    for end in ["0", "1"] {
        let _ = write!(
            list,
            r#"{}{{"mediaType":"a/b","size":1,"digest":"sha256:{}{end}"}}"#,
            if end == "1" { "," } else { "" },
            "abcdef01".repeat(8).split_at(63).0
        );
    }
    place.set_index(&format!(r#"{{"schemaVersion":2,"manifests":[{list}]}}"#));
    let error = place.layout.find_prefix("abcdef01").expect_err("two");
    assert_eq!(error.code(), Code::Reference);
    assert_eq!(error.found_text().map(|text| text.matches("sha256:").count()), Some(2));
}
