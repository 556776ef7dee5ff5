//! `plimsoll run`: an image becomes a process.

use std::path::PathBuf;

use plimsoll::content::Result;
use plimsoll::image::Image;
use plimsoll::reference::Reference;
use plimsoll::run::{self, Runtime};
use plimsoll::runtime::convert::Users;
use plimsoll::runtime::exec::NotStarted;
use plimsoll::runtime::rootless::{self, Entered};

use crate::context::Context;
use crate::verbs::process::ProcessArgs;

/// Run an image, and exit with the code of its process.
///
/// Nothing that the process writes stays. Exit codes as docker has them: 125
/// if it was not started, 126 if the program can not be executed, 127 if
/// there is none, 128+N if signal N ended it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    /// Arguments, instead of the image's default ones
    #[arg(value_name = "ARGS", last = true, allow_hyphen_values = true)]
    args: Vec<String>,

    #[command(flatten)]
    process: ProcessArgs,

    /// Another OCI runtime: runc, crun, youki or a path
    #[arg(long, value_name = "PROGRAM")]
    runtime: Option<PathBuf>,

    #[command(flatten)]
    platform: crate::args::PlatformArg,

    #[command(flatten)]
    trust: crate::verbs::trust::VerifyArgs,
}

/// Splits an ordinary user's process before it has threads: one half becomes
/// root of a user namespace and does the work.
pub(crate) fn enter() -> Result<Option<u8>> {
    match rootless::enter()? {
        Entered::Inside(_) => Ok(None),
        Entered::Ended(code) => Ok(Some(code)),
    }
}

pub(crate) fn run(args: Args, context: &Context) -> Result<u8, NotStarted> {
    let wanted = args.platform.platform.as_ref();
    let (opened, root) =
        context.home.admit(&args.image, args.trust.gate(context)?.as_ref(), wanted)?;
    context.tell();
    let image = Image::open(opened.source(), &root, wanted)?;
    let mapping = rootless::Mapping::current()?;
    let users = if mapping.is_initial() { Users::Host } else { Users::Entered(mapping.to_spec()) };
    let mut options = args.process.run_options(args.args, users);
    options.apply.limits = context.limits.layers;
    let runtime = args.runtime.map_or(Runtime::Embedded, Runtime::External);
    let store = context.home.store()?;
    run::run(opened.source(), &image, &store, &runtime, &options, wanted.is_some(), &context.watch)
        .map(|exit| exit.code)
}
