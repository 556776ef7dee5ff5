//! The names of registries. Those of repositories and tags are of the one
//! grammar of names (`plimsoll-name`).

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::str::FromStr;

use plimsoll_content::{Code, Error, Result};

pub use plimsoll_name::{Repository, Tag};

/// The longest host.
const LENGTH: usize = 255;

/// How docker.io is called where it serves its images.
const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// A registry: `HOST` or `HOST:PORT`, in lower case.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Host(String);

impl Host {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host without its port, and an IPv6 address without its brackets.
    pub fn name(&self) -> &str {
        if let Some(rest) = self.0.strip_prefix('[') {
            return rest.split(']').next().unwrap_or(rest);
        }
        self.0.split(':').next().unwrap_or(&self.0)
    }

    /// Whether it is this very machine, so that nobody listens on the way.
    pub fn is_loopback(&self) -> bool {
        let name = self.name();
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            || name.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
    }

    /// Whether it is Docker Hub, by any of its names.
    pub fn is_docker_hub(&self) -> bool {
        ["docker.io", "index.docker.io", DOCKER_HUB_API].contains(&self.as_str())
    }

    /// The host that serves the protocol: the same but for Docker Hub.
    pub fn api(&self) -> Self {
        if self.is_docker_hub() { Self(DOCKER_HUB_API.into()) } else { self.clone() }
    }
}

impl FromStr for Host {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |expected: &str| bad("the name of a registry", text, expected);
        if text.len() > LENGTH {
            return Err(bad("at most 255 characters"));
        }
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']').ok_or_else(|| bad("a closing ]"))?;
                if address.parse::<Ipv6Addr>().is_err() {
                    return Err(bad("an IPv6 address in brackets"));
                }
                match after.strip_prefix(':') {
                    Some(port) => (None, Some(port)),
                    None if after.is_empty() => (None, None),
                    None => return Err(bad("a port behind the address")),
                }
            }
            None => match text.split_once(':') {
                Some((name, port)) => (Some(name), Some(port)),
                None => (Some(text), None),
            },
        };
        if let Some(name) = name {
            let label = |label: &str| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            };
            if !name.strip_suffix('.').unwrap_or(name).split('.').all(label) {
                return Err(bad("a host name such as registry.example.com"));
            }
        }
        if let Some(port) = port {
            let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            if !digits || port.parse::<u16>().is_err() {
                return Err(bad("a port from 0 to 65535"));
            }
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn bad(what: &str, text: &str, expected: &str) -> Error {
    let shown: String = text.chars().take(100).collect();
    Error::new(Code::Reference, format!("reading {what}"))
        .found(format!("{shown:?}"))
        .expected(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses_with_ports() {
        for good in ["example.com", "localhost:5000", "127.0.0.1", "[::1]:5000", "[::1]", "A.b."] {
            assert!(good.parse::<Host>().is_ok(), "{good}");
        }
        for bad in
            ["", "a/b", "a:b", "a:", "a:65536", "-a.com", "a..b", "[::1", "[x]", "a@b", "a b", "ä"]
        {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
        for (text, loopback) in [
            ("localhost", true),
            ("LOCALHOST:1", true),
            ("127.8.9.1:5000", true),
            ("[::1]:5000", true),
            ("127.0.0.1.example.com", false),
            ("localhost.example.com", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(text.parse::<Host>().expect(text).is_loopback(), loopback, "{text}");
        }
    }
}
