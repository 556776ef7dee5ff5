//! What keeps a layout in order: `gc` and `fsck`.

use std::fs;
use std::path::{Path, PathBuf};

use plimsoll::content::Quiet;
use plimsoll::place::Home;
use plimsoll::reference::Reference;
use serde_json::{Value, json};

use crate::support::{Sandbox, names, sha256};

fn blobs(folder: &Path) -> Vec<PathBuf> {
    let folder = folder.join("blobs/sha256");
    names(&folder).into_iter().map(|name| folder.join(name)).collect()
}

fn kinds(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().map(|finding| finding["kind"].as_str().expect("a kind")).collect()
}

fn report(sandbox: &Sandbox, words: &[&str], code: i32) -> Value {
    let words: Vec<_> = words.iter().copied().chain(["--json"]).collect();
    let done = sandbox.run(&words);
    assert_eq!(done.code, code, "{words:?}: {}{}", done.stdout, done.stderr);
    serde_json::from_str(&done.stdout).expect("a report")
}

#[test]
fn gc_removes_what_no_name_leads_to_and_nothing_else() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["pack", "tree", "oci:images:v2", "--label", "a=b"]);
    sandbox.layout("images").add("text/plain", b"loose");
    assert_eq!(blobs(&sandbox.path("images")).len(), 6);
    sandbox.ok(&["rm", "oci:images:v2"]);
    let dry = report(&sandbox, &["gc", "oci:images", "--dry-run"], 0);
    assert_eq!(dry["blobs"].as_array().expect("blobs").len(), 3);
    assert_eq!(blobs(&sandbox.path("images")).len(), 6);
    let recent = report(&sandbox, &["gc", "oci:images", "--older-than", "1h"], 0);
    assert_eq!(recent["blobs"], json!([]));
    let done = report(&sandbox, &["gc", "oci:images"], 0);
    assert_eq!(done["blobs"], dry["blobs"]);
    assert!(done["bytes"].as_u64().expect("bytes") > 5);
    assert_eq!(blobs(&sandbox.path("images")).len(), 3);
    sandbox.ok(&["validate", "oci:images:v1"]);
    assert_eq!(report(&sandbox, &["gc", "oci:images"], 0)["blobs"], json!([]));
}

#[test]
fn gc_removes_leftovers_and_leaves_what_is_not_ours() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let ours = [
        "images/.plimsoll-1-1.tmp",
        "images/.plimsoll/staging/.plimsoll-1-2.tmp",
        "images/blobs/.plimsoll-1-3.tmp",
        "images/blobs/sha256/.plimsoll-1-4.tmp",
        ".plimsoll-1-5.tmp/blobs/x",
    ];
    let theirs = ["images/oci-put-blob123", "images/blobs/sha256/README", "images/blobs/.DS_Store"];
    for name in ours.iter().chain(&theirs) {
        sandbox.write(name, "x");
    }
    let checked = report(&sandbox, &["fsck", "oci:images"], 0);
    assert_eq!(kinds(&checked).iter().filter(|kind| **kind == "leftover").count(), 5);
    assert_eq!(kinds(&checked).iter().filter(|kind| **kind == "foreign").count(), 3);
    let dry = report(&sandbox, &["gc", "oci:images", "-n"], 0);
    assert_eq!(dry["leftovers"].as_array().expect("paths").len(), 5);
    let done = report(&sandbox, &["gc", "oci:images"], 0);
    assert_eq!(done["leftovers"], dry["leftovers"]);
    for name in ours {
        assert!(!sandbox.path(name).exists(), "{name}");
    }
    for name in theirs {
        assert!(sandbox.path(name).exists(), "{name}");
    }
    assert!(!sandbox.path(".plimsoll-1-5.tmp").exists());
}

#[test]
fn gc_of_the_store_removes_unpacked_layers_of_images_that_are_gone() {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    sandbox.ok(&["pack", "tree", "app:v1"]);
    let config: Value =
        serde_json::from_str(&sandbox.ok(&["show", "app:v1", "config"])).expect("JSON");
    let chain = config["rootfs"]["diff_ids"][0].as_str().expect("a digest");
    let needed = format!("store/cache/layers/{}", chain.replace(':', "/"));
    let gone = format!("store/cache/layers/{}", sha256(b"x").replace(':', "/"));
    let begun = "store/cache/layers/sha256/.plimsoll-1-1.tmp";
    for folder in [&needed, &gone, begun, "store/run/.plimsoll-1-1.tmp"] {
        sandbox.write(&format!("{folder}/diff/file"), "x");
    }
    let dry = report(&sandbox, &["gc", "--dry-run"], 0);
    assert!(sandbox.path(&gone).exists());
    let done = report(&sandbox, &["gc"], 0);
    assert_eq!(done["cache"], dry["cache"]);
    assert_eq!(done["cache"], json!([gone.strip_prefix("store/").expect("a prefix")]));
    assert_eq!(done["leftovers"].as_array().expect("paths").len(), 2);
    assert!(sandbox.path(&needed).exists() && !sandbox.path(&gone).exists());
    assert!(names(&sandbox.path("store/run")).is_empty());
    sandbox.ok(&["rm", "app:v1"]);
    sandbox.ok(&["gc"]);
    assert!(!sandbox.path(&needed).exists());
    assert!(blobs(&sandbox.path("store")).is_empty());
}

#[test]
fn gc_stops_at_what_it_can_not_understand() {
    let sandbox = Sandbox::new();
    let digest = sandbox.image();
    let path = sandbox.layout("images").blob_path(&digest);
    let mut bytes = fs::read(&path).expect("read");
    bytes[5] ^= 1;
    fs::write(&path, bytes).expect("written");
    let errors = sandbox.fails(6, &["gc", "oci:images"]);
    assert!(errors.contains(&digest), "{errors}");
    assert_eq!(blobs(&sandbox.path("images")).len(), 3);
}

#[test]
fn st13_fsck_finds_every_flipped_bit() {
    let sandbox = Sandbox::new();
    sandbox.write("tree/f", "x");
    sandbox.ok(&["pack", "tree", "oci:images:v1"]);
    sandbox.ok(&["tag", "oci:images:v1", "v2"]);
    let home = Home::new(sandbox.path("store"));
    let place =
        Reference::Layout { path: sandbox.path("images"), which: plimsoll::reference::Which::Only };
    let check = || home.fsck(Some(&place), false, &[], &Quiet).expect("checked");
    assert!(check().sound);
    let mut bits = 0;
    for path in blobs(&sandbox.path("images")) {
        let whole = fs::read(&path).expect("read");
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).expect("written");
            let report = check();
            assert!(!report.sound, "bit {bit} of {}", path.display());
            assert_eq!(report.findings.len(), 1);
            assert_eq!(report.findings[0].images, ["v1", "v2"]);
            bits += 1;
        }
        fs::write(&path, whole).expect("written");
    }
    assert!(check().sound && bits > 4000, "{bits}");
}

#[test]
fn fsck_takes_damaged_and_missing_blobs_anew() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["pack", "tree", "oci:good:v1"]);
    sandbox.ok(&["pack", "tree", "oci:images:other", "--label", "a=b"]);
    let whole: Vec<_> = blobs(&sandbox.path("good"))
        .into_iter()
        .map(|path| (path.file_name().expect("a name").to_owned(), fs::read(path).expect("read")))
        .collect();
    type Break = fn(&Path, &[u8]);
    let ways: [Break; 5] = [
        |path, whole| {
            let mut bytes = whole.to_vec();
            bytes[7] ^= 4;
            fs::write(path, bytes).expect("written");
        },
        |path, whole| fs::write(path, &whole[..whole.len() - 1]).expect("written"),
        |path, _| fs::write(path, []).expect("written"),
        |path, _| fs::remove_file(path).expect("removed"),
        |path, _| {
            fs::remove_file(path).expect("removed");
            fs::create_dir(path).expect("made");
        },
    ];
    for (number, way) in ways.into_iter().enumerate() {
        for (name, bytes) in &whole {
            way(&sandbox.path("images/blobs/sha256").join(name), bytes);
        }
        let found = report(&sandbox, &["fsck", "oci:images"], 6);
        let damage = kinds(&found);
        // What a broken document leads to is unknown, unless it is broken too.
        assert!(!damage.is_empty() && damage.len() <= 3, "{number}: {found:#}");
        let repaired =
            report(&sandbox, &["fsck", "oci:images", "--repair", "--from", "oci:good:v1"], 0);
        assert_eq!(repaired["sound"], true, "{repaired:#}");
        for (name, bytes) in &whole {
            let path = sandbox.path("images/blobs/sha256").join(name);
            assert_eq!(fs::read(path).expect("a file"), *bytes, "{number}");
        }
        assert!(report(&sandbox, &["fsck", "oci:images"], 0)["sound"] == true);
        sandbox.ok(&["validate", "oci:images:v1", "oci:images:other"]);
    }
    // What was damaged is kept.
    assert!(!names(&sandbox.path("images/.plimsoll/quarantine")).is_empty());
}

#[test]
fn fsck_without_a_source_puts_damage_away_and_says_what_remains() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let path = blobs(&sandbox.path("images")).remove(0);
    fs::write(&path, "x").expect("written");
    let first = report(&sandbox, &["fsck", "oci:images", "--repair"], 6);
    assert_eq!(kinds(&first), ["content"]);
    assert!(!path.exists());
    // A wrong place has other bytes or none.
    sandbox.write("else/f", "y");
    sandbox.ok(&["pack", "else", "oci:other:v1"]);
    let second = report(&sandbox, &["fsck", "oci:images", "--repair", "--from", "oci:other:v1"], 6);
    assert_eq!(kinds(&second), ["missing"]);
    // Making the same image again heals it too.
    sandbox.ok(&["pack", "tree", "oci:images:v1"]);
    report(&sandbox, &["fsck", "oci:images"], 0);
}

#[test]
fn ly15_fsck_repairs_a_half_written_index_and_header() {
    let sandbox = Sandbox::new();
    let digest = sandbox.image();
    sandbox.ok(&["pack", "tree", "oci:images:v2", "--platform", "linux/amd64", "--label", "a=b"]);
    let whole = fs::read(sandbox.path("images/index.json")).expect("read");
    for bytes in [&b""[..], &whole[..whole.len() / 2], b"[]", b"{}", b"\0\0\0\0"] {
        fs::write(sandbox.path("images/index.json"), bytes).expect("written");
        let found = report(&sandbox, &["fsck", "oci:images"], 6);
        assert_eq!(kinds(&found), ["index"]);
        let done = report(&sandbox, &["fsck", "oci:images", "--repair"], 0);
        assert_eq!(kinds(&done), ["index"]);
        let listed = sandbox.json(&["ls", "oci:images"]);
        assert_eq!(listed["images"].as_array().expect("images").len(), 2);
        sandbox.ok(&["validate", &format!("oci:images@{digest}")]);
    }
    // Names that another place has are taken from there.
    sandbox.ok(&["pack", "tree", "oci:backup:v1"]);
    fs::write(sandbox.path("images/index.json"), "").expect("written");
    let words = ["fsck", "oci:images", "--repair", "--from", "oci:backup"];
    report(&sandbox, &words, 0);
    let listed = sandbox.json(&["ls", "oci:images"]);
    let names: Vec<_> = listed["images"]
        .as_array()
        .expect("images")
        .iter()
        .map(|image| image["name"].clone())
        .collect();
    assert_eq!(names, [json!("v1"), Value::Null]);
    assert_eq!(sandbox.ok(&["inspect", "-q", "oci:images:v1"]).trim(), digest);
    fs::remove_file(sandbox.path("images/index.json")).expect("removed");
    fs::write(sandbox.path("images/oci-layout"), "{").expect("written");
    let found = report(&sandbox, &["fsck", "oci:images"], 6);
    assert_eq!(kinds(&found).len(), 2);
    report(&sandbox, &["fsck", "oci:images", "--repair"], 0);
    sandbox.ok(&["validate", &format!("oci:images@{digest}")]);
}

#[test]
fn fsck_tells_a_wrong_size_a_wrong_kind_and_two_meanings_of_a_name() {
    let sandbox = Sandbox::new();
    let digest = sandbox.image();
    let layout = sandbox.layout("images");
    let index = layout.index();
    let mut wrong = index.clone();
    wrong["manifests"][0]["size"] = json!(1);
    layout.set_index(&wrong);
    let found = report(&sandbox, &["fsck", "oci:images"], 6);
    assert_eq!(kinds(&found), ["size"]);
    assert_eq!(found["findings"][0]["digest"], digest);
    let mut wrong = index.clone();
    wrong["manifests"][0]["mediaType"] = json!("application/vnd.oci.image.index.v1+json");
    layout.set_index(&wrong);
    assert_eq!(kinds(&report(&sandbox, &["fsck", "oci:images"], 6)), ["document"]);
    layout.set_index(&index);
    sandbox.ok(&["pack", "tree", "oci:images:v2", "--label", "a=b"]);
    let mut twice = layout.index();
    twice["manifests"][1]["annotations"]["org.opencontainers.image.ref.name"] = json!("v1");
    layout.set_index(&twice);
    assert_eq!(kinds(&report(&sandbox, &["fsck", "oci:images"], 0)), ["name"]);
}

#[test]
fn tag_takes_a_whole_reference_to_the_same_place() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["tag", "oci:images:v1", "oci:images:v2"]);
    assert_eq!(sandbox.ok(&["ls", "oci:images", "-q"]), "v1\nv2\n");
    let errors = sandbox.fails(2, &["tag", "oci:images:v1", "oci:elsewhere:v2"]);
    assert!(errors.contains("oci:elsewhere"), "{errors}");
}
