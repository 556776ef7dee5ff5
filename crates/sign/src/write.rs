//! Signing: the bytes of signatures. Where they are put is for others.

use plimsoll_content::{Descriptor, Result};
use ring::rand::SecureRandom;
use serde_json::{Value, json};

use crate::claim::Seconds;
use crate::format::bundle::Bundle;
use crate::format::dsse::{self, Envelope};
use crate::format::simple::{self, Payload};
use crate::format::statement::{self, Draft};
use crate::key::{Algorithm, KeyPair, PublicKey};
use crate::text;

/// What can sign: a key in memory, or one elsewhere.
pub trait SigningKey {
    /// The public key.
    fn public(&self) -> &PublicKey;

    /// How it signs, where the form leaves the choice.
    fn algorithm(&self) -> Algorithm;

    /// A signature over `message`, made in that way; ECDSA gives DER.
    fn sign_with(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>>;

    /// A signature over `message`, as [`SigningKey::algorithm`] says.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.sign_with(self.algorithm(), message)
    }
}

/// A key in memory, with the random bytes that signing takes.
pub struct Local<'a> {
    /// The key.
    pub pair: &'a KeyPair,
    /// Random bytes.
    pub random: &'a dyn SecureRandom,
}

impl SigningKey for Local<'_> {
    fn public(&self) -> &PublicKey {
        self.pair.public()
    }

    fn algorithm(&self) -> Algorithm {
        self.pair.algorithm()
    }

    fn sign_with(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
        self.pair.sign_with(algorithm, message, self.random)
    }
}

/// A bundle around a statement.
fn bundle(key: &dyn SigningKey, draft: &Draft<'_>) -> Result<Vec<u8>> {
    let payload = draft.to_bytes()?;
    let signature = key.sign(&dsse::pae(dsse::IN_TOTO, &payload))?;
    let envelope = Envelope { payload_type: dsse::IN_TOTO.to_owned(), payload, signature };
    Bundle::to_bytes(&key.public().hint(), &envelope)
}

/// A signature as a bundle, as cosign 3 makes it, and with the name.
pub fn signature(
    key: &dyn SigningKey,
    content: &Descriptor,
    name: Option<&str>,
) -> Result<Vec<u8>> {
    bundle(
        key,
        &Draft {
            digest: &content.digest,
            media_type: content.media_type.as_str(),
            name,
            predicate_type: statement::SIGNATURE,
            predicate: json!({}),
        },
    )
}

/// Until when a signature holds, and its number.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Term {
    /// When it is made.
    pub issued: Seconds,
    /// Until when it holds.
    pub expires: Option<Seconds>,
    /// Its number among those about one name.
    pub sequence: Option<u64>,
}

/// A signature that binds a name for some time, as a bundle.
pub fn binding(
    key: &dyn SigningKey,
    content: &Descriptor,
    name: &str,
    term: Term,
) -> Result<Vec<u8>> {
    let media_type = content.media_type.as_str();
    let names = [name.to_owned()];
    let Term { issued, expires, sequence } = term;
    bundle(
        key,
        &Draft {
            digest: &content.digest,
            media_type,
            name: Some(name),
            predicate_type: statement::BINDING,
            predicate: statement::binding(
                &names,
                media_type,
                content.size,
                issued,
                expires,
                sequence,
            ),
        },
    )
}

/// An attestation as a bundle.
pub fn attestation(
    key: &dyn SigningKey,
    content: &Descriptor,
    predicate_type: &str,
    predicate: Value,
) -> Result<Vec<u8>> {
    bundle(
        key,
        &Draft {
            digest: &content.digest,
            media_type: content.media_type.as_str(),
            name: None,
            predicate_type,
            predicate,
        },
    )
}

/// A signature in cosign's old form: the payload, and the value of its
/// annotation. `None` for a key that can not sign as that form is read: it is
/// SHA-256 there, whatever the key is.
pub fn simple(
    key: &dyn SigningKey,
    content: &Descriptor,
    name: &str,
) -> Result<Option<(Vec<u8>, String)>> {
    if !matches!(
        key.algorithm(),
        Algorithm::EcdsaP256Sha256 | Algorithm::RsaPkcs1Sha256 | Algorithm::Ed25519
    ) {
        return Ok(None);
    }
    let payload = Payload { digest: content.digest.clone(), name: name.to_owned(), issued: None };
    let payload = payload.to_bytes(simple::COSIGN, None);
    let signature = text::to_base64(&key.sign(&payload)?);
    Ok(Some((payload, signature)))
}
