//! References: a name, and which of the images under it.
//!
//! Five spellings, one meaning:
//!
//! ```
//! use plimsoll_name::Reference;
//! for (written, printed) in [
//!     ("example.com/org/app:v1.0.0", "example.com/org/app:v1.0.0"),
//!     ("example.com/org/app,version=v1.0.0,arch=amd64", "example.com/org/app:v1.0.0,arch=amd64"),
//!     ("EXAMPLE.com./app#1.0", "example.com/app:1.0"),
//!     ("example.com/org/app", "example.com/org/app"),
//! ] {
//!     assert_eq!(written.parse::<Reference>()?.to_string(), printed);
//! }
//! # Ok::<(), plimsoll_content::Error>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use plimsoll_content::{Digest, Error, Platform, Result};

use crate::path::{Prefix, Repository, Tag};
use crate::{Host, bad};

/// The longest text that is read.
const LENGTH: usize = 4096;

/// The longest host and path together that others take as well.
const COMMON: usize = 255;

/// The longest ref.
const REF_LENGTH: usize = 255;

/// The most labels.
const LABELS: usize = 8;

/// Which image is meant under a name: a tag, or a ref of the image-spec's
/// grammar that is no tag.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ref(String);

impl Ref {
    /// The text, which `org.opencontainers.image.ref.name` is compared with.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether registries take it.
    pub fn is_tag(&self) -> bool {
        self.0.parse::<Tag>().is_ok()
    }

    /// The ref grammar of the image spec (`annotations.md`).
    fn is_fragment(text: &str) -> bool {
        let alphanumeric = |b: u8| b.is_ascii_alphanumeric();
        let component = |part: &str| {
            let bytes = part.as_bytes();
            bytes.first().copied().is_some_and(alphanumeric)
                && bytes.last().copied().is_some_and(alphanumeric)
                && bytes.split(|b| alphanumeric(*b)).all(|separator| {
                    matches!(separator, [] | b"--")
                        || matches!(separator, [one] if b"-._:@+".contains(one))
                })
        };
        text.len() <= REF_LENGTH && text.split('/').all(component)
    }

    fn is_value(text: &str) -> bool {
        text.len() <= REF_LENGTH && is_value(text)
    }
}

impl FromStr for Ref {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.parse::<Tag>().is_ok() || Self::is_fragment(text) || Self::is_value(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(bad("a ref", text, "letters and digits, joined by - . _ : @ + or /"))
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a reference asks for beside its name: a platform, and annotations.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Labels {
    /// The operating system (`os`).
    pub os: Option<String>,
    /// The architecture (`arch`), as GOARCH.
    pub arch: Option<String>,
    /// The variant of the architecture.
    pub variant: Option<String>,
    /// The version of the operating system (`os.version`).
    pub os_version: Option<String>,
    /// What annotations of the descriptor must say.
    pub other: BTreeMap<String, String>,
}

impl Labels {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a platform fits. What is not asked for fits; so does an entry
    /// that does not say what it runs on.
    pub fn fits(&self, platform: Option<&Platform>) -> bool {
        let Some(platform) = platform.map(Platform::normalized) else { return true };
        let same = |asked: &Option<String>, found: Option<&str>| {
            asked.as_deref().is_none_or(|asked| found == Some(asked))
        };
        same(&self.os, Some(&platform.os))
            && same(&self.arch, Some(&platform.architecture))
            && same(&self.variant, platform.variant.as_deref())
            && same(&self.os_version, platform.os_version.as_deref())
    }

    /// The platform, if system and architecture are asked for.
    pub fn platform(&self) -> Option<Platform> {
        let mut platform =
            Platform::new(self.os.as_deref().unwrap_or("linux"), self.arch.as_deref()?);
        platform.variant.clone_from(&self.variant);
        platform.os_version.clone_from(&self.os_version);
        Some(platform.normalized())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let twice = || bad("labels", key, "each label once");
        let slot = match key {
            "os" => &mut self.os,
            "arch" => &mut self.arch,
            "variant" => &mut self.variant,
            "os.version" => &mut self.os_version,
            _ => {
                return match self.other.insert(key.to_owned(), value.to_owned()) {
                    None => Ok(()),
                    Some(_) => Err(twice()),
                };
            }
        };
        if slot.is_some() {
            return Err(twice());
        }
        *slot = Some(value.to_owned());
        Ok(())
    }

    /// Names of AppC and of `uname` become those of Go.
    fn normalize(&mut self) -> Result<()> {
        if let Some(os) = &self.os {
            self.os = Some(Platform::new(os, "amd64").normalized().os);
        }
        let Some(arch) = self.arch.take() else { return Ok(()) };
        let (arch, implied) = match arch.to_ascii_lowercase().as_str() {
            "armv7l" => ("arm".to_owned(), Some("v7")),
            "armv6l" => ("arm".to_owned(), Some("v6")),
            "armv5l" => ("arm".to_owned(), Some("v5")),
            other => (other.to_owned(), None),
        };
        if let (Some(implied), Some(written)) = (implied, &self.variant)
            && implied != written
        {
            return Err(bad("labels", written, &format!("variant={implied}, as arch says")));
        }
        let mut platform = Platform::new("linux", &arch);
        platform.variant = implied.map(str::to_owned).or(self.variant.take());
        // An arm without a variant is any arm: only what was asked for counts.
        let any = platform.variant.is_none();
        let platform = platform.normalized();
        self.arch = Some(platform.architecture);
        self.variant = if any { None } else { platform.variant };
        Ok(())
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let known = [
            ("os", &self.os),
            ("arch", &self.arch),
            ("variant", &self.variant),
            ("os.version", &self.os_version),
        ];
        let known = known.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
        known.chain(self.other.iter().map(|(key, value)| (key.as_str(), value.as_str())))
    }
}

/// A name of an image, and which image is meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reference {
    /// Whose name it is.
    pub host: Host,
    /// The repository under that host.
    pub path: Repository,
    /// The ref. Where a digest is written as well, it is a claim.
    pub which: Option<Ref>,
    /// The digest, which decides.
    pub digest: Option<Digest>,
    /// What else is asked for.
    pub labels: Labels,
}

impl Reference {
    /// Reads a reference whose path may hold what a URL can hold as it is.
    pub fn parse_relaxed(text: &str) -> Result<Self> {
        read(text, Repository::relaxed)
    }

    /// The name alone, as a prefix.
    pub fn prefix(&self) -> Prefix {
        Prefix::of(self.host.clone()).join(self.path.as_str())
    }

    /// The name alone: `example.com/org/app`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.path)
    }

    /// Whether it was written as AppC has it: labels, and no tag or digest.
    pub fn is_labelled(text: &str) -> bool {
        text.contains(',') && !text.contains(['#', '@'])
    }

    /// What somebody who uses it should know.
    pub fn warnings(&self) -> Vec<String> {
        let long = self.name().len() > COMMON;
        let long = long.then(|| {
            format!("{}: more than {COMMON} characters, which many tools refuse", self.name())
        });
        self.host.warning().into_iter().chain(long).collect()
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        read(text, Repository::from_str)
    }
}

fn read(text: &str, path: impl Fn(&str) -> Result<Repository>) -> Result<Reference> {
    let wrong = |expected: &str| bad("a name", text, expected);
    if text.len() > LENGTH {
        return Err(wrong("at most 4096 bytes"));
    }
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(wrong("no white space"));
    }
    if text.contains("://") {
        return Err(wrong("no scheme: a name begins with a domain"));
    }
    let (front, fragment) = match text.split_once('#') {
        Some((front, fragment)) => (front, Some(fragment)),
        None => (text, None),
    };
    let (host, rest) = front
        .split_once('/')
        .ok_or_else(|| wrong("a domain and a path, as in example.com/org/app"))?;
    let host: Host = host.parse()?;
    if !host.names_somebody() {
        return Err(wrong("a domain first: short names are not searched for"));
    }
    let (rest, written) = match rest.split_once(',') {
        Some((rest, labels)) => (rest, Some(labels)),
        None => (rest, None),
    };
    let (rest, mut digest) = match rest.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
        None => (rest, None),
    };
    // The path ends at the last colon behind its last slash.
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[last..].rfind(':') {
        Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
        None => (rest, None),
    };
    let path = path(name)?;
    let mut which = match tag {
        Some(tag) => Some(Ref(tag.parse::<Tag>()?.to_string())),
        None => None,
    };
    let mut labels = Labels::default();
    if let Some(written) = written {
        read_labels(written, &mut labels, &mut which, tag.is_some())?;
    }
    if let Some(fragment) = fragment {
        if tag.is_some() {
            return Err(wrong("a tag or a fragment, not both"));
        }
        if written.is_some() || digest.is_some() {
            return Err(wrong("the fragment alone, or a digest behind it"));
        }
        let (fragment, behind) = split_digest(fragment)?;
        digest = behind;
        if !Ref::is_fragment(fragment) && fragment.parse::<Tag>().is_err() {
            return Err(bad(
                "a fragment",
                fragment,
                "letters and digits, joined by - . _ : @ + or /",
            ));
        }
        which = Some(Ref(fragment.to_owned()));
    }
    Ok(Reference { host, path, which, digest, labels })
}

/// A fragment may hold @ and colons of its own: a digest is what follows the
/// first @ that has a colon behind it.
fn split_digest(fragment: &str) -> Result<(&str, Option<Digest>)> {
    match fragment.match_indices('@').find(|(at, _)| fragment[at + 1..].contains(':')) {
        Some((at, _)) => Ok((&fragment[..at], Some(fragment[at + 1..].parse()?))),
        None => Ok((fragment, None)),
    }
}

fn read_labels(
    text: &str,
    labels: &mut Labels,
    which: &mut Option<Ref>,
    tagged: bool,
) -> Result<()> {
    let parts: Vec<&str> = text.split(',').collect();
    if parts.len() > LABELS {
        return Err(bad("labels", text, "at most 8 labels"));
    }
    for part in parts {
        let (key, value) = part
            .split_once('=')
            .ok_or_else(|| bad("a label", part, "KEY=VALUE, as in os=linux"))?;
        if !is_key(key) {
            return Err(bad(
                "a label",
                part,
                "a key of lower-case letters and digits, joined by - . _ ~ /",
            ));
        }
        if !is_value(value) {
            return Err(bad("a label", part, "a value of letters, digits and - . _ ~ + /"));
        }
        if key == "version" {
            if tagged {
                return Err(bad("a label", part, "a tag or a version, not both"));
            }
            if which.is_some() {
                return Err(bad("labels", key, "each label once"));
            }
            *which = Some(value.parse()?);
        } else {
            labels.set(key, value)?;
        }
    }
    labels.normalize()
}

/// `[a-z0-9]+([-._~/][a-z0-9]+)*` (AC identifier).
fn is_key(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(plain)
        && bytes.last().copied().is_some_and(plain)
        && bytes
            .split(|b| plain(*b))
            .all(|joint| matches!(joint, []) || matches!(joint, [one] if b"-._~/".contains(one)))
}

fn is_value(text: &str) -> bool {
    !text.is_empty()
        && !text.split('/').any(|part| part == "." || part == "..")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)?;
        // A ref that is no tag goes behind #, or, where labels follow, into one.
        let mut version = None;
        match &self.which {
            Some(which) if which.is_tag() => write!(f, ":{which}")?,
            Some(which)
                if self.labels.is_empty()
                    && Ref::is_fragment(&which.0)
                    && !(self.digest.is_none() && looks_digested(&which.0)) =>
            {
                write!(f, "#{which}")?;
            }
            which => version = which.as_ref(),
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        if let Some(version) = version {
            write!(f, ",version={version}")?;
        }
        for (key, value) in self.labels.pairs() {
            write!(f, ",{key}={value}")?;
        }
        Ok(())
    }
}

/// Whether a fragment would be read as one with a digest behind it.
fn looks_digested(text: &str) -> bool {
    text.split_once('@').is_some_and(|(_, rest)| rest.contains(':'))
}
