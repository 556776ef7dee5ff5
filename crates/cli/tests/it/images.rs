//! Making images, looking at them, naming them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::{Value, json};

use crate::support::{Sandbox, names};

#[test]
fn a_folder_becomes_an_image_and_a_folder_again() {
    let sandbox = Sandbox::new();
    let digest = sandbox.image();
    assert!(digest.starts_with("sha256:"));
    let text = sandbox.ok(&["unpack", "oci:images:v1", "out"]);
    assert!(text.contains(&digest), "{text}");
    let out = sandbox.path("out");
    assert_eq!(names(&out), ["a b", "bin", "etc"]);
    assert_eq!(fs::read_to_string(out.join("etc/motd")).expect("read"), "hello\n");
    assert_eq!(fs::read_to_string(out.join("a b/ünï\nx")).expect("read"), "odd name");
    assert_eq!(fs::read_link(out.join("bin/link")).expect("a link").to_str(), Some("../etc/motd"));
    let tool = fs::metadata(out.join("bin/tool")).expect("there");
    assert_eq!(tool.permissions().mode() & 0o7777, 0o4755);
    let (one, two) = (
        fs::metadata(out.join("etc/motd")).expect("there"),
        fs::metadata(out.join("etc/motd2")).expect("there"),
    );
    assert_eq!((one.ino(), one.nlink()), (two.ino(), 2));
    let before = fs::metadata(sandbox.path("tree/etc/motd")).expect("there");
    assert_eq!((one.mtime(), one.mtime_nsec()), (before.mtime(), before.mtime_nsec()));
    assert_eq!(fs::metadata(&out).expect("there").permissions().mode() & 0o7777, 0o755);
}

#[test]
fn the_config_says_what_the_flags_said() {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    sandbox.ok(&[
        "pack",
        "tree",
        "oci:images:v1",
        "--entrypoint",
        "[\"/bin/tool\",\"-x\"]",
        "--cmd",
        "a",
        "--cmd",
        "--b",
        "-e",
        "A=1",
        "-e",
        "A=2",
        "-u",
        "app:extra",
        "-w",
        "/srv",
        "-l",
        "k=v",
        "--annotation",
        "n=w",
        "--expose",
        "80",
        "--volume",
        "/data",
        "--stop-signal",
        "SIGINT",
        "--platform",
        "linux/arm/v6",
        "--author",
        "someone",
        "--compression",
        "zstd:5",
    ]);
    let (manifest, config) = sandbox.layout("images").only();
    assert_eq!(
        config["config"],
        json!({"Entrypoint": ["/bin/tool", "-x"], "Cmd": ["a", "--b"], "Env": ["A=2"], "User": "app:extra", "WorkingDir": "/srv",
               "Labels": {"k": "v"}, "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": {}}, "StopSignal": "SIGINT"})
    );
    assert_eq!(
        (&config["architecture"], &config["variant"], &config["author"]),
        (&json!("arm"), &json!("v6"), &json!("someone"))
    );
    assert_eq!(config.get("created"), None, "no time gets in unasked");
    assert_eq!(manifest["annotations"], json!({"n": "w"}));
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
    assert_eq!(config["history"].as_array().map(Vec::len), Some(1));
}

#[test]
fn several_platforms_make_an_index() {
    let sandbox = Sandbox::new();
    for platform in ["linux/amd64", "linux/arm64"] {
        sandbox.write(&format!("tree/{platform}/which"), platform);
    }
    sandbox.ok(&["pack", "tree", "oci:images:v1", "--platform", "linux/amd64,linux/arm64"]);
    for platform in ["linux/amd64", "linux/arm64"] {
        let out = platform.replace('/', "-");
        sandbox.ok(&["unpack", "oci:images:v1", &out, "--platform", platform]);
        assert_eq!(fs::read_to_string(sandbox.path(&out).join("which")).expect("read"), platform);
    }
    let errors = sandbox.fails(3, &["unpack", "oci:images:v1", "out", "--platform", "linux/s390x"]);
    assert!(
        errors.contains("E_PLATFORM") && errors.contains("linux/amd64, linux/arm64"),
        "{errors}"
    );
    let report = sandbox.json(&["inspect", "oci:images:v1"]);
    assert_eq!(report["images"].as_array().map(Vec::len), Some(2));
    let text = sandbox.ok(&["ls", "oci:images"]);
    assert!(text.contains("index") && text.contains("linux/amd64 linux/arm64"), "{text}");
}

#[test]
fn names_come_and_go() {
    let sandbox = Sandbox::new();
    let digest = sandbox.image();
    sandbox.ok(&["tag", "oci:images:v1", "v2"]);
    sandbox.ok(&["tag", &format!("oci:images@{digest}"), "v3"]);
    let listed = sandbox.json(&["ls", "oci:images"]);
    let names: Vec<_> = listed["images"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|image| image["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["v1", "v2", "v3"]);
    sandbox.ok(&["rm", "oci:images:v1", "--gc"]);
    sandbox.ok(&["validate", "oci:images:v2"]);
    sandbox.ok(&["rm", "oci:images:v2"]);
    let removed = sandbox.json(&["rm", "oci:images:v3", "--gc"]);
    assert_eq!(removed["removedBlobs"].as_array().map(Vec::len), Some(3));
    assert!(sandbox.ok(&["ls", "oci:images"]).contains("no images"));
    assert!(crate::support::names(&sandbox.path("images/blobs/sha256")).is_empty());
}

#[test]
fn the_local_store_is_a_layout_that_anybody_can_read() {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    let digest = sandbox.ok(&["pack", "tree", "app", "-q"]).trim().to_owned();
    assert!(sandbox.ok(&["ls"]).contains("app:latest"));
    for reference in
        ["app", "store:app", "app:latest", &digest[7..19], &digest, "oci:store:app:latest"]
    {
        assert_eq!(sandbox.ok(&["inspect", reference, "-q"]).trim(), digest, "{reference}");
    }
    sandbox.ok(&["tag", "app", "other:v1"]);
    sandbox.ok(&["unpack", "other:v1", "out"]);
    let errors = sandbox.fails(3, &["inspect", "nothing"]);
    assert!(errors.contains("app:latest") && errors.contains("fix:"), "{errors}");
}

#[test]
fn paths_are_looked_at() {
    let sandbox = Sandbox::new();
    let digest = sandbox.image();
    for reference in ["./images:v1", "./images"] {
        assert_eq!(sandbox.ok(&["inspect", reference, "-q"]).trim(), digest);
    }
    let errors = sandbox.fails(3, &["inspect", "./tree"]);
    assert!(errors.contains("E_NOT_A_LAYOUT") && errors.contains("plimsoll pack"), "{errors}");
}

#[test]
fn exact_bytes_are_shown() {
    let sandbox = Sandbox::new();
    let digest = sandbox.image();
    let manifest = sandbox.ok(&["show", "oci:images:v1"]);
    assert_eq!(crate::support::sha256(manifest.as_bytes()), digest);
    let config = sandbox.ok(&["show", "oci:images:v1", "config"]);
    let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    assert_eq!(
        crate::support::sha256(config.as_bytes()),
        manifest["config"]["digest"].as_str().expect("a digest")
    );
    let layer = manifest["layers"][0]["digest"].as_str().expect("a digest");
    sandbox.ok(&["show", "oci:images:v1", "layer", "1", "-o", "layer"]);
    assert_eq!(crate::support::sha256(&fs::read(sandbox.path("layer")).expect("read")), layer);
    sandbox.ok(&["show", "oci:images:v1", "blob", layer, "-o", "blob"]);
    sandbox.fails(3, &["show", "oci:images:v1", "layer", "2"]);
    sandbox.fails(1, &["show", "oci:images:v1", "layer", "1", "-o", "layer"]);
}

#[test]
fn what_no_layer_can_hold_is_refused_by_name() {
    let sandbox = Sandbox::new();
    sandbox.write("tree/etc/.wh.x", "");
    let errors = sandbox.fails(1, &["pack", "tree", "oci:images:v1"]);
    assert!(errors.contains("E_UNREPRESENTABLE") && errors.contains("etc/.wh.x"), "{errors}");
    assert!(!sandbox.path("images").exists());
}

#[test]
fn one_packer_after_another_and_eight_at_once_keep_their_names() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let children: Vec<_> = (0..8)
        .map(|number| {
            let to = format!("oci:images:p{number}");
            let label = format!("n={number}");
            sandbox
                .command(&["pack", "tree", &to, "--label", &label, "-q"])
                .stdout(std::process::Stdio::null())
                .spawn()
                .expect("starts")
        })
        .collect();
    for mut child in children {
        assert!(child.wait().expect("waited").success());
    }
    let listed = sandbox.json(&["ls", "oci:images"]);
    assert_eq!(listed["images"].as_array().map(Vec::len), Some(9));
}

#[test]
fn owners_can_be_mapped_or_recorded() {
    if !crate::support::is_root("giving files away") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    let file = sandbox.path("tree/etc/motd");
    std::os::unix::fs::chown(&file, Some(5), Some(6)).expect("given away");
    let digest = sandbox.ok(&["pack", "tree", "oci:images:v1", "-q"]);
    let owner = |path: &str| {
        let data = fs::symlink_metadata(sandbox.path(path)).expect("there");
        (data.uid(), data.gid())
    };
    let map = ["--uid-map", "0:1000:10", "--gid-map", "0:2000:6,6:7:1"];
    sandbox.ok(&[&["unpack", "oci:images:v1", "mapped"][..], &map].concat());
    assert_eq!(owner("mapped"), (1000, 2000));
    assert_eq!((owner("mapped/etc/motd"), owner("mapped/bin/link")), ((1005, 7), (1000, 2000)));
    let back = sandbox.ok(&[&["pack", "mapped", "oci:images:v2", "-q"][..], &map].concat());
    assert_eq!(back, digest);

    sandbox.ok(&["unpack", "oci:images:v1", "recorded", "--rootless"]);
    assert_eq!(owner("recorded/etc/motd"), (0, 0));
    assert_eq!(sandbox.ok(&["pack", "recorded", "oci:images:v3", "-q"]), digest);

    let few = ["--uid-map", "0:1000:5", "--strict-ids"];
    let error = sandbox.fails(4, &[&["unpack", "oci:images:v1", "strict"][..], &few].concat());
    assert!(error.contains("5:6"), "{error}");
    assert!(!sandbox.path("strict").exists());
    sandbox.fails(2, &["unpack", "oci:images:v1", "x", "--uid-map", "0:0"]);
    sandbox.fails(2, &["unpack", "oci:images:v1", "x", "--rootless", "--uid-map", "0:1:2"]);
}
