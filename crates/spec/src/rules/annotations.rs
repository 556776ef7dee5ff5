//! Annotations, and labels, which follow the same rules.

use plimsoll_content::json::Tree;

use super::judge::{Judge, shown};
use super::text::{self, Reference};
use super::{Level, Rule, table};
use crate::annotations as key;

/// Judges a map; `rule` is the one that sends its readers here.
pub(super) fn judge(judge: &mut Judge, tree: &Tree, at: &str, rule: &'static Rule) {
    let Some(members) = tree.members() else {
        if *tree == Tree::Null {
            judge.find(&table::AN7, at, "null");
        } else {
            judge.find(&table::AN1, at, tree.kind());
        }
        judge.find(rule, at, tree.kind());
        return;
    };
    let mut bad = None;
    for (name, value) in members {
        let here = child(at, name);
        match value {
            Tree::Text(value) => word(judge, name, value, &here),
            Tree::Null => {
                judge.find(&table::AN2, &here, "null");
                bad.get_or_insert(here);
            }
            other => {
                judge.find(&table::AN1, &here, other.kind());
                bad.get_or_insert(here);
            }
        }
        self::name(judge, name, at, rule);
    }
    if let Some(here) = bad {
        judge.find(rule, &here, "an annotation that is no string");
    }
    // Builders write an empty value for what they do not know.
    let has = |name: &str| tree.get(name).and_then(Tree::text).is_some_and(|text| !text.is_empty());
    if has(key::BASE_NAME) && !has(key::BASE_DIGEST) {
        judge.find(&table::AN19, at, "base.name alone");
    }
}

/// Labels of a config. They are older than the rule that names are domains:
/// images are full of others, which is a note here.
pub(super) fn labels(judge: &mut Judge, tree: &Tree, at: &str) {
    if *tree == Tree::Null {
        return; // An optional member of a config (CF3).
    }
    self::judge(judge, tree, at, &table::CF15);
}

pub(super) fn child(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn name(judge: &mut Judge, name: &str, at: &str, rule: &'static Rule) {
    if !name.contains('.') || name.split('.').any(str::is_empty) {
        let level = if rule.id == table::CF15.id { Level::Note } else { table::AN4.level };
        judge.find_as(&table::AN4, level, at, shown(name), table::AN4.text);
    }
    if key::ALL.contains(&name) || !is_below(name, "org.opencontainers") {
        return;
    }
    if is_below(name, "org.opencontainers.image") {
        judge.find(&table::AN6, at, shown(name));
    } else if !OTHERS.iter().any(|other| is_below(name, other)) {
        judge.find(&table::AN5, at, shown(name));
    }
}

fn is_below(name: &str, domain: &str) -> bool {
    name.strip_prefix(domain).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Names that other OCI specifications have, or had in a published draft.
const OTHERS: &[&str] = &[
    "org.opencontainers.artifact",
    "org.opencontainers.referrers",
    "org.opencontainers.runtime-spec",
];

/// What a value has to be under a name of the specification.
fn word(judge: &mut Judge, name: &str, value: &str, at: &str) {
    match name {
        _ if value.is_empty() => {}
        key::CREATED if !text::is_time(value) => {
            judge.find_as(&table::AN9, Level::Note, at, shown(value), "a date and time (RFC 3339)");
        }
        key::LICENSES if !text::is_licence(value) => {
            judge.find_as(&table::AN9, Level::Note, at, shown(value), "an SPDX licence expression");
        }
        key::BASE_DIGEST if value.parse::<plimsoll_content::Digest>().is_err() => {
            judge.find_as(&table::AN9, Level::Note, at, shown(value), "a digest");
        }
        key::BASE_NAME => match text::reference(value) {
            Reference::Full => {}
            Reference::Short => judge.find(&table::AN16, at, shown(value)),
            Reference::No => judge.find(&table::AN15, at, shown(value)),
        },
        _ => {}
    }
}
