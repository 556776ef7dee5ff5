//! `plimsoll show`: the stored bytes, exactly.

use std::fs::File;
use std::io::{self, Cursor};
use std::path::PathBuf;

use plimsoll::content::{
    Algorithm, Code, Descriptor, Digest, Error, Platform, Result, Source, Unverified,
};
use plimsoll::image::Image;
use plimsoll::reference::Reference;
use plimsoll::spec::docker::schema1::is_schema1;
use plimsoll::spec::media_type;
use plimsoll::store::{Reachable, document, reachable};

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
    let platform = args.platform.platform.as_ref();
    let blob = chosen(source, &opened.root, &args.what, platform)?;
    let mut reader = match shown_whole(source, &opened.root, &blob, platform, context)? {
        Some(bytes) => {
            // Proved already: the bytes of a document are shown as they are.
            let whole = Descriptor::of(blob.media_type.clone(), Algorithm::Sha256, &bytes);
            Unverified::new(Cursor::new(bytes)).verify(&whole)?
        }
        None => source.open(&blob)?,
    };
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

/// What is no blob of the source: the config of a schema 1 image, which has
/// none, so it is made; and its manifest, whose digest is not that of all its
/// bytes.
fn shown_whole(
    source: &dyn Source,
    root: &Descriptor,
    blob: &Descriptor,
    platform: Option<&Platform>,
    context: &Context,
) -> Result<Option<Vec<u8>>> {
    if is_schema1(&blob.media_type) {
        return document::read(source, blob).map(Some);
    }
    if ![media_type::CONFIG, media_type::DOCKER_CONFIG].contains(&blob.media_type) {
        return Ok(None);
    }
    let image = Image::open(source, root, platform)?;
    if image.schema1.is_none() {
        return Ok(None);
    }
    let image = image.complete(source, &context.limits.layers, &context.watch)?;
    Ok(Some(image.config.bytes().to_vec()))
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
