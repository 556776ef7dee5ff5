//! `plimsoll fsck`: whether a layout or store is as it should be.

use plimsoll::content::Result;
use plimsoll::reference::Reference;
use plimsoll::validate::Level;

use crate::context::Context;
use crate::out::{count, safe, size};

/// Check a layout or the local store: hash every blob, follow every image,
/// and say which images a damage hurts.
///
/// With --repair, damaged blobs are put away (into .plimsoll/quarantine) and
/// taken anew from the places given with --from, proved as always; leftovers
/// of killed commands are removed; a broken index.json is written anew from
/// the blobs. Exit code 6 means that damage remains.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The place [default: the local store]
    #[arg(value_name = "PLACE", value_parser = Reference::parse)]
    place: Option<Reference>,

    /// Repair what can be repaired
    #[arg(long)]
    repair: bool,

    /// An image in a place that has the blobs; may be given several times
    #[arg(long, value_name = "REF", value_parser = Reference::parse, requires = "repair")]
    from: Vec<Reference>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let from = args
        .from
        .iter()
        .map(|reference| context.home.open(reference))
        .collect::<Result<Vec<_>>>()?;
    let report = context.home.fsck(args.place.as_ref(), args.repair, &from, &context.watch)?;
    let word = if report.sound { "sound" } else { "damaged" };
    context.out.report("fsck", &report, word, |style| {
        let mut text = String::new();
        for finding in &report.findings {
            let head = match (&finding.repaired, finding.level) {
                (Some(_), _) => style.good("repaired"),
                (None, Level::Error) => style.error("damage  "),
                (None, Level::Warning | Level::Note) => style.faint("note    "),
            };
            let what = match (&finding.digest, &finding.path) {
                (Some(digest), _) => digest.to_string(),
                (None, Some(path)) => safe(&path.to_string_lossy()),
                (None, None) => safe(&finding.images.join(", ")),
            };
            text.push_str(&format!("{head}  {}  {what}\n", finding.kind.as_str()));
            text.push_str(&format!("          {}\n", safe(&finding.message)));
            if finding.digest.is_some() && !finding.images.is_empty() {
                text.push_str(&format!("          hurts {}\n", safe(&finding.images.join(", "))));
            }
            if let Some(done) = &finding.repaired {
                text.push_str(&format!("          {}\n", safe(done)));
            }
        }
        text.push_str(&format!(
            "{word}  {}  {}, {}, {}\n",
            safe(&report.place),
            count(report.entries as u64, "entry", "entries"),
            count(report.blobs as u64, "blob", "blobs"),
            size(report.bytes),
        ));
        text
    })?;
    Ok(if report.sound { 0 } else { 6 })
}
