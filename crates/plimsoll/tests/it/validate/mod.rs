//! Rules about layers, layouts and whole images; those about documents are
//! held by the tests of `plimsoll-spec`.

mod damage;
mod support;

use std::fs;

use plimsoll::validate::{Baseline, Level, Party, Selection};
use serde_json::{Value, json};

use support::{Bench, Tar, blob_path};

/// The rules that are broken, with their levels, each once.
fn broken(bench: &Bench) -> Vec<(&'static str, Level)> {
    let mut broken: Vec<_> = bench
        .report()
        .findings
        .iter()
        .map(|one| (one.rule.unwrap_or(one.code), one.level))
        .collect();
    broken.sort_unstable();
    broken.dedup();
    broken
}

#[test]
fn a_good_image_has_no_findings() {
    let bench = Bench::new();
    bench.good();
    let report = bench.report();
    assert!(report.valid && report.findings.is_empty(), "{:#?}", report.findings);
    assert_eq!((report.documents, report.blobs, report.entries), (4, 1, 4));
}

#[test]
fn layers_are_judged_entry_by_entry() {
    let base = || Tar::new().dir("d").file("d/f", "text");
    for (id, level, layer) in [
        ("LY2", Level::Error, base().file("d/f", "other")),
        ("LY2", Level::Error, base().file("./d//f", "other")),
        ("LY2", Level::Error, base().file("d", "")),
        ("LY2", Level::Warning, base().dir("d/")),
        ("LY12", Level::Error, base().hard("h", "d")),
        ("LY12", Level::Error, base().hard("h", "nowhere")),
        ("LY20", Level::Error, base().file("d/.wh.", "")),
        ("LY21", Level::Error, base().file("d/.wh..wh.x", "")),
        ("LY21", Level::Error, base().dir("d/.wh.x").file("d/.wh.x/y", "")),
        ("LY24", Level::Error, base().file("d/.wh.g", "text")),
        ("E_LAYER", Level::Note, base().file("e/f", "")),
        ("E_UNSAFE_ENTRY", Level::Error, base().file("d/f/x", "")),
    ] {
        let bench = Bench::new();
        bench.image(&[layer.done()]);
        assert!(broken(&bench).contains(&(id, level)), "{id}: {:?}", broken(&bench));
    }
    let bench = Bench::new();
    bench.image(&[base().file("a", "1").file("b", "2").file("a", "3").done()]);
    let report = bench.report();
    let [finding] = &report.findings[..] else { panic!("{:#?}", report.findings) };
    assert_eq!(finding.entry.as_deref(), Some("a"));
    // d, d/f, a and b come before; all but d have a block of content.
    assert_eq!((finding.offset, finding.name), (Some(7 * 512), Some("duplicate-entry")));
    assert_eq!((finding.location.as_str(), finding.roles), ("layer 1", &[Party::Builder][..]));
}

#[test]
fn a_broken_archive_is_told_beside_everything_else() {
    let bench = Bench::new();
    let mut bytes = Tar::new().dir("d").file("d/f", "text").file("d/f", "text").done();
    let end = bytes.len() - 1024;
    bytes.truncate(end);
    let cut = bytes[..bytes.len() - 100].to_vec();
    bench.image(&[cut]);
    let found = broken(&bench);
    assert!(found.contains(&("LY1", Level::Error)), "{found:?}");
    assert!(found.contains(&("LY2", Level::Error)), "{found:?}");
    // Without an end marker all readers see the same.
    let bench = Bench::new();
    bench.image(&[bytes[..end - 1024].to_vec()]);
    assert_eq!(broken(&bench), [("LY1", Level::Warning)]);
}

type Change = fn(&Bench, &mut Value, &mut Value);

/// Changes manifest and config of a good image, which are then written anew.
fn changed(change: Change) -> Bench {
    let bench = Bench::new();
    let (mut manifest, mut config) = bench.good();
    change(&bench, &mut manifest, &mut config);
    bench.replace(manifest, &config);
    bench
}

#[test]
fn documents_are_held_against_each_other() {
    let cases: &[(&str, Level, Change)] = &[
        ("CF22", Level::Error, |_, _, config| {
            config["rootfs"]["diff_ids"] = json!([]);
            config["history"] = json!(null);
        }),
        ("MA17", Level::Note, |_, _, config| {
            config["rootfs"]["diff_ids"] = json!([]);
            config["history"] = json!(null);
        }),
        ("CF22", Level::Error, |_, _, config| {
            config["rootfs"]["diff_ids"][0] = json!(format!("sha256:{}", "0".repeat(64)));
        }),
        ("CF23", Level::Warning, |_, _, config| {
            config["history"] = json!([{"created_by": "a"}, {"created_by": "b"}]);
        }),
        ("CF11", Level::Warning, |_, _, config| config["config"]["User"] = json!("nobody")),
        ("CF11", Level::Warning, |_, _, config| config["config"]["User"] = json!("app:nobody")),
        ("IX13", Level::Warning, |_, _, config| config["architecture"] = json!("s390x")),
        ("DE15", Level::Error, |_, manifest, _| manifest["layers"][0]["data"] = json!("e30=")),
        ("DE7", Level::Error, |_, manifest, _| manifest["layers"][0]["size"] = json!(7)),
        ("DE9", Level::Error, |_, manifest, _| manifest["layers"][0]["size"] = json!(-7)),
        ("LA14", Level::Error, |bench, manifest, _| {
            fs::remove_file(bench.path(&blob_path(&manifest["layers"][0]))).expect("there");
        }),
        ("DE23", Level::Note, |bench, manifest, _| {
            let path = bench.path("blobs/multihash+base58");
            fs::create_dir(&path).expect("a folder");
            fs::rename(bench.path(&blob_path(&manifest["layers"][0])), path.join("QmRZxt2b1FVZ"))
                .expect("moved");
            manifest["layers"][0]["digest"] = json!("multihash+base58:QmRZxt2b1FVZ");
        }),
        ("MA25", Level::Warning, |_, manifest, _| {
            manifest["layers"][0]["mediaType"] = json!("application/vnd.example.squashfs");
        }),
        ("LY1", Level::Error, |_, manifest, _| {
            manifest["layers"][0]["mediaType"] =
                json!("application/vnd.oci.image.layer.v1.tar+gzip");
        }),
        ("CO7", Level::Error, |bench, manifest, config| {
            let text = config.to_string().replacen('{', r#"{"os":"linux","#, 1);
            manifest["config"] =
                bench.blob("application/vnd.oci.image.config.v1+json", text.as_bytes());
        }),
    ];
    for (id, level, change) in cases {
        let bench = changed(*change);
        let found = broken(&bench);
        assert!(found.contains(&(*id, *level)), "{id}: {found:?}");
        let errors = found.iter().any(|(_, level)| *level == Level::Error);
        assert_eq!(bench.report().valid, !errors, "{id}: {found:?}");
    }
    // Users that are there, by name and by number.
    for user in ["app", "app:app", "1234", "app:77", ""] {
        let bench = Bench::new();
        let (manifest, mut config) = bench.good();
        config["config"]["User"] = json!(user);
        bench.replace(manifest, &config);
        assert!(broken(&bench).is_empty(), "{user}: {:?}", broken(&bench));
    }
}

#[test]
fn users_are_those_of_the_uppermost_layer() {
    let passwd = |text: &str| Tar::new().dir("etc").file("etc/passwd", text).done();
    let user = |layers: &[Vec<u8>]| {
        let bench = Bench::new();
        let (manifest, mut config) = bench.image(layers);
        config["config"] = json!({"User": "app"});
        bench.replace(manifest, &config);
        broken(&bench).contains(&("CF11", Level::Warning))
    };
    let line = "app:x:1:1::/:\n";
    assert!(!user(&[passwd(line)]));
    assert!(!user(&[passwd("root:x:0:0::/:\n"), passwd(line)]));
    assert!(user(&[passwd(line), passwd("root:x:0:0::/:\n")]));
    assert!(user(&[passwd(line), Tar::new().file("etc/.wh.passwd", "").done()]));
    assert!(user(&[passwd(line), Tar::new().file("etc/.wh..wh..opq", "").done()]));
    assert!(user(&[passwd(line), Tar::new().file(".wh.etc", "").done()]));
    // A whiteout says nothing of its own layer, and a link leads anywhere.
    let both = Tar::new().dir("etc").file("etc/passwd", line).file("etc/.wh.passwd", "").done();
    assert!(!user(&[both]));
    assert!(!user(&[Tar::new().dir("etc").link("etc/passwd", "../x").done()]));
}

#[test]
fn entries_of_an_index_say_what_images_are() {
    let bench = Bench::new();
    let (manifest, config) = bench.good();
    let mut entry = bench.write(manifest, &config);
    entry.as_object_mut().expect("a descriptor").remove("platform");
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]});
    let index = bench.blob("application/vnd.oci.image.index.v1+json", index.to_string().as_bytes());
    bench.list(vec![index]);
    assert_eq!(broken(&bench), [("DE20", Level::Warning), ("IX13", Level::Warning)]);
    // A variant that the config does not name is no contradiction.
    let (manifest, mut config) = bench.good();
    config["architecture"] = json!("arm");
    let mut entry = bench.write(manifest, &config);
    entry["platform"] = json!({"architecture": "arm", "os": "linux", "variant": "v5"});
    bench.list(vec![entry.clone()]);
    assert_eq!(broken(&bench), [("LA13", Level::Note)]);
    // What an index lists and what is not there is usual.
    let (manifest, config) = bench.good();
    let entry = bench.write(manifest, &config);
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]});
    let index = bench.blob("application/vnd.oci.image.index.v1+json", index.to_string().as_bytes());
    bench.list(vec![index]);
    fs::remove_file(bench.path(&blob_path(&entry))).expect("there");
    let found = broken(&bench);
    assert!(found.contains(&("LA14", Level::Warning)) && bench.report().valid, "{found:?}");
}

#[test]
fn artifacts_are_no_images() {
    let bench = Bench::new();
    let (manifest, config) = bench.good();
    let image = bench.write(manifest, &config);
    let mut subject = image.clone();
    let members = subject.as_object_mut().expect("a descriptor");
    members.remove("platform");
    members.remove("annotations");
    let empty = bench.blob("application/vnd.oci.empty.v1+json", b"{}");
    let text = bench.blob("text/plain", b"hello");
    let artifact = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example.sbom.v1",
        "config": empty, "layers": [text], "subject": subject,
    });
    let mut artifact =
        bench.blob("application/vnd.oci.image.manifest.v1+json", artifact.to_string().as_bytes());
    artifact["artifactType"] = json!("application/vnd.example.sbom.v1");
    bench.list(vec![image.clone(), artifact.clone()]);
    assert!(broken(&bench).is_empty(), "{:?}", broken(&bench));
    artifact["artifactType"] = json!("application/vnd.example.other");
    bench.list(vec![image, artifact.clone()]);
    assert_eq!(broken(&bench), [("DE19", Level::Note)]);
    // Its subject may be absent.
    artifact["artifactType"] = json!("application/vnd.example.sbom.v1");
    bench.list(vec![artifact]);
    fs::remove_file(bench.path(&blob_path(&subject))).expect("there");
    assert!(bench.report().valid);
}

#[test]
fn layouts_are_judged_by_the_letter() {
    type Break = fn(&Bench);
    let cases: &[(&str, Level, Break)] = &[
        ("LA4", Level::Error, |bench| bench.remove("oci-layout")),
        ("LA5", Level::Error, |bench| bench.put("oci-layout", b"[]")),
        ("LA6", Level::Error, |bench| bench.put("oci-layout", b"{}")),
        ("LA6", Level::Error, |bench| bench.put("oci-layout", br#"{"imageLayoutVersion":"2"}"#)),
        ("LA8", Level::Error, |bench| bench.remove("index.json")),
        ("LA9", Level::Error, |bench| bench.put("index.json", b"[]")),
        ("CO4", Level::Error, |bench| bench.put("index.json", b"")),
        ("IX7", Level::Error, |bench| bench.put("index.json", br#"{"schemaVersion":2}"#)),
        ("LA11", Level::Error, |bench| {
            bench.put(&format!("blobs/sha256/{}", "0".repeat(64)), b"x");
        }),
        ("LA12", Level::Error, |bench| bench.put("blobs/README", b"x")),
        ("LA12", Level::Error, |bench| bench.put("blobs/sha256/README", b"x")),
        ("LA13", Level::Note, |bench| drop(bench.blob("x/y", b"unreferenced"))),
        ("AN12", Level::Warning, |bench| {
            let text = fs::read_to_string(bench.path("index.json")).expect("there");
            bench.put("index.json", text.replace("\"v1\"", "\"v 1\"").as_bytes());
        }),
    ];
    for (id, level, change) in cases {
        let bench = Bench::new();
        bench.good();
        change(&bench);
        let found = broken(&bench);
        assert!(found.contains(&(*id, *level)), "{id}: {found:?}");
    }
    let bench = Bench::new();
    bench.list(Vec::new());
    fs::remove_dir_all(bench.path("blobs")).expect("there");
    assert_eq!(broken(&bench), [("LA2", Level::Error)]);
    // One entry that can not be read hides no other one.
    let bench = Bench::new();
    let (manifest, config) = bench.good();
    let entry = bench.write(manifest, &config);
    bench.list(vec![json!({"size": "x"}), entry, json!(null)]);
    fs::write(bench.path(&blob_path(&config_of(&bench))), "{}").expect("written");
    let found = broken(&bench);
    for id in ["DE3", "DE5", "DE7", "IX7"] {
        assert!(found.contains(&(id, Level::Error)), "{id}: {found:?}");
    }
    // A folder without any of it is no layout.
    let empty = tempfile::tempdir().expect("a folder");
    assert_eq!(
        support::validate(empty.path()).expect_err("none").code().as_str(),
        "E_NOT_A_LAYOUT"
    );
}

fn config_of(bench: &Bench) -> Value {
    let index: Value =
        serde_json::from_slice(&fs::read(bench.path("index.json")).expect("there")).expect("JSON");
    let manifest = fs::read(bench.path(&blob_path(&index["manifests"][1]))).expect("there");
    serde_json::from_slice::<Value>(&manifest).expect("JSON")["config"].clone()
}

#[test]
fn one_blob_under_two_sizes_is_found() {
    let bench = Bench::new();
    let (manifest, config) = bench.good();
    let entry = bench.write(manifest.clone(), &config);
    let mut other = entry.clone();
    other["size"] = json!(other["size"].as_u64().expect("a number") + 1);
    bench.list(vec![entry, other]);
    assert_eq!(broken(&bench), [("DE7", Level::Error)]);
    // Of two layers, as of two documents.
    let mut twice = manifest;
    let mut second = twice["layers"][0].clone();
    second["size"] = json!(7);
    twice["layers"].as_array_mut().expect("layers").push(second);
    let mut config = config;
    let diff_id = config["rootfs"]["diff_ids"][0].clone();
    config["rootfs"]["diff_ids"].as_array_mut().expect("diff_ids").push(diff_id);
    bench.replace(twice, &config);
    assert_eq!(broken(&bench), [("DE7", Level::Error)]);
}

#[test]
fn an_image_that_is_named_is_judged_with_its_entry() {
    let bench = Bench::new();
    let (manifest, config) = bench.good();
    let mut entry = bench.write(manifest, &config);
    let named = |bench: &Bench| {
        let report = support::validate_named(&bench.path(""), "v1").expect("a report");
        report.findings.iter().filter_map(|one| one.rule).collect::<Vec<_>>()
    };
    assert_eq!(named(&bench), [""; 0]);
    // What is wrong with other entries is not told.
    let other = json!({"mediaType": "application/xml", "digest": "x+y:z", "size": 1});
    entry["urls"] = json!(["a b"]);
    bench.list(vec![other, entry.clone()]);
    assert_eq!(named(&bench), ["DE11"]);
    entry.as_object_mut().expect("a descriptor").remove("urls");
    entry.as_object_mut().expect("a descriptor").remove("platform");
    bench.list(vec![entry.clone()]);
    assert_eq!(named(&bench), ["DE20"]);
    // A list that can not be read is told by rule as well.
    entry["size"] = json!(-1);
    bench.list(vec![entry]);
    assert_eq!(named(&bench), ["DE9"]);
    bench.put("oci-layout", b"{}");
    assert_eq!(named(&bench), ["LA6", "DE9"]);
    bench.good();
    bench.put("oci-layout", br#"{"imageLayoutVersion":"2.0.0"}"#);
    assert_eq!(named(&bench), ["LA6"]);
    bench.remove("oci-layout");
    assert_eq!(named(&bench), ["LA4"]);
    bench.put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    assert!(support::validate_named(&bench.path(""), "v2").is_err(), "there is no such name");
}

#[test]
fn layouts_in_archives_are_judged_by_the_letter() {
    let bench = Bench::new();
    bench.good();
    let judge = |leave: &str, names: &[(&str, &str)]| {
        let file = bench.path("archive.tar");
        fs::write(&file, bench.archive(leave, names)).expect("written");
        let report = support::validate_archive(&file).expect("a report");
        report.findings.iter().filter_map(|one| one.rule).collect::<Vec<_>>()
    };
    assert_eq!(judge("", &[]), [""; 0]);
    assert_eq!(judge("oci-layout", &[]), ["LA4"]);
    assert_eq!(judge("index.json", &[]), ["LA8", "LA13"]);
    assert_eq!(judge("oci-layout", &[("oci-layout", "[]")]), ["LA5"]);
    assert_eq!(judge("", &[("blobs/sha256/README", "x"), ("manifest.json", "[]")]), ["LA12"]);
    let zero = format!("blobs/sha256/{}", "0".repeat(64));
    assert_eq!(judge("", &[(&zero, "x")]), ["LA11", "LA13"]);
}

#[test]
fn docker_images_are_judged_as_such() {
    let bench = Bench::new();
    let (mut manifest, config) = bench.good();
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    manifest["mediaType"] = json!(docker);
    manifest["config"]["mediaType"] = json!("application/vnd.docker.container.image.v1+json");
    manifest["layers"][0]["mediaType"] = json!("application/vnd.docker.image.rootfs.diff.tar");
    bench.replace(manifest.clone(), &config);
    assert!(broken(&bench).is_empty(), "{:?}", broken(&bench));
    // Layers are layers, whatever family the documents are of.
    manifest["layers"] = json!([]);
    bench.replace(manifest, &config);
    assert!(!bench.report().valid);
}

#[test]
fn findings_are_selected_and_known_ones_are_not_told() {
    let bench = changed(|bench, manifest, config| {
        config["config"]["User"] = json!("nobody");
        config["architecture"] = json!("x86_64");
        manifest["annotations"] = json!({"key": "x"});
        bench.put("blobs/README", b"x");
    });
    let all = bench.report();
    assert!(!all.valid && all.findings.len() >= 4, "{:#?}", all.findings);
    let select = |selection: &Selection| {
        let mut report = bench.report();
        let known = selection.apply(&mut report);
        (report.findings.iter().filter_map(|one| one.rule).collect::<Vec<_>>(), report.valid, known)
    };
    let of = |rules: &[&str]| Selection {
        rules: rules.iter().map(|id| (*id).to_owned()).collect(),
        ..Selection::default()
    };
    assert_eq!(select(&of(&["AN4"])), (vec!["AN4"], true, 0));
    let denied = Selection { deny: Some(Level::Warning), ..of(&["AN4"]) };
    assert_eq!(select(&denied), (vec!["AN4"], false, 0));
    let engines = Selection { parties: vec![Party::Engine], ..Selection::default() };
    let told = select(&engines).0;
    assert!(told.contains(&"CF11") && told.contains(&"LA12") && !told.contains(&"AN4"), "{told:?}");

    let baseline = Baseline::of([&all]);
    let again = Baseline::parse(baseline.to_json().as_bytes()).expect("as it was written");
    assert_eq!(again, baseline);
    let known =
        Selection { baseline: Some(again), deny: Some(Level::Note), ..Selection::default() };
    assert_eq!(select(&known), (vec![], true, all.findings.len()));
    // What is new is told.
    bench.put("blobs/sha256/x", b"x");
    assert_eq!(select(&known).0, ["LA12"]);
    for bad in ["", "{}", r#"{"schema":"plimsoll.baseline/v2","findings":[]}"#] {
        assert!(Baseline::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}
