//! Images go from place to place: what leaves is what arrives, byte for byte.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use plimsoll::content::{Algorithm, Descriptor, MediaType};
use serde_json::{Value, json};

use crate::support::{Layout, Sandbox, names, sha256};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// All files of a layout but those that are for writing it.
fn snapshot(layout: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = ["oci-layout", "index.json"]
        .map(|name| (name.to_owned(), fs::read(layout.join(name)).expect("a file")))
        .into();
    for algorithm in names(&layout.join("blobs")) {
        for name in names(&layout.join("blobs").join(&algorithm)) {
            let path = format!("blobs/{algorithm}/{name}");
            files.push((path.clone(), fs::read(layout.join(&path)).expect("a blob")));
        }
    }
    files
}

/// Gives the layout's index one more entry.
fn list(layout: &Layout, mut entry: Value, name: Option<&str>) {
    if let Some(name) = name {
        entry["annotations"]["org.opencontainers.image.ref.name"] = json!(name);
    }
    let mut index = layout.index();
    index["manifests"].as_array_mut().expect("a list").push(entry);
    layout.set_index(&index);
}

#[test]
fn layout_to_archive_to_layout_is_the_same() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["copy", "oci:images:v1", "oci-archive:one.tar"]);
    sandbox.ok(&["copy", "oci-archive:one.tar", "oci:back"]);
    assert_eq!(snapshot(&sandbox.path("back")), snapshot(&sandbox.path("images")));
    // Through a stream, and with sizes known only at the end, the same bytes.
    sandbox.ok(&["save", "oci:back:v1", "-o", "two.tar", "-q"]);
    sandbox.ok(&["pack", "tree", "oci-archive:three.tar:v1"]);
    let one = fs::read(sandbox.path("one.tar")).expect("read");
    assert_eq!(fs::read(sandbox.path("two.tar")).expect("read"), one);
    let done = sandbox.command(&["copy", "oci:images:v1", "-"]).output().expect("started");
    assert_eq!(done.stdout, one);
    sandbox.ok(&["validate", "oci-archive:three.tar", "oci-archive:one.tar:v1", "./one.tar"]);
    sandbox.fails(1, &["copy", "oci:images:v1", "oci-archive:one.tar"]);
    let left = ["back", "images", "one.tar", "three.tar", "tree", "two.tar"];
    assert_eq!(sandbox.names(), left);
}

#[test]
fn every_kind_of_place_is_looked_into() {
    let sandbox = Sandbox::new();
    let digest = sandbox.image();
    sandbox.ok(&["copy", "oci:images:v1", "oci-archive:o.tar"]);
    sandbox.ok(&["copy", "oci:images:v1", "docker-archive:d.tar:app:v1"]);
    sandbox.ok(&["copy", "oci:images:v1", "dir:dir"]);
    let config = sandbox.json(&["copy", "oci:images:v1", "docker-archive:e.tar"]);
    let id = config["images"][0]["digest"].as_str().expect("an id").to_owned();
    for (place, same) in [
        ("oci-archive:o.tar:v1", true),
        ("oci-archive:o.tar:@0", true),
        ("./o.tar", true),
        ("./o.tar:v1", true),
        ("dir:dir", true),
        ("./dir", true),
        ("docker-archive:d.tar:app:v1", false),
        ("docker-archive:d.tar", false),
        ("./d.tar:app:v1", false),
        ("./e.tar", false),
    ] {
        sandbox.ok(&["ls", place]);
        let inspected = sandbox.json(&["inspect", place]);
        assert_eq!(inspected["digest"] == json!(digest), same, "{place}");
        sandbox.ok(&["validate", place]);
        // The image id stays in every form.
        assert_eq!(sha256(sandbox.ok(&["show", place, "config"]).as_bytes()), id, "{place}");
        let out = format!("out-{}", place.replace(['/', ':'], "_"));
        sandbox.ok(&["unpack", place, &out]);
        assert_eq!(fs::read(sandbox.path(&out).join("etc/motd")).expect("read"), b"hello\n");
    }
    let errors = sandbox.fails(2, &["tag", "oci-archive:o.tar", "v2"]);
    assert!(errors.contains("plimsoll copy"), "{errors}");
    sandbox.fails(3, &["inspect", "oci-archive:o.tar:nope"]);
    sandbox.fails(3, &["inspect", "docker-archive:missing.tar"]);
    sandbox.write("text.tar", "no archive");
    assert!(sandbox.run(&["inspect", "oci-archive:text.tar"]).code != 0);
}

#[test]
fn what_is_only_read_is_not_changed() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["copy", "oci:images:v1", "oci-archive:o.tar"]);
    sandbox.ok(&["copy", "oci:images:v1", "dir:dir"]);
    let before = fs::read(sandbox.path("o.tar")).expect("read");
    for place in ["oci-archive:o.tar", "dir:dir"] {
        for verb in [
            &["rm", place][..],
            &["tag", place, "oci-archive:o.tar:v2"],
            &["edit", place, "--label", "a=b"],
            &["edit", place, "v2", "--label", "a=b"],
            &["append", place, "tree"],
            &["rebase", place, "--new-base", "oci:images:v1", "--old-base", "oci:images:v1"],
            &["index", "add", place, "oci:images:v1"],
            &["attach", place, "tree/etc/motd", "--artifact-type", "a/b"],
            &["gc", place],
            &["fsck", place],
        ] {
            let errors = sandbox.fails(2, verb);
            assert!(errors.contains("a place that is only read"), "{verb:?}: {errors}");
            assert!(errors.contains(&format!("plimsoll copy {place}")), "{verb:?}: {errors}");
        }
        // What comes of it may go elsewhere, and what only looks is welcome.
        sandbox.ok(&["edit", place, "oci:new:v2", "--label", "a=b"]);
        sandbox.ok(&["history", place]);
        sandbox.ok(&["referrers", place]);
        sandbox.ok(&["export", place, "-o", "tree.tar"]);
        fs::remove_dir_all(sandbox.path("new")).expect("removed");
        fs::remove_file(sandbox.path("tree.tar")).expect("removed");
    }
    assert_eq!(fs::read(sandbox.path("o.tar")).expect("read"), before);
    assert_eq!(fs::read_dir(sandbox.path("dir")).expect("a folder").count(), 4);
}

#[test]
fn limits_hold_in_every_kind_of_place() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["copy", "oci:images:v1", "oci-archive:o.tar"]);
    sandbox.ok(&["copy", "oci:images:v1", "docker-archive:d.tar:app:v1"]);
    sandbox.ok(&["copy", "oci:images:v1", "dir:dir"]);
    for place in ["oci-archive:o.tar", "docker-archive:d.tar", "dir:dir"] {
        let errors = sandbox.fails(6, &["inspect", place, "--limit", "config=10"]);
        assert!(errors.contains("E_LIMIT") && errors.contains("at most 10"), "{place}: {errors}");
        let errors = sandbox.fails(6, &["ls", place, "--limit", "index=10"]);
        assert!(errors.contains("E_LIMIT") && errors.contains("at most 10"), "{place}: {errors}");
    }
    let archive = File::open(sandbox.path("o.tar")).expect("opened");
    let copy = ["copy", "-", "oci:other", "--limit", "index=10"];
    let done = sandbox.command(&copy).stdin(archive).output().expect("started");
    assert_eq!(done.status.code(), Some(6), "{done:?}");
}

#[test]
fn bundles_of_archives_are_repacked() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["copy", "oci:images:v1", "oci-archive:o.tar"]);
    sandbox.ok(&["copy", "oci:images:v1", "docker-archive:d.tar:app:v1"]);
    for place in ["oci-archive:o.tar", "docker-archive:d.tar", "./o.tar"] {
        sandbox.ok(&["bundle", place, "bundle", "--entrypoint", "/bin/tool"]);
        sandbox.write("bundle/rootfs/new", "new");
        let repacked = sandbox.json(&["repack", "bundle", "oci:out:v2"]);
        assert_eq!(
            (&repacked["added"], &repacked["baseLayers"]),
            (&json!(1), &json!(1)),
            "{place}"
        );
        sandbox.ok(&["validate", "oci:out:v2"]);
        fs::remove_dir_all(sandbox.path("bundle")).expect("removed");
    }
    let archive = File::open(sandbox.path("o.tar")).expect("opened");
    let done = sandbox
        .command(&["bundle", "-", "bundle", "--entrypoint", "/bin/tool"])
        .stdin(archive)
        .output();
    assert!(done.expect("started").status.success());
    let errors = sandbox.fails(3, &["repack", "bundle", "oci:out:v3"]);
    assert!(errors.contains("--base REF"), "{errors}");
    sandbox.ok(&["repack", "bundle", "oci:out:v3", "--base", "oci-archive:o.tar"]);
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_with_both() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["copy", "oci:images", "oci:images2:v1"]);
    fs::rename(sandbox.path("images2"), sandbox.path("images:v1")).expect("moved");
    let errors = sandbox.fails(2, &["inspect", "./images:v1"]);
    assert!(errors.contains("what lies at ./images:v1, or \"v1\" in ./images"), "{errors}");
    let errors = sandbox.fails(2, &["copy", "oci:images", "./new.tar"]);
    assert!(errors.contains("oci-archive:./new.tar"), "{errors}");
}

#[test]
fn nested_indexes_unknown_artifacts_and_odd_digests_are_carried() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let layout = sandbox.layout("images");
    let (mut manifest, _) = layout.only();
    let old = manifest["layers"][0].clone();
    let bytes = layout.blob(old["digest"].as_str().expect("a digest"));
    // The same layer under two more algorithms, in images of their own.
    let mut entries = vec![layout.index()["manifests"][0].clone()];
    for algorithm in [Algorithm::Sha512, Algorithm::Blake3] {
        let blob = Descriptor::of(MediaType::from("x/y"), algorithm, &bytes);
        let path = layout.blob_path(&blob.digest.to_string());
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, &bytes).expect("written");
        manifest["layers"][0]["digest"] = json!(blob.digest);
        let text = manifest.to_string();
        let mut entry = layout.add(MANIFEST, text.as_bytes());
        if algorithm == Algorithm::Blake3 {
            // And a manifest whose own digest is one.
            let blob = Descriptor::of(MediaType::from(MANIFEST), algorithm, text.as_bytes());
            fs::write(layout.blob_path(&blob.digest.to_string()), &text).expect("written");
            entry = serde_json::to_value(blob).expect("JSON");
        }
        entries.push(entry);
    }
    // An artifact of a kind that nobody knows, and a blob that is no manifest.
    let blob = layout.add("application/x-odd", b"odd bytes");
    let artifact = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x-odd",
        "config": layout.add("application/vnd.oci.empty.v1+json", b"{}"), "layers": [blob],
    });
    entries.push(layout.add(MANIFEST, artifact.to_string().as_bytes()));
    entries.push(layout.add("application/x-unknown", b"whatever it is"));
    for entry in &mut entries {
        entry.as_object_mut().expect("an object").remove("annotations");
    }
    let inner = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    let inner = layout.add(INDEX, inner.to_string().as_bytes());
    let outer = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner]});
    let outer = layout.add(INDEX, outer.to_string().as_bytes());
    layout.set_index(&json!({"schemaVersion": 2, "manifests": []}));
    list(&layout, outer.clone(), Some("all"));
    sandbox.ok(&["validate", "oci:images:all"]);

    let report = sandbox.json(&["copy", "oci:images:all", "oci-archive:all.tar"]);
    let blobs = report["blobs"].as_array().expect("a list");
    assert!(blobs.iter().all(|blob| blob["state"] == "copied"), "{report:#}");
    sandbox.ok(&["copy", "oci-archive:all.tar", "oci:back"]);
    let back = sandbox.layout("back");
    for blob in blobs {
        let digest = blob["digest"].as_str().expect("a digest");
        assert_eq!(back.blob(digest), layout.blob(digest), "{digest}");
    }
    assert_eq!(back.index()["manifests"][0]["digest"], outer["digest"]);
    sandbox.ok(&["validate", "oci:back:all", "oci-archive:all.tar"]);
    // A second time nothing is copied, and the proof is as long.
    let again = sandbox.json(&["copy", "oci:images:all", "oci:back"]);
    assert_eq!(again["bytes"], 0);
    assert_eq!(again["blobs"].as_array().map(Vec::len), Some(blobs.len()));
    assert!(again["blobs"].as_array().expect("a list").iter().all(|b| b["state"] == "present"));
}

#[test]
fn a_platform_is_chosen_and_its_digest_stays() {
    let sandbox = Sandbox::new();
    for platform in ["amd64", "arm64"] {
        sandbox.write(&format!("trees/linux/{platform}/file"), platform);
    }
    let platforms = "linux/amd64,linux/arm64";
    sandbox.ok(&["pack", "trees", "oci:images:v1", "--platform", platforms]);
    let all = sandbox.json(&["inspect", "oci:images:v1"]);
    let mut images = all["images"].as_array().expect("a list").iter();
    let arm = images.find(|image| image["platform"] == "linux/arm64").expect("one");
    let copied = sandbox.json(&["copy", "oci:images:v1", "oci:one", "--platform", "linux/arm64"]);
    assert_eq!(copied["images"][0]["digest"], arm["digest"]);
    assert_eq!(copied["blobs"].as_array().map(Vec::len), Some(3));
    let errors = sandbox.fails(3, &["copy", "oci:images:v1", "docker-archive:d.tar"]);
    assert!(errors.contains("linux/amd64, linux/arm64"), "{errors}");
    sandbox.ok(&["copy", "oci:images:v1", "docker-archive:d.tar", "--platform", "linux/arm64"]);
    sandbox.fails(3, &["copy", "oci:images:v1", "oci:two", "--platform", "linux/s390x"]);
    assert!(!sandbox.path("two").exists());
}

#[test]
fn referrers_come_along_when_asked_for() {
    let sandbox = Sandbox::new();
    let digest = sandbox.image();
    let layout = sandbox.layout("images");
    let empty = layout.add("application/vnd.oci.empty.v1+json", b"{}");
    let mut subject = layout.index()["manifests"][0].clone();
    subject.as_object_mut().expect("an object").remove("annotations");
    let mut chain = Vec::new();
    for depth in 0..3 {
        let referrer = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x-about",
            "config": empty, "layers": [empty], "subject": subject,
            "annotations": {"depth": depth.to_string()},
        });
        subject = layout.add(MANIFEST, referrer.to_string().as_bytes());
        list(&layout, subject.clone(), None);
        chain.push(subject["digest"].clone());
    }
    let tag = format!("{}.sig", digest.replace(':', "-"));
    let signature = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": empty, "layers": [],
    });
    list(&layout, layout.add(MANIFEST, signature.to_string().as_bytes()), Some(&tag));
    let alone = sandbox.json(&["copy", "oci:images:v1", "oci:alone", "--no-signatures"]);
    assert_eq!(alone["images"].as_array().map(Vec::len), Some(1));
    // Signatures come along unasked, and nothing else.
    let signed = sandbox.json(&["copy", "oci:images:v1", "oci:signed"]);
    assert_eq!(signed["images"].as_array().map(Vec::len), Some(2));
    assert_eq!(signed["images"][1]["name"], json!(tag));
    for to in ["oci:with", "oci-archive:with.tar"] {
        let with = sandbox.json(&["copy", "oci:images:v1", to, "--referrers"]);
        let images = with["images"].as_array().expect("a list");
        let found: Vec<_> = images.iter().map(|image| image["digest"].clone()).collect();
        assert_eq!(found[1..4], chain[..]);
        assert_eq!(images[4]["name"], json!(tag));
        sandbox.ok(&["validate", &format!("{to}:v1")]);
    }
    // From there on as well.
    let on = sandbox.json(&["copy", "oci-archive:with.tar:v1", "oci:on", "--referrers"]);
    assert_eq!(on["images"].as_array().map(Vec::len), Some(5));
    sandbox.fails(1, &["copy", "oci:images:v1", "dir:d", "--referrers"]);
    assert!(!sandbox.path("d").exists());
}

#[test]
fn gr03_gr16_endless_graphs_are_refused_and_leave_nothing() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let layout = sandbox.layout("images");
    let mut entry = layout.index()["manifests"][0].clone();
    entry.as_object_mut().expect("an object").remove("annotations");
    let mut deep = entry.clone();
    for _ in 0..20 {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [deep]});
        deep = layout.add(INDEX, index.to_string().as_bytes());
    }
    list(&layout, deep, Some("deep"));
    let wide: Vec<_> = (0..10_001).map(|_| entry.clone()).collect();
    let wide = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": wide});
    list(&layout, layout.add(INDEX, wide.to_string().as_bytes()), Some("wide"));
    // A cycle can only be made with a digest that is not that of the bytes.
    let own = format!("sha256:{}", "ab".repeat(32));
    let text = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": INDEX, "digest": own, "size": 300},
    ]});
    let text = format!("{:300}", text.to_string());
    fs::write(layout.blob_path(&own), &text).expect("written");
    list(&layout, json!({"mediaType": INDEX, "digest": own, "size": 300}), Some("round"));
    for name in ["deep", "wide", "round"] {
        for to in ["oci:new", "oci-archive:new.tar", "dir:new"] {
            let from = format!("oci:images:{name}");
            sandbox.fails(6, &["copy", &from, to]);
        }
    }
    assert_eq!(sandbox.names(), ["images", "tree"]);
}

#[test]
fn what_is_missing_or_broken_is_not_copied() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let layout = sandbox.layout("images");
    let (manifest, _) = layout.only();
    let digest = manifest["layers"][0]["digest"].as_str().expect("a digest").to_owned();
    let path = layout.blob_path(&digest);
    let good = fs::read(&path).expect("read");
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    let to = ["oci:new", "oci-archive:new.tar", "docker-archive:new.tar", "dir:new"];
    fs::write(&path, &bad).expect("written");
    for to in to {
        sandbox.fails(6, &["copy", "oci:images:v1", to]);
    }
    fs::remove_file(&path).expect("removed");
    for to in to {
        sandbox.fails(3, &["copy", "oci:images:v1", to]);
    }
    assert_eq!(sandbox.names(), ["images", "tree"]);
}

#[test]
fn save_and_load_go_through_a_pipe() {
    let sandbox = Sandbox::new();
    let digest = sandbox.image();
    sandbox.ok(&["copy", "oci:images:v1", "store:app"]);
    let mut save =
        sandbox.command(&["save", "app", "-"]).stdout(Stdio::piped()).spawn().expect("save");
    let mut load = sandbox.command(&["load", "-"]);
    load.env("PLIMSOLL_STORE", sandbox.path("other")).stdin(save.stdout.take().expect("a pipe"));
    let done = load.output().expect("load");
    assert!(save.wait().expect("ended").success());
    assert_eq!(String::from_utf8_lossy(&done.stdout), "Loaded image: app:latest\n");
    let mut inspect = sandbox.command(&["inspect", "-q", "app"]);
    inspect.env("PLIMSOLL_STORE", sandbox.path("other"));
    let inspected = inspect.output().expect("inspect").stdout;
    assert_eq!(String::from_utf8_lossy(&inspected).trim(), digest);
}

#[test]
fn da09_loading_takes_no_name_over_unasked() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["copy", "oci:images:v1", "store:app:v1"]);
    sandbox.ok(&["save", "app:v1", "-o", "mine.tar"]);
    sandbox.write("tree/etc/motd", "another\n");
    sandbox.ok(&["pack", "tree", "app:v1"]);
    let before = sandbox.ok(&["inspect", "-q", "app:v1"]);
    let errors = sandbox.fails(1, &["load", "-i", "mine.tar"]);
    assert!(errors.contains("--force"), "{errors}");
    assert_eq!(sandbox.ok(&["inspect", "-q", "app:v1"]), before);
    sandbox.ok(&["load", "-i", "mine.tar", "mine:v1"]);
    assert_eq!(sandbox.ok(&["load", "-i", "mine.tar", "--force"]), "Loaded image: app:v1\n");
    assert_ne!(sandbox.ok(&["inspect", "-q", "app:v1"]), before);
}

#[test]
fn docker_archives_hold_several_images_and_give_the_same_bytes() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["copy", "oci:images:v1", "store:app:v1"]);
    sandbox.ok(&["tag", "app:v1", "app:v2"]);
    sandbox.write("tree/etc/motd", "another\n");
    sandbox.ok(&["pack", "tree", "other:v1", "--compression", "zstd"]);
    let words = ["save", "app:v1", "app:v2", "other:v1", "--format", "docker"];
    sandbox.ok(&[&words[..], &["-o", "a.tar"]].concat());
    let piped = sandbox.command(&words).output().expect("started").stdout;
    assert_eq!(piped, fs::read(sandbox.path("a.tar")).expect("read"));
    let listed = sandbox.json(&["ls", "./a.tar"]);
    let found: Vec<_> =
        listed["images"].as_array().expect("a list").iter().map(|image| &image["name"]).collect();
    assert_eq!(found, ["app:v1", "app:v2", "other:v1"]);
    // Into a layout and out again: the same bytes.
    sandbox.ok(&["copy", "docker-archive:a.tar", "oci:back", "--all"]);
    sandbox.ok(&[
        "save",
        "oci:back:app:v1",
        "oci:back:app:v2",
        "oci:back:other:v1",
        "--format",
        "docker",
        "-o",
        "b.tar",
    ]);
    assert_eq!(fs::read(sandbox.path("b.tar")).expect("read"), piped);
}

/// The most memory that a process has used, in kB, and its open files that
/// have no name.
fn watch(child: &mut Child) -> (u64, Vec<String>) {
    let (mut most, mut files) = (0, Vec::new());
    let own = format!("/proc/{}", child.id());
    while child.try_wait().expect("waited").is_none() {
        let status = fs::read_to_string(format!("{own}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
        most = most.max(peak.unwrap_or(0));
        for entry in fs::read_dir(format!("{own}/fd")).into_iter().flatten().flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            let target = target.to_string_lossy().into_owned();
            if target.ends_with(" (deleted)") && !files.contains(&target) {
                files.push(target);
            }
        }
        thread::sleep(Duration::from_millis(2));
    }
    (most, files)
}

#[test]
fn a_large_image_goes_through_a_pipe_in_little_memory() {
    const MEMORY: u64 = 64 << 10;
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("tree")).expect("made");
    let file = File::create(sandbox.path("tree/large")).expect("made");
    file.set_len(200 << 20).expect("grown");
    sandbox.ok(&["pack", "tree", "oci:images:v1", "--compression", "none"]);
    fs::create_dir(sandbox.path("tmp")).expect("made");
    let start = |command: &mut Command| {
        command.env("TMPDIR", sandbox.path("tmp")).spawn().expect("started")
    };
    let mut save =
        start(sandbox.command(&["save", "oci:images:v1", "-", "-q"]).stdout(Stdio::piped()));
    let pipe = save.stdout.take().expect("a pipe");
    let mut load =
        start(sandbox.command(&["load", "-", "app", "-q"]).stdin(pipe).stdout(Stdio::null()));
    let saver = thread::spawn(move || (watch(&mut save), save));
    let (loading, load_files) = watch(&mut load);
    let ((saving, save_files), mut save) = saver.join().expect("watched");
    assert!(load.wait().expect("ended").success() && save.wait().expect("ended").success());
    assert!(loading > 0 && loading < MEMORY, "load used {loading} kB");
    assert!(saving > 0 && saving < MEMORY, "save used {saving} kB");
    assert_eq!((load_files.len(), save_files.len()), (0, 0), "{load_files:?} {save_files:?}");
    assert_eq!(names(&sandbox.path("tmp")), [""; 0]);
    assert_eq!(names(&sandbox.path("store/.plimsoll/staging")), [""; 0]);
    sandbox.ok(&["validate", "app"]);
}
