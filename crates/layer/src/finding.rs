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
    /// Each with the position that it was found at.
    kept: Vec<(u64, Finding)>,
    /// Where the reader is.
    position: u64,
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

    /// What comes next is found at that position, such as the number of an
    /// entry. It only matters for [`Findings::absorb`].
    pub(crate) fn at(&mut self, position: u64) {
        self.position = position;
    }

    /// Whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Takes in what another thread found, as if one had found all of it in
    /// the order of positions.
    pub(crate) fn absorb(&mut self, other: Self) {
        if other.is_empty() {
            return;
        }
        self.kept.extend(other.kept);
        self.kept.sort_by_key(|(position, _)| *position);
        let mut seen: Vec<(&'static str, u64)> = Vec::new();
        let mut kept: Vec<(&'static str, u64)> = Vec::new();
        for (name, count) in self.seen.drain(..).chain(other.seen) {
            match seen.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += count,
                None => seen.push((name, count)),
            }
        }
        self.kept.retain(|(_, finding)| {
            match kept.iter_mut().find(|(name, _)| *name == finding.name) {
                Some((_, count)) => {
                    *count += 1;
                    *count <= KEPT
                }
                None => {
                    kept.push((finding.name, 1));
                    true
                }
            }
        });
        // Every name was kept at least once, so this is all of them.
        let first = |name| kept.iter().position(|(known, _)| *known == name);
        seen.sort_by_key(|(name, _)| first(*name));
        self.seen = seen;
    }

    /// Says where the reader is that finds what comes in from now on.
    pub(crate) fn stand_at(&mut self, offset: Option<u64>) {
        self.offset = offset;
    }

    fn keep(&mut self, finding: Finding) {
        let offset = finding.offset.or(self.offset);
        self.kept.push((self.position, Finding { offset, ..finding }));
    }

    /// All that was kept, and one finding more for each name that came too
    /// often.
    pub fn into_vec(self) -> Vec<Finding> {
        let mut list: Vec<_> = self.kept.into_iter().map(|(_, finding)| finding).collect();
        for (name, count) in self.seen {
            if count > KEPT {
                list.push(Finding::new(name, format!("and {} more of these", count - KEPT)));
            }
        }
        list
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

    #[test]
    fn two_threads_find_what_one_would() {
        let find = |findings: &mut Findings, at: u64| {
            findings.at(at);
            let name = if at.is_multiple_of(7) { "seven" } else { "other" };
            findings.note(name, || Finding::new(name, at.to_string()));
        };
        let (mut one, mut even, mut odd) = <(Findings, Findings, Findings)>::default();
        for at in 0..300 {
            find(&mut one, at);
            find(if at.is_multiple_of(2) { &mut even } else { &mut odd }, at);
        }
        odd.absorb(even);
        assert_eq!(odd.into_vec(), one.into_vec());
    }
}
