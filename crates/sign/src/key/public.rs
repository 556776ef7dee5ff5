//! Public keys, and what is verified with them.

use std::fmt;

use plimsoll_content::{Code, Error, Result};
use ring::digest;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use crate::der::{self, Der};
use crate::text;

/// What kind of key it is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// ECDSA on NIST P-256.
    P256,
    /// ECDSA on NIST P-384.
    P384,
    /// Ed25519 (RFC 8032), of the message itself and not of its hash.
    Ed25519,
    /// RSA of 2048 to 8192 bits.
    Rsa,
}

impl Kind {
    /// The word for it on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Ed25519 => "ed25519",
            Self::Rsa => "rsa",
        }
    }
}

/// How exactly something is signed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Algorithm {
    /// ECDSA P-256 with SHA-256, in DER.
    EcdsaP256Sha256,
    /// ECDSA P-384 with SHA-384, in DER.
    EcdsaP384Sha384,
    /// ECDSA P-384 with SHA-256, in DER.
    EcdsaP384Sha256,
    /// Ed25519.
    Ed25519,
    /// RSA PKCS #1 v1.5 with SHA-256.
    RsaPkcs1Sha256,
    /// RSASSA-PSS with SHA-256, as long a salt, and MGF1 of the same.
    RsaPssSha256,
    /// The same with SHA-384.
    RsaPssSha384,
    /// The same with SHA-512.
    RsaPssSha512,
}

impl Algorithm {
    /// Its name in the registry of sigstore.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256Sha256 => "ecdsa-sha2-256-nistp256",
            Self::EcdsaP384Sha384 => "ecdsa-sha2-384-nistp384",
            Self::EcdsaP384Sha256 => "ecdsa-sha2-256-nistp384",
            Self::Ed25519 => "ed25519",
            Self::RsaPkcs1Sha256 => "rsa-sign-pkcs1-sha256",
            Self::RsaPssSha256 => "rsa-sign-pss-sha256",
            Self::RsaPssSha384 => "rsa-sign-pss-sha384",
            Self::RsaPssSha512 => "rsa-sign-pss-sha512",
        }
    }

    /// All that are known.
    const ALL: [Self; 8] = [
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::EcdsaP384Sha256,
        Self::Ed25519,
        Self::RsaPkcs1Sha256,
        Self::RsaPssSha256,
        Self::RsaPssSha384,
        Self::RsaPssSha512,
    ];

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// The kind of key that signs so.
    pub fn kind(self) -> Kind {
        match self {
            Self::EcdsaP256Sha256 => Kind::P256,
            Self::EcdsaP384Sha384 | Self::EcdsaP384Sha256 => Kind::P384,
            Self::Ed25519 => Kind::Ed25519,
            Self::RsaPkcs1Sha256 | Self::RsaPssSha256 | Self::RsaPssSha384 | Self::RsaPssSha512 => {
                Kind::Rsa
            }
        }
    }

    fn verifier(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
            Self::EcdsaP384Sha256 => &signature::ECDSA_P384_SHA256_ASN1,
            Self::Ed25519 => &signature::ED25519,
            Self::RsaPkcs1Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RsaPssSha256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::RsaPssSha384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::RsaPssSha512 => &signature::RSA_PSS_2048_8192_SHA512,
        }
    }
}

/// A public key. Equal keys have equal bytes: there is one encoding.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub struct PublicKey {
    kind: Kind,
    spki: Vec<u8>,
    /// What `ring` wants of it: the point, the 32 bytes, or an RSAPublicKey.
    raw: Vec<u8>,
}

pub(crate) const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
pub(crate) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
pub(crate) const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
pub(crate) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
pub(crate) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).
    pub fn from_der(spki: &[u8]) -> Result<Self> {
        let bad = || Error::new(Code::Malformed, "reading a public key").expected(KINDS);
        let (kind, raw) = parse(spki).ok_or_else(bad)?;
        let built = Self::from_parts(kind, raw)?;
        // One key must not have two fingerprints.
        if built.spki == spki { Ok(built) } else { Err(bad().found("an unusual encoding")) }
    }

    /// Reads a PEM block `PUBLIC KEY`.
    pub fn from_pem(pem: &str) -> Result<Self> {
        match text::pem("a public key", pem)? {
            (label, content) if label == "PUBLIC KEY" => Self::from_der(&content),
            (label, _) => Err(Error::new(Code::Malformed, "reading a public key")
                .found(format!("a PEM block {label:?}"))
                .expected("PUBLIC KEY")),
        }
    }

    /// The key of what `ring` knows it by.
    pub(crate) fn from_parts(kind: Kind, raw: &[u8]) -> Result<Self> {
        let algorithm = match kind {
            Kind::P256 | Kind::P384 => {
                let curve = if kind == Kind::P256 { P256 } else { P384 };
                let curve = der::value(der::OID, &[curve]);
                [der::value(der::OID, &[EC_PUBLIC_KEY]), curve].concat()
            }
            Kind::Ed25519 => der::value(der::OID, &[ED25519]),
            Kind::Rsa => [der::value(der::OID, &[RSA]), der::value(der::NULL, &[])].concat(),
        };
        let length = match kind {
            Kind::P256 => Some(65),
            Kind::P384 => Some(97),
            Kind::Ed25519 => Some(32),
            Kind::Rsa => None,
        };
        let uncompressed = !matches!(kind, Kind::P256 | Kind::P384) || raw.first() == Some(&4);
        if length.is_some_and(|length| length != raw.len()) || !uncompressed {
            return Err(Error::new(Code::Malformed, "reading a public key")
                .found(format!("{} bytes of a {} key", raw.len(), kind.as_str()))
                .expected("a whole key, its point uncompressed"));
        }
        if kind == Kind::Rsa {
            rsa_parts(raw)?;
        }
        let spki = der::value(
            der::SEQUENCE,
            &[
                &der::value(der::SEQUENCE, &[&algorithm]),
                &der::value(der::BIT_STRING, &[&[0], raw]),
            ],
        );
        Ok(Self { kind, spki, raw: raw.to_vec() })
    }

    /// What `ring` knows it by.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// How long it is: of RSA its modulus, in bits.
    pub fn bits(&self) -> usize {
        match self.kind {
            Kind::P256 | Kind::Ed25519 => 256,
            Kind::P384 => 384,
            Kind::Rsa => Der::only(&self.raw, der::SEQUENCE)
                .and_then(|mut key| key.unsigned())
                .map_or(0, |modulus| modulus.len() * 8),
        }
    }

    /// What kind of key it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The SubjectPublicKeyInfo.
    pub fn der(&self) -> &[u8] {
        &self.spki
    }

    /// The PEM block.
    pub fn to_pem(&self) -> String {
        text::to_pem("PUBLIC KEY", &self.spki).to_string()
    }

    /// The SHA-256 of the SubjectPublicKeyInfo, as sigstore writes it into
    /// bundles.
    pub fn hint(&self) -> String {
        text::to_base64(&self.hash())
    }

    /// The fingerprint for people and policies: `SHA256:` and the base64 of the
    /// hash.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", self.hint())
    }

    /// The SHA-256 of the SubjectPublicKeyInfo.
    pub(crate) fn hash(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, &self.spki).as_ref().to_vec()
    }

    /// Whether `signature` is one of `message` by this key.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        algorithm.kind() == self.kind
            && UnparsedPublicKey::new(algorithm.verifier(), &self.raw)
                .verify(message, signature)
                .is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.kind.as_str(), self.fingerprint())
    }
}

const KINDS: &str =
    "a public key of ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits, in DER";

fn parse(spki: &[u8]) -> Option<(Kind, &[u8])> {
    let mut outer = Der::only(spki, der::SEQUENCE)?;
    let mut algorithm = outer.inside(der::SEQUENCE)?;
    let kind = kind(&mut algorithm)?;
    let raw = outer.bits()?;
    outer.end()?;
    Some((kind, raw))
}

/// The kind that an AlgorithmIdentifier names.
pub(crate) fn kind(algorithm: &mut Der<'_>) -> Option<Kind> {
    let kind = match algorithm.take(der::OID)? {
        EC_PUBLIC_KEY => match algorithm.take(der::OID)? {
            P256 => Kind::P256,
            P384 => Kind::P384,
            _ => return None,
        },
        ED25519 => Kind::Ed25519,
        RSA => {
            let empty = algorithm.take(der::NULL)?.is_empty();
            return (empty && algorithm.is_empty()).then_some(Kind::Rsa);
        }
        _ => return None,
    };
    algorithm.end().map(|()| kind)
}

/// Checks an RSAPublicKey: sizes that `ring` verifies with.
fn rsa_parts(raw: &[u8]) -> Result<()> {
    let parts = || {
        let mut key = Der::only(raw, der::SEQUENCE)?;
        let (modulus, exponent) = (key.unsigned()?, key.unsigned()?);
        key.end().map(|()| (modulus.len() * 8, exponent.len()))
    };
    match parts() {
        Some((2048..=8192, 1..=4)) => Ok(()),
        found => Err(Error::new(Code::Malformed, "reading an RSA public key")
            .found(found.map_or_else(
                || "something else".to_owned(),
                |(bits, _)| format!("a modulus of {bits} bits"),
            ))
            .expected("2048 to 8192 bits, and an exponent of at most 32")),
    }
}
