//! Old forms of images, against the tools that still read some of them.

use std::fs;
use std::process::Command;

use plimsoll_interop::{Program, Scratch, peer, run};
use serde_json::{Value, json};

/// A folder of files as docker 1.10 saves them, `manifest.json` included: the
/// folders of older docker, with one layer that is a link to another.
fn saved(scratch: &Scratch) {
    let save = scratch.join("save");
    let tar = |name: &str, file: &str| {
        fs::create_dir_all(scratch.join("files")).expect("a folder");
        fs::write(scratch.join("files").join(file), file).expect("written");
        let mut command = Command::new("tar");
        command.args(["--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-cf"]);
        command.arg(save.join(name).join("layer.tar")).arg("-C").arg(scratch.join("files"));
        run(command.arg(file)).good("tar");
    };
    let ids = [1, 2, 3].map(|number| format!("{number:064x}"));
    for (number, id) in ids.iter().enumerate() {
        fs::create_dir_all(save.join(id)).expect("a folder");
        fs::write(save.join(id).join("VERSION"), "1.0").expect("written");
        let mut json = json!({
            "id": id, "created": "2015-01-02T03:04:05Z", "architecture": "amd64", "os": "linux",
            "container_config": {"Cmd": ["step", number.to_string()]},
            "config": {"Cmd": ["/bin/sh"], "Env": ["A=b"]},
        });
        if number > 0 {
            json["parent"] = json!(ids[number - 1]);
        }
        fs::write(save.join(id).join("json"), json.to_string()).expect("written");
    }
    tar(&ids[0], "one");
    tar(&ids[1], "two");
    let link = format!("../{}/layer.tar", ids[0]);
    std::os::unix::fs::symlink(link, save.join(&ids[2]).join("layer.tar")).expect("a link");
    let names = json!({"example.test/app": {"v1": ids[2]}});
    fs::write(save.join("repositories"), names.to_string()).expect("written");
    pack(scratch, "old.tar");
    // The config that newer docker makes of it, and the list.
    let plimsoll = Program::new(scratch.path());
    let config = plimsoll.good(&["show", "./old.tar", "config"]);
    let name = format!("{}.json", sha256(&config));
    fs::write(save.join(&name), &config).expect("written");
    let layers = ids.map(|id| format!("{id}/layer.tar"));
    let list = json!([{"Config": name, "RepoTags": ["example.test/app:v1"], "Layers": layers}]);
    fs::write(save.join("manifest.json"), list.to_string()).expect("written");
    pack(scratch, "both.tar");
}

fn pack(scratch: &Scratch, name: &str) {
    let mut command = Command::new("tar");
    command.arg("-cf").arg(scratch.join(name)).arg("-C").arg(scratch.join("save")).arg(".");
    run(&mut command).good("tar");
}

fn sha256(text: &str) -> String {
    use std::io::Write as _;
    let mut child = Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("started");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
    let done = child.wait_with_output().expect("waited");
    String::from_utf8_lossy(&done.stdout).split(' ').next().expect("a digest").to_owned()
}

/// Skopeo reads the folders only where `manifest.json` lists them, so the
/// image without that file is compared with the same one with it.
#[test]
fn folders_of_old_docker_are_the_image_that_skopeo_reads() {
    let scratch = Scratch::new();
    let Some(skopeo) = peer("skopeo") else { return };
    saved(&scratch);
    let plimsoll = Program::new(scratch.path());
    let old = plimsoll.good(&["inspect", "-q", "docker-archive:old.tar:example.test/app:v1"]);
    assert_eq!(plimsoll.good(&["inspect", "-q", "docker-archive:both.tar"]), old);
    let mut refused = skopeo.command();
    refused.current_dir(scratch.path());
    refused.args(["--insecure-policy", "inspect", "docker-archive:old.tar"]);
    let refused = refused.output().expect("started");
    assert!(!refused.status.success(), "skopeo reads it now: compare directly");
    let mut command = skopeo.command();
    command.current_dir(scratch.path());
    command.args(["--insecure-policy", "copy", "docker-archive:both.tar", "oci:theirs:v1"]);
    run(&mut command).good("skopeo copy");
    let config = |place: &str| -> Value {
        serde_json::from_str(&plimsoll.good(&["show", place, "config"])).expect("JSON")
    };
    let (ours, theirs) = (config("docker-archive:old.tar"), config("oci:theirs:v1"));
    for member in ["rootfs", "architecture", "os", "created"] {
        assert_eq!(ours[member], theirs[member], "{member}");
    }
    for member in ["Cmd", "Env"] {
        assert_eq!(ours["config"][member], theirs["config"][member], "{member}");
    }
    assert_eq!(ours["history"].as_array().map(Vec::len), Some(3));
    plimsoll.good(&["unpack", "./old.tar", "a"]);
    plimsoll.good(&["unpack", "oci:theirs:v1", "b"]);
    let mut diff = Command::new("diff");
    diff.arg("-r").arg(scratch.join("a")).arg(scratch.join("b"));
    run(&mut diff).good("diff");
}

#[test]
fn podman_loads_what_comes_out_of_an_old_archive() {
    let scratch = Scratch::new();
    let Some(podman) = peer("podman") else { return };
    if !plimsoll_interop::is_root("podman with a storage of its own") {
        return;
    }
    saved(&scratch);
    let plimsoll = Program::new(scratch.path());
    plimsoll.good(&["copy", "docker-archive:old.tar", "docker-archive:new.tar"]);
    let stored = |arguments: &[&str]| {
        let mut command = podman.command();
        command.current_dir(scratch.path());
        command.arg("--root").arg(scratch.join("root")).arg("--runroot").arg(scratch.join("run"));
        command.args(["--storage-driver", "vfs"]).args(arguments);
        run(&mut command).good("podman")
    };
    stored(&["load", "-q", "-i", "new.tar"]);
    let id = stored(&["image", "inspect", "--format", "{{.Id}}", "example.test/app:v1"]);
    let config = plimsoll.good(&["show", "docker-archive:old.tar", "config"]);
    assert_eq!(id.trim(), sha256(&config));
}

/// A `dir:` folder with the manifest that an old registry has of an image.
fn schema1(plimsoll: &Program, scratch: &Scratch) {
    plimsoll.good(&["copy", "oci:images:v1", "dir:old"]);
    let manifest: Value =
        serde_json::from_str(&plimsoll.good(&["show", "oci:images:v1"])).expect("JSON");
    let blob = &manifest["layers"][0]["digest"];
    let step = |id: u8, rest: Value| {
        let mut step = json!({"id": format!("{id:064x}"), "created": "2015-01-02T03:04:05Z"});
        if id > 1 {
            step["parent"] = json!(format!("{:064x}", id - 1));
        }
        step.as_object_mut().expect("an object").extend(rest.as_object().cloned().expect("one"));
        json!({"v1Compatibility": step.to_string()})
    };
    let top = json!({
        "architecture": "amd64", "os": "linux", "throwaway": true,
        "container_config": {"Cmd": ["/bin/sh", "-c", "#(nop) CMD"]},
        "config": {"Cmd": ["/bin/sh", "-c", "echo $A"], "Env": ["A=b", "PATH=/bin"], "User": "5:6"},
    });
    let bottom = json!({"container_config": {"Cmd": ["/bin/sh", "-c", "add"]}});
    let old = json!({
        "schemaVersion": 1, "name": "example.test/app", "tag": "v1", "architecture": "amd64",
        "fsLayers": [{"blobSum": blob}, {"blobSum": blob}],
        "history": [step(2, top), step(1, bottom)],
    });
    let text = serde_json::to_string_pretty(&old).expect("JSON");
    fs::write(scratch.join("old/manifest.json"), text).expect("written");
}

#[test]
fn schema_1_is_to_skopeo_what_it_is_to_us() {
    let scratch = Scratch::new();
    let Some(skopeo) = peer("skopeo") else { return };
    let plimsoll = Program::new(scratch.path());
    fs::create_dir(scratch.join("tree")).expect("a new folder");
    if plimsoll_interop::busybox_rootfs(&scratch.join("tree")).is_none() {
        return;
    }
    plimsoll.good(&["pack", "tree", "oci:images:v1", "--cmd", "/bin/sh"]);
    schema1(&plimsoll, &scratch);
    let theirs = |arguments: &[&str]| {
        let mut command = skopeo.command();
        command.current_dir(scratch.path()).arg("--insecure-policy").args(arguments);
        run(&mut command).good("skopeo")
    };
    let told: Value = serde_json::from_str(&theirs(&["inspect", "dir:old"])).expect("JSON");
    let digest = plimsoll.good(&["inspect", "-q", "dir:old"]);
    assert_eq!(told["Digest"], json!(digest.trim()));
    theirs(&["copy", "--format", "oci", "dir:old", "oci:theirs:v1"]);
    let config = |place: &str| -> Value {
        serde_json::from_str(&plimsoll.good(&["show", place, "config"])).expect("JSON")
    };
    let (ours, theirs) = (config("dir:old"), config("oci:theirs:v1"));
    for member in ["rootfs", "config", "history", "architecture", "os", "created"] {
        assert_eq!(ours[member], theirs[member], "{member}");
    }
    plimsoll.good(&["validate", "dir:old"]);
    if plimsoll_interop::is_root("running as another user") {
        assert_eq!(plimsoll.good(&["run", "dir:old"]), "b\n");
    }
}

/// An AppC image with busybox, made by GNU tar.
#[test]
fn an_aci_runs_as_its_manifest_says() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.join("app/rootfs/opt/work")).expect("new folders");
    if plimsoll_interop::busybox_rootfs(&scratch.join("app/rootfs")).is_none()
        || !plimsoll_interop::is_root("running as another user")
    {
        return;
    }
    let manifest = json!({
        "acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.test/worker",
        "labels": [{"name": "version", "value": "1.0.0"}],
        "app": {
            "exec": ["sh", "-c", "echo $A $(id -u) $(id -g) $(pwd)"], "user": "100", "group": "300",
            "workingDirectory": "/opt/work", "environment": [{"name": "A", "value": "b"}],
        },
    });
    fs::write(scratch.join("app/manifest"), manifest.to_string()).expect("written");
    let mut command = Command::new("tar");
    command.arg("-czf").arg(scratch.join("app.aci")).arg("-C").arg(scratch.join("app"));
    run(command.args(["manifest", "rootfs"])).good("tar");
    let plimsoll = Program::new(scratch.path());
    assert_eq!(plimsoll.good(&["run", "aci:app.aci"]), "b 100 300 /opt/work\n");
    plimsoll.good(&["copy", "aci:app.aci", "oci:out:app"]);
    assert_eq!(plimsoll.good(&["run", "oci:out:app"]), "b 100 300 /opt/work\n");
    // The image id is the digest of the archive before it was compressed.
    let mut shell = Command::new("sh");
    shell.current_dir(scratch.path()).args(["-c", "gzip -dc app.aci | sha512sum"]);
    let sum = run(&mut shell).good("sha512sum");
    let digits = sum.split(' ').next().expect("a digest");
    let inspected: Value =
        serde_json::from_str(&plimsoll.good(&["inspect", "--json", "oci:out:app"])).expect("JSON");
    assert_eq!(inspected["annotations"]["appc.io/id"], json!(format!("sha512-{digits}")));
    // The tree is the one that tar unpacks, and other tools take the image.
    plimsoll.good(&["unpack", "oci:out:app", "ours"]);
    let mut shell = Command::new("sh");
    let script = "mkdir theirs && tar -xzpf app.aci -C theirs && mv theirs/rootfs tarred &&
        for d in ours tarred; do (cd $d && find . -printf '%p %m %U %G %T@ %l\\n' | sort) > $d.list; done
        diff ours.list tarred.list";
    run(shell.current_dir(scratch.path()).args(["-c", script])).good("diff");
    let Some(skopeo) = peer("skopeo") else { return };
    let mut command = skopeo.command();
    command.current_dir(scratch.path());
    command.args(["--insecure-policy", "copy", "oci:out:app", "docker-archive:o.tar:a/b:c"]);
    run(&mut command).good("skopeo copy");
}

/// Docker loads archives in any of four compressions, and AppC has three.
#[test]
fn archives_are_read_in_whatever_they_are_compressed_with() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.join("app/rootfs")).expect("new folders");
    fs::write(scratch.join("app/rootfs/file"), "content").expect("written");
    let manifest = json!({"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "a.test/b"});
    fs::write(scratch.join("app/manifest"), manifest.to_string()).expect("written");
    let tar = |name: &str, folder: &str, what: &[&str]| {
        let mut command = Command::new("tar");
        command.arg("-cf").arg(scratch.join(name)).arg("-C").arg(scratch.join(folder)).args(what);
        run(&mut command).good("tar");
    };
    tar("app.aci", "app", &["manifest", "rootfs"]);
    tar("tree.tar", "app/rootfs", &["."]);
    let plimsoll = Program::new(scratch.path());
    plimsoll.good(&["pack", "tree.tar", "oci:images:v1"]);
    plimsoll.good(&["copy", "oci:images:v1", "oci-archive:oci.tar"]);
    plimsoll.good(&["copy", "oci:images:v1", "docker-archive:docker.tar:a.test/b:c"]);
    let digest = |place: &str| plimsoll.good(&["inspect", "-q", place]);
    for tool in ["xz -9", "xz -0 --block-size=4KiB", "bzip2 -1", "gzip", "zstd -q"] {
        for name in ["app.aci", "oci.tar", "docker.tar", "tree.tar"] {
            let mut shell = Command::new("sh");
            let script = format!("{tool} -c {name} > packed");
            let packed = shell.current_dir(scratch.path()).args(["-c", &script]);
            if !packed.status().expect("started").success() {
                plimsoll_interop::skip(&format!("no {tool}"));
                continue;
            }
            if name == "tree.tar" {
                plimsoll.good(&["pack", "packed", "oci:again:v1"]);
                assert_eq!(digest("oci:again:v1"), digest("oci:images:v1"), "{tool}");
                continue;
            }
            assert_eq!(digest("./packed"), digest(&format!("./{name}")), "{tool} {name}");
            plimsoll.good(&["load", "-q", "--force", "-i", "packed"]);
            plimsoll.good(&[
                "copy",
                "./packed",
                &format!("oci:{}:v1", tool.replace(' ', "") + name),
            ]);
        }
    }
}
