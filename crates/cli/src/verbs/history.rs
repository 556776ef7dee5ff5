//! `plimsoll history`: how an image came about.

use plimsoll::content::{Digest, Result};
use plimsoll::history::{Step, history};
use plimsoll::image::Image;
use plimsoll::reference::Reference;
use serde::Serialize;

use crate::context::Context;
use crate::out::{safe, size, table};

/// How much of a command is shown, as docker has it.
const SHOWN: usize = 45;

/// Tell how an image came about: the steps of its history with their layers,
/// the last one first.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    /// Show commands and comments in full
    #[arg(long)]
    no_trunc: bool,

    #[command(flatten)]
    platform: crate::args::PlatformArg,
}

#[derive(Serialize)]
struct Report {
    reference: String,
    digest: Digest,
    platform: String,
    /// The last one first.
    steps: Vec<Step>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let opened = context.home.open(&args.image)?;
    let image = Image::open(opened.source(), &opened.root, args.platform.platform.as_ref())?;
    let mut steps = history(&image)?;
    steps.reverse();
    let report = Report {
        reference: args.image.to_string(),
        digest: image.descriptor.digest.clone(),
        platform: image.platform().to_string(),
        steps,
    };
    let layers: Vec<_> = report
        .steps
        .iter()
        .filter_map(|step| step.layer.as_ref())
        .map(ToString::to_string)
        .collect();
    context.out.report("history", &report, &layers.join("\n"), |_| {
        let cut = |text: Option<&str>| {
            let text = safe(text.unwrap_or_default());
            if args.no_trunc || text.chars().count() <= SHOWN {
                return text;
            }
            text.chars().take(SHOWN - 1).chain(['…']).collect()
        };
        let mut rows =
            vec![["CREATED", "CREATED BY", "SIZE", "COMMENT"].map(str::to_owned).to_vec()];
        for step in &report.steps {
            rows.push(vec![
                step.created.as_deref().map_or_else(|| "-".to_owned(), safe),
                cut(step.created_by.as_deref().or(Some("<not told>"))),
                size(step.size),
                cut(step.comment.as_deref()),
            ]);
        }
        table(&rows)
    })?;
    Ok(0)
}
