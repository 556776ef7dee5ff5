//! `plimsoll gc`: removes what nobody needs.

use std::time::{SystemTime, UNIX_EPOCH};

use plimsoll::content::Result;
use plimsoll::reference::Reference;
use plimsoll::store::Collect;

use crate::context::Context;
use crate::out::{count, safe, size};

/// Remove what no image of a place needs: blobs that no name leads to, what
/// killed commands left, and from the store unpacked layers of images that
/// are gone.
///
/// It waits for commands that write there, and they wait for it. Other tools
/// know nothing of that: while they write to the place, give them time with
/// --older-than.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The place [default: the local store]
    #[arg(value_name = "PLACE", value_parser = Reference::parse)]
    place: Option<Reference>,

    /// Only say what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Keep blobs that were written less than this ago, such as 90s, 30m, 12h or 7d
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    older_than: Option<i64>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    let options = Collect {
        dry_run: args.dry_run,
        before: args.older_than.map(|seconds| now.saturating_sub(seconds)),
    };
    let report = context.home.collect(args.place.as_ref(), &options)?;
    let digests: Vec<_> = report.blobs.iter().map(|blob| blob.digest.to_string()).collect();
    context.out.report("gc", &report, &digests.join("\n"), |style| {
        let verb = if report.dry_run { "would remove" } else { "removed" };
        let mut text = String::new();
        for blob in &report.blobs {
            text.push_str(&format!("{verb}  {}  {}\n", blob.digest, size(blob.bytes)));
        }
        for path in report.leftovers.iter().chain(&report.cache) {
            text.push_str(&format!("{verb}  {}\n", safe(&path.to_string_lossy())));
        }
        for stayed in &report.stayed {
            text.push_str(&format!("stays  {}\n", safe(stayed)));
        }
        text.push_str(&style.faint(&format!(
            "{verb} {} ({}), {}, {}\n",
            count(report.blobs.len() as u64, "blob", "blobs"),
            size(report.bytes),
            count(report.leftovers.len() as u64, "leftover", "leftovers"),
            count(report.cache.len() as u64, "cached layer", "cached layers"),
        )));
        text
    })?;
    Ok(0)
}

/// A time as people write it: a number, and s, m, h or d.
pub(crate) fn seconds(text: &str) -> Result<i64, String> {
    let bad = || "expected a number with s, m, h or d, such as 30m".to_owned();
    let (number, unit) = match text.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => (&text[..at], unit),
        _ => (text, 's'),
    };
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(bad()),
    };
    number
        .parse::<i64>()
        .ok()
        .filter(|number| *number >= 0)
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, found) in [("90", 90), ("90s", 90), ("2m", 120), ("1h", 3600), ("7d", 604_800)] {
            assert_eq!(seconds(text), Ok(found));
        }
        for bad in ["", "h", "-1h", "1w", "1.5h", "99999999999999999d", "1ü"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
