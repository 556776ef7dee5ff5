//! What entries of logs are about: that one is about this signature, by this signer,
//! over this content, and not about others.

use serde_json::{Map, Value};

use super::Entry;
use crate::format::dsse::{Envelope, bytes};
use crate::format::hash;
use crate::format::parse::{member, no_lookalikes, object, string};
use crate::key::PublicKey;
use crate::reason::{Reason, Why, quoted};
use crate::text;

/// How deep an entry nests.
const DEPTH: usize = 16;

/// A signature whose entry is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made<'a> {
    /// What is signed.
    pub(crate) message: &'a [u8],
    /// The signature.
    pub(crate) signature: &'a [u8],
    /// The envelope that is signed, if it is one.
    pub(crate) envelope: Option<&'a Envelope>,
    /// By whom.
    pub(crate) signer: Maker<'a>,
}

/// Who made a signature.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Maker<'a> {
    /// Whom a certificate names.
    Certificate(&'a [u8]),
    /// The owner of a key.
    Key(&'a PublicKey),
}

/// Kind and version of an entry, as it says itself.
pub(super) fn kind(body: &[u8]) -> Result<(String, String), Reason> {
    let what = "a log entry";
    let body = object(what, body, DEPTH)?;
    Ok((string(what, &body, "kind")?.to_owned(), string(what, &body, "apiVersion")?.to_owned()))
}

fn other(what: &str) -> Reason {
    Reason::new(Why::Log, format!("the log entry is about another {what}"))
}

impl Entry {
    /// That the entry is about the signature.
    pub(crate) fn is_about(&self, made: &Made<'_>) -> Result<(), Reason> {
        let what = "a log entry";
        let body = object(what, &self.body, DEPTH)?;
        no_lookalikes(what, &body, &["apiVersion", "kind", "spec"])?;
        let (kind, version) = (string(what, &body, "kind")?, string(what, &body, "apiVersion")?);
        if (kind, version) != (&self.kind.0, &self.kind.1) {
            let text = "a log entry of another kind than the bundle says";
            return Err(Reason::new(Why::Log, text));
        }
        let spec = member(what, &body, "spec")?;
        match (kind, version, made.envelope) {
            ("hashedrekord", "0.0.1", _) => first_hashed(spec, made),
            ("hashedrekord", "0.0.2", _) => {
                let entry = member(what, spec, "hashedRekordV002")?;
                digest(member(what, entry, "data")?, "digest", made.message)?;
                second(member(what, entry, "signature")?, made)
            }
            ("dsse", "0.0.1", Some(envelope)) => first_envelope(spec, made, envelope),
            ("dsse", "0.0.2", Some(envelope)) => {
                let entry = member(what, spec, "dsseV002")?;
                digest(member(what, entry, "payloadHash")?, "digest", &envelope.payload)?;
                second(one(what, entry, "signatures")?, made)
            }
            ("intoto", "0.0.2", Some(envelope)) => intoto(spec, made, envelope),
            _ => {
                let text = format!(
                    "a log entry of kind {} {}, which is not for such a signature",
                    quoted(kind),
                    quoted(version)
                );
                Err(Reason::new(Why::Log, text))
            }
        }
    }
}

fn first_hashed(spec: &Map<String, Value>, made: &Made<'_>) -> Result<(), Reason> {
    let what = "a log entry";
    let data = member(what, spec, "data")?;
    digest(member(what, data, "hash")?, "value", made.message)?;
    let signature = member(what, spec, "signature")?;
    if bytes(what, signature, "content")? != made.signature {
        return Err(other("signature"));
    }
    let key = member(what, signature, "publicKey")?;
    in_pem(&bytes(what, key, "content")?, made)
}

fn first_envelope(
    spec: &Map<String, Value>,
    made: &Made<'_>,
    envelope: &Envelope,
) -> Result<(), Reason> {
    let what = "a log entry";
    digest(member(what, spec, "payloadHash")?, "value", &envelope.payload)?;
    let signature = one(what, spec, "signatures")?;
    if bytes(what, signature, "signature")? != made.signature {
        return Err(other("signature"));
    }
    in_pem(&bytes(what, signature, "verifier")?, made)
}

fn intoto(spec: &Map<String, Value>, made: &Made<'_>, envelope: &Envelope) -> Result<(), Reason> {
    let what = "a log entry";
    let content = member(what, spec, "content")?;
    digest(member(what, content, "payloadHash")?, "value", &envelope.payload)?;
    let logged = member(what, content, "envelope")?;
    if string(what, logged, "payloadType")? != envelope.payload_type {
        return Err(other("type of payload"));
    }
    let signature = one(what, logged, "signatures")?;
    // The log encodes once more what is encoded already.
    let encoded = String::from_utf8(bytes(what, signature, "sig")?).ok();
    if encoded.as_deref().and_then(text::base64).as_deref() != Some(made.signature) {
        return Err(other("signature"));
    }
    in_pem(&bytes(what, signature, "publicKey")?, made)
}

/// The one object of an array.
fn one<'a>(
    what: &str,
    object: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a Map<String, Value>, Reason> {
    match object.get(name).and_then(Value::as_array).map(Vec::as_slice) {
        Some([Value::Object(one)]) => Ok(one),
        _ => Err(Reason::malformed(format!("{what}: {name} are not exactly one"))),
    }
}

/// That the hash which is written there is one of the bytes: in hex, or in base64 where
/// protobuf writes it.
fn digest(object: &Map<String, Value>, name: &str, content: &[u8]) -> Result<(), Reason> {
    let what = "a log entry";
    let algorithm = string(what, object, "algorithm")?;
    let own = hash::of(algorithm, content).ok_or_else(|| {
        Reason::new(Why::Log, format!("a log entry with the hash {}", quoted(algorithm)))
    })?;
    let text = string(what, object, name)?;
    let written = if name == "value" { hash::unhex(text) } else { text::base64(text) };
    if written.as_deref() == Some(&own) { Ok(()) } else { Err(other("content")) }
}

/// Signature and signer of an entry of the second version of logs.
fn second(signature: &Map<String, Value>, made: &Made<'_>) -> Result<(), Reason> {
    let what = "a log entry";
    if bytes(what, signature, "content")? != made.signature {
        return Err(other("signature"));
    }
    let verifier = member(what, signature, "verifier")?;
    let raw = |name: &str| bytes(what, member(what, verifier, name)?, "rawBytes");
    let same = match (made.signer, verifier.contains_key("x509Certificate")) {
        (Maker::Certificate(der), true) => raw("x509Certificate")? == der,
        (Maker::Key(key), false) => raw("publicKey")? == key.der(),
        _ => false,
    };
    if same { Ok(()) } else { Err(other("signer")) }
}

/// The same of one of the first version, in PEM.
fn in_pem(pem: &[u8], made: &Made<'_>) -> Result<(), Reason> {
    let pem = std::str::from_utf8(pem).ok();
    let block = pem.and_then(|pem| text::pem("the signer of a log entry", pem).ok());
    let same = match (made.signer, &block) {
        (Maker::Certificate(der), Some((label, found))) => {
            label == "CERTIFICATE" && found.as_slice() == der
        }
        (Maker::Key(key), Some((label, found))) => {
            label == "PUBLIC KEY" && found.as_slice() == key.der()
        }
        _ => false,
    };
    if same { Ok(()) } else { Err(other("signer")) }
}
