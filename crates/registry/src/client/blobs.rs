//! Content by digest from where its owner says: plain files of a web server,
//! and repositories. None of them is trusted; what comes is proved above.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use plimsoll_content::limits::Limits;
use plimsoll_content::{Code, Descriptor, Error, Kind, Result, Source, Unverified};
use plimsoll_name::chain::expand;
use plimsoll_name::{Address, Template};

use super::wire::{Method, Request};
use super::{Client, Remote};
use crate::protocol::{Scheme, Url};

/// How often one place may lead to another.
const REDIRECTS: usize = 3;

/// The places of some content, in the order of trying.
pub struct Blobs {
    client: Arc<Client>,
    templates: Vec<Template>,
    /// The host that the user wrote.
    named: plimsoll_name::Host,
    remotes: Vec<Remote>,
}

impl Blobs {
    /// These templates, then these repositories.
    pub fn new(
        client: Arc<Client>,
        templates: Vec<Template>,
        named: plimsoll_name::Host,
        remotes: Vec<Remote>,
    ) -> Self {
        Self { client, templates, named, remotes }
    }

    /// The repositories.
    pub fn remotes(&self) -> &[Remote] {
        &self.remotes
    }

    fn file(&self, address: &Address, from: u64) -> Result<Option<Box<dyn Read + Send>>> {
        let doing = format!("reading {address}");
        self.client.online(|| doing.clone())?;
        let mut at = Url::parse(&address.to_string())?;
        if *address.host() != self.named {
            self.client.wire.note_discovered(at.host());
        }
        for _ in 0..=REDIRECTS {
            let mut request = Request::new(Method::GET, at.clone());
            if from > 0 {
                request = request.with("range", format!("bytes={from}-"));
            }
            let answer =
                self.client.wire.send(&mut request, None).map_err(|failure| failure.error)?;
            match answer.status {
                200 => {
                    let mut body = answer.into_body();
                    // One that gives no parts gives all of it.
                    io::copy(&mut (&mut body).take(from), &mut io::sink())
                        .map_err(|cause| Error::io("reading", address, cause))?;
                    return Ok(Some(body));
                }
                206 => return Ok(Some(answer.into_body())),
                404 | 410 => return Ok(None),
                301 | 302 | 303 | 307 | 308 => {
                    at = at.join(answer.header("location").unwrap_or_default())?;
                    if at.scheme() != Scheme::Https {
                        return Err(Error::new(Code::PlainHttp, doing)
                            .found(format!("a redirect to {at}, which is not encrypted"))
                            .expected("https"));
                    }
                    self.client.wire.note_discovered(at.host());
                }
                _ => return Err(answer.refusal(&doing)),
            }
        }
        Err(Error::new(Code::Registry, doing).found("too many redirects").expected("content"))
    }
}

impl Source for Blobs {
    fn limits(&self) -> Limits {
        self.client.wire.options().limits
    }

    fn fetch(&self, blob: &Descriptor, from: u64) -> Result<Unverified<'_>> {
        let mut failed: Option<Error> = None;
        let base = Address::new(self.named.clone(), "/")?;
        for template in &self.templates {
            let found =
                expand(template, &base, &blob.digest).and_then(|address| self.file(&address, from));
            match found {
                Ok(Some(body)) => return Ok(Unverified::new(body)),
                Ok(None) => {}
                Err(error) if error.code() == Code::Interrupted => return Err(error),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        for remote in &self.remotes {
            match remote.fetch(blob, from) {
                Ok(found) => return Ok(found),
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) if error.code() == Code::Interrupted => return Err(error),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(bytes) = blob.embedded()? {
            return Ok(Unverified::new(io::Cursor::new(
                bytes.into_iter().skip(from as usize).collect::<Vec<u8>>(),
            )));
        }
        Err(failed.unwrap_or_else(|| {
            Error::new(Code::NotFound, format!("reading blob {}", blob.digest))
                .found(format!(
                    "none of {} places has it",
                    self.templates.len() + self.remotes.len()
                ))
                .expected(format!("{} bytes of {}", blob.size, blob.media_type))
        }))
    }
}

impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blobs").field("templates", &self.templates).finish_non_exhaustive()
    }
}
