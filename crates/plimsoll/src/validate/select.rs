//! Which findings of a report count: those for some, by some rules, that were
//! not there before.

use std::collections::BTreeSet;

use plimsoll_content::{Code, Error, Result};
use serde_json::{Value, json};

use super::{Finding, Level, Party, Report};

/// Which findings are told, and which of them count.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only rules that bind these; all if it is empty. What has no rule is
    /// told to everybody.
    pub parties: Vec<Party>,
    /// Only these rules; all if it is empty.
    pub rules: Vec<String>,
    /// What was there before.
    pub baseline: Option<Baseline>,
    /// What counts like an error: that, and what is worse.
    pub deny: Option<Level>,
}

impl Selection {
    /// Takes out of a report what is not selected, and judges what is left.
    /// Gives how many findings the baseline has taken out.
    pub fn apply(&self, report: &mut Report) -> usize {
        report.findings.retain(|finding| self.tells(finding));
        let before = report.findings.len();
        if let Some(baseline) = &self.baseline {
            report.findings.retain(|finding| !baseline.has(finding));
        }
        report.valid = !report.findings.iter().any(|finding| self.counts(finding.level));
        before - report.findings.len()
    }

    /// Whether findings of that level make an image invalid.
    pub fn counts(&self, level: Level) -> bool {
        level <= self.deny.unwrap_or(Level::Error)
    }

    fn tells(&self, finding: &Finding) -> bool {
        let party = self.parties.is_empty()
            || finding.rule.is_none()
            || finding.roles.iter().any(|party| self.parties.contains(party));
        let rule = self.rules.is_empty()
            || self.rules.iter().any(|id| {
                finding.rule == Some(id.as_str()) || finding.rule.is_none() && finding.code == id
            });
        party && rule
    }
}

/// Findings that were recorded, and are not told again.
///
/// A finding is the same as before if rule, code, place and entry are. The
/// digest of the blob is not asked, since it changes whenever an image is
/// built anew, except where bytes are not what they were announced to be:
/// that is never the same damage.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Baseline(BTreeSet<String>);

impl Baseline {
    /// The name of the form, as a baseline says it itself.
    pub const SCHEMA: &'static str = "plimsoll.baseline/v1";

    /// All findings of some reports.
    pub fn of<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Self {
        let findings = reports.into_iter().flat_map(|report| &report.findings);
        Self(findings.map(|finding| identity(finding).to_string()).collect())
    }

    /// Takes in what another one holds.
    pub fn extend(&mut self, other: Option<&Self>) {
        self.0.extend(other.into_iter().flat_map(|other| other.0.iter().cloned()));
    }

    /// Reads a baseline.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let bad = |found: String| {
            Error::new(Code::Malformed, "reading a baseline").found(found).expected(format!(
                "a document with the schema {}, as --write-baseline writes it",
                Self::SCHEMA
            ))
        };
        let value: Value = serde_json::from_slice(bytes).map_err(|cause| bad(cause.to_string()))?;
        if value["schema"] != Self::SCHEMA {
            return Err(bad(format!("schema {}", value["schema"])));
        }
        let Some(findings) = value["findings"].as_array() else {
            return Err(bad("no findings".to_owned()));
        };
        Ok(Self(findings.iter().map(Value::to_string).collect()))
    }

    /// The document.
    pub fn to_json(&self) -> String {
        let findings: Vec<Value> =
            self.0.iter().filter_map(|one| serde_json::from_str(one).ok()).collect();
        format!("{:#}\n", json!({"schema": Self::SCHEMA, "findings": findings}))
    }

    /// How many findings it holds.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, finding: &Finding) -> bool {
        self.0.contains(&identity(finding).to_string())
    }
}

/// What makes a finding the same one, in one fixed order.
fn identity(finding: &Finding) -> Value {
    let damage =
        [Code::Digest, Code::Size, Code::DiffId].iter().any(|code| code.as_str() == finding.code);
    let mut members = serde_json::Map::new();
    for (name, value) in [
        ("code", Some(finding.code)),
        ("digest", finding.digest.as_ref().filter(|_| damage).map(ToString::to_string).as_deref()),
        ("entry", finding.entry.as_deref()),
        ("file", finding.file.as_deref()),
        ("found", Some(finding.found.as_str()).filter(|_| damage)),
        ("location", Some(finding.location.as_str())),
        ("name", finding.name),
        ("pointer", finding.pointer.as_deref()),
        ("rule", finding.rule),
    ] {
        if let Some(value) = value {
            members.insert(name.to_owned(), Value::from(value));
        }
    }
    Value::Object(members)
}
