//! `plimsoll squash`: layers of an image joined into one.

use plimsoll::content::{Platform, Result};
use plimsoll::layer::codec::Compression;
use plimsoll::reference::Reference;
use plimsoll::squash::{Below, Options};

use super::convert;
use crate::context::{Context, source_date_epoch};

/// Join the layers of an image into one: all, or those above a base.
///
/// The files stay what they are. What upper layers delete goes, with its
/// bytes; where a layer that is kept has it, a whiteout stays. Of the config,
/// only diff_ids and history change. Without a new reference the name moves to
/// the new image; an image for several platforms is changed on all of them.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    /// The new image: a name in the same place, or a whole reference [default: REF]
    #[arg(short, long, value_name = "NEWREF", visible_short_alias = 'o')]
    tag: Option<String>,

    /// Keep that many layers as they are, from the lowest on
    #[arg(long, value_name = "N", default_value_t = 0, visible_alias = "onto")]
    keep: usize,

    /// Keep the layers of this image, which REF begins with
    #[arg(long, value_name = "REF", value_parser = Reference::parse, conflicts_with = "keep")]
    base: Option<Reference>,

    /// How the joined layer is compressed: `gzip[:LEVEL]`, `zstd[:LEVEL]` or `none`
    #[arg(long, value_name = "HOW", default_value = "gzip")]
    compression: Compression,

    /// What the history says of the joined layer
    #[arg(long, value_name = "TEXT", default_value = CREATED_BY)]
    created_by: String,

    /// Only the image for this platform [default: all]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
}

/// What the history says of a joined layer by default.
pub(crate) const CREATED_BY: &str = "plimsoll squash";

pub(crate) fn run(args: Args, context: &Context) -> Result<u8> {
    let options = Options {
        below: args.base.map_or(Below::Layers(args.keep), Below::Image),
        compression: args.compression,
        platform: args.platform,
        created_by: args.created_by,
        epoch: source_date_epoch()?,
        threads: context.jobs,
        limits: context.limits.layers,
    };
    let done = context.home.squash(&args.image, args.tag.as_deref(), &options, &context.watch)?;
    let text = |style| convert::text(&done, style);
    context.out.report("squash", &done, &done.digest.to_string(), text)?;
    Ok(0)
}
