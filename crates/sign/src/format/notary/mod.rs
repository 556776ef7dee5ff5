//! Signatures of the Notary Project (its signature specification) in JWS (RFC 7515) and
//! COSE (RFC 9052): verified with a chain of certificates that comes along and leads to
//! a trusted one. Beside that they are made here ([`mod@write`]).

mod header;
pub mod write;

use serde_json::{Map, Value};

use plimsoll_content::Digest;

use super::cbor::{self, Cbor};
use super::dn;
use super::parse::{exactly, member, no_lookalikes, object, string, within};
use super::root::Authority;
use super::timestamp;
use super::x509::Certificate;
use crate::claim::Seconds;
use crate::limits::Limits;
use crate::reason::{Reason, Why, quoted};
use crate::text;
use header::{Header, Parts};

/// The media type of an envelope in JWS.
pub const JWS: &str = "application/jose+json";
/// The media type of one in COSE.
pub const COSE: &str = "application/cose";
/// The type of the artifacts that hold envelopes.
pub const ARTIFACT: &str = "application/vnd.cncf.notary.signature";

const PAYLOAD: &str = "application/vnd.cncf.notary.payload.v1+json";
const SCHEME: &str = "io.cncf.notary.signingScheme";
const TIME: &str = "io.cncf.notary.signingTime";
const EXPIRY: &str = "io.cncf.notary.expiry";
const AUTHENTIC: &str = "io.cncf.notary.authenticSigningTime";
const TOKEN: &str = "io.cncf.notary.timestampSignature";
const AGENT: &str = "io.cncf.notary.signingAgent";

/// The scheme of signers who have a certificate.
const X509: &str = "notary.x509";
/// That of authorities who sign for others, and whose word counts for the time.
const AUTHORITY: &str = "notary.x509.signingAuthority";

/// How many certificates of an envelope are read.
const CERTIFICATES: usize = 16;

/// Certificates that chains must lead to, and whom they vouch for.
#[derive(Clone, Debug, Default)]
pub struct Store {
    /// Those for signers who have a certificate.
    pub authorities: Vec<Certificate>,
    /// Those for signing authorities, who also vouch for the time.
    pub signing: Vec<Certificate>,
    /// Parts of the subject that the signer must have, in one of these combinations;
    /// none is any.
    pub identities: Vec<dn::Name>,
    /// Whether a chain that leads to none of them is told and not refused.
    pub anyone: bool,
    /// Those for authorities that stamp times.
    pub stamping: Vec<Authority>,
    /// When a time stamp is looked at.
    pub stamps: Stamps,
}

/// When a time stamp is looked at, where authorities for them are known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Stamps {
    /// Once the certificates of the signer have ended to hold.
    #[default]
    AfterEnd,
    /// Always: a signature needs one.
    Always,
}

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
    /// Until when it holds, as the signer says.
    pub expires: Option<Seconds>,
    /// In which time all its certificates hold; none where an authority has vouched for
    /// the time of signing, at which they did.
    pub certified: Option<(Seconds, Seconds)>,
    /// Whether a certificate names a place that would tell of its revocation.
    pub revocable: bool,
    /// Why nobody trusts its certificates, where that was to be told.
    pub stranger: Option<Reason>,
    /// Why there is no time stamp that counts, where one was to be there.
    pub unstamped: Option<Reason>,
    /// The signature itself.
    signature: Vec<u8>,
}

impl Signed {
    /// What a time stamp of the signature makes of it: if it was made while all of its
    /// certificates held, they need not hold any more.
    fn stamped(self, token: Option<&[u8]>, store: &Store) -> Self {
        let Some((begin, end)) = self.certified.filter(|_| !store.stamping.is_empty()) else {
            return self;
        };
        let wrong = |text: String| Some(Reason::new(Why::Time, text));
        let unstamped = match token
            .map(|it| timestamp::verify(it, &self.signature, &store.stamping))
        {
            None => wrong("no time stamp".to_owned()),
            Some(Err(reason)) => Some(reason),
            Some(Ok(None)) => wrong("a time stamp of an authority that is not trusted".to_owned()),
            Some(Ok(Some(stamp))) => {
                let (first, last) = (stamp.at - stamp.accuracy, stamp.at + stamp.accuracy);
                if first >= begin && last <= end {
                    return Self { certified: None, ..self };
                }
                wrong(format!("stamped at {}, when its certificates did not hold", stamp.at))
            }
        };
        Self { unstamped: unstamped.filter(|_| store.stamps == Stamps::Always), ..self }
    }
}

/// Verifies an envelope in JWS, with certificates that are trusted.
pub fn verify(bytes: &[u8], store: &Store, limits: &Limits) -> Result<Signed, Reason> {
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
    let unsigned = member(what, &envelope, "header")?;
    let chain = certificates(unsigned)?;
    let token = unsigned.get(TOKEN).and_then(Value::as_str).and_then(text::base64);
    let header = Header::of_jws(&protected, limits)?;
    let message = format!("{protected_text}.{payload_text}");
    let parts = Parts { chain, message: message.as_bytes(), made: &made, payload: &payload };
    header.judge(parts, store, limits).map(|signed| signed.stamped(token.as_deref(), store))
}

/// Verifies an envelope in COSE, a COSE_Sign1 with its tag.
pub fn verify_cose(bytes: &[u8], store: &Store, limits: &Limits) -> Result<Signed, Reason> {
    within("an envelope", bytes.len(), limits.envelope)?;
    let bad = || Reason::malformed("no COSE_Sign1 with its tag, in the shortest CBOR");
    let Some(Cbor::Tag(18, inner)) = Cbor::parse(bytes) else { return Err(bad()) };
    let Cbor::Array(parts) = *inner else { return Err(bad()) };
    let [Cbor::Bytes(protected), unprotected, Cbor::Bytes(payload), Cbor::Bytes(made)] = &parts[..]
    else {
        return Err(bad());
    };
    let chain = match unprotected.get(&Cbor::Number(33)) {
        Some(Cbor::Array(list)) if list.len() <= CERTIFICATES => {
            list.iter().map(Cbor::bytes).collect::<Option<Vec<_>>>().ok_or_else(bad)?
        }
        Some(Cbor::Bytes(one)) => vec![*one],
        _ => return Err(Reason::malformed("the envelope: x5chain is no list of certificates")),
    };
    let chain =
        chain.into_iter().map(Certificate::parse_open).collect::<Result<Vec<_>, Reason>>()?;
    let header = Header::of_cose(protected)?;
    let token = unprotected.get(&Cbor::Text(TOKEN)).and_then(Cbor::bytes).map(<[u8]>::to_vec);
    let message = to_be_signed(protected, payload);
    let parts = Parts { chain, message: &message, made, payload };
    header.judge(parts, store, limits).map(|signed| signed.stamped(token.as_deref(), store))
}

/// What is signed in COSE: a Sig_structure (RFC 9052, 4.4).
fn to_be_signed(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let parts =
        [cbor::text("Signature1"), cbor::bytes(protected), cbor::bytes(b""), cbor::bytes(payload)];
    cbor::array(&parts)
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
        .take(CERTIFICATES)
        .map(|one| {
            let der = one.as_str().and_then(text::base64).ok_or_else(bad)?;
            Certificate::parse_open(&der)
        })
        .collect()
}
