//! `kit`: conformance cases from the command line.

use serde_json::Value;

use crate::schemas::check;
use crate::support::Sandbox;

#[test]
fn lists_cases_by_role_rule_and_id() {
    let sandbox = Sandbox::new();
    let list = sandbox.json(&["kit", "ls", "--rule", "DE31"]);
    check(&list);
    let cases = list["cases"].as_array().expect("a list");
    let verdicts: Vec<_> = cases.iter().filter_map(|case| case["verdict"].as_str()).collect();
    assert!(verdicts.contains(&"holds") && verdicts.contains(&"breaks"), "{list}");
    let ids = sandbox.ok(&["kit", "ls", "-q", "--case", "layouts/"]);
    assert!(ids.lines().all(|id| id.starts_with("layouts/")) && ids.lines().count() > 10);
    sandbox.fails(3, &["kit", "ls", "--rule", "XX1"]);
    sandbox.fails(2, &["kit", "ls", "--role", "cook"]);
}

#[test]
fn verdicts_are_about_what_a_command_does() {
    let sandbox = Sandbox::new();
    let run = |command: &str, id: &str| {
        let words =
            ["kit", "run", "--json", "--role", "validator", "--case", id, "--against", command];
        let done = sandbox.run(&words);
        let report: Value = serde_json::from_str(&done.stdout).expect("a report");
        check(&report);
        let verdict = report["outcomes"][0]["verdict"].as_str().expect("text").to_owned();
        assert_eq!(done.code == 0, matches!(&verdict[..], "pass" | "not-applicable"));
        verdict
    };
    let breaks = "documents/digest-sha256-short";
    let lint = "documents/descriptor-without-platform";
    let holds = "documents/descriptor-plain";
    assert_eq!(run("true", holds), "pass");
    assert_eq!(run("false", holds), "refused");
    assert_eq!(run("false", breaks), "pass");
    assert_eq!(run("true", breaks), "fail");
    assert_eq!(run("true", lint), "not-applicable");
    assert_eq!(run("false", lint), "refused");
    assert_eq!(run("grep -q '\"v1\"' {layout}/index.json", holds), "pass");
    assert_eq!(run("test {tag} = v1 && test -d {layout}/blobs/sha256", holds), "pass");
    assert_eq!(run("tar -xf {archive} oci-layout", holds), "pass");
    let named = |said: &str, id: &str| {
        let command = format!("echo '{{\"findings\": [{said}]}}'; exit 6");
        let words = ["kit", "run", "--json", "--role", "validator", "--names-rules"];
        let done = sandbox.run(&[&words[..], &["--case", id, "--against", &command]].concat());
        let report: Value = serde_json::from_str(&done.stdout).expect("a report");
        report["outcomes"][0]["verdict"].as_str().expect("text").to_owned()
    };
    assert_eq!(named(r#"{"rule": "DE30"}"#, breaks), "pass");
    assert_eq!(named(r#"{"rule": "DE5"}, {"rule": "DE30"}"#, breaks), "pass");
    assert_eq!(named(r#"{"rule": "LY2"}"#, breaks), "fail");
    assert_eq!(named(r#"{"rule": "DE30"}, {"rule": "LY2"}"#, breaks), "fail");
}

#[test]
fn a_command_that_hangs_is_ended_with_all_that_it_started() {
    let sandbox = Sandbox::new();
    let words = ["kit", "run", "--json", "--role", "validator", "--timeout", "1"];
    let case = ["--case", "documents/descriptor-plain"];
    let pid = sandbox.path("pid");
    let command = format!("sleep 77 & echo $! > '{}'; wait", pid.display());
    let command = ["--against", &command];
    let done = sandbox.run(&[&words[..], &case, &command].concat());
    let report: Value = serde_json::from_str(&done.stdout).expect("a report");
    assert_eq!(report["outcomes"][0]["verdict"], "timeout");
    assert_eq!(done.code, 1);
    let pid = std::fs::read_to_string(pid).expect("written");
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    assert!(!state.is_ok_and(|state| !state.contains(") Z ")), "it still runs");
}

#[test]
fn a_command_that_is_not_there_is_an_error() {
    let sandbox = Sandbox::new();
    let words = ["kit", "run", "--role", "validator", "--against", "no-such-program {layout}"];
    let said = sandbox.fails(3, &words);
    assert!(said.contains("no-such-program"), "{said}");
    sandbox.fails(2, &["kit", "run", "--against", "true"]);
    sandbox.fails(2, &["kit", "run"]);
    sandbox.fails(3, &["kit", "run", "--adapter", "nobody"]);
    let registry = ["kit", "run", "--role", "validator", "--against", "x {registry}"];
    assert!(sandbox.fails(2, &registry).contains("--registry"));
}

#[test]
fn outcomes_are_saved() {
    let sandbox = Sandbox::new();
    let words = ["kit", "run", "--role", "validator", "--against", "true", "--save", "saved.json"];
    sandbox.run(&[&words[..], &["--case", "layers/zstd"]].concat());
    let saved = std::fs::read(sandbox.path("saved.json")).expect("there");
    let saved: Value = serde_json::from_slice(&saved).expect("JSON");
    assert_eq!(saved[0]["case"], "layers/zstd");
}

#[test]
fn exports_what_other_tools_can_use() {
    let sandbox = Sandbox::new();
    check(&sandbox.json(&["kit", "export", "cases", "--case", "layers/"]));
    sandbox.ok(&["inspect", "oci:cases/layers/zstd/layout:v1"]);
    sandbox.ok(&["inspect", "oci-archive:cases/layers/zstd/image.tar:v1"]);
    assert!(sandbox.fails(1, &["kit", "export", "cases"]).contains("E_EXISTS"));
}
