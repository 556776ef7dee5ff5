//! What `--json` prints is what the schemas in `schemas/` say.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::Sandbox;

pub(crate) fn check(document: &Value) {
    let name = document["schema"]
        .as_str()
        .expect("a schema")
        .strip_prefix("plimsoll.")
        .expect("ours")
        .replace('/', ".");
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas").join(format!("{name}.json"));
    let schema: Value =
        serde_json::from_slice(&fs::read(&path).expect("a schema file")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let problems: Vec<_> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(problems.is_empty(), "{name}: {problems:?}\n{document:#}");
}

#[test]
fn every_report_follows_its_schema() {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    for words in [
        &[
            "pack",
            "tree",
            "oci:images:v1",
            "--entrypoint",
            "/bin/tool",
            "--label",
            "a=b",
            "--annotation",
            "c=d",
        ][..],
        &["ls", "oci:images"],
        &["ls"],
        &["inspect", "oci:images:v1"],
        &["tag", "oci:images:v1", "v2"],
        &["validate", "oci:images:v1", "oci:images:v2"],
        &["unpack", "oci:images:v1", "out"],
        &["diff", "oci:images:v1", "oci:images:v1"],
        &["export", "oci:images:v1", "-o", "v1.tar"],
        &["bundle", "oci:images:v1", "bundle"],
        &["repack", "bundle", "oci:images:v3"],
        &["copy", "oci:images", "oci-archive:all.tar", "--all", "--referrers"],
        &["save", "oci:images:v1", "-o", "one.tar"],
        &["load", "-i", "one.tar", "app"],
        &["ls", "./all.tar"],
        &["rm", "oci:images:v2", "--gc"],
        &["doctor"],
        &["doctor", "--limits"],
        &["gc", "oci:images"],
        &["gc", "--dry-run"],
        &["fsck", "oci:images", "--repair", "--from", "oci:images:v1"],
        &["edit", "oci:images:v1", "v3", "--label", "c=d"],
        &["append", "oci:images:v1", "tree", "-t", "v4"],
        &["rebase", "oci:images:v4", "--old-base", "oci:images:v1", "--new-base", "oci:images:v3"],
        &["index", "create", "oci:images:multi", "oci:images:v1"],
        &["index", "add", "oci:images:multi", "oci:images:v3"],
        &["history", "oci:images:v4"],
        &["attach", "oci:images:v1", "tree/etc/motd", "--artifact-type", "a/b"],
        &["referrers", "oci:images:v1"],
        &["convert", "oci:images:v1", "oci:images:v5", "--to", "docker", "--compression", "none"],
        &["squash", "oci:images:v4", "-t", "v6"],
        &["explain"],
        &["explain", "E_DIGEST"],
        &["explain", "LY2"],
        &["validate", "oci:images"],
        &["version"],
    ] {
        check(&sandbox.json(words));
    }
    sandbox.write("bundle/rootfs/new", "x");
    check(&sandbox.json(&["repack", "bundle", "oci:images:v4", "--refresh"]));
}

#[test]
fn errors_and_progress_follow_theirs() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let errors = sandbox.fails(3, &["inspect", "oci:images:nope", "--json"]);
    check(&serde_json::from_str(&errors).expect("one document"));
    let done = sandbox.run(&["--progress", "json", "unpack", "oci:images:v1", "out"]);
    assert!(done.stderr.lines().count() >= 2);
    for line in done.stderr.lines() {
        check(&serde_json::from_str(line).expect("a line of JSON"));
    }
    let layout = sandbox.layout("images");
    let (manifest, mut config) = layout.only();
    config["rootfs"]["diff_ids"][0] = Value::from(crate::support::sha256(b"x"));
    layout.replace("v1", manifest, &config);
    let done = sandbox.run(&["validate", "oci:images:v1", "--json"]);
    let report: Value = serde_json::from_str(&done.stdout).expect("a report");
    check(&report);
    assert_eq!((done.code, &report["valid"]), (6, &Value::Bool(false)));
    assert_eq!(report["images"][0]["findings"][0]["code"], "E_DIFF_ID");
}
