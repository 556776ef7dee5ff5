//! DSSE: an envelope that signs a payload together with its type.

use serde_json::{Map, Value, json};

use super::parse::{no_lookalikes, string};
use crate::reason::{Reason, quoted};
use crate::text;

/// The type of payloads that are in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The media type of a bare envelope.
pub const MEDIA_TYPE: &str = "application/vnd.dsse.envelope.v1+json";

/// An envelope. Nobody has verified it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Envelope {
    /// What the payload is.
    pub payload_type: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// The one signature.
    pub signature: Vec<u8>,
}

impl Envelope {
    /// Reads an envelope, which must have one signature: of several, verifiers
    /// disagree which ones count.
    pub fn of(object: &Map<String, Value>) -> Result<Self, Reason> {
        let what = "the envelope";
        no_lookalikes(what, object, &["payload", "payloadType", "signatures"])?;
        let payload = bytes(what, object, "payload")?;
        let signatures = object.get("signatures").and_then(Value::as_array);
        let signature = match signatures.map(Vec::as_slice) {
            Some([Value::Object(one)]) => {
                no_lookalikes("the signature", one, &["sig", "keyid"])?;
                bytes("the signature", one, "sig")?
            }
            Some(all) => {
                return Err(Reason::malformed(format!(
                    "an envelope with {} signatures instead of one",
                    all.len()
                )));
            }
            None => return Err(Reason::malformed("an envelope without signatures")),
        };
        let payload_type = string(what, object, "payloadType")?.to_owned();
        Ok(Self { payload_type, payload, signature })
    }

    /// The bytes that are signed.
    pub fn signed(&self) -> Vec<u8> {
        pae(&self.payload_type, &self.payload)
    }

    /// That the payload is an in-toto statement, by its type.
    pub fn is_statement(&self) -> Result<(), Reason> {
        let kind = &self.payload_type;
        let special = kind
            .strip_prefix("application/vnd.in-toto.")
            .is_some_and(|rest| rest.ends_with("+json"));
        if kind == IN_TOTO || special {
            return Ok(());
        }
        Err(Reason::malformed(format!("a payload of type {}, no in-toto statement", quoted(kind))))
    }

    /// The envelope as JSON.
    pub fn to_value(&self) -> Value {
        json!({
            "payload": text::to_base64(&self.payload),
            "payloadType": self.payload_type,
            "signatures": [{"sig": text::to_base64(&self.signature)}],
        })
    }
}

/// What is signed: type and payload, each with its length, so that no bytes can
/// be read as another pair of them.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out =
        format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

/// A member that is base64.
pub(crate) fn bytes(
    what: &str,
    object: &Map<String, Value>,
    name: &str,
) -> Result<Vec<u8>, Reason> {
    let text = string(what, object, name)?;
    text::base64(text)
        .ok_or_else(|| Reason::malformed(format!("{what}: {name} is not canonical base64")))
}
