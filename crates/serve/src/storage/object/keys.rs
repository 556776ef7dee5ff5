//! Under which keys a bucket holds what.
//!
//! | key | what |
//! |---|---|
//! | `blobs/ALGORITHM/XX/HEX` | content, of blobs and manifests alike; never changed |
//! | `links/ALGORITHM/HEX/REPOSITORY/_` | that repository holds that content; written anew with every promise |
//! | `condemned/ALGORITHM/HEX` | a collection is about to remove that content |
//! | `manifests/REPOSITORY/_/ALGORITHM/HEX` | that manifest: its descriptor, what it leads to and is about |
//! | `tags/REPOSITORY/_/TAG` | the descriptor that the tag stands for; empty once it is removed |
//! | `referrers/REPOSITORY/_/ALGORITHM/HEX/ALGORITHM/HEX` | first the subject, then the manifest about it, as it is listed |
//! | `catalog/REPOSITORY/_` | that repository holds manifests |
//! | `uploads/NAME/session` | an upload: whose, how far, its running digest, its pieces |
//! | `uploads/NAME/PIECE` | a piece of it |
//!
//! No part of a repository's name is `_`, so no two of them meet.

use object_store::path::Path;
use plimsoll_content::{Code, Digest, Error, Result};
use plimsoll_registry::protocol::Repository;

/// What stands behind the name of a repository.
const END: &str = "_";

/// The keys below a prefix of a bucket.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// Empty, or with a slash at its end.
    root: String,
}

impl Keys {
    /// Keys below `prefix`, which may be empty.
    pub(super) fn new(prefix: &str) -> Result<Self> {
        let prefix = prefix.trim_matches('/');
        let parsed = Path::parse(prefix).map_err(|cause| {
            Error::new(Code::Usage, "reading the prefix in the bucket")
                .found(cause)
                .expected("names between slashes, none of them empty, . or ..")
        })?;
        let root = if prefix.is_empty() { String::new() } else { format!("{parsed}/") };
        Ok(Self { root })
    }

    fn key(&self, rest: &str) -> Result<Path> {
        Path::parse(format!("{}{rest}", self.root)).map_err(|cause| {
            Error::new(Code::Bug, format!("making the key {rest}")).found(&cause).cause(cause)
        })
    }

    /// A key without the prefix.
    pub(super) fn inside<'k>(&self, key: &'k Path) -> &'k str {
        key.as_ref().strip_prefix(&self.root).unwrap_or(key.as_ref())
    }

    /// Everything of one kind: `blobs`, `manifests` and so on.
    pub(super) fn all(&self, kind: &str) -> Result<Path> {
        self.key(kind)
    }

    pub(super) fn content(&self, digest: &Digest) -> Result<Path> {
        let (algorithm, encoded) = (digest.algorithm_name(), digest.encoded());
        let first = encoded.get(..2).unwrap_or("__");
        self.key(&format!("blobs/{algorithm}/{first}/{encoded}"))
    }

    pub(super) fn links(&self, digest: &Digest) -> Result<Path> {
        self.key(&format!("links/{}", parts(digest)))
    }

    pub(super) fn link(&self, name: &Repository, digest: &Digest) -> Result<Path> {
        self.key(&format!("links/{}/{name}/{END}", parts(digest)))
    }

    pub(super) fn condemned(&self, digest: &Digest) -> Result<Path> {
        self.key(&format!("condemned/{}", parts(digest)))
    }

    pub(super) fn manifests(&self, name: &Repository) -> Result<Path> {
        self.key(&format!("manifests/{name}/{END}"))
    }

    pub(super) fn manifest(&self, name: &Repository, digest: &Digest) -> Result<Path> {
        self.key(&format!("manifests/{name}/{END}/{}", parts(digest)))
    }

    pub(super) fn tags(&self, name: &Repository) -> Result<Path> {
        self.key(&format!("tags/{name}/{END}"))
    }

    pub(super) fn tag(&self, name: &Repository, tag: &str) -> Result<Path> {
        self.key(&format!("tags/{name}/{END}/{tag}"))
    }

    pub(super) fn referrers(&self, name: &Repository, subject: &Digest) -> Result<Path> {
        self.key(&format!("referrers/{name}/{END}/{}", parts(subject)))
    }

    pub(super) fn referrer(
        &self,
        name: &Repository,
        subject: &Digest,
        digest: &Digest,
    ) -> Result<Path> {
        self.key(&format!("referrers/{name}/{END}/{}/{}", parts(subject), parts(digest)))
    }

    pub(super) fn catalog(&self, name: &Repository) -> Result<Path> {
        self.key(&format!("catalog/{name}/{END}"))
    }

    pub(super) fn session(&self, upload: &str) -> Result<Path> {
        self.key(&format!("uploads/{upload}/session"))
    }

    pub(super) fn piece(&self, upload: &str, piece: &str) -> Result<Path> {
        self.key(&format!("uploads/{upload}/{piece}"))
    }
}

fn parts(digest: &Digest) -> String {
    format!("{}/{}", digest.algorithm_name(), digest.encoded())
}

/// The digest that the last two parts of a key are, or its last and the third
/// from the end, where the first letters stand between them.
pub(super) fn digest_in(key: &str) -> Option<Digest> {
    let mut parts = key.rsplit('/');
    let encoded = parts.next()?;
    let mut algorithm = parts.next()?;
    if key.starts_with("blobs/") {
        algorithm = parts.next()?;
    }
    format!("{algorithm}:{encoded}").parse().ok()
}

/// The repository that stands in a key behind its kind.
pub(super) fn repository_in(key: &str) -> Option<Repository> {
    let (_, rest) = key.split_once('/')?;
    let end = rest.find("/_/").or_else(|| rest.strip_suffix("/_").map(str::len))?;
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use plimsoll_content::Algorithm;

    use super::*;

    #[test]
    fn keys_are_read_back_and_keep_to_their_prefix() {
        let digest = Digest::of(Algorithm::Sha512, b"x");
        let name: Repository = "org/blobs/app".parse().expect("name");
        for prefix in ["", "a/b", "/a/b/"] {
            let keys = Keys::new(prefix).expect("prefix");
            let content = keys.content(&digest).expect("key");
            assert_eq!(digest_in(keys.inside(&content)), Some(digest.clone()));
            let manifest = keys.manifest(&name, &digest).expect("key");
            assert_eq!(digest_in(keys.inside(&manifest)), Some(digest.clone()));
            for key in
                [manifest, keys.catalog(&name).expect("key"), keys.tag(&name, "v1").expect("key")]
            {
                assert_eq!(repository_in(keys.inside(&key)), Some(name.clone()));
                assert_eq!(key.as_ref().starts_with("a/b/"), !prefix.is_empty());
            }
        }
        assert!(Keys::new("a//b").is_err());
        assert!(Keys::new("../b").is_err());
    }
}
