//! `plimsoll append`: layers on top of an image.

use std::path::PathBuf;

use plimsoll::append::Options;
use plimsoll::content::{Platform, Result};
use plimsoll::layer::codec::Compression;
use plimsoll::reference::Reference;

use crate::context::{Context, source_date_epoch};
use crate::out::{count, size};
use crate::verbs::{edit, pack};

/// Put layers on top of an image: layer tars and folders, in their order.
///
/// A tar in gzip or zstd becomes the layer as it is, byte for byte; a plain
/// tar keeps its bytes and is compressed; a folder is packed as `pack` does.
/// Whiteouts in a tar delete, as in every layer.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    /// The layers, the lowest first
    #[arg(value_name = "LAYER.tar|DIR", required = true)]
    layers: Vec<PathBuf>,

    /// The new image: a name in the same place, or a whole reference [default: REF]
    #[arg(short, long, value_name = "NEWREF", visible_alias = "new_tag")]
    tag: Option<String>,

    /// How folders and plain tars are compressed: `gzip[:LEVEL]`, `zstd[:LEVEL]` or `none`
    #[arg(long, value_name = "HOW", default_value = "gzip")]
    compression: Compression,

    /// The owner of all files of folders [default: as they are; for ordinary users 0:0]
    #[arg(long, value_name = "UID:GID", value_parser = pack::owner)]
    owner: Option<(u32, u32)>,

    /// What the history says of the layers
    #[arg(long, value_name = "TEXT", default_value = "plimsoll append")]
    created_by: String,

    /// Only the image for this platform [default: all]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<u8> {
    let options = Options {
        compression: args.compression,
        epoch: source_date_epoch()?,
        owner: args.owner,
        created_by: args.created_by,
        threads: context.jobs,
        limits: context.limits.layers,
    };
    let done = context.home.append(
        &args.image,
        args.tag.as_deref(),
        args.platform.as_ref(),
        &args.layers,
        &options,
        &context.watch,
    )?;
    context.out.report("append", &done, &done.report.digest.to_string(), |style| {
        let mut text = String::new();
        for layer in &done.layers {
            text.push_str(&format!(
                "layer  {}  {}  {} -> {} {}\n",
                layer.digest,
                count(layer.entries, "entry", "entries"),
                size(layer.bytes),
                size(layer.size),
                layer.compression
            ));
        }
        text + &edit::text(&done.report, style)
    })?;
    Ok(0)
}
