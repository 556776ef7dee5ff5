//! Whatever comes: no panic, the bytes stay, and a view is written so that
//! it is read as the same.

use plimsoll_content::{Algorithm, Descriptor, Document, View, json};
use plimsoll_spec::{Config, Index, LayoutHeader, Manifest, Node, docker, media_type};
use proptest::prelude::*;
use proptest::sample::{Index as Position, select};
use serde_json::{Map, Value};

use crate::{config, index, manifest};

/// Values of every type, and numbers of every length.
fn value() -> impl Strategy<Value = Value> {
    let number = "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?(e-?[0-9]{1,3})?"
        .prop_map(|text| serde_json::from_str(&text).expect("a number"));
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number,
        "\\PC{0,12}".prop_map(Value::from),
        Just(Value::from(crate::DIGEST)),
        Just(Value::from("later+x:AbC")),
        Just(Value::from("application/vnd.oci.image.manifest.v1+json")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..4)
                .prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// Names that mean something somewhere, and others.
fn name() -> impl Strategy<Value = String> {
    let known = [
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "manifests",
        "subject",
        "annotations",
        "digest",
        "size",
        "urls",
        "data",
        "platform",
        "os",
        "architecture",
        "os.features",
        "variant",
        "created",
        "rootfs",
        "type",
        "diff_ids",
        "history",
        "empty_layer",
        "created_by",
        "Env",
        "Cmd",
        "Labels",
        "Healthcheck",
        "OnBuild",
        "Retries",
        "container_config",
        "ArgsEscaped",
        "imageLayoutVersion",
        "LAYERS",
        "fsLayers",
    ];
    prop_oneof![select(known.map(str::to_owned).to_vec()), "\\PC{0,6}"]
}

/// A valid document, with some members put in or replaced at any level.
fn document() -> impl Strategy<Value = String> {
    let base = select(vec![
        manifest(""),
        manifest(r#","mediaType":"application/vnd.docker.distribution.manifest.v2+json""#),
        index(""),
        config(r#","config":{},"history":[{}]"#),
        r#"{"imageLayoutVersion":"1.0.0"}"#.to_owned(),
    ]);
    (base, prop::collection::vec((any::<Position>(), name(), value()), 0..3)).prop_map(
        |(base, changes)| {
            let mut document: Value = serde_json::from_str(&base).expect("JSON");
            for (position, name, value) in changes {
                let mut places = Vec::new();
                objects(&document, "", &mut places);
                let place = &places[position.index(places.len())];
                document.pointer_mut(place).expect("just found")[&name] = value;
            }
            document.to_string()
        },
    )
}

/// The JSON pointers of all objects in a value.
fn objects(value: &Value, at: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            into.push(at.to_owned());
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                objects(member, &format!("{at}/{name}"), into);
            }
        }
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .for_each(|(position, element)| objects(element, &format!("{at}/{position}"), into)),
        _ => {}
    }
}

/// What parses keeps its bytes, and its view is a fixed point of writing.
fn holds<T: View + Clone + PartialEq + std::fmt::Debug>(text: &str) -> Result<(), TestCaseError> {
    let Ok(document) = Document::<T>::parse(text.as_bytes()) else {
        return Ok(());
    };
    prop_assert_eq!(&document.bytes()[..], text.as_bytes());
    let written = Document::new(document.view().clone()).expect("as it was read");
    let read = Document::<T>::parse(written.bytes().clone()).expect("as it was written");
    prop_assert_eq!(read.view(), document.view());
    prop_assert_eq!(json::canonical(read.view()).expect("written"), written.bytes().to_vec());
    Ok(())
}

fn all_hold(text: &str) -> Result<(), TestCaseError> {
    holds::<Manifest>(text)?;
    holds::<Index>(text)?;
    holds::<Config>(text)?;
    holds::<LayoutHeader>(text)?;
    holds::<docker::Manifest>(text)?;
    holds::<docker::ManifestList>(text)?;
    holds::<docker::Config>(text)?;
    for said in [media_type::MANIFEST, media_type::INDEX, media_type::DOCKER_MANIFEST] {
        let descriptor = Descriptor::of(said, Algorithm::Sha256, text.as_bytes());
        if let Ok(node) = Node::parse(&descriptor, text.as_bytes().to_vec()) {
            let _ = (node.successors(), node.subject());
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn documents_with_anything_in_them(text in document()) {
        all_hold(&text)?;
    }

    #[test]
    fn documents_with_a_broken_byte(text in document(), at: Position, byte: u8) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Document::<Manifest>::parse(bytes.clone());
        let _ = Document::<Index>::parse(bytes.clone());
        let _ = Document::<Config>::parse(bytes.clone());
        let _ = Document::<docker::Config>::parse(bytes);
    }

    #[test]
    fn documents_cut_short(text in document(), at: Position) {
        all_hold(&text.chars().take(at.index(text.chars().count())).collect::<String>())?;
    }

    #[test]
    fn text_of_any_kind(text in r#"[\{\}\[\]":,a-z0-9]{0,200}"#) {
        all_hold(&text)?;
    }

    /// Docker's view and the common one agree on what both name.
    #[test]
    fn docker_and_common_views_agree(text in document()) {
        if let Ok(config) = Document::<docker::Config>::parse(text.as_bytes()) {
            let common = Document::<Config>::parse(text.as_bytes()).expect("fewer rules");
            prop_assert_eq!(&common.rootfs, &config.rootfs);
            prop_assert_eq!(&common.history, &config.history);
            let back = docker::Config::try_from(common.view()).expect("back");
            prop_assert_eq!(&back, config.view());
        }
    }
}
