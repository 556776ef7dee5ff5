//! Cases: what is made, who is asked, and what is right.

use std::fmt;
use std::str::FromStr;

use plimsoll_content::{Code, Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::recipe::{Layout, Recipe};
use crate::run::Step;
use crate::tree::Expected;
use crate::{bases, embedded};

/// Who a case is for. The list is complete.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Whoever says whether an image follows the rules.
    Validator,
    /// Whoever makes images.
    Builder,
    /// Whoever keeps and copies them.
    Registry,
    /// Whoever unpacks and starts them.
    Engine,
}

impl Role {
    /// All roles.
    pub const ALL: &'static [Self] =
        &[Self::Validator, Self::Builder, Self::Registry, Self::Engine];

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Validator => "validator",
            Self::Builder => "builder",
            Self::Registry => "registry",
            Self::Engine => "engine",
        }
    }

    /// The role whose cases lie in a folder of `cases/`.
    fn of_folder(folder: &str) -> Option<Self> {
        match folder {
            "documents" | "layers" | "layouts" => Some(Self::Validator),
            "builders" => Some(Self::Builder),
            "registries" => Some(Self::Registry),
            "engines" => Some(Self::Engine),
            _ => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|role| role.as_str() == text).ok_or_else(|| {
            Error::new(Code::Usage, "choosing a role")
                .found(text)
                .expected("validator, builder, registry or engine")
        })
    }
}

/// Whether a fixture follows its rule.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It does.
    Holds,
    /// It does not.
    Breaks,
}

/// What the image of a case is called in its layout.
pub const TAG: &str = "v1";

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its path below `cases/`, such as `documents/digest-in-upper-case`.
    pub id: String,
    /// Who it is for.
    pub role: Role,
    /// What it is about, and what is expected.
    pub(crate) body: Body,
}

/// A case as its file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Body {
    /// In a few words.
    pub(crate) title: String,
    /// The rules it is about, the main one first.
    pub(crate) rules: Vec<String>,
    /// For validators: whether the rules hold.
    pub(crate) verdict: Option<Verdict>,
    /// Other rules that such a fixture can not help breaking.
    #[serde(default)]
    pub(crate) also: Vec<String>,
    /// Whether the machine's own root is needed to see what is right.
    #[serde(default)]
    pub(crate) root: bool,
    /// The image, or the base of what is done.
    #[serde(default)]
    pub(crate) image: Recipe,
    /// What is asked of an engine.
    #[serde(default)]
    pub(crate) ask: Ask,
    /// The platform that is asked for, `os/architecture`.
    pub(crate) platform: Option<String>,
    /// For registries: what is asked of one, request by request.
    pub(crate) steps: Option<Vec<Step>>,
    /// For builders: the folder to make an image of.
    pub(crate) folder: Option<Value>,
    /// For builders: commands that make in that folder what no archive can.
    pub(crate) script: Option<String>,
    /// For builders: what is asked for besides.
    #[serde(default)]
    pub(crate) options: Map<String, Value>,
    /// What is right.
    #[serde(default)]
    pub(crate) expect: Expect,
}

/// What an engine is asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ask {
    /// A root filesystem.
    #[default]
    Unpack,
    /// A bundle with a runtime config.
    Bundle,
}

/// What is right. What is not there does not matter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Expect {
    /// It is refused.
    pub(crate) refused: bool,
    /// Refusing is as right as the rest that is expected.
    pub(crate) may_refuse: bool,
    /// Everything in the root filesystem.
    pub(crate) tree: Option<Vec<Expected>>,
    /// Paths that must not be there.
    pub(crate) absent: Vec<String>,
    /// Values in the runtime config, by JSON pointer; null for nothing.
    pub(crate) config: Map<String, Value>,
    /// Lists in the runtime config, for builders in the image config, that
    /// hold these, among others.
    pub(crate) has: Map<String, Value>,
    /// Lists in the runtime config that hold none of these.
    pub(crate) lacks: Map<String, Value>,
    /// For registries: the part that is named by the tag.
    pub(crate) root: Root,
    /// For registries: parts that need not be there afterwards.
    pub(crate) without: Vec<String>,
    /// For builders: values in the image config, by JSON pointer.
    pub(crate) image: Map<String, Value>,
    /// For builders: values in the manifest, by JSON pointer.
    pub(crate) manifest: Map<String, Value>,
    /// For builders: places in `config`, `manifest` or `descriptor` that have
    /// to be there.
    pub(crate) present: Vec<String>,
    /// For builders: places that, if they are there, hold a time.
    pub(crate) time: Vec<String>,
    /// For builders: whether the history fits the layers.
    pub(crate) history: bool,
    /// For builders: the entries of all layers, as they are applied.
    pub(crate) entries: Option<Vec<Expected>>,
    /// For builders: the same input gives the same bytes.
    pub(crate) reproducible: bool,
}

/// The part of a recipe that a tag names: the manifest, unless it says so.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Root(String);

impl Default for Root {
    fn default() -> Self {
        Self("manifest".to_owned())
    }
}

impl Root {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Case {
    fn parse(id: &str, text: &str) -> Result<Option<Self>> {
        let folder = id.split('/').next().unwrap_or_default();
        let Some(role) = Role::of_folder(folder) else { return Ok(None) };
        let body = serde_json::from_str(text).map_err(|cause| {
            Error::new(Code::Malformed, format!("reading case {id}")).found(&cause).cause(cause)
        })?;
        Ok(Some(Self { id: id.to_owned(), role, body }))
    }

    /// What it is about, in a few words.
    pub fn title(&self) -> &str {
        &self.body.title
    }

    /// The rules it is about, the main one first.
    pub fn rules(&self) -> &[String] {
        &self.body.rules
    }

    /// For validators: whether the rules hold.
    pub fn verdict(&self) -> Option<Verdict> {
        self.body.verdict
    }

    /// Rules that it breaks besides its own.
    pub fn also(&self) -> &[String] {
        &self.body.also
    }

    /// Makes its image. The bytes are the same on every machine.
    pub fn layout(&self) -> Result<Layout> {
        self.body
            .image
            .make(&bases::find)
            .map_err(|error| error.context(format!("making the image of case {}", self.id)))
    }
}

/// All cases, in the order of their ids.
pub fn all() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (id, text) in embedded::cases()? {
        cases.extend(Case::parse(id, text)?);
    }
    Ok(cases)
}

/// What a selection of cases is made by; what is empty selects all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The role.
    pub role: Option<Role>,
    /// Rules.
    pub rules: Vec<String>,
    /// Ids, or starts of ids.
    pub cases: Vec<String>,
}

impl Selection {
    /// The cases of this selection; an error if there are none.
    pub fn cases(&self) -> Result<Vec<Case>> {
        let mut cases = all()?;
        let ids: Vec<_> = cases.iter().map(|case| case.id.clone()).collect();
        // A whole id is that case alone, also where others begin so.
        let named = |case: &Case, wanted: &String| {
            if ids.contains(wanted) { case.id == *wanted } else { case.id.starts_with(wanted) }
        };
        cases.retain(|case| {
            self.role.is_none_or(|role| role == case.role)
                && (self.rules.is_empty()
                    || self.rules.iter().any(|rule| case.body.rules.contains(rule)))
                && (self.cases.is_empty() || self.cases.iter().any(|id| named(case, id)))
        });
        if cases.is_empty() {
            return Err(Error::new(Code::NotFound, "choosing cases")
                .found("none that is meant")
                .fix("plimsoll kit ls   lists them all"));
        }
        Ok(cases)
    }
}
