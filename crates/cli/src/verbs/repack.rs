//! `plimsoll repack`: what changed in a bundle becomes a layer.

use std::path::PathBuf;

use plimsoll::content::{Annotations, Result};
use plimsoll::edit::pair;
use plimsoll::layer::codec::Compression;
use plimsoll::reference::Reference;
use plimsoll::repack::{Bundle, Options, Repacked};
use serde::Serialize;

use crate::context::{Context, source_date_epoch};
use crate::out::{count, size};

/// Make an image of what changed in a bundle, on top of the one it came from.
///
/// What changed is found without reading everything and without trust in times
/// that programs can set. The layers below stay as they are; with
/// SOURCE_DATE_EPOCH set, that is the image's time, and the latest of any file
/// in the new layer. If nothing changed, REF names the image that the bundle
/// came from.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A bundle that `plimsoll bundle` made; with --state, a root filesystem
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,

    /// The image to make: `oci:PATH[:REF]`, or a name in the local store
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    to: Reference,

    /// The state that `unpack --state` recorded
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    /// Where the image lies that the bundle came from [default: where it lay]
    #[arg(long, value_name = "REF", value_parser = Reference::parse)]
    base: Option<Reference>,

    /// Compare the content of all files, whatever their times say
    #[arg(long)]
    paranoid: bool,

    /// Record in the bundle what it is now, so that the next layer goes on top
    /// of this one
    #[arg(long, visible_alias = "refresh-bundle")]
    refresh: bool,

    /// How the layer is compressed: `gzip[:LEVEL]`, `zstd[:LEVEL]` or `none`
    #[arg(long, value_name = "HOW", default_value = "gzip")]
    compression: Compression,

    /// What the history says of how the layer was made
    #[arg(long, value_name = "TEXT", alias = "history.created_by")]
    created_by: Option<String>,

    /// What the history says of why
    #[arg(long, value_name = "TEXT", alias = "history.comment")]
    comment: Option<String>,

    /// Who made the image and the layer
    #[arg(long, value_name = "NAME", alias = "history.author")]
    author: Option<String>,

    /// Set an annotation on the manifest
    #[arg(short, long, value_name = "NAME=VALUE")]
    annotation: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    reference: String,
    #[serde(flatten)]
    repacked: Repacked,
    refreshed: bool,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<u8> {
    let mut annotations = Annotations::new();
    for annotation in &args.annotation {
        let (name, value) = pair("annotation", annotation)?;
        annotations.insert(name.to_owned(), value.to_owned());
    }
    let bundle = match &args.state {
        Some(state) => Bundle::with_state(&args.bundle, state)?,
        None => Bundle::open(&args.bundle)?,
    };
    let (held, image) = bundle.base(&context.home, args.base.as_ref())?;
    let target = context.home.target(&args.to)?;
    let options = Options {
        compression: args.compression,
        epoch: source_date_epoch()?,
        paranoid: args.paranoid,
        created_by: args.created_by,
        comment: args.comment,
        author: args.author,
        annotations,
        threads: context.jobs,
        limits: context.limits.layers,
    };
    let (repacked, after) =
        bundle.repack((held.source(), &image), &target, &options, &context.watch)?;
    target.publish(&repacked.descriptor)?;
    if args.refresh {
        after.refresh(&repacked.descriptor, &context.home.lasting(&args.to)?)?;
    }
    let report = Report { reference: args.to.to_string(), repacked, refreshed: args.refresh };
    context.out.report("repack", &report, &report.repacked.digest.to_string(), |style| {
        let Repacked { layer, added, changed, removed, .. } = &report.repacked;
        let mut text = match layer {
            Some(layer) => format!(
                "layer  {}  {}  {} -> {} {}\n       {added} added, {changed} changed, {removed} removed\n",
                layer.digest,
                count(layer.entries, "entry", "entries"),
                size(layer.bytes),
                size(layer.size),
                layer.compression
            ),
            None => "layer  none: nothing changed\n".to_owned(),
        };
        text.push_str(&format!(
            "image  {}  {}\nname   {}\n",
            report.repacked.digest,
            style.faint(&report.repacked.platform),
            report.reference
        ));
        text
    })?;
    Ok(0)
}
