//! `plimsoll rm`: takes names away.

use plimsoll::content::Result;
use plimsoll::reference::Reference;
use serde_json::json;

use crate::context::Context;
use crate::out::count;

/// Take a name away. The blobs stay until --gc removes what nothing refers to.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    /// Also remove the blobs that no image of the place refers to any more
    #[arg(long)]
    gc: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let opened = context.home.open_to_change(&args.image)?;
    opened.untag()?;
    let removed = if args.gc { opened.collect()? } else { Vec::new() };
    let digest = opened.root.digest.to_string();
    let report =
        json!({"reference": args.image.to_string(), "digest": digest, "removedBlobs": removed});
    context.out.report("rm", &report, &digest, |_| {
        let mut text = format!("removed {}  {digest}\n", args.image);
        if args.gc {
            text.push_str(&format!("removed {}\n", count(removed.len() as u64, "blob", "blobs")));
        }
        text
    })?;
    Ok(0)
}
