//! `plimsoll show`: the stored bytes, exactly.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use plimsoll::content::{Code, Descriptor, Digest, Error, Platform, Result, Source};
use plimsoll::image::Image;
use plimsoll::reference::Reference;
use plimsoll::store::{Reachable, reachable};

use crate::context::Context;

/// Print stored bytes exactly, proved against their digest.
///
/// `manifest` is what the reference stands for (an index, where it is one,
/// unless --platform is given); `config` and `layer N` are those of the
/// chosen platform.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    /// manifest, config, layer N (from 1), or blob DIGEST
    #[arg(value_name = "WHAT", num_args = 0..=2, default_value = "manifest")]
    what: Vec<String>,

    #[command(flatten)]
    platform: crate::args::PlatformArg,

    /// Write to a new file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let opened = context.home.open(&args.image)?;
    let source = opened.source();
    let blob = chosen(source, &opened.root, &args.what, args.platform.platform.as_ref())?;
    let mut reader = source.open(&blob)?;
    let done = match &args.output {
        Some(path) => {
            let mut file = File::create_new(path)
                .map_err(|cause| Error::io("creating", path.display(), cause))?;
            let copied = io::copy(&mut reader, &mut file)
                .map_err(|cause| Error::io("writing", path.display(), cause))
                .and_then(|_| reader.finish());
            if copied.is_err() {
                // Bytes that are not proved are not left behind.
                let _ = std::fs::remove_file(path);
            }
            copied.map(|_| ())
        }
        None => match io::copy(&mut reader, &mut io::stdout().lock()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
            Err(error) => Err(Error::io("printing", &blob.digest, error)),
            Ok(_) => reader.finish().map(|_| ()),
        },
    };
    done.map(|()| 0)
}

fn chosen(
    source: &dyn Source,
    root: &Descriptor,
    what: &[String],
    platform: Option<&Platform>,
) -> Result<Descriptor> {
    let image = || Image::open(source, root, platform);
    let words: Vec<_> = what.iter().map(String::as_str).collect();
    match words[..] {
        [] | ["manifest" | "index"] if platform.is_none() => Ok(root.clone()),
        [] | ["manifest"] => Ok(image()?.descriptor),
        ["config"] => Ok(image()?.manifest.config.clone()),
        ["layer", number] => {
            let image = image()?;
            let layers = &image.manifest.layers;
            let position = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            position.and_then(|position| layers.get(position)).cloned().ok_or_else(|| {
                Error::new(Code::NotFound, format!("choosing layer {number:?}"))
                    .expected(format!("a number from 1 to {}", layers.len()))
            })
        }
        ["blob", digest] => {
            let digest: Digest = digest.parse()?;
            let Reachable { present, missing } = reachable(source, root)?;
            present.into_iter().chain(missing).find(|blob| blob.digest == digest).ok_or_else(|| {
                Error::new(Code::NotFound, format!("finding blob {digest}"))
                    .found("the image does not refer to it")
            })
        }
        _ => Err(Error::new(Code::Usage, "choosing what to show")
            .found(what.join(" "))
            .expected("manifest, config, layer N or blob DIGEST")),
    }
}
