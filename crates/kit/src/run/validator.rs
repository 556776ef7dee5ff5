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
use crate::rule::{self, How, Level};

impl Ground<'_> {
    pub(super) fn validator(&self) -> Result<Judged> {
        self.layout()?;
        let ended = self.command(self.adapter.template(Ask::Unpack), &[])?;
        let Some(code) = ended.code else {
            return Ok(self.late());
        };
        let lint = self.case.rules().iter().all(|id| rule::how(id) == Some(How::Lint));
        // With a MUST among what else is broken, or where readers may have a
        // limit, refusing is right as well.
        let must = self.case.body.expect.may_refuse
            || self.case.also().iter().any(|id| rule::how(id) == Some(How::Validate));
        let breaks = self.case.verdict() == Some(Fixture::Breaks);
        let own = self.case.rules().join(", ");
        if !breaks && code != 0 {
            return Ok((Verdict::Refused, ended.last_words()));
        }
        if breaks && lint && !must && code != 0 {
            return Ok((Verdict::Refused, format!("{own} is a SHOULD; {}", ended.last_words())));
        }
        if self.adapter.says_rules {
            let Some(said) = said(&ended.out) else {
                return Ok((Verdict::Fail, format!("prints no JSON; {}", ended.last_words())));
            };
            return Ok(match self.wrong(breaks, &said)? {
                Some(wrong) => (Verdict::Fail, wrong),
                None if breaks && !lint && code == 0 => {
                    (Verdict::Fail, "names the rule, and ends as if all were well".to_owned())
                }
                None => (Verdict::Pass, String::new()),
            });
        }
        Ok(match (breaks, lint, code) {
            (true, false, 0) => (Verdict::Fail, format!("accepts what breaks {own}")),
            (true, true, 0) => {
                (Verdict::NotApplicable, format!("accepts it; whether it warns of {own} is unseen"))
            }
            _ => (Verdict::Pass, String::new()),
        })
    }

    /// What is wrong with the rules that were named.
    fn wrong(&self, breaks: bool, said: &BTreeSet<String>) -> Result<Option<String>> {
        let own = self.case.rules();
        if !breaks {
            let wrong: Vec<_> = own.iter().filter(|id| said.contains(*id)).collect();
            return Ok((!wrong.is_empty()).then(|| format!("says that {} is broken", list(&wrong))));
        }
        let all: Vec<_> = said.iter().collect();
        if !own.iter().any(|id| said.contains(id)) {
            let found = if all.is_empty() { "nothing".to_owned() } else { list(&all) };
            return Ok(Some(format!("names {found}, not {}", own.join(", "))));
        }
        // What is allowed is never broken; a validator may speak of it.
        let rules = rule::all()?;
        let known = |id: &String| {
            own.contains(id) || self.case.also().contains(id) || rules.get(id) == Some(&Level::May)
        };
        let more: Vec<_> = all.into_iter().filter(|id| !known(id)).collect();
        let more = (!more.is_empty()).then(|| list(&more));
        Ok(more.map(|more| format!("also names {more}, which is not broken")))
    }
}

fn list(ids: &[&String]) -> String {
    ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ")
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
