//! `plimsoll ls`: the images of a place.

use plimsoll::content::Result;
use plimsoll::reference::Reference;
use serde::Serialize;

use crate::context::Context;
use crate::out::{safe, size, table};

/// List the images of a place: a layout, an archive, the local store.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The place [default: the local store]
    #[arg(value_name = "PLACE", value_parser = Reference::parse)]
    place: Option<Reference>,
}

#[derive(Serialize)]
struct Report {
    place: String,
    images: Vec<plimsoll::place::Listed>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let (place, images) = context.home.list(args.place.as_ref())?;
    let report = Report { place, images };
    let names: Vec<_> = report
        .images
        .iter()
        .map(|image| image.name.as_deref().map_or_else(|| format!("@{}", image.digest), safe))
        .collect();
    context.out.report("ls", &report, &names.join("\n"), |style| {
        let mut rows = Vec::new();
        for image in &report.images {
            rows.push(vec![
                image.name.as_deref().map_or_else(|| "(no name)".to_owned(), safe),
                image.digest.to_string(),
                image.kind.clone(),
                safe(&image.platforms.join(" ")),
                image.bytes.map(size).unwrap_or_default(),
            ]);
        }
        if rows.is_empty() { style.faint("no images\n") } else { table(&rows) }
    })?;
    Ok(0)
}
