//! Registries from the command line: pull, push, logins, and pulls that fail.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::schemas::check;
use crate::server::{Reply, Server};
use crate::support::Sandbox;

/// `me:hunter2` in base64.
const BASIC: &str = "Basic bWU6aHVudGVyMg==";

/// A sandbox with its own logins, and an image `oci:images:v1`.
fn sandbox() -> (Sandbox, Vec<String>) {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    sandbox.ok(&["pack", "tree", "oci:images:v1", "--entrypoint", "/bin/tool"]);
    let auth = sandbox.path("logins/auth.json").display().to_string();
    (sandbox, vec!["--authfile".into(), auth])
}

fn words<'a>(words: &[&'a str], more: &'a [String]) -> Vec<&'a str> {
    words.iter().copied().chain(more.iter().map(String::as_str)).collect()
}

/// Runs a command with that standard input.
pub(crate) fn fed(mut command: Command, input: &str) -> (i32, String) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("ended");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().expect("a code"), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn images_go_to_a_registry_and_come_back_byte_for_byte() {
    let (sandbox, auth) = sandbox();
    let server = Server::new();
    let name = format!("docker://{}/org/app:v1", server.host);
    let place = format!("docker://{}/org/app", server.host);
    let registry = format!("docker://{}", server.host);
    let bare = name.strip_prefix("docker://").expect("a scheme");
    for command in [
        &["push", "oci:images:v1", &name][..],
        &["ls", &place],
        &["ls", &registry],
        &["ls", &name],
        &["inspect", &name],
        &["tag", &name, "v2"],
        &["validate", &name],
        &["pull", bare, "local:v1"],
        &["pull", bare, "--unpack", "out"],
        &["rm", &format!("{place}:v2")],
    ] {
        let report = sandbox.json(&words(command, &auth));
        check(&report);
        match command[0] {
            "push" => assert_eq!(report["blobs"][0]["state"], "copied"),
            "ls" if command[1] == place => assert_eq!(report["tags"][0], "v1"),
            "ls" if command[1] == registry => assert_eq!(report["repositories"][0], "org/app"),
            _ => {}
        }
    }
    let exact = sandbox.ok(&["show", "oci:images:v1", "manifest"]);
    assert_eq!(sandbox.ok(&["show", &name, "manifest"]), exact);
    assert_eq!(sandbox.ok(&["show", "local:v1", "manifest"]), exact);
    assert_eq!(fs::read(sandbox.path("out/etc/motd")).expect("unpacked"), b"hello\n");
    assert_eq!(sandbox.ok(&["ls", "-q", &place]), "v1\n");
    // Under its own name, which push takes back.
    sandbox.ok(&["pull", bare]);
    sandbox.ok(&["push", bare]);
    sandbox.fails(3, &["pull", &format!("{place}:none")]);
    sandbox.fails(2, &["pull", "oci:images:v1"]);
    sandbox.fails(2, &["push", "oci:images:v1", "oci:other"]);
    sandbox.fails(2, &["copy", &registry, "oci:other"]);
}

#[test]
fn a_login_is_checked_kept_for_one_reader_and_forgotten() {
    let (sandbox, auth) = sandbox();
    let server = Server::spoilt(|seen, _, reply| match seen.header("authorization") {
        Some(BASIC) => reply,
        _ => Reply::new(401, b"{}").with("WWW-Authenticate", "Basic realm=\"r\""),
    });
    let name = format!("docker://{}/org/app:v1", server.host);
    let push = ["push", "oci:images:v1", &name, "-v"];
    let refused = sandbox.fails(4, &words(&push, &auth));
    assert!(refused.contains("plimsoll login"), "{refused}");
    let login = ["login", &server.host, "-u", "me", "--password-stdin", "--json"];
    let (code, said) = fed(sandbox.command(&words(&login, &auth)), "hunter3\n");
    assert_eq!(code, 4, "{said}");
    assert!(!said.contains("hunter") && !sandbox.path("logins").exists(), "{said}");
    let (code, said) = fed(sandbox.command(&words(&login, &auth)), "hunter2\n");
    assert_eq!(code, 0, "{said}");
    check(&serde_json::from_str::<Value>(&said).expect("one document"));
    assert!(!said.contains("hunter"));
    let file = sandbox.path("logins/auth.json");
    let mode = fs::metadata(&file).expect("kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let pushed = sandbox.run(&words(&push, &auth));
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    assert!(!pushed.stderr.contains("hunter") && !pushed.stderr.contains("bWU6"));
    check(&sandbox.json(&words(&["logout", &server.host], &auth)));
    sandbox.fails(3, &words(&["logout", &server.host], &auth));
    sandbox.fails(4, &words(&["ls", &name], &auth));
}

#[test]
fn a_helper_is_asked_for_what_it_keeps() {
    let (sandbox, auth) = sandbox();
    let server = Server::spoilt(|seen, _, reply| match seen.header("authorization") {
        Some(BASIC) => reply,
        _ => Reply::new(401, b"{}").with("WWW-Authenticate", "Basic realm=\"r\""),
    });
    let helper = "#!/bin/sh\nread server\n\
        echo \"{\\\"ServerURL\\\":\\\"$server\\\",\\\"Username\\\":\\\"me\\\",\\\"Secret\\\":\\\"hunter2\\\"}\"\n";
    sandbox.write("bin/docker-credential-test", helper);
    let path = sandbox.path("bin/docker-credential-test");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
    sandbox.write("logins/auth.json", "{\"credsStore\": \"test\"}");
    let name = format!("docker://{}/org/app:v1", server.host);
    let mut command = sandbox.command(&words(&["push", "oci:images:v1", &name], &auth));
    let bin = sandbox.path("bin").display().to_string();
    let (code, said) = fed_path(&mut command, &bin);
    assert_eq!(code, 0, "{said}");
}

fn fed_path(command: &mut Command, bin: &str) -> (i32, String) {
    let output = command.env("PATH", format!("{bin}:/usr/bin:/bin")).output().expect("started");
    (output.status.code().expect("a code"), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A helper that keeps one login in a file, and writes down what it is asked.
const KEEPER: &str = r#"#!/bin/sh
read -r said
echo "$1 $said" >> "$0.log"
case "$1" in
get)
  [ -s "$0.kept" ] || { echo "credentials not found in native keychain"; exit 1; }
  cat "$0.kept" ;;
store) echo "$said" > "$0.kept" ;;
erase) rm "$0.kept" ;;
esac
"#;

#[test]
fn helpers_of_the_settings_are_asked_in_their_order() {
    let (sandbox, auth) = sandbox();
    let server = Server::spoilt(|seen, _, reply| match seen.header("authorization") {
        Some(BASIC) => reply,
        _ => Reply::new(401, b"{}").with("WWW-Authenticate", "Basic realm=\"r\""),
    });
    let host = &*server.host;
    let helper = |name: &str, text: &str| {
        let name = format!("bin/docker-credential-{name}");
        sandbox.write(&name, text);
        fs::set_permissions(sandbox.path(&name), fs::Permissions::from_mode(0o755)).expect("mode");
    };
    helper("keeper", KEEPER);
    helper("broken", "#!/bin/sh\necho hunter2; echo hunter2 >&2; exit 3\n");
    helper("other", &KEEPER.replace("$0.", "$0.other."));
    let settings = |helpers: &str| {
        let text = format!("credential-helpers = [{helpers}]\n");
        sandbox.write("config/containers/registries.conf", text);
    };
    let bin = sandbox.path("bin").display().to_string();
    let run = |command: &[&str], input: &str| {
        let mut command = sandbox.command(&words(command, &auth));
        command.env("PATH", format!("{bin}:/usr/bin:/bin"));
        let (code, said) = fed(command, input);
        assert!(!said.contains("hunter2") && !said.contains("bWU6"), "{said}");
        (code, said)
    };
    let log = |name: &str| {
        let path = sandbox.path(&format!("bin/docker-credential-{name}.log"));
        fs::read_to_string(path).unwrap_or_default().replace("hunter2", "*")
    };
    let name = format!("docker://{host}/org/app:v1");
    let push = ["push", "oci:images:v1", &name, "-v"];
    let login = ["login", host, "-u", "me", "--password-stdin", "--json"];

    // What is missing or fails is passed over, and told if nobody knows a login.
    settings("'missing', 'broken', 'keeper'");
    let (code, said) = run(&push, "");
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("docker-credential-missing on the PATH"), "{said}");
    let (code, said) = run(&login, "hunter2\n");
    assert_eq!(code, 0, "{said}");
    let report: Value = serde_json::from_str(&said).expect("one document");
    check(&report);
    assert_eq!(report["helper"], "docker-credential-keeper");
    assert!(!sandbox.path("logins").exists());
    let stored =
        format!("store {{\"Secret\":\"*\",\"ServerURL\":\"{host}\",\"Username\":\"me\"}}\n");
    assert!(log("keeper").ends_with(&stored), "{}", log("keeper"));
    let (code, said) = run(&push, "");
    assert_eq!(code, 0, "{said}");
    assert!(log("keeper").ends_with(&format!("get {host}\n")), "{}", log("keeper"));

    // The files are one of them: whoever comes first and knows something counts.
    sandbox
        .write("logins/auth.json", format!("{{\"auths\":{{\"{host}\":{{\"auth\":\"eDp5\"}}}}}}"));
    assert_eq!(run(&["ls", &name], "").0, 0);
    settings("'containers-auth.json', 'keeper'");
    assert_eq!(run(&["ls", &name], "").0, 4);
    sandbox.write("logins/auth.json", format!("{{\"credHelpers\":{{\"{host}\":\"other\"}}}}"));
    assert_eq!(run(&["ls", &name], "").0, 0);
    assert_eq!(log("other"), format!("get {host}\n").repeat(log("other").lines().count()));
    // A login goes where the file says.
    settings("'containers-auth.json'");
    assert_eq!(run(&["ls", &name], "").0, 4);
    let (code, said) = run(&login, "hunter2\n");
    assert!(code == 0 && said.contains("docker-credential-other"), "{said}");
    assert_eq!(run(&["ls", &name], "").0, 0);

    // All of them forget it.
    settings("'keeper', 'containers-auth.json'");
    let (code, said) = run(&["logout", host, "--json"], "");
    assert_eq!(code, 0, "{said}");
    let report: Value = serde_json::from_str(&said).expect("one document");
    check(&report);
    let both = ["docker-credential-keeper", "docker-credential-other"];
    assert_eq!(report["helpers"], serde_json::json!(both));
    assert_eq!(run(&["logout", host], "").0, 3);
    assert_eq!(run(&["ls", &name], "").0, 4);
    settings("'../../bin/sh'");
    let (code, said) = run(&["ls", &name], "");
    assert!(code != 0 && said.contains("the helper \"../../bin/sh\""), "{said}");
}

#[test]
fn a_pull_that_fails_leaves_nothing() {
    let (sandbox, auth) = sandbox();
    type Spoil = fn(Reply) -> Reply;
    let other: Spoil = |mut reply| {
        let last = reply.body.len() - 1;
        reply.body[last] ^= 1;
        reply
    };
    let short: Spoil = |mut reply| {
        reply.body.pop();
        reply
    };
    let page: Spoil =
        |_| Reply::new(200, b"<html>log in").with("Content-Type", "text/html; charset=utf-8");
    let gone: Spoil = |_| Reply::new(404, b"");
    for (spoil, code) in [(other, 6), (short, 6), (page, 5), (gone, 3)] {
        let server = Server::spoilt(move |seen, _, reply| {
            // The layers, which are the long ones here; the config is as it is.
            let long = reply.body.len() > 250 || seen.method == "HEAD";
            if seen.is("GET", "/blobs/") && long { spoil(reply) } else { reply }
        });
        let name = format!("docker://{}/org/app:v1", server.host);
        sandbox.ok(&words(&["push", "oci:images:v1", &name], &auth));
        sandbox.fails(code, &words(&["pull", &name, "broken:v1"], &auth));
        sandbox.fails(code, &words(&["pull", &name, "--unpack", "out"], &auth));
        assert!(!sandbox.path("out").exists());
        sandbox.fails(3, &["inspect", "store:broken:v1"]);
        sandbox.ok(&["fsck"]);
    }
}

#[test]
fn what_went_wrong_first_is_told_and_not_what_came_of_it() {
    let (sandbox, auth) = sandbox();
    let server = Server::spoilt(|seen, _, mut reply| {
        if seen.is("GET", "/blobs/") {
            if reply.body.len() > 250 {
                // The layer: others bytes than those it is.
                reply.body[9] ^= 1;
            } else {
                // The config breaks off each time, and is tried again.
                reply.cut = Some(10);
            }
        }
        reply
    });
    let name = format!("docker://{}/org/app:v1", server.host);
    sandbox.ok(&words(&["push", "oci:images:v1", &name], &auth));
    let said = sandbox.fails(6, &words(&["pull", &name, "broken:v1"], &auth));
    assert!(said.contains("E_DIGEST"), "{said}");
}

#[test]
fn what_is_no_registry_is_said_to_be_none() {
    let (sandbox, auth) = sandbox();
    let server = Server::spoilt(|_, _, _| {
        Reply::new(200, b"<!doctype html>\n<title>Hello</title>").with("Content-Type", "text/html")
    });
    let place = format!("docker://{}/a", server.host);
    let said = sandbox.fails(5, &words(&["ls", &place], &auth));
    assert!(said.contains("E_NOT_A_REGISTRY") && said.contains("doctype"), "{said}");
    let report = sandbox.run(&words(&["ls", &place, "--json"], &auth));
    check(&serde_json::from_str::<Value>(&report.stderr).expect("one document"));
}
