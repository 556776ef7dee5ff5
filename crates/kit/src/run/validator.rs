//! Whether a validator sees what is wrong with an image, and nothing else.
//!
//! One that names rules must name those that are broken. Of others, the exit
//! code is all there is: what breaks a MUST is to be refused, and what only
//! breaks a SHOULD is not.

use std::collections::BTreeSet;

use plimsoll_content::Result;
use serde_json::Value;

use super::{Ground, Judged, Verdict};
use crate::case::{Ask, Verdict as Fixture};
use crate::rule::{self, How};

impl Ground<'_> {
    pub(super) fn validator(&self) -> Result<Judged> {
        self.layout()?;
        let ended = self.command(self.adapter.template(Ask::Unpack), &[])?;
        let Some(code) = ended.code else {
            return Ok(self.late());
        };
        let rules = rule::all()?;
        let lint = self
            .case
            .rules()
            .iter()
            .all(|id| rules.get(id).is_some_and(|rule| rule.how == Some(How::Lint)));
        let breaks = self.case.verdict() == Some(Fixture::Breaks);
        let own = self.case.rules().join(", ");
        if !breaks && code != 0 {
            return Ok((Verdict::Refused, ended.last_words()));
        }
        if self.adapter.says_rules {
            let Some(said) = said(&ended.out) else {
                return Ok((Verdict::Fail, format!("prints no JSON; {}", ended.last_words())));
            };
            return Ok(self.named(breaks, lint, code, &said));
        }
        Ok(match (breaks, lint, code) {
            (true, false, 0) => (Verdict::Fail, format!("accepts what breaks {own}")),
            (true, true, 0) => {
                (Verdict::NotApplicable, format!("accepts it; whether it warns of {own} is unseen"))
            }
            (true, true, _) => {
                (Verdict::Refused, format!("{own} is a SHOULD; {}", ended.last_words()))
            }
            _ => (Verdict::Pass, String::new()),
        })
    }

    /// The verdict on one that names rules.
    fn named(&self, breaks: bool, lint: bool, code: i32, said: &BTreeSet<String>) -> Judged {
        let own = self.case.rules();
        let list =
            |ids: &[&String]| ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ");
        if !breaks {
            let wrong: Vec<_> = own.iter().filter(|id| said.contains(*id)).collect();
            return if wrong.is_empty() {
                (Verdict::Pass, String::new())
            } else {
                (Verdict::Fail, format!("says that {} is broken", list(&wrong)))
            };
        }
        let all: Vec<_> = said.iter().collect();
        if !own.iter().any(|id| said.contains(id)) {
            let own: Vec<_> = own.iter().collect();
            let found = if all.is_empty() { "nothing".to_owned() } else { list(&all) };
            return (Verdict::Fail, format!("names {found}, not {}", list(&own)));
        }
        let more: Vec<_> =
            said.iter().filter(|id| !own.contains(id) && !self.case.also().contains(id)).collect();
        if !more.is_empty() {
            return (Verdict::Fail, format!("also names {}, which is not broken", list(&more)));
        }
        match (lint, code) {
            (false, 0) => (Verdict::Fail, "names the rule, and ends as if all were well".into()),
            (true, code) if code != 0 => {
                (Verdict::Refused, format!("a SHOULD is broken, and it ends with {code}"))
            }
            _ => (Verdict::Pass, String::new()),
        }
    }
}

/// The rules that a report names: the members `rule`, wherever they are.
fn said(out: &str) -> Option<BTreeSet<String>> {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Object(members) => {
                if let Some(Value::String(rule)) = members.get("rule") {
                    found.insert(rule.clone());
                }
                members.values().for_each(|member| collect(member, found));
            }
            _ => {}
        }
    }
    let report: Value = serde_json::from_str(out.trim()).ok()?;
    let mut found = BTreeSet::new();
    collect(&report, &mut found);
    Some(found)
}
