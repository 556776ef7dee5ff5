//! Trusted roots of sigstore: whose certificates, logs and time stamps are trusted,
//! and for which time. One is a file that comes from somewhere else (a TUF repository,
//! a colleague, a package); nothing here fetches it.

use serde_json::{Map, Value};

use super::dsse::bytes;
use super::parse::{member, most, no_lookalikes, object, optional, string, within};
use super::path;
use super::x509::Certificate;
use crate::claim::Seconds;
use crate::date;
use crate::der::{self, Der};
use crate::key::{Kind, PublicKey};
use crate::reason::{Reason, Why, quoted};

/// The largest file.
pub const LONGEST: u64 = 1 << 20;

/// How many authorities or logs of a kind it may have.
const MOST: usize = 64;

/// How deep it nests.
const DEPTH: usize = 12;

/// The versions that are read.
const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot+json;version=0.2",
    "application/vnd.dev.sigstore.trustedroot.v0.1+json",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
];

/// A time: both ends count, and a missing one is no bound.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Span {
    /// The first second.
    pub start: Option<Seconds>,
    /// The last one.
    pub end: Option<Seconds>,
}

/// Who issues certificates, or time stamps.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authority {
    /// How it is called: its address.
    pub name: String,
    /// Its certificates; the last one is what is trusted.
    pub chain: Vec<Certificate>,
    /// When it was in use.
    pub holds: Span,
}

/// A log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Log {
    /// How it is called: the host of its address, and the path there if it has one.
    pub name: String,
    /// Its key, as entries name it.
    pub id: Vec<u8>,
    /// The first bytes of that, or others, as its checkpoints name it.
    pub hint: Vec<u8>,
    /// Its key.
    pub key: PublicKey,
    /// When it was in use.
    pub holds: Span,
}

/// Whom to trust.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Root {
    /// Who issues certificates for signers.
    pub authorities: Vec<Authority>,
    /// Logs of signatures.
    pub logs: Vec<Log>,
    /// Logs of certificates.
    pub certificate_logs: Vec<Log>,
    /// Who issues time stamps.
    pub timestamp_authorities: Vec<Authority>,
}

impl Span {
    /// That a time is in it.
    pub(crate) fn at(&self, what: &str, at: Seconds) -> Result<(), Reason> {
        if self.start.is_some_and(|start| at < start) {
            return Err(Reason::new(Why::NotYet, format!("{what} was not trusted yet at {at}")));
        }
        if self.end.is_some_and(|end| at > end) {
            return Err(Reason::new(
                Why::Expired,
                format!("{what} was not trusted any more at {at}"),
            ));
        }
        Ok(())
    }

    /// The part of a time that is in it.
    pub(crate) fn within(&self, (begin, end): (Seconds, Seconds)) -> (Seconds, Seconds) {
        let begin = self.start.map_or(begin, |start| begin.max(start));
        (begin, self.end.map_or(end, |last| end.min(last)))
    }

    fn of(object: &Map<String, Value>, what: &str) -> Result<Self, Reason> {
        let span = member(what, object, "validFor")?;
        no_lookalikes("validFor", span, &["start", "end"])?;
        let time = |name: &str| match span.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(text) => text
                .as_str()
                .and_then(date::rfc3339)
                .map(Some)
                .ok_or_else(|| Reason::malformed(format!("{what}: {name} is no time"))),
        };
        let (start, end) = (time("start")?, time("end")?);
        if start.is_none() {
            // Without one, a key would be trusted for all of the past.
            return Err(Reason::malformed(format!("{what}: validFor without its start")));
        }
        Ok(Self { start, end })
    }
}

impl Root {
    /// Reads a `trusted_root.json`.
    ///
    /// Authorities and logs whose keys are of a kind that is not known here are left
    /// out; whatever is malformed is an error.
    pub fn parse(file: &[u8]) -> Result<Self, Reason> {
        let what = "the trusted root";
        within(what, file.len(), LONGEST)?;
        let root = object(what, file, DEPTH)?;
        let members =
            ["mediaType", "tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"];
        no_lookalikes(what, &root, &members)?;
        let media_type = string(what, &root, "mediaType")?;
        if !MEDIA_TYPES.contains(&media_type) {
            let text = format!("a trusted root of type {}", quoted(media_type));
            return Err(Reason::malformed(text));
        }
        let all = |name: &str| -> Result<Vec<&Map<String, Value>>, Reason> {
            let bad = || Reason::malformed(format!("{what}: {name} is no array of objects"));
            match root.get(name) {
                None | Some(Value::Null) => Ok(Vec::new()),
                Some(Value::Array(all)) => {
                    most(name, all.len(), MOST)?;
                    all.iter().map(|one| one.as_object().ok_or_else(bad)).collect()
                }
                Some(_) => Err(bad()),
            }
        };
        let logs = |name: &str| -> Result<Vec<Log>, Reason> {
            all(name)?.into_iter().filter_map(|one| log(one, name).transpose()).collect()
        };
        let authorities = |name: &str| -> Result<Vec<Authority>, Reason> {
            all(name)?.into_iter().filter_map(|one| authority(one, name).transpose()).collect()
        };
        Ok(Self {
            authorities: authorities("certificateAuthorities")?,
            logs: logs("tlogs")?,
            certificate_logs: logs("ctlogs")?,
            timestamp_authorities: authorities("timestampAuthorities")?,
        })
    }
}

fn authority(object: &Map<String, Value>, what: &str) -> Result<Option<Authority>, Reason> {
    no_lookalikes(what, object, &["subject", "uri", "certChain", "validFor", "operator"])?;
    let holds = Span::of(object, what)?;
    let certificates = member(what, object, "certChain")?
        .get("certificates")
        .and_then(Value::as_array)
        .filter(|all| !all.is_empty())
        .ok_or_else(|| Reason::malformed(format!("{what}: no certificates")))?;
    most("certificates", certificates.len(), path::LONGEST)?;
    let mut chain = Vec::new();
    for one in certificates {
        let one = one
            .as_object()
            .ok_or_else(|| Reason::malformed(format!("{what}: a certificate is no object")))?;
        match Certificate::parse(&bytes(what, one, "rawBytes")?) {
            Ok(certificate) => chain.push(certificate),
            Err(_) => return Ok(None),
        }
    }
    let name = object.get("uri").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Some(Authority { name, chain, holds }))
}

fn log(object: &Map<String, Value>, what: &str) -> Result<Option<Log>, Reason> {
    let members = ["baseUrl", "hashAlgorithm", "publicKey", "logId", "checkpointKeyId", "operator"];
    no_lookalikes(what, object, &members)?;
    let key = member(what, object, "publicKey")?;
    no_lookalikes("publicKey", key, &["rawBytes", "keyDetails", "validFor"])?;
    let holds = Span::of(key, what)?;
    let raw = bytes(what, key, "rawBytes")?;
    let id =
        |name: &str| optional(what, object, name)?.map(|id| bytes(what, id, "keyId")).transpose();
    let (by_entries, by_checkpoints) = (id("logId")?, id("checkpointKeyId")?);
    let id = by_entries
        .filter(|id| id.len() >= 4)
        .ok_or_else(|| Reason::malformed(format!("{what}: no logId of four bytes or more")))?;
    let hint = by_checkpoints.unwrap_or_else(|| id[..4].to_vec());
    if let Some(hash) = object.get("hashAlgorithm").and_then(Value::as_str)
        && hash != "SHA2_256"
    {
        return Ok(None);
    }
    let details = key.get("keyDetails").and_then(Value::as_str).unwrap_or_default();
    let Some(key) = public(&raw, details) else { return Ok(None) };
    let name = object.get("baseUrl").and_then(Value::as_str).unwrap_or_default();
    let name = name.split_once("://").map_or(name, |(_, rest)| rest).trim_end_matches('/');
    Ok(Some(Log { name: name.to_owned(), id, hint, key, holds }))
}

/// A key of a log, if it is of a kind that is known here.
fn public(raw: &[u8], details: &str) -> Option<PublicKey> {
    let key = if details.starts_with("PKCS1_RSA") {
        // The key alone, without saying what it is.
        Der::only(raw, der::SEQUENCE)?;
        PublicKey::from_parts(Kind::Rsa, raw).ok()?
    } else {
        PublicKey::from_der(raw).ok()?
    };
    let known = match key.kind() {
        Kind::P256 => details == "PKIX_ECDSA_P256_SHA_256",
        Kind::P384 => details == "PKIX_ECDSA_P384_SHA_384",
        Kind::Ed25519 => details == "PKIX_ED25519",
        Kind::Rsa => details.contains("PKCS1V15") || details == "PKCS1_RSA_PKCS1V5",
    };
    (known || details.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            prop_assert!(Root::parse(&bytes).is_err());
        }
    }
}
