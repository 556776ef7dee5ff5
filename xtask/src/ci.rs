//! Everything that CI runs, in its order, with the time that each step takes.
//!
//! A failed step does not stop the later ones: one run tells everything.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Outcome, budget, docs, floors, fuzz, hostile, option, report, tidy, workspace};

/// What a step needs to be more than skipped is its own matter; a skipped
/// step says SKIP and why.
struct Step {
    name: &'static str,
    run: fn() -> Outcome,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", run: || cargo(&["fmt", "--all", "--check"]) },
    Step { name: "tidy", run: || report("tidy", tidy::check()) },
    Step { name: "floors", run: || report("floors", floors::check()) },
    Step {
        name: "clippy",
        run: || cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-Dwarnings"]),
    },
    Step { name: "budget", run: || budget::run(&["--build".into()]) },
    Step { name: "test", run: test },
    Step { name: "s3", run: object_store },
    Step { name: "hostile", run: || hostile::run(&[]) },
    Step { name: "docs", run: || docs::run(&["--bin".into(), program()]) },
    Step { name: "doc", run: doc },
    Step { name: "wasm", run: wasm },
    Step { name: "fuzz", run: || fuzz::run(&[]) },
];

/// Runs all steps, or the chosen ones.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (only, rest) = option(arguments, "--only")?;
    let (skip, rest) = option(&rest, "--skip")?;
    if !rest.is_empty() {
        return Err(format!("unknown arguments: {}", rest.join(" ")));
    }
    for name in only.iter().chain(&skip) {
        if !STEPS.iter().any(|step| step.name == name) {
            let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
            return Err(format!("no step {name}; there are {}", names.join(", ")));
        }
    }
    let chosen = STEPS.iter().filter(|step| {
        only.as_ref().is_none_or(|name| name == step.name) && skip.as_deref() != Some(step.name)
    });
    let start = Instant::now();
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for step in chosen {
        println!("==> {}", step.name);
        let begun = Instant::now();
        let verdict = match (step.run)() {
            Ok(()) => "ok",
            Err(message) => {
                println!("{}: {message}", step.name);
                failed.push(step.name);
                "FAILED"
            }
        };
        let line = format!("{:<8} {:>8} {verdict}", step.name, shown(begun.elapsed()));
        println!("<== {line}");
        lines.push(line);
    }
    println!("\nsummary, {} in all", shown(start.elapsed()));
    for line in lines {
        println!("  {line}");
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn shown(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn cargo(arguments: &[&str]) -> Outcome {
    finish(Command::new(env!("CARGO")).args(arguments))
}

fn finish(command: &mut Command) -> Outcome {
    let status = command
        .current_dir(workspace())
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("starting {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed")) }
}

/// All tests. The interop suite takes the release build, which the step
/// before has made.
fn test() -> Outcome {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    if budget::release().is_file() {
        command.env("PLIMSOLL_BIN", program());
    }
    finish(&mut command)
}

/// What is built only by the feature `s3`: its lints and its tests, and the
/// program with it against a server that speaks S3.
fn object_store() -> Outcome {
    const SERVE: &str = "--package=plimsoll-serve";
    const S3: &str = "--features=s3";
    cargo(&["clippy", SERVE, S3, "--all-targets", "--locked", "--", "-Dwarnings"])?;
    cargo(&["test", SERVE, S3, "--locked"])?;
    let own = workspace().join("target/s3");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--package=plimsoll-cli", S3, "--locked"]).arg("--target-dir").arg(&own);
    finish(&mut build)?;
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--package=plimsoll-interop", "--locked", "bucket"]);
    finish(command.env("PLIMSOLL_BIN", own.join("debug/plimsoll")))
}

fn program() -> String {
    budget::release().display().to_string()
}

fn doc() -> Outcome {
    let mut command = Command::new(env!("CARGO"));
    command.args(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-Dwarnings");
    finish(&mut command)
}

/// The ground floor, the documents and the names do without an operating system: they
/// compile for a target that has none.
fn wasm() -> Outcome {
    const TARGET: &str = "wasm32-unknown-unknown";
    let installed = Command::new("rustup")
        .args(["target", "add", TARGET])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !installed.is_ok_and(|status| status.success()) {
        println!("wasm: SKIP the target {TARGET} can not be had");
        return Ok(());
    }
    let packages =
        ["--package=plimsoll-content", "--package=plimsoll-spec", "--package=plimsoll-name"];
    cargo(&[&["check", "--locked", "--target", TARGET], &packages[..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_steps_are_refused() {
        let ask =
            |words: &[&str]| run(&words.iter().map(|word| (*word).into()).collect::<Vec<_>>());
        assert!(ask(&["--only", "nothing"]).expect_err("refused").contains("no step nothing"));
        assert!(ask(&["--only"]).is_err());
        assert!(ask(&["extra"]).is_err());
    }

    #[test]
    fn steps_have_names_of_their_own() {
        let mut names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STEPS.len());
    }
}
