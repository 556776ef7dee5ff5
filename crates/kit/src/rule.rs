//! The rules of the image specification that cases are about: how binding
//! each is, and whether a validator can tell.
//!
//! The ids are those of the project's rule book, `plimsoll_spec::rules`: two
//! letters for the chapter, and a number. That book has the rules that can be
//! judged on an image at rest. Cases are also about what programs do, so the
//! list here has all.

use std::collections::BTreeMap;

use plimsoll_content::{Code, Error, Result};
use plimsoll_spec::rules;
use serde::Deserialize;

/// How binding a rule is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// MUST, MUST NOT, REQUIRED.
    Must,
    /// SHOULD, SHOULD NOT, and what the specification asks for in other words.
    Should,
    /// MAY, OPTIONAL.
    May,
    /// Given by a definition, without one of these words.
    Implied,
}

/// How a validator reports what breaks a rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    /// As an error.
    Validate,
    /// As a warning, or less.
    Lint,
}

/// All rules with their levels, by id.
pub fn all() -> Result<BTreeMap<String, Level>> {
    serde_json::from_str(include_str!("../rules.json")).map_err(|cause| {
        Error::new(Code::Malformed, "reading the list of rules").found(&cause).cause(cause)
    })
}

/// How a validator reports what breaks a rule; `None` if none can see it.
pub fn how(id: &str) -> Option<How> {
    rules::find(id).map(|rule| match rule.level {
        rules::Level::Error => How::Validate,
        rules::Level::Warning | rules::Level::Note => How::Lint,
    })
}

/// The rules that a validator can see.
pub fn seen() -> impl Iterator<Item = &'static str> {
    rules::all().map(|rule| rule.id)
}
