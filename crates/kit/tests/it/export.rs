//! Cases as plain files.

use std::fs;

use plimsoll_content::Code;
use plimsoll_kit::{Role, Selection, export};
use serde_json::Value;

#[test]
fn exported_files_are_the_layout_its_archive_and_a_list() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases = Selection { cases: vec!["layouts/".to_owned()], ..Selection::default() };
    let cases = cases.cases().expect("some");
    export::export(&cases, folder.path()).expect("exported");
    let list = fs::read(folder.path().join("cases.json")).expect("there");
    let list: Value = serde_json::from_slice(&list).expect("JSON");
    let listed = list["cases"].as_array().expect("a list");
    assert_eq!(listed.len(), cases.len());
    for entry in listed {
        let layout = folder.path().join(entry["layout"].as_str().expect("a path"));
        assert!(layout.is_dir());
        let archive = fs::read(folder.path().join(entry["archive"].as_str().expect("a path")));
        assert!(archive.expect("there").len().is_multiple_of(512));
    }
    let gone = folder.path().join("layouts/without-blobs/layout");
    assert!(gone.join("index.json").is_file() && !gone.join("blobs").exists());
    let error = export::export(&cases, folder.path()).expect_err("not again");
    assert_eq!(error.code(), Code::Exists);
}

#[test]
fn a_selection_without_cases_is_an_error() {
    let selection =
        Selection { role: Some(Role::Engine), rules: vec!["XX9".to_owned()], cases: Vec::new() };
    assert_eq!(selection.cases().expect_err("none").code(), Code::NotFound);
}
