//! What was tolerated while reading a layer, for people and for strict modes.
//!
//! A finding is no error: every common reader takes the bytes the same way,
//! or real engines write them. How findings are shown is the caller's matter.

use std::fmt;

use crate::path::RelPath;

/// How many findings of one name are kept. A hostile layer has one per entry;
/// the rest is only counted.
const KEPT: u64 = 20;

/// Something odd in a layer that was read nevertheless.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The stable name of what was found, such as `tar-no-end`.
    pub name: &'static str,
    /// The entry that it is about, if it is about one.
    pub path: Option<RelPath>,
    /// Where in the uncompressed archive, in bytes, if that is known: the
    /// first header of the entry, as a rule.
    pub offset: Option<u64>,
    /// What was found, in a sentence. Safe to print.
    pub message: String,
}

impl Finding {
    /// A finding about the layer as a whole.
    pub fn new(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, path: None, offset: None, message: message.into() }
    }

    /// The same finding about one entry.
    pub fn at(self, path: &RelPath) -> Self {
        Self { path: Some(path.clone()), ..self }
    }

    /// The same finding about what starts at that byte.
    pub fn at_byte(self, offset: u64) -> Self {
        Self { offset: Some(offset), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{path}: ")?;
        }
        write!(f, "{} ({})", self.message, self.name)
    }
}

/// Collects findings in bounded memory: the first 20 of each name, then a
/// count.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    kept: Vec<Finding>,
    /// How often each name came, in the order of first appearance.
    seen: Vec<(&'static str, u64)>,
    /// Where the reader is that finds them.
    offset: Option<u64>,
}

impl Findings {
    /// Takes in one more.
    pub fn push(&mut self, finding: Finding) {
        if self.room_for(finding.name) {
            self.keep(finding);
        }
    }

    /// Counts one more of this name and makes it only if it is kept.
    pub fn note(&mut self, name: &'static str, make: impl FnOnce() -> Finding) {
        if self.room_for(name) {
            self.keep(make());
        }
    }

    /// Says where the reader is that finds what comes in from now on.
    pub(crate) fn stand_at(&mut self, offset: Option<u64>) {
        self.offset = offset;
    }

    fn keep(&mut self, finding: Finding) {
        let offset = finding.offset.or(self.offset);
        self.kept.push(Finding { offset, ..finding });
    }

    /// All that was kept, and one finding more for each name that came too
    /// often.
    pub fn into_vec(mut self) -> Vec<Finding> {
        for (name, count) in self.seen {
            if count > KEPT {
                self.kept.push(Finding::new(name, format!("and {} more of these", count - KEPT)));
            }
        }
        self.kept
    }

    fn room_for(&mut self, name: &'static str) -> bool {
        match self.seen.iter_mut().find(|(seen, _)| *seen == name) {
            Some((_, count)) => {
                *count += 1;
                *count <= KEPT
            }
            None => {
                self.seen.push((name, 1));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_rest_is_counted() {
        let mut findings = Findings::default();
        for _ in 0..1_000 {
            findings.push(Finding::new("a", "one"));
        }
        findings.note("b", || Finding::new("b", "other").at(&RelPath::parse(b"x").expect("good")));
        let list = findings.into_vec();
        assert_eq!(list.len(), 22);
        assert_eq!(list[20].to_string(), "x: other (b)");
        assert_eq!(list[21].to_string(), "and 980 more of these (a)");
    }
}
