//! Whether an engine makes of an image what the specification says: the
//! root filesystem, the runtime config, and nothing outside of both.

use std::fs;

use plimsoll_content::{Error, Result};
use serde_json::{Map, Value};

use super::{Ground, Judged, Verdict, is_root};
use crate::case::Ask;
use crate::tree;

/// What lies outside, where no image may write.
const VICTIM: &str = "precious";

impl Ground<'_> {
    pub(super) fn engine(&self) -> Result<Judged> {
        let body = &self.case.body;
        let template = self.adapter.template(body.ask);
        if body.ask == Ask::Bundle && !template.contains("{bundle}") {
            return Ok((Verdict::NotApplicable, "can not be asked for a bundle".to_owned()));
        }
        if body.platform.is_some() && !template.contains("{platform}") {
            return Ok((Verdict::NotApplicable, "can not be asked for a platform".to_owned()));
        }
        let outside = self.path("outside");
        let failed = |cause| Error::io("making", outside.display(), cause);
        fs::create_dir(&outside).map_err(failed)?;
        fs::write(outside.join("victim"), VICTIM).map_err(failed)?;
        self.layout()?;
        let ended = self.command(template, &[])?;
        if !self.untouched() {
            return Ok((Verdict::Fail, "touches a file outside of the root".to_owned()));
        }
        let Some(code) = ended.code else {
            return Ok(self.late());
        };
        let expect = &body.expect;
        if code != 0 {
            let right = expect.refused || expect.may_refuse;
            let verdict = if right { Verdict::Pass } else { Verdict::Refused };
            return Ok((verdict, ended.last_words()));
        }
        if expect.refused {
            return Ok((Verdict::Fail, "takes what is to be refused".to_owned()));
        }
        if !self.path("bundle/rootfs").is_dir() {
            return Ok((Verdict::Fail, "leaves no root filesystem".to_owned()));
        }
        let tree = tree::look(&self.path("bundle/rootfs"))?;
        let expected = expect.tree.as_deref();
        let difference = expected
            .and_then(|expected| tree::difference(expected, &tree, is_root()))
            .or_else(|| {
                let there = expect.absent.iter().find(|path| tree.contains_key(*path))?;
                Some(format!("{there} is there and should not be"))
            });
        if let Some(difference) = difference {
            return Ok((Verdict::Fail, difference));
        }
        if body.ask == Ask::Bundle
            && let Some(difference) = self.runtime_config()
        {
            return Ok((Verdict::Fail, difference));
        }
        Ok((Verdict::Pass, String::new()))
    }

    /// Whether what lies outside is as it was.
    fn untouched(&self) -> bool {
        let outside = self.path("outside");
        let names = fs::read_dir(&outside).map(Iterator::count).unwrap_or_default();
        names == 1 && fs::read(outside.join("victim")).is_ok_and(|found| found == VICTIM.as_bytes())
    }

    /// What is wrong with the runtime config.
    fn runtime_config(&self) -> Option<String> {
        let path = self.path("bundle/config.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(cause) => return Some(format!("config.json: {cause}")),
        };
        let Ok(config) = serde_json::from_slice::<Value>(&text) else {
            return Some("config.json is no JSON".to_owned());
        };
        let expect = &self.case.body.expect;
        values(&expect.config, &config)
            .or_else(|| members(&expect.has, &config, true))
            .or_else(|| members(&expect.lacks, &config, false))
    }
}

/// The first value that is not what a pointer should lead to.
pub(super) fn values(expected: &Map<String, Value>, found: &Value) -> Option<String> {
    expected.iter().find_map(|(pointer, wanted)| {
        let found = found.pointer(pointer).unwrap_or(&Value::Null);
        // No list and an empty one are the same to whoever reads it.
        let none = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        let same = found == wanted || none(found) && none(wanted);
        (!same).then(|| format!("{pointer} is {found}, expected {wanted}"))
    })
}

/// The first list that lacks what it should have, or has what it should lack.
pub(super) fn members(expected: &Map<String, Value>, found: &Value, there: bool) -> Option<String> {
    expected.iter().find_map(|(pointer, wanted)| {
        let list = found.pointer(pointer).and_then(Value::as_array);
        let list = list.map(Vec::as_slice).unwrap_or_default();
        let wanted = wanted.as_array().map(Vec::as_slice).unwrap_or_default();
        let holds = |wanted: &Value| list.iter().any(|member| includes(member, wanted));
        let wrong = wanted.iter().find(|member| holds(member) != there)?;
        Some(format!("{pointer} {} {wrong}", if there { "lacks" } else { "has" }))
    })
}

/// Whether a value is another one; of objects, whether it has its members.
fn includes(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Object(value), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| value.get(name) == Some(wanted))
        }
        _ => value == wanted,
    }
}
