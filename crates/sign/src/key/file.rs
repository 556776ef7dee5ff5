//! The file in which cosign keeps a private key: PKCS #8, encrypted by a
//! passphrase (`docs/format/signatures.md`).

use plimsoll_content::{Code, Error, Result, json};
use poly1305::Poly1305;
use poly1305::universal_hash::KeyInit as _;
use ring::rand::SecureRandom;
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit as _, StreamCipher as _};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::KeyPair;
use crate::text;

/// What opens a file of a key. It is wiped when it is dropped; an empty one is
/// legal and common.
pub type Passphrase = Zeroizing<String>;

const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
/// What was written until 2023, and is by skopeo.
const OLD_LABEL: &str = "ENCRYPTED COSIGN PRIVATE KEY";

/// The costs of scrypt that are accepted, as powers of two. Whoever writes the
/// file chooses them, so anything else could ask for all memory there is.
const COSTS: std::ops::RangeInclusive<u8> = 15..=17;

/// The cost that is written.
const COST: u8 = 16;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u64,
    p: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Whether the text of a key file asks for a passphrase.
pub fn is_encrypted(pem: &str) -> bool {
    [LABEL, OLD_LABEL].iter().any(|label| pem.contains(&format!("-----BEGIN {label}-----")))
}

/// Reads a private key, encrypted as cosign does it or plain.
///
/// Errors with [`Code::Passphrase`] if the passphrase does not open it; nothing
/// tells a wrong one from a damaged file.
pub fn open(pem: &str, passphrase: &Passphrase) -> Result<KeyPair> {
    if !is_encrypted(pem) {
        return KeyPair::from_pem(pem);
    }
    let doing = "reading an encrypted private key";
    let bad = |found: &str| Error::new(Code::Malformed, doing).found(found);
    let (label, content) = text::pem("an encrypted private key", pem)?;
    if ![LABEL, OLD_LABEL].contains(&label.as_str()) {
        return Err(bad(&format!("a PEM block {label:?}")));
    }
    json::check("an encrypted private key", &content)?;
    let sealed: Sealed =
        serde_json::from_slice(&content).map_err(|cause| bad(&cause.to_string()))?;
    let Kdf { name, params, salt } = &sealed.kdf;
    let cost = COSTS.into_iter().find(|cost| params.n == 1 << cost);
    let (Some(cost), "scrypt", 8, 1, "nacl/secretbox") =
        (cost, name.as_str(), params.r, params.p, sealed.cipher.name.as_str())
    else {
        return Err(bad(&format!(
            "{name:.20?} with N={}, r={}, p={}, and {:.20?}",
            params.n, params.r, params.p, sealed.cipher.name
        ))
        .expected("scrypt with N=32768, 65536 or 131072, r=8, p=1, and nacl/secretbox"));
    };
    let salt = text::base64(salt).filter(|salt| salt.len() == 32);
    let nonce: Option<[u8; 24]> =
        text::base64(&sealed.cipher.nonce).and_then(|nonce| nonce.try_into().ok());
    let (Some(salt), Some(nonce), Some(boxed)) = (salt, nonce, text::base64(&sealed.ciphertext))
    else {
        return Err(bad("salt, nonce or content that is not base64 of the right length"));
    };
    let key = derive(passphrase, &salt, cost)?;
    let plain = unbox(&key, &nonce, &boxed).ok_or_else(|| {
        Error::new(Code::Passphrase, doing)
            .found("a passphrase that does not open it, or a damaged file")
    })?;
    KeyPair::from_pkcs8(&plain)
}

/// Writes a private key as cosign does.
pub fn seal(
    pair: &KeyPair,
    passphrase: &Passphrase,
    random: &dyn SecureRandom,
) -> Result<Zeroizing<String>> {
    let (mut salt, mut nonce) = ([0; 32], [0; 24]);
    random
        .fill(&mut salt)
        .and_then(|()| random.fill(&mut nonce))
        .map_err(|_| Error::new(Code::Failed, "encrypting a key").found("no random bytes"))?;
    let key = derive(passphrase, &salt, COST)?;
    let sealed = Sealed {
        kdf: Kdf {
            name: "scrypt".to_owned(),
            params: Params { n: 1 << COST, r: 8, p: 1 },
            salt: text::to_base64(&salt),
        },
        cipher: Cipher { name: "nacl/secretbox".to_owned(), nonce: text::to_base64(&nonce) },
        ciphertext: text::to_base64(&into_box(&key, &nonce, &pair.to_pkcs8())),
    };
    let bug = |cause| Error::new(Code::Bug, "encrypting a key").found(cause);
    Ok(text::to_pem(LABEL, &serde_json::to_vec(&sealed).map_err(bug)?))
}

fn derive(passphrase: &Passphrase, salt: &[u8], cost: u8) -> Result<Zeroizing<[u8; 32]>> {
    let bug = || Error::new(Code::Bug, "deriving a key from a passphrase");
    let params = scrypt::Params::new(cost, 8, 1).map_err(|_| bug())?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(passphrase.as_bytes(), salt, &params, &mut *key).map_err(|_| bug())?;
    Ok(key)
}

/// NaCl's secretbox: the first 32 bytes of the stream are the key of the tag,
/// the rest hides the message.
fn into_box(key: &[u8; 32], nonce: &[u8; 24], message: &[u8]) -> Vec<u8> {
    let mut stream = Zeroizing::new([&[0; 32], message].concat());
    XSalsa20::new(key.into(), nonce.into()).apply_keystream(&mut stream);
    let (tag_key, hidden) = stream.split_at(32);
    [&tag(tag_key, hidden)[..], hidden].concat()
}

fn unbox(key: &[u8; 32], nonce: &[u8; 24], boxed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (said, hidden) = boxed.split_at_checked(16)?;
    let mut stream = Zeroizing::new([&[0; 32], hidden].concat());
    XSalsa20::new(key.into(), nonce.into()).apply_keystream(&mut stream);
    let right = tag(&stream[..32], hidden);
    bool::from(right.ct_eq(said)).then(|| Zeroizing::new(stream[32..].to_vec()))
}

fn tag(key: &[u8], hidden: &[u8]) -> [u8; 16] {
    let mut tag_key = poly1305::Key::default();
    tag_key.copy_from_slice(key);
    Poly1305::new(&tag_key).compute_unpadded(hidden).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secretbox_opens_what_it_closes_and_nothing_else() {
        let (key, nonce) = ([7; 32], [9; 24]);
        let boxed = into_box(&key, &nonce, b"a message");
        assert_eq!(boxed.len(), 16 + 9);
        assert_eq!(unbox(&key, &nonce, &boxed).as_deref(), Some(&b"a message".to_vec()));
        for at in 0..boxed.len() {
            let mut bad = boxed.clone();
            bad[at] ^= 1;
            assert!(unbox(&key, &nonce, &bad).is_none(), "byte {at}");
        }
        assert!(unbox(&[8; 32], &nonce, &boxed).is_none());
        assert!(unbox(&key, &nonce, &boxed[..15]).is_none());
    }
}
