//! `plimsoll copy`: an image goes to another place as it is.

use std::io::IsTerminal;

use plimsoll::content::{Code, Error, Platform, Result};
use plimsoll::copy::{self, Copied, Options, State};
use plimsoll::reference::{At, Reference};

use crate::context::Context;
use crate::out::{Style, count, safe, size};

/// Copy images to another place, byte for byte.
///
/// Everything that an image reaches is copied: all platforms, nested indexes.
/// No digest changes. What is at the destination already is not copied again.
/// With --json the report lists every blob, as the proof that none is missing.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "SRC", value_parser = Reference::parse)]
    from: Reference,

    /// Where it goes: `docker://`, `oci:`, `oci-archive:`, `docker-archive:`, `dir:`, `store:`, or - (standard output)
    #[arg(value_name = "DST", value_parser = Reference::parse)]
    to: Reference,

    /// Take only the image for this platform out of an index; its digest stays. Several,
    /// divided by commas: the index stays as it is, without what it lists for others
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    platform: Vec<Platform>,

    /// Also copy what is about the image, to any depth: signatures, bills of materials
    #[arg(long)]
    referrers: bool,

    /// Leave the signatures of the image where they are: they come along otherwise, where
    /// the destination can hold them
    #[arg(long)]
    no_signatures: bool,

    /// Copy all images of SRC, with their names
    #[arg(long)]
    all: bool,

    /// Let names that come from SRC replace names of DST
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    trust: crate::verbs::trust::VerifyArgs,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<u8> {
    let options = Options {
        platforms: args.platform,
        referrers: args.referrers,
        signatures: !args.no_signatures,
        all: args.all,
        force: args.force,
        gate: args.trust.gate(context)?,
    };
    let aside = streams(&args.to)?;
    let report = copy::copy(&context.home, &[args.from], &args.to, &options, &context.watch)?;
    print("copy", &report, aside, context)?;
    Ok(0)
}

/// Whether the destination is standard output, which must not be a terminal.
pub(crate) fn streams(to: &Reference) -> Result<bool> {
    let stream = matches!(to, Reference::Archive { at: At::Stream, .. });
    if stream && std::io::stdout().is_terminal() {
        return Err(Error::new(Code::Usage, "writing an archive to standard output")
            .found("a terminal")
            .expected("a pipe or a file")
            .fix("-o FILE, or   | COMMAND"));
    }
    Ok(stream)
}

/// Prints what was copied; on standard error if standard output is the archive.
pub(crate) fn print(verb: &str, report: &Copied, aside: bool, context: &Context) -> Result<()> {
    let essential = report.images.first().map(|image| image.digest.to_string());
    let essential = essential.unwrap_or_default();
    let text = |style| text(report, style);
    if aside {
        context.out.report_aside(verb, report, &essential, text)
    } else {
        context.out.report(verb, report, &essential, text)
    }
}

fn text(report: &Copied, style: Style) -> String {
    let mut text = String::new();
    for image in &report.images {
        let name = image.name.as_deref().map_or_else(|| "(no name)".to_owned(), safe);
        let kind = if image.referrer { "  referrer" } else { "" };
        text.push_str(&format!("{name}  {}{}\n", image.digest, style.faint(kind)));
    }
    let number = |state| {
        let blobs = report.blobs.iter().filter(|blob| blob.state == state);
        count(blobs.count() as u64, "blob", "blobs")
    };
    let mounted = if report.blobs.iter().any(|blob| blob.state == State::Mounted) {
        format!("; {} taken over", number(State::Mounted))
    } else {
        String::new()
    };
    text.push_str(&format!(
        "copied {}, {}{mounted}; {} there already\n",
        number(State::Copied),
        size(report.bytes),
        number(State::Present)
    ));
    text
}
