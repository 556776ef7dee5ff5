//! The rules of this machine: what is pinned, where it is had from, how
//! strongly somebody must vouch for it, and what is not to be used at all.

use plimsoll_content::{Code, Digest, Error, Result};

use crate::announcement::ZonePlace;
use crate::path::Prefix;
use crate::{Address, Assurance, Host, Reference, Repository};

/// All rules.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// In any order; the longest prefix counts, member by member.
    pub rules: Vec<Rule>,
}

/// What holds for the names below a prefix.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// Which names; none is all of them.
    pub prefix: Option<Prefix>,
    /// The digest of a root of its zone.
    pub root: Option<Digest>,
    /// Where that zone is, if not where the host says.
    pub zone: Option<Address>,
    /// The weakest assurance that is enough.
    pub minimum: Option<Assurance>,
    /// Whether nothing of it may be used.
    pub blocked: Option<bool>,
    /// Where content is had from, before anything else.
    pub mirrors: Vec<Mirror>,
    /// Where it is known from, for messages.
    pub from: String,
}

/// A repository, or the beginning of one, that stands in for a prefix.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mirror {
    /// The registry.
    pub host: Host,
    /// The repository there that the prefix itself is; nothing if its parts follow directly.
    pub base: String,
    /// Whether it may say what a name means, and not only have the content.
    pub resolve: bool,
}

impl Mirror {
    fn repository(&self, rest: &str) -> Result<Repository> {
        let joint = if self.base.is_empty() || rest.is_empty() { "" } else { "/" };
        format!("{}{joint}{rest}", self.base).parse()
    }
}

impl Rules {
    /// The rules for a name, those of the longest prefix first.
    fn of(&self, name: &Reference) -> Vec<(&Rule, usize)> {
        let whole = name.prefix();
        let mut fitting: Vec<(&Rule, usize)> = self
            .rules
            .iter()
            .filter(|rule| rule.prefix.as_ref().is_none_or(|prefix| prefix.covers(&whole)))
            .map(|rule| (rule, rule.prefix.as_ref().map_or(0, Prefix::len)))
            .collect();
        fitting.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
        fitting
    }

    /// Refuses a name that is blocked.
    pub fn check(&self, name: &Reference) -> Result<()> {
        let decided = self.of(name).into_iter().find_map(|(rule, _)| Some((rule, rule.blocked?)));
        match decided {
            Some((rule, true)) => Err(Error::new(Code::Assurance, format!("resolving {name}"))
                .found(format!("names that are blocked by {}", rule.from))
                .expected("a name that may be used")),
            _ => Ok(()),
        }
    }

    /// The weakest assurance that is enough for a name, and who says so.
    pub fn minimum(&self, name: &Reference) -> (Assurance, &str) {
        self.said(name).unwrap_or((Assurance::Tls, "the default"))
    }

    /// The same, if a rule says so.
    pub fn minimum_by_rule(&self, name: &Reference) -> Option<Assurance> {
        self.said(name).map(|(minimum, _)| minimum)
    }

    fn said(&self, name: &Reference) -> Option<(Assurance, &str)> {
        self.of(name).into_iter().find_map(|(rule, _)| Some((rule.minimum?, rule.from.as_str())))
    }

    /// The zone whose root is pinned, with the digest of that root. The longest
    /// pinned prefix counts: it is a zone of its own.
    pub(crate) fn pin(
        &self,
        name: &Reference,
    ) -> Result<Option<(Prefix, &Digest, Option<ZonePlace>)>> {
        for (rule, _) in self.of(name) {
            let (Some(prefix), Some(root)) = (&rule.prefix, &rule.root) else { continue };
            let place = match &rule.zone {
                Some(folder) => Some(ZonePlace::below(prefix, folder)?),
                None => None,
            };
            return Ok(Some((prefix.clone(), root, place)));
        }
        Ok(None)
    }

    /// Where the repository of a name is mirrored.
    pub(crate) fn mirrors(&self, name: &Reference) -> Result<Vec<(Host, Repository, bool)>> {
        let mut mirrors = Vec::new();
        for (rule, _) in self.of(name) {
            let Some(prefix) = &rule.prefix else { continue };
            let rest = prefix.rest(&name.host, name.path.as_str()).unwrap_or_default();
            for mirror in &rule.mirrors {
                mirrors.push((mirror.host.clone(), mirror.repository(rest)?, mirror.resolve));
            }
            if !mirrors.is_empty() {
                break;
            }
        }
        Ok(mirrors)
    }
}
