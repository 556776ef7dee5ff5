//! The protected header, which both forms of an envelope have, and the judgement on
//! what it says.

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::Value;

use super::{AUTHENTIC, AUTHORITY, EXPIRY, PAYLOAD, SCHEME, Signed, Store, TIME, X509, target};
use crate::claim::Seconds;
use crate::date;
use crate::format::cbor::Cbor;
use crate::format::parse::{no_lookalikes, object, string};
use crate::format::x509::{self, Certificate};
use crate::key::{Algorithm, Kind, PublicKey};
use crate::limits::Limits;
use crate::reason::{Reason, Why, quoted};

/// What is signed beside the payload.
pub(super) struct Header {
    algorithm: String,
    issued: Seconds,
    authentic: Option<Seconds>,
    expiry: Option<Seconds>,
}

/// What stands around it: its signature, and what is signed by nobody.
pub(super) struct Parts<'a> {
    pub(super) chain: Vec<Certificate>,
    pub(super) message: &'a [u8],
    pub(super) made: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl Header {
    pub(super) fn of_jws(bytes: &[u8], limits: &Limits) -> Result<Self, Reason> {
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

    pub(super) fn of_cose(bytes: &[u8]) -> Result<Self, Reason> {
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
        let algorithm = NUMBERS
            .into_iter()
            .find(|(number, _)| header.get(&Cbor::Number(1)) == Some(&Cbor::Number(*number)))
            .map(|(_, name)| name)
            .ok_or_else(|| bad("alg"))?;
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
            (X509, Some(time), None) => (time, None),
            (AUTHORITY, None, Some(time)) => (time, Some(time)),
            _ => {
                let text = format!("the scheme {} with other times", quoted(scheme));
                return Err(Reason::malformed(text));
            }
        };
        Ok(Self { algorithm, issued, authentic, expiry })
    }

    /// What is signed, if signature and chain hold.
    pub(super) fn judge(
        self,
        parts: Parts<'_>,
        store: &Store,
        limits: &Limits,
    ) -> Result<Signed, Reason> {
        let Parts { chain, message, made, payload } = parts;
        let leaf = chain.first().ok_or_else(|| Reason::malformed("no certificate"))?;
        self.verifies(&leaf.key, message, made)?;
        let (begin, end) = x509::chain(&chain)?;
        // A signing authority is one of its own, and vouches for nobody's certificates.
        let trusted = if self.authentic.is_some() { &store.signing } else { &store.authorities };
        let stranger = match store.who(&chain, trusted) {
            Err(reason) if store.anyone => Some(reason),
            other => other.map(|()| None)?,
        };
        if self.issued < begin || self.issued > end {
            return Err(Reason::new(
                Why::Expired,
                format!("signed at {}, when its certificates did not hold", self.issued),
            ));
        }
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
            expires: self.expiry,
            // Whoever is trusted to say the time has said it: the chain held then. The
            // word of a stranger is none.
            certified: (self.authentic.is_none() || stranger.is_some()).then_some((begin, end)),
            revocable: chain
                .split_last()
                .is_some_and(|(_, below)| below.iter().any(Certificate::revocable)),
            stranger,
            leaf: leaf.clone(),
            unstamped: None,
            signature: made.to_vec(),
        })
    }

    /// Whether the key made the signature, with the one algorithm that it may use.
    fn verifies(&self, key: &PublicKey, message: &[u8], made: &[u8]) -> Result<(), Reason> {
        let (name, algorithm) =
            algorithm(key).ok_or_else(|| Reason::malformed("a key of another size or kind"))?;
        let algorithm: &dyn VerificationAlgorithm = match algorithm {
            Algorithm::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_FIXED,
            Algorithm::RsaPssSha256 => &signature::RSA_PSS_2048_8192_SHA256,
            Algorithm::RsaPssSha384 => &signature::RSA_PSS_2048_8192_SHA384,
            _ => &signature::RSA_PSS_2048_8192_SHA512,
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

impl Store {
    /// Whether somebody trusts a chain, and it is that of someone who may sign.
    fn who(&self, chain: &[Certificate], trusted: &[Certificate]) -> Result<(), Reason> {
        x509::leads_to(chain, trusted)?;
        let Some(leaf) = chain.first() else { return Ok(()) };
        if self.identities.is_empty() || self.identities.iter().any(|name| leaf.is(name)) {
            return Ok(());
        }
        Err(Reason::new(Why::Key, format!("{} is not who may sign", quoted(&leaf.name()))))
    }
}

/// The one algorithm that a key may be used with, and its name.
pub(super) fn algorithm(key: &PublicKey) -> Option<(&'static str, Algorithm)> {
    Some(match (key.kind(), key.bits()) {
        (Kind::P256, _) => ("ES256", Algorithm::EcdsaP256Sha256),
        (Kind::P384, _) => ("ES384", Algorithm::EcdsaP384Sha384),
        (Kind::Rsa, 2048) => ("PS256", Algorithm::RsaPssSha256),
        (Kind::Rsa, 3072) => ("PS384", Algorithm::RsaPssSha384),
        (Kind::Rsa, 4096) => ("PS512", Algorithm::RsaPssSha512),
        _ => return None,
    })
}

/// The numbers of algorithms in COSE.
pub(super) const NUMBERS: [(i128, &str); 5] =
    [(-7, "ES256"), (-35, "ES384"), (-37, "PS256"), (-38, "PS384"), (-39, "PS512")];
