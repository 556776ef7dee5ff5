//! The interop suite with a fresh release build of the program.

use std::process::Command;

use crate::{Outcome, budget, workspace};

/// Runs the suite; `arguments` go to the test program.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    budget::build_release()?;
    let status = Command::new(env!("CARGO"))
        .args(["test", "--package=plimsoll-interop", "--", "--show-output"])
        .args(arguments)
        .env("PLIMSOLL_BIN", budget::release())
        .current_dir(workspace())
        .status()
        .map_err(|error| format!("starting cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the interop suite failed".into()) }
}
