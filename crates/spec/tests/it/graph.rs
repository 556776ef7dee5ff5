//! Documents by their descriptors, and what they point at.

use plimsoll_content::{Algorithm, Code, Descriptor, Error, MediaType, Result};
use plimsoll_spec::{Node, Role, media_type};

use crate::{DIGEST, index, manifest};

fn node(media_type: MediaType, text: &str) -> Result<Node> {
    let descriptor = Descriptor::of(media_type, Algorithm::Sha256, text.as_bytes());
    Node::parse(&descriptor, text.as_bytes().to_vec())
}

#[track_caller]
fn refused(media_type: MediaType, text: &str) -> Error {
    node(media_type, text).expect_err(text)
}

#[test]
fn the_descriptor_says_what_a_document_is() {
    for said in [media_type::MANIFEST, media_type::DOCKER_MANIFEST] {
        assert!(Node::is_document(&said));
        assert!(matches!(node(said, &manifest("")), Ok(Node::Manifest(_))));
    }
    for said in [media_type::INDEX, media_type::DOCKER_MANIFEST_LIST] {
        assert!(Node::is_document(&said));
        assert!(matches!(node(said, &index("")), Ok(Node::Index(_))));
    }
}

#[test]
fn ix12_la17_ma27_other_content_is_opaque_whatever_it_looks_like() {
    for said in ["application/future", "", "application/vnd.oci.image.config.v1+json"] {
        for text in ["not json", &manifest(""), &index("")] {
            let node = node(MediaType::from(said), text).expect("no error");
            assert!(matches!(node, Node::Opaque));
            assert!(node.successors().is_empty() && node.subject().is_none());
        }
    }
}

#[test]
fn ma5_gr01_two_things_at_once() {
    let both = manifest(r#","manifests":[]"#);
    for said in [media_type::MANIFEST, media_type::INDEX] {
        assert_eq!(refused(said, &both).code(), Code::Malformed);
    }
}

#[test]
fn gr02_another_document_than_the_descriptor_says() {
    assert_eq!(refused(media_type::INDEX, &manifest("")).code(), Code::Malformed);
    assert_eq!(refused(media_type::MANIFEST, &index("")).code(), Code::Malformed);
}

#[test]
fn dg12_another_media_type_than_the_descriptor_says() {
    let mine = |media_type: &MediaType| format!(r#","mediaType":"{media_type}""#);
    let manifests = [media_type::MANIFEST, media_type::DOCKER_MANIFEST];
    let indexes = [media_type::INDEX, media_type::DOCKER_MANIFEST_LIST];
    for (family, text) in [(manifests, manifest as fn(&str) -> String), (indexes, index)] {
        for said in &family {
            for itself in &family {
                let text = text(&mine(itself));
                match node(said.clone(), &text) {
                    Ok(_) => assert_eq!(said, itself),
                    Err(error) => {
                        assert_ne!(said, itself);
                        assert_eq!(error.code(), Code::Malformed);
                        assert!(error.to_string().contains(said.as_str()), "{error}");
                    }
                }
            }
        }
    }
}

#[test]
fn gr15_schema_1_is_read_for_what_it_is() {
    let layer = format!(
        r#""fsLayers":[{{"blobSum":"{DIGEST}"}}],"history":[{{"v1Compatibility":"{{}}"}}]"#
    );
    for said in [media_type::DOCKER_SCHEMA1, media_type::DOCKER_SCHEMA1_SIGNED] {
        let node = node(said.clone(), &format!(r#"{{"schemaVersion":1,{layer}}}"#));
        let Node::Schema1(manifest) = node.expect("read") else { panic!("another kind") };
        assert_eq!(manifest.blobs().len(), 1);
        for bad in [
            r#"{"schemaVersion":1,"fsLayers":[],"history":[]}"#.to_owned(),
            format!(r#"{{"schemaVersion":2,{layer}}}"#),
            format!(r#"{{"schemaVersion":1,"config":{{}},{layer}}}"#),
            format!(r#"{{"schemaVersion":1,"FSLAYERS":[],{layer}}}"#),
            format!(r#"{{"schemaVersion":1,"mediaType":"{}",{layer}}}"#, media_type::MANIFEST),
            format!(r#"{{"schemaVersion":1,"signatures":[],{layer}}}"#),
        ] {
            assert_eq!(refused(said.clone(), &bad).code(), Code::Malformed, "{bad}");
        }
    }
}

#[test]
fn successors_come_in_order_with_their_roles() {
    let blob = |name: &str| format!(r#"{{"mediaType":"x/{name}","digest":"{DIGEST}","size":2}}"#);
    let text = manifest(&format!(r#","subject":{}"#, blob("subject")))
        .replace("[]", &format!("[{},{},{}]", blob("a"), blob("b"), blob("a")));
    let node = node(media_type::MANIFEST, &text).expect("valid");
    let told: Vec<_> = node
        .successors()
        .into_iter()
        .map(|(role, blob)| format!("{role} {}", blob.media_type))
        .collect();
    assert_eq!(
        told,
        ["config application/vnd.oci.image.config.v1+json", "layer x/a", "layer x/b", "layer x/a"]
    );
    assert_eq!(node.subject().expect("there").media_type, "x/subject");
}

#[test]
fn ix9_entries_of_an_index_are_manifests_whatever_their_type() {
    let entry =
        |media_type| format!(r#"{{"mediaType":"{media_type}","digest":"{DIGEST}","size":2}}"#);
    let text = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{}],"subject":{}}}"#,
        entry(media_type::INDEX),
        entry(MediaType::from("application/future")),
        entry(media_type::MANIFEST)
    );
    let node = node(media_type::INDEX, &text).expect("valid");
    let roles: Vec<_> = node.successors().into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, [Role::Manifest, Role::Manifest]);
    assert_eq!(node.subject().expect("there").media_type, media_type::MANIFEST);
}
