//! `export`: the tar of a root filesystem, to a file or to standard output.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Sandbox, sha256};

/// Two layers: a tree, and another one on top of it.
fn layered(sandbox: &Sandbox) {
    sandbox.image();
    sandbox.write("second/etc/motd", "another\n");
    sandbox.write("second/srv/data", vec![5; 100_000]);
    sandbox.ok(&["pack", "second", "oci:images:v2", "--base", "oci:images:v1"]);
}

#[test]
fn the_same_bytes_to_a_file_a_pipe_and_by_way_of_unpacking() {
    let sandbox = Sandbox::new();
    layered(&sandbox);
    let text = sandbox.ok(&["export", "oci:images:v2", "-o", "v2.tar"]);
    assert!(text.contains("2 layers") && text.contains("v2.tar"), "{text}");
    let file = fs::read(sandbox.path("v2.tar")).expect("written");
    for words in [&["export", "oci:images:v2"][..], &["export", "oci:images:v2", "-o", "-"]] {
        let done = sandbox.command(words).output().expect("started");
        assert!(done.status.success());
        assert_eq!(done.stdout, file);
    }
    // The tar is what unpacking gives: both become the same image.
    sandbox.ok(&["unpack", "oci:images:v2", "out"]);
    let tree = sandbox.ok(&["pack", "out", "oci:again:tree", "-q"]);
    let archive = sandbox.ok(&["pack", "v2.tar", "oci:again:tar", "-q"]);
    assert_eq!(tree, archive);
}

#[test]
fn reports_go_where_the_archive_does_not() {
    let sandbox = Sandbox::new();
    layered(&sandbox);
    let report = sandbox.json(&["export", "oci:images:v2", "-o", "v2.tar"]);
    let file = fs::read(sandbox.path("v2.tar")).expect("written");
    assert_eq!(report["diffId"], Value::from(sha256(&file)));
    assert_eq!((&report["size"], &report["bytes"]), (&file.len().into(), &file.len().into()));
    let done = sandbox.command(&["export", "oci:images:v2", "--json", "--progress", "none"]);
    let done = { done }.output().expect("started");
    assert_eq!(done.stdout, file);
    let aside: Value = serde_json::from_slice(&done.stderr).expect("a report");
    assert_eq!(aside, report);
    let small =
        sandbox.json(&["export", "oci:images:v2", "-o", "v2.tar.zst", "--compression", "zstd"]);
    assert_eq!(small["diffId"], report["diffId"]);
    assert!(small["size"].as_u64() < small["bytes"].as_u64());
}

#[test]
fn nothing_is_left_or_replaced() {
    let sandbox = Sandbox::new();
    layered(&sandbox);
    sandbox.write("taken.tar", "mine");
    sandbox.fails(1, &["export", "oci:images:v2", "-o", "taken.tar"]);
    assert_eq!(fs::read_to_string(sandbox.path("taken.tar")).expect("there"), "mine");
    let before = sandbox.names();
    // The last byte of the last layer: by then all others were read.
    let layout = sandbox.layout("images");
    let manifest = layout.document(layout.index()["manifests"][1]["digest"].as_str().expect("one"));
    let last = layout.blob_path(manifest["layers"][1]["digest"].as_str().expect("one"));
    let mut bytes = fs::read(&last).expect("read");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::remove_file(&last).and_then(|()| fs::write(&last, bytes)).expect("damaged");
    sandbox.fails(6, &["export", "oci:images:v2", "-o", "v2.tar"]);
    assert_eq!(sandbox.names(), before);
    let done = sandbox.command(&["export", "oci:images:v2"]).output().expect("started");
    assert_eq!((done.status.code(), done.stdout.len()), (Some(6), 0));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new();
    layered(&sandbox);
    let mut child = sandbox
        .command(&["export", "oci:images:v2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    drop(child.stdout.take());
    let done = child.wait_with_output().expect("ended");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn an_archive_is_not_written_to_a_terminal() {
    let sandbox = Sandbox::new();
    layered(&sandbox);
    let inner = format!("{} export oci:images:v2", env!("CARGO_BIN_EXE_plimsoll"));
    let done = Command::new("script")
        .args(["-qec", &inner, "/dev/null"])
        .current_dir(sandbox.path(""))
        .stdin(Stdio::null())
        .output();
    let Ok(done) = done else { return };
    let text = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(2), "{text}");
    assert!(text.contains("a terminal"), "{text}");
}
