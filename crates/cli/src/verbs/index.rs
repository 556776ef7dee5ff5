//! `plimsoll index`: images for several platforms.

use plimsoll::content::{MediaType, Result};
use plimsoll::indexes::{About, Report};
use plimsoll::reference::Reference;

use crate::context::Context;
use crate::out::{safe, table};
use crate::verbs::editing::annotations;

/// Make an index of images for several platforms, add to it, take from it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make an index of images. An index among them stays one
    Create(Change),
    /// Add images to an index
    #[command(visible_alias = "append")]
    Add(Change),
    /// Take entries from an index
    #[command(visible_alias = "rm")]
    Remove(Remove),
}

#[derive(clap::Args, Debug)]
struct Change {
    /// The index
    #[arg(value_name = "NAME", value_parser = Reference::parse)]
    name: Reference,

    /// The images. The platform of one is what its config says, unless its
    /// descriptor says it
    #[arg(value_name = "REF", value_parser = Reference::parse, required = true)]
    images: Vec<Reference>,

    /// Set an annotation on the index
    #[arg(short, long, value_name = "NAME=VALUE")]
    annotation: Vec<String>,

    /// Set an annotation on the entries that are added
    #[arg(long, value_name = "NAME=VALUE", visible_alias = "desc-annotation")]
    entry_annotation: Vec<String>,

    /// What kind of artifact the index is
    #[arg(long, value_name = "TYPE")]
    artifact_type: Option<String>,
}

#[derive(clap::Args, Debug)]
struct Remove {
    /// The index
    #[arg(value_name = "NAME", value_parser = Reference::parse)]
    name: Reference,

    /// A digest, at least eight digits of one, or a platform
    #[arg(value_name = "DIGEST|PLATFORM", required = true)]
    which: Vec<String>,
}

impl Change {
    fn about(&self) -> Result<About> {
        Ok(About {
            annotations: annotations(&self.annotation)?,
            entry_annotations: annotations(&self.entry_annotation)?,
            artifact_type: self.artifact_type.as_deref().map(MediaType::from),
        })
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let (home, watch) = (&context.home, &context.watch);
    let report = match &args.what {
        What::Create(args) => home.index_create(&args.name, &args.images, &args.about()?, watch)?,
        What::Add(args) => home.index_add(&args.name, &args.images, &args.about()?, watch)?,
        What::Remove(args) => home.index_remove(&args.name, &args.which)?,
    };
    show(&report, context)
}

fn show(report: &Report, context: &Context) -> Result<u8> {
    context.out.report("index", report, &report.digest.to_string(), |_| {
        let mut rows =
            vec![vec!["index".to_owned(), report.digest.to_string(), report.name.clone()]];
        for entry in &report.manifests {
            rows.push(vec![
                "entry".to_owned(),
                entry.digest.to_string(),
                safe(entry.platform.as_deref().unwrap_or(&entry.media_type)),
            ]);
        }
        table(&rows)
    })?;
    Ok(0)
}
