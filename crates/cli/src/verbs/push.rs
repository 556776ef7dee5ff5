//! `plimsoll push`: an image goes to a registry.

use plimsoll::content::{Code, Error, Platform, Result};
use plimsoll::copy::{self, Options};
use plimsoll::reference::{Reference, Which};
use plimsoll::{limits, registry};

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

    /// Leave the signatures of the image where they are: they come along otherwise, where
    /// the destination can hold them
    #[arg(long)]
    no_signatures: bool,

    #[command(flatten)]
    trust: crate::verbs::trust::VerifyArgs,

    /// Send what is longer in chunks of this length, as in 8MiB: for registries or
    /// proxies that do not take much at once [default: whole, and in chunks where
    /// that is refused]
    #[arg(long, value_name = "SIZE", value_parser = chunk)]
    chunk: Option<usize>,
}

fn chunk(text: &str) -> Result<usize> {
    let size = limits::bytes(text).and_then(|size| usize::try_from(size).ok());
    size.filter(|size| (1..=1 << 30).contains(size)).ok_or_else(|| {
        Error::new(Code::Usage, "reading the length of chunks")
            .found(format!("{text:?}"))
            .expected("from 1 byte to 1GiB, as in 8MiB")
    })
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
        signatures: !args.no_signatures,
        gate: args.trust.gate(context)?,
        ..Options::default()
    };
    let from = std::slice::from_ref(&args.from);
    let mut home = context.home.clone();
    if args.chunk.is_some() {
        let client = registry::client::Options { chunk: args.chunk, ..context.client.clone() };
        home = home.with_registries(registry::client::Client::new(client));
    }
    let report = copy::copy(&home, from, &to, &options, &context.watch)?;
    super::copy::print("push", &report, false, context)?;
    Ok(0)
}
