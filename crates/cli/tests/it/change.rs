//! Verbs that change images: `edit`, `append`, `rebase`, `index`, `attach`.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Sandbox, names};

fn shown(sandbox: &Sandbox, words: &[&str]) -> Value {
    let words: Vec<_> = std::iter::once("show").chain(words.iter().copied()).collect();
    serde_json::from_str(&sandbox.ok(&words)).expect("JSON")
}

/// An image whose documents have members that are unknown here, odd numbers
/// and `null`.
fn odd(sandbox: &Sandbox) {
    sandbox.image();
    let layout = sandbox.layout("images");
    let (mut manifest, config) = layout.only();
    let mut text = config.to_string();
    text.truncate(text.len() - 1);
    text.push_str(
        r#","x-number":1.50e2,"config":{"Cmd":["old"],"Env":["PATH=/bin","A=1"],"Labels":null,"x-run":[10000000000000000000000001]}}"#,
    );
    let config = layout.add("application/vnd.oci.image.config.v1+json", text.as_bytes());
    manifest["config"] = config;
    manifest["config"]["x-descriptor"] = json!("kept");
    manifest["annotations"] = json!({"old": "1", "gone": "2"});
    manifest["x-manifest"] = json!({"n": 1});
    layout.replace_manifest("v1", &manifest);
}

#[test]
fn edit_touches_only_what_is_named() {
    let sandbox = Sandbox::new();
    odd(&sandbox);
    let before = shown(&sandbox, &["oci:images:v1", "config"]);
    let report = sandbox.json(&[
        "edit",
        "oci:images:v1",
        "v2",
        "--entrypoint",
        "/bin/tool",
        "--env",
        "A=2",
        "--env",
        "B=3",
        "--label",
        "l=1",
        "--annotation",
        "new=3",
        "--unset",
        "annotation:gone",
        "--user",
        "7:8",
        "--workdir",
        "/srv",
        "--created",
        "2024-01-31T12:00:00+02:00",
    ]);
    assert_eq!(report["images"].as_array().map(Vec::len), Some(1));
    let after = shown(&sandbox, &["oci:images:v2", "config"]);
    let mut expected = before.clone();
    expected["created"] = json!("2024-01-31T10:00:00Z");
    let execution = &mut expected["config"];
    execution["Entrypoint"] = json!(["/bin/tool"]);
    execution["Env"] = json!(["PATH=/bin", "A=2", "B=3"]);
    execution["Labels"] = json!({"l": "1"});
    execution["User"] = json!("7:8");
    execution["WorkingDir"] = json!("/srv");
    // The digits of numbers, too: values are compared with them.
    assert_eq!(after.to_string(), expected.to_string());
    let raw = sandbox.ok(&["show", "oci:images:v2", "config"]);
    assert!(raw.contains("1.50e2") || raw.contains("1.50e+2"), "{raw}");
    assert!(raw.contains("10000000000000000000000001"), "{raw}");
    let manifest = shown(&sandbox, &["oci:images:v2"]);
    assert_eq!(manifest["annotations"], json!({"old": "1", "new": "3"}));
    assert_eq!(manifest["x-manifest"], json!({"n": 1}));
    assert_eq!(manifest["config"]["x-descriptor"], "kept");
    assert_eq!(manifest["layers"], shown(&sandbox, &["oci:images:v1"])["layers"]);
    sandbox.ok(&["validate", "oci:images:v1", "oci:images:v2"]);
}

#[test]
fn edit_of_nothing_changes_no_byte() {
    let sandbox = Sandbox::new();
    odd(&sandbox);
    let digest = sandbox.ok(&["inspect", "-q", "oci:images:v1"]);
    assert_eq!(sandbox.ok(&["edit", "oci:images:v1", "-q"]), digest);
    // Another annotation makes another manifest of the same config.
    sandbox.ok(&["edit", "oci:images:v1", "v2", "--annotation", "a=b"]);
    assert_eq!(
        shown(&sandbox, &["oci:images:v1"])["config"]["digest"],
        shown(&sandbox, &["oci:images:v2"])["config"]["digest"]
    );
}

#[test]
fn edit_moves_the_name_or_gives_a_new_one_anywhere() {
    let sandbox = Sandbox::new();
    let digest = sandbox.image();
    sandbox.ok(&["edit", "oci:images:v1", "--env", "A=1"]);
    assert_eq!(sandbox.ok(&["ls", "oci:images", "-q"]), "v1\n");
    assert_ne!(sandbox.ok(&["inspect", "-q", "oci:images:v1"]).trim(), digest);
    sandbox.ok(&["mutate", "oci:images:v1", "oci:new:v2", "--cmd", r#"["a","b"]"#]);
    sandbox.ok(&["config", "oci:images:v1", "-t", "store:app:v3", "--set-platform", "linux/arm64"]);
    assert_eq!(shown(&sandbox, &["oci:new:v2", "config"])["config"]["Cmd"], json!(["a", "b"]));
    let listed = sandbox.json(&["ls"]);
    assert_eq!(listed["images"][0]["name"], "app:v3");
    assert_eq!(listed["images"][0]["platforms"], json!(["linux/arm64"]));
    sandbox.ok(&["validate", "oci:new:v2", "app:v3"]);
    let digest = sandbox.ok(&["inspect", "-q", "oci:images:v1"]);
    let nameless = format!("oci:images@{}", digest.trim());
    let errors = sandbox.fails(2, &["edit", &nameless, "--env", "A=1"]);
    assert!(errors.contains("name"), "{errors}");
    sandbox.fails(2, &["edit", "oci:images:v1", "--unset", "nonsense"]);
    sandbox.fails(2, &["edit", "oci:images:v1", "--created", "yesterday"]);
}

/// `oci:images:multi`, an index for two platforms.
fn multi(sandbox: &Sandbox) {
    sandbox.write("two/linux/amd64/f", "amd64");
    sandbox.write("two/linux/arm64/f", "arm64");
    sandbox.ok(&["pack", "two", "oci:images:multi", "--platform", "linux/amd64,linux/arm64"]);
}

#[test]
fn edit_of_an_index_changes_all_images_or_the_chosen_one() {
    let sandbox = Sandbox::new();
    multi(&sandbox);
    let before = shown(&sandbox, &["oci:images:multi"]);
    let all = sandbox.json(&["edit", "oci:images:multi", "all", "--label", "a=b", "-a", "c=d"]);
    assert_eq!(all["images"].as_array().map(Vec::len), Some(2));
    let index = shown(&sandbox, &["oci:images:all"]);
    assert_eq!(index["annotations"], json!({"c": "d"}));
    for platform in ["linux/amd64", "linux/arm64"] {
        let config = shown(&sandbox, &["oci:images:all", "config", "--platform", platform]);
        assert_eq!(config["config"]["Labels"], json!({"a": "b"}));
    }
    sandbox.ok(&["edit", "oci:images:multi", "one", "--label", "a=b", "--platform", "linux/arm64"]);
    let one = shown(&sandbox, &["oci:images:one"]);
    assert_eq!(one["manifests"][0], before["manifests"][0]);
    assert_ne!(one["manifests"][1]["digest"], before["manifests"][1]["digest"]);
    assert_eq!(one["manifests"][1]["platform"], before["manifests"][1]["platform"]);
    sandbox.ok(&["validate", "oci:images:all", "oci:images:one"]);
    sandbox.ok(&[
        "edit",
        "oci:images:multi",
        "oci:other:x",
        "--platform",
        "linux/arm64",
        "-e",
        "A=1",
    ]);
    sandbox.ok(&["validate", "oci:other:x"]);
    sandbox.fails(3, &["edit", "oci:images:multi", "--platform", "linux/riscv64", "-e", "A=1"]);
}

/// Writes a tar of a layer with a whiteout, and gives whether that worked.
fn layer_tar(sandbox: &Sandbox, name: &str, flags: &str) {
    sandbox.write("upper/new", "new\n");
    sandbox.write("upper/etc/.wh.motd", "");
    let done = Command::new("tar")
        .args([flags, name, "-C", "upper", "--owner=0", "--group=0", "--sort=name", "."])
        .current_dir(sandbox.path("."))
        .status()
        .expect("tar");
    assert!(done.success());
}

#[test]
fn append_keeps_the_bytes_of_a_tar_and_packs_folders() {
    let sandbox = Sandbox::new();
    sandbox.image();
    layer_tar(&sandbox, "plain.tar", "-cf");
    layer_tar(&sandbox, "small.tgz", "-czf");
    sandbox.write("more/third", "3");
    let done = sandbox.json(&[
        "append",
        "oci:images:v1",
        "plain.tar",
        "small.tgz",
        "more",
        "-t",
        "v2",
        "--created-by",
        "me",
    ]);
    let plain = fs::read(sandbox.path("plain.tar")).expect("read");
    let gzipped = fs::read(sandbox.path("small.tgz")).expect("read");
    assert_eq!(done["layers"][0]["diffId"], crate::support::sha256(&plain));
    assert_eq!(done["layers"][1]["digest"], crate::support::sha256(&gzipped));
    assert_eq!(done["layers"][0]["bytes"], plain.len());
    let manifest = shown(&sandbox, &["oci:images:v2"]);
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(4));
    sandbox.ok(&["validate", "oci:images:v2"]);
    sandbox.ok(&["unpack", "oci:images:v2", "out"]);
    assert!(sandbox.path("out/new").exists() && sandbox.path("out/third").exists());
    assert!(!sandbox.path("out/etc/motd").exists() && sandbox.path("out/etc/motd2").exists());
    let history = sandbox.json(&["history", "oci:images:v2"]);
    assert_eq!(history["steps"].as_array().map(Vec::len), Some(4));
    assert_eq!(history["steps"][0]["createdBy"], "me");
    assert_eq!(history["steps"][3]["createdBy"], "plimsoll pack");
    // As it is, in every compression.
    for how in ["none", "zstd"] {
        sandbox.ok(&["append", "oci:images:v1", "plain.tar", "-t", how, "--compression", how]);
        sandbox.ok(&["validate", &format!("oci:images:{how}")]);
    }
}

#[test]
fn append_refuses_what_is_no_layer_and_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.image();
    layer_tar(&sandbox, "good.tgz", "-czf");
    let good = fs::read(sandbox.path("good.tgz")).expect("read");
    sandbox.write("cut.tgz", &good[..good.len() / 2]);
    sandbox.write("text.tar", "no archive at all\n");
    let before = fs::read(sandbox.path("images/index.json")).expect("read");
    for name in ["cut.tgz", "text.tar"] {
        let errors = sandbox.fails(6, &["append", "oci:images:v1", "good.tgz", name]);
        assert!(errors.contains("E_LAYER") && errors.contains(name), "{errors}");
    }
    sandbox.fails(3, &["append", "oci:images:v1", "absent.tar"]);
    assert_eq!(fs::read(sandbox.path("images/index.json")).expect("read"), before);
}

#[test]
fn append_to_an_index_appends_to_all() {
    let sandbox = Sandbox::new();
    multi(&sandbox);
    sandbox.write("more/third", "3");
    let done = sandbox.json(&["append", "oci:images:multi", "more"]);
    assert_eq!(done["images"].as_array().map(Vec::len), Some(2));
    assert_eq!(done["layers"].as_array().map(Vec::len), Some(1));
    sandbox.ok(&["validate", "oci:images:multi"]);
    sandbox.ok(&["unpack", "oci:images:multi", "out", "--platform", "linux/arm64"]);
    assert_eq!(fs::read(sandbox.path("out/f")).expect("read"), b"arm64");
    assert!(sandbox.path("out/third").exists());
}

#[test]
fn rebase_replaces_the_layers_below() {
    let sandbox = Sandbox::new();
    sandbox.write("old/etc/os", "old");
    sandbox.write("new/etc/os", "new");
    sandbox.write("new2/etc/more", "more");
    sandbox.write("app/app", "app");
    sandbox.ok(&["pack", "old", "oci:images:old", "--env", "BASE=old"]);
    sandbox.ok(&["pack", "new", "oci:images:new", "--env", "BASE=new"]);
    sandbox.ok(&["append", "oci:images:new", "new2"]);
    sandbox.ok(&["pack", "app", "oci:images:app", "--base", "oci:images:old", "--cmd", "/app"]);
    let words = [
        "rebase",
        "oci:images:app",
        "--old-base",
        "oci:images:old",
        "--new-base",
        "oci:images:new",
    ];
    let words: Vec<_> = words.into_iter().chain(["-t", "rebased"]).collect();
    sandbox.ok(&words);
    sandbox.ok(&["validate", "oci:images:rebased", "oci:images:app"]);
    sandbox.ok(&["unpack", "oci:images:rebased", "out"]);
    assert_eq!(fs::read(sandbox.path("out/etc/os")).expect("read"), b"new");
    assert!(sandbox.path("out/app").exists() && sandbox.path("out/etc/more").exists());
    let config = shown(&sandbox, &["oci:images:rebased", "config"]);
    // The config of the image wins.
    assert_eq!(config["config"]["Env"], json!(["BASE=old"]));
    assert_eq!(config["config"]["Cmd"], json!(["/app"]));
    let steps = sandbox.json(&["history", "oci:images:rebased"]);
    assert_eq!(steps["steps"].as_array().map(Vec::len), Some(3));
    let manifest = shown(&sandbox, &["oci:images:rebased"]);
    assert_eq!(
        manifest["annotations"]["org.opencontainers.image.base.digest"],
        sandbox.ok(&["inspect", "-q", "oci:images:new"]).trim()
    );
    // Not on that base.
    let errors = sandbox.fails(
        1,
        &[
            "rebase",
            "oci:images:app",
            "--old-base",
            "oci:images:new",
            "--new-base",
            "oci:images:old",
        ],
    );
    assert!(errors.contains("layer 1") || errors.contains("fewer"), "{errors}");
}

#[test]
fn index_create_add_and_remove() {
    let sandbox = Sandbox::new();
    sandbox.write("a/f", "a");
    sandbox.ok(&["pack", "a", "oci:amd:v1", "--platform", "linux/amd64"]);
    sandbox.ok(&["pack", "a", "oci:arm:v1", "--platform", "linux/arm/v7"]);
    // A descriptor that says no platform: the config does.
    let layout = sandbox.layout("arm");
    let mut index = layout.index();
    index["manifests"][0].as_object_mut().expect("an entry").remove("platform");
    layout.set_index(&index);
    multi(&sandbox);
    sandbox.ok(&["index", "create", "oci:out:v1", "oci:amd:v1", "oci:arm:v1", "-a", "a=b"]);
    let made = shown(&sandbox, &["oci:out:v1"]);
    assert_eq!(made["annotations"], json!({"a": "b"}));
    assert_eq!(made["manifests"][0]["platform"], json!({"architecture": "amd64", "os": "linux"}));
    assert_eq!(made["manifests"][1]["platform"]["variant"], "v7");
    assert_eq!(made["manifests"][1].get("annotations"), None);
    // A nested index stays one.
    let nested = sandbox.ok(&["inspect", "-q", "oci:images:multi"]);
    let added = sandbox.json(&["index", "add", "oci:out:v1", "oci:images:multi"]);
    assert_eq!(added["manifests"][2]["digest"], nested.trim());
    assert_eq!(sandbox.json(&["index", "add", "oci:out:v1", "oci:images:multi"]), added);
    sandbox.ok(&["validate", "oci:out:v1"]);
    sandbox.ok(&["index", "remove", "oci:out:v1", "linux/arm", nested.trim()]);
    let left = shown(&sandbox, &["oci:out:v1"]);
    assert_eq!(left["manifests"].as_array().map(Vec::len), Some(1));
    sandbox.fails(3, &["index", "remove", "oci:out:v1", "linux/s390x"]);
    sandbox.fails(1, &["index", "add", "oci:amd:v1", "oci:arm:v1"]);
}

#[test]
fn attach_and_referrers() {
    let sandbox = Sandbox::new();
    let subject = sandbox.image();
    sandbox.write("sbom.json", "{}");
    sandbox.write("note.txt", "note");
    let done = sandbox.json(&[
        "attach",
        "oci:images:v1",
        "sbom.json:application/spdx+json",
        "note.txt",
        "--artifact-type",
        "application/vnd.example.sbom.v1",
        "--annotation",
        "by=me",
    ]);
    let other = sandbox.json(&[
        "attach",
        "oci:images:v1",
        "--artifact-type",
        "application/vnd.example.mark",
        "-a",
        "x=y",
    ]);
    assert_eq!(done["subject"], subject);
    let artifact =
        shown(&sandbox, &[&format!("oci:images@{}", done["digest"].as_str().expect("text"))]);
    assert_eq!(artifact["subject"]["digest"], subject);
    assert_eq!(artifact["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    assert_eq!(artifact["layers"][0]["mediaType"], "application/spdx+json");
    assert_eq!(artifact["layers"][1]["annotations"]["org.opencontainers.image.title"], "note.txt");
    let found = sandbox.json(&["referrers", "oci:images:v1"]);
    assert_eq!(found["referrers"].as_array().map(Vec::len), Some(2));
    let one = sandbox.json(&[
        "discover",
        "oci:images:v1",
        "--artifact-type",
        "application/vnd.example.mark",
    ]);
    assert_eq!(one["referrers"][0]["digest"], other["digest"]);
    assert_eq!(one["referrers"][0]["annotations"], json!({"x": "y"}));
    // Everything survives gc, and all of it is whole.
    sandbox.ok(&["gc", "oci:images"]);
    let fallback = done["fallbackTag"].as_str().expect("text");
    assert_eq!(fallback, subject.replace(':', "-"));
    sandbox.ok(&["validate", "oci:images:v1", &format!("oci:images:{fallback}")]);
    assert_eq!(sandbox.json(&["referrers", "oci:images:v1"]), found);
    // Of a manifest that only its subject tells of.
    let layout = sandbox.layout("images");
    let mut index = layout.index();
    index["manifests"]
        .as_array_mut()
        .expect("entries")
        .retain(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == "v1");
    let bytes = layout.blob(done["digest"].as_str().expect("text"));
    index["manifests"]
        .as_array_mut()
        .expect("entries")
        .push(layout.add("application/vnd.oci.image.manifest.v1+json", &bytes));
    layout.set_index(&index);
    let scanned = sandbox.json(&["referrers", "oci:images:v1"]);
    assert_eq!(scanned["referrers"].as_array().map(Vec::len), Some(1));
}

/// Starts all of them at once; all must end well.
fn at_once(sandbox: &Sandbox, commands: &[Vec<String>]) {
    let mut children: Vec<_> = commands
        .iter()
        .map(|words| {
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let mut command = sandbox.command(&words);
            command.stdout(Stdio::null()).stderr(Stdio::piped());
            command.spawn().expect("starts")
        })
        .collect();
    for child in children.drain(..) {
        let done = child.wait_with_output().expect("waited");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn changes_of_one_image_by_several_processes_are_all_made() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let words = |text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let commands: Vec<_> = (0..4)
        .flat_map(|number| {
            [
                words(format!("edit oci:images:v1 --label l{number}=x")),
                words(format!("attach oci:images:v1 --artifact-type application/x.n{number}")),
            ]
        })
        .collect();
    let subject = sandbox.ok(&["inspect", "-q", "oci:images:v1"]);
    at_once(&sandbox, &commands);
    let labels = shown(&sandbox, &["oci:images:v1", "config"])["config"]["Labels"].clone();
    assert_eq!(labels, json!({"l0": "x", "l1": "x", "l2": "x", "l3": "x"}));
    // Attached to whatever the name stood for: four in all.
    let lists: usize = sandbox.layout("images").index()["manifests"]
        .as_array()
        .expect("entries")
        .iter()
        .filter(|entry| entry["mediaType"] == "application/vnd.oci.image.index.v1+json")
        .map(|entry| {
            let index = sandbox.layout("images").document(entry["digest"].as_str().expect("text"));
            index["manifests"].as_array().map_or(0, Vec::len)
        })
        .sum();
    assert_eq!(lists, 4, "of {subject}");
    assert!(names(&sandbox.path("images/.plimsoll/staging")).is_empty());
}
