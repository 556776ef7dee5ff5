//! Manifests of app container images.

use plimsoll_content::Document;
use plimsoll_spec::appc::ImageManifest;
use serde_json::{Value, json};

fn labelled(labels: &[(&str, &str)]) -> Document<ImageManifest> {
    let labels: Vec<Value> =
        labels.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let text = json!({
        "acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/a-b/c_1~d",
        "labels": labels, "dependencies": null, "annotations": null, "unknown": {"x": 1},
    });
    Document::parse(text.to_string().as_bytes()).expect("a manifest")
}

#[test]
fn platforms_are_named_as_go_names_them() {
    for (os, arch, platform) in [
        ("linux", "amd64", "linux/amd64"),
        ("linux", "i386", "linux/386"),
        ("linux", "aarch64", "linux/arm64"),
        ("linux", "armv6l", "linux/arm/v6"),
        ("linux", "armv7l", "linux/arm/v7"),
        ("linux", "ppc64le", "linux/ppc64le"),
        ("linux", "s390x", "linux/s390x"),
        ("darwin", "x86_64", "darwin/amd64"),
        ("freebsd", "i386", "freebsd/386"),
    ] {
        let found = labelled(&[("os", os), ("arch", arch)]).platform().expect("told");
        assert_eq!(found.to_string(), platform);
    }
    assert_eq!(labelled(&[("arch", "amd64")]).platform(), None);
}

#[test]
fn labels_that_are_asked_for_are_there() {
    let dependency = |labels: Value| {
        let text = json!({
            "acKind": "ImageManifest", "name": "x",
            "dependencies": [{"imageName": "example.com/a-b/c_1~d", "labels": labels}],
        });
        let asking = Document::<ImageManifest>::parse(text.to_string().as_bytes());
        asking.expect("a manifest").dependencies[0].clone()
    };
    let image = labelled(&[("version", "1"), ("os", "linux")]);
    for (labels, answer) in [
        (json!([]), true),
        (json!([{"name": "version", "value": "1"}]), true),
        (json!([{"name": "version", "value": "2"}]), false),
        (json!([{"name": "env", "value": "x"}]), false),
        (json!([{"name": "os", "value": "darwin"}]), false),
        (json!([{"name": "arch", "value": "amd64"}]), true),
    ] {
        assert_eq!(image.answers(&dependency(labels.clone())), answer, "{labels}");
    }
}
