//! Signature packets: what is signed with them, and what they say.

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use super::keyring::{Material, Public};
use super::packet::Reader;
use crate::der;
use crate::reason::Reason;

/// Over the bytes of a message.
pub(super) const BINARY: u8 = 0x00;
/// Of a name, by the key itself.
pub(super) const CERTIFICATION: std::ops::RangeInclusive<u8> = 0x10..=0x13;
/// Of a key that belongs to another one.
pub(super) const SUBKEY: u8 = 0x18;
/// The same, by that key.
pub(super) const BACK: u8 = 0x19;
/// Of the key directly.
pub(super) const DIRECT: u8 = 0x1f;
/// That a key is revoked.
pub(super) const REVOCATION: u8 = 0x20;
/// That a key that belongs to another one is revoked.
pub(super) const SUBKEY_REVOCATION: u8 = 0x28;

/// The key flag of keys that may sign.
pub(super) const MAY_SIGN: u8 = 0x02;

/// A signature. Nobody has verified it.
#[derive(Clone, Debug, Default)]
pub(super) struct Signature<'a> {
    pub(super) kind: u8,
    algorithm: u8,
    hash: u8,
    /// What of the packet is signed, with what follows it.
    trailer: Vec<u8>,
    numbers: &'a [u8],
    /// When it was made.
    pub(super) created: i64,
    /// How many seconds it holds.
    pub(super) lives: Option<i64>,
    /// How many seconds the key holds that it is about.
    pub(super) key_lives: Option<i64>,
    /// What the key may do that it is about.
    pub(super) flags: Option<u8>,
    /// A signature inside.
    pub(super) embedded: Option<&'a [u8]>,
    /// Something that must be understood and is not.
    pub(super) unknown: Option<u8>,
}

impl<'a> Signature<'a> {
    /// Reads a signature packet; `None` if it is of a kind that is not read.
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(body);
        match reader.byte()? {
            3 => {
                if reader.byte()? != 5 {
                    return None;
                }
                let trailer = reader.0.get(..5)?.to_vec();
                let kind = reader.byte()?;
                let created = i64::from(reader.word()?);
                reader.take(8)?;
                let (algorithm, hash) = (reader.byte()?, reader.byte()?);
                reader.take(2)?;
                let numbers = reader.0;
                Some(Self { kind, algorithm, hash, trailer, numbers, created, ..Self::default() })
            }
            4 => {
                let (kind, algorithm, hash) = (reader.byte()?, reader.byte()?, reader.byte()?);
                let length = reader.half()?;
                let hashed = reader.take(length)?;
                let mut trailer = body.get(..6 + length)?.to_vec();
                trailer.extend([4, 0xff]);
                trailer.extend((6 + length as u32).to_be_bytes());
                let length = reader.half()?;
                let unhashed = reader.take(length)?;
                reader.take(2)?;
                let numbers = reader.0;
                let mut read = Self { kind, algorithm, hash, trailer, numbers, ..Self::default() };
                read.say(hashed, true)?;
                read.say(unhashed, false)?;
                Some(read)
            }
            _ => None,
        }
    }

    /// Reads subpackets. Of those that are not signed, only a signature counts,
    /// which proves itself.
    fn say(&mut self, bytes: &'a [u8], signed: bool) -> Option<()> {
        let mut reader = Reader(bytes);
        while !reader.0.is_empty() {
            let first = reader.byte()?;
            let length = match first {
                0..=191 => usize::from(first),
                192..=254 => ((usize::from(first) - 192) << 8) + usize::from(reader.byte()?) + 192,
                255 => reader.word()? as usize,
            };
            let (&kind, content) = reader.take(length)?.split_first()?;
            let seconds = || Reader(content).word().map(i64::from);
            match kind & 0x7f {
                32 => self.embedded = Some(content),
                _ if !signed => {}
                2 => self.created = seconds()?,
                3 => self.lives = seconds().filter(|lives| *lives > 0),
                9 => self.key_lives = seconds().filter(|lives| *lives > 0),
                27 => self.flags = Some(content.first().copied().unwrap_or_default()),
                // Preferences, notes, and who made it: none changes what it says.
                4 | 5 | 7 | 11 | 16 | 20..=26 | 28..=31 | 33..=35 => {}
                other if kind & 0x80 != 0 => self.unknown = Some(other),
                _ => {}
            }
        }
        Some(())
    }

    /// Whether the key made this signature over `parts`.
    pub(super) fn verifies(&self, key: &Public, parts: &[&[u8]]) -> bool {
        let mut message = parts.concat();
        message.extend_from_slice(&self.trailer);
        self.check(key, &message).is_some()
    }

    fn check(&self, key: &Public, message: &[u8]) -> Option<()> {
        let mut numbers = Reader(self.numbers);
        let verify = |algorithm: &'static dyn VerificationAlgorithm,
                      raw: &[u8],
                      message: &[u8],
                      signature: &[u8]| {
            UnparsedPublicKey::new(algorithm, raw).verify(message, signature).ok()
        };
        match (&key.material, self.algorithm) {
            (Material::Rsa { raw, length }, 1 | 3) => {
                let algorithm: &dyn VerificationAlgorithm = match self.hash {
                    8 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    9 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    10 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    _ => return None,
                };
                let number = padded(numbers.number()?, *length)?;
                verify(algorithm, raw, message, &number)?;
            }
            (Material::Ecdsa { point, p384 }, 19) => {
                let algorithm: &dyn VerificationAlgorithm = match (p384, self.hash) {
                    (false, 8) => &signature::ECDSA_P256_SHA256_ASN1,
                    (false, 9) => &signature::ECDSA_P256_SHA384_ASN1,
                    (true, 8) => &signature::ECDSA_P384_SHA256_ASN1,
                    (true, 9) => &signature::ECDSA_P384_SHA384_ASN1,
                    _ => return None,
                };
                let (r, s) = (numbers.number()?, numbers.number()?);
                let made = der::value(der::SEQUENCE, &[&integer(r), &integer(s)]);
                verify(algorithm, point, message, &made)?;
            }
            (Material::Ed25519(raw), 22) => {
                let (r, s) = (numbers.number()?, numbers.number()?);
                let made = [padded(r, 32)?, padded(s, 32)?].concat();
                verify(&signature::ED25519, raw, &self.hashed(message)?, &made)?;
            }
            (Material::Ed25519(raw), 27) => {
                let made = numbers.take(64)?;
                verify(&signature::ED25519, raw, &self.hashed(message)?, made)?;
            }
            _ => return None,
        }
        numbers.0.is_empty().then_some(())
    }

    /// EdDSA signs the hash as its message.
    fn hashed(&self, message: &[u8]) -> Option<Vec<u8>> {
        let algorithm = match self.hash {
            8 => &ring::digest::SHA256,
            9 => &ring::digest::SHA384,
            10 => &ring::digest::SHA512,
            _ => return None,
        };
        Some(ring::digest::digest(algorithm, message).as_ref().to_vec())
    }

    /// What it is signed with, for people.
    pub(super) fn algorithm(&self) -> String {
        let key = match self.algorithm {
            1 | 3 => "rsa",
            19 => "ecdsa",
            22 | 27 => "eddsa",
            _ => "other",
        };
        let hash = match self.hash {
            8 => "sha256",
            9 => "sha384",
            10 => "sha512",
            _ => "other",
        };
        format!("openpgp-{key}-{hash}")
    }

    /// Whether it is of a hash that nobody can find two messages for.
    pub(super) fn is_strong(&self) -> Result<(), Reason> {
        if (8..=10).contains(&self.hash) {
            return Ok(());
        }
        Err(Reason::malformed(format!(
            "an OpenPGP signature with hash algorithm {}, not SHA-256, SHA-384 or SHA-512",
            self.hash
        )))
    }
}

/// A number with zeros in front, to a length.
fn padded(number: &[u8], length: usize) -> Option<Vec<u8>> {
    let zeros = length.checked_sub(number.len())?;
    Some([&vec![0; zeros][..], number].concat())
}

/// A number as DER has it.
fn integer(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let number = &number[start..];
    match number.first() {
        Some(0..=0x7f) => der::value(der::INTEGER, &[number]),
        _ => der::value(der::INTEGER, &[&[0], number]),
    }
}
