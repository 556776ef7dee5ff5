//! `plimsoll pull`: an image comes from a registry.

use std::path::{Path, PathBuf};

use plimsoll::content::{Code, Error, Platform, Result};
use plimsoll::copy::{self, Options};
use plimsoll::reference::{Reference, Which};

use crate::args::{PlatformArg, SyncArg};
use crate::context::Context;
use crate::verbs::ids::IdsArgs;
use crate::verbs::unpack;

/// Bring an image from a registry into the local store, or unpack it at once.
///
/// Everything that the image reaches is brought, for all platforms; what is in
/// the store already is not. With --unpack, the image for one platform goes from
/// the network to a folder in one pass, and nothing else is written.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image: `docker://HOST/REPOSITORY[:TAG|@DIGEST]`; the scheme may be left out
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    from: Reference,

    /// Its name in the local store [default: as in the registry]
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Unpack the root filesystem to DIR instead, in one pass
    #[arg(long, value_name = "DIR", conflicts_with_all = ["name", "referrers"])]
    unpack: Option<PathBuf>,

    /// Take only the image for this platform out of an index; its digest stays. Several,
    /// divided by commas: the index stays as it is, without what it lists for others
    #[arg(
        long,
        value_name = "OS/ARCH[/VARIANT]",
        value_delimiter = ',',
        env = "PLIMSOLL_PLATFORM"
    )]
    platform: Vec<Platform>,

    /// Also bring what is about the image, to any depth: signatures, bills of materials
    #[arg(long)]
    referrers: bool,

    /// Leave the signatures of the image where they are: they come along otherwise, where
    /// the destination can hold them
    #[arg(long)]
    no_signatures: bool,

    #[command(flatten)]
    ids: IdsArgs,

    #[command(flatten)]
    sync: SyncArg,

    #[command(flatten)]
    trust: crate::verbs::trust::VerifyArgs,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let from = context.home.in_registry(&args.from)?;
    let own = match &from {
        Reference::Registry { host, repository: Some(repository), which } => match which {
            Which::Name(tag) => Which::Name(format!("{host}/{repository}:{tag}")),
            Which::Only => Which::Name(format!("{host}/{repository}:latest")),
            // A digest is a name already.
            _ => Which::Only,
        },
        Reference::Zone { name } => called(&name.parse()?),
        _ => {
            return Err(Error::new(Code::Reference, format!("pulling {}", args.from))
                .found("a place on this machine, or a registry without a repository")
                .expected("an image in a registry: docker://HOST/REPOSITORY[:TAG|@DIGEST]")
                .fix("plimsoll copy SRC store:NAME   copies from any place"));
        }
    };
    if let Some(directory) = &args.unpack {
        return unpacked(args, &from, directory, context);
    }
    let name = match &args.name {
        Some(name) => chosen(name)?,
        None => own,
    };
    bring(args, &from, name, context)
}

/// What the store calls an image whose name its owner publishes.
fn called(name: &plimsoll::name::Reference) -> Which {
    match (&name.which, &name.digest) {
        (_, Some(_)) => Which::Only,
        (Some(which), None) => {
            let tag: String = which
                .as_str()
                .chars()
                .map(|letter| if "/:@+~".contains(letter) { '-' } else { letter })
                .collect();
            Which::Name(format!("{}:{tag}", name.name()))
        }
        (None, None) => Which::Name(format!("{}:latest", name.name())),
    }
}

fn unpacked(args: &Args, from: &Reference, to: &Path, context: &Context) -> Result<u8> {
    if args.platform.len() > 1 {
        return Err(Error::new(Code::Usage, format!("unpacking {from}"))
            .found("several platforms")
            .expected("one: a folder holds one root filesystem"));
    }
    let platform = PlatformArg { platform: args.platform.first().cloned() };
    let (from, to) = (from.clone(), to.to_owned());
    let (ids, trust) = (args.ids.clone(), args.trust.clone());
    let plain = unpack::Args::plain(from, to, platform, ids, args.sync, trust);
    unpack::run(&plain, context)
}

fn chosen(name: &str) -> Result<Which> {
    match Reference::parse(&format!("store:{name}"))? {
        Reference::Store { which: which @ Which::Name(_) } => Ok(which),
        _ => Err(Error::new(Code::Reference, "naming a pulled image")
            .found(format!("{name:?}"))
            .expected("a name of the local store, as in app:v1")),
    }
}

fn bring(args: &Args, from: &Reference, name: Which, context: &Context) -> Result<u8> {
    let to = Reference::Store { which: name };
    let options = Options {
        platforms: args.platform.clone(),
        referrers: args.referrers,
        signatures: !args.no_signatures,
        gate: args.trust.gate(context)?,
        ..Options::default()
    };
    let from = std::slice::from_ref(from);
    let report = copy::copy(&context.home, from, &to, &options, &context.watch)?;
    super::copy::print("pull", &report, false, context)?;
    Ok(0)
}
