//! `plimsoll run`: an image becomes a process.

use std::path::PathBuf;

use plimsoll::content::{Code, Error, Result};
use plimsoll::image::Image;
use plimsoll::reference::Reference;
use plimsoll::run::{self, Connection, More, Runtime};
use plimsoll::runtime::convert::Users;
use plimsoll::runtime::exec::NotStarted;
use plimsoll::runtime::network::Port;
use plimsoll::runtime::rootless::{self, Entered};
use plimsoll::trust::Gate;

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

    /// Arguments, instead of the image's default ones; after -- or a first one
    /// without a hyphen nothing is an option of plimsoll any more
    #[arg(value_name = "ARGS", trailing_var_arg = true)]
    args: Vec<String>,

    #[command(flatten)]
    process: ProcessArgs,

    /// Pass standard input on; it always is, so this is for the fingers
    #[arg(short, long)]
    interactive: bool,

    /// Put a small process 1 before the program, which passes signals on and reaps
    #[arg(long)]
    init: bool,

    /// Nothing is ever kept of a run, so this changes nothing
    #[arg(long, hide = true)]
    rm: bool,

    /// auto: a network of its own, connected by pasta or slirp4netns if one works
    /// here, else none; none: with nothing but lo; host: that of the caller
    #[arg(long, visible_alias = "net", value_name = "WHICH", value_enum, default_value_t = NetworkArg::Auto)]
    network: NetworkArg,

    /// Let a port of this machine lead to one of the container
    #[arg(short, long, value_name = "[ADDRESS:]PORT:PORT[/udp]", value_parser = Port::parse)]
    publish: Vec<Port>,

    /// Another OCI runtime: runc, crun, youki or a path
    #[arg(long, value_name = "PROGRAM")]
    runtime: Option<PathBuf>,

    #[command(flatten)]
    platform: crate::args::PlatformArg,

    #[command(flatten)]
    trust: crate::verbs::trust::VerifyArgs,

    /// Run what a name means also if no policy and no zone vouches for it
    #[arg(long, help_heading = "Trust", conflicts_with = "verify")]
    unverified: bool,
}

/// Where the network comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum NetworkArg {
    /// A network of its own, connected if a helper works here
    Auto,
    /// A network of its own with nothing but lo
    None,
    /// That of the caller
    Host,
}

/// Splits an ordinary user's process before it has threads: one half becomes
/// root of a user namespace and does the work.
pub(crate) fn enter() -> Result<Option<u8>> {
    match rootless::enter()? {
        Entered::Inside(_) => Ok(None),
        Entered::Ended(code) => Ok(Some(code)),
    }
}

/// What must let an image pass that a mere name stands for: the policy of this
/// machine, if nobody vouches for the name itself.
fn gate_of_name(args: &Args, context: &Context) -> Result<Option<Gate>> {
    let Some(doubt) = context.home.doubt(&args.image)? else { return Ok(None) };
    args.trust.usual(context)?.map(Some).ok_or_else(|| {
        Error::new(Code::Assurance, format!("running {}", args.image))
            .found(doubt)
            .expected("a policy (trust.json), or a zone that somebody vouches for")
            .fix(format!("plimsoll run --unverified {}   runs it all the same", args.image))
    })
}

pub(crate) fn run(args: Args, context: &Context) -> Result<u8, NotStarted> {
    let wanted = args.platform.platform.as_ref();
    let gate = match args.trust.gate(context)? {
        None if !args.unverified => gate_of_name(&args, context)?,
        gate => gate,
    };
    let (opened, root) = context.home.admit(&args.image, gate.as_ref(), wanted)?;
    context.tell();
    let image = Image::open(opened.source(), &root, wanted)?;
    let mapping = rootless::Mapping::current()?;
    let users = if mapping.is_initial() { Users::Host } else { Users::Entered(mapping.to_spec()) };
    let mut options = args.process.run_options(args.args, users)?;
    options.apply.limits = context.limits.layers;
    let runtime = args.runtime.map_or(Runtime::Embedded, Runtime::External);
    let store = context.home.store()?;
    let network = match args.network {
        NetworkArg::Auto => Connection::Auto(
            std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect(),
        ),
        NetworkArg::None => Connection::None,
        NetworkArg::Host => Connection::Host,
    };
    let more =
        More { any_platform: wanted.is_some(), init: args.init, network, ports: args.publish };
    run::run(opened.source(), &image, &store, &runtime, &options, &more, &context.watch)
        .map(|exit| exit.code)
}
