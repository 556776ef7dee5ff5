//! Blobs that come in: end-4 to end-6, end-11, end-13 and end-14 of the
//! specification.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE};
use hyper::{HeaderMap, Method, StatusCode};
use plimsoll_content::{Algorithm, Digest};
use plimsoll_registry::protocol::{
    Begin, ChunkRange, Endpoint, ErrorCode, Repository, UploadRange, header,
};
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use crate::metrics::Gauge;
use crate::reply::{Refusal, Replied, Reply};
use crate::service::{Asked, Service};
use crate::storage::Append;

/// How long a blob waits until fewer others come in.
const TURN: Duration = Duration::from_secs(30);

impl Asked<'_> {
    pub(crate) async fn begin(&mut self, name: Repository, begin: Begin) -> Replied {
        self.allow(&[Method::POST])?;
        let storage = &self.service.storage;
        if let Some(mount) = &begin.mount {
            computable(mount)?;
            if storage.mount(&name, mount, begin.from.as_ref()).await? {
                return Ok(created(&name, mount));
            }
        }
        let likely = match (&begin.algorithm, &begin.digest, &begin.mount) {
            (Some(text), ..) => text.parse().map_err(|_| {
                let text = format!("digests of {text:?} can not be computed here");
                Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid, text)
            })?,
            (None, Some(digest), _) => computable(digest)?,
            (None, None, mount) => {
                mount.as_ref().and_then(Digest::algorithm).unwrap_or(Algorithm::Sha256)
            }
        };
        let upload = self.new_name();
        storage.begin(&name, &upload, likely).await?;
        match begin.digest {
            Some(digest) => {
                let ended = self.end(&name, &upload, &digest).await;
                if ended.is_err() {
                    // Nobody was told of it, so nobody will go on with it.
                    let _ = storage.cancel(&name, &upload).await;
                }
                ended
            }
            None => Ok(going_on(StatusCode::ACCEPTED, &name, &upload, 0)),
        }
    }

    pub(crate) async fn upload(
        &mut self,
        name: Repository,
        upload: String,
        digest: Option<Digest>,
    ) -> Replied {
        self.allow(&[Method::GET, Method::HEAD, Method::PATCH, Method::PUT, Method::DELETE])?;
        let storage = &self.service.storage;
        match self.parts.method {
            Method::PATCH => {
                let length = self.append(&name, &upload).await?;
                Ok(going_on(StatusCode::ACCEPTED, &name, &upload, length))
            }
            Method::PUT => {
                let digest = digest.ok_or_else(|| {
                    let text = "the end of an upload needs ?digest=";
                    Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid, text)
                })?;
                computable(&digest)?;
                self.end(&name, &upload, &digest).await
            }
            Method::DELETE => {
                if storage.cancel(&name, &upload).await? {
                    Ok(Reply::new(StatusCode::NO_CONTENT))
                } else {
                    Err(unknown(&upload))
                }
            }
            _ => {
                let length = storage.received(&name, &upload).await?;
                let length = length.ok_or_else(|| unknown(&upload))?;
                Ok(going_on(StatusCode::NO_CONTENT, &name, &upload, length))
            }
        }
    }

    /// Takes the last chunk, which may be empty or all of it, and ends the
    /// upload.
    async fn end(&mut self, name: &Repository, upload: &str, digest: &Digest) -> Replied {
        self.append(name, upload).await?;
        let finished = self.service.storage.finish(name, upload, digest).await?;
        finished.ok_or_else(|| unknown(upload))?;
        Ok(created(name, digest))
    }

    /// Adds the body to an upload, and gives how much has come in all.
    async fn append(&mut self, name: &Repository, upload: &str) -> Result<u64, Refusal> {
        let service = self.service;
        let _turn = Self::turn(service, &self.parts.headers).await?;
        let _gauge = Gauge::new(&service.metrics, |all| &all.uploads);
        let Some(body) = self.body.take() else { return Err(unknown(upload)) };
        let range = match self.parts.headers.get(CONTENT_RANGE) {
            None => None,
            Some(value) => {
                let range = value.to_str().ok().and_then(ChunkRange::parse);
                // Some clients say so of the empty body at the end.
                if range.is_none() && body.announced() != Some(0) {
                    let text = "Content-Range is not FIRST-LAST";
                    return Err(invalid(text));
                }
                range.filter(|_| body.announced() != Some(0))
            }
        };
        let length = range.map(ChunkRange::length);
        if let (Some(length), Some(announced)) = (length, body.announced())
            && length != announced
        {
            let text = format!("{announced} bytes, and {length} by Content-Range");
            return Err(Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::SizeInvalid, text));
        }
        let storage = &service.storage;
        // How much may still come, for all of it together.
        let most = service.options.budget.blob;
        let before = storage.received(name, upload).await?.ok_or_else(|| unknown(upload))?;
        let room = most.saturating_sub(before);
        if body.announced().is_some_and(|announced| announced > room) {
            return Err(too_large(most));
        }
        let chunks = Box::new(body.exactly(length).at_most(room));
        let at = range.map(|range| range.first);
        match storage.append(name, upload, at, chunks).await {
            Ok(Append::Length(length)) => Ok(length),
            Ok(Append::Unknown) => Err(unknown(upload)),
            Ok(Append::Gap(length)) => {
                let text = format!("the upload has {length} bytes: go on there");
                let status = StatusCode::RANGE_NOT_SATISFIABLE;
                let refusal = Refusal::new(status, ErrorCode::BlobUploadInvalid, text);
                Err(refusal
                    .header("Location", place(name, upload))
                    .header("Range", UploadRange::of(length).to_string()))
            }
            Err(error) if error.code() == plimsoll_content::Code::Limit => Err(too_large(most)),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until not too much comes in at once.
    pub(super) async fn turn<'s>(
        service: &'s Service,
        headers: &HeaderMap,
    ) -> Result<Option<SemaphorePermit<'s>>, Refusal> {
        // What has no body waits for nobody.
        if headers.get(CONTENT_LENGTH).is_some_and(|length| length == "0") {
            return Ok(None);
        }
        match timeout(TURN, service.uploads.acquire()).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => {
                let text = "too much comes in at the moment";
                let status = StatusCode::TOO_MANY_REQUESTS;
                let refusal = Refusal::new(status, ErrorCode::TooManyRequests, text);
                Err(refusal.header("Retry-After", "5"))
            }
        }
    }

    /// A name that nobody can guess who was not told it.
    fn new_name(&self) -> String {
        let number = self.service.number.fetch_add(1, Ordering::Relaxed);
        let name = blake3::keyed_hash(&self.service.secret, &number.to_le_bytes());
        name.to_hex()[..32].to_owned()
    }
}

fn computable(digest: &Digest) -> Result<Algorithm, Refusal> {
    Ok(digest.computable("blob")?)
}

fn created(name: &Repository, digest: &Digest) -> Reply {
    Reply::new(StatusCode::CREATED)
        .header("Location", Endpoint::Blob(name, digest).to_string())
        .header(header::CONTENT_DIGEST, digest.to_string())
}

fn going_on(status: StatusCode, name: &Repository, upload: &str, length: u64) -> Reply {
    Reply::new(status)
        .header("Location", place(name, upload))
        .header("Docker-Upload-UUID", upload)
        .header("Range", UploadRange::of(length).to_string())
}

fn place(name: &Repository, upload: &str) -> String {
    format!("{}{upload}", Endpoint::Upload(name, None))
}

fn too_large(most: u64) -> Refusal {
    let text = format!("the blob has more than {most} bytes");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::SizeInvalid, text)
}

fn invalid(text: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::BlobUploadInvalid, text)
}

fn unknown(upload: &str) -> Refusal {
    let text = format!("there is no upload {upload} in the repository");
    Refusal::new(StatusCode::NOT_FOUND, ErrorCode::BlobUploadUnknown, text)
}
