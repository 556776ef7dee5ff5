//! `plimsoll unpack`: an image becomes a root filesystem.

use std::path::PathBuf;

use plimsoll::content::Result;
use plimsoll::image::Image;
use plimsoll::reference::Reference;
use plimsoll::unpack;

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

    #[command(flatten)]
    platform: crate::args::PlatformArg,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let opened = context.home.open(&args.image)?;
    let image = Image::open(opened.source(), &opened.root, args.platform.platform.as_ref())?;
    let options = unpack::options();
    let report = unpack::unpack(
        opened.source(),
        &image,
        &args.directory,
        &options,
        context.home.flush(),
        &context.watch,
    )?;
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
