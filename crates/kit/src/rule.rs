//! The rules of the image specification that cases are about: how binding
//! each is, and whether a validator can tell.
//!
//! The ids are the project's own: two letters for the chapter, and a number.

use std::collections::BTreeMap;

use plimsoll_content::{Code, Error, Result};
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
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// As an error.
    Validate,
    /// As a warning.
    Lint,
}

/// One rule.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Rule {
    /// How binding it is.
    pub level: Level,
    /// How a validator reports it, if one can see it.
    pub how: Option<How>,
}

/// All rules by id.
pub fn all() -> Result<BTreeMap<String, Rule>> {
    serde_json::from_str(include_str!("../rules.json")).map_err(|cause| {
        Error::new(Code::Malformed, "reading the list of rules").found(&cause).cause(cause)
    })
}
