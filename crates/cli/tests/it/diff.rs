//! `diff`: what differs between folders, images, and in bundles.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::json;

use crate::support::{Sandbox, is_root};

fn sh(sandbox: &Sandbox, script: &str) {
    let script = format!("set -e; umask 022; {script}");
    let done = Command::new("sh").args(["-c", &script]).current_dir(sandbox.path("")).output();
    let done = done.expect("sh starts");
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A tree, and another one made of it: one file more, one other that has two
/// names, one less.
fn two() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.tree("old");
    sh(
        &sandbox,
        "cp -a old new; echo more >> new/etc/motd; mkdir new/srv; echo x > new/srv/f
         rm new/bin/link; touch -r old/bin new/bin; touch -r old new",
    );
    sandbox
}

/// It has two names.
const MOTD: &str = "C /etc/motd\nC /etc/motd2\n";

const CHANGES: &str = "D /bin/link\nC /etc/motd\nC /etc/motd2\nA /srv\nA /srv/f\n";

#[test]
fn folders_and_images_of_them_differ_by_the_same() {
    let sandbox = two();
    sandbox.ok(&["pack", "old", "oci:images:old"]);
    sandbox.ok(&["pack", "new", "oci:images:new"]);
    for (old, new) in [("./old", "./new"), ("oci:images:old", "oci:images:new")] {
        let text = sandbox.ok(&["diff", old, new]);
        assert_eq!(text, format!("{CHANGES}2 added, 2 changed, 1 removed\n"), "{old} {new}");
        assert_eq!(sandbox.ok(&["diff", old, new, "-q"]), CHANGES);
    }
    if !is_root("owners of an image and of a folder") {
        return;
    }
    // An image says nothing of its root.
    let text = sandbox.ok(&["diff", "oci:images:old", "./new", "-q"]);
    assert_eq!(text, format!("C /\n{CHANGES}"));
    let words = ["diff", "./old/", "oci:images:old", "--platform", "linux/amd64"];
    assert_eq!(sandbox.json(&words)["changes"], json!([{"kind": "changed", "path": "/"}]));
}

#[test]
fn the_layer_makes_the_new_of_the_old() {
    let sandbox = two();
    sandbox.ok(&["pack", "old", "oci:images:old"]);
    sandbox.ok(&["pack", "new", "oci:images:new"]);
    let report = sandbox.json(&["diff", "oci:images:old", "oci:images:new", "-o", "layer.tar"]);
    let piped = sandbox.command(&["diff", "oci:images:old", "oci:images:new", "-o", "-"]);
    let piped = { piped }.output().expect("started");
    assert_eq!(piped.stdout, fs::read(sandbox.path("layer.tar")).expect("written"));
    assert!(String::from_utf8_lossy(&piped.stderr).contains("2 added"), "told aside");
    sandbox.ok(&["append", "oci:images:old", "layer.tar", "-t", "made"]);
    let again = sandbox.json(&["diff", "oci:images:made", "oci:images:new"]);
    assert_eq!(again["changes"], json!([]));
    assert_ne!(again["diffId"], report["diffId"]);
    sandbox.ok(&[
        "diff",
        "oci:images:old",
        "oci:images:new",
        "-o",
        "layer.tar.gz",
        "--compression",
        "gzip",
    ]);
    sandbox.ok(&["append", "oci:images:old", "layer.tar.gz", "-t", "made2"]);
    assert_eq!(
        sandbox.json(&["inspect", "oci:images:made2"])["manifest"]["layers"][1]["mediaType"],
        sandbox.json(&["inspect", "oci:images:made"])["manifest"]["layers"][1]["mediaType"]
    );
    // What is there already stays.
    sandbox.fails(1, &["diff", "./old", "./new", "-o", "layer.tar"]);
}

#[test]
fn a_bundle_tells_what_changed_in_it() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["bundle", "oci:images:v1", "work", "--entrypoint", "/bin/tool"]);
    assert_eq!(sandbox.ok(&["diff", "work"]), "0 added, 0 changed, 0 removed\n");
    sh(&sandbox, "echo more >> work/rootfs/etc/motd");
    assert_eq!(sandbox.ok(&["diff", "work", "-q"]), MOTD);
    assert_eq!(sandbox.ok(&["diff", "work", "--paranoid", "-q"]), MOTD);
    // A bundle among two stands for its tree.
    sandbox.ok(&["unpack", "oci:images:v1", "root", "--state", "root.state"]);
    assert_eq!(sandbox.ok(&["diff", "./root", "./work", "-q"]), MOTD);
    sh(&sandbox, "echo other > root/etc/motd");
    assert_eq!(sandbox.ok(&["diff", "root", "--state", "root.state", "-q"]), MOTD);
    let error = sandbox.fails(3, &["diff", "root"]);
    assert!(error.contains("diff OLD NEW"), "{error}");
}

#[test]
fn an_upper_folder_becomes_a_layer() {
    if !is_root("whiteouts") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.image();
    sh(
        &sandbox,
        "mkdir -p upper/etc; touch -d @1 upper; echo new > upper/etc/new; mknod upper/etc/motd c 0 0",
    );
    let text = sandbox.ok(&["diff", "oci:images:v1", "--upper", "upper", "-o", "layer.tar"]);
    assert!(text.contains("D /etc/motd\nA /etc/new\n"), "{text}");
    sandbox.ok(&["append", "oci:images:v1", "layer.tar", "-t", "v2"]);
    sandbox.ok(&["unpack", "oci:images:v2", "out"]);
    assert!(sandbox.path("out/etc/new").exists() && !sandbox.path("out/etc/motd").exists());
    sh(&sandbox, "setfattr -n trusted.overlay.redirect -v /x upper/etc");
    let error = sandbox.fails(1, &["diff", "oci:images:v1", "--upper", "upper"]);
    assert!(error.contains("redirect_dir=off"), "{error}");
}

#[test]
fn names_that_look_like_folders_are_told() {
    let sandbox = two();
    let error = sandbox.fails(3, &["diff", "old", "new"]);
    assert!(error.contains("./old"), "{error}");
    sandbox.fails(3, &["diff", "./old", "./nothing"]);
    sandbox.fails(2, &["diff", "./old", "./new", "--paranoid"]);
    sandbox.fails(2, &["diff", "./old", "./new", "--minimize"]);
    // A link that leads to a tree is one.
    symlink("old", sandbox.path("link")).expect("linked");
    assert_eq!(sandbox.ok(&["diff", "./link", "./old", "-q"]), "");
}
