//! Private keys: made, read in the forms people have them in, and signing.

use plimsoll_content::{Code, Error, Result};
use ring::rand::SecureRandom;
use ring::rsa;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};
use zeroize::Zeroizing;

use super::public::{EC_PUBLIC_KEY, ED25519, P256, P384, RSA, kind};
use super::{Algorithm, Kind, PublicKey};
use crate::der::{self, Der};
use crate::text;

/// A private key with its public one. What is secret is wiped when it is
/// dropped, and never shown.
pub struct KeyPair {
    public: PublicKey,
    /// The scalar, the seed, or an RSAPrivateKey.
    secret: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyPair({:?})", self.public)
    }
}

impl KeyPair {
    /// Makes a key.
    ///
    /// Errors with [`Code::Usage`] for RSA, which is only read.
    pub fn generate(kind: Kind, random: &dyn SecureRandom) -> Result<Self> {
        let failed = |_| Error::new(Code::Failed, "making a key").found("no random bytes");
        let document = match kind {
            Kind::P256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, random),
            Kind::P384 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, random),
            Kind::Ed25519 => Ed25519KeyPair::generate_pkcs8(random),
            Kind::Rsa => {
                return Err(Error::new(Code::Usage, "making a key")
                    .found("RSA")
                    .expected("p256, p384 or ed25519")
                    .fix("openssl genrsa 3072   makes one, and `key import` reads it"));
            }
        };
        Self::from_pkcs8(document.map_err(failed)?.as_ref())
    }

    /// Reads a PKCS #8 PrivateKeyInfo (RFC 5958), not encrypted.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let parts = || {
            let mut outer = Der::only(der, der::SEQUENCE)?;
            let version = outer.unsigned()?;
            let kind = kind(&mut outer.inside(der::SEQUENCE)?)?;
            let key = outer.take(der::OCTET_STRING)?;
            // Attributes, and of Ed25519 the public key, which follows.
            (version == [0] || version == [1]).then_some((kind, key))
        };
        let (kind, key) = parts().ok_or_else(|| bad("something else"))?;
        match kind {
            Kind::P256 | Kind::P384 => Self::from_ec(kind, key),
            Kind::Ed25519 => {
                let seed = Der::new(key).take(der::OCTET_STRING).ok_or_else(|| bad("no seed"))?;
                Self::from_seed(seed)
            }
            Kind::Rsa => Self::from_rsa(key),
        }
    }

    /// Reads a private key in PEM: PKCS #8, SEC1 or PKCS #1, not encrypted.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let blocks = text::pem_blocks("a private key", pem)?;
        // OpenSSL writes the curve into a block of its own.
        let mut keys = blocks.iter().filter(|(label, _)| label != "EC PARAMETERS");
        let (Some((label, content)), None) = (keys.next(), keys.next()) else {
            return Err(bad("several PEM blocks, or none"));
        };
        match label.as_str() {
            "PRIVATE KEY" => Self::from_pkcs8(content),
            "EC PRIVATE KEY" => {
                let named = [Kind::P256, Kind::P384]
                    .into_iter()
                    .find(|kind| ec_parts(*kind, content).is_some());
                Self::from_ec(named.ok_or_else(|| bad("another curve"))?, content)
            }
            "RSA PRIVATE KEY" => Self::from_rsa(content),
            other => Err(bad(&format!("a PEM block {other:?}"))),
        }
    }

    fn from_seed(seed: &[u8]) -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| bad("no seed"))?;
        let public = PublicKey::from_parts(Kind::Ed25519, pair.public_key().as_ref())?;
        Ok(Self { public, secret: Zeroizing::new(seed.to_vec()) })
    }

    fn from_rsa(der: &[u8]) -> Result<Self> {
        let pair = rsa::KeyPair::from_der(der).map_err(|_| bad("no RSA key, or a small one"))?;
        let public = PublicKey::from_parts(Kind::Rsa, pair.public_key().as_ref())?;
        Ok(Self { public, secret: Zeroizing::new(der.to_vec()) })
    }

    fn from_ec(kind: Kind, der: &[u8]) -> Result<Self> {
        let (secret, public) = ec_parts(kind, der).ok_or_else(|| bad("another curve"))?;
        let public = public.ok_or_else(|| {
            bad("an EC key without its public part")
                .fix("openssl pkcs8 -topk8 -nocrypt -in KEY   writes it with that")
        })?;
        let public = PublicKey::from_parts(kind, public)?;
        let pair = Self { public, secret: Zeroizing::new(secret.to_vec()) };
        // Whether the two belong together.
        pair.ec(kind, &ring::rand::SystemRandom::new())?;
        Ok(pair)
    }

    fn ec(&self, kind: Kind, random: &dyn SecureRandom) -> Result<EcdsaKeyPair> {
        let algorithm = match kind {
            Kind::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            _ => &ECDSA_P256_SHA256_ASN1_SIGNING,
        };
        let raw = self.point();
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, &self.secret, raw, random)
            .map_err(|_| bad("an EC key whose two parts are not of one key"))
    }

    /// The point at the end of the SPKI.
    fn point(&self) -> &[u8] {
        let spki = self.public.der();
        let length = if self.public.kind() == Kind::P384 { 97 } else { 65 };
        &spki[spki.len() - length..]
    }

    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// How this key signs.
    pub fn algorithm(&self) -> Algorithm {
        match self.public.kind() {
            Kind::P256 => Algorithm::EcdsaP256Sha256,
            Kind::P384 => Algorithm::EcdsaP384Sha384,
            Kind::Ed25519 => Algorithm::Ed25519,
            Kind::Rsa => Algorithm::RsaPkcs1Sha256,
        }
    }

    /// Signs `message` as [`KeyPair::algorithm`] says.
    pub fn sign(&self, message: &[u8], random: &dyn SecureRandom) -> Result<Vec<u8>> {
        self.sign_with(self.algorithm(), message, random)
    }

    /// Signs `message` in one way; ECDSA gives DER.
    ///
    /// Errors with [`Code::Usage`] if a key of this kind does not sign that way.
    pub fn sign_with(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>> {
        let failed = || Error::new(Code::Failed, "signing").found("no random bytes");
        let encoding: &dyn RsaEncoding = match algorithm {
            Algorithm::RsaPssSha256 => &RSA_PSS_SHA256,
            Algorithm::RsaPssSha384 => &RSA_PSS_SHA384,
            Algorithm::RsaPssSha512 => &RSA_PSS_SHA512,
            _ => &RSA_PKCS1_SHA256,
        };
        let kind = self.public.kind();
        if algorithm.kind() != kind || algorithm == Algorithm::EcdsaP384Sha256 {
            return Err(Error::new(Code::Usage, "signing")
                .found(format!("a {} key", kind.as_str()))
                .expected(format!("one that signs with {}", algorithm.as_str())));
        }
        match kind {
            Kind::P256 | Kind::P384 => {
                let signature = self.ec(kind, random)?.sign(random, message);
                signature.map(|made| made.as_ref().to_vec()).map_err(|_| failed())
            }
            Kind::Ed25519 => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&self.secret)
                    .map_err(|_| bad("no seed"))?;
                Ok(pair.sign(message).as_ref().to_vec())
            }
            Kind::Rsa => {
                let pair = rsa::KeyPair::from_der(&self.secret).map_err(|_| bad("no RSA key"))?;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, random, message, &mut signature).map_err(|_| failed())?;
                Ok(signature)
            }
        }
    }

    /// The PKCS #8 PrivateKeyInfo, not encrypted.
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let (algorithm, key) = match self.public.kind() {
            kind @ (Kind::P256 | Kind::P384) => {
                let curve = if kind == Kind::P256 { P256 } else { P384 };
                let bits = der::value(der::BIT_STRING, &[&[0], self.point()]);
                let key = der::value(
                    der::SEQUENCE,
                    &[
                        &[der::INTEGER, 1, 1],
                        &Zeroizing::new(der::value(der::OCTET_STRING, &[&self.secret])),
                        &der::value(0xa1, &[&bits]),
                    ],
                );
                let curve = der::value(der::OID, &[curve]);
                ([der::value(der::OID, &[EC_PUBLIC_KEY]), curve].concat(), Zeroizing::new(key))
            }
            Kind::Ed25519 => {
                let key = der::value(der::OCTET_STRING, &[&self.secret]);
                (der::value(der::OID, &[ED25519]), Zeroizing::new(key))
            }
            Kind::Rsa => {
                let null = der::value(der::NULL, &[]);
                ([der::value(der::OID, &[RSA]), null].concat(), self.secret.clone())
            }
        };
        Zeroizing::new(der::value(
            der::SEQUENCE,
            &[
                &[der::INTEGER, 1, 0],
                &der::value(der::SEQUENCE, &[&algorithm]),
                &Zeroizing::new(der::value(der::OCTET_STRING, &[&key])),
            ],
        ))
    }
}

/// The parts of an ECPrivateKey (RFC 5915): scalar and point.
fn ec_parts(kind: Kind, der: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let mut key = Der::only(der, der::SEQUENCE)?;
    if key.unsigned()? != [1] {
        return None;
    }
    let secret = key.take(der::OCTET_STRING)?;
    let (curve, length) = match kind {
        Kind::P256 => (P256, 32),
        Kind::P384 => (P384, 48),
        Kind::Ed25519 | Kind::Rsa => return None,
    };
    if key.is(0xa0) && key.inside(0xa0)?.take(der::OID)? != curve {
        return None;
    }
    let public = if key.is(0xa1) { Some(key.inside(0xa1)?.bits()?) } else { None };
    key.end()?;
    (secret.len() == length).then_some((secret, public))
}

fn bad(found: &str) -> Error {
    Error::new(Code::Malformed, "reading a private key").found(found).expected(
        "a key of ECDSA P-256 or P-384, Ed25519 or RSA: PKCS #8, SEC1, PKCS #1, or cosign's file",
    )
}
