//! Artifacts about images: ours are found by others, theirs by us.

use std::fs;

use plimsoll_interop::{Peer, Program, Scratch, peer, run};

fn image(scratch: &Scratch) -> (Program, String) {
    let plimsoll = Program::new(scratch.path());
    fs::create_dir(scratch.join("tree")).expect("a folder");
    fs::write(scratch.join("tree/file"), "x").expect("a file");
    fs::write(scratch.join("sbom.json"), "{}").expect("a file");
    plimsoll.good(&["pack", "tree", "oci:images:v1"]);
    let layout = scratch.text("images");
    (plimsoll, layout)
}

fn ask(peer: &Peer, scratch: &Scratch, words: &[&str]) -> String {
    let mut command = peer.command();
    command.env("HOME", scratch.path()).current_dir(scratch.path()).args(words);
    run(&mut command).good(&peer.name)
}

#[test]
fn oras_and_we_find_what_the_other_attached() {
    let scratch = Scratch::new();
    let Some(oras) = peer("oras") else { return };
    let (plimsoll, layout) = image(&scratch);
    let name = format!("{layout}:v1");
    let kind = ["--artifact-type", "application/vnd.example.sbom"];
    let ours = plimsoll.good(&["attach", "-q", "oci:images:v1", "sbom.json", kind[0], kind[1]]);
    let found = ask(&oras, &scratch, &["discover", "--oci-layout", &name, "--format", "json"]);
    assert!(found.contains(ours.trim()), "{found}");
    ask(&oras, &scratch, &["attach", "--oci-layout", &name, kind[0], "a/theirs", "sbom.json"]);
    let listed = plimsoll.good(&["referrers", "-q", "oci:images:v1"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let theirs =
        plimsoll.good(&["referrers", "-q", "oci:images:v1", "--artifact-type", "a/theirs"]);
    assert_eq!(theirs.lines().count(), 1, "{theirs}");
    plimsoll.good(&["gc", "oci:images"]);
    assert_eq!(plimsoll.good(&["referrers", "-q", "oci:images:v1"]), listed);
}

#[test]
fn regctl_and_we_find_what_the_other_attached() {
    let scratch = Scratch::new();
    let Some(regctl) = peer("regctl") else { return };
    let (plimsoll, layout) = image(&scratch);
    let name = format!("ocidir://{layout}:v1");
    let kind = ["--artifact-type", "application/vnd.example.sbom"];
    let ours = plimsoll.good(&["attach", "-q", "oci:images:v1", "sbom.json", kind[0], kind[1]]);
    let list = ["artifact", "list", &name, "--format", "{{jsonPretty .}}"];
    let found = ask(&regctl, &scratch, &list);
    assert!(found.contains(ours.trim()), "{found}");
    let put = ["artifact", "put", "--subject", &name, kind[0], "a/theirs", "-f", "sbom.json"];
    ask(&regctl, &scratch, &put);
    let listed = plimsoll.good(&["referrers", "-q", "oci:images:v1"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
}

#[test]
fn skopeo_and_umoci_take_changed_images() {
    let scratch = Scratch::new();
    let Some(skopeo) = peer("skopeo") else { return };
    let (plimsoll, layout) = image(&scratch);
    let words = ["edit", "oci:images:v1", "v2", "--env", "A=b", "--cmd", "/file"];
    plimsoll.good(&words);
    plimsoll.good(&["append", "oci:images:v2", "tree", "-t", "v3"]);
    let copy = format!("oci:{}:v3", scratch.text("copy"));
    let from = format!("oci:{layout}:v3");
    ask(&skopeo, &scratch, &["--insecure-policy", "copy", &from, &copy]);
    let config = ask(&skopeo, &scratch, &["inspect", "--config", &copy]);
    let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(config["config"]["Env"][0], "A=b");
    if let Some(umoci) = peer("umoci") {
        let stat = ask(&umoci, &scratch, &["stat", "--json", "--image", &format!("{layout}:v3")]);
        assert!(stat.contains("plimsoll append"), "{stat}");
    }
}
