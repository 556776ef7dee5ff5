//! `plimsoll mirror`: many images, as a file says.

use std::io::Read;
use std::path::PathBuf;

use plimsoll::content::{Code, Error, Kind, Result};
use plimsoll::mirror::{self, Mirrored, Plan, Report, State};

use crate::context::Context;
use crate::out::{Style, count, safe, size};

/// The largest file.
const LIMIT: u64 = 4 << 20;

/// Bring many images to their places, as a file says.
///
/// What is there already is left alone, so that it may be done again at any
/// time. What fails does not stop the others; it is in the report, and the exit
/// code says so. The file is TOML or JSON: tables `image` with from, to, tags,
/// exclude, versions, newest, platforms, referrers.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// What is to be mirrored; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Only say what would be brought
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let shown = args.file.display().to_string();
    let failed = |cause| Error::io("reading", &shown, cause);
    let mut bytes = Vec::new();
    let read = if shown == "-" {
        std::io::stdin().lock().take(LIMIT + 1).read_to_end(&mut bytes)
    } else {
        let file = std::fs::File::open(&args.file).map_err(failed)?;
        file.take(LIMIT + 1).read_to_end(&mut bytes)
    };
    read.map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err(Error::new(Code::Limit, format!("reading {shown}"))
            .found(format!("more than {LIMIT} bytes"))
            .expected("fewer"));
    }
    let plan = Plan::parse(&bytes).map_err(|error| error.context(format!("reading {shown}")))?;
    let report = mirror::mirror(&context.home, &plan, args.dry_run, &context.watch)?;
    let digests: Vec<_> = report
        .images
        .iter()
        .filter(|image| image.state == State::Copied)
        .filter_map(|image| image.digest.as_ref().map(ToString::to_string))
        .collect();
    context.out.report("mirror", &report, &digests.join("\n"), |style| text(&report, style))?;
    Ok(report.failed().map_or(0, Kind::exit_code))
}

fn text(report: &Report, style: Style) -> String {
    let mut text = String::new();
    for image in &report.images {
        let word = match image.state {
            State::Copied => style.good("copied "),
            State::Present => style.faint("present"),
            State::Planned => "planned".to_owned(),
            State::Failed => style.error("failed "),
        };
        let to = image.to.as_deref().map(|to| format!(" -> {}", safe(to))).unwrap_or_default();
        let Mirrored { digest, error, from, .. } = image;
        let digest = digest.as_ref().map(|digest| format!("  {digest}")).unwrap_or_default();
        text.push_str(&format!("{word}  {}{to}{digest}\n", safe(from)));
        if let Some(error) = error {
            text.push_str(&format!("  {}: {}\n", error.code, safe(&error.message)));
        }
    }
    let number = |state| report.images.iter().filter(|image| image.state == state).count() as u64;
    let copied = if report.dry_run { State::Planned } else { State::Copied };
    text.push_str(&format!(
        "{} {}, {}; {} there already; {} failed\n",
        if report.dry_run { "to copy" } else { "copied" },
        count(number(copied), "image", "images"),
        size(report.bytes),
        number(State::Present),
        number(State::Failed)
    ));
    text
}
