//! The rule book: what the image specification demands, each rule under its
//! id, and the judgement of single documents by it.
//!
//! The ids are those of the checklist in `docs/reference/rules.md`: two
//! letters for the page of the specification (`DE` descriptors, `LA` layouts,
//! `MA` manifests, `IX` indexes, `LY` layers, `CF` configs, `AN` annotations,
//! `CO` and `AG` what is left) and a number. They are only ever added.
//!
//! [`validate()`] judges one document by its bytes. It acts on nothing, so it
//! goes on behind whatever is wrong. Rules about layers, layouts and whole
//! images are in the table too; who can read those judges them (`plimsoll`'s
//! `validate`).

mod annotations;
mod config;
mod descriptor;
mod index;
mod judge;
mod layer;
mod layout;
mod manifest;
mod platform;
mod report;
pub mod table;
mod text;

use std::fmt;

use plimsoll_content::MediaType;
use plimsoll_content::limits::Limits;
use serde::Serialize;

use crate::media_type;
use judge::Judge;

pub use layer::layer_finding;
pub use report::{Finding, Findings, Image, Lead, Report};

/// How bad it is to break a rule; the worst is first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Others rely on it (MUST, REQUIRED).
    Error,
    /// It works, and should be otherwise (SHOULD).
    Warning,
    /// It is worth knowing.
    Note,
}

impl Level {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whom a rule binds.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Party {
    /// Who writes documents and layers.
    Builder,
    /// Who keeps and copies them.
    Registry,
    /// Who unpacks and runs them.
    Engine,
}

impl Party {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Builder => "builder",
            Self::Registry => "registry",
            Self::Engine => "engine",
        }
    }
}

/// What the examples of a rule are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum About {
    /// Members of a descriptor, or `without MEMBER`.
    Descriptor,
    /// Members of a manifest.
    Manifest,
    /// Members of an index.
    Index,
    /// Members of the `index.json` of a layout.
    LayoutIndex,
    /// Members of a config.
    Config,
    /// The whole of `oci-layout`.
    LayoutHeader,
    /// The whole of some document.
    Document,
    /// Entries of a layer, in words.
    Layer,
    /// Files of a layout, in words.
    Layout,
    /// Several documents, in words.
    Image,
}

/// One rule of the image specification.
#[derive(Debug, Eq, PartialEq)]
pub struct Rule {
    /// Its id, such as `DE31`.
    pub id: &'static str,
    /// How bad it is to break it.
    pub level: Level,
    /// The word of the specification (`MUST`, `SHOULD`, …), or `implied` where
    /// it defines without one.
    pub word: &'static str,
    /// Whom it binds.
    pub parties: &'static [Party],
    /// Where it stands in the specification.
    pub section: &'static str,
    /// What the examples are.
    pub about: About,
    /// What is demanded.
    pub text: &'static str,
    /// What follows the rule.
    pub good: &'static str,
    /// What breaks it.
    pub bad: &'static str,
}

impl Rule {
    /// Where the rule can be read.
    pub fn url(&self) -> String {
        format!("{SPECIFICATION}{}", self.section)
    }
}

/// The specification whose rules these are.
pub const SPECIFICATION: &str = "https://github.com/opencontainers/image-spec/blob/main/";

/// The tables, in the order of the specification.
const TABLES: &[&[&Rule]] = &[
    table::descriptor::TABLE,
    table::layout::TABLE,
    table::manifest::TABLE,
    table::image_index::TABLE,
    table::layer::TABLE,
    table::config::TABLE,
    table::annotations::TABLE,
    table::general::TABLE,
];

/// All rules, in the order of the specification.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    TABLES.iter().flat_map(|table| table.iter().copied())
}

/// The rule of that id, however its letters are written.
pub fn find(id: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.id.eq_ignore_ascii_case(id))
}

/// What a document is judged as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A descriptor on its own.
    Descriptor,
    /// An image manifest.
    Manifest,
    /// An image index.
    Index,
    /// The `index.json` of a layout.
    LayoutIndex,
    /// An image config.
    Config,
    /// `oci-layout`.
    LayoutHeader,
    /// A Docker v2.2 manifest, by Docker's rules.
    DockerManifest,
    /// A Docker v2.2 manifest list.
    DockerManifestList,
    /// A Docker v2.2 config.
    DockerConfig,
}

impl Kind {
    /// What content of that type is judged as; `None` if it has no rules.
    pub fn of(said: &MediaType) -> Option<Self> {
        match said {
            t if *t == media_type::MANIFEST => Some(Self::Manifest),
            t if *t == media_type::INDEX => Some(Self::Index),
            t if *t == media_type::CONFIG => Some(Self::Config),
            t if *t == media_type::LAYOUT_HEADER => Some(Self::LayoutHeader),
            t if *t == media_type::DOCKER_MANIFEST => Some(Self::DockerManifest),
            t if *t == media_type::DOCKER_MANIFEST_LIST => Some(Self::DockerManifestList),
            t if *t == media_type::DOCKER_CONFIG => Some(Self::DockerConfig),
            _ => None,
        }
    }

    /// Whether it is one of Docker's documents.
    pub fn is_docker(self) -> bool {
        matches!(self, Self::DockerManifest | Self::DockerManifestList | Self::DockerConfig)
    }
}

/// Judges one document.
pub fn validate(bytes: &[u8], kind: Kind) -> Report {
    validate_within(bytes, kind, &Limits::default())
}

/// The same within other budgets.
///
/// What is refused in reading although no rule of the specification says so
/// is told as well, without a rule.
pub fn validate_within(bytes: &[u8], kind: Kind, limits: &Limits) -> Report {
    let mut judge = Judge::new(kind.is_docker());
    let tree = judge.text(bytes, limits.json_depth);
    if let Some(tree) = &tree {
        match kind {
            Kind::Descriptor => drop(descriptor::judge(&mut judge, tree, "", &descriptor::ALONE)),
            Kind::Manifest | Kind::DockerManifest => manifest::judge(&mut judge, tree),
            Kind::Index | Kind::DockerManifestList => index::judge(&mut judge, tree, false),
            Kind::LayoutIndex => index::judge(&mut judge, tree, true),
            Kind::Config | Kind::DockerConfig => config::judge(&mut judge, tree),
            Kind::LayoutHeader => layout::judge(&mut judge, tree),
        }
    }
    judge.read(bytes, kind, limits);
    judge.finish()
}

#[cfg(test)]
mod tests;
