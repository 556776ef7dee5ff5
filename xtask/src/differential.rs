//! A long run of the comparison with other readers of archives.

use std::process::Command;

use crate::{Outcome, option, workspace};

/// Runs the comparison over `--inputs` archives of each kind, from `--seed`.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (inputs, rest) = option(arguments, "--inputs")?;
    let (seed, rest) = option(&rest, "--seed")?;
    if !rest.is_empty() {
        return Err(format!("unknown arguments: {}", rest.join(" ")));
    }
    let status = Command::new(env!("CARGO"))
        .args(["test", "--locked", "--package=plimsoll-layer", "--test=it", "--"])
        .args(["differential::", "--nocapture"])
        .env("PLIMSOLL_DIFFERENTIAL_INPUTS", inputs.unwrap_or_else(|| "50000".into()))
        .env("PLIMSOLL_DIFFERENTIAL_SEED", seed.unwrap_or_else(|| "1".into()))
        .current_dir(workspace())
        .status()
        .map_err(|error| format!("starting cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("readers disagree".into()) }
}
