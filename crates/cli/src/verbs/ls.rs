//! `plimsoll ls`: the images of a place.

use plimsoll::content::Result;
use plimsoll::place::Names;
use plimsoll::reference::Reference;
use serde::Serialize;

use crate::context::Context;
use crate::out::{safe, size, table};

/// List the images of a place: a layout, an archive, the local store.
///
/// Of a registry, `docker://HOST` lists the repositories, and
/// `docker://HOST/REPOSITORY` the tags, by name alone; with :TAG behind it, that
/// image is listed as those of other places are.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    repositories: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    if let Some(place) = &args.place
        && let Some(names) = context.home.names(place)?
    {
        return print(place, names, context);
    }
    let (place, images) = context.home.list(args.place.as_ref())?;
    let report = Report { place, images, repositories: None, tags: None };
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

fn print(place: &Reference, names: Names, context: &Context) -> Result<u8> {
    let (repositories, tags) = match names {
        Names::Repositories(names) => (Some(names), None),
        Names::Tags(names) => (None, Some(names)),
    };
    let report = Report { place: place.to_string(), images: Vec::new(), repositories, tags };
    let names = report.repositories.iter().chain(&report.tags).flatten();
    let text = names.map(|name| safe(name)).collect::<Vec<_>>().join("\n");
    context.out.report("ls", &report, &text, |style| {
        if text.is_empty() { style.faint("nothing\n") } else { format!("{text}\n") }
    })?;
    Ok(0)
}
