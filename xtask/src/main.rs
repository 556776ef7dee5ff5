//! What the workspace demands of itself: `cargo xtask VERB`.
//!
//! Here live the checks that no compiler makes: the floors of the house, the
//! form of the sources, the budgets, the examples in the documents, and the
//! order in which CI runs all of it. What does not live here: anything that
//! the product needs to be built or to run.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for developers talks to them"
)]

mod bench;
mod budget;
mod ci;
mod differential;
mod docs;
mod floors;
mod fuzz;
mod hostile;
mod interop;
mod metadata;
mod sources;
mod suffixes;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What a check found: sentences for people, in the order of the files.
type Findings = Vec<String>;

/// The result of a step; the error is a sentence.
type Outcome<T = ()> = Result<T, String>;

/// How many findings are printed: more than that have one cause.
const MOST: usize = 50;

const USAGE: &str = "\
usage: cargo xtask VERB

  ci [--only STEP] [--skip STEP]  everything that CI runs, in its order
  floors                          who may use whom, who may touch what
  tidy                            form of the sources and documents
  budget [--build]                crates in the tree, size of the program
  docs [FILE]...                  runs the examples in the documents
  fuzz [--seconds N] [TARGET]...  a short run of each fuzz target
  interop [ARG]...                the program against other people's tools
  bench [OPTION]...               how fast the program and other people's tools are
  hostile [--json]                hostile images, by id, as root and as a user
  differential [--inputs N] [--seed S]
                                  archives as others read them
  suffixes LIST                   the list of public suffixes, for names";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let done = match verb.as_str() {
        "bench" => bench::run(&rest),
        "ci" => ci::run(&rest),
        "floors" => report("floors", floors::check()),
        "tidy" => report("tidy", tidy::check()),
        "budget" => budget::run(&rest),
        "docs" => docs::run(&rest),
        "fuzz" => fuzz::run(&rest),
        "interop" => interop::run(&rest),
        "hostile" => hostile::run(&rest),
        "suffixes" => suffixes::run(&rest),
        "differential" => differential::run(&rest),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask {verb}: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what was found; an error if there is anything.
fn report(check: &str, findings: Outcome<Findings>) -> Outcome {
    let findings = findings?;
    for finding in findings.iter().take(MOST) {
        println!("{check}: {finding}");
    }
    if findings.len() > MOST {
        println!("{check}: ... and {} more", findings.len() - MOST);
    }
    match findings.len() {
        0 => {
            println!("{check}: ok");
            Ok(())
        }
        1 => Err("1 finding".into()),
        count => Err(format!("{count} findings")),
    }
}

/// The folder of the workspace.
fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The value after `--name`, and the arguments without both.
fn option(arguments: &[String], name: &str) -> Outcome<(Option<String>, Vec<String>)> {
    let mut rest = arguments.to_vec();
    let Some(at) = rest.iter().position(|argument| argument == name) else {
        return Ok((None, rest));
    };
    if at + 1 >= rest.len() {
        return Err(format!("{name} needs a value"));
    }
    let value = rest.remove(at + 1);
    rest.remove(at);
    Ok((Some(value), rest))
}
