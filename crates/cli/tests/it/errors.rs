//! Errors: form, exit codes, and that nothing else is printed.

use std::process::Stdio;

use crate::support::Sandbox;

#[test]
fn each_class_has_its_exit_code() {
    let sandbox = Sandbox::new();
    sandbox.image();
    for (code, words) in [
        (2, &["frobnicate"][..]),
        (2, &["pack"]),
        (2, &["inspect", "docker-daemon:app"]),
        (2, &["inspect", "docker://example.com/App"]),
        (2, &["inspect", "docker://example.com"]),
        (2, &["inspect", "a b"]),
        (2, &["pack", "tree", "oci:images:a//b"]),
        (2, &["pack", "tree", "oci:images:v9", "--compression", "lzma"]),
        (2, &["pack", "tree", "oci:images:v9", "-e", "novalue"]),
        (3, &["inspect", "oci:images:nope"]),
        (3, &["inspect", "oci:nowhere"]),
        (3, &["pack", "nowhere", "oci:images:v9"]),
        (3, &["explain", "E_NONE"]),
        (1, &["unpack", "oci:images:v1", "tree"]),
    ] {
        let done = sandbox.run(words);
        assert_eq!(done.code, code, "{words:?}: {}", done.stderr);
        assert!(done.stdout.is_empty(), "{words:?} printed {}", done.stdout);
    }
}

#[test]
fn an_error_says_what_was_found_and_what_to_do() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.ok(&["tag", "oci:images:v1", "v2"]);
    let errors = sandbox.fails(3, &["inspect", "oci:images:nope"]);
    assert_eq!(
        errors,
        "error[E_NOT_FOUND]: looking for \"nope\" in images\n  found: \"v1\", \"v2\"\n  fix:   take one of these names, or @DIGEST; `plimsoll ls oci:images` lists all\n  more:  plimsoll explain E_NOT_FOUND\n"
    );
}

#[test]
fn every_code_is_explained() {
    let sandbox = Sandbox::new();
    let report = sandbox.json(&["explain"]);
    for code in report["codes"].as_array().expect("a list") {
        let code = code["code"].as_str().expect("a name");
        assert!(sandbox.ok(&["explain", code]).contains(code));
    }
}

#[test]
fn hostile_names_are_escaped() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let layout = sandbox.layout("images");
    let mut index = layout.index();
    index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] =
        serde_json::json!("\u{1b}[31mx\u{202e}");
    layout.set_index(&index);
    for words in [&["ls", "oci:images"][..], &["inspect", "oci:images:other"]] {
        let done = sandbox.run(words);
        assert!(
            !done.stdout.contains('\u{1b}') && !done.stderr.contains('\u{1b}'),
            "{}{}",
            done.stdout,
            done.stderr
        );
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .command(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("waited");
    assert!(output.status.success());
    assert!(output.stderr.is_empty());
}

#[test]
fn help_and_version_are_no_errors() {
    let sandbox = Sandbox::new();
    for words in [&["--help"][..], &["--version"], &["pack", "--help"], &["version"]] {
        let done = sandbox.run(words);
        assert_eq!(done.code, 0);
        assert!(!done.stdout.is_empty() && done.stderr.is_empty());
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(sandbox.ok(&["completions", shell]).contains("plimsoll"));
    }
}

#[test]
fn the_help_says_of_each_verb_what_it_does() {
    let sandbox = Sandbox::new();
    let text = sandbox.ok(&["--help"]);
    let (_, verbs) = text.split_once("Commands:").expect("a list");
    let (verbs, _) = verbs.split_once("\n\n").expect("the end of the list");
    // What does not fit goes on further to the right.
    let of_verb = |line: &&str| line.strip_prefix("  ").is_some_and(|rest| !rest.starts_with(' '));
    let lines: Vec<_> = verbs.lines().filter(of_verb).collect();
    assert!(lines.len() > 40, "{verbs}");
    for line in lines {
        assert!(line.split_whitespace().count() > 3, "{line:?}");
    }
}
