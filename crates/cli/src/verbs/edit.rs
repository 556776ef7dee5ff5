//! `plimsoll edit`: what an image says of itself.

use plimsoll::change::Report;
use plimsoll::content::{Platform, Result};
use plimsoll::edit::{Edit, Unset};
use plimsoll::reference::Reference;

use crate::context::Context;
use crate::out::Style;
use crate::verbs::editing::EditArgs;

/// Change what an image says of itself: environment, command, labels, …
///
/// What is not named is not touched, not even by formatting: members that
/// are unknown here stay. Without a new reference the name moves to the
/// changed image. An image for several platforms is changed on all of them,
/// unless --platform chooses.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    /// The changed image: a name in the same place, or a whole reference [default: REF]
    #[arg(value_name = "NEWREF")]
    to: Option<String>,

    /// The same as NEWREF
    #[arg(short, long, value_name = "NEWREF", conflicts_with = "to")]
    tag: Option<String>,

    #[command(flatten)]
    edit: EditArgs,

    /// Take a field away (cmd, user, healthcheck, …) or one entry of it
    /// (env:NAME, label:NAME, expose:PORT, volume:DIR, annotation:NAME);
    /// before anything is set
    #[arg(long, value_name = "FIELD[:NAME]", value_parser = <Unset as std::str::FromStr>::from_str)]
    unset: Vec<Unset>,

    /// When the image was made: RFC 3339, or seconds since 1970
    #[arg(long, value_name = "TIME")]
    created: Option<String>,

    /// What the image runs on, instead of what it says
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    set_platform: Option<Platform>,

    /// Change only the image for this platform [default: all]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<u8> {
    let (edit, annotations) = args.edit.read()?;
    let edit = Edit {
        unset: args.unset,
        created: args.created.as_deref().map(time).transpose()?,
        platform: args.set_platform,
        ..edit
    };
    let report = context.home.edit(
        &args.image,
        args.to.or(args.tag).as_deref(),
        args.platform.as_ref(),
        &edit,
        &annotations,
        &context.watch,
    )?;
    show("edit", &report, context)
}

/// How a changed image is told of.
pub(crate) fn show(verb: &str, report: &Report, context: &Context) -> Result<u8> {
    context.out.report(verb, report, &report.digest.to_string(), |style| text(report, style))?;
    Ok(0)
}

pub(crate) fn text(report: &Report, style: Style) -> String {
    let mut text = String::new();
    for image in &report.images {
        let same = if image.from == image.digest { "  (as it was)" } else { "" };
        let what = style.faint(&format!("{}{same}", image.platform));
        text.push_str(&format!("image  {}  {what}\n", image.digest));
    }
    if report.images.iter().all(|image| image.digest != report.digest) {
        text.push_str(&format!("index  {}\n", report.digest));
    }
    text.push_str(&format!("name   {}\n", report.name));
    text
}

/// A time as documents write it.
fn time(text: &str) -> Result<String> {
    match text.parse::<i64>() {
        Ok(seconds) => plimsoll::pack::time(seconds),
        Err(_) => plimsoll::edit::time(text),
    }
}
