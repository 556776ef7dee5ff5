//! Blobs: end-2 and end-10 of the specification.

use hyper::header::RANGE;
use hyper::{Method, StatusCode};
use plimsoll_content::Digest;
use plimsoll_registry::protocol::{ContentRange, ErrorCode, Repository, Wanted, header};

use crate::body::Payload;
use crate::reply::{Refusal, Replied, Reply};
use crate::service::{Asked, not_allowed};
use crate::storage::Removal;

/// What a blob is said to be: what it is, its manifest knows.
const OCTETS: &str = "application/octet-stream";

impl Asked<'_> {
    pub(crate) async fn blob(&mut self, name: Repository, digest: Digest) -> Replied {
        self.allow(&[Method::GET, Method::HEAD, Method::DELETE])?;
        match self.parts.method {
            Method::DELETE => self.remove_blob(name, digest).await,
            // A HEAD is how clients ask whether they have to push it.
            Method::HEAD if !self.service.options.read_only => self.head(name, digest).await,
            _ => self.read(name, digest).await,
        }
    }

    async fn head(&mut self, name: Repository, digest: Digest) -> Replied {
        match self.service.storage.keep_blob(&name, &digest).await? {
            Some(size) => Ok(found(&digest).header("Content-Type", OCTETS).length(size)),
            None => Err(unknown(&digest)),
        }
    }

    async fn read(&mut self, name: Repository, digest: Digest) -> Replied {
        let blob = self.service.storage.blob(&name, &digest).await.map_err(Refusal::fault)?;
        let blob = blob.ok_or_else(|| unknown(&digest))?;
        let size = blob.size();
        let wanted = match self.parts.headers.get(RANGE).and_then(|range| range.to_str().ok()) {
            // Another version of it does not exist, so any validator fits but
            // a wrong one: who sends one gets what it asks for if it fits.
            Some(range) if self.same_version(&digest) => Wanted::parse(range, size),
            _ => Wanted::Whole,
        };
        if wanted != Wanted::Nothing
            && self.parts.method == Method::GET
            && let Some(place) = blob.elsewhere()
        {
            let reply = Reply::new(StatusCode::TEMPORARY_REDIRECT).header("Location", place);
            return Ok(reply.header(header::CONTENT_DIGEST, digest.to_string()));
        }
        match wanted {
            Wanted::Whole => {
                let payload = Payload::chunks(blob.read(0, size), size);
                Ok(found(&digest).body(OCTETS, payload))
            }
            Wanted::Part(first, last) => {
                let length = last - first + 1;
                let payload = Payload::chunks(blob.read(first, length), length);
                let range = ContentRange { first, last, total: Some(size) };
                let reply = described(StatusCode::PARTIAL_CONTENT, &digest);
                Ok(reply.header("Content-Range", range.to_string()).body(OCTETS, payload))
            }
            Wanted::Nothing => {
                let text = format!("the blob has {size} bytes");
                let status = StatusCode::RANGE_NOT_SATISFIABLE;
                let refusal = Refusal::new(status, ErrorCode::SizeInvalid, text);
                Err(refusal.header("Content-Range", format!("bytes */{size}")))
            }
        }
    }

    /// Whether `If-Range`, if it is there, names this content.
    fn same_version(&self, digest: &Digest) -> bool {
        let Some(version) = self.parts.headers.get("If-Range") else { return true };
        version.to_str().is_ok_and(|version| version == etag(digest))
    }

    async fn remove_blob(&mut self, name: Repository, digest: Digest) -> Replied {
        match self.service.storage.remove_blob(&name, &digest).await? {
            Removal::Done => Ok(Reply::new(StatusCode::ACCEPTED)),
            Removal::Unknown => Err(unknown(&digest)),
            Removal::Refused => Err(not_allowed(format!("{digest} is a manifest, not a blob"))),
        }
    }
}

fn found(digest: &Digest) -> Reply {
    described(StatusCode::OK, digest)
}

/// What is said of a blob, which never changes.
fn described(status: StatusCode, digest: &Digest) -> Reply {
    Reply::new(status)
        .header(header::CONTENT_DIGEST, digest.to_string())
        .header("ETag", etag(digest))
        .header("Accept-Ranges", "bytes")
        .header("Cache-Control", "max-age=31536000, immutable")
}

fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

pub(super) fn unknown(digest: &Digest) -> Refusal {
    let text = format!("there is no blob {digest} in the repository");
    Refusal::new(StatusCode::NOT_FOUND, ErrorCode::BlobUnknown, text)
}
