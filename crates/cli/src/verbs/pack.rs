//! `plimsoll pack`: a folder, or the tar of a root filesystem, becomes an image.

use std::path::PathBuf;

use plimsoll::content::{Platform, Result};
use plimsoll::image::Image;
use plimsoll::layer::codec::Compression;
use plimsoll::pack::{self, Options, Packed};
use plimsoll::place::{Opened, Target};
use plimsoll::reference::Reference;
use serde::Serialize;

use crate::context::{Context, source_date_epoch};
use crate::out::{count, size};
use crate::verbs::editing::EditArgs;

/// Make an image from a folder or a root filesystem tar.
///
/// The same input gives the same digest, on every machine: files are sorted,
/// nothing of the time, the user or the machine gets in. With
/// SOURCE_DATE_EPOCH set, that is the image's time, and the latest of any
/// file in it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A folder, or a tar archive of a root filesystem (plain, or in gzip, zstd, xz or bzip2)
    #[arg(value_name = "DIR|TAR")]
    input: PathBuf,

    /// The image to make: `oci:PATH[:REF]`, or a name in the local store
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    to: Reference,

    /// The image to build on: its layers and config come first
    #[arg(long, value_name = "REF", value_parser = Reference::parse)]
    base: Option<Reference>,

    #[command(flatten)]
    edit: EditArgs,

    /// What the image runs on [default: this machine]. With several, DIR holds
    /// a folder for each, such as DIR/linux/arm64, and an index is made
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    platform: Vec<Platform>,

    /// How the layer is compressed: `gzip[:LEVEL]`, `zstd[:LEVEL]` or `none`
    #[arg(long, value_name = "HOW", default_value = "gzip")]
    compression: Compression,

    #[command(flatten)]
    map: crate::verbs::ids::MapArgs,

    /// The owner of all files [default: as they are; for ordinary users 0:0]
    #[arg(long, value_name = "UID:GID", value_parser = owner)]
    owner: Option<(u32, u32)>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    reference: String,
    digest: String,
    images: Vec<Packed>,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<u8> {
    let (edit, annotations) = args.edit.read()?;
    let target = context.home.target(&args.to)?;
    let options = Options {
        platform: Platform::host(),
        scratch: target.scratch(),
        limits: context.limits.layers,
        compression: args.compression,
        threads: context.jobs,
        epoch: source_date_epoch()?,
        map: args.map.map()?,
        owner: args.owner,
        edit,
        annotations,
    };
    let base = args.base.as_ref().map(|base| context.home.open(base)).transpose()?;
    let digest;
    let images = if let [] | [_] = args.platform[..] {
        let platform = args.platform.first();
        let image = one(&args.input, base.as_ref(), platform, &target, &options, context)?;
        digest = image.digest.to_string();
        target.publish(&image.descriptor)?;
        vec![image]
    } else {
        let images = args
            .platform
            .iter()
            .map(|platform| {
                let input = args.input.join(platform.to_string());
                one(&input, base.as_ref(), Some(platform), &target, &options, context)
            })
            .collect::<Result<Vec<_>>>()?;
        let index = pack::index(&images, &options.annotations, target.sink())?;
        digest = index.digest.to_string();
        target.publish(&index)?;
        images
    };
    let report = Report { reference: args.to.to_string(), digest, images };
    context.out.report("pack", &report, &report.digest, |style| {
        let mut text = String::new();
        for image in &report.images {
            let layer = &image.layer;
            text.push_str(&format!(
                "layer  {}  {}  {} -> {} {}\n",
                layer.digest,
                count(layer.entries, "entry", "entries"),
                size(layer.bytes),
                size(layer.size),
                layer.compression
            ));
            text.push_str(&format!("image  {}  {}\n", image.digest, style.faint(&image.platform)));
        }
        if report.images.len() > 1 {
            text.push_str(&format!(
                "index  {}  {} platforms\n",
                report.digest,
                report.images.len()
            ));
        }
        text.push_str(&format!("name   {}\n", report.reference));
        text
    })?;
    Ok(0)
}

fn one(
    input: &std::path::Path,
    base: Option<&Opened>,
    platform: Option<&Platform>,
    target: &Target,
    options: &Options,
    context: &Context,
) -> Result<Packed> {
    let base = base
        .map(|opened| {
            Image::open(opened.source(), &opened.root, platform)
                .map(|image| (opened.source(), image))
        })
        .transpose()?;
    let platform = platform.cloned().unwrap_or_else(Platform::host);
    let options = Options { platform, ..options.clone() };
    pack::pack(
        input,
        base.as_ref().map(|(source, image)| (*source, image)),
        target.sink(),
        &options,
        &context.watch,
    )
}

pub(crate) fn owner(text: &str) -> Result<(u32, u32), String> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    match (uid.parse(), gid.parse()) {
        (Ok(uid), Ok(gid)) => Ok((uid, gid)),
        _ => Err("expected UID:GID, two numbers".to_owned()),
    }
}
