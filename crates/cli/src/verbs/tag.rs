//! `plimsoll tag`: a further name for an image.

use plimsoll::content::Result;
use plimsoll::reference::Reference;
use serde_json::json;

use crate::context::Context;

/// Give an image a further name. Everything else stays byte for byte.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    /// The new name, in the same place
    #[arg(value_name = "NAME")]
    name: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let opened = context.home.open_to_change(&args.image)?;
    let name = opened.tag(&args.name)?;
    let report = json!({"reference": opened.place(), "name": name, "digest": opened.root.digest});
    context.out.report("tag", &report, &opened.root.digest.to_string(), |_| {
        format!("{name}  {}\n", opened.root.digest)
    })?;
    Ok(0)
}
