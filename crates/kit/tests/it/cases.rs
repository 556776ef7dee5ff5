//! What holds for all cases.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_content::{Algorithm, Digest};
use plimsoll_kit::{Case, Layout, Role, Verdict, case, rule};

fn cases() -> Vec<Case> {
    case::all().expect("all cases can be read")
}

fn made(id: &str) -> Layout {
    let cases = cases();
    let case = cases.iter().find(|case| case.id == id).expect("there");
    case.layout().expect("made")
}

#[test]
fn every_case_can_be_made_and_names_rules_that_exist() {
    let rules = rule::all().expect("read");
    for id in rule::seen() {
        assert!(rules.contains_key(id), "the list lacks {id}");
    }
    let mut titles = BTreeSet::new();
    for case in cases() {
        let layout = case.layout().unwrap_or_else(|error| panic!("{}: {error}", case.id));
        assert!(!layout.files.is_empty() || case.role == Role::Builder, "{}", case.id);
        assert!(!case.rules().is_empty(), "{} is about no rule", case.id);
        for id in case.rules().iter().chain(case.also()) {
            assert!(rules.contains_key(id), "{}: there is no rule {id}", case.id);
        }
        assert!(
            titles.insert((case.role, case.title().to_owned())),
            "{:?} stands twice",
            case.title()
        );
        assert_eq!(case.verdict().is_some(), case.role == Role::Validator, "{}", case.id);
    }
}

#[test]
fn every_rule_that_a_validator_can_see_has_a_fixture_that_holds_and_one_that_breaks_it() {
    let mut fixtures: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for case in cases() {
        let at = match case.verdict() {
            Some(Verdict::Holds) => 0,
            Some(Verdict::Breaks) => 1,
            None => continue,
        };
        for rule in case.rules() {
            fixtures.entry(rule.clone()).or_default()[at] += 1;
        }
    }
    let missing: Vec<_> = rule::seen()
        .filter_map(|id| match fixtures.get(id).copied().unwrap_or_default() {
            [0, 0] => Some(format!("{id} has no fixture")),
            [0, _] => Some(format!("{id} has none that holds")),
            [_, 0] => Some(format!("{id} has none that breaks it")),
            _ => None,
        })
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn there_are_enough_of_them() {
    assert!(cases().len() >= 150, "{}", cases().len());
}

/// The bytes are part of what is promised: who has exported the cases can
/// rely on the same digests from every build.
#[test]
fn bytes_are_the_same_everywhere() {
    for (id, part, digest) in [
        (
            "documents/descriptor-plain",
            "manifest",
            "sha256:2f14b6cafeaccd87d524e6862babb95ca6204aeb1899261820f083932b44dff7",
        ),
        (
            "documents/index",
            "images",
            "sha256:fb1ec8a5de2cf9deccbf7443a04039bba94cf674b02d8c82f229b10fe114f5c5",
        ),
        (
            "layers/zstd",
            "layer",
            "sha256:d7233d2871c22f4dd330a56d672a9e77ed16e6eaa9e40eec17e08d1220464f4b",
        ),
        (
            "layers/every-kind",
            "layer",
            "sha256:e3a9a7b7c5d309b3d9707acf054bc318e8b042850c49bb70ce6e6fc40e484fb7",
        ),
        (
            "documents/digest-blake3",
            "layer",
            "blake3:289c4a99bb25dd78962831528abd30db9bc4391f8ef6f75785e80d2db96a0c96",
        ),
    ] {
        assert_eq!(made(id).digests[part].to_string(), digest, "{id}: {part}");
    }
}

#[test]
fn addresses_are_right_unless_the_flaw_is_the_address() {
    let wrong: Vec<_> = cases()
        .iter()
        .filter(|case| {
            case.layout().expect("made").files.iter().any(|(path, bytes)| {
                let Some(name) = path.strip_prefix("blobs/") else { return false };
                let Some(digest) = name.split_once('/') else { return false };
                let digest = format!("{}:{}", digest.0, digest.1).parse::<Digest>();
                digest.is_ok_and(|digest| {
                    digest
                        .algorithm()
                        .is_some_and(|algorithm| Digest::of(algorithm, bytes) != digest)
                })
            })
        })
        .map(|case| case.id.clone())
        .collect();
    let expected = [
        "engines/refuse/config-digest",
        "engines/refuse/layer-digest",
        "engines/refuse/layer-longer",
        "engines/refuse/manifest-digest",
        "layers/digest-wrong",
        "layouts/blob-other-content",
    ];
    let known: Vec<_> = wrong.iter().filter(|id| !id.starts_with("registries/")).collect();
    assert_eq!(known, expected);
}

#[test]
fn a_recipe_says_exactly_what_is_wrong() {
    let plain = made("documents/descriptor-plain");
    let twice = made("documents/json-member-twice");
    let manifest = |layout: &Layout| {
        let path = format!("blobs/sha256/{}", layout.digests["manifest"].encoded());
        String::from_utf8(layout.files[&path].clone()).expect("text")
    };
    let right = manifest(&plain);
    let wrong = manifest(&twice);
    assert_eq!(wrong, format!("{},\"schemaVersion\":2}}", &right[..right.len() - 1]));
    assert_eq!(
        twice.digests["manifest"],
        Digest::of(Algorithm::Sha256, wrong.as_bytes()),
        "the address is that of the wrong bytes"
    );
    assert!(
        String::from_utf8_lossy(&twice.files["index.json"])
            .contains(&twice.digests["manifest"].to_string())
    );
}
