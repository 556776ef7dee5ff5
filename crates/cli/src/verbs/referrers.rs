//! `plimsoll referrers`: what is about an image.

use plimsoll::attach::Referrer;
use plimsoll::content::{Digest, Platform, Result};
use plimsoll::reference::Reference;
use serde::Serialize;

use crate::context::Context;
use crate::out::{safe, size, table};

/// List what is about an image: signatures, bills of materials, whatever
/// has it as its subject, in the place where the image lies.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    /// Only artifacts of this kind
    #[arg(long, value_name = "TYPE")]
    artifact_type: Option<String>,

    /// What is about the image for this platform [default: about the whole]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
}

#[derive(Serialize)]
struct Report {
    reference: String,
    subject: Digest,
    referrers: Vec<Referrer>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let (subject, referrers) = context.home.referrers(
        &args.image,
        args.platform.as_ref(),
        args.artifact_type.as_deref(),
    )?;
    let report = Report { reference: args.image.to_string(), subject, referrers };
    let digests: Vec<_> = report.referrers.iter().map(|found| found.digest.to_string()).collect();
    context.out.report("referrers", &report, &digests.join("\n"), |style| {
        let mut rows = Vec::new();
        for found in &report.referrers {
            rows.push(vec![found.digest.to_string(), safe(&found.artifact_type), size(found.size)]);
        }
        if rows.is_empty() { style.faint("nothing refers to it\n") } else { table(&rows) }
    })?;
    Ok(0)
}
