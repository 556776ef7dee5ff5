//! A blob on its way from a registry: where the connection breaks off, it
//! goes on with the next byte. Nothing is proved here; that is for the
//! verifier above, which hashes on.

use std::io::{self, Read};
use std::sync::Arc;

use plimsoll_content::{Code, Descriptor, Error, Result};

use super::Client;
use super::auth::Scope;
use super::remote::Remote;
use super::wire::{self, Answer, Method, Request};
use crate::protocol::{ContentRange, Endpoint, Host, Url};

/// After so many bytes, a connection that breaks off counts as a new one.
const PROGRESS: u64 = 1 << 20;

/// A blob that is being read.
pub(super) struct Download {
    client: Arc<Client>,
    host: Host,
    scope: Scope,
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
        let mut download = Self {
            client: Arc::clone(&remote.client),
            host: remote.host.clone(),
            scope: remote.pull.clone(),
            url: remote.url(&Endpoint::Blob(&remote.name, &blob.digest))?,
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
        let answer = self.client.ask(&self.host, &self.scope, request)?;
        match answer.status {
            200 | 206 => Ok(Some(answer)),
            404 => Ok(None),
            416 => Err(self.wrong_size(&answer.url, &format!("no byte {}", self.at))),
            _ => Err(self.client.refusal(&self.host, &self.scope, answer, &self.doing())),
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
        let patience = self.client.wire.options().patience;
        if self.at - self.mark >= PROGRESS {
            self.failed = 0;
        }
        self.mark = self.at;
        let mut error = error;
        loop {
            if self.failed >= patience.retries || error.code() != Code::Network {
                return Err(error.tried(format!(
                    "{} times from byte {}",
                    self.failed + 1,
                    self.at
                )));
            }
            self.client.wait(patience.pause.saturating_mul(1 << self.failed.min(8)))?;
            self.failed += 1;
            let opened = match self.ask() {
                Ok(None) => Err(Error::new(Code::NotFound, self.doing())
                    .found(format!("nothing any more at {}", self.url))),
                Ok(Some(answer)) => self.checked(answer),
                Err(error) => Err(error),
            };
            match opened {
                Ok(body) => {
                    self.body = Some(body);
                    return Ok(());
                }
                Err(again) => error = again,
            }
        }
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if buffer.is_empty() {
                return Ok(0);
            }
            self.client.check()?;
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
