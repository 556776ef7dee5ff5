//! Sigstore bundles: signature and what verifies it in one JSON document: a hint to a
//! key or a certificate, entries of logs, time stamps. Here they are read; what comes
//! along is verified in [`crate::keyless`], with a trusted root.

use serde_json::{Map, Value, json};

use super::dsse::{self, Envelope};
use super::log::Entry;
use super::parse::{member, most, no_lookalikes, object, optional, string, within};
use super::path;
use crate::keyless::{By, Material};
use crate::limits::Limits;
use crate::reason::{Reason, Why, quoted};
use crate::text;

/// The media type that is written.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Those that are read, and the minor version that each one is.
const MEDIA_TYPES: [(&str, u8); 4] = [
    (MEDIA_TYPE, 3),
    ("application/vnd.dev.sigstore.bundle+json;version=0.3", 3),
    ("application/vnd.dev.sigstore.bundle+json;version=0.2", 2),
    ("application/vnd.dev.sigstore.bundle+json;version=0.1", 1),
];

/// Whether something of that type is a bundle of some version.
pub fn is_bundle(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.dev.sigstore.bundle")
}

/// What a bundle holds. Nobody has verified it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bundle {
    /// What is signed.
    pub content: Content,
    /// What comes along.
    pub material: Material,
}

/// What is signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// An envelope.
    Dsse(Envelope),
    /// The artifact itself.
    Message {
        /// The signature over it.
        signature: Vec<u8>,
        /// The hash that it is said to have, and which one: a hint.
        digest: Option<(String, Vec<u8>)>,
    },
}

impl Bundle {
    /// Reads a bundle.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Reason> {
        let what = "the bundle";
        within("a bundle", bytes.len(), limits.envelope.max(limits.attestation))?;
        let bundle = object(what, bytes, limits.depth)?;
        let members = ["mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"];
        no_lookalikes(what, &bundle, &members)?;
        let media_type = string(what, &bundle, "mediaType")?;
        let known = MEDIA_TYPES.into_iter().find(|(known, _)| *known == media_type);
        let (_, version) = known
            .ok_or_else(|| Reason::malformed(format!("a bundle of type {}", quoted(media_type))))?;
        let material = material(member(what, &bundle, "verificationMaterial")?, version, limits)?;
        let content = match (bundle.get("dsseEnvelope"), bundle.get("messageSignature")) {
            (Some(Value::Object(envelope)), None) => Content::Dsse(Envelope::of(envelope)?),
            (None, Some(Value::Object(message))) => {
                no_lookalikes("the signature", message, &["signature", "messageDigest"])?;
                let digest = match optional("the signature", message, "messageDigest")? {
                    None => None,
                    Some(digest) => Some((
                        string("messageDigest", digest, "algorithm")?.to_owned(),
                        dsse::bytes("messageDigest", digest, "digest")?,
                    )),
                };
                let signature = dsse::bytes("the signature", message, "signature")?;
                Content::Message { signature, digest }
            }
            _ => {
                return Err(Reason::malformed(
                    "a bundle with neither an envelope nor a signature, or with both",
                ));
            }
        };
        Ok(Self { content, material })
    }

    /// Writes a bundle around an envelope, made with the key of that hint.
    pub fn to_bytes(hint: &str, envelope: &Envelope) -> plimsoll_content::Result<Vec<u8>> {
        plimsoll_content::json::canonical(&json!({
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint}},
            "dsseEnvelope": envelope.to_value(),
        }))
    }
}

fn material(
    material: &Map<String, Value>,
    version: u8,
    limits: &Limits,
) -> Result<Material, Reason> {
    let what = "verificationMaterial";
    let members = [
        "publicKey",
        "certificate",
        "x509CertificateChain",
        "tlogEntries",
        "timestampVerificationData",
    ];
    no_lookalikes(what, material, &members)?;
    let entries = objects(material.get("tlogEntries"), "log entries", limits.log_entries)?;
    let entries = entries.into_iter().map(Entry::of).collect::<Result<Vec<_>, Reason>>()?;
    if version == 1 && entries.iter().any(|entry| entry.promise.is_none()) {
        return Err(Reason::malformed("a bundle of version 0.1 without the promise of its log"));
    }
    let stamps = match optional(what, material, "timestampVerificationData")? {
        None => None,
        Some(data) => {
            no_lookalikes("timestampVerificationData", data, &["rfc3161Timestamps"])?;
            data.get("rfc3161Timestamps")
        }
    };
    let timestamps = objects(stamps, "time stamps", limits.timestamps)?
        .into_iter()
        .map(|stamp| dsse::bytes("a time stamp", stamp, "signedTimestamp"))
        .collect::<Result<Vec<_>, Reason>>()?;
    Ok(Material { by: by(material, version)?, entries, timestamps, proofs: version > 1 })
}

/// Who made it. A key that comes with its own signature proves nothing, so only the hint
/// is read, whatever else stands there.
fn by(material: &Map<String, Value>, version: u8) -> Result<By, Reason> {
    let one = |name| material.get(name).filter(|value| !value.is_null());
    let raw = |one: &Map<String, Value>| dsse::bytes("a certificate", one, "rawBytes");
    match (one("publicKey"), one("certificate"), one("x509CertificateChain")) {
        (Some(Value::Object(key)), None, None) => {
            let hint = key.get("hint").and_then(Value::as_str).unwrap_or_default();
            Ok(By::Key { hint: hint.to_owned() })
        }
        (None, Some(Value::Object(certificate)), None) if version > 2 => {
            Ok(By::Certificates(vec![raw(certificate)?]))
        }
        (None, None, Some(Value::Object(chain))) if version < 3 => {
            let all = objects(chain.get("certificates"), "certificates", path::LONGEST)?;
            if all.is_empty() {
                return Err(Reason::malformed("a bundle with an empty chain of certificates"));
            }
            let all = all.into_iter().map(raw).collect::<Result<Vec<_>, Reason>>()?;
            Ok(By::Certificates(all))
        }
        _ => Err(Reason::malformed(
            "a bundle with neither a key nor a certificate, with several, or with one that its \
             version does not have",
        )),
    }
}

/// The objects of an array, and not more than so many.
fn objects<'a>(
    list: Option<&'a Value>,
    what: &str,
    limit: usize,
) -> Result<Vec<&'a Map<String, Value>>, Reason> {
    let bad = || Reason::malformed(format!("the bundle: {what} are no array of objects"));
    match list {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(all)) => {
            most(what, all.len(), limit)?;
            all.iter().map(|one| one.as_object().ok_or_else(bad)).collect()
        }
        Some(_) => Err(bad()),
    }
}

/// A hint as the hash of a key, if it is one.
pub fn hash_of_hint(hint: &str) -> Option<Vec<u8>> {
    text::base64(hint).filter(|hash| hash.len() == 32)
}

/// That the hash which a bundle hints at, if it does, is one of the artifact.
pub(crate) fn is_hash(hint: Option<&(String, Vec<u8>)>, artifact: &[u8]) -> Result<(), Reason> {
    let Some((algorithm, hash)) = hint else { return Ok(()) };
    match super::hash::of(algorithm, artifact) {
        Some(own) if own == *hash => Ok(()),
        Some(_) => Err(Reason::new(Why::Subject, "the bundle is about other content")),
        // A hash that is not known hints at nothing.
        None => Ok(()),
    }
}
