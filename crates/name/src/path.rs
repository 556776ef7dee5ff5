//! Paths of names: repositories, tags, and what covers what.

use std::fmt;
use std::str::FromStr;

use plimsoll_content::{Error, Result};

use crate::{Host, bad};

/// The longest repository, as most registries have it.
const LENGTH: usize = 255;

/// The longest tag.
const TAG_LENGTH: usize = 128;

/// A repository, such as `org/app` (distribution-spec, `<name>`).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Repository(String);

impl Repository {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the path of a name whose owner answers for it by a template, which
    /// may hold whatever stands in a URL as it is (RFC 3986, unreserved).
    pub fn relaxed(text: &str) -> Result<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let good =
            |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain);
        if text.len() > LENGTH || !text.split('/').all(good) {
            return Err(bad("a path", text, "letters, digits and - . _ ~ between slashes"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Repository {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |expected: &str| bad("the name of a repository", text, expected);
        if text.len() > LENGTH {
            return Err(wrong("at most 255 characters"));
        }
        if text.split('/').any(str::is_empty) {
            return Err(wrong("one slash between two parts, and none at the ends"));
        }
        if text.split('/').any(|part| part == "." || part == "..") {
            return Err(wrong("no . and .. as a part"));
        }
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(wrong("lower-case letters"));
        }
        if !text.split('/').all(is_component) {
            return Err(wrong("lower-case letters and digits, joined by / . _ __ or dashes"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    if !plain(first) || !plain(last) {
        return false;
    }
    bytes.split(|b| plain(*b)).all(|separator| {
        matches!(separator, [] | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tag(String);

impl Tag {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let good = !text.is_empty()
            && text.len() <= TAG_LENGTH
            && !text.starts_with(['.', '-'])
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !good {
            return Err(bad(
                "a tag",
                text,
                "at most 128 letters, digits and . _ -, not beginning with . or -",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All names below a host, or below a path of it: `example.com`,
/// `example.com/team`.
///
/// Parts are compared whole: `example.com/org/app` does not cover
/// `example.com/org/application`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Prefix {
    host: Host,
    path: String,
}

impl Prefix {
    /// All names of a host.
    pub fn of(host: Host) -> Self {
        Self { host, path: String::new() }
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The path, which is empty for a whole host.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same with further parts. `rest` is a path, or a part of one.
    pub fn join(&self, rest: &str) -> Self {
        let joint = if self.path.is_empty() || rest.is_empty() { "" } else { "/" };
        Self { host: self.host.clone(), path: format!("{}{joint}{rest}", self.path) }
    }

    /// What is left of a path of that host below this prefix; empty if it is
    /// the prefix itself, `None` if it is not below.
    pub fn rest<'a>(&self, host: &Host, path: &'a str) -> Option<&'a str> {
        if *host != self.host {
            return None;
        }
        if self.path.is_empty() {
            return Some(path);
        }
        match path.strip_prefix(self.path.as_str())? {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        }
    }

    /// Whether `other` is this prefix or below it.
    pub fn covers(&self, other: &Self) -> bool {
        self.rest(&other.host, &other.path).is_some()
    }

    /// Whether `other` is below this prefix by at least one part.
    pub fn is_above(&self, other: &Self) -> bool {
        self.rest(&other.host, &other.path).is_some_and(|rest| !rest.is_empty())
    }

    /// How many parts it has, the host being one.
    pub fn len(&self) -> usize {
        1 + self.path.split('/').filter(|part| !part.is_empty()).count()
    }

    /// Never: a prefix has a host.
    pub fn is_empty(&self) -> bool {
        false
    }
}

impl FromStr for Prefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        let host: Host = host.parse()?;
        if !host.names_somebody() {
            return Err(bad("a prefix of names", text, "a domain first, as in example.com/team"));
        }
        if text.contains('/') {
            Repository::relaxed(path)?;
        }
        Ok(Self { host, path: path.to_owned() })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, "/{}", self.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a7_prefixes_end_between_two_parts() {
        let prefix: Prefix = "example.com/org/app".parse().expect("prefix");
        for (text, covered) in [
            ("example.com/org/app", true),
            ("example.com/org/app/x", true),
            ("example.com/org/application", false),
            ("example.com/org/app.x", false),
            ("example.com/org", false),
            ("example.net/org/app", false),
            ("example.com:5000/org/app", false),
        ] {
            assert_eq!(prefix.covers(&text.parse().expect(text)), covered, "{text}");
        }
        assert!(!prefix.is_above(&prefix));
        let whole: Prefix = "example.com".parse().expect("prefix");
        assert!(whole.is_above(&prefix) && whole.join("org/app") == prefix);
        for bad in ["", "org", "example.com/", "example.com//a", "example.com/..", "/a"] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn repositories_follow_the_grammar_of_the_specification() {
        for good in ["a", "a/b/c", "a.b_c__d-e---f", "0/1", &"a".repeat(255)] {
            assert!(good.parse::<Repository>().is_ok(), "{good}");
        }
        for bad in
            ["", "/", "a/", "/a", "A", "a//b", "a..b", "a___b", "-a", "a-", "a._b", "..", "a/../b"]
        {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
        assert!("a".repeat(256).parse::<Repository>().is_err());
    }

    #[test]
    fn tags_follow_the_grammar_of_the_specification() {
        for good in ["v1", "_", "A.b-c_d", &"a".repeat(128)] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "a/b", "a:b", "a b", &"a".repeat(129)] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }
}
