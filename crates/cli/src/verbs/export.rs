//! `plimsoll export`: an image becomes the tar of its root filesystem.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use plimsoll::content::{Code, Error, Result};
use plimsoll::export::{self, Exported, Options};
use plimsoll::image::Image;
use plimsoll::layer::codec::Compression;
use plimsoll::reference::Reference;
use plimsoll::store::StagedFile;

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
    let file = args.output.as_deref().filter(|path| *path != Path::new("-"));
    if file.is_none() && io::stdout().is_terminal() {
        return Err(Error::new(Code::Usage, "writing a tar archive")
            .found("a terminal")
            .expected("a file or a pipe")
            .fix("-o FILE   names a file; | tar t   lists the archive"));
    }
    let opened = context.home.open(&args.image)?;
    let image = Image::open(opened.source(), &opened.root, args.platform.platform.as_ref())?;
    let options = |scratch| -> Result<Options> {
        Ok(Options {
            compression: args.compression,
            epoch: source_date_epoch()?,
            scratch,
            limits: context.limits.layers,
        })
    };
    let source = opened.source();
    let Some(path) = file else {
        let options = options(context.home.scratch().to_owned())?;
        let out = io::BufWriter::with_capacity(1 << 17, io::stdout().lock());
        let exported = export::export(source, &image, out, &options, &context.watch).and_then(
            |(done, out)| {
                out.into_inner()
                    .map_err(io::IntoInnerError::into_error)
                    .and_then(|mut out| out.flush())
                    .map_err(|cause| Error::io("writing to", "standard output", cause))?;
                Ok(done)
            },
        );
        return match exported {
            // The archive has standard output to itself.
            Ok(done) => {
                context.out.report_aside("export", &done, "", |_| String::new())?;
                Ok(0)
            }
            Err(error) if is_broken_pipe(&error) => Ok(0),
            Err(error) => Err(error),
        };
    };
    let staged = StagedFile::beside(path)?.flushed(context.home.flush());
    let around = path.parent().filter(|path| !path.as_os_str().is_empty());
    let options = options(around.unwrap_or(Path::new(".")).to_owned())?;
    let (done, staged) = export::export(source, &image, staged, &options, &context.watch)
        .map_err(|error| error.context(format!("exporting to {}", path.display())))?;
    staged.publish()?;
    context.out.report("export", &done, &done.diff_id.to_string(), |_| text(&done, path))?;
    Ok(0)
}

/// Whether nobody reads any more, which is their affair.
fn is_broken_pipe(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
        {
            return true;
        }
        cause = error.source();
    }
    false
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
