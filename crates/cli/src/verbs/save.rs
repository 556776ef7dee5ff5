//! `plimsoll save`: images become an archive.

use std::path::PathBuf;

use plimsoll::content::{Platform, Result};
use plimsoll::copy::{self, Options};
use plimsoll::reference::{At, Reference, Which};
use plimsoll::store::Form;

use super::copy::{print, streams};
use crate::context::Context;

/// Write images to one archive, for `plimsoll load`, podman or docker.
///
/// The same images give the same bytes. The default form is the archive of
/// an OCI layout, which holds everything; --format docker is what older
/// engines load: one platform, uncompressed layers.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The images
    #[arg(value_name = "REF", required = true, value_parser = Reference::parse)]
    images: Vec<Reference>,

    /// The archive to make [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// What kind of archive
    #[arg(long, value_name = "FORM", value_enum, default_value_t = FormArg::Oci)]
    format: FormArg,

    /// Take only the image for this platform out of an index; its digest stays. Several,
    /// divided by commas: the index stays as it is, without what it lists for others
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    platform: Vec<Platform>,

    /// Also write what is about the images, to any depth
    #[arg(long)]
    referrers: bool,
}

/// What kind of archive.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum FormArg {
    /// An OCI layout in a tar archive
    Oci,
    /// What docker load takes
    Docker,
}

pub(crate) fn run(mut args: Args, context: &Context) -> Result<u8> {
    // `save REF -` is how fingers write it.
    if args.images.len() > 1
        && args.output.is_none()
        && matches!(args.images.last(), Some(Reference::Archive { form: None, at: At::Stream, .. }))
    {
        args.images.pop();
    }
    let form = match args.format {
        FormArg::Oci => Form::Oci,
        FormArg::Docker => Form::Docker,
    };
    let at = match args.output {
        Some(path) if path.as_os_str() != "-" => At::File(path),
        _ => At::Stream,
    };
    let to = Reference::Archive { form: Some(form), at, which: Which::Only };
    let options =
        Options { platforms: args.platform, referrers: args.referrers, ..Options::default() };
    let aside = streams(&to)?;
    let report = copy::copy(&context.home, &args.images, &to, &options, &context.watch)?;
    print("save", &report, aside, context)?;
    Ok(0)
}
