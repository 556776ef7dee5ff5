//! Addresses of documents: `https` and nothing else (RFC 3986, as much of it
//! as such addresses need).

use std::fmt;
use std::str::FromStr;

use plimsoll_content::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Host, bad};

/// The longest address.
const LENGTH: usize = 2048;

/// An `https` address without user, query and fragment, and without `.` and
/// `..` in its path.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Address {
    host: Host,
    path: String,
}

impl Address {
    /// The address of a path, which begins with a slash.
    pub fn new(host: Host, path: &str) -> Result<Self> {
        if !path.starts_with('/') || !is_path(path) {
            return Err(bad("the path of an address", path, "a plain path"));
        }
        Ok(Self { host, path: path.to_owned() })
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The path, from its first slash on.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What a reference in a document means that was found at this address.
    pub fn join(&self, reference: &str) -> Result<Self> {
        if reference.contains("://") {
            return reference.parse();
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return format!("https://{rest}").parse();
        }
        if reference.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':')) {
            return Err(bad("an address", reference, "https://, or a path"));
        }
        let path = if reference.starts_with('/') {
            reference.to_owned()
        } else {
            let folder = self.path.rfind('/').map_or("/", |at| &self.path[..=at]);
            format!("{folder}{reference}")
        };
        let mut parts: Vec<&str> = Vec::new();
        let count = path.split('/').count();
        for (at, part) in path.split('/').enumerate().skip(1) {
            let last = at + 1 == count;
            match part {
                "." | ".." => {
                    if part == ".." {
                        parts.pop();
                    }
                    if last {
                        parts.push("");
                    }
                }
                part => parts.push(part),
            }
        }
        Self::new(self.host.clone(), &format!("/{}", parts.join("/")))
    }

    /// A file in the folder that this address is of.
    pub fn file(&self, name: &str) -> Result<Self> {
        let joint = if self.path.ends_with('/') { "" } else { "/" };
        Self::new(self.host.clone(), &format!("{}{joint}{name}", self.path))
    }
}

/// Letters that a path can hold as they are, and whole codes.
fn is_path(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&b);
    path.len() <= LENGTH
        && path.bytes().all(plain)
        && !path.split('/').any(|part| part == "." || part == "..")
        && path.split('%').skip(1).all(|rest| {
            rest.as_bytes().get(..2).is_some_and(|code| {
                code.iter().all(u8::is_ascii_hexdigit)
                    // A coded dot or slash is read in two ways.
                    && !code.eq_ignore_ascii_case(b"2e")
                    && !code.eq_ignore_ascii_case(b"5c")
                    && !code.starts_with(b"0")
                    && !code.starts_with(b"1")
            })
        })
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |expected: &str| bad("an address", text, expected);
        let rest = text.strip_prefix("https://").ok_or_else(|| wrong("https://"))?;
        if text.len() > LENGTH {
            return Err(wrong("at most 2048 bytes"));
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let path = if path.is_empty() { "/" } else { path };
        Self::new(host.parse()?, path)
            .map_err(|_| wrong("a plain path, without .., query and fragment"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.host, self.path)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a18_only_https_is_an_address() {
        for bad in [
            "http://example.com/",
            "file:///etc/passwd",
            "data:application/json,{}",
            "ftp://example.com/",
            "https://user@example.com/",
            "https://example.com/a/../b",
            "https://example.com/a/%2e%2E/b",
            "https://example.com/a%00",
            "https://example.com/a?b",
            "https://example.com/a#b",
            "https://example.com/a b",
            "https://example.com\\@evil.example/",
            "https:///a",
            "HTTPS://example.com/",
            "",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
        let base: Address = "https://example.com/a/b/c".parse().expect("address");
        for (reference, expected) in [
            ("x", "https://example.com/a/b/x"),
            ("../x", "https://example.com/a/x"),
            ("../../../../x/./y/", "https://example.com/x/y/"),
            ("/x", "https://example.com/x"),
            ("//o.example/x", "https://o.example/x"),
            ("https://o.example", "https://o.example/"),
            ("..", "https://example.com/a/"),
        ] {
            assert_eq!(base.join(reference).expect(reference).to_string(), expected);
        }
        for bad in ["http://o.example/", "data:,x", "javascript:x", "x?y", "a\\b"] {
            assert!(base.join(bad).is_err(), "{bad}");
        }
    }
}
