//! The program `plimsoll`: words in, exit codes out.
//!
//! This is the only room that prints, reads the environment and ends the
//! process. What the verbs do is in the crate `plimsoll`.

mod archive;
mod args;
mod context;
mod fail;
mod out;
mod progress;
mod verbs;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use plimsoll::runtime::exec::{FAILED, NotStarted};

use crate::args::{Cli, Global, Verb};
use crate::context::Context;
use crate::out::Style;

fn main() -> ExitCode {
    // The embedded runtime starts this program again as the monitor of a
    // container; that must come before anything else happens in the process.
    if let Some(code) = plimsoll::runtime::exec::child_main(std::env::args_os()) {
        return ExitCode::from(code);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors: clap knows where they go.
            let _ = error.print();
            return ExitCode::from(match error.use_stderr() {
                false => 0,
                true if of_run() => FAILED,
                true => 2,
            });
        }
    };
    let (json, verbose) = (cli.global.json, cli.global.verbose > 0);
    let style = Style::new(cli.global.color, std::io::stderr().is_terminal());
    let done = match cli.verb {
        // docker's convention: what goes wrong before the process begins is
        // 125 to 127, whatever it is, so that it can be told from its own codes.
        Verb::Run(args) => start(args, cli.global),
        verb => Context::new(cli.global)
            .and_then(|context| {
                let done = verbs::dispatch(verb, &context);
                context.tell();
                done
            })
            .map_err(|error| NotStarted { exit: error.kind().exit_code(), error }),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(NotStarted { exit, error }) => {
            fail::report(&error, exit, json, verbose, style);
            ExitCode::from(exit)
        }
    }
}

/// Whether words that are not understood were about `run`, whose codes are docker's.
fn of_run() -> bool {
    let words = Cli::command().ignore_errors(true).try_get_matches();
    words.is_ok_and(|words| words.subcommand_name() == Some("run"))
}

fn start(args: verbs::run::Args, global: Global) -> Result<u8, NotStarted> {
    // The store is found with the caller's eyes, and before there are threads
    // an ordinary user's process goes on as root of a user namespace.
    if let Some(code) = verbs::run::enter()? {
        return Ok(code);
    }
    verbs::run::run(args, &Context::new(global)?)
}
