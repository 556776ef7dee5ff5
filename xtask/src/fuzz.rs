//! A short run of each fuzz target. Needs a nightly toolchain and cargo-fuzz;
//! without them it says so and is content.

use std::process::{Command, Stdio};

use crate::{Outcome, option, workspace};

/// How long each target runs when nothing else is said, in seconds. CI runs all
/// of them on every change, so it is short; a long run is a matter of its own.
const SECONDS: &str = "10";

/// Runs the named targets, or all of them.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (seconds, mut targets) = option(arguments, "--seconds")?;
    let seconds = seconds.unwrap_or_else(|| SECONDS.into());
    seconds.parse::<u32>().map_err(|_| "--seconds needs a number")?;
    if !answers(&["+nightly", "--version"]) {
        println!("fuzz: SKIP no nightly toolchain");
        return Ok(());
    }
    if !answers(&["fuzz", "--version"]) {
        println!("fuzz: SKIP no cargo-fuzz (cargo install cargo-fuzz)");
        return Ok(());
    }
    if targets.is_empty() {
        targets = all()?;
    }
    for target in targets {
        println!("fuzz: {target} for {seconds} s");
        // New inputs go to the corpus, which is not committed; seeds are read.
        let corpus = format!("fuzz/corpus/{target}");
        std::fs::create_dir_all(workspace().join(&corpus))
            .map_err(|error| format!("{corpus}: {error}"))?;
        let status = cargo()
            .args(["+nightly", "fuzz", "run", &target, &corpus])
            .args([&format!("fuzz/seeds/{target}"), "--"])
            .arg(format!("-max_total_time={seconds}"))
            .args(["-timeout=10", "-rss_limit_mb=2048", "-verbosity=0", "-print_final_stats=1"])
            .current_dir(workspace())
            .status()
            .map_err(|error| format!("starting cargo fuzz: {error}"))?;
        if !status.success() {
            return Err(format!("target {target} failed; the input is in fuzz/artifacts/{target}"));
        }
    }
    Ok(())
}

/// The targets are the files in the folder, so that none is forgotten.
fn all() -> Outcome<Vec<String>> {
    let folder = workspace().join("fuzz/fuzz_targets");
    let entries =
        std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

fn answers(arguments: &[&str]) -> bool {
    let status = cargo().args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The cargo on the path, which understands `+nightly`; the one that runs
/// this program belongs to a toolchain.
fn cargo() -> Command {
    let mut command = Command::new("cargo");
    for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTFLAGS", "CARGO_TARGET_DIR"] {
        command.env_remove(name);
    }
    command
}
