//! Documents through the public API: what is kept, what is refused.

use plimsoll_content::{Algorithm, Code, Descriptor, Document, MediaType, View};
use plimsoll_spec::{Config, Index, LayoutHeader, Manifest, Node, media_type};
use proptest::prelude::*;

const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn manifest(extra: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{DIGEST}","size":2}},"layers":[]{extra}}}"#
    )
}

fn refused<T: View + std::fmt::Debug>(text: &str) -> Code {
    Document::<T>::parse(text.as_bytes()).expect_err(text).code()
}

/// A canonical text with unknown members at each level, numbers beyond double
/// precision among them, survives the way through the view.
fn survives<T: View>(text: &str) {
    let document = Document::<T>::parse(text.as_bytes()).expect("valid");
    assert_eq!(&document.bytes()[..], text.as_bytes());
    let view = document.view();
    let again = plimsoll_content::json::canonical(view).expect("written");
    assert_eq!(String::from_utf8(again).expect("UTF-8"), text);
}

#[test]
fn unknown_members_survive_an_edit_at_every_level() {
    let unknown = r#""x-deep":{"a":[1.50,18446744073709551617,{"b":null}]}"#;
    let descriptor = format!(r#"{{"digest":"{DIGEST}","mediaType":"a/b","size":2,{unknown}}}"#);
    let odd = format!(
        r#"{{"annotations":{{"k":""}},"digest":"later+x:AbC_-=","mediaType":"a/b","platform":{{"architecture":"amd64","os":"linux",{unknown}}},"size":9223372036854775807,{unknown}}}"#
    );
    survives::<Manifest>(&format!(
        r#"{{"annotations":{{"k":"v"}},"config":{descriptor},"layers":[{descriptor},{odd}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2,"subject":{descriptor},{unknown}}}"#
    ));
    survives::<Index>(&format!(
        r#"{{"manifests":[{odd}],"schemaVersion":2,"subject":{descriptor},{unknown}}}"#
    ));
    survives::<LayoutHeader>(&format!(r#"{{"imageLayoutVersion":"1.0.0",{unknown}}}"#));
    survives::<Config>(&format!(
        r#"{{"architecture":"amd64","config":{{"ArgsEscaped":true,"Cmd":["a"],"Healthcheck":{{"Interval":1e+400}},"Labels":{{"l":"v"}},"Memory":0,"User":"u",{unknown}}},"history":[{{"created_by":"x","empty_layer":true,{unknown}}}],"os":"linux","os.version":"1","rootfs":{{"diff_ids":["{DIGEST}"],"type":"layers",{unknown}}},{unknown}}}"#
    ));
}

#[test]
fn cf3_null_in_a_config_means_absent() {
    let text = format!(
        r#"{{"created":null,"author":null,"architecture":"amd64","os":"linux","os.features":null,"config":{{"User":null,"ExposedPorts":null,"Env":null,"Entrypoint":null,"Cmd":null,"Volumes":null,"WorkingDir":null,"Labels":null,"StopSignal":null}},"rootfs":{{"type":"layers","diff_ids":["{DIGEST}"]}},"history":null}}"#
    );
    let config = Document::<Config>::parse(text.into_bytes()).expect("valid");
    let execution = config.config.as_ref().expect("there");
    assert_eq!(
        (execution.env.len(), execution.entrypoint.is_none(), config.history.len()),
        (0, true, 0)
    );
}

#[test]
fn ma2_ix3_other_schema_versions_are_refused() {
    assert_eq!(
        refused::<Manifest>(&manifest("").replace(":2,\"config", ":1,\"config")),
        Code::Malformed
    );
    assert_eq!(refused::<Index>(r#"{"schemaVersion":3,"manifests":[]}"#), Code::Malformed);
    assert_eq!(refused::<Index>(r#"{"manifests":[]}"#), Code::Malformed);
}

#[test]
fn missing_members_are_named() {
    for (text, member) in [
        (r#"{"schemaVersion":2,"layers":[]}"#.to_owned(), "config"),
        (manifest("").replace(",\"layers\":[]", ""), "layers"),
    ] {
        let error = Document::<Manifest>::parse(text.into_bytes()).expect_err("missing");
        assert!(error.to_string().contains(member), "{error}");
    }
    let error = Document::<Index>::parse(&br#"{"schemaVersion":2}"#[..]).expect_err("missing");
    assert!(error.to_string().contains("manifests"), "{error}");
    let error =
        Document::<Config>::parse(&br#"{"architecture":"a","os":"b"}"#[..]).expect_err("missing");
    assert!(error.to_string().contains("rootfs"), "{error}");
}

#[test]
fn js01_js02_two_readings_are_refused() {
    for text in [
        manifest(r#","layers":[]"#),
        manifest(r#","LAYERS":[]"#),
        manifest(r#","layerſ":[]"#),
        manifest("").replace("\"size\":2", "\"size\":2,\"Size\":3"),
    ] {
        assert_eq!(refused::<Manifest>(&text), Code::Malformed, "{text}");
    }
    let config = format!(
        r#"{{"architecture":"a","os":"linux","config":{{"cmd":["x"]}},"rootfs":{{"type":"layers","diff_ids":["{DIGEST}"]}}}}"#
    );
    assert_eq!(refused::<Config>(&config), Code::Malformed);
}

#[test]
fn ma5_gr01_gr02_dg12_confused_documents_are_refused() {
    let as_type = |media_type: MediaType, text: &str| {
        Node::parse(
            &Descriptor::of(media_type, Algorithm::Sha256, text.as_bytes()),
            text.as_bytes().to_vec(),
        )
    };
    let both = manifest(r#","manifests":[]"#);
    assert_eq!(as_type(media_type::MANIFEST, &both).expect_err("both").code(), Code::Malformed);
    assert_eq!(as_type(media_type::INDEX, &both).expect_err("both").code(), Code::Malformed);
    let lying = manifest(r#","mediaType":"application/vnd.docker.distribution.manifest.v2+json""#);
    assert_eq!(as_type(media_type::MANIFEST, &lying).expect_err("lying").code(), Code::Malformed);
    assert!(matches!(as_type(media_type::DOCKER_MANIFEST, &lying), Ok(Node::Manifest(_))));
    assert_eq!(
        as_type(media_type::INDEX, &manifest("")).expect_err("a manifest").code(),
        Code::Malformed
    );
    assert!(matches!(as_type(MediaType::from("application/future"), "not json"), Ok(Node::Opaque)));
}

#[test]
fn gr06_too_many_layers_are_refused() {
    let layer = format!(r#"{{"mediaType":"a/b","digest":"{DIGEST}","size":2}}"#);
    let text = manifest("")
        .replace("\"layers\":[]", &format!("\"layers\":[{}]", vec![layer; 1001].join(",")));
    assert_eq!(refused::<Manifest>(&text), Code::Limit);
}

#[test]
fn successors_come_in_order_and_without_the_subject() {
    let text =
        manifest(&format!(r#","subject":{{"mediaType":"a/b","digest":"{DIGEST}","size":2}}"#));
    let descriptor = Descriptor::of(media_type::MANIFEST, Algorithm::Sha256, text.as_bytes());
    let node = Node::parse(&descriptor, text.into_bytes()).expect("valid");
    assert_eq!(node.successors().len(), 1);
    assert_eq!(node.subject().expect("there").media_type, "a/b");
}

#[test]
fn docker_configs_tell_their_own_members() {
    let text = format!(
        r#"{{"architecture":"amd64","os":"linux","docker_version":"20","container":"c","config":{{"OnBuild":["RUN x"],"Shell":["sh"],"Healthcheck":{{"Test":["NONE"]}}}},"rootfs":{{"type":"layers","diff_ids":["{DIGEST}"]}}}}"#
    );
    let config = Document::<Config>::parse(text.into_bytes()).expect("valid");
    let extras = plimsoll_spec::docker::Extras::of(&config).expect("readable");
    assert_eq!(
        (extras.docker_version.as_deref(), extras.on_build.len(), extras.shell.len()),
        (Some("20"), 1, 1)
    );
}

proptest! {
    #[test]
    fn parsing_never_panics_and_keeps_the_bytes(text in r#"[\{\}\[\]":,a-z0-9]{0,200}"#) {
        if let Ok(document) = Document::<Index>::parse(text.clone().into_bytes()) {
            prop_assert_eq!(&document.bytes()[..], text.as_bytes());
        }
        let _ = Document::<Manifest>::parse(text.clone().into_bytes());
        let _ = Document::<Config>::parse(text.into_bytes());
    }
}
