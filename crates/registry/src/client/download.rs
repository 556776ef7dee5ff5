//! A blob on its way from a registry: where the connection breaks off, it
//! goes on with the next byte. Nothing is proved here; that is for the
//! verifier above, which hashes on.

use std::io::{self, Read};
use std::sync::Arc;

use plimsoll_content::{Code, Descriptor, Digest, Error, Result};

use super::Client;
use super::auth::Scope;
use super::lanes::Pieces;
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
    /// Where it ends: behind the blob, or behind a piece of it.
    end: u64,
    body: Option<Box<dyn Read + Send>>,
    /// How often it broke off since `mark`.
    failed: u32,
    mark: u64,
}

impl Download {
    /// Asks for a blob from byte `from` on: in pieces, if it is large and its
    /// server gives parts. `None` is one that is not there.
    pub(super) fn begin(
        remote: &Remote,
        blob: &Descriptor,
        from: u64,
    ) -> Result<Option<Box<dyn Read + Send>>> {
        let place = remote.place();
        let mut download = Self {
            url: place.url(&blob.digest)?,
            place,
            behind: remote.behind.clone(),
            blob: blob.clone(),
            at: from,
            end: blob.size,
            body: None,
            failed: 0,
            mark: from,
        };
        if from > blob.size {
            return Err(download.wrong_size(&download.url, &format!("byte {from}")));
        }
        let lanes = remote.client.wire.options().lanes;
        if lanes.count > 0 && blob.size - from >= lanes.least.max(lanes.piece + 1) {
            download.end = from + lanes.piece;
        }
        let Some(answer) = download.ask()? else { return Ok(None) };
        if answer.status != 206 {
            download.end = blob.size;
        }
        download.body = Some(download.checked(answer)?);
        Ok(Some(if download.end < blob.size {
            Box::new(Pieces::new(download))
        } else {
            Box::new(download)
        }))
    }

    /// All that follows this piece; nothing is asked yet.
    pub(super) fn behind(&self) -> Self {
        self.part(self.end, self.blob.size)
    }

    fn part(&self, at: u64, end: u64) -> Self {
        Self {
            place: self.place.clone(),
            behind: self.behind.clone(),
            url: self.url.clone(),
            blob: self.blob.clone(),
            at,
            end,
            body: None,
            failed: 0,
            mark: at,
        }
    }

    /// Takes a piece of at most that length from the front.
    pub(super) fn cut(&mut self, length: u64) -> Option<Self> {
        if self.is_done() {
            return None;
        }
        let end = self.end.min(self.at.saturating_add(length));
        let piece = self.part(self.at, end);
        self.at = end;
        Some(piece)
    }

    pub(super) fn is_done(&self) -> bool {
        self.at >= self.end
    }

    pub(super) fn client(&self) -> &Arc<Client> {
        &self.place.client
    }

    /// Asks for what was not asked for yet.
    pub(super) fn open(&mut self) -> Result<()> {
        match self.reopen() {
            Ok(body) => {
                self.body = Some(body);
                Ok(())
            }
            Err(error) => self.resume(error),
        }
    }

    /// Reads all of it.
    pub(super) fn whole(mut self) -> Result<Vec<u8>> {
        self.open()?;
        let mut bytes = Vec::with_capacity((self.end - self.at) as usize);
        let doing = self.doing();
        self.read_to_end(&mut bytes).map_err(|cause| Error::io(&doing, "in a piece", cause))?;
        Ok(bytes)
    }

    fn doing(&self) -> String {
        format!("reading blob {}", self.blob.digest)
    }

    fn ask(&self) -> Result<Option<Answer>> {
        let mut request = Request::new(Method::GET, self.url.clone());
        if self.end < self.blob.size {
            request = request.with("range", format!("bytes={}-{}", self.at, self.end - 1));
        } else if self.at > 0 {
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
            // Behind the blob, one byte too many is for the verifier to refuse.
            let mut most = buffer.len();
            if self.end < self.blob.size {
                most = most.min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
                if most == 0 {
                    return Ok(0);
                }
            }
            let broke = match body.read(&mut buffer[..most]) {
                Ok(0) if self.at < self.end => Error::new(Code::Network, self.doing())
                    .found(format!("the end after {} bytes", self.at))
                    .expected(format!("{} bytes", self.blob.size)),
                Ok(length) => {
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
