//! Layouts that we write are read by everyone, and the other way round.

use std::fs;

use plimsoll_interop::{Program, Scratch, busybox_rootfs, is_root, peer, peers, run};

/// A layout with one small image, and its digest.
fn small(scratch: &Scratch) -> Option<(Program, String, String)> {
    let plimsoll = Program::new(scratch.path());
    fs::create_dir(scratch.join("tree")).expect("a new folder");
    busybox_rootfs(&scratch.join("tree"))?;
    let layout = scratch.text("images");
    let name = format!("oci:{layout}:v1");
    plimsoll.good(&["pack", &scratch.text("tree"), &name, "--cmd", "/bin/sh"]);
    let digest = plimsoll.good(&["inspect", "-q", &name]).trim().to_owned();
    assert!(digest.starts_with("sha256:"), "{digest}");
    Some((plimsoll, layout, digest))
}

#[test]
fn skopeo_reads_and_copies_our_layout() {
    let scratch = Scratch::new();
    let Some(skopeo) = peer("skopeo") else { return };
    let Some((plimsoll, layout, digest)) = small(&scratch) else { return };
    let ask = |arguments: &[&str]| {
        run(skopeo.command().arg("--insecure-policy").args(arguments)).good("skopeo")
    };
    let inspected = ask(&["inspect", &format!("oci:{layout}:v1")]);
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["Digest"], digest);
    // And we read what it writes.
    let copy = scratch.text("copy");
    ask(&["copy", &format!("oci:{layout}:v1"), &format!("oci:{copy}:v2")]);
    plimsoll.good(&["validate", &format!("oci:{copy}:v2")]);
    assert_eq!(plimsoll.good(&["inspect", "-q", &format!("oci:{copy}:v2")]).trim(), digest);
}

#[test]
fn umoci_lists_and_inspects_our_layout() {
    let scratch = Scratch::new();
    let found = peers("umoci");
    let Some((_, layout, _)) = small(&scratch) else { return };
    for umoci in found {
        let listed = run(umoci.command().args(["ls", "--layout", &layout])).good("umoci ls");
        assert_eq!(listed.trim(), "v1");
        let stat = ["stat", "--json", "--image", &format!("{layout}:v1")];
        let stat = run(umoci.command().args(stat)).good("umoci stat");
        let stat: serde_json::Value = serde_json::from_str(&stat).unwrap();
        assert!(stat["history"].is_array(), "{stat}");
    }
}

#[test]
fn crane_accepts_our_layout() {
    let scratch = Scratch::new();
    let Some(crane) = peer("crane") else { return };
    let Some((_, layout, _)) = small(&scratch) else { return };
    // It reads layouts only when pushing; an address that nobody listens at
    // shows that it has read this one.
    let push = run(crane.command().args(["push", &layout, "127.0.0.1:1/x:v1"]));
    assert!(push.err.contains("127.0.0.1:1"), "{}", push.err);
    assert!(push.err.contains("refused"), "{}", push.err);
}

#[test]
fn oras_fetches_from_our_layout() {
    let scratch = Scratch::new();
    let Some(oras) = peer("oras") else { return };
    let Some((plimsoll, layout, digest)) = small(&scratch) else { return };
    let resolve = ["resolve", "--oci-layout", &format!("{layout}:v1")];
    assert_eq!(run(oras.command().args(resolve)).good("oras resolve").trim(), digest);
    let fetch = ["manifest", "fetch", "--oci-layout", &format!("{layout}:v1")];
    let manifest = run(oras.command().args(fetch)).good("oras manifest fetch");
    let name = format!("oci:{layout}:v1");
    assert_eq!(manifest.trim_end(), plimsoll.good(&["show", &name, "manifest"]).trim_end());
}

#[test]
fn regctl_reads_our_layout() {
    let scratch = Scratch::new();
    let Some(regctl) = peer("regctl") else { return };
    let Some((_, layout, digest)) = small(&scratch) else { return };
    let ask = |arguments: &[&str]| {
        let mut command = regctl.command();
        run(command.env("HOME", scratch.path()).args(arguments)).good("regctl")
    };
    let name = format!("ocidir://{layout}:v1");
    assert_eq!(ask(&["image", "digest", &name]).trim(), digest);
    assert_eq!(ask(&["tag", "ls", &format!("ocidir://{layout}")]).trim(), "v1");
}

#[test]
fn podman_pulls_our_layout() {
    let scratch = Scratch::new();
    let Some(podman) = peer("podman") else { return };
    let Some((_, layout, _)) = small(&scratch) else { return };
    if !is_root("podman with storage of its own") {
        return;
    }
    let mut command = podman.command();
    command.arg("--root").arg(scratch.join("root")).arg("--runroot").arg(scratch.join("run"));
    command.args(["--storage-driver", "vfs", "pull", "-q", &format!("oci:{layout}:v1")]);
    run(&mut command).good("podman pull");
}
