//! `plimsoll completions`: scripts for shells, from the same definition as the help.

use clap::CommandFactory;
use clap_complete::Shell;
use plimsoll::content::Result;

use crate::args::Cli;
use crate::context::Context;
use crate::out;

/// Print a completion script for a shell.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args, _: &Context) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "plimsoll", &mut script);
    out::bytes(&script).map(|()| 0)
}
