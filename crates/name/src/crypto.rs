//! Signatures that are verified and made here, over bytes alone.
//!
//! Public keys come in the forms that zones and the DNS have; what is said by
//! whom, and whether that is enough, is for those who ask.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::Verifier as _;
use plimsoll_content::{Code, Error, Result};
use rsa::BoxedUint;
use sha2::{Sha256, Sha512};

/// The largest modulus of an RSA key, in bytes.
const MODULUS: usize = 512;

/// The smallest: what is shorter has been factored, or nearly.
const SMALLEST_MODULUS: usize = 128;

/// A public key, by value: two spellings of one key are equal.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Public {
    /// Ed25519 (RFC 8032).
    Ed25519([u8; 32]),
    /// A point of P-256, uncompressed.
    P256(Vec<u8>),
    /// An RSA key: modulus and exponent, big-endian, without leading zeros.
    Rsa {
        /// The modulus.
        modulus: Vec<u8>,
        /// The exponent.
        exponent: Vec<u8>,
    },
}

/// How something was signed with a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// Ed25519.
    Ed25519,
    /// ECDSA over P-256 with SHA-256; the signature is DER, or the two numbers.
    P256,
    /// RSASSA-PSS with SHA-256 and a salt of any length.
    RsaPss,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (DNSSEC only).
    RsaSha256,
    /// RSASSA-PKCS1-v1_5 with SHA-512 (DNSSEC only).
    RsaSha512,
}

impl Public {
    /// A key in the form of X.509 (SubjectPublicKeyInfo), as PEM.
    pub fn from_pem(text: &str) -> Option<Self> {
        let body = text.split_once("-----BEGIN PUBLIC KEY-----")?.1;
        let body = body.split_once("-----END PUBLIC KEY-----")?.0;
        let plain: String = body.split_ascii_whitespace().collect();
        Self::from_spki(&STANDARD.decode(plain).ok()?)
    }

    /// A key in the form of X.509, as DER.
    pub fn from_spki(der: &[u8]) -> Option<Self> {
        // The headers of the three kinds are constants.
        const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
        const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
        const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
        if let Some(key) = der.strip_prefix(ED25519) {
            return Some(Self::Ed25519(key.try_into().ok()?));
        }
        if let Some(point) = der.strip_prefix(P256) {
            return Self::p256(point);
        }
        let mut outer = Der(der).only(0x30)?;
        (outer.next(0x30)? == RSA).then_some(())?;
        let bits = outer.next(0x03)?;
        let mut key = Der(bits.strip_prefix(b"\0")?).only(0x30)?;
        let (modulus, exponent) = (key.next(0x02)?, key.next(0x02)?);
        key.0.is_empty().then_some(())?;
        Self::rsa(modulus, exponent)
    }

    /// A point of P-256, compressed or not.
    pub fn p256(point: &[u8]) -> Option<Self> {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
        Some(Self::P256(key.to_sec1_point(false).as_bytes().to_vec()))
    }

    /// An RSA key out of its two numbers.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let bare = |number: &[u8]| {
            let zeros = number.iter().take_while(|byte| **byte == 0).count();
            number[zeros..].to_vec()
        };
        let (modulus, exponent) = (bare(modulus), bare(exponent));
        let sensible = (SMALLEST_MODULUS..=MODULUS).contains(&modulus.len()) && exponent.len() <= 4;
        sensible.then_some(Self::Rsa { modulus, exponent })
    }

    /// Whether `signature` is one of this key over `message`.
    pub fn verify(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
        self.check(scheme, message, signature).is_some()
    }

    fn check(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Option<()> {
        match (self, scheme) {
            (Self::Ed25519(key), Scheme::Ed25519) => {
                let key = ed25519_dalek::VerifyingKey::from_bytes(key).ok()?;
                let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
                key.verify_strict(message, &signature).ok()
            }
            (Self::P256(point), Scheme::P256) => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
                let numbers =
                    if signature.len() == 64 { signature.to_vec() } else { fixed(signature)? };
                let signature = p256::ecdsa::Signature::from_slice(&numbers).ok()?;
                key.verify(message, &signature).ok()
            }
            (Self::Rsa { modulus, exponent }, _) => {
                let key = rsa::PublicKey::new(
                    BoxedUint::from_be_slice_vartime(modulus),
                    BoxedUint::from_be_slice_vartime(exponent),
                )
                .ok()?;
                match scheme {
                    Scheme::RsaPss => {
                        let signature = rsa::pss::Signature::try_from(signature).ok()?;
                        rsa::pss::VerifyingKey::<Sha256>::new_with_auto_salt_len(key)
                            .verify(message, &signature)
                            .ok()
                    }
                    Scheme::RsaSha256 => {
                        let signature = rsa::pkcs1v15::Signature::try_from(signature).ok()?;
                        rsa::pkcs1v15::VerifyingKey::<Sha256>::new(key)
                            .verify(message, &signature)
                            .ok()
                    }
                    Scheme::RsaSha512 => {
                        let signature = rsa::pkcs1v15::Signature::try_from(signature).ok()?;
                        rsa::pkcs1v15::VerifyingKey::<Sha512>::new(key)
                            .verify(message, &signature)
                            .ok()
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// The two numbers of an ECDSA signature in DER, 32 bytes each.
fn fixed(der: &[u8]) -> Option<Vec<u8>> {
    let mut outer = Der(der).only(0x30)?;
    let mut numbers = Vec::with_capacity(64);
    for _ in 0..2 {
        let number = outer.next(0x02)?;
        let number = match number {
            [] => return None,
            [0, rest @ ..] => rest,
            number if number[0] & 0x80 != 0 => return None,
            number => number,
        };
        numbers.extend(std::iter::repeat_n(0, 32usize.checked_sub(number.len())?));
        numbers.extend_from_slice(number);
    }
    outer.0.is_empty().then_some(numbers)
}

/// What is left of a text in DER.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, which must be of that kind.
    fn next(&mut self, kind: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            0x81 | 0x82 => {
                let (digits, behind) = rest.split_at_checked(usize::from(first & 3))?;
                rest = behind;
                digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit))
            }
            _ => return None,
        };
        let (content, behind) = rest.split_at_checked(length)?;
        self.0 = behind;
        (found == kind).then_some(content)
    }

    /// The content, if there is nothing behind it.
    fn only(mut self, kind: u8) -> Option<Self> {
        let content = self.next(kind)?;
        self.0.is_empty().then_some(Self(content))
    }
}

/// A key that signs. It is never shown.
#[derive(Clone)]
pub struct Secret(ed25519_dalek::SigningKey);

/// The header of an Ed25519 key in the form of RFC 8410 (PKCS #8).
const PKCS8: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

impl Secret {
    /// The Ed25519 key of 32 bytes that nobody can guess.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// Reads `-----BEGIN PRIVATE KEY-----` with an Ed25519 key, as OpenSSL
    /// writes it.
    pub fn from_pem(text: &str) -> Result<Self> {
        let read = || {
            let body = text.split_once("-----BEGIN PRIVATE KEY-----")?.1;
            let body = body.split_once("-----END PRIVATE KEY-----")?.0;
            let plain: String = body.split_ascii_whitespace().collect();
            let der = STANDARD.decode(plain).ok()?;
            Some(Self::new(der.strip_prefix(PKCS8)?.try_into().ok()?))
        };
        read().ok_or_else(|| {
            Error::new(Code::Malformed, "reading a key that signs")
                .found("something else")
                .expected("an Ed25519 key: -----BEGIN PRIVATE KEY----- (PKCS #8, not encrypted)")
                .fix("openssl genpkey -algorithm ed25519   makes one, as   plimsoll name init   does")
        })
    }

    /// The key as [`Secret::from_pem`] reads it.
    pub fn to_pem(&self) -> String {
        let der = [PKCS8, self.0.as_bytes()].concat();
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(der)
        )
    }

    /// The public half.
    pub fn public(&self) -> Public {
        Public::Ed25519(self.0.verifying_key().to_bytes())
    }

    /// Signs.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).to_bytes().to_vec()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Bytes out of hexadecimal digits, in either case.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) || !bytes.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    bytes
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_file() {
        let key = Secret::new([7; 32]);
        let again = Secret::from_pem(&key.to_pem()).expect("own form");
        let signature = again.sign(b"text");
        assert!(key.public().verify(Scheme::Ed25519, b"text", &signature));
        assert!(!key.public().verify(Scheme::Ed25519, b"texT", &signature));
        assert!(!key.public().verify(Scheme::P256, b"text", &signature));
        assert!(
            Secret::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----")
                .is_err()
        );
        assert_eq!(format!("{key:?}"), "Secret");
    }

    #[test]
    fn broken_forms_are_no_keys() {
        for der in [&b""[..], b"\x30", b"\x30\x82\xff", b"\x30\x03\x02\x01\x00", &[0x30; 300]] {
            assert_eq!(Public::from_spki(der), None);
            assert_eq!(fixed(der), None);
        }
        assert_eq!(unhex("0g"), None);
        assert_eq!(unhex("+1"), None);
        assert_eq!(unhex("0aFF").as_deref(), Some(&[10, 255][..]));
    }
}
