//! `registries.conf`: what this machine's settings say of registries. Which
//! are mirrored, lie elsewhere, are spoken to in the clear, or not at all; and
//! what names without a registry mean (containers-registries.conf(5)).
//!
//! It is pure: files are read elsewhere, and given one after another
//! ([`Conf::merge`]). What the settings mean for one image is in `route`, for
//! a short name in `short`.

mod route;
mod short;
mod toml;

use std::collections::BTreeMap;

use plimsoll_content::{Code, Error, Result};
use serde::Deserialize;

use crate::authfile::check_helper;

pub use self::toml::{LIMIT, parse as parse_toml};
pub use route::{Route, Way};
pub use short::{How, Meaning};

/// The settings of one file, or of several.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Conf {
    /// By prefix.
    rules: BTreeMap<String, Rule>,
    search: Option<Vec<String>>,
    /// Without tags; an empty meaning takes a name away.
    aliases: BTreeMap<String, String>,
    mode: Option<Mode>,
    keepers: Vec<Keeper>,
}

/// Who keeps logins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Keeper {
    /// The files of credentials, in their order (containers-auth.json(5)).
    Files,
    /// The helper of that name: the program `docker-credential-NAME`.
    Helper(String),
}

/// What the files are called in the list of helpers.
const FILES: &str = "containers-auth.json";

/// How a short name is looked for that has no alias.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    /// In one registry; several are a question that nobody is asked here.
    Enforcing,
    /// In all of them, one after another.
    All,
}

/// What holds below a prefix.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Rule {
    /// What stands in the place of the prefix; `None` is the name as it is.
    location: Option<String>,
    insecure: bool,
    blocked: bool,
    mirrors: Vec<Mirror>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Mirror {
    location: String,
    insecure: bool,
    pull: Pull,
}

/// For which pulls a mirror is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pull {
    All,
    Digests,
    Tags,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Written {
    #[serde(default)]
    registry: Vec<WrittenRule>,
    unqualified_search_registries: Option<Vec<String>>,
    short_name_mode: Option<String>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    registries: Option<Old>,
    #[serde(default)]
    credential_helpers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenRule {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<WrittenMirror>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenMirror {
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: String,
}

/// The form of version 1.
#[derive(Deserialize)]
struct Old {
    search: Option<OldList>,
    insecure: Option<OldList>,
    block: Option<OldList>,
}

#[derive(Deserialize)]
struct OldList {
    #[serde(default)]
    registries: Vec<String>,
}

impl Conf {
    /// Reads the settings of one file. Members that are unknown here mean
    /// nothing.
    ///
    /// Errors with [`Code::Malformed`] if something in it can not be what it
    /// should be: a setting that was misread could let through what it blocks.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let value = toml::parse(bytes, "settings of registries")?;
        let written: Written = serde_json::from_value(value).map_err(|cause| {
            Error::new(Code::Malformed, "reading settings of registries")
                .found(&cause)
                .expected("the form of containers-registries.conf(5)")
        })?;
        let mut conf = Self {
            search: written.unqualified_search_registries,
            mode: written.short_name_mode.as_deref().map(mode).transpose()?.flatten(),
            aliases: written.aliases,
            keepers: written.credential_helpers.iter().map(keeper).collect::<Result<_>>()?,
            ..Self::default()
        };
        for rule in &written.registry {
            let (prefix, rule) = rule.checked()?;
            conf.add(prefix, rule)?;
        }
        if let Some(old) = written.registries {
            if !written.registry.is_empty() || conf.search.is_some() {
                return Err(bad("registries, of version 1", "one version in a file"));
            }
            conf.old(old)?;
        }
        for place in conf.search.iter_mut().flatten() {
            *place = location(place)?;
        }
        for (name, meaning) in &conf.aliases {
            short::check_alias(name, meaning)?;
        }
        Ok(conf)
    }

    fn add(&mut self, prefix: String, rule: Rule) -> Result<()> {
        match self.rules.get(&prefix) {
            Some(other) if *other != rule => Err(bad(
                &format!("two entries for {prefix:?} that say different things"),
                "one entry for each prefix",
            )),
            _ => {
                self.rules.insert(prefix, rule);
                Ok(())
            }
        }
    }

    fn old(&mut self, old: Old) -> Result<()> {
        let list = |list: Option<OldList>| list.map_or_else(Vec::new, |list| list.registries);
        self.search = old.search.map(|list| list.registries);
        let (insecure, blocked) = (list(old.insecure), list(old.block));
        for place in insecure.iter().chain(&blocked) {
            let rule = Rule {
                location: None,
                insecure: insecure.contains(place),
                blocked: blocked.contains(place),
                mirrors: Vec::new(),
            };
            self.rules.insert(location(place)?, rule);
        }
        Ok(())
    }

    /// Adds what a later file says: entries for the same prefix and the same
    /// short name take the place of earlier ones.
    pub fn merge(&mut self, later: Self) {
        self.rules.extend(later.rules);
        self.aliases.extend(later.aliases);
        self.search = later.search.or(self.search.take());
        self.mode = later.mode.or(self.mode);
        if !later.keepers.is_empty() {
            self.keepers = later.keepers;
        }
    }

    /// Who is asked for logins (`credential-helpers`), in order: the files alone
    /// if the settings say nothing. Never empty.
    pub fn keepers(&self) -> Vec<Keeper> {
        if self.keepers.is_empty() { vec![Keeper::Files] } else { self.keepers.clone() }
    }
}

fn keeper(name: &String) -> Result<Keeper> {
    if name == FILES {
        return Ok(Keeper::Files);
    }
    check_helper(name).map_err(|error| error.context("reading settings of registries"))?;
    Ok(Keeper::Helper(name.clone()))
}

fn mode(text: &str) -> Result<Option<Mode>> {
    match text {
        "" => Ok(None),
        "enforcing" => Ok(Some(Mode::Enforcing)),
        // Nobody is asked here, so that permissive comes to the same.
        "permissive" | "disabled" => Ok(Some(Mode::All)),
        other => {
            Err(bad(&format!("short-name-mode = {other:?}"), "enforcing, permissive or disabled"))
        }
    }
}

impl WrittenRule {
    fn checked(&self) -> Result<(String, Rule)> {
        let place = if self.location.is_empty() { None } else { Some(location(&self.location)?) };
        let prefix = match (self.prefix.is_empty(), &place) {
            (false, _) => prefix(&self.prefix)?,
            (true, Some(place)) => place.clone(),
            (true, None) => return Err(bad("an entry without prefix and location", "one of them")),
        };
        let mut mirrors = Vec::new();
        for mirror in &self.mirror {
            let pull = match mirror.pull_from_mirror.as_str() {
                "" if self.mirror_by_digest_only => Pull::Digests,
                other if self.mirror_by_digest_only => {
                    return Err(bad(
                        &format!("pull-from-mirror = {other:?} beside mirror-by-digest-only"),
                        "one of them",
                    ));
                }
                "" | "all" => Pull::All,
                "digest-only" => Pull::Digests,
                "tag-only" => Pull::Tags,
                other => {
                    return Err(bad(
                        &format!("pull-from-mirror = {other:?}"),
                        "all, digest-only or tag-only",
                    ));
                }
            };
            if mirror.location.is_empty() {
                return Err(bad(&format!("a mirror of {prefix:?} without location"), "a location"));
            }
            let location = location(&mirror.location)?;
            mirrors.push(Mirror { location, insecure: mirror.insecure, pull });
        }
        let rule =
            Rule { location: place, insecure: self.insecure, blocked: self.blocked, mirrors };
        Ok((prefix, rule))
    }
}

/// `*.HOST`, or what a location may be.
fn prefix(text: &str) -> Result<String> {
    let Some(domain) = text.strip_prefix("*.") else { return location(text) };
    if domain.parse::<crate::protocol::Host>().is_err() || domain.contains(':') {
        return Err(bad(
            &format!("the prefix {text:?}"),
            "*. before a host without a port, and nothing behind it",
        ));
    }
    Ok(text.to_ascii_lowercase())
}

/// `HOST[/PATH[:TAG|@DIGEST]]`, with the host in lower case.
fn location(text: &str) -> Result<String> {
    let bare = text.trim_end_matches('/');
    let (host, path) = bare.split_once('/').map_or((bare, None), |(host, path)| (host, Some(path)));
    let host = host.parse::<crate::protocol::Host>();
    let plain =
        |path: &str| path.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b));
    match (host, path) {
        (Ok(host), None) => Ok(host.to_string()),
        (Ok(host), Some(path)) if plain(path) => Ok(format!("{host}/{path}")),
        _ => Err(bad(&format!("the place {text:?}"), "HOST[:PORT][/PATH], without a scheme")),
    }
}

fn bad(found: &str, expected: &str) -> Error {
    Error::new(Code::Malformed, "reading settings of registries").found(found).expected(expected)
}

#[cfg(test)]
mod tests;
