//! `validate` from outside: which findings are told, in which form, and what
//! the exit code says.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::Sandbox;

/// An image with one error, one warning and one note.
fn faulty(sandbox: &Sandbox) {
    sandbox.image();
    let layout = sandbox.layout("images");
    let (mut manifest, mut config) = layout.only();
    manifest["annotations"] = json!({"key": "<&\"\u{1}>"});
    config["config"]["Env"] = json!(["NOTHING"]);
    config["config"]["ArgsEscaped"] = json!(true);
    layout.replace("v1", manifest, &config);
}

/// The rules that a report tells of.
fn rules(report: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(report).expect("one JSON document");
    let findings = report["images"][0]["findings"].as_array().expect("findings").clone();
    findings.iter().map(|one| one["rule"].as_str().expect("a rule").to_owned()).collect()
}

#[test]
fn what_packs_is_without_any_finding() {
    let sandbox = Sandbox::new();
    sandbox.image();
    for place in ["oci-archive:o.tar", "docker-archive:d.tar:example.test/app:v1", "dir:d"] {
        sandbox.ok(&["copy", "oci:images:v1", place]);
    }
    sandbox.ok(&["copy", "oci:images:v1", "store:app:v1"]);
    for place in [
        "oci:images",
        "oci:images:v1",
        "./images",
        "oci-archive:o.tar",
        "./o.tar",
        "app:v1",
        "dir:d",
        "./d.tar",
    ] {
        sandbox.ok(&["validate", place, "--deny", "notes"]);
    }
    let mut command = sandbox.command(&["validate", "-", "--deny", "notes"]);
    command.stdin(Stdio::from(fs::File::open(sandbox.path("o.tar")).expect("there")));
    assert!(command.output().expect("started").status.success());
}

#[test]
fn findings_are_chosen_by_role_rule_and_level() {
    let sandbox = Sandbox::new();
    faulty(&sandbox);
    let text = sandbox.run(&["validate", "oci:images:v1"]);
    assert_eq!(text.code, 6);
    for line in [
        "error[CF13]: config: /config/Env/0: found \"NOTHING\"",
        "warning[AN4]: top: /annotations: found \"key\"",
        "note[CF17]: config: /config/ArgsEscaped",
    ] {
        assert!(text.stdout.contains(line), "{line}: {}", text.stdout);
    }
    let json = |words: &[&str]| {
        let words = [&["validate", "oci:images:v1", "--format", "json"], words].concat();
        let done = sandbox.run(&words);
        (done.code, rules(&done.stdout))
    };
    let told = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(json(&["--rule", "an4"]), (0, told(&["AN4"])));
    assert_eq!(json(&["--rule", "AN4", "--deny", "warnings"]), (6, told(&["AN4"])));
    assert_eq!(json(&["--rule", "CF17", "--deny", "warnings"]).0, 0);
    assert_eq!(json(&["--rule", "CF17", "--deny", "notes"]).0, 6);
    assert_eq!(json(&["--rule", "CF17", "--rule", "AN4"]), (0, told(&["AN4", "CF17"])));
    assert_eq!(json(&["--role", "engine"]), (0, told(&[])));
    assert_eq!(json(&["--role", "builder"]).0, 6);
    sandbox.fails(2, &["validate", "oci:images:v1", "--rule", "XX1"]);
    sandbox.fails(3, &["validate", "oci:nothing"]);
}

#[test]
fn a_baseline_tells_only_what_is_new() {
    let sandbox = Sandbox::new();
    faulty(&sandbox);
    sandbox.fails(6, &["validate", "oci:images", "--write-baseline", "known.json"]);
    let check = ["validate", "oci:images", "--baseline", "known.json", "--deny", "notes"];
    assert!(sandbox.ok(&check).contains("findings of the baseline not told"));
    // Built anew, it has another digest and the same findings.
    let layout = sandbox.layout("images");
    let (mut manifest, config) = layout.only();
    manifest["annotations"]["com.example.new"] = json!("x");
    layout.replace("v1", manifest, &config);
    sandbox.ok(&["gc", "oci:images"]);
    sandbox.ok(&["validate", "oci:images", "--baseline", "known.json"]);
    // Damage is new, whatever is known.
    let digest = layout.index()["manifests"][0]["digest"].as_str().expect("a digest").to_owned();
    let mut bytes = layout.blob(&digest);
    *bytes.last_mut().expect("some") = b' ';
    fs::write(layout.blob_path(&digest), bytes).expect("written");
    let done = sandbox.run(&check);
    assert!(done.code == 6 && done.stdout.contains("error[LA11 E_DIGEST]"), "{}", done.stdout);
    sandbox.fails(3, &["validate", "oci:images", "--baseline", "nothing.json"]);
    sandbox.write("bad.json", "{}");
    sandbox.fails(6, &["validate", "oci:images", "--baseline", "bad.json"]);
    let known = fs::read(sandbox.path("known.json")).expect("written");
    let known: Value = serde_json::from_slice(&known).expect("JSON");
    crate::schemas::check(&known);
}

#[test]
fn sarif_has_the_rules_and_where_they_are_broken() {
    let sandbox = Sandbox::new();
    faulty(&sandbox);
    sandbox.write("images/blobs/sha256/a b", "x");
    let done = sandbox.run(&["validate", "oci:images", "--format", "sarif"]);
    assert_eq!(done.code, 6);
    let log: Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    assert!(rules.iter().all(|rule| rule["help"]["text"].is_string()));
    let results = run["results"].as_array().expect("results");
    assert!(results.len() >= 4, "{results:#?}");
    for result in results {
        let index = result["ruleIndex"].as_u64().expect("an index");
        assert_eq!(rules[usize::try_from(index).expect("small")]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().expect("text")));
        let uri = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        let uri = uri.as_str().expect("a URI");
        assert!(!uri.contains([' ', ':']) && !uri.starts_with('/'), "{uri}");
    }
    assert!(done.stdout.contains("blobs/sha256/a%20b"));
}

#[test]
fn junit_has_a_test_for_each_rule() {
    let sandbox = Sandbox::new();
    faulty(&sandbox);
    let done = sandbox.run(&["validate", "oci:images:v1", "--format", "junit"]);
    assert_eq!(done.code, 6);
    let tests = done.stdout.matches("<testcase ").count();
    assert!(tests > 100 && done.stdout.matches("<failure ").count() == 1, "{}", done.stdout);
    assert!(done.stdout.contains(&format!("tests=\"{tests}\" failures=\"1\"")));
    assert!(!done.stdout.contains('\u{1}'));
    let words = ["validate", "oci:images:v1", "--format", "junit", "--rule", "AN4"];
    let done = sandbox.run(&words);
    assert_eq!((done.code, done.stdout.matches("<testcase ").count()), (0, 1));
    assert!(done.stdout.contains("<system-out>warning[AN4]"), "{}", done.stdout);
}

#[test]
fn rules_are_explained_with_examples() {
    let sandbox = Sandbox::new();
    let text = sandbox.ok(&["explain", "ly2"]);
    assert!(text.starts_with("LY2  error (MUST NOT, for builder)\n"), "{text}");
    assert!(
        text.contains("good:") && text.contains("bad:") && text.contains("layer.md#"),
        "{text}"
    );
    let all = sandbox.ok(&["explain"]);
    assert!(
        all.contains("\nE_DIGEST") && all.contains("\nLY2 ") && all.contains("\nDE31"),
        "{all}"
    );
    let report = sandbox.json(&["explain", "DE31"]);
    assert_eq!(report["rules"][0]["level"], "error");
    sandbox.fails(3, &["explain", "XX1"]);
}
