//! What a name without a registry means: what somebody has written down, and
//! nothing else. No hub is implied.

use plimsoll_content::{Code, Error, Result};

use super::{Conf, Mode, bad};

/// How a meaning was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    /// An alias says so.
    Alias,
    /// It is looked for in a registry of `unqualified-search-registries`.
    Search,
}

/// One thing that a short name may mean.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Meaning {
    /// The whole name, with the tag or digest of the short one.
    pub name: String,
    /// Why.
    pub how: How,
}

impl Conf {
    /// What a name without a registry may mean, in the order in which it is
    /// tried; nothing if nobody has written anything down.
    ///
    /// Errors with [`Code::Reference`] if several registries are to be
    /// searched and the settings want somebody to choose.
    pub fn meanings(&self, name: &str) -> Result<Vec<Meaning>> {
        let (bare, behind) = split(name);
        if let Some(meaning) = self.aliases.get(bare).filter(|meaning| !meaning.is_empty()) {
            return Ok(vec![Meaning { name: format!("{meaning}{behind}"), how: How::Alias }]);
        }
        let search = self.search.as_deref().unwrap_or_default();
        if search.len() > 1 && self.mode == Some(Mode::Enforcing) {
            return Err(Error::new(Code::Reference, format!("finding out what {name:?} means"))
                .found(format!("several registries to search: {}", search.join(", ")))
                .expected("one, or an alias: short-name-mode is enforcing")
                .fix(format!("write the whole name, as in {}/{name}", search[0])));
        }
        let meaning =
            |place: &String| Meaning { name: format!("{place}/{name}"), how: How::Search };
        Ok(search.iter().map(meaning).collect())
    }
}

/// A name, and its tag or digest with what parts them.
fn split(name: &str) -> (&str, &str) {
    let start = name.rfind('/').map_or(0, |slash| slash + 1);
    let end = name[start..].find([':', '@']).map_or(name.len(), |at| start + at);
    name.split_at(end)
}

pub(super) fn check_alias(name: &str, meaning: &str) -> Result<()> {
    let found = format!("the alias {name:?} = {meaning:?}");
    let first = name.split('/').next().unwrap_or(name);
    if name.is_empty() || first.contains(['.', ':']) || first == "localhost" || name.contains('@') {
        return Err(bad(&found, "a name without a registry before the ="));
    }
    if !split(name).1.is_empty() {
        return Err(bad(&found, "no tag and no digest"));
    }
    if meaning.is_empty() {
        return Ok(());
    }
    let image: crate::protocol::Image = meaning
        .parse()
        .map_err(|error: Error| bad(&found, "HOST/REPOSITORY behind the =").cause(error))?;
    if image.repository.is_none() || image.address.is_some() {
        return Err(bad(&found, "HOST/REPOSITORY behind the =, without tag and digest"));
    }
    Ok(())
}
