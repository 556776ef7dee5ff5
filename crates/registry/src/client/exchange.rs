//! Requests as they are meant: let in, sent again, followed where they are
//! redirected to. A secret goes to the server that it is for, and to no other.

use std::sync::atomic::Ordering;
use std::time::Duration;

use plimsoll_content::{Code, Error, Result};

use super::Client;
use super::auth::Scope;
use super::credential::Secret;
use super::wire::{Answer, Body, Failure, Method, Request};
use crate::protocol::{Host, Scheme, Url, header};

/// How often an answer may lead to another address.
const REDIRECTS: usize = 5;

/// What may go better the next time (RFC 9110; 425 is RFC 8470).
const PASSING: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];

/// How many warnings are kept.
const WARNINGS: usize = 100;

impl Client {
    /// Sends a request to a registry, with what lets us in there.
    pub(super) fn ask(
        &self,
        registry: &Host,
        scope: &Scope,
        mut request: Request<'_>,
    ) -> Result<Answer> {
        let contact = self.contact(registry)?;
        let home = Url::new(contact.scheme, registry.api(), "/");
        // Some registries send uploads to a server of their own.
        let ours = home.same_origin(&request.url);
        let mut secret =
            if ours { self.secret(registry, scope, &contact.challenges, None)? } else { None };
        let mut renewed = false;
        loop {
            let answer = self.insist(&mut request, secret.as_ref())?;
            if answer.status != 401 || !ours || answer.elsewhere || renewed {
                return Ok(answer);
            }
            if !request.body.is_lasting() {
                return Ok(answer);
            }
            renewed = true;
            let challenges = Self::challenges(&answer)?;
            let fresh = self.secret(registry, scope, &challenges, Some(&challenges))?;
            // What was refused once is refused again, but for a token that is new.
            if fresh.is_none() || fresh == secret {
                return Ok(answer);
            }
            secret = fresh;
        }
    }

    /// Sends a request until there is an answer that will last.
    pub(super) fn insist(
        &self,
        request: &mut Request<'_>,
        secret: Option<&Secret>,
    ) -> Result<Answer> {
        self.insist_within(request, secret, self.wire.options().patience.retries)
    }

    /// The same with another number of attempts after the first.
    pub(super) fn insist_within(
        &self,
        request: &mut Request<'_>,
        secret: Option<&Secret>,
        retries: u32,
    ) -> Result<Answer> {
        let patience = self.wire.options().patience;
        let mut tried = 0;
        loop {
            self.check()?;
            let more = tried < retries;
            let pause = patience.pause.saturating_mul(1 << tried.min(8));
            tried += 1;
            let answer = self.follow(request, secret);
            let again = more && request.body.is_lasting();
            match answer {
                Ok(answer) if again && PASSING.contains(&answer.status) => {
                    let asked = answer.retry_after();
                    let pause =
                        asked.map_or(pause, |seconds| pause.max(Duration::from_secs(seconds)));
                    if pause > patience.wait {
                        return Ok(answer);
                    }
                    self.wait(pause)?;
                }
                Err(Failure { passing: true, .. }) if again => self.wait(pause)?,
                Ok(answer) => return Ok(answer),
                Err(Failure { error, .. }) if tried > 1 => {
                    return Err(error.tried(format!("{tried} times")));
                }
                Err(Failure { error, .. }) => return Err(error),
            }
        }
    }

    /// Sends a request once, and follows where the answer leads.
    fn follow(
        &self,
        request: &mut Request<'_>,
        secret: Option<&Secret>,
    ) -> Result<Answer, Failure> {
        let mut answer = self.wire.send(request, secret)?;
        self.note(&answer);
        let start = request.url.clone();
        let mut secret = secret;
        let mut at = start.clone();
        for _ in 0..REDIRECTS {
            let keeps = matches!(answer.status, 307 | 308);
            let reads = request.method == Method::GET || request.method == Method::HEAD;
            if !(keeps || reads && matches!(answer.status, 301..=303)) {
                answer.elsewhere = !start.same_origin(&at);
                return Ok(answer);
            }
            let Some(location) = answer.header("location") else { return Ok(answer) };
            let next = at.join(location)?;
            if at.scheme() == Scheme::Https && next.scheme() == Scheme::Http {
                let leave = self.wire.options().insecure.contains(next.host());
                if !leave {
                    return Err(Error::new(Code::PlainHttp, format!("following {at}"))
                        .found(format!("a redirect to {next}, which is not encrypted"))
                        .expected("https")
                        .into());
                }
            }
            if !at.same_origin(&next) {
                secret = None;
            }
            at = next;
            let body = match &request.body {
                Body::None => Body::None,
                Body::Bytes(bytes) => Body::Bytes(bytes),
                Body::Stream(_) => {
                    return Err(Error::new(Code::Registry, format!("sending content to {start}"))
                        .found(format!("a redirect to {at}"))
                        .expected("an answer")
                        .into());
                }
            };
            let mut next = Request {
                method: request.method.clone(),
                url: at.clone(),
                headers: request.headers.clone(),
                body,
            };
            answer = self.wire.send(&mut next, secret)?;
        }
        Err(Error::new(Code::Registry, format!("following {start}"))
            .found(format!("more than {REDIRECTS} redirects"))
            .expected("an answer")
            .into())
    }

    /// Keeps what the registry tells people.
    fn note(&self, answer: &Answer) {
        for text in answer.headers("warning").filter_map(header::warning) {
            let mut warnings = super::locked(&self.warnings);
            if warnings.len() < WARNINGS {
                warnings.insert(format!("{} says: {text}", answer.url.host()));
            }
        }
    }

    /// The error that ends what somebody wants to end.
    pub(super) fn check(&self) -> Result<()> {
        let flag = self.wire.options().interrupted.as_ref();
        if flag.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(Error::new(Code::Interrupted, "stopping").found("a signal"));
        }
        Ok(())
    }

    /// Waits, unless somebody wants it all to end.
    pub(super) fn wait(&self, pause: Duration) -> Result<()> {
        let step = Duration::from_millis(50);
        let mut left = pause;
        while !left.is_zero() {
            self.check()?;
            let now = left.min(step);
            std::thread::sleep(now);
            left -= now;
        }
        Ok(())
    }
}
