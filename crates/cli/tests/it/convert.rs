//! `convert`: Docker's and OCI's form, compression, digests, indexes.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Sandbox, names, sha256};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

fn shown(sandbox: &Sandbox, words: &[&str]) -> Value {
    let words: Vec<_> = std::iter::once("show").chain(words.iter().copied()).collect();
    serde_json::from_str(&sandbox.ok(&words)).expect("JSON")
}

fn digest(sandbox: &Sandbox, reference: &str) -> String {
    sandbox.ok(&["inspect", "-q", reference]).trim().to_owned()
}

/// `oci:images:v1` with what only one of the two forms knows.
fn odd(sandbox: &Sandbox) {
    sandbox.image();
    let layout = sandbox.layout("images");
    let (mut manifest, config) = layout.only();
    let mut text = config.to_string();
    text.truncate(text.len() - 1);
    text.push_str(
        r#","container_config":{"Cmd":["x"]},"docker_version":"1.2","x-number":1.50e2,"config":{"Healthcheck":{"Test":["NONE"]},"OnBuild":["RUN x"],"Shell":["/bin/sh"]}}"#,
    );
    manifest["config"] = layout.add(OCI_CONFIG, text.as_bytes());
    manifest["annotations"] = json!({"a": "1", "b": "2"});
    manifest["layers"][0]["annotations"] = json!({"of": "layer"});
    manifest["x-manifest"] = json!({"n": 1});
    layout.replace_manifest("v1", &manifest);
}

#[test]
fn docker_and_back_keeps_config_and_layers_and_names_what_is_lost() {
    let sandbox = Sandbox::new();
    odd(&sandbox);
    let before = shown(&sandbox, &["oci:images:v1"]);
    let done =
        sandbox.run(&["convert", "oci:images:v1", "oci:docker:v1", "--to", "docker", "--json"]);
    let report: Value = serde_json::from_str(&done.stdout).expect("a report");
    let lost: Vec<_> = report["lost"].as_array().expect("a list").iter().collect();
    assert_eq!(lost[0]["what"], "annotations (a, b)");
    assert_eq!(lost[1]["what"], "layer 1: annotations (of)");
    assert_eq!(lost[0]["digest"], digest(&sandbox, "oci:images:v1"));
    let docker = shown(&sandbox, &["oci:docker:v1"]);
    assert_eq!(report["digest"], digest(&sandbox, "oci:docker:v1"));
    assert_eq!(report["manifests"][0]["layers"][0]["state"], "copied");
    assert_eq!(
        docker,
        json!({
            "schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "x-manifest": {"n": 1},
            "config": {
                "mediaType": DOCKER_CONFIG,
                "digest": before["config"]["digest"], "size": before["config"]["size"],
            },
            "layers": [{
                "mediaType": DOCKER_GZIP,
                "digest": before["layers"][0]["digest"], "size": before["layers"][0]["size"],
            }],
        })
    );
    // The config, and with it the id, is the same byte for byte.
    let config = ["show", "oci:docker:v1", "config"];
    assert_eq!(sandbox.ok(&config), sandbox.ok(&["show", "oci:images:v1", "config"]));
    // Back: everything that Docker's form said.
    let back = sandbox.json(&["convert", "oci:docker:v1", "dir:back", "--to", "oci"]);
    assert_eq!(back["lost"], json!([]));
    let mut expected = before.clone();
    expected.as_object_mut().expect("an object").remove("annotations");
    expected["layers"][0].as_object_mut().expect("an object").remove("annotations");
    assert_eq!(shown(&sandbox, &["dir:back"]), expected);
    // What is in that form already is the same, byte for byte.
    for (from, to) in [("oci:images:v1", "oci"), ("oci:docker:v1", "docker")] {
        let again = format!("oci:again:{to}");
        sandbox.ok(&["convert", from, &again, "--to", to, "--compression", "gzip:9"]);
        assert_eq!(digest(&sandbox, &again), digest(&sandbox, from));
        assert_eq!(sandbox.ok(&["show", &again]), sandbox.ok(&["show", from]));
    }
    sandbox.ok(&["validate", "oci:docker:v1", "dir:back", "oci:again:oci"]);
    let stderr =
        sandbox.run(&["convert", "oci:images:v1", "oci:docker:v2", "--to", "docker"]).stderr;
    assert!(stderr.contains("annotations (a, b)"), "{stderr}");
}

#[test]
fn compression_changes_blobs_and_no_diff_id() {
    let sandbox = Sandbox::new();
    let first = sandbox.image();
    let before = shown(&sandbox, &["oci:images:v1"]);
    let mut from = "oci:images:v1".to_owned();
    for how in ["zstd", "none", "zstd:7", "gzip:1", "none", "gzip"] {
        let to = format!("oci:other:{}", how.replace(':', "-"));
        let report = sandbox.json(&["convert", &from, &to, "--compression", how, "--recompress"]);
        assert_eq!(report["manifests"][0]["layers"][0]["state"], "recompressed");
        let now = shown(&sandbox, &[&to]);
        assert_eq!(now["config"], before["config"], "{how}");
        let kind = match how.split(':').next().expect("a word") {
            "none" => "application/vnd.oci.image.layer.v1.tar".to_owned(),
            other => format!("application/vnd.oci.image.layer.v1.tar+{other}"),
        };
        assert_eq!(now["layers"][0]["mediaType"], kind.as_str());
        from = to;
    }
    // The encoder is one, so this is what was packed.
    assert_eq!(digest(&sandbox, "oci:other:gzip"), first);
    sandbox.ok(&["validate", "oci:other:zstd", "oci:other:none", "oci:other:gzip-1"]);
    sandbox.ok(&["export", "oci:images:v1", "-o", "a.tar"]);
    sandbox.ok(&["export", "oci:other:zstd-7", "-o", "b.tar"]);
    assert_eq!(fs::read(sandbox.path("a.tar")).ok(), fs::read(sandbox.path("b.tar")).ok());
    sandbox.ok(&["append", "oci:other:zstd", "tree", "-t", "d2"]);
    sandbox.ok(&["convert", "oci:other:d2", "oci:other:d2", "--to", "docker"]);
    // Docker's form has no zstd: unasked it becomes gzip, asked for it is an error.
    let docker = ["convert", "oci:other:zstd", "oci:other:d", "--to", "docker"];
    sandbox.ok(&docker);
    assert_eq!(shown(&sandbox, &["oci:other:d"])["layers"][0]["mediaType"], DOCKER_GZIP);
    let refused = sandbox.fails(1, &[&docker[..], &["--compression", "zstd"]].concat());
    assert!(refused.contains("E_UNREPRESENTABLE"), "{refused}");
    let words = ["convert", "oci:other:d", "oci:other:dz", "--compression", "zstd"];
    sandbox.fails(1, &words);
    sandbox.fails(1, &["squash", "oci:other:d2", "--compression", "zstd"]);
    sandbox.ok(&[&words[..], &["--to", "oci"]].concat());
    sandbox.fails(2, &["convert", "oci:other:d", "oci:other:x", "--recompress"]);
}

#[test]
fn other_digests_go_into_every_descriptor_and_back() {
    let sandbox = Sandbox::new();
    let first = sandbox.image();
    sandbox.ok(&["append", "oci:images:v1", "tree", "--compression", "zstd", "-t", "v2"]);
    let second = digest(&sandbox, "oci:images:v2");
    for algorithm in ["sha512", "blake3"] {
        let to = format!("oci:{algorithm}:v2");
        let report = sandbox.json(&["convert", "oci:images:v2", &to, "--digest", algorithm]);
        assert_eq!(report["manifests"][0]["layers"][0]["state"], "rehashed");
        for document in [shown(&sandbox, &[&to]), shown(&sandbox, &[&to, "config"])] {
            let text = document.to_string();
            assert!(text.contains(algorithm) && !text.contains("sha256:"), "{text}");
        }
        assert!(digest(&sandbox, &to).starts_with(algorithm));
        sandbox.ok(&["validate", &to]);
        sandbox.ok(&["export", &to, "-o", &format!("{algorithm}.tar")]);
        // Only that kind of blob is there.
        assert_eq!(
            names(&sandbox.path(&format!("{algorithm}/blobs"))),
            if algorithm == "sha512" { ["sha256", "sha512"] } else { ["blake3", "sha256"] }
        );
        assert_eq!(names(&sandbox.path(&format!("{algorithm}/blobs/sha256"))).len(), 0);
        sandbox.ok(&["convert", &to, &format!("oci:back:{algorithm}"), "--digest", "sha256"]);
        assert_eq!(digest(&sandbox, &format!("oci:back:{algorithm}")), second);
        let again = sandbox.ok(&["convert", &to, "oci:again:x", "--digest", algorithm, "-q"]);
        assert_eq!(again.trim(), digest(&sandbox, &to));
    }
    assert_eq!(
        fs::read(sandbox.path("sha512.tar")).ok(),
        fs::read(sandbox.path("blake3.tar")).ok()
    );
    sandbox.ok(&[
        "convert",
        "oci:images:v1",
        "oci:all:v1",
        "--to",
        "docker",
        "--compression",
        "none",
        "--digest",
        "sha512",
    ]);
    sandbox.ok(&["validate", "oci:all:v1"]);
    let refused = sandbox
        .fails(1, &["convert", "oci:images:v1", "x", "--to", "docker", "--digest", "blake3"]);
    assert!(refused.contains("blake3"), "{refused}");
    assert_eq!(digest(&sandbox, "oci:images:v1"), first);
}

/// An index called `all`: two images, one of them in a nested index, and an
/// attestation of the first. Gives the digests of the first and the attestation.
fn tree_of_indexes(sandbox: &Sandbox, artifact: bool) -> (String, String) {
    sandbox.image();
    sandbox.ok(&["edit", "oci:images:v1", "arm", "--set-platform", "linux/arm64"]);
    sandbox.ok(&["edit", "oci:images:v1", "--set-platform", "linux/amd64"]);
    let layout = sandbox.layout("images");
    let entry = |name: &str, platform: &str| {
        let digest = digest(sandbox, &format!("oci:images:{name}"));
        let size = layout.blob(&digest).len();
        json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": size,
            "platform": {"os": "linux", "architecture": platform}, "annotations": {"x": "y"}})
    };
    let (amd, mut arm) = (entry("v1", "amd64"), entry("arm", "arm64"));
    arm.as_object_mut().expect("an object").remove("platform");
    let statement = layout.add("application/vnd.in-toto+json", b"{}");
    let config = json!({"architecture": "unknown", "os": "unknown",
        "rootfs": {"type": "layers", "diff_ids": [statement["digest"]]}});
    let config = layout.add(OCI_CONFIG, config.to_string().as_bytes());
    let attestation = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config,
        "layers": [statement]});
    let mut attestation = layout.add(OCI_MANIFEST, attestation.to_string().as_bytes());
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": amd["digest"]});
    let inner = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [arm], "x": 1.5});
    let inner = layout.add(OCI_INDEX, inner.to_string().as_bytes());
    let mut entries = vec![attestation.clone(), amd.clone(), inner];
    if artifact {
        let empty = layout.add("application/vnd.oci.empty.v1+json", b"{}");
        let other = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "a/b",
            "config": empty, "layers": [empty]});
        entries.push(layout.add(OCI_MANIFEST, other.to_string().as_bytes()));
    }
    let all = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries,
        "annotations": {"of": "index"}, "x": 2});
    let mut all = layout.add(OCI_INDEX, all.to_string().as_bytes());
    all["annotations"] = json!({"org.opencontainers.image.ref.name": "all"});
    let mut index = layout.index();
    index["manifests"].as_array_mut().expect("a list").push(all);
    layout.set_index(&index);
    let text = |value: &Value| value["digest"].as_str().expect("a digest").to_owned();
    (text(&amd), text(&attestation))
}

/// Everything is there and is what it is said to be, whatever else `validate`
/// says of attestations, which call themselves images and have no tree.
fn is_whole(sandbox: &Sandbox, reference: &str) {
    let done = sandbox.run(&["validate", reference, "--json"]);
    let report: Value = serde_json::from_str(&done.stdout).expect("a report");
    for finding in report["images"][0]["findings"].as_array().expect("a list") {
        let bad = ["E_DIGEST", "E_SIZE", "E_DIFF_ID", "E_NOT_FOUND", "E_LAYER"];
        assert!(!bad.contains(&finding["code"].as_str().expect("a code")), "{finding}");
    }
}

#[test]
fn trees_of_indexes_are_converted_as_a_whole() {
    let sandbox = Sandbox::new();
    let (amd, attestation) = tree_of_indexes(&sandbox, true);
    // Nothing to do is nothing done.
    let same = sandbox.json(&["convert", "oci:images:all", "oci:same:all", "--to", "oci"]);
    assert_eq!(same["digest"], same["from"]);
    let report =
        sandbox.json(&["convert", "oci:images:all", "oci:out:all", "--compression", "zstd"]);
    let index = shown(&sandbox, &["oci:out:all"]);
    assert_eq!((&index["annotations"], &index["x"]), (&json!({"of": "index"}), &json!(2)));
    let entries = index["manifests"].as_array().expect("a list");
    assert_eq!(entries.len(), 4);
    // The attestation is the same document, and goes along with the new image.
    assert_eq!(entries[0]["digest"], attestation.as_str());
    assert_ne!(entries[1]["digest"], amd.as_str());
    assert_eq!(entries[0]["annotations"]["vnd.docker.reference.digest"], entries[1]["digest"]);
    assert!(report["warnings"].to_string().contains(&amd), "{report}");
    assert_eq!(entries[1]["annotations"], json!({"x": "y"}));
    let nested = format!("oci:out@{}", entries[2]["digest"].as_str().expect("a digest"));
    assert_eq!(shown(&sandbox, &[&nested])["x"].to_string(), "1.5");
    assert_eq!(shown(&sandbox, &[&nested])["manifests"].as_array().map(Vec::len), Some(1));
    is_whole(&sandbox, "oci:out:all");
    // Under other digests, too.
    sandbox.ok(&["convert", "oci:images:all", "oci:blake:all", "--digest", "blake3"]);
    is_whole(&sandbox, "oci:blake:all");
    let text = sandbox.ok(&["show", "oci:blake:all"]);
    assert!(!text.contains("sha256:"), "{text}");
    // Docker's form has no artifacts.
    let docker = ["convert", "oci:images:all", "oci:docker:all", "--to", "docker"];
    let refused = sandbox.fails(1, &docker);
    assert!(refused.contains("a/b") && refused.contains("--platform"), "{refused}");
    assert!(!sandbox.path("docker").exists());
}

#[test]
fn lists_of_docker_say_platforms_and_hold_no_attestations() {
    let sandbox = Sandbox::new();
    let (_, attestation) = tree_of_indexes(&sandbox, false);
    let report = sandbox.json(&["convert", "oci:images:all", "oci:docker:all", "--to", "docker"]);
    let lost = report["lost"].to_string();
    assert!(lost.contains(&attestation) && lost.contains("annotations (of)"), "{lost}");
    // It lists images with their platforms, and no lists.
    assert!(lost.contains("entry 3: the index"), "{lost}");
    let list = shown(&sandbox, &["oci:docker:all"]);
    assert_eq!(list["mediaType"], DOCKER_LIST);
    let entries = list["manifests"].as_array().expect("a list");
    assert_eq!(entries.len(), 2);
    for (entry, architecture) in entries.iter().zip(["amd64", "arm64"]) {
        assert_eq!(entry["mediaType"], DOCKER_MANIFEST);
        assert_eq!(entry.get("annotations"), None);
        assert_eq!(entry["platform"], json!({"os": "linux", "architecture": architecture}));
    }
    sandbox.ok(&["validate", "oci:docker:all"]);
    sandbox.ok(&["convert", "oci:docker:all", "oci:again:all", "--to", "oci"]);
    sandbox.ok(&["validate", "oci:again:all"]);
}

#[test]
fn platforms_choose_an_image_or_a_smaller_index() {
    let sandbox = Sandbox::new();
    let (amd, attestation) = tree_of_indexes(&sandbox, true);
    let one =
        sandbox.json(&["convert", "oci:images:all", "oci:one:x", "--platform", "linux/amd64"]);
    assert_eq!((&one["digest"], &one["mediaType"]), (&json!(amd), &json!(OCI_MANIFEST)));
    let words = ["convert", "oci:images:all", "oci:two:x", "--platform", "linux/amd64,linux/arm64"];
    sandbox.ok(&words);
    let index = shown(&sandbox, &["oci:two:x"]);
    let digests: Vec<_> = index["manifests"].as_array().expect("a list").iter().collect();
    // Both images, what is attested of them, and nothing else.
    assert_eq!(digests.len(), 3);
    assert_eq!(digests[0]["digest"], attestation.as_str());
    is_whole(&sandbox, "oci:two:x");
    sandbox.fails(3, &["convert", "oci:images:all", "oci:no:x", "--platform", "linux/riscv64"]);
    assert!(!sandbox.path("no").exists());
}

#[test]
fn foreign_and_unknown_layers_are_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let layout = sandbox.layout("images");
    let (mut manifest, mut config) = layout.only();
    let away = json!({"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": sha256(b"away"), "size": 4, "urls": ["https://example.test/layer"]});
    let locked = layout.add("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", b"locked");
    manifest["layers"].as_array_mut().expect("a list").extend([away, locked]);
    let ids = config["rootfs"]["diff_ids"].as_array_mut().expect("a list");
    ids.extend([json!(sha256(b"one")), json!(sha256(b"two"))]);
    layout.replace("v1", manifest.clone(), &config);
    let report = sandbox.json(&[
        "convert",
        "oci:images:v1",
        "oci:out:v1",
        "--to",
        "oci",
        "--compression",
        "zstd",
        "--digest",
        "sha512",
    ]);
    let layers = &report["manifests"][0]["layers"];
    assert_eq!(layers[0]["state"], "recompressed");
    assert_eq!(
        (&layers[1]["state"], &layers[1]["digest"]),
        (&json!("elsewhere"), &json!(sha256(b"away")))
    );
    assert_eq!(
        layers[1]["mediaType"],
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    );
    assert_eq!(
        (&layers[2]["state"], &layers[2]["diffId"]),
        (&json!("rehashed"), &json!(sha256(b"two")))
    );
    assert!(report["warnings"].to_string().contains("encrypted"), "{report}");
    let now = shown(&sandbox, &["oci:out:v1"]);
    assert_eq!(now["layers"][1]["urls"], json!(["https://example.test/layer"]));
    assert_eq!(now["layers"][2]["mediaType"], manifest["layers"][2]["mediaType"]);
    let refused = sandbox.fails(1, &["convert", "oci:images:v1", "oci:d:v1", "--to", "docker"]);
    assert!(refused.contains("E_UNREPRESENTABLE") && refused.contains("layer 3"), "{refused}");
}

#[test]
fn what_was_said_of_other_bytes_is_not_said_any_more() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let layout = sandbox.layout("images");
    let (mut manifest, _) = layout.only();
    manifest["layers"][0]["urls"] = json!(["https://example.test/x"]);
    manifest["layers"][0]["annotations"] = json!({
        "containerd.io/snapshot/stargz/toc.digest": "sha256:x", "kept": "1"});
    layout.replace_manifest("v1", &manifest);
    let report = sandbox.json(&["convert", "oci:images:v1", "oci:out:v1", "--compression", "zstd"]);
    assert_eq!(report["lost"].as_array().map(Vec::len), Some(2), "{report}");
    let layer = &shown(&sandbox, &["oci:out:v1"])["layers"][0];
    assert_eq!((&layer["annotations"], layer.get("urls")), (&json!({"kept": "1"}), None));
    // The same bytes under another digest are what they were.
    sandbox.ok(&["convert", "oci:images:v1", "oci:out:v2", "--digest", "sha512"]);
    let layer = &shown(&sandbox, &["oci:out:v2"])["layers"][0];
    assert_eq!(layer["urls"], json!(["https://example.test/x"]));
    assert_eq!(layer["mediaType"], OCI_GZIP);
}

#[test]
fn what_is_about_the_old_digest_is_counted_and_not_brought() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["attach", "oci:images:v1", "tree/etc/motd", "--artifact-type", "a/b"]);
    let done = sandbox.json(&["convert", "oci:images:v1", "oci:out:v1", "--compression", "zstd"]);
    // The artifact, and not the list of such under a tag.
    assert_eq!(done["referrers"], 1, "{done}");
    assert_eq!(sandbox.json(&["ls", "oci:out"])["images"].as_array().map(Vec::len), Some(1));
    let same = sandbox.json(&["convert", "oci:images:v1", "oci:out:v2", "--to", "oci"]);
    assert_eq!(same["referrers"], 0);
    // Another image of the place that is broken is no matter of this one.
    sandbox.ok(&["edit", "oci:images:v1", "broken", "--label", "a=b"]);
    let broken = digest(&sandbox, "oci:images:broken");
    fs::write(sandbox.layout("images").blob_path(&broken), "{}").expect("written");
    let done = sandbox.json(&["convert", "oci:images:v1", "oci:out:v3", "--compression", "none"]);
    assert!(done["warnings"].to_string().contains("could not be counted"), "{done}");
}

#[test]
fn a_damaged_layer_leaves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let layout = sandbox.layout("images");
    let (manifest, config) = layout.only();
    let path = layout.blob_path(manifest["layers"][0]["digest"].as_str().expect("a digest"));
    let good = fs::read(&path).expect("a blob");
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    for words in [&["--compression", "zstd"][..], &["--digest", "blake3"], &["--to", "docker"]] {
        fs::write(&path, &bad).expect("written");
        let all = [&["convert", "oci:images:v1", "oci:out:v1"][..], words].concat();
        let errors = sandbox.fails(6, &all);
        assert!(errors.contains("E_DIGEST"), "{errors}");
        let all = [&["convert", "oci:images:v1", "oci-archive:out.tar"][..], words].concat();
        sandbox.fails(6, &all);
        assert_eq!(sandbox.names(), ["images", "tree"]);
        fs::write(&path, &good).expect("written");
    }
    let mut wrong = config.clone();
    wrong["rootfs"]["diff_ids"][0] = json!(sha256(b"x"));
    layout.replace("v1", manifest, &wrong);
    for words in [["--compression", "zstd"], ["--digest", "blake3"]] {
        let all = [&["convert", "oci:images:v1", "oci:out:v1"][..], &words].concat();
        let errors = sandbox.fails(6, &all);
        assert!(errors.contains("E_DIFF_ID"), "{errors}");
        assert_eq!(sandbox.names(), ["images", "tree"]);
    }
}

#[test]
fn every_kind_of_place_gives_and_takes() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["copy", "oci:images:v1", "docker-archive:d.tar:app:v1"]);
    sandbox.ok(&[
        "convert",
        "docker-archive:d.tar",
        "oci:out:v1",
        "--to",
        "oci",
        "--compression",
        "gzip",
    ]);
    // All the way round, the image is what it was.
    assert_eq!(digest(&sandbox, "oci:out:v1"), digest(&sandbox, "oci:images:v1"));
    let piped = sandbox.command(&["convert", "oci:images:v1", "-", "--compression", "zstd"]);
    let piped = { piped }.output().expect("it starts");
    assert!(piped.status.success());
    fs::write(sandbox.path("z.tar"), piped.stdout).expect("written");
    sandbox.ok(&["convert", "./z.tar", "app:z", "--compression", "none"]);
    sandbox.ok(&["convert", "app:z", "dir:dir", "--to", "docker"]);
    sandbox.ok(&["validate", "./z.tar", "app:z", "dir:dir"]);
    // A name that the source gives takes nobody's place unasked.
    sandbox.fails(1, &["convert", "oci:images:v1", "oci:images", "--compression", "zstd"]);
    sandbox.ok(&["convert", "oci:images:v1", "oci:images", "--compression", "zstd", "--force"]);
    assert_eq!(sandbox.ok(&["ls", "oci:images", "-q"]), "v1\n");
}

#[test]
fn docker_archives_are_made_in_the_same_pass() {
    let sandbox = Sandbox::new();
    odd(&sandbox);
    sandbox.ok(&["append", "oci:images:v1", "tree", "--compression", "zstd", "-t", "v2"]);
    let plain = sandbox.json(&["convert", "oci:images:v2", "docker-archive:a.tar:app"]);
    assert_eq!(
        (&plain["name"], &plain["mediaType"]),
        (&json!("app:latest"), &json!(DOCKER_MANIFEST))
    );
    // What is read out of it again is the manifest that was told of.
    assert_eq!(digest(&sandbox, "./a.tar"), plain["digest"].as_str().expect("a digest"));
    sandbox.ok(&["copy", "oci:images:v2", "docker-archive:b.tar:app:latest"]);
    assert_eq!(fs::read(sandbox.path("a.tar")).ok(), fs::read(sandbox.path("b.tar")).ok());
    // Joined, and through a pipe: one layer of the same tree.
    let joined = ["convert", "oci:images:v2", "docker-archive:-", "--squash"];
    let piped = sandbox.command(&joined).output().expect("it starts");
    assert!(piped.status.success());
    fs::write(sandbox.path("c.tar"), piped.stdout).expect("written");
    sandbox.ok(&["validate", "./a.tar", "./c.tar"]);
    assert_eq!(shown(&sandbox, &["./c.tar"])["layers"].as_array().map(Vec::len), Some(1));
    for (from, to) in [("oci:images:v2", "x.tar"), ("./c.tar", "y.tar")] {
        sandbox.ok(&["export", from, "-o", to]);
    }
    assert_eq!(fs::read(sandbox.path("x.tar")).ok(), fs::read(sandbox.path("y.tar")).ok());
    for words in [
        &["--to", "oci"][..],
        &["--compression", "gzip"],
        &["--digest", "sha512"],
        &["--platform", "linux/amd64,linux/arm64"],
    ] {
        let all = [&["convert", "oci:images:v2", "docker-archive:no.tar"][..], words].concat();
        let errors = sandbox.fails(1, &all);
        assert!(errors.contains("E_UNREPRESENTABLE"), "{errors}");
        assert!(!sandbox.path("no.tar").exists());
    }
}

#[test]
fn what_an_index_says_of_platforms_stays() {
    let sandbox = Sandbox::new();
    tree_of_indexes(&sandbox, false);
    let layout = sandbox.layout("images");
    let mut all = shown(&sandbox, &["oci:images:all"]);
    let platform = json!({"os": "linux", "architecture": "amd64", "variant": "v2", "x": 1});
    all["manifests"][1]["platform"] = platform.clone();
    let mut entry = layout.add(OCI_INDEX, all.to_string().as_bytes());
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "said"});
    let mut index = layout.index();
    index["manifests"].as_array_mut().expect("a list").push(entry);
    layout.set_index(&index);
    let words = ["oci:images:said", "oci:out:x"];
    for verb in [
        &["convert", words[0], words[1], "--compression", "zstd"][..],
        &["edit", words[0], "oci:out:y", "--label", "a=b"],
        &["squash", words[0], "-t", "oci:out:z"],
    ] {
        sandbox.ok(verb);
    }
    for name in ["x", "y", "z"] {
        let index = shown(&sandbox, &[&format!("oci:out:{name}")]);
        assert_eq!(index["manifests"][1]["platform"], platform, "{name}");
    }
}

/// Indexes that list the next one many times are few documents and very many
/// ways (hostile case GR05).
#[test]
fn gr05_indexes_of_many_ways_end() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let layout = sandbox.layout("images");
    let mut inner = layout.index()["manifests"][0].clone();
    inner.as_object_mut().expect("an object").remove("annotations");
    for _ in 0..7 {
        let many = vec![inner; 30];
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": many});
        inner = layout.add(OCI_INDEX, index.to_string().as_bytes());
    }
    inner["annotations"] = json!({"org.opencontainers.image.ref.name": "many"});
    let mut index = layout.index();
    index["manifests"].as_array_mut().expect("a list").push(inner);
    layout.set_index(&index);
    sandbox.ok(&["convert", "oci:images:many", "oci:out:d", "--to", "docker"]);
    sandbox.ok(&["convert", "oci:images:many", "oci:out:z", "--compression", "zstd"]);
    sandbox.ok(&["squash", "oci:images:many", "-t", "oci:out:s"]);
    let words =
        ["convert", "oci:images:many", "oci:out:p", "--platform", "linux/amd64,linux/arm64"];
    sandbox.run(&words);
    assert_eq!(shown(&sandbox, &["oci:out:d"])["manifests"].as_array().map(Vec::len), Some(30));
}
