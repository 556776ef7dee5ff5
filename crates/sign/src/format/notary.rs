//! Signatures of the Notary Project (its signature specification) in JWS (RFC 7515) and
//! COSE (RFC 9052): verified with a chain of certificates that comes along and leads to
//! a trusted one.

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::{Map, Value};

use plimsoll_content::Digest;

use super::cbor::{self, Cbor};
use super::parse::{exactly, member, no_lookalikes, object, string, within};
use super::x509::{self, Certificate};
use crate::claim::Seconds;
use crate::date;
use crate::key::{Kind, PublicKey};
use crate::limits::Limits;
use crate::reason::{Reason, Why, quoted};
use crate::text;

/// The media type of an envelope in JWS.
pub const JWS: &str = "application/jose+json";
/// The media type of one in COSE.
pub const COSE: &str = "application/cose";

const PAYLOAD: &str = "application/vnd.cncf.notary.payload.v1+json";
const SCHEME: &str = "io.cncf.notary.signingScheme";
const TIME: &str = "io.cncf.notary.signingTime";
const EXPIRY: &str = "io.cncf.notary.expiry";
const AUTHENTIC: &str = "io.cncf.notary.authenticSigningTime";

/// What an envelope says whose signature holds.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The certificate of the signer.
    pub leaf: Certificate,
    /// How it is signed.
    pub algorithm: String,
    /// The manifest.
    pub digest: Digest,
    /// What the manifest is.
    pub media_type: String,
    /// How long it is.
    pub size: u64,
    /// When it was signed.
    pub issued: Seconds,
    /// In which time it holds.
    pub holds: (Option<Seconds>, Option<Seconds>),
}

/// Verifies an envelope in JWS, with certificates that are trusted.
pub fn verify(bytes: &[u8], trusted: &[Certificate], limits: &Limits) -> Result<Signed, Reason> {
    let what = "the envelope";
    within("an envelope", bytes.len(), limits.envelope)?;
    let envelope = object(what, bytes, limits.depth)?;
    exactly(what, &envelope, &["payload", "protected", "header", "signature"])?;
    let encoded = |name: &str| {
        let text = string(what, &envelope, name)?;
        let bytes = text::base64url(text).ok_or_else(|| {
            Reason::malformed(format!("{what}: {name} is not canonical base64url"))
        })?;
        Ok::<_, Reason>((text, bytes))
    };
    let (payload_text, payload) = encoded("payload")?;
    let (protected_text, protected) = encoded("protected")?;
    let (_, made) = encoded("signature")?;
    let chain = certificates(member(what, &envelope, "header")?)?;
    let header = Header::of_jws(&protected, limits)?;
    let message = format!("{protected_text}.{payload_text}");
    header.judge(&chain, trusted, message.as_bytes(), &made, &payload, limits)
}

/// Verifies an envelope in COSE, a COSE_Sign1 with its tag.
pub fn verify_cose(
    bytes: &[u8],
    trusted: &[Certificate],
    limits: &Limits,
) -> Result<Signed, Reason> {
    within("an envelope", bytes.len(), limits.envelope)?;
    let bad = || Reason::malformed("no COSE_Sign1 with its tag, in the shortest CBOR");
    let Some(Cbor::Tag(18, inner)) = Cbor::parse(bytes) else { return Err(bad()) };
    let Cbor::Array(parts) = *inner else { return Err(bad()) };
    let [Cbor::Bytes(protected), unprotected, Cbor::Bytes(payload), Cbor::Bytes(made)] = &parts[..]
    else {
        return Err(bad());
    };
    let chain = match unprotected.get(&Cbor::Number(33)) {
        Some(Cbor::Array(list)) if list.len() <= 16 => {
            list.iter().map(Cbor::bytes).collect::<Option<Vec<_>>>().ok_or_else(bad)?
        }
        Some(Cbor::Bytes(one)) => vec![*one],
        _ => return Err(Reason::malformed("the envelope: x5chain is no list of certificates")),
    };
    let chain = chain.into_iter().map(Certificate::parse).collect::<Result<Vec<_>, Reason>>()?;
    let header = Header::of_cose(protected)?;
    let message = [
        &[0x84, 0x6a][..],
        b"Signature1",
        &cbor::bytes(protected),
        &cbor::bytes(b""),
        &cbor::bytes(payload),
    ]
    .concat();
    header.judge(&chain, trusted, &message, made, payload, limits)
}

/// The one member of the payload. What is unknown there could be a condition.
fn target(payload: &[u8], limits: &Limits) -> Result<Map<String, Value>, Reason> {
    let payload = object("the payload", payload, limits.depth)?;
    exactly("the payload", &payload, &["targetArtifact"])?;
    let target = member("the payload", &payload, "targetArtifact")?;
    let known = ["mediaType", "digest", "size", "annotations"];
    no_lookalikes("targetArtifact", target, &known)?;
    if let Some(name) = target.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(Reason::malformed(format!("targetArtifact has a member {}", quoted(name))));
    }
    Ok(target.clone())
}

fn certificates(header: &Map<String, Value>) -> Result<Vec<Certificate>, Reason> {
    let bad = || Reason::malformed("the envelope: x5c is no list of certificates");
    let list = header.get("x5c").and_then(Value::as_array).ok_or_else(bad)?;
    // The rest of the header is signed by nobody.
    list.iter()
        .take(16)
        .map(|one| {
            let der = one.as_str().and_then(text::base64).ok_or_else(bad)?;
            Certificate::parse(&der)
        })
        .collect()
}

struct Header {
    algorithm: String,
    issued: Seconds,
    authentic: Option<Seconds>,
    expiry: Option<Seconds>,
}

impl Header {
    fn of_jws(bytes: &[u8], limits: &Limits) -> Result<Self, Reason> {
        let what = "the protected header";
        let header = object(what, bytes, limits.depth)?;
        let known = ["alg", "cty", "crit", SCHEME, TIME, EXPIRY, AUTHENTIC];
        no_lookalikes(what, &header, &known)?;
        let critical: Vec<&str> = header
            .get("crit")
            .and_then(Value::as_array)
            .and_then(|all| all.iter().map(Value::as_str).collect::<Option<_>>())
            .ok_or_else(|| Reason::malformed("a protected header without crit"))?;
        let at = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_str()
                .and_then(date::rfc3339)
                .map(Some)
                .ok_or_else(|| Reason::malformed(format!("{name} is no time"))),
        };
        let times = [at(TIME)?, at(AUTHENTIC)?, at(EXPIRY)?];
        let content = string(what, &header, "cty")?;
        let scheme = string(what, &header, SCHEME)?;
        let algorithm = string(what, &header, "alg")?.to_owned();
        Self::of(content, &critical, scheme, times, algorithm)
    }

    fn of_cose(bytes: &[u8]) -> Result<Self, Reason> {
        let what = "the protected header";
        let bad = |name: &str| Reason::malformed(format!("{what}: {name} is missing or wrong"));
        let header = Cbor::parse(bytes).ok_or_else(|| bad("all of it"))?;
        let Some(Cbor::Array(list)) = header.get(&Cbor::Number(2)) else {
            return Err(bad("crit"));
        };
        let critical = list.iter().map(Cbor::text).collect::<Option<Vec<_>>>();
        let critical = critical.ok_or_else(|| bad("crit"))?;
        let text = |key: &Cbor<'_>, name: &str| {
            header.get(key).and_then(Cbor::text).ok_or_else(|| bad(name))
        };
        let at = |name: &'static str| match header.get(&Cbor::Text(name)) {
            None => Ok(None),
            Some(Cbor::Tag(1, time)) => match **time {
                Cbor::Number(seconds) => {
                    Seconds::try_from(seconds).map(Some).map_err(|_| bad(name))
                }
                _ => Err(bad(name)),
            },
            Some(_) => Err(bad(name)),
        };
        let times = [at(TIME)?, at(AUTHENTIC)?, at(EXPIRY)?];
        let algorithm = match header.get(&Cbor::Number(1)) {
            Some(Cbor::Number(-7)) => "ES256",
            Some(Cbor::Number(-35)) => "ES384",
            Some(Cbor::Number(-37)) => "PS256",
            Some(Cbor::Number(-38)) => "PS384",
            Some(Cbor::Number(-39)) => "PS512",
            _ => return Err(bad("alg")),
        };
        let content = text(&Cbor::Number(3), "cty")?;
        let scheme = text(&Cbor::Text(SCHEME), SCHEME)?;
        Self::of(content, &critical, scheme, times, algorithm.to_owned())
    }

    /// What both forms say: `times` are the time of signing, that of an authority, and
    /// the end.
    fn of(
        content: &str,
        critical: &[&str],
        scheme: &str,
        times: [Option<Seconds>; 3],
        algorithm: String,
    ) -> Result<Self, Reason> {
        if content != PAYLOAD {
            return Err(Reason::malformed(format!("a payload of type {}", quoted(content))));
        }
        let [time, authentic, expiry] = times;
        let there = [(SCHEME, true), (EXPIRY, expiry.is_some()), (AUTHENTIC, authentic.is_some())];
        for (at, name) in critical.iter().enumerate() {
            let Some((_, there)) = there.iter().find(|(known, _)| known == name) else {
                return Err(Reason::malformed(format!(
                    "a critical header {}, which is not understood",
                    quoted(name)
                )));
            };
            if critical[..at].contains(name) || !there {
                return Err(Reason::malformed(format!("crit names {name} wrongly")));
            }
        }
        for (name, there) in there {
            if there && !critical.contains(&name) {
                return Err(Reason::malformed(format!("{name} is not among the critical")));
            }
        }
        let (issued, authentic) = match (scheme, time, authentic) {
            ("notary.x509", Some(time), None) => (time, None),
            ("notary.x509.signingAuthority", None, Some(time)) => (time, Some(time)),
            _ => {
                let text = format!("the scheme {} with other times", quoted(scheme));
                return Err(Reason::malformed(text));
            }
        };
        Ok(Self { algorithm, issued, authentic, expiry })
    }

    /// What is signed, if signature and chain hold.
    fn judge(
        self,
        chain: &[Certificate],
        trusted: &[Certificate],
        message: &[u8],
        made: &[u8],
        payload: &[u8],
        limits: &Limits,
    ) -> Result<Signed, Reason> {
        let leaf = chain.first().ok_or_else(|| Reason::malformed("no certificate"))?;
        self.verifies(&leaf.key, message, made)?;
        let (begin, end) = x509::chain(chain, trusted)?;
        let holds = match self.authentic {
            // Whoever is trusted to say the time has said it: the chain held then.
            Some(at) if at < begin || at > end => {
                return Err(Reason::new(
                    Why::Expired,
                    format!("signed at {at}, when its certificates did not hold"),
                ));
            }
            Some(_) => (None, self.expiry),
            None => (Some(begin), Some(self.expiry.map_or(end, |expiry| expiry.min(end)))),
        };
        let target = target(payload, limits)?;
        let digest = string("targetArtifact", &target, "digest")?;
        Ok(Signed {
            algorithm: self.algorithm,
            digest: digest.parse().map_err(Reason::malformed)?,
            media_type: string("targetArtifact", &target, "mediaType")?.to_owned(),
            size: target
                .get("size")
                .and_then(Value::as_u64)
                .ok_or_else(|| Reason::malformed("targetArtifact: size is no number"))?,
            issued: self.issued,
            holds,
            leaf: leaf.clone(),
        })
    }

    /// Whether the key made the signature, with the one algorithm that it may use.
    fn verifies(&self, key: &PublicKey, message: &[u8], made: &[u8]) -> Result<(), Reason> {
        let (name, algorithm): (_, &dyn VerificationAlgorithm) = match (key.kind(), key.bits()) {
            (Kind::P256, _) => ("ES256", &signature::ECDSA_P256_SHA256_FIXED),
            (Kind::P384, _) => ("ES384", &signature::ECDSA_P384_SHA384_FIXED),
            (Kind::Rsa, 2048) => ("PS256", &signature::RSA_PSS_2048_8192_SHA256),
            (Kind::Rsa, 3072) => ("PS384", &signature::RSA_PSS_2048_8192_SHA384),
            (Kind::Rsa, 4096) => ("PS512", &signature::RSA_PSS_2048_8192_SHA512),
            _ => return Err(Reason::malformed("a key of another size or kind")),
        };
        if self.algorithm != name {
            let found = quoted(&self.algorithm);
            return Err(Reason::malformed(format!("alg {found}, and a key for {name}")));
        }
        UnparsedPublicKey::new(algorithm, key.raw())
            .verify(message, made)
            .map_err(|_| Reason::new(Why::Key, "not made by its certificate, or changed since"))
    }
}
