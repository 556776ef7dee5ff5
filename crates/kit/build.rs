//! Packs the case files, so that the program carries them all in little room.
#![allow(clippy::expect_used, reason = "a build that cannot go on stops here")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("set by cargo"));
    for folder in ["cases", "peers"] {
        println!("cargo::rerun-if-changed={folder}");
        let mut files = Vec::new();
        collect(&root.join(folder), &mut files);
        files.sort();
        let target = fs::File::create(out.join(folder)).expect("a file can be made");
        let mut packed = GzEncoder::new(target, Compression::best());
        for file in files {
            println!("cargo::rerun-if-changed={}", file.display());
            let inside = file.strip_prefix(root.join(folder)).expect("below");
            let name = inside.with_extension("").display().to_string();
            let text = fs::read_to_string(&file).expect("text");
            // No JSON file holds a NUL, and no name does.
            write!(packed, "{name}\0{text}\0").expect("written");
        }
        packed.finish().expect("written");
    }
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
