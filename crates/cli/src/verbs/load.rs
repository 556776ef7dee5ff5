//! `plimsoll load`: an archive comes into the local store.

use std::path::PathBuf;

use plimsoll::content::{Code, Error, Result};
use plimsoll::copy::{self, Options};
use plimsoll::reference::{At, Reference, Which};

use crate::context::Context;
use crate::out::safe;

/// Bring the images of an archive into the local store.
///
/// What kind of archive it is, and how it is compressed, is seen: an OCI
/// layout in a tar, or what docker save, podman save or buildah write. With
/// NAME, the one image in it gets that name.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The name to give; a - before it, or alone, stands for standard input
    #[arg(value_name = "NAME", num_args = 0..=2)]
    name: Vec<String>,

    /// The archive [default: standard input]
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// Let names of the archive replace names of the store
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let at = match &args.input {
        Some(path) if path.as_os_str() != "-" => At::File(path.clone()),
        _ => At::Stream,
    };
    let words: Vec<_> = args.name.iter().map(String::as_str).collect();
    let name = match words[..] {
        [] | ["-"] => None,
        ["-", name] | [name] => Some(name),
        _ => {
            return Err(Error::new(Code::Usage, "loading an archive")
                .found("two names")
                .expected("one at most")
                .fix("-i FILE   says which archive"));
        }
    };
    let which = match name {
        None => Which::Only,
        Some(name) => match Reference::parse(&format!("store:{name}"))? {
            Reference::Store { which: which @ Which::Name(_) } => which,
            _ => {
                return Err(Error::new(Code::Reference, "naming a loaded image")
                    .found(format!("{name:?}"))
                    .expected("a name of the local store, as in app:v1"));
            }
        },
    };
    let from = Reference::Archive { form: None, at, which: Which::Only };
    let to = Reference::Store { which };
    let options = Options { all: name.is_none(), force: args.force, ..Options::default() };
    let report = copy::copy(&context.home, &[from], &to, &options, &context.watch)?;
    let essential = report.images.first().map(|image| image.digest.to_string());
    context.out.report("load", &report, &essential.unwrap_or_default(), |_| {
        let mut text = String::new();
        for image in &report.images {
            match &image.name {
                Some(name) => text.push_str(&format!("Loaded image: {}\n", safe(name))),
                None => text.push_str(&format!("Loaded image ID: {}\n", image.digest)),
            }
        }
        text
    })?;
    Ok(0)
}
