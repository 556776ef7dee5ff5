//! `plimsoll push`: an image goes to a registry.

use plimsoll::content::{Code, Error, Platform, Result};
use plimsoll::copy::{self, Options};
use plimsoll::reference::{Reference, Which};

use crate::context::Context;

/// Bring an image into a registry, byte for byte.
///
/// All that it reaches goes first and its tag last, so that nobody sees half of
/// it. What the registry has already is not sent.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    from: Reference,

    /// Where it goes: `docker://HOST/REPOSITORY[:TAG]`, the scheme may be left out
    /// [default: as the image is called]
    #[arg(value_name = "DST", value_parser = Reference::parse_remote)]
    to: Option<Reference>,

    /// Push only the image for this platform out of an index; its digest stays. Several,
    /// divided by commas: the index stays as it is, without what it lists for others
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    platform: Vec<Platform>,

    /// Also push what is about the image, to any depth: signatures, bills of materials
    #[arg(long)]
    referrers: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let to = match (&args.to, &args.from) {
        (Some(to), _) => to.clone(),
        (None, Reference::Name { name, .. }) => Reference::parse_remote(name)?,
        (None, Reference::Store { which: Which::Name(name) }) => Reference::parse_remote(name)?,
        (None, other) => other.clone(),
    };
    if !matches!(to, Reference::Registry { repository: Some(_), .. }) || to == args.from {
        return Err(Error::new(Code::Reference, format!("pushing {}", args.from))
            .found(format!("{to} as the destination"))
            .expected("a repository of a registry: docker://HOST/REPOSITORY[:TAG]")
            .fix(format!("plimsoll push {} docker://HOST/REPOSITORY:TAG", args.from)));
    }
    let options = Options {
        platforms: args.platform.clone(),
        referrers: args.referrers,
        ..Options::default()
    };
    let from = std::slice::from_ref(&args.from);
    let report = copy::copy(&context.home, from, &to, &options, &context.watch)?;
    super::copy::print("push", &report, false, context)?;
    Ok(0)
}
