//! The addresses of distribution-spec 1.1 ("Endpoints").

use std::fmt;

use plimsoll_content::Digest;

use super::url::encoded;
use super::{Repository, Tag};

/// How a manifest is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// By a tag.
    Tag(Tag),
    /// By its digest.
    Digest(Digest),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// Which part of a long list is asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Page<'a> {
    /// How many entries at most.
    pub n: Option<usize>,
    /// The entry after which it begins.
    pub last: Option<&'a str>,
}

/// What is asked for; shown, it is the path and the query of its address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Endpoint<'a> {
    /// Whether this is a registry at all (end-1).
    Base,
    /// A blob (end-2, end-10).
    Blob(&'a Repository, &'a Digest),
    /// A manifest (end-3, end-7, end-9).
    Manifest(&'a Repository, &'a Address),
    /// A manifest by its digest that gets a tag as well (end-7b).
    Tagged(&'a Repository, &'a Digest, &'a Tag),
    /// A new upload (end-4a); with an algorithm, of content that is called
    /// by it (end-4c).
    Upload(&'a Repository, Option<&'a str>),
    /// A blob of another repository of the registry (end-11).
    Mount(&'a Repository, &'a Digest, &'a Repository),
    /// The tags of a repository (end-8).
    Tags(&'a Repository, Page<'a>),
    /// What is about a manifest (end-12); with a type, only such artifacts.
    Referrers(&'a Repository, &'a Digest, Option<&'a str>),
    /// The repositories of the registry. It is no part of the
    /// specification, and many registries have it.
    Catalog(Page<'a>),
}

impl fmt::Display for Endpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("/v2/"),
            Self::Blob(name, digest) => write!(f, "/v2/{name}/blobs/{digest}"),
            Self::Manifest(name, address) => write!(f, "/v2/{name}/manifests/{address}"),
            Self::Tagged(name, digest, tag) => {
                write!(f, "/v2/{name}/manifests/{digest}?tag={tag}")
            }
            Self::Upload(name, None) => write!(f, "/v2/{name}/blobs/uploads/"),
            Self::Upload(name, Some(algorithm)) => {
                let algorithm = encoded(algorithm);
                write!(f, "/v2/{name}/blobs/uploads/?digest-algorithm={algorithm}")
            }
            Self::Mount(name, digest, from) => {
                write!(f, "/v2/{name}/blobs/uploads/?mount={digest}&from={from}")
            }
            Self::Tags(name, page) => write!(f, "/v2/{name}/tags/list{page}"),
            Self::Referrers(name, digest, kind) => {
                write!(f, "/v2/{name}/referrers/{digest}")?;
                kind.map_or(Ok(()), |kind| write!(f, "?artifactType={}", encoded(kind)))
            }
            Self::Catalog(page) => write!(f, "/v2/_catalog{page}"),
        }
    }
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut joint = '?';
        if let Some(n) = self.n {
            write!(f, "{joint}n={n}")?;
            joint = '&';
        }
        self.last.map_or(Ok(()), |last| write!(f, "{joint}last={}", encoded(last)))
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_content::Algorithm;

    use super::*;

    #[test]
    fn addresses_are_those_of_the_specification() {
        let name: Repository = "org/app".parse().expect("repository");
        let from: Repository = "base".parse().expect("repository");
        let digest = Digest::of(Algorithm::Sha256, b"");
        let tag = Address::Tag("v1".parse().expect("tag"));
        for (endpoint, path) in [
            (Endpoint::Base, "/v2/".to_owned()),
            (Endpoint::Blob(&name, &digest), format!("/v2/org/app/blobs/{digest}")),
            (Endpoint::Manifest(&name, &tag), "/v2/org/app/manifests/v1".to_owned()),
            (Endpoint::Upload(&name, None), "/v2/org/app/blobs/uploads/".to_owned()),
            (
                Endpoint::Mount(&name, &digest, &from),
                format!("/v2/org/app/blobs/uploads/?mount={digest}&from=base"),
            ),
            (
                Endpoint::Tags(&name, Page { n: Some(5), last: Some("v1") }),
                "/v2/org/app/tags/list?n=5&last=v1".to_owned(),
            ),
            (
                Endpoint::Referrers(&name, &digest, Some("a/b+c")),
                format!("/v2/org/app/referrers/{digest}?artifactType=a/b%2Bc"),
            ),
            (Endpoint::Catalog(Page::default()), "/v2/_catalog".to_owned()),
        ] {
            assert_eq!(endpoint.to_string(), path);
        }
    }
}
