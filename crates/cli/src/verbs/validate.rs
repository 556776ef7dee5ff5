//! `plimsoll validate`: whether an image is what it says.

use plimsoll::content::{Code, Error, Result};
use plimsoll::reference::Reference;
use plimsoll::validate::{self, Level};
use serde::Serialize;

use crate::context::Context;
use crate::out::{count, size};

/// Check structure, digests, sizes and diff_ids of everything reachable.
///
/// It does not stop at the first finding. Exit code 6 if there are errors.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The images
    #[arg(value_name = "REF", required = true, value_parser = Reference::parse)]
    images: Vec<Reference>,

    /// Let warnings count as errors
    #[arg(long)]
    strict: bool,
}

#[derive(Serialize)]
struct Report {
    valid: bool,
    images: Vec<One>,
}

#[derive(Serialize)]
struct One {
    reference: String,
    #[serde(flatten)]
    report: validate::Report,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let mut images = Vec::new();
    for reference in &args.images {
        let opened = context.home.open(reference)?;
        let report = validate::validate(
            opened.source(),
            &opened.root,
            context.limits.layers,
            &context.watch,
        )?;
        images.push(One { reference: reference.to_string(), report });
    }
    let number = |level| {
        images
            .iter()
            .flat_map(|image| &image.report.findings)
            .filter(|finding| finding.level == level)
            .count()
    };
    let (errors, warnings) = (number(Level::Error), number(Level::Warning));
    let valid = errors == 0 && !(args.strict && warnings > 0);
    let report = Report { valid, images };
    context.out.report("validate", &report, if valid { "valid" } else { "invalid" }, |style| {
        let mut text = String::new();
        for image in &report.images {
            for finding in &image.report.findings {
                let level = match finding.level {
                    Level::Error => style.error("error"),
                    Level::Warning => "warning".to_owned(),
                };
                text.push_str(&format!(
                    "{level}[{}]: {}: {}\n  blob:  {}\n",
                    finding.code, finding.location, finding.message, finding.digest
                ));
            }
            let verdict =
                if image.report.valid { style.good("valid") } else { style.error("invalid") };
            text.push_str(&format!(
                "{verdict}  {}  {}  {}, {}, {}, {} hashed\n",
                image.reference,
                image.report.digest,
                count(image.report.documents as u64, "document", "documents"),
                count(image.report.blobs as u64, "blob", "blobs"),
                count(image.report.entries, "entry", "entries"),
                size(image.report.bytes)
            ));
        }
        text
    })?;
    if valid {
        return Ok(0);
    }
    Err(Error::new(Code::Invalid, "validating")
        .found(format!("{errors} errors, {warnings} warnings")))
}
