//! Archives and folders of images, between us and everybody else.

use std::fs;

use plimsoll_interop::{Peer, Program, Scratch, busybox_rootfs, is_root, peer, peers, run};

/// A layout with one small image called `v1`, and the digest of its config.
fn small(scratch: &Scratch) -> Option<(Program, String)> {
    let plimsoll = Program::new(scratch.path());
    fs::create_dir(scratch.join("tree")).expect("a new folder");
    busybox_rootfs(&scratch.join("tree"))?;
    plimsoll.good(&["pack", "tree", "oci:images:v1", "--cmd", "/bin/sh"]);
    let config = id(&plimsoll, "oci:images:v1");
    Some((plimsoll, config))
}

/// The id of an image: the digest of its config.
fn id(plimsoll: &Program, reference: &str) -> String {
    let manifest = plimsoll.good(&["show", reference, "manifest"]);
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    manifest["config"]["digest"].as_str().expect("a digest").to_owned()
}

fn copy(skopeo: &Peer, scratch: &Scratch, from: &str, to: &str) {
    let mut command = skopeo.command();
    command.current_dir(scratch.path()).args(["--insecure-policy", "copy", from, to]);
    run(&mut command).good("skopeo copy");
}

/// Podman or buildah with a storage of its own.
fn stored(peer: &Peer, scratch: &Scratch, arguments: &[&str]) -> String {
    let mut command = peer.command();
    command.current_dir(scratch.path());
    command.arg("--root").arg(scratch.join("root")).arg("--runroot").arg(scratch.join("run"));
    command.args(["--storage-driver", "vfs"]).args(arguments);
    run(&mut command).good(&format!("{} {}", peer.name, arguments.join(" ")))
}

#[test]
fn skopeo_reads_every_form_and_we_read_what_it_writes() {
    let scratch = Scratch::new();
    let found = peers("skopeo");
    let Some((plimsoll, config)) = small(&scratch) else { return };
    plimsoll.good(&["copy", "oci:images:v1", "oci-archive:o.tar"]);
    plimsoll.good(&["copy", "oci:images:v1", "docker-archive:d.tar:example.test/app:v1"]);
    plimsoll.good(&["copy", "oci:images:v1", "dir:dir"]);
    let forms = ["oci-archive:o.tar:v1", "docker-archive:d.tar:example.test/app:v1", "dir:dir"];
    for (number, skopeo) in found.iter().enumerate() {
        for (at, from) in forms.iter().enumerate() {
            let to = [
                format!("oci:s{number}{at}:v1"),
                format!("oci-archive:s{number}{at}.o.tar:v1"),
                format!("docker-archive:s{number}{at}.d.tar:example.test/app:v1"),
                format!("dir:s{number}{at}.dir"),
            ];
            for to in &to {
                copy(skopeo, &scratch, from, to);
                // On this one way skopeo says gzip of layers that it leaves plain.
                if from.starts_with("docker-archive:") && to.starts_with("dir:") {
                    assert!(plimsoll.run(&["validate", to]).out.contains("announced as gzip"));
                    continue;
                }
                plimsoll.good(&["validate", to]);
                if !to.starts_with("docker-archive:") && !from.starts_with("docker-archive:") {
                    assert_eq!(id(&plimsoll, to), config, "{from} {to}");
                }
            }
        }
    }
}

#[test]
fn what_skopeo_saves_comes_back_the_same() {
    let scratch = Scratch::new();
    let Some(skopeo) = peer("skopeo") else { return };
    let Some((plimsoll, _)) = small(&scratch) else { return };
    copy(&skopeo, &scratch, "oci:images:v1", "docker-archive:s.tar:example.test/app:v1");
    // Into a layout in place and as a stream: the same image.
    plimsoll.good(&["copy", "docker-archive:s.tar", "oci:place"]);
    fs::File::open(scratch.join("s.tar")).expect("there");
    let mut load = plimsoll.command();
    load.args(["load", "-q"]).stdin(fs::File::open(scratch.join("s.tar")).expect("there"));
    let loaded = load.output().expect("started");
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    let digest = plimsoll.good(&["inspect", "-q", "oci:place"]);
    assert_eq!(String::from_utf8_lossy(&loaded.stdout), digest);
    // And out again, to be read by skopeo with the same id and layers.
    plimsoll.good(&["copy", "oci:place:example.test/app:v1", "docker-archive:out.tar"]);
    let inspect = |archive: &str| {
        let arguments = ["--insecure-policy", "inspect", "--config", archive];
        run(skopeo.command().current_dir(scratch.path()).args(arguments)).good("skopeo inspect")
    };
    assert_eq!(inspect("docker-archive:out.tar"), inspect("docker-archive:s.tar"));
}

#[test]
fn podman_and_buildah_load_and_save() {
    let scratch = Scratch::new();
    let (Some(podman), Some(buildah)) = (peer("podman"), peer("buildah")) else { return };
    let Some((plimsoll, config)) = small(&scratch) else { return };
    if !is_root("podman and buildah with a storage of their own") {
        return;
    }
    plimsoll.good(&["copy", "oci:images:v1", "store:example.test/app:v1"]);
    plimsoll.good(&["save", "example.test/app:v1", "-o", "o.tar"]);
    plimsoll.good(&["save", "example.test/app:v1", "-o", "d.tar", "--format", "docker"]);
    let hex = config.strip_prefix("sha256:").expect("sha256");
    for archive in ["o.tar", "d.tar"] {
        stored(&podman, &scratch, &["load", "-q", "-i", archive]);
        let inspect = ["image", "inspect", "--format", "{{.Id}}", "example.test/app:v1"];
        assert_eq!(stored(&podman, &scratch, &inspect).trim(), hex, "{archive}");
        if archive == "o.tar" {
            stored(&podman, &scratch, &["rmi", "-f", "example.test/app:v1"]);
        }
    }
    // What they save is the same image to us.
    for (form, file) in [("docker-archive", "p.d.tar"), ("oci-archive", "p.o.tar")] {
        let save = ["save", "-q", "--format", form, "-o", file, "example.test/app:v1"];
        stored(&podman, &scratch, &save);
        let loaded = plimsoll.good(&["load", "--force", "-i", file]);
        assert_eq!(loaded, "Loaded image: example.test/app:v1\n");
        plimsoll.good(&["validate", "example.test/app:v1", &format!("{form}:{file}")]);
        assert_eq!(id(&plimsoll, &format!("./{file}")), id(&plimsoll, "example.test/app:v1"));
    }
    assert_eq!(id(&plimsoll, "./p.d.tar"), config);
    for (form, file) in [("docker-archive", "b.d.tar"), ("oci-archive", "b.o.tar")] {
        let to = format!("{form}:{file}:example.test/app:v1");
        stored(&buildah, &scratch, &["push", "-q", "example.test/app:v1", &to]);
        plimsoll.good(&["validate", &to]);
        // Out again, for podman.
        let back = format!("oci:back-{file}:example.test/app:v1");
        plimsoll.good(&["copy", &to, &back]);
        plimsoll.good(&["copy", &back, &format!("docker-archive:out-{file}")]);
        stored(&podman, &scratch, &["load", "-q", "-i", &format!("out-{file}")]);
    }
}
