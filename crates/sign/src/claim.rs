//! Claims: what somebody says about content, whatever the encoding.
//!
//! A claim is: *signer S says that content D is known as N, or has property P,
//! from then until then.* Only a [`crate::scheme::Scheme`] makes a
//! [`VerifiedClaim`], and only from bytes whose signature holds, so that nothing
//! unsigned can be taken for signed.

use std::ops::Deref;

use plimsoll_content::Digest;
use serde::Serialize;
use serde_json::Value;

use crate::keyless::Vouched;
use crate::policy::Facet;
use crate::reason::Reason;

/// Seconds since 1970.
pub type Seconds = i64;

/// The encodings of claims.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Form {
    /// A sigstore bundle (v0.1 to v0.3).
    SigstoreBundle,
    /// Cosign's old form: a JSON payload, its signature in an annotation.
    CosignSimple,
    /// An attestation in cosign's old form: a bare DSSE envelope.
    CosignAttestation,
    /// An OpenPGP message around the same payload as of old.
    GpgSimple,
    /// A JSON Web Signature of the Notary Project.
    NotaryJws,
    /// A COSE_Sign1 message of the Notary Project.
    NotaryCose,
}

impl Form {
    /// All of them.
    pub const ALL: [Form; 6] = [
        Self::SigstoreBundle,
        Self::CosignSimple,
        Self::CosignAttestation,
        Self::GpgSimple,
        Self::NotaryJws,
        Self::NotaryCose,
    ];

    /// The name, as policies and reports have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SigstoreBundle => "sigstore-bundle",
            Self::CosignSimple => "cosign-simple",
            Self::CosignAttestation => "cosign-attestation",
            Self::GpgSimple => "gpg-simple",
            Self::NotaryJws => "notary-jws",
            Self::NotaryCose => "notary-cose",
        }
    }
}

/// Who says something. Two signers are one if their `id` is the same.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Signer {
    /// The fingerprint of the key; of one key it is one, whatever it is called. Of
    /// somebody with a certificate, issuer and subject.
    pub id: String,
    /// How the policy calls it.
    pub name: String,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
#[non_exhaustive]
pub enum Saying {
    /// That the content is vouched for.
    Signature,
    /// A property of the content.
    Attestation {
        /// What kind of property.
        #[serde(rename = "predicateType")]
        predicate_type: String,
        /// The property itself.
        #[serde(skip)]
        predicate: Value,
    },
}

/// What somebody says about some content.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Who.
    pub signer: Signer,
    /// How exactly it is signed.
    pub algorithm: String,
    /// The content.
    pub digest: Digest,
    /// What the content is, where that is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// How long it is, where that is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What it is called, where that is said.
    pub names: Vec<String>,
    /// What is said of it.
    pub saying: Saying,
    /// When it was said, by the signer's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued: Option<Seconds>,
    /// In which time the certificates of the signer hold, where nobody else vouches for
    /// when it was said: begin and end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certified: Option<(Seconds, Seconds)>,
    /// Until when it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Seconds>,
    /// The number of this claim among those about the same name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// What others vouch for: who signed, and when.
    #[serde(flatten)]
    pub vouched: Vouched,
    /// What is wrong with it that a rule may let pass.
    #[serde(skip)]
    pub doubts: Vec<(Facet, Reason)>,
}

/// A claim whose signature holds.
///
/// ```compile_fail
/// fn forge(claim: plimsoll_sign::Claim) -> plimsoll_sign::VerifiedClaim {
///     plimsoll_sign::VerifiedClaim(claim) // the field is private
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct VerifiedClaim(Claim);

impl VerifiedClaim {
    /// For schemes, which have just verified it.
    pub(crate) fn new(claim: Claim) -> Self {
        Self(claim)
    }
}

impl Deref for VerifiedClaim {
    type Target = Claim;

    fn deref(&self) -> &Claim {
        &self.0
    }
}
