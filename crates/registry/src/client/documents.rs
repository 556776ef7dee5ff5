//! Documents of the web: what owners of domains say about their names. They
//! are asked for without any credential.

use std::io::Read;
use std::time::{Duration, Instant};

use plimsoll_content::{Code, Error, Result};
use plimsoll_name::suffix::same_owner;

use super::Client;
use super::wire::{Answer, Method, Request, broken};
use crate::protocol::{Host, Scheme, Url};

/// How often an answer may lead on.
const REDIRECTS: usize = 3;

/// How long one document may take, from the first byte sent to the last read.
const TIME: Duration = Duration::from_mins(1);

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Where it is.
    pub url: &'a Url,
    /// What it is, for messages.
    pub what: &'a str,
    /// The media types that are taken.
    pub accept: &'a str,
    /// The most bytes.
    pub limit: u64,
    /// Whether the user wrote this host himself.
    pub named: bool,
    /// Redirects must stay with the owner of that host.
    pub owner: Option<&'a str>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The content.
    pub bytes: Vec<u8>,
    /// Where it came from, after redirects.
    pub url: Url,
    /// How many seconds it may be remembered, if that was said.
    pub max_age: Option<u64>,
}

impl Client {
    /// Reads a document. `None` is one that is not there: 404 or 410 of a
    /// server that was proved to be the one that was asked.
    ///
    /// Errors for all other answers, and for redirects to another owner or away
    /// from https.
    pub fn document(&self, wanted: &Wanted<'_>) -> Result<Option<Found>> {
        let doing = format!("reading {} from {}", wanted.what, wanted.url);
        self.online(|| doing.clone())?;
        let started = Instant::now();
        let Some(answer) = self.reach(wanted, &doing)? else { return Ok(None) };
        let max_age = answer.header("cache-control").map(max_age);
        let url = answer.url.clone();
        let mut bytes = Vec::new();
        let mut body = answer.into_body();
        let mut chunk = vec![0; 64 << 10];
        loop {
            let read = body.read(&mut chunk);
            let read = read
                .map_err(|cause| broken(&format!("reading {} from", wanted.what), &url, cause))?;
            if read == 0 {
                break;
            }
            bytes.extend_from_slice(&chunk[..read]);
            if bytes.len() as u64 > wanted.limit {
                return Err(Error::new(Code::Limit, doing)
                    .found(format!("more than {} bytes", wanted.limit))
                    .expected("fewer"));
            }
            if started.elapsed() > TIME {
                return Err(Error::new(Code::Network, doing)
                    .found(format!("{} bytes after {} seconds", bytes.len(), TIME.as_secs()))
                    .expected("all of it"));
            }
        }
        Ok(Some(Found { bytes, url, max_age }))
    }

    /// The answer with the content, where redirects lead.
    fn reach(&self, wanted: &Wanted<'_>, doing: &str) -> Result<Option<Answer>> {
        let mut at = wanted.url.clone();
        if !wanted.named {
            self.wire.note_discovered(at.host());
        }
        for _ in 0..=REDIRECTS {
            self.check()?;
            let mut request = Request::new(Method::GET, at.clone()).with("accept", wanted.accept);
            let answer = self.wire.send(&mut request, None).map_err(|failure| failure.error)?;
            match answer.status {
                200 => return Ok(Some(answer)),
                404 | 410 => return Ok(None),
                301 | 302 | 303 | 307 | 308 => {}
                _ => return Err(answer.refusal(doing)),
            }
            let location = answer.header("location").unwrap_or_default();
            let next = at.join(location)?;
            if next.scheme() != Scheme::Https {
                return Err(Error::new(Code::PlainHttp, doing)
                    .found(format!("a redirect to {next}, which is not encrypted"))
                    .expected("https"));
            }
            if let Some(owner) = wanted.owner
                && !same_owner(next.host().name(), owner)
            {
                return Err(Error::new(Code::Discovery, doing)
                    .found(format!("a redirect to {next}, which may be somebody else's"))
                    .expected(format!("an answer of {owner} or of its owner")));
            }
            if next.host() != wanted.url.host() {
                self.wire.note_discovered(next.host());
            }
            at = next;
        }
        Err(Error::new(Code::Discovery, doing)
            .found(format!("more than {REDIRECTS} redirects"))
            .expected("an answer"))
    }

    /// Remembers that others led to that host: it must not be one of our own
    /// network.
    pub fn discovered(&self, host: &Host) {
        self.wire.note_discovered(host);
    }

    /// Whether that server may be spoken to without knowing who it is.
    pub fn is_insecure(&self, host: &Host) -> bool {
        self.wire.is_insecure(host)
    }
}

/// The seconds of `Cache-Control`.
fn max_age(header: &str) -> u64 {
    let mut age = None;
    for part in header.split(',').map(|part| part.trim().to_ascii_lowercase()) {
        if part == "no-store" || part == "no-cache" {
            return 0;
        }
        if let Some(seconds) = part.strip_prefix("max-age=") {
            age = seconds.trim_matches('"').parse().ok();
        }
    }
    age.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read() {
        for (header, age) in [
            ("max-age=300", 300),
            ("public, Max-Age=60", 60),
            ("max-age=60, no-store", 0),
            ("private", 0),
            ("max-age=x", 0),
        ] {
            assert_eq!(max_age(header), age, "{header}");
        }
    }
}
