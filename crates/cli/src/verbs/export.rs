//! `plimsoll export`: an image becomes the tar of its root filesystem.

use std::path::{Path, PathBuf};

use plimsoll::content::Result;
use plimsoll::export::{self, Exported, Options};
use plimsoll::image::Image;
use plimsoll::layer::codec::Compression;
use plimsoll::reference::Reference;

use crate::archive;
use crate::context::{Context, source_date_epoch};
use crate::out::{count, size};

/// Write the root filesystem of an image as one tar.
///
/// All layers are flattened into one archive, sorted, with whiteouts applied:
/// always the same bytes for the same image. Nothing is written before every
/// digest is proved.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    /// The file to make, or - for standard output, which is the default
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// How the tar is compressed: `gzip[:LEVEL]`, `zstd[:LEVEL]` or `none`
    #[arg(long, value_name = "HOW", default_value = "none")]
    compression: Compression,

    #[command(flatten)]
    platform: crate::args::PlatformArg,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let file = archive::file(args.output.as_deref());
    let opened = context.home.open(&args.image)?;
    let image = Image::open(opened.source(), &opened.root, args.platform.platform.as_ref())?;
    let scratch = match file {
        Some(path) => {
            let around = path.parent().filter(|path| !path.as_os_str().is_empty());
            around.unwrap_or(Path::new("."))
        }
        None => context.home.scratch(),
    };
    let options = Options {
        compression: args.compression,
        epoch: source_date_epoch()?,
        scratch: scratch.to_owned(),
        limits: context.limits.layers,
    };
    let done = archive::write(file, context, |out| {
        let exported = export::export(opened.source(), &image, out, &options, &context.watch);
        exported.map(|(done, _)| done)
    })?;
    match (done, file) {
        (Some(done), Some(path)) => {
            let text = |_| text(&done, path);
            context.out.report("export", &done, &done.diff_id.to_string(), text)?;
        }
        // The archive has standard output to itself.
        (Some(done), None) => {
            context.out.report_aside("export", &done, "", |_| String::new())?;
        }
        (None, _) => {}
    }
    Ok(0)
}

fn text(done: &Exported, path: &Path) -> String {
    format!(
        "exported  {}  {}  {}, {}, {}\nto        {}  {}\n",
        done.digest,
        done.platform,
        count(done.layers as u64, "layer", "layers"),
        count(done.entries, "entry", "entries"),
        size(done.bytes),
        path.display(),
        size(done.size),
    )
}
