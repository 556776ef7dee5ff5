//! Whole names: `HOST[:PORT][/REPOSITORY[:TAG][@DIGEST]]`.

use std::fmt;
use std::str::FromStr;

use plimsoll_content::{Code, Error, Result};

use super::{Address, Host, Repository, Tag};

/// What a whole name says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Image {
    /// The registry.
    pub host: Host,
    /// The repository in it; `None` if the registry is meant.
    pub repository: Option<Repository>,
    /// The tag or digest. Where both stand there, the digest decides.
    pub address: Option<Address>,
}

impl FromStr for Image {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (host, rest) = text.split_once('/').unwrap_or((text, ""));
        if host.is_empty() {
            return Err(Error::new(Code::Reference, "reading the name of an image")
                .found(format!("{:?}", text.chars().take(200).collect::<String>()))
                .expected("HOST/REPOSITORY[:TAG|@DIGEST]"));
        }
        let host: Host = host.parse()?;
        if rest.is_empty() {
            return Ok(Self { host, repository: None, address: None });
        }
        let (name, digest) = match rest.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse()?)),
            None => (rest, None),
        };
        let (name, tag) = match name.split_once(':') {
            Some((name, tag)) => (name, Some(tag.parse::<Tag>()?)),
            None => (name, None),
        };
        // What docker calls by one word lies in a corner of Docker Hub.
        let repository = if host.is_docker_hub() && !name.contains('/') {
            format!("library/{name}").parse()?
        } else {
            name.parse()?
        };
        let address = digest.map(Address::Digest).or(tag.map(Address::Tag));
        Ok(Self { host, repository: Some(repository), address })
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)?;
        if let Some(repository) = &self.repository {
            write!(f, "/{repository}")?;
        }
        match &self.address {
            Some(Address::Tag(tag)) => write!(f, ":{tag}"),
            Some(Address::Digest(digest)) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_names_are_taken_apart() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, shown) in [
            ("h.example", "h.example"),
            ("H:5000/a/b", "h:5000/a/b"),
            ("[::1]:5000/a:v1", "[::1]:5000/a:v1"),
            ("docker.io/x", "docker.io/library/x"),
            (&format!("h/a:v1@{digest}"), &format!("h/a@{digest}")),
        ] {
            assert_eq!(text.parse::<Image>().expect(text).to_string(), shown);
        }
        for bad in ["", "/y", "h/Y", "h/y:", "h/y:a/b", "h:x/y", "u@h/y", "h/y@", "h/:v1"] {
            assert!(bad.parse::<Image>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(text in "[a-z.:/@0-9]{0,60}") {
            if let Ok(image) = text.parse::<Image>() {
                prop_assert_eq!(image.to_string().parse::<Image>().expect("again"), image);
            }
        }
    }
}
