//! `plimsoll inspect`: what an image is.

use plimsoll::content::Result;
use plimsoll::inspect::{self, Inspected};
use plimsoll::reference::Reference;

use crate::context::Context;
use crate::out::{Style, safe, size, table};

/// Tell what an image is: platforms, config, layers.
///
/// Without --platform all platforms are told. Nothing but documents is read.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    #[command(flatten)]
    platform: crate::args::PlatformArg,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let opened = context.home.open(&args.image)?;
    let inspected =
        inspect::inspect(opened.source(), &opened.root, args.platform.platform.as_ref())?;
    context.out.report("inspect", &inspected, &inspected.digest.to_string(), |style| {
        text(&inspected, style)
    })?;
    Ok(0)
}

fn text(inspected: &Inspected, style: Style) -> String {
    let mut text = format!("{}  {}\n", inspected.digest, inspected.media_type);
    if let Some(kind) = &inspected.artifact_type {
        text.push_str(&format!("artifact    {kind}\n"));
    }
    for (name, value) in &inspected.annotations {
        text.push_str(&format!("annotation  {name}={}\n", safe(value)));
    }
    for image in &inspected.images {
        text.push_str(&format!("\n{}  {}  {}\n", image.platform, image.digest, size(image.bytes)));
        let mut rows = Vec::new();
        let mut row = |name: &str, value: String| rows.push(vec![format!("  {name}"), value]);
        for (name, value) in image.lines() {
            row(name, safe(&value).replace("\\\"", "\""));
        }
        for (position, layer) in image.layers.iter().enumerate() {
            row(
                &format!("layer {}", position + 1),
                format!(
                    "{}  {}  {}",
                    layer.digest,
                    size(layer.size),
                    style.faint(&layer.media_type)
                ),
            );
        }
        text.push_str(&table(&rows));
    }
    for other in &inspected.others {
        text.push_str(&format!("\n{}  {}  {}\n", other.media_type, other.digest, size(other.size)));
    }
    text
}
