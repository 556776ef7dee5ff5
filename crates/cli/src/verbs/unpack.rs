//! `plimsoll unpack`: an image becomes a root filesystem.

use std::path::PathBuf;

use plimsoll::content::Result;
use plimsoll::image::Image;
use plimsoll::layer::apply::{Options, Threads};
use plimsoll::reference::Reference;
use plimsoll::{repack, unpack};

use crate::context::Context;
use crate::out::{count, size};

/// Unpack an image to a root filesystem.
///
/// DIR must not exist, or be an empty folder. It appears when every digest
/// is proved; before, and after any failure, there is nothing at DIR. An
/// ordinary user owns all files; the owners of the image are recorded in the
/// extended attribute user.rootlesscontainers.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    /// The folder to make
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Record the state of DIR there, for `plimsoll repack --state`
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    #[command(flatten)]
    ids: crate::verbs::ids::IdsArgs,

    #[command(flatten)]
    platform: crate::args::PlatformArg,

    #[command(flatten)]
    sync: crate::args::SyncArg,

    #[command(flatten)]
    trust: crate::verbs::trust::VerifyArgs,
}

impl Args {
    /// Unpacks an image without further wishes.
    pub(crate) fn plain(
        image: Reference,
        directory: PathBuf,
        platform: crate::args::PlatformArg,
        ids: crate::verbs::ids::IdsArgs,
        sync: crate::args::SyncArg,
        trust: crate::verbs::trust::VerifyArgs,
    ) -> Self {
        Self { image, directory, state: None, ids, platform, sync, trust }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let wanted = args.platform.platform.as_ref();
    let (opened, root) =
        context.home.admit(&args.image, args.trust.gate(context)?.as_ref(), wanted)?;
    let image = Image::open(opened.source(), &root, wanted)?;
    let options = Options {
        ids: args.ids.ids()?,
        threads: if context.jobs == 1 { Threads::One } else { Threads::Spare },
        limits: context.limits.layers,
        ..unpack::options()
    };
    let place = context.home.lasting(&args.image)?;
    let mut state = None;
    let report = unpack::unpack_with(
        opened.source(),
        &image,
        &args.directory,
        &options,
        args.sync.durability(),
        &context.watch,
        |tree| {
            if args.state.is_some() {
                state = Some(repack::record(tree, &image, &place, &options.ids, &context.watch)?);
            }
            Ok(())
        },
    )?;
    if let (Some(state), Some(file)) = (&state, &args.state) {
        repack::save(state, file)?;
    }
    context.out.report("unpack", &report, &report.digest.to_string(), |_| {
        format!(
            "unpacked  {}  {}  {}, {}, {} -> {}\nto        {}\n",
            report.digest,
            report.platform,
            count(report.layers as u64, "layer", "layers"),
            count(report.entries, "entry", "entries"),
            size(report.compressed),
            size(report.bytes),
            args.directory.display()
        )
    })?;
    Ok(0)
}
