//! What constructors and edits write.

use plimsoll_content::{Algorithm, Descriptor, Digest, Document, MediaType, Platform, View};
use plimsoll_spec::{Config, History, Index, LayoutHeader, Manifest, media_type};

fn text(view: impl View) -> String {
    let document = Document::new(view).expect("written");
    String::from_utf8(document.bytes().to_vec()).expect("UTF-8")
}

#[test]
fn empty_members_are_left_out_but_those_that_must_be_there() {
    let config = Descriptor::of(media_type::CONFIG, Algorithm::Sha256, b"{}");
    assert_eq!(
        text(Manifest::new(config, Vec::new())),
        r#"{"config":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"application/vnd.oci.image.config.v1+json","size":2},"layers":[],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}"#
    );
    assert_eq!(
        text(Index::default()),
        r#"{"manifests":[],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}"#
    );
    assert_eq!(text(LayoutHeader::default()), r#"{"imageLayoutVersion":"1.0.0"}"#);
    assert_eq!(
        text(Config::new(&Platform::new("linux", "amd64"))),
        r#"{"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#
    );
}

#[test]
fn a_config_says_all_of_its_platform() {
    let platform = Platform {
        os_version: Some("10".to_owned()),
        os_features: vec!["win32k".to_owned()],
        variant: Some("v3".to_owned()),
        ..Platform::new("windows", "amd64")
    };
    assert_eq!(Config::new(&platform).platform(), platform);
}

#[test]
fn ma6_ma33_ma34_ma35_artifacts_without_content() {
    let artifact = Manifest::artifact(MediaType::from("application/vnd.example+type"), Vec::new());
    assert_eq!(artifact.config, artifact.layers[0]);
    assert_eq!(artifact.config.media_type, media_type::EMPTY);
    assert_eq!(artifact.config.embedded().expect("proved").as_deref(), Some(&b"{}"[..]));
    assert_eq!(artifact.kind(), "application/vnd.example+type");
    let blob = Descriptor::of(MediaType::from("a/b"), Algorithm::Sha256, b"x");
    assert_eq!(Manifest::artifact(MediaType::from("x/y"), vec![blob.clone()]).layers, [blob]);
}

#[test]
fn cf23_history_and_diff_ids_stay_in_step() {
    let layer = |name: &[u8]| Digest::of(Algorithm::Sha256, name);
    let step = |by: &str| History { created_by: Some(by.to_owned()), ..History::default() };
    let mut config = Config::new(&Platform::new("linux", "amd64"));
    config.push_layer(layer(b"a"), step("a"));
    config.history.push(History { empty_layer: true, ..step("env") });
    config.push_layer(layer(b"b"), History { empty_layer: true, ..step("b") });
    assert_eq!(config.rootfs.diff_ids, [layer(b"a"), layer(b"b")]);
    let told: Vec<_> = config.history.iter().map(|step| step.empty_layer).collect();
    assert_eq!(told, [false, true, false]);

    // A history that does not tell of all layers would be shifted by one more.
    let mut untold = Config::new(&Platform::new("linux", "amd64"));
    untold.rootfs.diff_ids.push(layer(b"a"));
    untold.push_layer(layer(b"b"), step("b"));
    assert_eq!((untold.rootfs.diff_ids.len(), untold.history.len()), (2, 0));
}

#[test]
fn one_view_has_one_form() {
    let write = || {
        let mut config = Config::new(&Platform::new("linux", "amd64"));
        let execution = config.config.get_or_insert_default();
        for n in 0..50 {
            execution.labels.insert(format!("k{}", n * 7 % 50), n.to_string());
            config.other.insert(format!("x{}", n * 11 % 50), n.into());
        }
        text(config)
    };
    let first = write();
    for _ in 0..100 {
        assert_eq!(write(), first);
    }
}
