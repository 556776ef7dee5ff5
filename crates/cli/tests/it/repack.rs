//! Bundles that are changed become images again.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Sandbox, names};

fn sh(folder: &Path, script: &str) {
    let script = format!("set -e; umask 022; {script}");
    let done = Command::new("sh").args(["-c", &script]).current_dir(folder).output();
    let done = done.expect("sh starts");
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
}

/// `oci:images:v1`, and a bundle of it.
fn bundled() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["bundle", "oci:images:v1", "work", "--entrypoint", "/bin/tool"]);
    sandbox
}

/// The manifest and config of a name.
fn documents(sandbox: &Sandbox, name: &str) -> (Value, Value) {
    let show = |what| serde_json::from_str(&sandbox.ok(&["show", name, what])).expect("a document");
    (show("manifest"), show("config"))
}

/// What an image unpacks to is what the bundle holds.
fn same(sandbox: &Sandbox, name: &str) {
    sandbox.ok(&["validate", name]);
    sandbox.ok(&["unpack", name, "again"]);
    let listing = |folder: &str| {
        let find = "find . -printf '%P %y %m %U %G %T@ %l %n\\n' | sort; find . -type f -print0 | sort -z | xargs -0 cat";
        let mut command = Command::new("sh");
        let done = command.args(["-c", find]).current_dir(sandbox.path(folder)).output();
        String::from_utf8_lossy(&done.expect("find starts").stdout).into_owned()
    };
    assert_eq!(listing("again"), listing("work/rootfs"));
    fs::remove_dir_all(sandbox.path("again")).expect("removed");
}

#[test]
fn what_changed_is_one_layer_on_top() {
    let sandbox = bundled();
    assert_eq!(names(&sandbox.path("work")), ["config.json", "plimsoll.state", "rootfs"]);
    sh(
        &sandbox.path("work/rootfs"),
        "echo more >> etc/motd; rm bin/link; mkdir -p srv/data; echo x > srv/data/f; chmod 700 bin",
    );
    let report = sandbox.json(&[
        "repack",
        "work",
        "oci:images:v2",
        "--author",
        "A. Uthor",
        "--created-by",
        "by hand",
        "--comment",
        "why",
    ]);
    assert_eq!(report["added"], 3);
    assert_eq!(report["removed"], 1);
    assert_eq!(report["warnings"], json!([]));
    let (old, old_config) = documents(&sandbox, "oci:images:v1");
    let (new, config) = documents(&sandbox, "oci:images:v2");
    assert_eq!(new["layers"].as_array().map(Vec::len), Some(2));
    assert_eq!(new["layers"][0], old["layers"][0]);
    assert_eq!(config["rootfs"]["diff_ids"][0], old_config["rootfs"]["diff_ids"][0]);
    assert_eq!(config["rootfs"]["diff_ids"][1], report["layer"]["diffId"]);
    assert_eq!(config["history"][0], old_config["history"][0]);
    assert_eq!(
        config["history"][1],
        json!({"author": "A. Uthor", "comment": "why", "created_by": "by hand"})
    );
    assert_eq!(config["author"], "A. Uthor");
    same(&sandbox, "oci:images:v2");
}

#[test]
fn an_unchanged_bundle_is_the_image_that_it_came_from() {
    let sandbox = bundled();
    let digest = sandbox.json(&["inspect", "oci:images:v1"])["digest"].clone();
    for more in [&[][..], &["--paranoid"]] {
        let words = [&["repack", "work", "oci:images:v2"][..], more].concat();
        let report = sandbox.json(&words);
        assert_eq!(report["digest"], digest);
        assert_eq!(report["layer"], Value::Null);
        assert_eq!(report["base"], digest);
    }
    // Also in another place.
    let report = sandbox.json(&["repack", "work", "oci:other:v1"]);
    assert_eq!(report["digest"], digest);
    sandbox.ok(&["validate", "oci:other:v1"]);
    let text = sandbox.ok(&["repack", "work", "elsewhere"]);
    assert!(text.contains("nothing changed"), "{text}");
    // Nothing is left of comparing.
    assert_eq!(names(&sandbox.path("work")), ["config.json", "plimsoll.state", "rootfs"]);
}

#[test]
fn changes_are_found_whatever_the_times_say() {
    let sandbox = bundled();
    let root = sandbox.path("work/rootfs");
    sh(
        &root,
        "touch -r etc/motd ../time; printf 'HELLO\\n' > etc/motd; touch -r ../time etc/motd; rm ../time",
    );
    let report = sandbox.json(&["repack", "work", "oci:images:v2"]);
    assert_eq!(report["changed"], 2, "both names of it: {report}");
    same(&sandbox, "oci:images:v2");
}

#[test]
fn a_copied_bundle_has_not_changed() {
    let sandbox = bundled();
    sh(&sandbox.path("."), "cp -a work moved; rm -r work; mv moved work");
    let report = sandbox.json(&["repack", "work", "oci:images:v2"]);
    assert_eq!(report["layer"], Value::Null, "{report}");
    assert!(report["compared"].as_u64().expect("a number") > 0);
    sh(&sandbox.path("work/rootfs"), "echo x > etc/new");
    let report = sandbox.json(&["repack", "work", "oci:images:v2"]);
    assert_eq!((&report["added"], &report["changed"]), (&json!(1), &json!(1)));
    same(&sandbox, "oci:images:v2");
}

#[test]
fn refreshing_makes_the_next_layer_start_here() {
    let sandbox = bundled();
    for number in 2..5 {
        sh(&sandbox.path("work/rootfs"), &format!("echo {number} > etc/number; rm -f etc/motd"));
        let name = format!("oci:images:v{number}");
        let report = sandbox.json(&["repack", "work", &name, "--refresh"]);
        assert_eq!(report["baseLayers"], number - 1);
        same(&sandbox, &name);
        let again = sandbox.json(&["repack", "work", "oci:images:same"]);
        assert_eq!(again["digest"], report["digest"]);
    }
    let (manifest, config) = documents(&sandbox, "oci:images:v4");
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(4));
    assert_eq!(config["history"].as_array().map(Vec::len), Some(4));
    // The bundle came from there by now, whoever else uses the first name.
    sandbox.ok(&["rm", "oci:images:v1", "--gc"]);
    sh(&sandbox.path("work/rootfs"), "echo x > x");
    sandbox.ok(&["repack", "work", "oci:images:v5", "--refresh"]);
    same(&sandbox, "oci:images:v5");
}

#[test]
fn a_root_filesystem_with_its_state_elsewhere() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["unpack", "oci:images:v1", "root", "--state", "root.state"]);
    assert!(!names(&sandbox.path("root")).iter().any(|name| name.contains("state")));
    let report = sandbox.json(&["repack", "root", "oci:images:v2", "--state", "root.state"]);
    assert_eq!(report["layer"], Value::Null);
    sandbox.write("root/etc/new", "x");
    let words = ["repack", "root", "oci:images:v2", "--state", "root.state", "--refresh"];
    assert_eq!(sandbox.json(&words)["added"], 1);
    assert_eq!(sandbox.json(&words)["layer"], Value::Null);
}

#[test]
fn unknown_members_of_the_base_survive() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let layout = sandbox.layout("images");
    let (mut manifest, mut config) = layout.only();
    config["config"] = json!({"Healthcheck": {"Test": ["CMD", "x"]}, "x-odd": 1.0});
    config["x-unknown"] = json!({"b": [1, 2.50, null], "a": "\u{7f}"});
    manifest["annotations"] = json!({"org.example": "kept"});
    manifest["x-member"] = json!([true]);
    layout.replace("v1", manifest, &config);
    sandbox.ok(&["bundle", "oci:images:v1", "work", "--entrypoint", "/bin/tool"]);
    sandbox.write("work/rootfs/new", "x");
    sandbox.ok(&["repack", "work", "oci:images:v2"]);
    let (new, new_config) = documents(&sandbox, "oci:images:v2");
    assert_eq!(new_config["config"], config["config"]);
    assert_eq!(new_config["x-unknown"], config["x-unknown"]);
    assert_eq!(new["annotations"], json!({"org.example": "kept"}));
    assert_eq!(new["x-member"], json!([true]));
}

#[test]
fn the_epoch_is_for_the_new_layer_only() {
    let sandbox = bundled();
    sandbox.write("work/rootfs/etc/new", "x");
    let run = |name: &str| {
        let mut command = sandbox.command(&["repack", "work", name, "-q"]);
        let done = command.env("SOURCE_DATE_EPOCH", "1000000000").output().expect("started");
        assert!(done.status.success());
        String::from_utf8(done.stdout).expect("text")
    };
    let first = run("oci:images:v2");
    assert_eq!(run("oci:images:v3"), first);
    let (old, _) = documents(&sandbox, "oci:images:v1");
    let (new, config) = documents(&sandbox, "oci:images:v2");
    assert_eq!(new["layers"][0], old["layers"][0]);
    assert_eq!(config["created"], "2001-09-09T01:46:40Z");
    assert_eq!(config["history"][1]["created"], "2001-09-09T01:46:40Z");
    sandbox.ok(&["unpack", "oci:images:v2", "out"]);
    let time = |path: &str| fs::metadata(sandbox.path(path)).expect("there").mtime();
    assert_eq!(time("out/etc/new"), 1_000_000_000);
    assert_eq!(time("out/etc/motd"), time("tree/etc/motd"));
}

#[test]
fn compression_is_as_asked_and_the_diff_id_does_not_depend_on_it() {
    let sandbox = bundled();
    sandbox.write("work/rootfs/etc/new", "x".repeat(100_000));
    let mut diff_ids: Vec<_> = ["none", "gzip:1", "gzip:9", "zstd:3"]
        .iter()
        .map(|how| {
            let words = ["repack", "work", "oci:images:v2", "--compression", how];
            let report = sandbox.json(&words);
            assert_eq!(report["layer"]["compression"], *how);
            sandbox.ok(&["validate", "oci:images:v2"]);
            report["layer"]["diffId"].to_string()
        })
        .collect();
    diff_ids.dedup();
    assert_eq!(diff_ids.len(), 1);
}

#[test]
fn what_is_missing_or_broken_is_said() {
    let sandbox = bundled();
    let error = sandbox.fails(3, &["repack", "nowhere", "oci:images:v2"]);
    assert!(error.contains("rootfs"), "{error}");
    fs::create_dir_all(sandbox.path("bare/rootfs")).expect("made");
    let error = sandbox.fails(3, &["repack", "bare", "oci:images:v2"]);
    assert!(error.contains("plimsoll.state") && error.contains("plimsoll bundle"), "{error}");
    sandbox.write("bare/umoci.json", "{}");
    let error = sandbox.fails(3, &["repack", "bare", "oci:images:v2"]);
    assert!(error.contains("of umoci"), "{error}");

    let state = sandbox.path("work/plimsoll.state");
    let whole = fs::read(&state).expect("read");
    let mut broken = whole.clone();
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    fs::write(&state, &broken).expect("written");
    let error = sandbox.fails(6, &["repack", "work", "oci:images:v2"]);
    assert!(error.contains("E_DIGEST"), "{error}");
    fs::write(&state, &whole[..100]).expect("written");
    sandbox.fails(6, &["repack", "work", "oci:images:v2"]);
    fs::write(&state, &whole).expect("written");

    // The place of the base has moved.
    sandbox.write("work/rootfs/new", "x");
    fs::rename(sandbox.path("images"), sandbox.path("moved")).expect("moved");
    let error = sandbox.fails(3, &["repack", "work", "oci:fresh:v2"]);
    assert!(error.contains("--base"), "{error}");
    assert!(!sandbox.path("fresh").exists(), "nothing half-done");
    sandbox.ok(&["repack", "work", "oci:fresh:v2", "--base", "oci:moved:v1"]);
    sandbox.ok(&["validate", "oci:fresh:v2"]);
    let other = sandbox.path("tree2");
    sh(&sandbox.path("."), "mkdir tree2; echo x > tree2/x");
    assert!(other.is_dir());
    sandbox.ok(&["pack", "tree2", "oci:another:v1"]);
    let error = sandbox.fails(3, &["repack", "work", "oci:fresh:v3", "--base", "oci:another:v1"]);
    assert!(error.contains("sha256:"), "{error}");
}

#[test]
fn names_that_no_layer_can_hold_are_refused_and_nothing_is_tagged() {
    let sandbox = bundled();
    sandbox.write("work/rootfs/etc/.wh.motd", "");
    let blobs = names(&sandbox.path("images/blobs/sha256"));
    let error = sandbox.fails(1, &["repack", "work", "oci:images:v2"]);
    assert!(error.contains("etc/.wh.motd"), "{error}");
    sandbox.fails(3, &["inspect", "oci:images:v2"]);
    assert_eq!(names(&sandbox.path("images/blobs/sha256")), blobs);
}

#[test]
fn a_working_folder_that_the_image_lacks_is_no_change() {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    sandbox.ok(&["pack", "tree", "oci:images:v1", "-w", "/srv/deep", "--volume", "/data"]);
    sandbox.ok(&["bundle", "oci:images:v1", "work", "--entrypoint", "/bin/tool"]);
    assert_eq!(sandbox.json(&["repack", "work", "oci:images:v2"])["layer"], Value::Null);
    let mode = fs::Permissions::from_mode(0o700);
    fs::set_permissions(sandbox.path("work/rootfs/srv/deep"), mode).expect("set");
    let report = sandbox.json(&["repack", "work", "oci:images:v2"]);
    assert_eq!((&report["added"], &report["changed"]), (&json!(0), &json!(1)));
}

#[test]
fn the_state_names_the_image_by_its_digest() {
    // A tag that moves does not change what a bundle came from.
    let sandbox = bundled();
    sh(&sandbox.path("."), "mkdir tree2; echo x > tree2/x");
    sandbox.ok(&["pack", "tree2", "oci:images:v1"]);
    sandbox.write("work/rootfs/new", "x");
    let report = sandbox.json(&["repack", "work", "oci:images:v2"]);
    assert_eq!(report["added"], 1);
    same(&sandbox, "oci:images:v2");
}
