//! Answers of the DNS, proved by ourselves (RFC 4033 to 4035, RFC 5155): from
//! the root of the DNS down to the record, or down to where it is proved that
//! nobody signs any more.
//!
//! Nothing is sent here: [`Exchange`] carries messages to a server, which is
//! not trusted. What the flag AD of that server says is not looked at.

mod denial;
mod message;
mod proof;

use core::str::FromStr;

use plimsoll_content::{Code, Error, Result};

use crate::crypto::unhex;
use crate::lookup::Texts;
use crate::record::Security;
use crate::time::{DAY, Time};
use message::Kind;
use proof::{Prover, Standing};

pub use message::{Name, query};

/// How many messages one answer may take.
const MESSAGES: u32 = 64;

/// How often one name may be an alias of another.
const ALIASES: usize = 4;

/// Carries messages.
pub trait Exchange: Sync {
    /// Sends a query, and gives the answer to it.
    ///
    /// Errors if there is none in time.
    fn ask(&self, query: &[u8]) -> Result<Vec<u8>>;
}

/// A key that is trusted to sign for the root of the DNS, by its digest (RFC 4034, 5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Anchor {
    /// The tag of the key.
    pub tag: u16,
    /// Its algorithm.
    pub algorithm: u8,
    /// The algorithm of the digest.
    pub kind: u8,
    /// The digest.
    pub digest: Vec<u8>,
}

impl Anchor {
    /// The keys of the root that IANA publishes, of 2017 and of 2024.
    pub fn root() -> Vec<Self> {
        let keys = [
            (20_326, "e06d44b80b8f1d39a95c0b0d7c65d08458e880409bbc683457104237c7f8ec8d"),
            (38_696, "683d2d0acb8c9b712a1948b27f741219298d0a450d612c483af444a4c0fb2b16"),
        ];
        keys.into_iter()
            .map(|(tag, digest)| Self {
                tag,
                algorithm: 8,
                kind: 2,
                digest: unhex(digest).unwrap_or_default(),
            })
            .collect()
    }
}

impl FromStr for Anchor {
    type Err = Error;

    /// Reads `TAG ALGORITHM KIND DIGEST`, as DS records are written.
    fn from_str(text: &str) -> Result<Self> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let read = || {
            let [tag, algorithm, kind, digest @ ..] = &words[..] else { return None };
            Some(Self {
                tag: tag.parse().ok()?,
                algorithm: algorithm.parse().ok()?,
                kind: kind.parse().ok()?,
                digest: unhex(&digest.concat().to_ascii_lowercase())
                    .filter(|digest| !digest.is_empty())?,
            })
        };
        read().ok_or_else(|| {
            Error::new(Code::Malformed, "reading a key of the root of the DNS")
                .found(format!("{text:?}"))
                .expected("TAG ALGORITHM KIND DIGEST, as in a DS record")
        })
    }
}

/// The TXT records of a name.
///
/// Errors if a server does not answer, or if what it answers is shown to be
/// false. A server that hands out no signatures of the root at all makes an
/// answer [`Security::Insecure`]: it could have been made up in any case.
pub fn txt(exchange: &dyn Exchange, name: &str, anchors: &[Anchor], now: Time) -> Result<Texts> {
    let mut prover = Prover::new(exchange, anchors, now);
    let mut name: Name = name.parse()?;
    let mut security = Security::Secure;
    let mut ttl = DAY as u64;
    for _ in 0..=ALIASES {
        let standing = prover.stand(&name)?;
        let answer = match &standing {
            Standing::Insecure => {
                security = Security::Insecure;
                prover.plain(&name, Kind::TXT)?
            }
            Standing::Zone(zone) => prover.proved(&name, Kind::TXT, zone)?,
        };
        ttl = ttl.min(answer.ttl);
        match answer.alias {
            Some(next) => name = next,
            None => return Ok(Texts { security, texts: answer.texts, ttl }),
        }
    }
    Err(wrong(&name).found("aliases of aliases").expected("a record"))
}

fn wrong(name: &Name) -> Error {
    Error::new(Code::Discovery, format!("asking the DNS for {name}"))
}

/// The error of an answer that is shown to be false.
fn bogus(name: &Name, found: impl std::fmt::Display) -> Error {
    wrong(name)
        .found(found)
        .expected("an answer that DNSSEC proves")
        .fix("the domain is set up wrongly, or somebody changes answers on the way")
}
