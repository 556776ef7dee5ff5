//! `plimsoll validate`: whether an image is what it says, and what the
//! specification says.

mod junit;
mod sarif;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use plimsoll::content::{Code, Error, Result};
use plimsoll::reference::Reference;
use plimsoll::spec::rules::{self, Rule};
use plimsoll::store::write_file_atomic;
use plimsoll::validate::{self, Baseline, Finding, Level, Party, Selection};
use serde::Serialize;

use crate::context::Context;
use crate::out::{Output, Style, bytes, count, safe, size};

/// Check images by every rule of the image specification: documents, layers,
/// digests, sizes and diff_ids of everything reachable.
///
/// A reference without a name means all that lies there, `index.json` and
/// `oci-layout` themselves included. It does not stop at the first finding.
/// `plimsoll explain LY2` tells what a rule demands. Exit code 0 means that
/// there are no errors, 6 that there are, or warnings or notes that were
/// denied.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The images, or places with images
    #[arg(value_name = "REF", required = true, value_parser = Reference::parse)]
    images: Vec<Reference>,

    /// Only rules that bind these: who writes, keeps or runs images
    #[arg(long, value_name = "ROLE", value_enum)]
    role: Vec<Role>,

    /// Only that rule, such as LY2, or findings of that error code that have no
    /// rule; may be given several times
    #[arg(long, value_name = "ID")]
    rule: Vec<String>,

    /// Let warnings count as errors, or notes and warnings
    #[arg(long, value_name = "LEVEL", value_enum)]
    deny: Option<Deny>,

    /// The same as --deny warnings
    #[arg(long, hide = true, conflicts_with = "deny")]
    strict: bool,

    /// Do not tell findings again that this file holds
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// Write the findings to this file, for --baseline; they count all the same
    #[arg(long, value_name = "FILE")]
    write_baseline: Option<PathBuf>,

    /// How the findings are written: for people, as --json does, as SARIF 2.1.0
    /// for code scanning, or as JUnit XML for test reports
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORM")]
    format: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Role {
    Builder,
    Registry,
    Engine,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Deny {
    Warnings,
    Notes,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
    Sarif,
    Junit,
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
    /// How many findings the baseline has taken out.
    known: usize,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let selection = selection(args)?;
    let mut images = Vec::new();
    for reference in &args.images {
        let mut report = context.home.validate(reference, context.limits.layers, &context.watch)?;
        let known = selection.apply(&mut report);
        images.push(One { reference: reference.to_string(), report, known });
    }
    if let Some(path) = &args.write_baseline {
        // What an older baseline holds is still known.
        let mut baseline = Baseline::of(images.iter().map(|image| &image.report));
        baseline.extend(selection.baseline.as_ref());
        write(path, &baseline)?;
    }
    let report = Report { valid: images.iter().all(|image| image.report.valid), images };
    let valid = report.valid;
    let word = if valid { "valid" } else { "invalid" };
    match args.format {
        Format::Text => context.out.report("validate", &report, word, |style| {
            report.images.iter().map(|image| text(image, style, context.verbose)).collect()
        })?,
        Format::Json => Output::json_report("validate", &report)?,
        Format::Sarif => bytes(sarif::document(&report.images).as_bytes())?,
        Format::Junit => {
            let rules: Vec<_> = rules::all().filter(|rule| is_asked(args, rule)).collect();
            bytes(junit::document(&report.images, &rules, &selection).as_bytes())?;
        }
    }
    if valid {
        return Ok(0);
    }
    let number = |level| report.images.iter().map(|image| image.report.count(level)).sum::<usize>();
    let (errors, warnings) = (number(Level::Error), number(Level::Warning));
    let mut found = format!("{errors} errors, {warnings} warnings");
    if selection.counts(Level::Note) {
        found.push_str(&format!(", {} notes", number(Level::Note)));
    }
    Err(Error::new(Code::Invalid, "validating").found(found))
}

fn write(path: &Path, baseline: &Baseline) -> Result<()> {
    let Some(name) = path.file_name().and_then(OsStr::to_str) else {
        return Err(Error::new(Code::Usage, format!("writing {}", path.display()))
            .expected("the path of a file"));
    };
    let folder = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let folder =
        File::open(folder).map_err(|cause| Error::io("opening folder", folder.display(), cause))?;
    write_file_atomic(folder.as_fd(), name, baseline.to_json().as_bytes(), 0o644)
}

fn selection(args: &Args) -> Result<Selection> {
    let mut rules = Vec::new();
    for id in &args.rule {
        let code = Code::ALL.iter().find(|code| code.as_str().eq_ignore_ascii_case(id));
        match (rules::find(id), code) {
            (Some(rule), _) => rules.push(rule.id.to_owned()),
            (None, Some(code)) => rules.push(code.to_string()),
            (None, None) => {
                return Err(Error::new(Code::Usage, "choosing rules")
                    .found(format!("{id:?}"))
                    .expected("the id of a rule, such as LY2")
                    .fix("plimsoll explain   lists them all"));
            }
        }
    }
    let baseline =
        match &args.baseline {
            None => None,
            Some(path) => {
                let bytes = fs::read(path)
                    .map_err(|cause| Error::io("reading baseline", path.display(), cause))?;
                Some(Baseline::parse(&bytes).map_err(|error| {
                    error.context(format!("reading baseline {}", path.display()))
                })?)
            }
        };
    let deny = match args.deny {
        Some(Deny::Notes) => Some(Level::Note),
        Some(Deny::Warnings) => Some(Level::Warning),
        None => args.strict.then_some(Level::Warning),
    };
    Ok(Selection { parties: parties(args), rules, baseline, deny })
}

fn parties(args: &Args) -> Vec<Party> {
    let party = |role: &Role| match role {
        Role::Builder => Party::Builder,
        Role::Registry => Party::Registry,
        Role::Engine => Party::Engine,
    };
    args.role.iter().map(party).collect()
}

fn is_asked(args: &Args, rule: &Rule) -> bool {
    let parties = parties(args);
    (parties.is_empty() || rule.parties.iter().any(|party| parties.contains(party)))
        && (args.rule.is_empty() || args.rule.iter().any(|id| id.eq_ignore_ascii_case(rule.id)))
}

fn text(image: &One, style: Style, verbose: bool) -> String {
    let mut text = String::new();
    for finding in &image.report.findings {
        let head = format!("{}[{}]", finding.level, id(finding));
        let head = match finding.level {
            Level::Error => style.error(&head),
            Level::Warning => head,
            Level::Note => style.faint(&head),
        };
        let place = place(finding);
        text.push_str(&format!("{head}: {place}: {}\n", safe(&finding.message)));
        if let Some(digest) = &finding.digest {
            text.push_str(&format!("  blob:  {digest}\n"));
        }
        let rule = finding.rule.and_then(rules::find).filter(|_| verbose);
        if let Some(rule) = rule {
            text.push_str(&format!("  rule:  {} ({})\n", rule.text, rule.section));
        }
    }
    let report = &image.report;
    let verdict = if report.valid { style.good("valid") } else { style.error("invalid") };
    let digest = report.digest.as_ref().map(|digest| format!("  {digest}")).unwrap_or_default();
    text.push_str(&format!(
        "{verdict}  {}{digest}  {}, {}, {}, {} hashed\n",
        safe(&image.reference),
        count(report.documents as u64, "document", "documents"),
        count(report.blobs as u64, "blob", "blobs"),
        count(report.entries, "entry", "entries"),
        size(report.bytes)
    ));
    if image.known > 0 {
        let known = count(image.known as u64, "finding", "findings");
        text.push_str(&format!("  {known} of the baseline not told\n"));
    }
    text
}

/// Rule and code, as far as both say something.
fn id(finding: &Finding) -> String {
    let code = finding.code;
    match finding.rule {
        None => code.to_owned(),
        Some(rule) if [Code::Malformed, Code::Layer].iter().any(|one| one.as_str() == code) => {
            rule.to_owned()
        }
        Some(rule) => format!("{rule} {code}"),
    }
}

/// Where it is, for people.
fn place(finding: &Finding) -> String {
    let parts = [finding.location.as_str(), finding.file.as_deref().unwrap_or_default()];
    let named: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).map(safe).collect();
    let mut place = named.join(", ");
    if let (Some(_), Some(offset)) = (&finding.name, finding.offset) {
        place.push_str(&format!(", byte {offset}"));
    }
    place
}
