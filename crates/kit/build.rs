//! Lists the case files, so that the program carries them all.
#![allow(clippy::expect_used, reason = "a build that cannot go on stops here")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("set by cargo"));
    let mut text = String::new();
    for (folder, name) in [("cases", "CASES"), ("peers", "PEERS")] {
        println!("cargo::rerun-if-changed={folder}");
        let mut files = Vec::new();
        collect(&root.join(folder), &mut files);
        files.sort();
        writeln!(text, "pub(crate) const {name}: &[(&str, &str)] = &[").expect("a string");
        for file in files {
            println!("cargo::rerun-if-changed={}", file.display());
            let inside = file.strip_prefix(root.join(folder)).expect("below");
            let key = inside.with_extension("");
            writeln!(
                text,
                "    ({:?}, include_str!({:?})),",
                key.display().to_string(),
                file.display().to_string()
            )
            .expect("a string");
        }
        text.push_str("];\n");
    }
    fs::write(out.join("embedded.rs"), text).expect("the output folder can be written");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("listed").path();
        if path.is_dir() {
            // New files of old folders are seen only if the folder is watched.
            println!("cargo::rerun-if-changed={}", path.display());
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
}
