//! The rule book against what other tools write: no errors, and no warnings
//! but those that are listed here with their reasons.

use std::fs;

use plimsoll_interop::{Peer, Program, Scratch, busybox_rootfs, is_root, peer, peers, run};
use serde_json::Value;

/// What other tools write although the specification says that they should
/// not, and why that is no false alarm.
const KNOWN: &[(&str, &str)] = &[
    ("DE20", "nobody but us writes the platform into the index.json of a layout"),
    ("IX4", "skopeo, podman and buildah 4.3 and older write no mediaType into index.json"),
    ("MA3", "umoci 0.4.7 writes no mediaType into manifests, nor into index.json"),
    ("MA19", "umoci new makes an image without layers"),
];

/// Validates a place as a whole, and gives the warnings and notes that are
/// not known.
fn judge(plimsoll: &Program, place: &str) -> Vec<String> {
    let done = plimsoll.run(&["validate", place, "--json"]);
    let report: Value = serde_json::from_str(&done.out)
        .unwrap_or_else(|_| panic!("{place}: {}{}", done.out, done.err));
    let findings = report["images"][0]["findings"].as_array().expect("findings").clone();
    let mut unknown = Vec::new();
    for finding in findings {
        let id = finding["rule"].as_str().or(finding["code"].as_str()).expect("an id").to_owned();
        let told = format!("{place}: {} {id}: {}", finding["level"], finding["message"]);
        assert_ne!(finding["level"], "error", "{told}");
        // What nothing refers to is left of earlier steps.
        let known = KNOWN.iter().any(|(known, _)| *known == id) || id == "LA13";
        if finding["level"] == "warning" && !known {
            unknown.push(told);
        }
    }
    assert_eq!(done.code, 0, "{place}");
    unknown
}

fn call(peer: &Peer, scratch: &Scratch, words: &[&str]) -> String {
    let mut command = peer.command();
    command.env("HOME", scratch.path()).current_dir(scratch.path()).args(words);
    run(&mut command).good(&format!("{} {}", peer.name, words.join(" ")))
}

/// Podman or buildah with a storage of its own.
fn stored(peer: &Peer, scratch: &Scratch, words: &[&str]) -> String {
    let (root, state) = (scratch.text("root"), scratch.text("state"));
    let own = ["--root", &root, "--runroot", &state, "--storage-driver", "vfs"];
    call(peer, scratch, &[&own, words].concat())
}

fn tree(scratch: &Scratch) -> Option<Program> {
    fs::create_dir(scratch.join("tree")).expect("a folder");
    busybox_rootfs(&scratch.join("tree"))?;
    fs::create_dir_all(scratch.join("tree/etc")).expect("a folder");
    fs::write(scratch.join("tree/etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("a file");
    fs::write(scratch.join("Containerfile"), "FROM scratch\nCOPY tree /\nENV A=b\nLABEL com.example.a=b\nUSER root\nEXPOSE 80/tcp\nVOLUME /data\nSTOPSIGNAL SIGINT\nCMD [\"/bin/sh\"]\n").expect("a file");
    Some(Program::new(scratch.path()))
}

#[test]
fn umoci_breaks_no_rule() {
    let scratch = Scratch::new();
    let Some(plimsoll) = tree(&scratch) else { return };
    if !is_root("unpacking with umoci") {
        return;
    }
    for (number, umoci) in peers("umoci").iter().enumerate() {
        let layout = format!("u{number}");
        let image = |name: &str| format!("{layout}:{name}");
        call(umoci, &scratch, &["init", "--layout", &layout]);
        call(umoci, &scratch, &["new", "--image", &image("v1")]);
        let bundle = format!("b{number}");
        call(umoci, &scratch, &["unpack", "--image", &image("v1"), &bundle]);
        run(std::process::Command::new("cp")
            .args(["-a", "tree/.", &format!("{bundle}/rootfs/")])
            .current_dir(scratch.path()))
        .good("cp");
        call(umoci, &scratch, &["repack", "--image", &image("v2"), &bundle]);
        // A second layer, with whiteouts.
        let second = format!("c{number}");
        call(umoci, &scratch, &["unpack", "--image", &image("v2"), &second]);
        fs::remove_file(scratch.join(&format!("{second}/rootfs/bin/busybox"))).expect("there");
        fs::write(scratch.join(&format!("{second}/rootfs/etc/new")), "x").expect("a file");
        call(umoci, &scratch, &["repack", "--image", &image("v3"), &second]);
        let user = ["--config.user", "root", "--config.env", "A=b", "--author", "me"];
        call(umoci, &scratch, &[&["config", "--image", &image("v3")], &user[..]].concat());
        assert_eq!(judge(&plimsoll, &format!("oci:{layout}")), [""; 0]);
    }
}

#[test]
fn buildah_and_podman_break_no_rule() {
    let scratch = Scratch::new();
    let (Some(podman), Some(buildah)) = (peer("podman"), peer("buildah")) else { return };
    let Some(plimsoll) = tree(&scratch) else { return };
    if !is_root("podman and buildah with a storage of their own") {
        return;
    }
    let mut places = vec!["oci:b".to_owned()];
    stored(&buildah, &scratch, &["bud", "-q", "-t", "built", "."]);
    stored(&buildah, &scratch, &["bud", "-q", "--layers", "-t", "layers", "."]);
    stored(&buildah, &scratch, &["bud", "-q", "--format", "docker", "-t", "docker", "."]);
    let container = stored(&buildah, &scratch, &["from", "built"]);
    let container = container.trim();
    stored(&buildah, &scratch, &["copy", "-q", container, "Containerfile", "/new/"]);
    let config = ["--env", "C=d", "--user", "root", "--port", "8080", "--stop-signal", "SIGTERM"];
    stored(&buildah, &scratch, &[&["config"], &config[..], &[container]].concat());
    stored(&buildah, &scratch, &["commit", "-q", container, "onto"]);
    stored(&buildah, &scratch, &["commit", "-q", "--squash", container, "squashed"]);
    for name in ["built", "layers", "docker", "onto", "squashed"] {
        for place in [
            format!("oci:b:{name}"),
            format!("oci-archive:{name}.o.tar:{name}"),
            format!("docker-archive:{name}.d.tar:example.test/{name}:v1"),
            format!("dir:{name}"),
        ] {
            stored(&buildah, &scratch, &["push", "-q", name, &place]);
            places.push(place.split(':').take(2).collect::<Vec<_>>().join(":"));
        }
    }
    stored(&podman, &scratch, &["build", "-q", "-t", "p", "."]);
    for form in ["oci-archive", "docker-archive"] {
        let file = format!("p.{form}");
        stored(&podman, &scratch, &["save", "-q", "--format", form, "-o", &file, "p"]);
        places.push(format!("{form}:{file}"));
    }
    let unknown: Vec<_> = places.iter().flat_map(|place| judge(&plimsoll, place)).collect();
    assert_eq!(unknown, [""; 0]);
}

#[test]
fn skopeo_crane_regctl_and_oras_break_no_rule() {
    let scratch = Scratch::new();
    let Some(plimsoll) = tree(&scratch) else { return };
    plimsoll.good(&["pack", "tree", "oci:images:v1", "--cmd", "/bin/sh"]);
    let mut places = Vec::new();
    for (number, skopeo) in peers("skopeo").iter().enumerate() {
        for form in ["oci", "oci-archive", "docker-archive", "dir"] {
            let place = format!("{form}:s{number}.{form}");
            let name = match form {
                "dir" => "",
                "docker-archive" => ":example.test/app:v1",
                _ => ":v1",
            };
            let to = format!("{place}{name}");
            call(skopeo, &scratch, &["--insecure-policy", "copy", "-q", "oci:images:v1", &to]);
            places.push(place);
        }
    }
    if let Some(crane) = peer("crane") {
        plimsoll.good(&["export", "oci:images:v1", "-o", "layer.tar"]);
        let words = ["append", "-f", "layer.tar", "-t", "example.test/c:v1", "-o", "crane.tar"];
        call(&crane, &scratch, &words);
        places.push("docker-archive:crane.tar".to_owned());
    }
    if let Some(regctl) = peer("regctl") {
        let (from, to) = (scratch.text("images"), scratch.text("regctl"));
        let (from, to) = (format!("ocidir://{from}:v1"), format!("ocidir://{to}:v1"));
        call(&regctl, &scratch, &["image", "copy", &from, &to]);
        let put = ["artifact", "put", "--artifact-type", "a/b", "--subject", &to];
        call(&regctl, &scratch, &[&put[..], &["-f", "Containerfile"]].concat());
        places.push("oci:regctl".to_owned());
    }
    if let Some(oras) = peer("oras") {
        call(&oras, &scratch, &["push", "--oci-layout", "oras:v1", "Containerfile:text/plain"]);
        let attach = ["attach", "--oci-layout", "oras:v1", "--artifact-type", "a/b"];
        call(&oras, &scratch, &[&attach[..], &["Containerfile"]].concat());
        places.push("oci:oras".to_owned());
    }
    let unknown: Vec<_> = places.iter().flat_map(|place| judge(&plimsoll, place)).collect();
    assert_eq!(unknown, [""; 0]);
}
