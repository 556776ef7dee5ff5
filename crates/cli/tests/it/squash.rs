//! `squash`: layers joined into one, with the same tree.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Sandbox, names, sha256};

fn shown(sandbox: &Sandbox, words: &[&str]) -> Value {
    let words: Vec<_> = std::iter::once("show").chain(words.iter().copied()).collect();
    serde_json::from_str(&sandbox.ok(&words)).expect("JSON")
}

/// The tar of the tree that an image unpacks to.
fn tree(sandbox: &Sandbox, reference: &str) -> Vec<u8> {
    let name = format!("{}.tar", sha256(reference.as_bytes()).replace(':', "-"));
    sandbox.ok(&["export", reference, "-o", &name]);
    let tar = fs::read(sandbox.path(&name)).expect("a tar");
    fs::remove_file(sandbox.path(&name)).expect("removed");
    tar
}

/// The names in a layer.
fn listed(sandbox: &Sandbox, reference: &str, layer: &str) -> Vec<String> {
    let blob = sandbox.command(&["show", reference, "layer", layer]).output().expect("it starts");
    let mut entries = plimsoll::layer::tar::Entries::new(
        plimsoll::layer::codec::Decoder::new(
            plimsoll::layer::codec::Format::Gzip,
            &blob.stdout[..],
            &plimsoll::layer::Limits::default(),
        )
        .expect("gzip"),
        plimsoll::layer::Limits::default(),
    );
    let mut names = Vec::new();
    while let Some((entry, _)) = entries.next().expect("an entry") {
        names.push(entry.path.to_string());
    }
    names
}

/// `oci:images:v1` of three layers, of which the upper two take things away,
/// with steps in its history that made none.
fn three(sandbox: &Sandbox) {
    sandbox.image();
    sandbox.write("two/etc/.wh.motd", "");
    sandbox.write("two/etc/new", "new");
    sandbox.write("two/gone/file", "gone");
    sandbox.write("three/.wh.gone", "");
    sandbox.write("three/last", "last");
    for name in ["two", "three"] {
        let tar = std::process::Command::new("tar")
            .args([
                "--owner=0",
                "--group=0",
                "--sort=name",
                "-czf",
                &format!("{name}.tgz"),
                "-C",
                name,
            ])
            .args(names(&sandbox.path(name)))
            .current_dir(sandbox.path("."))
            .status();
        assert!(tar.expect("tar").success());
    }
    sandbox.ok(&["append", "oci:images:v1", "two.tgz", "three.tgz", "--created-by", "a step"]);
    let layout = sandbox.layout("images");
    let (manifest, mut config) = layout.only();
    let history = config["history"].as_array_mut().expect("steps");
    history.insert(1, json!({"created_by": "ENV A=1", "empty_layer": true}));
    history[3]["created"] = json!("2024-01-31T10:00:00Z");
    history.push(json!({"created_by": "CMD", "empty_layer": true, "x": 1}));
    config["x-config"] = json!([1.5]);
    config["config"] = json!({"Env": ["A=1"], "Healthcheck": {"Test": ["NONE"]}});
    layout.replace("v1", manifest, &config);
}

#[test]
fn all_layers_become_one_with_the_same_tree() {
    let sandbox = Sandbox::new();
    three(&sandbox);
    let before = shown(&sandbox, &["oci:images:v1", "config"]);
    let report = sandbox.json(&["squash", "oci:images:v1", "-t", "one"]);
    let layers = report["manifests"][0]["layers"].as_array().expect("a list");
    assert_eq!((layers.len(), layers[0]["from"].as_array().map(Vec::len)), (1, Some(3)));
    assert_eq!(layers[0]["state"], "squashed");
    sandbox.ok(&["validate", "oci:images:one"]);
    assert_eq!(tree(&sandbox, "oci:images:one"), tree(&sandbox, "oci:images:v1"));
    let names = listed(&sandbox, "oci:images:one", "1");
    assert!(!names.iter().any(|name| name.contains(".wh.") || name.contains("gone")), "{names:?}");
    // Only diff_ids and history have changed.
    let mut after = shown(&sandbox, &["oci:images:one", "config"]);
    let steps = after["history"].as_array().expect("steps").clone();
    assert_eq!(
        steps.iter().map(|step| step["empty_layer"] == true).collect::<Vec<_>>(),
        [true, true, true, true, true, false]
    );
    assert_eq!(steps[5]["created_by"], "plimsoll squash");
    assert_eq!(steps[5]["created"], "2024-01-31T10:00:00Z");
    assert_eq!((&steps[4]["x"], &steps[2]["created_by"]), (&json!(1), &json!("a step")));
    after["history"] = before["history"].clone();
    after["rootfs"] = before["rootfs"].clone();
    assert_eq!(after.to_string(), before.to_string());
    // Nothing is left to join.
    let again = sandbox.json(&["squash", "oci:images:one"]);
    assert_eq!((&again["digest"], &again["from"]), (&report["digest"], &report["digest"]));
    // The same input gives the same digest, and the name moves.
    assert_eq!(sandbox.ok(&["flatten", "oci:images:v1", "-q"]).trim(), report["digest"]);
    assert_eq!(sandbox.ok(&["ls", "oci:images", "-q"]).lines().count(), 2);
}

#[test]
fn whiteouts_stay_where_layers_that_are_kept_need_them() {
    let sandbox = Sandbox::new();
    three(&sandbox);
    let before = shown(&sandbox, &["oci:images:v1"]);
    sandbox.ok(&["squash", "oci:images:v1", "--keep", "1", "-o", "oci:other:x"]);
    let after = shown(&sandbox, &["oci:other:x"]);
    assert_eq!(after["layers"].as_array().map(Vec::len), Some(2));
    assert_eq!(after["layers"][0], before["layers"][0]);
    assert_eq!(listed(&sandbox, "oci:other:x", "2"), ["etc", "etc/.wh.motd", "etc/new", "last"]);
    assert_eq!(tree(&sandbox, "oci:other:x"), tree(&sandbox, "oci:images:v1"));
    // What was joined was not brought: two layers, a config, a manifest.
    assert_eq!(names(&sandbox.path("other/blobs/sha256")).len(), 4);
    sandbox.ok(&["validate", "oci:other:x"]);
    let steps = shown(&sandbox, &["oci:other:x", "config"])["history"].clone();
    assert_eq!((&steps[0]["empty_layer"], &steps[2]["empty_layer"]), (&Value::Null, &json!(true)));
    // The same by naming the base, also into an archive.
    sandbox.ok(&["pack", "tree", "oci:images:base"]);
    let by_base =
        ["squash", "oci:images:v1", "--base", "oci:images:base", "-t", "oci-archive:x.tar:x"];
    sandbox.ok(&by_base);
    assert_eq!(
        sandbox.ok(&["inspect", "-q", "./x.tar"]),
        sandbox.ok(&["inspect", "-q", "oci:other:x"])
    );
    sandbox.ok(&["pack", "two/gone", "oci:images:wrong"]);
    let errors = sandbox.fails(1, &["squash", "oci:images:v1", "--base", "oci:images:wrong"]);
    assert!(errors.contains("layer 1"), "{errors}");
    // What is said of the base is true as long as its layers are there.
    let base = ["org.opencontainers.image.base.name=example.test/base", "a=b"];
    let words = ["edit", "oci:images:v1", "said", "-a", base[0], "-a", base[1]];
    sandbox.ok(&words);
    sandbox.ok(&["squash", "oci:images:said", "--keep", "1", "-t", "some"]);
    let some = shown(&sandbox, &["oci:images:some"])["annotations"].clone();
    assert_eq!(some.as_object().map(serde_json::Map::len), Some(2));
    let all = sandbox.json(&["squash", "oci:images:said", "-t", "all"]);
    assert!(all["lost"].to_string().contains("base.name"), "{all}");
    assert_eq!(shown(&sandbox, &["oci:images:all"])["annotations"], json!({"a": "b"}));
    // One layer above is no reason to make it anew.
    let same = sandbox.json(&["squash", "oci:images:v1", "--keep", "2", "-t", "same"]);
    assert_eq!(same["digest"], same["from"]);
    sandbox.fails(2, &["squash", "oci:images:v1", "--keep", "1", "--base", "oci:images:base"]);
}

#[test]
fn images_of_an_index_are_joined_each_or_the_chosen_one() {
    let sandbox = Sandbox::new();
    three(&sandbox);
    sandbox.ok(&["edit", "oci:images:v1", "arm", "--set-platform", "linux/arm64"]);
    sandbox.ok(&["edit", "oci:images:v1", "amd", "--set-platform", "linux/amd64"]);
    sandbox.ok(&["index", "create", "oci:images:all", "oci:images:arm", "oci:images:amd"]);
    let before = shown(&sandbox, &["oci:images:all"]);
    sandbox.ok(&["squash", "oci:images:all", "-t", "one", "--platform", "linux/arm64"]);
    let one = shown(&sandbox, &["oci:images:one"]);
    assert_eq!(one["manifests"][1], before["manifests"][1]);
    assert_ne!(one["manifests"][0]["digest"], before["manifests"][0]["digest"]);
    let report = sandbox.json(&["squash", "oci:images:all", "-t", "both"]);
    assert_eq!(report["manifests"].as_array().map(Vec::len), Some(3));
    let both = shown(&sandbox, &["oci:images:both"]);
    assert_eq!(both["manifests"][0], one["manifests"][0]);
    // One layer for both: their trees are the same.
    assert_eq!(
        report["manifests"][0]["layers"][0]["digest"],
        report["manifests"][1]["layers"][0]["digest"]
    );
    sandbox.ok(&["validate", "oci:images:one", "oci:images:both"]);
    sandbox.fails(3, &["squash", "oci:images:all", "--platform", "linux/riscv64"]);
    let words = ["convert", "oci:images:all", "oci:docker:all", "--squash", "--to", "docker"];
    sandbox.ok(&[&words[..], &["--compression", "none", "--digest", "sha512"]].concat());
    sandbox.ok(&["validate", "oci:docker:all"]);
    let only = format!("{}:all", "oci:docker");
    assert_eq!(tree(&sandbox, &only), tree(&sandbox, "oci:images:amd"));
}

#[test]
fn what_can_not_be_joined_is_said() {
    let sandbox = Sandbox::new();
    three(&sandbox);
    let layout = sandbox.layout("images");
    let (mut manifest, mut config) = layout.only();
    let good = (manifest.clone(), config.clone());
    manifest["layers"][1]["mediaType"] =
        json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
    layout.replace("v1", manifest.clone(), &config);
    let errors = sandbox.fails(1, &["squash", "oci:images:v1"]);
    assert!(errors.contains("--keep 2"), "{errors}");
    manifest["layers"][1]["mediaType"] =
        json!("application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
    layout.replace("v1", manifest, &config);
    let errors = sandbox.fails(1, &["squash", "oci:images:v1"]);
    assert!(errors.contains("encrypted"), "{errors}");
    // A history that tells of other layers tells nothing.
    config["history"].as_array_mut().expect("steps").pop();
    config["history"].as_array_mut().expect("steps").pop();
    layout.replace("v1", good.0.clone(), &config);
    let report = sandbox.json(&["squash", "oci:images:v1", "-t", "v2"]);
    assert!(report["warnings"].to_string().contains("history"), "{report}");
    assert_eq!(
        shown(&sandbox, &["oci:images:v2", "config"])["history"],
        json!([{"created_by": "plimsoll squash"}])
    );
    // Nothing comes of a layer that is damaged, kept or not.
    layout.replace("v1", good.0.clone(), &good.1);
    for layer in [0, 2] {
        let path = layout.blob_path(good.0["layers"][layer]["digest"].as_str().expect("a digest"));
        let bytes = fs::read(&path).expect("a blob");
        let mut bad = bytes.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(&path, &bad).expect("written");
        let before = sandbox.names();
        sandbox.fails(6, &["squash", "oci:images:v1", "--keep", "1", "-t", "oci:new:x"]);
        assert_eq!(sandbox.names(), before);
        fs::write(&path, &bytes).expect("written");
    }
}
