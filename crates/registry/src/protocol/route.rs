//! What a request asks for: the other direction of [`Endpoint`](super::Endpoint).

use plimsoll_content::Digest;

use super::query::{self, decoded};
use super::{Address, ErrorCode, Repository, Tag};

/// How many tags one manifest may be given at once (end-7b).
const TAGS: usize = 128;

/// The longest name of an upload.
const UPLOAD: usize = 64;

/// What is asked for, whatever the method.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Route {
    /// Whether this is a registry at all (end-1).
    Base,
    /// A blob (end-2, end-10).
    Blob(Repository, Digest),
    /// A manifest (end-3, end-7, end-9), and the tags that it is to get beside
    /// its digest (end-7b).
    Manifest(Repository, Address, Vec<Tag>),
    /// A new upload (end-4a to end-4c, end-11).
    Begin(Repository, Begin),
    /// An upload that has begun (end-5, end-6, end-13, end-14), and the digest
    /// that ends it.
    Upload(Repository, String, Option<Digest>),
    /// The tags of a repository (end-8).
    Tags(Repository, Part),
    /// What is about a manifest (end-12); with types, only such artifacts.
    Referrers(Repository, Digest, Vec<String>),
    /// The repositories of the registry.
    Catalog(Part),
}

/// How an upload begins.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Begin {
    /// The blob that is there already, in another repository.
    pub mount: Option<Digest>,
    /// That repository; without it, any that the asker may read.
    pub from: Option<Repository>,
    /// The digest of the content, which follows at once.
    pub digest: Option<Digest>,
    /// The algorithm of the digest that will be said at the end, as written.
    pub algorithm: Option<String>,
}

/// Which part of a long list is asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Part {
    /// How many entries at most.
    pub n: Option<usize>,
    /// The entry after which it begins.
    pub last: Option<String>,
}

/// Why a request asks for nothing that there is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Misroute {
    /// No address of the protocol.
    Unknown,
    /// A part of the address is outside of its grammar: what is to be said
    /// about that, for programs and for people.
    Refused(ErrorCode, String),
    /// What should be a tag is none. Nothing can be stored under it, and for
    /// who asks for it, it is not there.
    Tag(String),
}

impl Route {
    /// Reads a path and the query behind it, both as they were sent.
    pub fn parse(path: &str, query: &str) -> Result<Self, Misroute> {
        let path = decoded(path, false).ok_or(Misroute::Unknown)?;
        let rest = match path.strip_prefix("/v2") {
            Some("" | "/") => return Ok(Self::Base),
            Some(rest) => rest.strip_prefix('/').ok_or(Misroute::Unknown)?,
            None => return Err(Misroute::Unknown),
        };
        let query = query::pairs(query).ok_or_else(|| {
            Misroute::Refused(ErrorCode::Unsupported, "the query can not be read".into())
        })?;
        if rest == "_catalog" {
            return Ok(Self::Catalog(part(&query)?));
        }
        let words: Vec<&str> = rest.split('/').collect();
        // From the end on: a repository may be called as a part of the
        // protocol is.
        match words.as_slice() {
            [name @ .., "tags", "list"] => Ok(Self::Tags(repository(name)?, part(&query)?)),
            [name @ .., "manifests", reference] => manifest(name, reference, &query),
            [name @ .., "referrers", text] => {
                let kinds = query.iter().filter(|(key, _)| key == "artifactType");
                let kinds = kinds.map(|(_, value)| value.clone()).filter(|kind| !kind.is_empty());
                Ok(Self::Referrers(repository(name)?, digest(text)?, kinds.collect()))
            }
            [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] => {
                Ok(Self::Begin(repository(name)?, begin(&query)?))
            }
            [name @ .., "blobs", "uploads", upload] => {
                let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                if upload.len() > UPLOAD || !upload.bytes().all(good) {
                    let text = format!("no upload is called {:?}", shown(upload));
                    return Err(Misroute::Refused(ErrorCode::BlobUploadUnknown, text));
                }
                let end = one(&query, "digest").map(digest).transpose()?;
                Ok(Self::Upload(repository(name)?, (*upload).to_owned(), end))
            }
            [name @ .., "blobs", text] => Ok(Self::Blob(repository(name)?, digest(text)?)),
            _ => Err(Misroute::Unknown),
        }
    }

    /// The repository that is asked for.
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Base | Self::Catalog(_) => None,
            Self::Blob(name, _)
            | Self::Manifest(name, ..)
            | Self::Begin(name, _)
            | Self::Upload(name, ..)
            | Self::Tags(name, _)
            | Self::Referrers(name, ..) => Some(name),
        }
    }
}

type Query = [(String, String)];

fn manifest(name: &[&str], reference: &str, query: &Query) -> Result<Route, Misroute> {
    let name = repository(name)?;
    if !reference.contains(':') {
        return Ok(Route::Manifest(name, Address::Tag(tag(reference)?), Vec::new()));
    }
    let address = Address::Digest(digest(reference)?);
    let mut tags = Vec::new();
    for (_, text) in query.iter().filter(|(key, _)| key == "tag") {
        let tag = tag(text)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    if tags.len() > TAGS {
        let text = format!("{} tags, expected at most {TAGS}", tags.len());
        return Err(Misroute::Refused(ErrorCode::Unsupported, text));
    }
    Ok(Route::Manifest(name, address, tags))
}

fn begin(query: &Query) -> Result<Begin, Misroute> {
    Ok(Begin {
        mount: one(query, "mount").map(digest).transpose()?,
        from: one(query, "from").map(|text| repository(&[text])).transpose()?,
        digest: one(query, "digest").map(digest).transpose()?,
        algorithm: one(query, "digest-algorithm").map(str::to_owned),
    })
}

fn part(query: &Query) -> Result<Part, Misroute> {
    let n = one(query, "n").map(|text| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        // More than can be counted is more than there is.
        if digits { Ok(text.parse().unwrap_or(usize::MAX)) } else { Err(text) }
    });
    let n = n.transpose().map_err(|text| {
        let text = format!("n is {:?}, expected a number", shown(text));
        Misroute::Refused(ErrorCode::Unsupported, text)
    })?;
    Ok(Part { n, last: one(query, "last").map(str::to_owned) })
}

/// The first value of that name which says something.
fn one<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    let mut found = query.iter().filter(|(key, value)| key == name && !value.is_empty());
    found.next().map(|(_, value)| value.as_str())
}

fn repository(words: &[&str]) -> Result<Repository, Misroute> {
    let text = words.join("/");
    text.parse().map_err(|error: plimsoll_content::Error| {
        Misroute::Refused(ErrorCode::NameInvalid, error.to_string())
    })
}

fn digest(text: &str) -> Result<Digest, Misroute> {
    text.parse().map_err(|error: plimsoll_content::Error| {
        Misroute::Refused(ErrorCode::DigestInvalid, error.to_string())
    })
}

fn tag(text: &str) -> Result<Tag, Misroute> {
    text.parse().map_err(|error: plimsoll_content::Error| Misroute::Tag(error.to_string()))
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use plimsoll_content::Algorithm;
    use proptest::prelude::*;

    use super::super::{Endpoint, Page};
    use super::*;

    fn route(text: &str) -> Result<Route, Misroute> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        Route::parse(path, query)
    }

    fn name(text: &str) -> Repository {
        text.parse().expect("repository")
    }

    #[test]
    fn what_one_end_asks_for_the_other_understands() {
        let (app, base) = (name("org/app"), name("base"));
        let digest = Digest::of(Algorithm::Sha512, b"");
        let tag: Tag = "v1".parse().expect("tag");
        let kind = "a/b+c; d=\"e\"";
        let address = Address::Tag(tag.clone());
        let page = Page { n: Some(5), last: Some("a&b") };
        let part = Part { n: Some(5), last: Some("a&b".into()) };
        for (asked, understood) in [
            (Endpoint::Base, Route::Base),
            (Endpoint::Blob(&app, &digest), Route::Blob(app.clone(), digest.clone())),
            (
                Endpoint::Manifest(&app, &address),
                Route::Manifest(app.clone(), address.clone(), vec![]),
            ),
            (
                Endpoint::Tagged(&app, &digest, &tag),
                Route::Manifest(app.clone(), Address::Digest(digest.clone()), vec![tag.clone()]),
            ),
            (Endpoint::Upload(&app, None), Route::Begin(app.clone(), Begin::default())),
            (
                Endpoint::Upload(&app, Some("sha512")),
                Route::Begin(
                    app.clone(),
                    Begin { algorithm: Some("sha512".into()), ..Begin::default() },
                ),
            ),
            (
                Endpoint::Mount(&app, &digest, &base),
                Route::Begin(
                    app.clone(),
                    Begin {
                        mount: Some(digest.clone()),
                        from: Some(base.clone()),
                        ..Begin::default()
                    },
                ),
            ),
            (Endpoint::Tags(&app, page), Route::Tags(app.clone(), part.clone())),
            (
                Endpoint::Referrers(&app, &digest, Some(kind)),
                Route::Referrers(app.clone(), digest.clone(), vec![kind.into()]),
            ),
            (Endpoint::Catalog(page), Route::Catalog(part)),
        ] {
            assert_eq!(route(&asked.to_string()), Ok(understood), "{asked}");
        }
    }

    #[test]
    fn repositories_may_be_called_as_the_protocol_is() {
        let digest = Digest::of(Algorithm::Sha256, b"");
        for odd in
            ["blobs", "a/blobs/uploads", "manifests", "tags/list", "a/tags", "v2", "a/referrers"]
        {
            let odd = name(odd);
            for asked in [
                Endpoint::Blob(&odd, &digest),
                Endpoint::Upload(&odd, None),
                Endpoint::Tags(&odd, Page::default()),
                Endpoint::Referrers(&odd, &digest, None),
            ] {
                let understood = route(&asked.to_string()).expect("a route");
                assert_eq!(understood.repository(), Some(&odd), "{asked}");
            }
        }
    }

    #[test]
    fn odd_spellings_are_understood() {
        let empty = Digest::of(Algorithm::Sha256, b"");
        let escaped = format!("/v2/a/blobs/{}", empty.to_string().replace(':', "%3A"));
        assert_eq!(route(&escaped), Ok(Route::Blob(name("a"), empty.clone())));
        assert_eq!(route("/v2"), Ok(Route::Base));
        assert_eq!(route("/v2/?ns=docker.io"), Ok(Route::Base));
        assert_eq!(route("/v2/a/blobs/uploads"), Ok(Route::Begin(name("a"), Begin::default())));
        let tags = format!("/v2/a/manifests/{empty}?tag=v1&tag=v2&tag=v1&ns=x");
        assert!(matches!(route(&tags), Ok(Route::Manifest(_, _, tags)) if tags.len() == 2));
        let upload = format!("/v2/a/blobs/uploads/x-1?_state=q&digest={empty}");
        assert_eq!(route(&upload), Ok(Route::Upload(name("a"), "x-1".into(), Some(empty))));
        assert!(matches!(route("/v2/_catalog?n=99999999999999999999"), Ok(Route::Catalog(_))));
    }

    #[test]
    fn what_is_outside_of_the_grammar_is_refused_by_its_code() {
        for (text, code) in [
            ("/v2/A/tags/list", ErrorCode::NameInvalid),
            ("/v2//tags/list", ErrorCode::NameInvalid),
            ("/v2/tags/list", ErrorCode::NameInvalid),
            ("/v2/a/../b/tags/list", ErrorCode::NameInvalid),
            ("/v2/a/blobs/sha256:xyz", ErrorCode::DigestInvalid),
            ("/v2/a/blobs/v1", ErrorCode::DigestInvalid),
            ("/v2/a/manifests/sha256:baddigeststring", ErrorCode::DigestInvalid),
            ("/v2/a/blobs/uploads/?mount=x", ErrorCode::DigestInvalid),
            ("/v2/a/blobs/uploads/?mount=&from=A", ErrorCode::NameInvalid),
            ("/v2/a/blobs/uploads/..", ErrorCode::BlobUploadUnknown),
            ("/v2/a/blobs/uploads/x_y", ErrorCode::BlobUploadUnknown),
            ("/v2/a/tags/list?n=-1", ErrorCode::Unsupported),
            ("/v2/a/tags/list?n=%zz", ErrorCode::Unsupported),
        ] {
            let Err(Misroute::Refused(found, _)) = route(text) else {
                panic!("{text} gives {:?}", route(text));
            };
            assert_eq!(found, code, "{text}");
        }
        assert!(matches!(route("/v2/a/manifests/.bad"), Err(Misroute::Tag(_))));
        for unknown in ["/", "/v1/", "/v2x", "/v2/a", "/v2/a/blobs", "/v2/%ff/tags/list"] {
            assert_eq!(route(unknown), Err(Misroute::Unknown), "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(path in "/v2/[\\PC/:%?&=]{0,80}", query in "\\PC{0,40}") {
            let _ = Route::parse(&path, &query);
        }
    }
}
