//! `plimsoll rebase`: the same image on another base.

use plimsoll::content::{Platform, Result};
use plimsoll::reference::Reference;

use crate::context::Context;
use crate::verbs::edit;

/// Put an image on another base: the layers of the old base are replaced by
/// those of the new one.
///
/// The image must begin with the layers of the old base. Its config stays as
/// it is, whatever the bases say; diff_ids and history are made anew, and the
/// version of the operating system is that of the new base. What the upper
/// layers hold is not looked at: whether it fits the new base, only you know.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    /// The base that the image was made on
    #[arg(long, value_name = "REF", value_parser = Reference::parse, alias = "old_base")]
    old_base: Reference,

    /// The base that takes its place
    #[arg(long, value_name = "REF", value_parser = Reference::parse, alias = "new_base")]
    new_base: Reference,

    /// The new image: a name in the same place, or a whole reference [default: REF]
    #[arg(short, long, value_name = "NEWREF")]
    tag: Option<String>,

    /// Only the image for this platform [default: all]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let report = context.home.rebase(
        &args.image,
        args.tag.as_deref(),
        args.platform.as_ref(),
        (&args.old_base, &args.new_base),
        &context.watch,
    )?;
    edit::show("rebase", &report, context)
}
