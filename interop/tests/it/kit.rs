//! The conformance kit: our own verdict on every case is the right one, and
//! the adapters for other tools do ask them.

use std::process::Command;

use plimsoll_interop::{Program, Scratch, is_root, peer, run};
use serde_json::Value;

/// A command that finds the other tools, the newest first.
fn kit(plimsoll: &Program, words: &[&str]) -> Command {
    let mut command = plimsoll.command();
    let mut folders: Vec<_> =
        ["umoci", "skopeo", "crane", "oras", "regctl", "podman", "buildah", "containerd"]
            .iter()
            .filter_map(|name| peer(name))
            .filter_map(|peer| peer.path.parent().map(ToOwned::to_owned))
            .collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    let path = std::env::join_paths(folders).expect("no colon in them");
    command.arg("kit").args(words).arg("--json").env("PATH", path);
    command
}

fn outcomes(command: &mut Command) -> (i32, Vec<Value>) {
    let output = run(command);
    let report: Value = serde_json::from_str(&output.out)
        .unwrap_or_else(|error| panic!("{error}: {}{}", output.out, output.err));
    (output.code, report["outcomes"].as_array().expect("a list").clone())
}

fn wrong(outcomes: &[Value]) -> Vec<String> {
    let bad = |outcome: &&Value| !matches!(&outcome["verdict"], Value::String(verdict) if verdict == "pass");
    outcomes
        .iter()
        .filter(bad)
        .map(|outcome| format!("{} {}: {}", outcome["verdict"], outcome["case"], outcome["why"]))
        .collect()
}

#[test]
fn plimsoll_passes_every_case() {
    let scratch = Scratch::new();
    let plimsoll = Program::new(scratch.path());
    if !is_root("every case") {
        return;
    }
    let (code, outcomes) =
        outcomes(kit(&plimsoll, &["run", "--adapter", "plimsoll"]).env("TMPDIR", scratch.path()));
    let mut wrong = wrong(&outcomes);
    // There is no server yet to ask.
    wrong.retain(|line| !line.contains("needs --registry"));
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(code, 0);
    assert!(outcomes.len() >= 400, "{}", outcomes.len());
}

#[test]
fn plimsoll_passes_every_case_that_an_ordinary_user_can_judge() {
    let scratch = Scratch::new();
    let Some(setpriv) = peer("setpriv") else { return };
    if !is_root("becoming an ordinary user") {
        return;
    }
    let plimsoll = Program::copied(scratch.path());
    let home = scratch.join("home");
    std::fs::create_dir(&home).expect("made");
    std::os::unix::fs::chown(&home, Some(12_345), Some(12_345)).expect("given");
    let mut command = setpriv.command();
    command
        .args(["--reuid=12345", "--regid=12345", "--clear-groups"])
        .arg(plimsoll.path())
        .args(["kit", "run", "--adapter", "plimsoll", "--json"])
        .env_clear()
        .envs(plimsoll.environment())
        .env("TMPDIR", &home)
        .current_dir(&home);
    let (_, outcomes) = outcomes(&mut command);
    let mut wrong = wrong(&outcomes);
    wrong.retain(|line| !line.contains("needs root") && !line.contains("needs --registry"));
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(outcomes.len() >= 400, "{}", outcomes.len());
}

/// A plain case for each role of each tool that is here.
#[test]
fn adapters_ask_other_tools() {
    let scratch = Scratch::new();
    let plimsoll = Program::new(scratch.path());
    if !is_root("tools with storage of their own") {
        return;
    }
    for (name, cases) in [
        (
            "umoci",
            &["documents/descriptor-plain", "engines/apply/plain", "builders/files/plain"][..],
        ),
        ("skopeo", &["documents/descriptor-plain", "registries/same/index"]),
        ("crane", &["documents/descriptor-plain", "engines/apply/plain", "registries/same/index"]),
        ("oras", &["registries/same/index"]),
        ("regctl", &["registries/same/index"]),
        ("crane-registry", &["registries/http/image", "registries/http/index-nested"]),
        ("podman", &["engines/apply/plain"]),
        ("buildah", &["engines/apply/plain", "builders/files/plain"]),
        ("containerd", &["engines/apply/plain", "engines/platform/arm64"]),
    ] {
        if peer(name.strip_suffix("-registry").unwrap_or(name)).is_none() {
            continue;
        }
        let mut words = vec!["run", "--adapter", name];
        words.extend(cases.iter().flat_map(|case| ["--case", case]));
        let (_, outcomes) = outcomes(kit(&plimsoll, &words).env("TMPDIR", scratch.path()));
        assert_eq!(outcomes.len(), cases.len(), "{name}");
        let wrong = wrong(&outcomes);
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
}

/// Nobody passes everything: a kit that lets all through would be none.
#[test]
fn violations_that_other_tools_accept_are_seen() {
    let scratch = Scratch::new();
    let plimsoll = Program::new(scratch.path());
    if peer("skopeo").is_none() {
        return;
    }
    let words = ["run", "--adapter", "skopeo", "--case", "documents/json-"];
    let (code, outcomes) = outcomes(kit(&plimsoll, &words).env("TMPDIR", scratch.path()));
    assert_eq!(code, 1);
    let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome["verdict"] == "fail").collect();
    assert!(!failed.is_empty(), "{outcomes:?}");
    assert!(failed.iter().all(|outcome| outcome["known"].is_string()), "{failed:?}");
}
