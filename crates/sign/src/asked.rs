//! What was asked for: the name of an image, and where it is. Scopes of a policy
//! and the names that signatures bind are compared with it, part by part.

use std::fmt;

use plimsoll_content::Digest;

/// The longest name that is compared.
const LONGEST: usize = 4096;

/// The name of an image in a registry.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ImageName {
    /// The registry, in lower case, with its port.
    pub host: String,
    /// The repository in it, without slashes at its ends.
    pub repository: String,
    /// The tag.
    pub tag: Option<String>,
    /// The digest.
    pub digest: Option<Digest>,
}

impl ImageName {
    /// Reads `HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]`. No registry is implied.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return None;
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse().ok()?)),
            None => (text, None),
        };
        let (host, rest) = name.split_once('/')?;
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        let is_host = host.contains(['.', ':']) || host == "localhost";
        let bad = |part: &str| part.is_empty() || part == "." || part == "..";
        let bad_tag = |tag: &str| bad(tag) || tag.contains('/');
        if !is_host || repository.split('/').any(bad) || tag.is_some_and(bad_tag) {
            return None;
        }
        Some(Self {
            host: host.to_ascii_lowercase(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// The name without tag and digest.
    pub fn bare(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// Whether both are in one repository.
    pub fn same_repository(&self, other: &Self) -> bool {
        self.host == other.host && self.repository == other.repository
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// What was asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Asked {
    /// The kind of place, as in references: `docker`, `oci`, `oci-archive`,
    /// `docker-archive`, `dir`, `store`.
    pub transport: String,
    /// Where in it, for places that are files: an absolute path, and behind a
    /// colon the name of the image there.
    pub path: Option<String>,
    /// What the image is called under somebody's domain.
    pub name: Option<ImageName>,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, &self.path) {
            (Some(name), _) => write!(f, "{name}"),
            (None, Some(path)) => write!(f, "{}:{path}", self.transport),
            (None, None) => write!(f, "{}:", self.transport),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_parts() {
        let name = ImageName::parse("Example.com:5000/org/app:v1").expect("a name");
        assert_eq!(
            (name.host.as_str(), name.repository.as_str(), name.tag.as_deref()),
            ("example.com:5000", "org/app", Some("v1"))
        );
        assert_eq!(name.to_string(), "example.com:5000/org/app:v1");
        for bad in [
            "app:v1",
            "org/app",
            "example.com/",
            "example.com//app",
            "example.com/../app",
            "example.com/app:",
            "example.com/app@sha256:../../x",
            "example.com/a b",
            "",
        ] {
            assert_eq!(ImageName::parse(bad), None, "{bad:?}");
        }
    }
}
