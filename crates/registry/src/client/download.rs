//! A blob on its way from a registry: where the connection breaks off, it
//! goes on with the next byte. Nothing is proved here; that is for the
//! verifier above, which hashes on.

use std::io::{self, Read};
use std::sync::Arc;

use plimsoll_content::{Code, Descriptor, Digest, Error, Result};

use super::Client;
use super::auth::Scope;
use super::mirrors;
use super::remote::Remote;
use super::wire::{self, Answer, Method, Request};
use crate::protocol::{ContentRange, Endpoint, Host, Repository, Url};

/// After so many bytes, a connection that breaks off counts as a new one.
const PROGRESS: u64 = 1 << 20;

/// A repository, as much of it as it takes to read from it.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) client: Arc<Client>,
    pub(super) host: Host,
    pub(super) name: Repository,
    pub(super) scope: Scope,
}

impl Place {
    fn url(&self, digest: &Digest) -> Result<Url> {
        let endpoint = Endpoint::Blob(&self.name, digest);
        self.client.online(|| format!("asking {} for {endpoint}", self.host))?;
        let contact = self.client.contact(&self.host)?;
        Ok(Url::new(contact.scheme, self.host.api(), endpoint.to_string()))
    }
}

/// A blob that is being read.
pub(super) struct Download {
    place: Place,
    /// Where it goes on if it can not here.
    behind: Option<Place>,
    url: Url,
    blob: Descriptor,
    at: u64,
    body: Option<Box<dyn Read + Send>>,
    /// How often it broke off since `mark`.
    failed: u32,
    mark: u64,
}

impl Download {
    /// Asks for a blob from byte `from` on. `None` is one that is not there.
    pub(super) fn begin(remote: &Remote, blob: &Descriptor, from: u64) -> Result<Option<Self>> {
        let place = remote.place();
        let mut download = Self {
            url: place.url(&blob.digest)?,
            place,
            behind: remote.behind.clone(),
            blob: blob.clone(),
            at: from,
            body: None,
            failed: 0,
            mark: from,
        };
        if from > blob.size {
            return Err(download.wrong_size(&download.url, &format!("byte {from}")));
        }
        let Some(answer) = download.ask()? else { return Ok(None) };
        download.body = Some(download.checked(answer)?);
        Ok(Some(download))
    }

    fn doing(&self) -> String {
        format!("reading blob {}", self.blob.digest)
    }

    fn ask(&self) -> Result<Option<Answer>> {
        let mut request = Request::new(Method::GET, self.url.clone());
        if self.at > 0 {
            request = request.with("range", format!("bytes={}-", self.at));
        }
        let answer = self.place.client.ask(&self.place.host, &self.place.scope, request)?;
        match answer.status {
            200 | 206 => Ok(Some(answer)),
            404 => Ok(None),
            416 => Err(self.wrong_size(&answer.url, &format!("no byte {}", self.at))),
            _ => Err(self.place.client.refusal(
                &self.place.host,
                &self.place.scope,
                answer,
                &self.doing(),
            )),
        }
    }

    fn wrong_size(&self, url: &Url, found: &str) -> Error {
        Error::new(Code::Size, self.doing())
            .found(found)
            .expected(format!("{} bytes", self.blob.size))
            .tried(url)
    }

    /// The content of an answer, from byte `at` on.
    fn checked(&self, answer: Answer) -> Result<Box<dyn Read + Send>> {
        let size = self.blob.size;
        let length = answer.length();
        let url = answer.url.clone();
        if answer.status == 206 {
            let range = answer.header("content-range").and_then(ContentRange::parse);
            let fits = range.is_some_and(|range| {
                range.first == self.at && range.total.is_none_or(|total| total == size)
            });
            if !fits {
                let found = answer.header("content-range").unwrap_or("no Content-Range");
                return Err(Error::new(Code::Registry, self.doing())
                    .found(format!("{found:?}"))
                    .expected(format!("bytes {}-{}/{size}", self.at, size.saturating_sub(1)))
                    .tried(url));
            }
            return Ok(answer.into_body());
        }
        if length.is_some_and(|length| length != size) {
            // A login page has another length than the blob.
            let answer = answer.no_page(&self.doing())?;
            return Err(self.wrong_size(&answer.url, &format!("{} bytes", length.unwrap_or(0))));
        }
        let mut body = answer.into_body();
        // A registry without ranges begins at the beginning.
        let skipped = io::copy(&mut (&mut body).take(self.at), &mut io::sink())
            .map_err(|cause| wire::broken("reading from", &url, cause))?;
        if skipped < self.at {
            return Err(self.wrong_size(&url, &format!("{skipped} bytes")));
        }
        Ok(body)
    }

    /// Goes on after a break, if it is worth while.
    fn resume(&mut self, error: Error) -> Result<()> {
        let patience = self.place.client.wire.options().patience;
        if self.at - self.mark >= PROGRESS {
            self.failed = 0;
        }
        self.mark = self.at;
        let mut error = error;
        loop {
            if self.failed >= patience.retries || error.code() != Code::Network {
                if !mirrors::stops(&error)
                    && let Some(behind) = self.behind.take()
                {
                    // The next byte is the same everywhere: the digest sees to it.
                    self.url = behind.url(&self.blob.digest)?;
                    self.place = behind;
                    self.failed = 0;
                    match self.reopen() {
                        Ok(body) => {
                            self.body = Some(body);
                            return Ok(());
                        }
                        Err(again) => error = again,
                    }
                    continue;
                }
                return Err(error.tried(format!(
                    "{} times from byte {}",
                    self.failed + 1,
                    self.at
                )));
            }
            self.place.client.wait(patience.pause.saturating_mul(1 << self.failed.min(8)))?;
            self.failed += 1;
            match self.reopen() {
                Ok(body) => {
                    self.body = Some(body);
                    return Ok(());
                }
                Err(again) => error = again,
            }
        }
    }

    fn reopen(&self) -> Result<Box<dyn Read + Send>> {
        match self.ask()? {
            None => Err(Error::new(Code::NotFound, self.doing())
                .found(format!("nothing any more at {}", self.url))),
            Some(answer) => self.checked(answer),
        }
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if buffer.is_empty() {
                return Ok(0);
            }
            self.place.client.check()?;
            let Some(body) = &mut self.body else { return Ok(0) };
            let broke = match body.read(buffer) {
                Ok(0) if self.at < self.blob.size => Error::new(Code::Network, self.doing())
                    .found(format!("the end after {} bytes", self.at))
                    .expected(format!("{} bytes", self.blob.size)),
                Ok(length) => {
                    // What is too much is for the verifier to refuse.
                    self.at += length as u64;
                    return Ok(length);
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                Err(cause) => wire::broken("reading from", &self.url, cause),
            };
            self.body = None;
            self.resume(broke)?;
        }
    }
}
