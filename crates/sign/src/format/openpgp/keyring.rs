//! Keyrings: primary keys with their subkeys, and what they say of themselves.

use std::fmt::Write as _;

use plimsoll_content::{Code, Error, Result};

use super::packet::{
    self, PUBLIC_KEY, PUBLIC_SUBKEY, Packet, Reader, SIGNATURE, USER_ATTRIBUTE, USER_ID,
};
use super::signature::{
    BACK, CERTIFICATION, DIRECT, MAY_SIGN, REVOCATION, SUBKEY, SUBKEY_REVOCATION, Signature,
};
use crate::der;
use crate::text;

/// The largest keyring, and how many keys it may have.
const LONGEST: usize = 4 << 20;
const KEYS: usize = 256;

/// Keys that are trusted because somebody put them into one file.
#[derive(Clone, Debug)]
pub struct Keyring {
    /// The keys.
    pub keys: Vec<PrimaryKey>,
}

/// A primary key, with all that may sign for it.
#[derive(Clone, Debug)]
pub struct PrimaryKey {
    /// The fingerprint, in capitals as GnuPG shows it.
    pub fingerprint: String,
    /// The first name that the key has given to itself.
    pub user: String,
    pub(super) signers: Vec<SigningKey>,
}

/// A key that may sign: the primary one or a subkey.
#[derive(Clone, Debug)]
pub(super) struct SigningKey {
    pub(super) public: Public,
    /// Until when it holds.
    pub(super) expires: Option<i64>,
    pub(super) revoked: bool,
}

/// A public key.
#[derive(Clone, Debug)]
pub(super) struct Public {
    pub(super) material: Material,
    pub(super) created: i64,
    /// The packet as it is signed.
    signed: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(super) enum Material {
    /// An RSAPublicKey, and the length of its signatures.
    Rsa {
        raw: Vec<u8>,
        length: usize,
    },
    Ecdsa {
        point: Vec<u8>,
        p384: bool,
    },
    Ed25519(Vec<u8>),
}

const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01];

impl Keyring {
    /// Reads a keyring, binary or in ASCII armor.
    ///
    /// Keys that can not be used are left out: of version 3, of other algorithms,
    /// without a self-signature that holds. Errors if none is left.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let bad = |found: String| {
            Error::new(Code::Malformed, "reading an OpenPGP keyring")
                .found(found)
                .expected("public keys of RSA (2048 bits or more), ECDSA or Ed25519, version 4")
        };
        if bytes.len() > LONGEST {
            return Err(bad(format!("{} bytes", bytes.len())));
        }
        let plain = match std::str::from_utf8(bytes) {
            Ok(text) if text.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") => {
                armored(text).ok_or_else(|| bad("broken ASCII armor".to_owned()))?
            }
            _ => bytes.to_vec(),
        };
        let packets = packet::all(&plain).map_err(|reason| bad(reason.text))?;
        let mut keys = Vec::new();
        let mut rest = &packets[..];
        while let Some(start) = rest.iter().position(|packet| packet.tag == PUBLIC_KEY) {
            let end = rest[start + 1..].iter().position(|packet| packet.tag == PUBLIC_KEY);
            let end = end.map_or(rest.len(), |end| start + 1 + end);
            keys.extend(primary(&rest[start..end]));
            rest = &rest[end..];
            if keys.len() > KEYS {
                return Err(bad(format!("more than {KEYS} keys")));
            }
        }
        if keys.is_empty() {
            return Err(bad("no key that can be used".to_owned()));
        }
        Ok(Self { keys })
    }
}

/// A primary key out of its packets.
fn primary(packets: &[Packet<'_>]) -> Option<PrimaryKey> {
    let (first, rest) = packets.split_first()?;
    let public = Public::parse(&first.body)?;
    let mut own = Own::default();
    let mut user = String::new();
    let mut signers = Vec::new();
    let mut subject = About::Key;
    let mut subkey: Option<(Public, Own)> = None;
    for packet in rest {
        match packet.tag {
            USER_ID | USER_ATTRIBUTE => {
                if user.is_empty() && packet.tag == USER_ID {
                    user = String::from_utf8_lossy(&packet.body).into_owned();
                }
                let tag = if packet.tag == USER_ID { 0xb4 } else { 0xd1 };
                let length = (packet.body.len() as u32).to_be_bytes();
                subject = About::User([&[tag][..], &length, &packet.body].concat());
            }
            PUBLIC_SUBKEY => {
                signers.extend(subkey.take().and_then(|(key, own)| own.signing(key, true)));
                subject = About::Subkey;
                subkey = Public::parse(&packet.body).map(|key| (key, Own::default()));
            }
            SIGNATURE => {
                let Some(signature) = Signature::parse(&packet.body) else { continue };
                // Weak, or with conditions that are not understood.
                if signature.is_strong().is_err() || signature.unknown.is_some() {
                    continue;
                }
                match (&subject, &mut subkey) {
                    (About::Subkey, Some((key, about))) => about.hear(&signature, &public, key),
                    (About::Subkey, None) => {}
                    (about, _) => own.of_itself(&signature, &public, about),
                }
            }
            _ => {}
        }
    }
    signers.extend(subkey.take().and_then(|(key, own)| own.signing(key, true)));
    if !own.bound {
        return None;
    }
    // A subkey holds no longer than its primary key, nor beyond its revocation.
    let (expires, revoked) = (own.expires(&public), own.revoked);
    for signer in &mut signers {
        signer.revoked |= revoked;
        signer.expires = match (signer.expires, expires) {
            (Some(own), Some(primary)) => Some(own.min(primary)),
            (own, primary) => own.or(primary),
        };
    }
    let fingerprint = public.fingerprint();
    signers.extend(own.signing(public, false));
    Some(PrimaryKey { fingerprint, user, signers })
}

/// What signatures are about that stand behind a packet.
enum About {
    Key,
    User(Vec<u8>),
    Subkey,
}

/// What a key says of itself.
#[derive(Debug, Default)]
struct Own {
    /// Whether it says anything that holds.
    bound: bool,
    latest: i64,
    lives: Option<i64>,
    flags: Option<u8>,
    backed: bool,
    revoked: bool,
}

impl Own {
    /// A signature about the primary key or a name of it.
    fn of_itself(&mut self, signature: &Signature<'_>, key: &Public, about: &About) {
        let mut parts = vec![&key.signed[..]];
        if let About::User(user) = about {
            parts.push(user);
        }
        let right = match about {
            About::User(_) => CERTIFICATION.contains(&signature.kind),
            _ => [DIRECT, REVOCATION].contains(&signature.kind),
        };
        if right && signature.verifies(key, &parts) {
            self.take(signature);
            self.revoked |= signature.kind == REVOCATION;
        }
    }

    /// A signature about a subkey.
    fn hear(&mut self, signature: &Signature<'_>, primary: &Public, key: &Public) {
        let parts = [&primary.signed[..], &key.signed];
        if ![SUBKEY, SUBKEY_REVOCATION].contains(&signature.kind)
            || !signature.verifies(primary, &parts)
        {
            return;
        }
        if signature.kind == SUBKEY_REVOCATION {
            self.revoked = true;
            return;
        }
        self.take(signature);
        let back = signature.embedded.and_then(Signature::parse);
        self.backed |= back.is_some_and(|back| {
            back.kind == BACK && back.is_strong().is_ok() && back.verifies(key, &parts)
        });
    }

    /// The newest word counts.
    fn take(&mut self, signature: &Signature<'_>) {
        if signature.kind == REVOCATION || (self.bound && signature.created < self.latest) {
            return;
        }
        self.bound = true;
        self.latest = signature.created;
        self.lives = signature.key_lives;
        self.flags = signature.flags;
    }

    fn expires(&self, key: &Public) -> Option<i64> {
        self.lives.map(|lives| key.created.saturating_add(lives))
    }

    /// The key, if it may sign. A subkey has to agree that it belongs to the
    /// primary key.
    fn signing(&self, key: Public, subkey: bool) -> Option<SigningKey> {
        let may = self.flags.map_or(!subkey, |flags| flags & MAY_SIGN != 0);
        let belongs = !subkey || self.backed;
        if !(self.bound && may && belongs) {
            return None;
        }
        let expires = self.expires(&key);
        Some(SigningKey { public: key, expires, revoked: self.revoked })
    }
}

impl Public {
    fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body);
        if reader.byte()? != 4 || body.len() > usize::from(u16::MAX) {
            return None;
        }
        let created = i64::from(reader.word()?);
        let material = match reader.byte()? {
            1 | 3 => {
                let (modulus, exponent) = (reader.number()?, reader.number()?);
                if modulus.first()? & 0x80 == 0 && modulus.len() < 256 {
                    return None;
                }
                let number = |bytes: &[u8]| match bytes.first() {
                    Some(0..=0x7f) => der::value(der::INTEGER, &[bytes]),
                    _ => der::value(der::INTEGER, &[&[0], bytes]),
                };
                let raw = der::value(der::SEQUENCE, &[&number(modulus), &number(exponent)]);
                Material::Rsa { raw, length: modulus.len() }
            }
            19 => {
                let length = reader.byte()?;
                let curve = reader.take(usize::from(length))?;
                let p384 = match curve {
                    P256 => false,
                    P384 => true,
                    _ => return None,
                };
                Material::Ecdsa { point: reader.number()?.to_vec(), p384 }
            }
            22 => {
                let length = reader.byte()?;
                if reader.take(usize::from(length))? != ED25519 {
                    return None;
                }
                let point = reader.number()?.strip_prefix(&[0x40])?;
                Material::Ed25519(point.to_vec())
            }
            27 => Material::Ed25519(reader.take(32)?.to_vec()),
            _ => return None,
        };
        let length = (body.len() as u16).to_be_bytes();
        let signed = [&[0x99][..], &length, body].concat();
        reader.0.is_empty().then_some(Self { material, created, signed })
    }

    /// The fingerprint, which is SHA-1 by definition: it names a key that is known,
    /// and proves nothing.
    fn fingerprint(&self) -> String {
        let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &self.signed);
        hash.as_ref().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02X}");
            text
        })
    }
}

/// The bytes of all blocks of ASCII armor. The checksum is no proof of anything.
fn armored(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while lines.by_ref().any(|line| line == "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
        let mut body = String::new();
        // Headers end with an empty line.
        let mut heads = true;
        loop {
            let line = lines.next()?;
            if line == "-----END PGP PUBLIC KEY BLOCK-----" {
                break;
            }
            if heads && (line.is_empty() || !line.contains(": ")) {
                heads = false;
            }
            if !heads && !line.starts_with('=') {
                body.push_str(line);
            }
        }
        bytes.extend(text::base64(&body)?);
    }
    Some(bytes)
}
