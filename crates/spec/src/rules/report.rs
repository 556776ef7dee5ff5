//! What was found, in bounded memory.

use std::collections::BTreeMap;
use std::fmt;

use plimsoll_content::{Code, Descriptor, Digest, MediaType, Platform};

use super::{Level, Rule};
use crate::graph::Role;

/// How many findings of one rule are kept of one thing. Hostile documents
/// have one per byte; the rest is only counted.
const KEPT: u64 = 20;

/// Something that is not as it should be.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule that is broken; `None` where the specification has none, and
    /// the thing is refused nevertheless.
    pub rule: Option<&'static Rule>,
    /// What kind of thing it is, as errors call it.
    pub code: Code,
    /// How bad it is: mostly what the rule says.
    pub level: Level,
    /// Where in a document, as a JSON pointer; empty for the whole of it.
    pub pointer: Option<String>,
    /// Where in the text or archive, in bytes.
    pub offset: Option<u64>,
    /// What was found. Safe to print.
    pub found: String,
    /// What was expected.
    pub wanted: String,
}

impl Finding {
    /// A finding by a rule, at the level of that rule.
    pub fn of(rule: &'static Rule, code: Code, found: impl Into<String>) -> Self {
        Self { rule: Some(rule), level: rule.level, ..Self::new(code, found, rule.text) }
    }

    /// A finding without a rule, as an error.
    pub fn new(code: Code, found: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self {
            rule: None,
            code,
            level: Level::Error,
            pointer: None,
            offset: None,
            found: found.into(),
            wanted: wanted.into(),
        }
    }

    /// The same at a place of a document.
    pub fn at(self, pointer: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..self }
    }

    /// The same at another level.
    pub fn level(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// The same with what exactly was wanted.
    pub fn wanted(self, wanted: impl Into<String>) -> Self {
        Self { wanted: wanted.into(), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.as_deref() {
            None | Some("") => {}
            Some(pointer) => write!(f, "{}: ", pointer.escape_debug())?,
        }
        write!(f, "found {}", self.found)?;
        if !self.wanted.is_empty() {
            write!(f, ", expected: {}", self.wanted)?;
        }
        Ok(())
    }
}

/// Collects findings about one thing: the first 20 of each rule and level,
/// then a count.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    kept: Vec<Finding>,
    seen: BTreeMap<(Option<&'static str>, &'static str, Level), u64>,
}

impl Findings {
    /// Takes in one more.
    pub fn push(&mut self, finding: Finding) {
        self.note(finding, 1);
    }

    /// Takes in one that stands for several.
    pub(super) fn note(&mut self, finding: Finding, times: u64) {
        let key = (finding.rule.map(|rule| rule.id), finding.code.as_str(), finding.level);
        let count = self.seen.entry(key).or_default();
        *count += times;
        if *count <= KEPT {
            self.kept.push(finding);
        }
    }

    /// Whether there are errors among them.
    pub fn has_errors(&self) -> bool {
        self.seen.keys().any(|(_, _, level)| *level == Level::Error)
    }

    /// All that was kept, and one finding more for what came too often.
    pub fn into_vec(mut self) -> Vec<Finding> {
        for ((rule, _, level), count) in self.seen {
            let last = self
                .kept
                .iter()
                .rev()
                .find(|one| one.rule.map(|rule| rule.id) == rule && one.level == level);
            if count > KEPT
                && let Some(last) = last
            {
                let found = format!("{} more of these", count - KEPT);
                self.kept.push(Finding { found, pointer: None, offset: None, ..last.clone() });
            }
        }
        self.kept
    }
}

/// What one document is like.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What is not as it should be.
    pub findings: Vec<Finding>,
    /// What the document points at, in its order, as far as that can be read:
    /// enough to look at it too, and for nothing else.
    pub leads: Vec<Lead>,
    /// How many entries or layers it lists, whether they can be read or not.
    pub elements: usize,
    /// What kind of artifact the document says it is.
    pub artifact_type: Option<MediaType>,
    /// The manifest that the document is about.
    pub subject: Option<Descriptor>,
    /// What a config says of its image.
    pub image: Option<Image>,
}

/// One thing that a document points at.
#[derive(Clone, Debug)]
pub struct Lead {
    /// What it is to the document.
    pub role: Role,
    /// Which of these it is, from 0.
    pub position: usize,
    /// What the document says about it.
    pub descriptor: Descriptor,
}

/// What a config says of its image, as far as it can be read.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// What the image runs on.
    pub platform: Platform,
    /// The digests of the plain layers; `None` for those that are none.
    pub diff_ids: Vec<Option<Digest>>,
    /// Who runs it.
    pub user: Option<String>,
}

impl Report {
    /// Whether there are no errors.
    pub fn is_valid(&self) -> bool {
        !self.findings.iter().any(|finding| finding.level == Level::Error)
    }

    /// Whether that rule is broken.
    pub fn breaks(&self, id: &str) -> bool {
        self.findings.iter().any(|one| one.rule.is_some_and(|rule| rule.id == id))
    }
}
