//! Making envelopes: what is signed, and what stands around it.
//!
//! They say exactly what the reader wants: the certificates are whole and hold, the
//! algorithm is that of the key, and nothing is critical that not every reader knows.

use plimsoll_content::{Algorithm as Hash, Code, Descriptor, Digest, Error, Result, json};
use serde_json::json;

use super::{AGENT, EXPIRY, PAYLOAD, SCHEME, TIME, X509, header, to_be_signed};
use crate::claim::{Form, Seconds};
use crate::date;
use crate::der::Der;
use crate::format::cbor;
use crate::format::x509::{self, Certificate};
use crate::key::{Algorithm, Kind, PublicKey};
use crate::text;
use crate::write::SigningKey;

/// The annotation of a manifest that tells the certificates of its envelope.
pub const THUMBPRINTS: &str = "io.cncf.notary.x509chain.thumbprint#S256";

/// A signer: the certificates of a key, its own first and the root last.
#[derive(Clone, Debug)]
pub struct Chain {
    certificates: Vec<Certificate>,
    holds: (Seconds, Seconds),
}

impl Chain {
    /// Reads certificates in PEM, in their order.
    ///
    /// Errors with [`Code::Malformed`] if they are no whole chain by the rules of the
    /// Notary Project: a signature with it would be refused everywhere.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let doing = "reading a chain of certificates";
        let bad = |found: &dyn std::fmt::Display| {
            Error::new(Code::Malformed, doing)
                .found(found)
                .expected("the certificate of the signer, those that lead to its root, and that")
        };
        let certificates = certificates("a chain of certificates", pem)?;
        let holds = x509::chain(&certificates).map_err(|reason| bad(&reason))?;
        Ok(Self { certificates, holds })
    }

    /// The key of the signer.
    pub fn key(&self) -> Option<&PublicKey> {
        self.certificates.first().map(|leaf| &leaf.key)
    }

    /// The subject of the signer, for people.
    pub fn name(&self) -> String {
        self.certificates.first().map(Certificate::name).unwrap_or_default()
    }

    /// The value of [`THUMBPRINTS`]: their SHA-256, as a list in JSON.
    pub fn thumbprints(&self) -> String {
        let one = |one: &Certificate| Digest::of(Hash::Sha256, &one.der).encoded();
        json!(self.certificates.iter().map(one).collect::<Vec<_>>()).to_string()
    }
}

/// Reads certificates in PEM.
///
/// Errors with [`Code::Malformed`] for anything else in the file.
pub fn certificates(what: &str, pem: &str) -> Result<Vec<Certificate>> {
    text::pem_blocks(what, pem)?
        .iter()
        .map(|(label, der)| match (label.as_str(), Certificate::parse_open(der)) {
            ("CERTIFICATE", Ok(certificate)) => Ok(certificate),
            ("CERTIFICATE", Err(reason)) => {
                Err(Error::new(Code::Malformed, format!("reading {what}")).found(reason))
            }
            (label, _) => Err(Error::new(Code::Malformed, format!("reading {what}"))
                .found(format!("a PEM block {label:?}"))
                .expected("CERTIFICATE")),
        })
        .collect()
}

/// Makes an envelope about some content in one of the two forms: signed now, `issued`,
/// and possibly holding no longer than some time.
///
/// Errors with [`Code::Usage`] if the chain is of another key, of one that the Notary
/// Project does not know, or does not hold at that time.
pub fn envelope(
    form: Form,
    key: &dyn SigningKey,
    chain: &Chain,
    content: &Descriptor,
    issued: Seconds,
    expires: Option<Seconds>,
) -> Result<Vec<u8>> {
    let unusable =
        |found: String| Error::new(Code::Usage, "signing with a certificate").found(found);
    let named = header::algorithm(key.public()).ok_or_else(|| {
        unusable(format!("a {} key of {} bits", key.public().kind().as_str(), key.public().bits()))
            .expected("ECDSA P-256 or P-384, or RSA of 2048, 3072 or 4096 bits")
    })?;
    if chain.key() != Some(key.public()) {
        return Err(unusable(format!("a certificate for another key: {}", chain.name()))
            .expected(format!("one for the key {}", key.public().fingerprint())));
    }
    let (begin, end) = chain.holds;
    if issued < begin || issued > end {
        let (begin, end) = (date::to_rfc3339(begin), date::to_rfc3339(end));
        return Err(unusable(format!("certificates that hold from {begin} to {end}"))
            .expected("ones that hold now"));
    }
    let payload = json::canonical(&json!({"targetArtifact": {
        "digest": content.digest,
        "mediaType": content.media_type,
        "size": content.size,
    }}))?;
    match form {
        Form::NotaryCose => cose(key, named, chain, &payload, issued, expires),
        _ => jws(key, named, chain, &payload, issued, expires),
    }
}

fn critical(expires: Option<Seconds>) -> Vec<&'static str> {
    [SCHEME].into_iter().chain(expires.map(|_| EXPIRY)).collect()
}

fn jws(
    key: &dyn SigningKey,
    (name, algorithm): (&str, Algorithm),
    chain: &Chain,
    payload: &[u8],
    issued: Seconds,
    expires: Option<Seconds>,
) -> Result<Vec<u8>> {
    let mut protected = json!({
        "alg": name,
        "crit": critical(expires),
        "cty": PAYLOAD,
        SCHEME: X509,
        TIME: date::to_rfc3339(issued),
    });
    if let Some(expires) = expires {
        protected[EXPIRY] = date::to_rfc3339(expires).into();
    }
    let protected = text::to_base64url(&json::canonical(&protected)?);
    let payload = text::to_base64url(payload);
    let signature = signature(key, algorithm, format!("{protected}.{payload}").as_bytes())?;
    let list: Vec<_> = chain.certificates.iter().map(|one| text::to_base64(&one.der)).collect();
    json::canonical(&json!({
        "payload": payload,
        "protected": protected,
        "header": {"x5c": list, AGENT: agent()},
        "signature": text::to_base64url(&signature),
    }))
}

fn cose(
    key: &dyn SigningKey,
    (name, algorithm): (&str, Algorithm),
    chain: &Chain,
    payload: &[u8],
    issued: Seconds,
    expires: Option<Seconds>,
) -> Result<Vec<u8>> {
    let number = header::NUMBERS.into_iter().find(|(_, known)| *known == name);
    let number = number.map(|(number, _)| number as i64).unwrap_or_default();
    let names: Vec<_> = critical(expires).into_iter().map(cbor::text).collect();
    let time = |time| cbor::tag(1, &cbor::number(time));
    let mut protected = vec![
        (cbor::number(1), cbor::number(number)),
        (cbor::number(2), cbor::array(&names)),
        (cbor::number(3), cbor::text(PAYLOAD)),
        (cbor::text(SCHEME), cbor::text(X509)),
        (cbor::text(TIME), time(issued)),
    ];
    protected.extend(expires.map(|expires| (cbor::text(EXPIRY), time(expires))));
    let protected = cbor::map(protected);
    let signature = signature(key, algorithm, &to_be_signed(&protected, payload))?;
    let list: Vec<_> = chain.certificates.iter().map(|one| cbor::bytes(&one.der)).collect();
    let unprotected = cbor::map(vec![
        (cbor::number(33), cbor::array(&list)),
        (cbor::text(AGENT), cbor::text(&agent())),
    ]);
    let parts =
        [cbor::bytes(&protected), unprotected, cbor::bytes(payload), cbor::bytes(&signature)];
    Ok(cbor::tag(18, &cbor::array(&parts)))
}

/// Who made it; nobody signs that.
fn agent() -> String {
    concat!("plimsoll/", env!("CARGO_PKG_VERSION")).to_owned()
}

/// A signature as both forms have it: of ECDSA the two numbers, without DER.
fn signature(key: &dyn SigningKey, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
    let made = key.sign_with(algorithm, message)?;
    let length = match algorithm.kind() {
        Kind::P256 => 32,
        Kind::P384 => 48,
        Kind::Ed25519 | Kind::Rsa => return Ok(made),
    };
    fixed(&made, length).ok_or_else(|| {
        Error::new(Code::Malformed, "signing").found("something else than a signature of ECDSA")
    })
}

fn fixed(made: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut pair = Der::only(made, crate::der::SEQUENCE)?;
    let mut out = vec![0; 2 * length];
    for half in out.chunks_mut(length) {
        let number = pair.unsigned()?;
        half.get_mut(length.checked_sub(number.len())?..)?.copy_from_slice(number);
    }
    pair.end().map(|()| out)
}
