//! `plimsoll bundle`: an image becomes a runtime bundle.

use std::path::PathBuf;

use plimsoll::bundle::{self, Bundled};
use plimsoll::content::Result;
use plimsoll::image::Image;
use plimsoll::reference::Reference;
use plimsoll::runtime::convert::Network;
use serde::Serialize;

use crate::context::Context;
use crate::out::{count, size};
use crate::verbs::process::ProcessArgs;

/// Unpack an image to a runtime bundle (config.json and rootfs).
///
/// DIR must not exist, or be an empty folder; a failure leaves nothing there.
/// Any OCI runtime runs it: `runc run --bundle DIR ID`. `plimsoll repack` makes
/// an image of what changed in it. For an ordinary user
/// the bundle is for a runtime that he starts himself: all files are his, and
/// only user 0 of the image exists.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    /// The folder to make
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    #[command(flatten)]
    process: ProcessArgs,

    /// none: a network of its own with nothing but lo; host: that of the caller
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = NetworkArg::None)]
    network: NetworkArg,

    #[command(flatten)]
    platform: crate::args::PlatformArg,

    #[command(flatten)]
    sync: crate::args::SyncArg,

    #[command(flatten)]
    trust: crate::verbs::trust::VerifyArgs,
}

/// Where the network comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum NetworkArg {
    /// A network of its own with nothing but lo
    None,
    /// That of the caller
    Host,
}

#[derive(Serialize)]
struct Report {
    directory: PathBuf,
    #[serde(flatten)]
    bundled: Bundled,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let wanted = args.platform.platform.as_ref();
    let (opened, root) =
        context.home.admit(&args.image, args.trust.gate(context)?.as_ref(), wanted)?;
    let image = Image::open(opened.source(), &root, wanted)?;
    let mut options = args.process.bundle_options()?;
    options.overrides.network = match args.network {
        NetworkArg::None => Network::Private,
        NetworkArg::Host => Network::Inherited,
    };
    options.durability = args.sync.durability();
    options.apply.limits = context.limits.layers;
    options.place = Some(context.home.lasting(&args.image)?);
    let bundled =
        bundle::bundle(opened.source(), &image, &args.directory, &options, &context.watch)?;
    let report = Report { directory: args.directory.clone(), bundled };
    context.out.report("bundle", &report, &report.bundled.unpacked.digest.to_string(), |_| {
        let Bundled { unpacked, args: words, uid, gid } = &report.bundled;
        let directory = args.directory.display();
        format!(
            "unpacked  {}  {}  {}, {}, {} -> {}\nprocess   {:?} as {uid}:{gid}\nbundle    {directory}\nnext      runc run --bundle {directory} ID\n",
            unpacked.digest, unpacked.platform, count(unpacked.layers as u64, "layer", "layers"), count(unpacked.entries, "entry", "entries"), size(unpacked.compressed), size(unpacked.bytes), words
        )
    })?;
    Ok(0)
}
