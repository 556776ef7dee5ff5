//! The budgets: how many crates a build compiles, how many of them hold C,
//! how large the program is and how fast it starts.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Outcome, metadata, workspace};

/// Crates in the tree of the library, itself included.
const LIBRARY: usize = 140;

/// Crates in the tree of the program, itself included.
const PROGRAM: usize = 220;

/// The crates that may compile C.
const C_CRATES: [&str; 2] = ["ring", "zstd-sys"];

/// Crates that know how to call a C compiler and, with the features chosen
/// here, do not.
const QUIET: [(&str, &str); 1] = [("blake3", "feature `pure`")];

/// Crates that a build script uses to compile C.
const COMPILERS: [&str; 4] = ["autotools", "bindgen", "cc", "cmake"];

/// The size of the stripped program without optional features, in bytes. It
/// was 8 MB for the program without a server, signatures and names, and 9 MB
/// without certificates, transparency logs and time stamps.
const SIZE: u64 = 9_500_000;

/// From the start of the process to its end when it only says its version.
const START: Duration = Duration::from_millis(3);

/// Checks the budgets; with `--build` the program is built first.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let mut over = Vec::new();
    for (package, most) in [("plimsoll", LIBRARY), ("plimsoll-cli", PROGRAM)] {
        let count = metadata::tree(package)?.len();
        println!("budget: {package}: {count} of {most} crates");
        if count > most {
            over.push(format!("{package} has {count} crates, at most {most}"));
        }
    }
    let compiling = c_crates()?;
    println!("budget: crates with C: {}", compiling.join(", "));
    for name in compiling.iter().filter(|name| !C_CRATES.contains(&name.as_str())) {
        over.push(format!("{name} compiles C; only {} may", C_CRATES.join(" and ")));
    }
    if arguments.iter().any(|argument| argument == "--build") {
        build_release()?;
    }
    let program = release();
    if let Ok(meta) = program.metadata() {
        println!("budget: the program has {} of {SIZE} bytes", meta.len());
        if meta.len() > SIZE {
            over.push(format!("the program has {} bytes, at most {SIZE}", meta.len()));
        }
        let fastest = start_up(&program)?;
        // A loaded machine is no reason to fail.
        let verdict = if fastest > START { " (over budget)" } else { "" };
        println!("budget: starts and ends in {fastest:.1?} of {START:?}{verdict}");
    } else {
        println!("budget: SKIP size and start-up: no release build (use --build)");
    }
    if over.is_empty() { Ok(()) } else { Err(over.join("; ")) }
}

/// Builds the program as it is released.
pub(crate) fn build_release() -> Outcome {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--locked", "--package=plimsoll-cli"])
        .current_dir(workspace())
        .status()
        .map_err(|error| format!("starting cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the release build failed".into()) }
}

/// Where the released program lies once it is built.
pub(crate) fn release() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    workspace().join(target).join("release/plimsoll")
}

fn c_crates() -> Outcome<Vec<String>> {
    let tree = metadata::tree("plimsoll-cli")?;
    let mut names = Vec::new();
    for compiler in COMPILERS {
        let there = tree.iter().any(|line| line.split(' ').next() == Some(compiler));
        if there {
            names.extend(metadata::users("plimsoll-cli", compiler)?);
        }
    }
    names.retain(|name| !QUIET.iter().any(|(quiet, _)| quiet == name));
    names.sort();
    names.dedup();
    Ok(names)
}

/// The fastest of some starts, so that other work on the machine counts less.
fn start_up(program: &PathBuf) -> Outcome<Duration> {
    let mut fastest = Duration::MAX;
    for _ in 0..30 {
        let start = Instant::now();
        Command::new(program)
            .arg("version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| format!("starting {}: {error}", program.display()))?;
        fastest = fastest.min(start.elapsed());
    }
    Ok(fastest)
}
