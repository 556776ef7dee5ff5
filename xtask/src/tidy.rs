//! The form of the sources and documents.

use std::path::{Path, PathBuf};

use crate::metadata::{self, Package};
use crate::sources::{self, Source, has_word};
use crate::{Findings, Outcome, workspace};

/// Lines from which a file gets a friendly word.
const LONG: usize = 300;

/// Lines above which a file must say in its head why it is so long, in a
/// line with [`REASON`].
const TOO_LONG: usize = 700;

/// What starts the reason for a long file.
const REASON: &str = "Length:";

/// How many lines count as the head of a file.
const HEAD: usize = 40;

/// Marks of work that was put off. Written so that this file holds none.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// How many lines above an unsafe block its reason may begin.
const SAFETY_REACH: usize = 8;

/// The one licence expression of the workspace.
const LICENCE: &str = "Apache-2.0 OR MIT";

/// The kinds a changelog fragment may be of.
const CHANGES: [&str; 5] = ["Added", "Changed", "Fixed", "Removed", "Security"];

/// Everything that is out of form, in this work tree.
pub(crate) fn check() -> Outcome<Findings> {
    let sources = sources::all()?;
    let mut findings = Findings::new();
    for source in &sources {
        findings.extend(length(source));
        findings.extend(whitespace(source));
        findings.extend(marks(source));
        findings.extend(documentation(source));
        findings.extend(safety(source));
        findings.extend(links(source));
        findings.extend(fragment(source));
    }
    findings.extend(metadata::members()?.iter().flat_map(manifest));
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        if !workspace().join(licence).is_file() {
            findings.push(format!("{licence} is missing"));
        }
    }
    for source in sources.iter().filter(|source| source.is("rs")) {
        let lines = source.text.lines().count();
        if lines > LONG {
            println!("tidy: note: {} has {lines} lines", source.path.display());
        }
    }
    let unsafe_sites: usize = sources.iter().filter(|source| source.is("rs")).map(sites).sum();
    println!("tidy: {} files, {unsafe_sites} unsafe sites", sources.len());
    Ok(findings)
}

fn length(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    let excused = source.text.lines().take(HEAD).any(|line| line.contains(REASON));
    (source.is("rs") && lines > TOO_LONG && !excused).then(|| {
        format!(
            "{}: {lines} lines; above {TOO_LONG} the head must give a reason ({REASON} ...)",
            source.path.display()
        )
    })
}

fn whitespace(source: &Source) -> Findings {
    let extensions = ["rs", "toml", "md", "yml", "json", "sh"];
    if !extensions.iter().any(|extension| source.is(extension)) {
        return Findings::new();
    }
    let mut findings = Findings::new();
    let mut say = |line: usize, what: &str| {
        findings.push(format!("{}:{line}: {what}", source.path.display()));
    };
    let mut count = 0;
    for line in source.text.split_terminator('\n') {
        count += 1;
        if line.contains('\t') {
            say(count, "a tab");
        }
        if line.ends_with([' ', '\r']) {
            say(count, "a space at the end of the line");
        }
    }
    if !source.text.is_empty() && !source.text.ends_with('\n') {
        say(count, "no newline at the end of the file");
    }
    findings
}

fn marks(source: &Source) -> Findings {
    let mut findings = Findings::new();
    for (at, line) in source.text.lines().enumerate() {
        for mark in MARKS.iter().filter(|mark| has_word(line, mark)) {
            findings.push(format!("{}:{}: {mark}", source.path.display(), at + 1));
        }
    }
    findings
}

/// Every file of a crate says what lives in it.
fn documentation(source: &Source) -> Option<String> {
    let inside = source.path.strip_prefix("crates").ok()?;
    let product = inside.components().nth(1).is_some_and(|part| part.as_os_str() == "src");
    let described = source.text.lines().take(HEAD).any(|line| line.starts_with("//!"));
    (product && source.is("rs") && !described)
        .then(|| format!("{}: no //! that says what lives here", source.path.display()))
}

/// How many unsafe blocks and functions a file holds.
fn sites(source: &Source) -> usize {
    sources::code_with_tests(&source.text).iter().filter(|line| has_word(line, "unsafe")).count()
}

/// Every unsafe site is preceded by its reason.
fn safety(source: &Source) -> Findings {
    if !source.is("rs") {
        return Findings::new();
    }
    let lines: Vec<_> = source.text.lines().collect();
    sources::code_with_tests(&source.text)
        .iter()
        .enumerate()
        .filter(|(_, line)| has_word(line, "unsafe"))
        .filter(|(at, _)| {
            let above = &lines[at.saturating_sub(SAFETY_REACH)..=*at];
            !above.iter().any(|line| line.contains("SAFETY:") || line.contains("# Safety"))
        })
        .map(|(at, _)| format!("{}:{}: unsafe without SAFETY:", source.path.display(), at + 1))
        .collect()
}

/// Links in documents that lead to a file of the repository lead somewhere.
fn links(source: &Source) -> Findings {
    if !source.is("md") {
        return Findings::new();
    }
    let mut findings = Findings::new();
    let mut fenced = false;
    for (at, line) in source.text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        for target in targets(line) {
            if !leads_somewhere(&source.path, target) {
                findings.push(format!(
                    "{}:{}: link to {target}, which is not there",
                    source.path.display(),
                    at + 1
                ));
            }
        }
    }
    findings
}

/// The targets of the `[text](target)` links of a line, without code spans.
fn targets(line: &str) -> Vec<&str> {
    line.match_indices("](")
        .filter(|(at, _)| line[..*at].matches('`').count().is_multiple_of(2))
        .filter_map(|(at, open)| line[at + open.len()..].split(')').next())
        .collect()
}

fn leads_somewhere(from: &Path, target: &str) -> bool {
    let path = target.split('#').next().unwrap_or_default();
    if path.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let folder = from.parent().map(Path::to_owned).unwrap_or_default();
    workspace().join(folder).join(path).exists()
}

/// A changelog fragment has a kind and a sentence.
fn fragment(source: &Source) -> Option<String> {
    if source.path.parent() != Some(Path::new("changelog/unreleased")) || !source.is("md") {
        return None;
    }
    let good = source.text.split_once(": ").is_some_and(|(kind, rest)| {
        CHANGES.contains(&kind) && rest.lines().next().is_some_and(|line| line.len() > 10)
    });
    (!good).then(|| {
        format!(
            "{}: a fragment begins with one of {} and a colon",
            source.path.display(),
            CHANGES.join(", ")
        )
    })
}

fn manifest(package: &Package) -> Findings {
    let mut findings = Findings::new();
    if package.licence.as_deref() != Some(LICENCE) {
        findings.push(format!("{}: the licence is not {LICENCE}", package.name));
    }
    if package.description.is_none() {
        findings.push(format!("{}: no description", package.name));
    }
    if package.rust_version.is_none() {
        findings.push(format!("{}: no rust-version", package.name));
    }
    let root: PathBuf = ["src/lib.rs", "src/main.rs"]
        .iter()
        .map(|file| package.folder.join(file))
        .find(|file| file.is_file())
        .unwrap_or_default();
    let text = std::fs::read_to_string(&root).unwrap_or_default();
    if !text.starts_with("//!") {
        findings.push(format!("{}: the crate does not begin with //!", package.name));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    #[test]
    fn long_files_need_a_reason() {
        let long = "x\n".repeat(TOO_LONG + 1);
        assert!(length(&source("a.rs", &long)).is_some());
        assert!(length(&source("a.rs", &format!("//! Length: a table.\n{long}"))).is_none());
        assert!(length(&source("a.md", &long)).is_none());
    }

    #[test]
    fn tabs_trailing_spaces_and_a_missing_newline_are_found() {
        assert_eq!(whitespace(&source("a.rs", "\tx\ny \nz")).len(), 3);
        assert_eq!(whitespace(&source("a.rs", "x\n\ny\n")).len(), 0);
        assert_eq!(whitespace(&source("a.golden", "\t ")).len(), 0);
    }

    #[test]
    fn marks_of_postponed_work_are_found() {
        for mark in MARKS {
            assert_eq!(marks(&source("a.rs", &format!("// {mark}: later\n"))).len(), 1);
            assert_eq!(marks(&source("a.rs", &format!("// {mark}YZ\n"))).len(), 0);
        }
    }

    #[test]
    fn unsafe_needs_its_reason_above() {
        assert_eq!(safety(&source("a.rs", "fn f() { unsafe { g() } }\n")).len(), 1);
        let good = "// SAFETY: g has no conditions.\nlet x = unsafe { g() };\n";
        assert!(safety(&source("a.rs", good)).is_empty());
        assert_eq!(sites(&source("a.rs", good)), 1);
    }

    #[test]
    fn links_to_files_are_followed() {
        let text = "[a](Cargo.toml) [b](gone.md#x) [c](https://example.com/y) [d](#here)\n`[e](f)`\n```\n[g](h)\n```\n";
        let found = links(&source("README.md", text));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("gone.md"));
        assert!(links(&source("docs/x.md", "[up](../Cargo.toml)\n")).is_empty());
    }

    #[test]
    fn fragments_have_a_kind() {
        let path = "changelog/unreleased/a.md";
        assert!(fragment(&source(path, "Added: pack makes an image.\n")).is_none());
        assert!(fragment(&source(path, "pack makes an image\n")).is_some());
        assert!(fragment(&source("docs/a.md", "x")).is_none());
    }

    #[test]
    fn every_file_of_a_crate_says_what_it_holds() {
        assert!(documentation(&source("crates/x/src/a.rs", "fn a() {}\n")).is_some());
        assert!(documentation(&source("crates/x/src/a.rs", "//! A.\n")).is_none());
        assert!(documentation(&source("crates/x/tests/it/main.rs", "fn a() {}\n")).is_none());
    }
}
