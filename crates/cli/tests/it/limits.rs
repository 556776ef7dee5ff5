//! Limits: listed with their reasons, set by name, and held by every verb that
//! reads what they are about.

use serde_json::Value;

use crate::support::{Sandbox, is_root};

#[test]
fn every_limit_is_listed_and_can_be_set() {
    let sandbox = Sandbox::new();
    let report = sandbox.json(&["doctor", "--limits"]);
    let list = report["limits"].as_array().expect("a list");
    for name in [
        "document",
        "index",
        "config",
        "json-depth",
        "layers",
        "index-depth",
        "index-visits",
        "entries",
        "path",
        "name",
        "link",
        "extension",
        "xattrs",
        "xattr",
        "sparse",
        "layer-bytes",
        "zstd-window",
        "gzip-header",
    ] {
        assert!(list.iter().any(|limit| limit["name"] == name), "{name}");
    }
    let all: Vec<_> =
        list.iter().map(|limit| format!("{}=5", limit["name"].as_str().expect("a name"))).collect();
    let lowered = sandbox.json(&["doctor", "--limits", "--limit", &all.join(",")]);
    for limit in lowered["limits"].as_array().expect("a list") {
        assert_eq!(limit["value"], 5, "{limit}");
        assert!(limit["reason"].as_str().is_some_and(|reason| reason.len() > 5), "{limit}");
    }
    let text = sandbox.ok(&["doctor", "--limits"]);
    assert_eq!(text.lines().count(), list.len() + 1);
}

#[test]
fn flags_come_behind_the_environment_and_nonsense_is_refused() {
    let sandbox = Sandbox::new();
    let value = |words: &[&str]| -> Value {
        let mut command = sandbox.command(words);
        command.args(["doctor", "--limits", "--json"]);
        command.env("PLIMSOLL_LIMITS", "entries=7,layer-bytes=1MiB");
        let output = command.output().expect("started");
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
        let of = |name: &str| {
            let list = report["limits"].as_array().expect("a list");
            list.iter().find(|limit| limit["name"] == name).expect("there")["value"].clone()
        };
        Value::from(vec![of("entries"), of("layer-bytes")])
    };
    assert_eq!(value(&[]), serde_json::json!([7, 1 << 20]));
    assert_eq!(value(&["--limit", "entries=8"]), serde_json::json!([8, 1 << 20]));
    for bad in ["entries", "entries=many", "noses=1", "path=1MiB", "json-depth=1000"] {
        let error = sandbox.fails(2, &["ls", "--limit", bad]);
        assert!(error.contains("limit"), "{error}");
    }
}

#[test]
fn every_verb_holds_the_limits_of_what_it_reads() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["pack", "tree", "oci:images:two", "--base", "oci:images:v1"]);
    sandbox.ok(&["export", "oci:images:v1", "-o", "v1.tar"]);
    let mut reading: Vec<&[&str]> = vec![
        &["unpack", "oci:images:two", "out"],
        &["bundle", "oci:images:two", "out"],
        &["validate", "oci:images:two"],
        &["export", "oci:images:two", "-o", "out"],
    ];
    if is_root("run without a user namespace") {
        reading.push(&["run", "oci:images:two", "--", "/bin/tool"]);
    }
    // Each limit just below what the image has.
    for limit in [
        "document=300",
        "config=100",
        "index=100",
        "json-depth=2",
        "layers=1",
        "entries=3",
        "layer-bytes=1KiB",
        "name=3",
        "path=5",
        "link=4",
        "gzip-header=9",
    ] {
        for words in &reading {
            let code = if words[0] == "run" { 125 } else { 6 };
            let words = [&["--limit", limit], *words].concat();
            let done = sandbox.run(&words);
            assert_eq!(done.code, code, "{words:?}: {}{}", done.stdout, done.stderr);
        }
        assert_eq!(sandbox.names().iter().filter(|name| *name == "out").count(), 0, "{limit}");
    }
    for limit in ["entries=3", "layer-bytes=1KiB", "name=3"] {
        sandbox.fails(6, &["pack", "v1.tar", "oci:other:v1", "--limit", limit]);
    }
    // And at what it has, nothing is in the way.
    for limit in ["layers=2", "entries=20", "gzip-header=10", "path=11"] {
        sandbox.ok(&["validate", "oci:images:two", "--limit", limit]);
    }
}

#[test]
fn the_doctor_looks_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let before = sandbox.names();
    let report = sandbox.json(&["doctor"]);
    assert_eq!(sandbox.names(), before);
    let names: Vec<_> = report["checks"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|check| check["name"].as_str().expect("a name").to_owned())
        .collect();
    for name in ["kernel", "openat2", "user namespaces", "overlays", "user attributes", "space"] {
        assert!(names.iter().any(|there| there == name), "{name} in {names:?}");
    }
    let text = sandbox.ok(&["doctor"]);
    assert_eq!(text.lines().count(), names.len(), "{text}");
}
