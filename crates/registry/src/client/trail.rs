//! How names came to stand for content: what was asked, who answered, and who
//! did not.

use std::fmt;
use std::sync::{Arc, Mutex};

use plimsoll_content::Digest;
use serde::Serialize;

use super::locked;

/// How many steps are kept.
const STEPS: usize = 10_000;

/// One way in which a name was followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum By {
    /// The local store has it.
    Store,
    /// The registry that the name says has it.
    Registry,
    /// The settings say that it lies elsewhere.
    Location,
    /// A mirror has it.
    Mirror,
    /// An alias says what the name means.
    Alias,
    /// It was found in a registry that is searched.
    Search,
    /// The owner of the domain says what it means.
    Owner,
}

impl By {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Registry => "registry",
            Self::Location => "location",
            Self::Mirror => "mirror",
            Self::Alias => "alias",
            Self::Search => "search",
            Self::Owner => "owner",
        }
    }
}

/// A name that was resolved.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Resolution {
    /// The name, as it was written.
    pub name: String,
    /// What it stands for.
    pub digest: Digest,
    /// By which ways, in their order.
    pub by: Vec<By>,
    /// Where it was found.
    pub place: String,
    /// Where it was looked for before, and was not found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Tried>,
}

/// A place that did not have what was asked for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Tried {
    /// The place.
    pub place: String,
    /// What was wrong there.
    pub error: String,
}

/// What was resolved, for those who want to know; shared by its clones.
#[derive(Clone, Default)]
pub struct Trail(Arc<Mutex<Vec<Resolution>>>);

impl Trail {
    /// Keeps a resolution, once.
    pub fn add(&self, resolution: Resolution) {
        let mut steps = locked(&self.0);
        if steps.len() < STEPS && !steps.contains(&resolution) {
            steps.push(resolution);
        }
    }

    /// What was resolved so far, in order.
    pub fn steps(&self) -> Vec<Resolution> {
        locked(&self.0).clone()
    }
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trail").field(&self.steps()).finish()
    }
}
