//! Sigstore bundles: signature and what verifies it in one JSON document. Here
//! they come with a key that the verifier knows; certificates and logs are not
//! looked at, and are never taken for more than that.

use serde_json::{Map, Value, json};

use super::dsse::{self, Envelope};
use super::parse::{member, most, no_lookalikes, object, string, within};
use crate::limits::Limits;
use crate::reason::{Reason, Why, quoted};
use crate::text;

/// The media type that is written.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Those that are read.
const MEDIA_TYPES: [&str; 4] = [
    MEDIA_TYPE,
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
];

/// Whether something of that type is a bundle of some version.
pub fn is_bundle(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.dev.sigstore.bundle")
}

/// What a bundle holds. Nobody has verified it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bundle {
    /// Which key the maker used, as it says itself: a hint.
    pub hint: String,
    /// What is signed.
    pub content: Content,
    /// How many log entries and time stamps come along. They are not checked.
    pub logged: usize,
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
    },
}

impl Bundle {
    /// Reads a bundle that was signed with a key.
    ///
    /// One with a certificate is a reason of kind [`Why::Form`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Reason> {
        let what = "the bundle";
        within("a bundle", bytes.len(), limits.envelope.max(limits.attestation))?;
        let bundle = object(what, bytes, limits.depth)?;
        let members = ["mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"];
        no_lookalikes(what, &bundle, &members)?;
        let media_type = string(what, &bundle, "mediaType")?;
        if !MEDIA_TYPES.contains(&media_type) {
            return Err(Reason::malformed(format!("a bundle of type {}", quoted(media_type))));
        }
        let material = member(what, &bundle, "verificationMaterial")?;
        let hint = hint(material)?;
        let logged = count(material.get("tlogEntries"), "log entries", limits.log_entries)?
            + count(
                material
                    .get("timestampVerificationData")
                    .and_then(|data| data.get("rfc3161Timestamps")),
                "time stamps",
                limits.timestamps,
            )?;
        let content = match (bundle.get("dsseEnvelope"), bundle.get("messageSignature")) {
            (Some(Value::Object(envelope)), None) => Content::Dsse(Envelope::of(envelope)?),
            (None, Some(Value::Object(message))) => {
                no_lookalikes("the signature", message, &["signature", "messageDigest"])?;
                Content::Message { signature: dsse::bytes("the signature", message, "signature")? }
            }
            _ => {
                return Err(Reason::malformed(
                    "a bundle with neither an envelope nor a signature, or with both",
                ));
            }
        };
        Ok(Self { hint, content, logged })
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

/// A key that comes with its own signature proves nothing, so only the hint is
/// read, whatever else stands there.
fn hint(material: &Map<String, Value>) -> Result<String, Reason> {
    match material.get("publicKey") {
        Some(Value::Object(key)) => {
            Ok(key.get("hint").and_then(Value::as_str).unwrap_or_default().to_owned())
        }
        Some(_) => Err(Reason::malformed("the bundle: publicKey is no object")),
        None => Err(Reason::new(
            Why::Form,
            "a bundle with a certificate instead of a key, which is not verified here",
        )),
    }
}

fn count(list: Option<&Value>, what: &str, limit: usize) -> Result<usize, Reason> {
    match list {
        None | Some(Value::Null) => Ok(0),
        Some(Value::Array(all)) => most(what, all.len(), limit).map(|()| all.len()),
        Some(_) => Err(Reason::malformed(format!("the bundle: {what} are no array"))),
    }
}

/// A hint as the hash of a key, if it is one.
pub fn hash_of_hint(hint: &str) -> Option<Vec<u8>> {
    text::base64(hint).filter(|hash| hash.len() == 32)
}
