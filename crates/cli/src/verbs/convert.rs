//! `plimsoll convert`: an image in another form.

use plimsoll::content::{Algorithm, Platform, Result};
use plimsoll::convert::{Converted, Family, How, Options};
use plimsoll::layer::codec::Compression;
use plimsoll::reference::Reference;
use plimsoll::squash::{self, Below};

use super::copy::streams;
use super::squash::CREATED_BY;
use crate::context::{Context, source_date_epoch};
use crate::out::{Style, count, safe, size};

/// Convert an image: Docker's and OCI's form, compression, digests.
///
/// What is not asked for stays as it is, and what is in the wanted form
/// already keeps its bytes and its digest. All platforms of an index are
/// converted into a new one. Where anything changes, so do the digests of the
/// manifests: signatures are about the image as it was, and are not brought.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "SRC", value_parser = Reference::parse)]
    from: Reference,

    /// Where it goes: `oci:`, `oci-archive:`, `docker-archive:`, `dir:`, `store:`, or - (standard output)
    #[arg(value_name = "DST", value_parser = Reference::parse)]
    to: Reference,

    /// Whose documents: `oci` or `docker` (version 2, schema 2) [default: as they are]
    #[arg(long = "to", value_name = "FORM", alias = "format")]
    family: Option<Family>,

    /// How layers are compressed: `gzip[:LEVEL]`, `zstd[:LEVEL]` or `none` [default: as they are]
    #[arg(long, value_name = "HOW")]
    compression: Option<Compression>,

    /// Compress also layers anew that are compressed in that way already
    #[arg(long, requires = "compression")]
    recompress: bool,

    /// Make every digest with this: `sha256`, `sha512` or `blake3` [default: as they are]
    #[arg(long, value_name = "ALGORITHM")]
    digest: Option<Algorithm>,

    /// Only the images for these: one is taken out of its index, several stay in a smaller one
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    platform: Vec<Platform>,

    /// Join the layers of each image into one, as `plimsoll squash` does
    #[arg(long)]
    squash: bool,

    /// Let a name that comes from SRC replace one of DST
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<u8> {
    let (threads, limits) = (context.jobs, context.limits.layers);
    let joining = squash::Options {
        below: Below::Layers(0),
        compression: args.compression.unwrap_or_default(),
        platform: None,
        created_by: CREATED_BY.to_owned(),
        epoch: source_date_epoch()?,
        threads,
        limits,
    };
    let options = Options {
        family: args.family,
        compression: args.compression,
        recompress: args.recompress,
        algorithm: args.digest,
        platforms: args.platform,
        squash: args.squash.then_some(joining),
        force: args.force,
        threads,
        limits,
    };
    let aside = streams(&args.to)?;
    let done = context.home.convert(&args.from, &args.to, &options, &context.watch)?;
    let (essential, text) = (done.digest.to_string(), |style| text(&done, style));
    if aside {
        context.out.report_aside("convert", &done, &essential, text)?;
    } else {
        context.out.report("convert", &done, &essential, text)?;
    }
    Ok(0)
}

/// How what was done to layers is told.
pub(crate) fn text(done: &Converted, style: Style) -> String {
    let mut text = String::new();
    for manifest in &done.manifests {
        for layer in &manifest.layers {
            let what = match layer.state {
                How::Copied | How::Present => "as it was",
                How::Recompressed => "recompressed",
                How::Rehashed => "hashed anew",
                How::Elsewhere => "lies elsewhere",
                _ => "joined",
            };
            let what = style.faint(&format!("{}  {what}", size(layer.size)));
            text.push_str(&format!("layer  {}  {what}\n", layer.digest));
        }
        let kind = if manifest.platform.is_some() {
            "image "
        } else if manifest.layers.is_empty() {
            "index "
        } else {
            "other "
        };
        let same = if manifest.from == manifest.digest { "  (as it was)" } else { "" };
        let platform = manifest.platform.as_deref().unwrap_or_default();
        let what = style.faint(&format!("{}{same}", safe(platform)));
        text.push_str(format!("{kind} {}  {what}", manifest.digest).trim_end());
        text.push('\n');
    }
    if !done.lost.is_empty() {
        let lost = count(done.lost.len() as u64, "thing that it said", "things that it said");
        text.push_str(&format!("lost   {lost}, named above\n"));
    }
    if let Some(name) = &done.name {
        text.push_str(&format!("name   {}\n", safe(name)));
    }
    text
}
