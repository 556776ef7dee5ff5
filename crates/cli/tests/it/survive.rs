//! What is not understood is kept, byte for byte.

use std::fs;

use serde_json::{Value, json};

use crate::support::Sandbox;

#[test]
fn unknown_things_survive_tagging_byte_for_byte() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let layout = sandbox.layout("images");
    let mut index = layout.index();
    index["x-top"] = json!({"deep": [1, {"a": null}]});
    let entries = index["manifests"].as_array_mut().expect("entries");
    entries[0]["x-entry"] = json!("kept");
    entries.push(json!({"mediaType": "application/vnd.future+json", "digest": "sha1024+x:AbC_-=", "size": 5, "annotations": {"a": "b"}, "x": [1.5]}));
    // Text as it is: odd numbers and escapes must come through.
    let text = index.to_string().replace("[1.5]", "[1.50,1e+400,18446744073709551617,\"\\u00e9\"]");
    fs::write(sandbox.path("images/index.json"), &text).expect("written");
    fs::write(sandbox.path("images/manifest.json"), "[]").expect("written");
    fs::write(sandbox.path("images/oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\", \"x\":1}")
        .expect("written");

    sandbox.ok(&["tag", "oci:images:v1", "v2"]);

    let after = fs::read_to_string(sandbox.path("images/index.json")).expect("read");
    assert!(after.contains("[1.50,1e+400,18446744073709551617,\"é\"]"), "{after}");
    let after: Value = serde_json::from_str(&after).expect("JSON");
    assert_eq!(after["x-top"], index["x-top"]);
    assert_eq!(after["manifests"][0], index["manifests"][0]);
    assert_eq!(after["manifests"][1]["digest"], "sha1024+x:AbC_-=");
    assert_eq!(after["manifests"][2]["x-entry"], "kept", "the new name has what the old one had");
    assert_eq!(fs::read_to_string(sandbox.path("images/manifest.json")).expect("kept"), "[]");
    assert!(
        fs::read_to_string(sandbox.path("images/oci-layout")).expect("kept").contains("\"x\":1")
    );
}

#[test]
fn unknown_things_survive_packing_on_a_base() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let layout = sandbox.layout("images");
    let (mut manifest, mut config) = layout.only();
    manifest["x-manifest"] = json!({"n": [2]});
    manifest["layers"][0]["x-layer"] = json!(true);
    manifest["layers"][0]["annotations"] = json!({"com.example.l": "1"});
    config["x-config"] = json!("kept");
    config["config"] = json!({"Healthcheck": {"Test": ["NONE"]}, "Labels": {"a": "1"}, "x-run": 7});
    config["rootfs"]["x-root"] = json!([]);
    layout.replace("base", manifest, &config);
    sandbox.write("top/file", "content");

    for to in ["oci:images:new", "oci:elsewhere:new"] {
        let report =
            sandbox.json(&["pack", "top", to, "--base", "oci:images:base", "--label", "b=2"]);
        assert_eq!(report["images"][0]["baseLayers"], 1);
        let manifest: Value = serde_json::from_str(&sandbox.ok(&["show", to])).expect("JSON");
        let config: Value =
            serde_json::from_str(&sandbox.ok(&["show", to, "config"])).expect("JSON");
        assert_eq!(manifest["x-manifest"], json!({"n": [2]}));
        assert_eq!(manifest["layers"][0]["x-layer"], json!(true));
        assert_eq!(manifest["layers"][0]["annotations"], json!({"com.example.l": "1"}));
        assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(2));
        assert_eq!(config["x-config"], "kept");
        assert_eq!(config["rootfs"]["x-root"], json!([]));
        assert_eq!(config["config"]["x-run"], 7);
        assert_eq!(config["config"]["Healthcheck"], json!({"Test": ["NONE"]}));
        assert_eq!(config["config"]["Labels"], json!({"a": "1", "b": "2"}));
        sandbox.ok(&["validate", to, "--strict"]);
    }
}

#[test]
fn documents_are_shown_as_they_lie() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let layout = sandbox.layout("images");
    let (manifest, _) = layout.only();
    let pretty = serde_json::to_string_pretty(&manifest).expect("JSON") + "\n\n";
    let mut descriptor =
        layout.add("application/vnd.oci.image.manifest.v1+json", pretty.as_bytes());
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": "pretty"});
    let mut index = layout.index();
    index["manifests"].as_array_mut().expect("entries").push(descriptor);
    layout.set_index(&index);
    assert_eq!(sandbox.ok(&["show", "oci:images:pretty"]), pretty);
}

#[test]
fn a_blob_of_an_unknown_algorithm_is_told_and_not_trusted() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let layout = sandbox.layout("images");
    let (mut manifest, config) = layout.only();
    manifest["layers"][0]["digest"] = json!("future+x:abc");
    let size = manifest["layers"][0]["size"].as_u64().expect("a size");
    sandbox.write("images/blobs/future+x/abc", vec![0; size as usize]);
    layout.replace("v1", manifest, &config);
    let errors = sandbox.fails(6, &["unpack", "oci:images:v1", "out"]);
    assert!(errors.contains("E_UNVERIFIABLE") && errors.contains("future+x"), "{errors}");
    assert!(!sandbox.path("out").exists());
}
