//! What is remembered of the owners of names: which root of which zone is
//! trusted, since when, and what was answered lately.

use plimsoll_content::{Digest, Error, Result};
use serde::{Deserialize, Serialize};

use crate::announcement::ZonePlace;
use crate::lookup::shelved;
use crate::path::Prefix;
use crate::time::Time;
use crate::tuf::Shelf;

/// How many digests of roots are remembered for a zone.
const ROOTS: usize = 64;

/// A zone that was seen.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Known {
    /// Which names it is about.
    pub prefix: String,
    /// The digest of the root that was trusted first.
    pub first: Digest,
    /// Whether that trust has a ground other than who answered first.
    pub anchored: bool,
    /// Where it was said to be.
    pub place: ZonePlace,
    /// Where its own root says that it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<ZonePlace>,
    /// The digests of all roots that were trusted since.
    pub roots: Vec<Digest>,
    /// Since when it is known.
    pub since: Time,
    /// Whether its owner has declared its end, so that there may be none.
    #[serde(default)]
    pub retired: bool,
}

impl Known {
    /// A zone whose root is trusted from now on.
    pub(crate) fn new(
        prefix: &Prefix,
        first: Digest,
        anchored: bool,
        place: ZonePlace,
        now: Time,
    ) -> Self {
        Self {
            prefix: prefix.to_string(),
            roots: vec![first.clone()],
            first,
            anchored,
            place,
            moved: None,
            since: now,
            retired: false,
        }
    }

    /// Where its metadata is remembered.
    pub(crate) fn folder(&self) -> String {
        format!("{}/", shelved("zones", &format!("{}\n{}", self.prefix, self.first)))
    }

    /// Takes note of a root that was verified.
    pub(crate) fn note(&mut self, root: Digest) -> bool {
        if self.roots.contains(&root) {
            return false;
        }
        if self.roots.len() >= ROOTS {
            self.roots.remove(1);
        }
        self.roots.push(root);
        true
    }
}

fn place(prefix: &Prefix) -> String {
    shelved("known", &prefix.to_string())
}

/// What is known of the zone of a prefix.
pub fn known(shelf: &dyn Shelf, prefix: &Prefix) -> Result<Option<Known>> {
    let Some(bytes) = shelf.read(&place(prefix))? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|cause| {
        Error::new(plimsoll_content::Code::Malformed, format!("reading what is known of {prefix}"))
            .found(&cause)
            .expected("what was written there")
            .fix(format!("plimsoll name forget {prefix}   begins anew"))
            .cause(cause)
    })
}

pub(crate) fn remember(shelf: &dyn Shelf, prefix: &Prefix, known: &Known) -> Result<()> {
    let bytes = plimsoll_content::json::canonical(known)?;
    shelf.write(&place(prefix), &bytes)
}

/// Forgets all that is known of a prefix and of what is below it: the next
/// look-up is as the first one. Gives the prefixes.
pub fn forget(shelf: &dyn Shelf, prefix: &Prefix) -> Result<Vec<Prefix>> {
    let mut forgotten = Vec::new();
    for known in all(shelf)? {
        let Ok(other) = known.prefix.parse::<Prefix>() else { continue };
        if prefix.covers(&other) {
            shelf.remove(&known.folder())?;
            shelf.remove(&place(&other))?;
            forgotten.push(other);
        }
    }
    for name in shelf.list("answers/")? {
        shelf.remove(&name)?;
    }
    Ok(forgotten)
}

/// All zones that are known.
pub fn all(shelf: &dyn Shelf) -> Result<Vec<Known>> {
    let mut all = Vec::new();
    for name in shelf.list("known/")? {
        if let Some(bytes) = shelf.read(&name)?
            && let Ok(known) = serde_json::from_slice(&bytes)
        {
            all.push(known);
        }
    }
    all.sort_by(|a: &Known, b: &Known| a.prefix.cmp(&b.prefix));
    Ok(all)
}

/// An answer that may be used again for a while.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Kept {
    until: Time,
    /// The answer; nothing if it was that there is none.
    pub(crate) text: Option<String>,
    /// Where it came from, or what it is worth.
    pub(crate) from: String,
}

/// The answer to a question, if it may still be used; offline, whenever it came.
pub(crate) fn answer(
    shelf: &dyn Shelf,
    question: &str,
    now: Time,
    offline: bool,
) -> Result<Option<Kept>> {
    let bytes = shelf.read(&shelved("answers", question))?;
    let kept: Option<Kept> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Ok(kept.filter(|kept| offline || now < kept.until))
}

pub(crate) fn keep(
    shelf: &dyn Shelf,
    question: &str,
    text: Option<&str>,
    from: &str,
    until: Time,
) -> Result<()> {
    let kept = Kept { until, text: text.map(str::to_owned), from: from.to_owned() };
    shelf.write(&shelved("answers", question), &plimsoll_content::json::canonical(&kept)?)
}
