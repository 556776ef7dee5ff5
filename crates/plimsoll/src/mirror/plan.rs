//! The file that says what is mirrored (`docs/registries/mirror.md`).

use plimsoll_content::{Code, Error, Platform, Result};
use plimsoll_registry::conf::parse_toml;
use plimsoll_registry::protocol::Host;
use serde::Deserialize;

use super::pattern::{Glob, Version, Versions};
use crate::reference::Reference;

/// How many entries a file may have.
const ENTRIES: usize = 10_000;

/// What is to be mirrored.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The entries, in their order.
    pub entries: Vec<Entry>,
}

/// One repository, or one place, that is mirrored.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where from.
    pub from: Reference,
    /// Where to.
    pub to: Reference,
    /// Whether the path of the source follows behind that of `to`.
    pub below: bool,
    /// Which tags; none is the one that `from` names.
    pub tags: Vec<Glob>,
    /// Which of them not.
    pub exclude: Vec<Glob>,
    /// Which versions of them.
    pub versions: Option<Versions>,
    /// Only so many of the newest versions.
    pub newest: Option<usize>,
    /// Only for these platforms.
    pub platforms: Vec<Platform>,
    /// Also what is about the images.
    pub referrers: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    to: Option<String>,
    #[serde(default)]
    platforms: Vec<String>,
    #[serde(default)]
    referrers: bool,
    #[serde(default)]
    image: Vec<WrittenEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEntry {
    from: String,
    to: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    versions: Option<String>,
    newest: Option<usize>,
    platforms: Option<Vec<String>>,
    referrers: Option<bool>,
}

impl Plan {
    /// Reads a file, in TOML or JSON. Members that are unknown are refused:
    /// what was misspelled would bring too much or too little.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let doing = "reading what is to be mirrored";
        let value = if bytes.trim_ascii_start().starts_with(b"{") {
            serde_json::from_slice(bytes).map_err(|cause| {
                Error::new(Code::Malformed, doing).found(&cause).expected("JSON").cause(cause)
            })?
        } else {
            parse_toml(bytes, "what is to be mirrored")?
        };
        let written: Written = serde_json::from_value(value).map_err(|cause| {
            Error::new(Code::Malformed, doing)
                .found(&cause)
                .expected("[[image]] with from, to, tags, exclude, versions, newest, platforms, referrers")
                .cause(cause)
        })?;
        if written.image.len() > ENTRIES {
            return Err(Error::new(Code::Limit, doing)
                .found(format!("{} images", written.image.len()))
                .expected(format!("at most {ENTRIES}")));
        }
        if written.image.is_empty() {
            return Err(Error::new(Code::Usage, doing)
                .found("no [[image]]")
                .expected("one or more"));
        }
        let entries = written.image.iter().enumerate().map(|(at, entry)| {
            entry
                .read(&written)
                .map_err(|error| error.context(format!("{doing}: image {}", at + 1)))
        });
        Ok(Self { entries: entries.collect::<Result<_>>()? })
    }
}

impl WrittenEntry {
    fn read(&self, all: &Written) -> Result<Entry> {
        let from = Reference::parse_remote(&self.from)?;
        let (to, below) = match (&self.to, &all.to) {
            (Some(to), _) => (to, false),
            (None, Some(to)) => (to, true),
            (None, None) => {
                return Err(Error::new(Code::Usage, format!("mirroring {from}"))
                    .found("no to")
                    .expected("one here, or one for all images at the beginning of the file"));
            }
        };
        let to = if is_registry(to) { format!("docker://{to}") } else { to.clone() };
        let to = Reference::parse_remote(&to)?;
        let globs = |texts: &[String]| {
            texts.iter().map(|text| Glob::parse(text)).collect::<Result<Vec<_>>>()
        };
        let platforms = self.platforms.as_ref().unwrap_or(&all.platforms);
        Ok(Entry {
            from,
            to,
            below,
            tags: globs(&self.tags)?,
            exclude: globs(&self.exclude)?,
            versions: self.versions.as_deref().map(Versions::parse).transpose()?,
            newest: self.newest,
            platforms: platforms.iter().map(|text| text.parse()).collect::<Result<_, _>>()?,
            referrers: self.referrers.unwrap_or(all.referrers),
        })
    }
}

/// Whether a registry is meant, which no name of an image is.
fn is_registry(text: &str) -> bool {
    text.parse::<Host>().is_ok_and(|host| host.name().contains('.') || host.name() == "localhost")
}

impl Entry {
    /// Whether it must be known which tags there are.
    pub(super) fn asks_for_tags(&self) -> bool {
        self.versions.is_some()
            || self.newest.is_some()
            || self.tags.iter().any(|glob| glob.plain().is_none())
    }

    /// Which of some tags are meant, each once, in their order.
    pub fn choose(&self, tags: &[String]) -> Vec<String> {
        let listed =
            |tag: &&String| self.tags.is_empty() || self.tags.iter().any(|glob| glob.matches(tag));
        let excluded = |tag: &&String| self.exclude.iter().any(|glob| glob.matches(tag));
        let mut found: Vec<(Option<Version>, &String)> = tags
            .iter()
            .filter(|tag| listed(tag) && !excluded(tag))
            .map(|tag| (Version::of(tag), tag))
            .collect();
        if let Some(versions) = &self.versions {
            found.retain(|(version, _)| version.as_ref().is_some_and(|it| versions.holds(it)));
        }
        if let Some(newest) = self.newest {
            found.retain(|(version, _)| version.is_some());
            found.sort_by(|one, other| other.cmp(one));
            found.truncate(newest);
        }
        let mut chosen: Vec<_> = found.into_iter().map(|(_, tag)| tag.clone()).collect();
        let mut seen = std::collections::BTreeSet::new();
        chosen.retain(|tag| seen.insert(tag.clone()));
        chosen
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(text: &str) -> Entry {
        let plan = Plan::parse(
            format!("[[image]]\nfrom = 'a.test/x'\nto = 'b.test/x'\n{text}").as_bytes(),
        );
        plan.expect(text).entries.remove(0)
    }

    #[test]
    fn tags_are_chosen_by_all_that_is_said() {
        let tags: Vec<String> =
            ["latest", "v1.0.0", "v1.1.0-rc1", "v1.1.0", "v1.10.0", "v2.0.0", "x"]
                .map(str::to_owned)
                .to_vec();
        for (text, chosen) in [
            (
                "tags = ['*']",
                &["latest", "v1.0.0", "v1.1.0-rc1", "v1.1.0", "v1.10.0", "v2.0.0", "x"][..],
            ),
            (
                "tags = ['v1.*', 'latest']\nexclude = ['*-rc*']",
                &["latest", "v1.0.0", "v1.1.0", "v1.10.0"],
            ),
            ("versions = '^1.1'", &["v1.1.0", "v1.10.0"]),
            ("versions = '^1'\nnewest = 2", &["v1.10.0", "v1.1.0"]),
            ("newest = 2", &["v2.0.0", "v1.10.0"]),
            ("tags = ['none']", &[]),
        ] {
            assert_eq!(entry(text).choose(&tags), chosen, "{text}");
        }
    }

    #[test]
    fn a_file_is_toml_or_json_and_says_nothing_unknown() {
        let json = br#"{"to": "b.test", "platforms": ["linux/amd64"], "image": [{"from": "a.test/x:v1"}]}"#;
        let plan = Plan::parse(json).expect("a plan");
        assert_eq!((plan.entries[0].platforms.len(), plan.entries[0].below), (1, true));
        for bad in [
            "",
            "to = 'a.test'",
            "[[image]]\nto = 'b.test/x'",
            "[[image]]\nfrom = 'a.test/x'",
            "[[image]]\nfrom = 'a.test/x'\nto = 'b.test/x'\ntag = ['v1']",
            "[[image]]\nfrom = 'a.test/x'\nto = 'b.test/x'\ntags = ['a/b']",
            "[[image]]\nfrom = 'a.test/x'\nto = 'b.test/x'\nversions = 'y'",
            "[[image]]\nfrom = 'a.test/x'\nto = 'b.test/x'\nplatforms = ['///']",
            "[[image]]\nfrom = 'a.test/x'\nto = 'b.test/x'\nnewest = -1",
            "{\"image\": 1}",
            "{",
        ] {
            assert!(Plan::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "[\\PC\\n]{0,200}") {
            let _ = Plan::parse(text.as_bytes());
        }
    }
}
