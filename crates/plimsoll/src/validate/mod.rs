//! Whether images, and the places they lie in, are what the specification
//! says, and are what they say of themselves.
//!
//! Documents are judged by the rule book ([`plimsoll_spec::rules`]), layers
//! entry by entry; digests, sizes, diff_ids, embedded data, platforms and
//! users are held against what they are about. It never stops at a finding,
//! so that one run tells everything, and it reads each blob once.
//!
//! What it knows of documents are their trees, which it follows where a
//! reader would stop. Nothing is unpacked.

mod document;
mod layer;
mod place;
mod schema1;
mod select;
mod users;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use plimsoll_content::{
    Code, Descriptor, Digest, Error, MediaType, Platform, Result, Source, Watch,
};
use plimsoll_layer::Limits;
use plimsoll_spec::rules::{self, Rule, table};
use serde::Serialize;

pub use plimsoll_spec::rules::{Level, Party};
pub use select::{Baseline, Selection};

/// How many findings of one rule a report keeps. Each blob has a share of its
/// own, and there may be ten thousand blobs.
const KEPT: usize = 1_000;

/// One thing that is not as it should be.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The rule that is broken, by its id (`LY2`); `None` where the
    /// specification has no rule for it.
    pub rule: Option<&'static str>,
    /// What kind of thing it is, by the name of its error code (`E_DIGEST`).
    pub code: &'static str,
    /// How bad it is.
    pub level: Level,
    /// Whom the rule binds.
    pub roles: &'static [Party],
    /// Where the rule stands in the specification.
    pub section: Option<&'static str>,
    /// What was found in a layer, by its stable name (`duplicate-entry`).
    pub name: Option<&'static str>,
    /// The way from the reference to the blob, such as `manifest 1, layer 3`.
    pub location: String,
    /// The file of a layout, if it is about one that is no blob.
    pub file: Option<String>,
    /// The blob.
    pub digest: Option<Digest>,
    /// Where in a document, as a JSON pointer.
    pub pointer: Option<String>,
    /// The path of an entry of a layer.
    pub entry: Option<String>,
    /// Where in the text of a document, or in the plain archive of a layer, in
    /// bytes.
    pub offset: Option<u64>,
    /// What was found, in words.
    pub found: String,
    /// What was expected, in words.
    pub wanted: String,
    /// Both in a sentence.
    pub message: String,
}

/// What was checked, and what was found.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was named; `None` for a place that does not hold exactly one
    /// image.
    pub digest: Option<Digest>,
    /// Whether there are no errors.
    pub valid: bool,
    /// How many documents were read.
    pub documents: usize,
    /// How many other blobs were read.
    pub blobs: usize,
    /// How many bytes were hashed, both forms of layers counted.
    pub bytes: u64,
    /// How many entries the layers hold.
    pub entries: u64,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many findings are of that level.
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }
}

/// Checks everything reachable from `root`, on all platforms.
///
/// `limits` are the budgets for layers.
pub fn validate(
    source: &dyn Source,
    root: &Descriptor,
    limits: Limits,
    watch: &dyn Watch,
) -> Result<Report> {
    let mut check = Check::new(source, limits, watch);
    check.document(root, "", 0)?;
    check.report.digest = Some(root.digest.clone());
    Ok(check.finish())
}

/// Where something was found.
#[derive(Clone, Debug, Default)]
struct Place<'a> {
    location: &'a str,
    file: Option<&'a str>,
    digest: Option<&'a Digest>,
}

impl<'a> Place<'a> {
    fn blob(location: &'a str, digest: &'a Digest) -> Self {
        Self { location, file: None, digest: Some(digest) }
    }

    fn file(file: &'a str) -> Self {
        Self { location: "", file: Some(file), digest: None }
    }
}

/// What a document turned out to be, to those that point at it.
#[derive(Clone, Debug, Default)]
struct Target {
    /// The kind of artifact, or of config.
    kind: Option<MediaType>,
    /// What an image runs on.
    image: Option<Platform>,
}

struct Check<'a> {
    source: &'a dyn Source,
    watch: &'a dyn Watch,
    limits: Limits,
    /// Whether blobs lie under names that are their digests, in a layout.
    layout: bool,
    report: Report,
    /// How often each rule was broken.
    counts: BTreeMap<(Option<&'static str>, &'static str, Level), usize>,
    /// Documents that were read.
    documents: HashMap<(Digest, MediaType), Target>,
    /// Blobs that need not be read again, with what they were checked as.
    seen: BTreeSet<(Digest, Option<Digest>)>,
    /// How long those are that were proved.
    sizes: HashMap<Digest, u64>,
    visits: usize,
}

impl<'a> Check<'a> {
    fn new(source: &'a dyn Source, limits: Limits, watch: &'a dyn Watch) -> Self {
        Self {
            source,
            watch,
            limits,
            layout: false,
            report: Report::default(),
            counts: BTreeMap::new(),
            documents: HashMap::new(),
            seen: BTreeSet::new(),
            sizes: HashMap::new(),
            visits: 0,
        }
    }

    fn finish(mut self) -> Report {
        for ((rule, code, level), count) in &self.counts {
            if *count <= KEPT {
                continue;
            }
            let like = |one: &&Finding| (one.rule, one.code, one.level) == (*rule, *code, *level);
            if let Some(one) = self.report.findings.iter().find(like) {
                let found = format!("{} more of these", count - KEPT);
                let (found, message) = (found.clone(), found);
                let more = Finding {
                    location: "all".to_owned(),
                    file: None,
                    digest: None,
                    pointer: None,
                    entry: None,
                    offset: None,
                    found,
                    message,
                    ..one.clone()
                };
                self.report.findings.push(more);
            }
        }
        self.report.valid = self.report.count(Level::Error) == 0;
        self.report
    }

    /// Takes in a finding.
    fn push(&mut self, place: &Place<'_>, finding: &rules::Finding) {
        self.add(from(place, finding));
    }

    fn add(&mut self, finding: Finding) {
        let count = self.counts.entry((finding.rule, finding.code, finding.level)).or_default();
        *count += 1;
        if *count <= KEPT {
            self.report.findings.push(finding);
        }
    }

    /// Something that was read already is pointed at once more, perhaps with
    /// another size.
    fn again(&mut self, place: &Place<'_>, blob: &Descriptor) {
        if let Some(size) = self.sizes.get(&blob.digest)
            && *size != blob.size
        {
            let finding = rules::Finding::of(&table::DE7, Code::Size, format!("{size} bytes"))
                .wanted(format!("{} bytes", blob.size));
            self.push(place, &finding);
        }
    }

    /// Takes an error as a finding, unless it says that the check itself can
    /// not go on.
    fn fail(&mut self, place: &Place<'_>, error: Error, level: Level) -> Result<()> {
        if matches!(error.code(), Code::Interrupted | Code::Bug | Code::Permission) {
            return Err(error);
        }
        let rule = match error.code() {
            Code::Digest if self.layout => Some(&table::LA11),
            Code::Size => Some(&table::DE7),
            Code::NotFound => Some(&table::LA14),
            Code::Unverifiable => Some(&table::DE23),
            Code::DiffId => Some(&table::CF22),
            Code::Layer => Some(&table::LY1),
            _ => None,
        };
        // Well-formed and unknown is no violation (DE23); it is said, though.
        let level = if error.code() == Code::Unverifiable { Level::Note } else { level };
        let found = error.found_text().unwrap_or(error.headline());
        let wanted = error.expected_text().unwrap_or_default();
        let finding = rules::Finding {
            rule,
            ..rules::Finding::new(error.code(), found, wanted).level(level)
        };
        let message = error.to_string();
        self.add(Finding { message, ..from(place, &finding) });
        Ok(())
    }
}

fn from(place: &Place<'_>, finding: &rules::Finding) -> Finding {
    let rules::Finding { rule, code, level, pointer, offset, found, wanted } = finding;
    let top = if place.file.is_some() { "" } else { "top" };
    Finding {
        rule: rule.map(|rule| rule.id),
        code: code.as_str(),
        level: *level,
        roles: rule.map_or(&[], |rule: &Rule| rule.parties),
        section: rule.map(|rule| rule.section),
        name: None,
        location: if place.location.is_empty() { top } else { place.location }.to_owned(),
        file: place.file.map(str::to_owned),
        digest: place.digest.cloned(),
        pointer: pointer.clone(),
        entry: None,
        offset: *offset,
        found: found.clone(),
        wanted: wanted.clone(),
        message: finding.to_string(),
    }
}

fn join(location: &str, step: &str) -> String {
    if location.is_empty() { step.to_owned() } else { format!("{location}, {step}") }
}
