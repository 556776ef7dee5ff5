//! `plimsoll diff`: what differs between two trees, as a list or a layer.

use std::io;
use std::path::PathBuf;

use plimsoll::content::{Code, Error, Result};
use plimsoll::diff::{self, Compared, Options, Side};
use plimsoll::layer::codec::Compression;
use plimsoll::layer::diff::{Attributes, Upper};
use plimsoll::reference::Reference;
use plimsoll::repack::Bundle;

use crate::archive;
use crate::context::{Context, source_date_epoch};

/// Tell what differs between two trees, and make a layer of it.
///
/// A tree is a folder (./DIR or /DIR), or an image, which is unpacked for it.
/// With one argument: a bundle, and what changed in it since it was made. As
/// `docker diff` has it, A is a new file, C a changed one, D one that is gone.
/// The layer makes NEW of OLD; `append` puts it on an image.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// What was: a folder or an image; alone, a bundle
    #[arg(value_name = "OLD|BUNDLE")]
    old: String,

    /// What is: a folder or an image
    #[arg(value_name = "NEW", value_parser = Reference::parse)]
    new: Option<Reference>,

    /// Write the layer there, or to standard output (-)
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// How the layer is compressed: `gzip[:LEVEL]`, `zstd[:LEVEL]` or `none`
    #[arg(long, value_name = "HOW", default_value = "none", requires = "output")]
    compression: Compression,

    /// What is: OLD, seen through this upper folder of an overlay mount that was
    /// made with metacopy=off, redirect_dir=off and index=off
    #[arg(long, value_name = "DIR", conflicts_with = "new")]
    upper: Option<PathBuf>,

    /// The overlay keeps its attributes as user.overlay.*, as mounts with
    /// userxattr do
    #[arg(long, requires = "upper", conflicts_with = "new")]
    userxattr: bool,

    /// Leave out what the upper folder has and is the same below
    #[arg(long, requires = "upper", conflicts_with = "new")]
    minimize: bool,

    /// Of a bundle: the state that `unpack --state` recorded; then OLD is a root
    /// filesystem
    #[arg(long, value_name = "FILE", conflicts_with_all = ["new", "upper"])]
    state: Option<PathBuf>,

    /// Of a bundle: where the image lies that it came from [default: where it lay]
    #[arg(long, value_name = "REF", value_parser = Reference::parse, conflicts_with_all = ["new", "upper"])]
    base: Option<Reference>,

    /// Of a bundle: compare the content of all files, whatever their times say
    #[arg(long, conflicts_with_all = ["new", "upper"])]
    paranoid: bool,

    #[command(flatten)]
    platform: crate::args::PlatformArg,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let options = Options {
        compression: args.compression,
        epoch: source_date_epoch()?,
        threads: context.jobs,
        limits: context.limits.layers,
        platform: args.platform.platform.clone(),
    };
    let compare = |out: &mut dyn io::Write| compare(args, context, out, &options);
    let Some(named) = args.output.as_deref() else {
        let compared = compare(&mut io::sink())?;
        context.out.report("diff", &compared, &essential(&compared), |_| text(&compared))?;
        return Ok(0);
    };
    let file = archive::file(Some(named));
    let Some(compared) = archive::write(file, context, compare)? else { return Ok(0) };
    if file.is_some() {
        context
            .out
            .report("diff", &compared, &compared.diff_id.to_string(), |_| text(&compared))?;
    } else {
        // The archive has standard output to itself.
        context.out.report_aside("diff", &compared, "", |_| text(&compared))?;
    }
    Ok(0)
}

fn compare(
    args: &Args,
    context: &Context,
    out: &mut dyn io::Write,
    options: &Options,
) -> Result<Compared> {
    let (home, watch) = (&context.home, &context.watch);
    let old = || -> Result<Side> { Ok(Reference::parse(&args.old)?.into()) };
    if let Some(upper) = &args.upper {
        let attributes = if args.userxattr { Attributes::User } else { Attributes::Trusted };
        let how = Upper { attributes, minimize: args.minimize };
        return diff::upper(home, (&old()?, upper), how, out, options, watch);
    }
    if let Some(new) = &args.new {
        return diff::trees(home, (&old()?, &new.clone().into()), out, options, watch);
    }
    let bundle = match &args.state {
        Some(state) => Bundle::with_state(args.old.as_ref(), state)?,
        None => Bundle::open(args.old.as_ref()).map_err(alone)?,
    };
    let (held, image) = bundle.base(home, args.base.as_ref())?;
    diff::bundle(&bundle, (held.source(), &image), args.paranoid, out, options, watch)
}

/// One argument alone must be a bundle.
fn alone(error: Error) -> Error {
    if error.code() == Code::NotFound {
        error.fix("plimsoll diff OLD NEW   compares two images or folders")
    } else {
        error
    }
}

/// The changes alone.
fn essential(compared: &Compared) -> String {
    let lines: Vec<_> = compared
        .changes
        .iter()
        .map(|line| format!("{} {}", line.kind.letter(), line.path))
        .collect();
    lines.join("\n")
}

fn text(compared: &Compared) -> String {
    let mut text = essential(compared);
    if !text.is_empty() {
        text.push('\n');
    }
    let Compared { added, changed, removed, .. } = compared;
    text + &format!("{added} added, {changed} changed, {removed} removed\n")
}
