//! Schemes: what turns the bytes of a signature into a claim.
//!
//! They are pure. Where signatures lie (a referrer, a tag, a folder) is no matter
//! of theirs: a [`Candidate`] comes from anywhere.

use std::sync::Arc;

use plimsoll_content::{Annotations, Descriptor};

use crate::asked::Asked;
use crate::claim::{Claim, Form, Saying, Signer, VerifiedClaim};
use crate::format::bundle::{self, Bundle, Content};
use crate::format::dsse::{self, Envelope};
use crate::format::parse;
use crate::format::simple::{self, Payload};
use crate::format::statement::Statement;
use crate::format::{notary, openpgp};
use crate::key::{Algorithm, Kind, PublicKey};
use crate::limits::Limits;
use crate::policy::{Facet, Trusted, TrustedKey};
use crate::reason::{Reason, Why, quoted};
use crate::text;

/// Something that may be a signature, as it was found.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What it is, by whoever stored it.
    pub media_type: String,
    /// Its bytes, which are those of the digest that led to it.
    pub bytes: Arc<[u8]>,
    /// What stands beside it, signed by nobody.
    pub annotations: Annotations,
    /// Where it was found, for people.
    pub place: String,
    /// Why its bytes could not be had, if they could not.
    pub broken: Option<String>,
}

/// The content that signatures are to be about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The manifest.
    pub descriptor: Descriptor,
    /// Its bytes, which some signatures are made over.
    pub bytes: Arc<[u8]>,
    /// How it was asked for.
    pub asked: Asked,
}

/// One way to encode claims.
pub trait Scheme: Sync {
    /// Which way.
    fn form(&self) -> Form;

    /// Whether a candidate is of this form, or pretends to be.
    fn reads(&self, candidate: &Candidate) -> bool;

    /// The claim, if a trusted key made it and it is about the subject.
    fn verify(
        &self,
        candidate: &Candidate,
        subject: &Subject,
        trusted: &[Trusted],
        limits: &Limits,
    ) -> Result<VerifiedClaim, Reason>;
}

/// All schemes; a candidate is for the first that reads it.
pub static SCHEMES: [&dyn Scheme; 6] = [
    &SigstoreBundle,
    &CosignSimple,
    &CosignAttestation,
    &GpgSimple,
    &Notary(Form::NotaryJws),
    &Notary(Form::NotaryCose),
];

/// Whose signature it is. The algorithms are tried in the order in which they
/// are common; for each kind of key there are at most two.
fn signer<'a>(
    trusted: &'a [Trusted],
    message: &[u8],
    signature: &[u8],
) -> Result<(&'a Trusted, &'a PublicKey, Algorithm), Reason> {
    for one in trusted {
        let TrustedKey::Public(key) = &one.key else { continue };
        let algorithms: &[Algorithm] = match key.kind() {
            Kind::P256 => &[Algorithm::EcdsaP256Sha256],
            Kind::P384 => &[Algorithm::EcdsaP384Sha384, Algorithm::EcdsaP384Sha256],
            Kind::Ed25519 => &[Algorithm::Ed25519],
            Kind::Rsa => &[Algorithm::RsaPkcs1Sha256],
        };
        for algorithm in algorithms {
            if key.verifies(*algorithm, message, signature) {
                return Ok((one, key, *algorithm));
            }
        }
    }
    let names: Vec<_> = trusted.iter().map(|one| one.name.as_str()).collect();
    Err(Reason::new(
        Why::Key,
        format!("not made by {}, or changed since", quoted(&names.join(", "))),
    ))
}

fn claim(
    found: (&Trusted, &PublicKey, Algorithm),
    subject: &Subject,
    saying: Saying,
    names: Vec<String>,
) -> Claim {
    let (trusted, key, algorithm) = found;
    Claim {
        signer: Signer { id: key.fingerprint(), name: trusted.name.clone() },
        algorithm: algorithm.as_str().to_owned(),
        digest: subject.descriptor.digest.clone(),
        media_type: None,
        size: None,
        names,
        saying,
        issued: None,
        certified: None,
        expires: None,
        sequence: None,
        doubts: Vec::new(),
    }
}

/// What a verified statement says.
fn stated(
    found: (&Trusted, &PublicKey, Algorithm),
    payload: &[u8],
    subject: &Subject,
    limits: &Limits,
) -> Result<VerifiedClaim, Reason> {
    let said = Statement::parse(payload, &subject.descriptor.digest, limits)?;
    if said.saying == Saying::Signature {
        parse::within("a signature", payload.len(), limits.envelope)?;
    } else {
        parse::within("an attestation", payload.len(), limits.attestation)?;
    }
    let Descriptor { media_type, size, .. } = &subject.descriptor;
    if let Some(other) = said.media_type.as_deref().filter(|other| *other != media_type.as_str()) {
        return Err(Reason::new(
            Why::Subject,
            format!("it says that the content is {}, and it is {media_type}", quoted(other)),
        ));
    }
    if let Some(other) = said.size.filter(|other| other != size) {
        return Err(Reason::new(
            Why::Subject,
            format!("it says that the content has {other} bytes, and it has {size}"),
        ));
    }
    let Statement { saying, names, media_type, size, issued, expires, sequence } = said;
    let claim = claim(found, subject, saying, names);
    Ok(VerifiedClaim::new(Claim { media_type, size, issued, expires, sequence, ..claim }))
}

/// Sigstore bundles.
struct SigstoreBundle;

impl Scheme for SigstoreBundle {
    fn form(&self) -> Form {
        Form::SigstoreBundle
    }

    fn reads(&self, candidate: &Candidate) -> bool {
        bundle::is_bundle(&candidate.media_type)
    }

    fn verify(
        &self,
        candidate: &Candidate,
        subject: &Subject,
        trusted: &[Trusted],
        limits: &Limits,
    ) -> Result<VerifiedClaim, Reason> {
        match Bundle::parse(&candidate.bytes, limits)?.content {
            Content::Dsse(envelope) => {
                let found = signer(trusted, &envelope.signed(), &envelope.signature)?;
                envelope.is_statement()?;
                stated(found, &envelope.payload, subject, limits)
            }
            Content::Message { signature } => {
                let found = signer(trusted, &subject.bytes, &signature)?;
                Ok(VerifiedClaim::new(claim(found, subject, Saying::Signature, Vec::new())))
            }
        }
    }
}

/// Cosign's old signatures.
struct CosignSimple;

impl Scheme for CosignSimple {
    fn form(&self) -> Form {
        Form::CosignSimple
    }

    fn reads(&self, candidate: &Candidate) -> bool {
        candidate.media_type == simple::MEDIA_TYPE
            || (candidate.annotations.contains_key(simple::SIGNATURE)
                && candidate.media_type != dsse::MEDIA_TYPE)
    }

    fn verify(
        &self,
        candidate: &Candidate,
        subject: &Subject,
        trusted: &[Trusted],
        limits: &Limits,
    ) -> Result<VerifiedClaim, Reason> {
        if candidate.media_type != simple::MEDIA_TYPE {
            return Err(Reason::malformed(format!(
                "a signature of media type {}, not {}",
                quoted(&candidate.media_type),
                simple::MEDIA_TYPE
            )));
        }
        parse::within("a payload", candidate.bytes.len(), limits.simple)?;
        let signature = candidate.annotations.get(simple::SIGNATURE);
        let signature = signature
            .ok_or_else(|| Reason::malformed(format!("no annotation {}", simple::SIGNATURE)))?;
        let signature = text::base64(signature)
            .ok_or_else(|| Reason::malformed("a signature that is not canonical base64"))?;
        let found = signer(trusted, &candidate.bytes, &signature)?;
        let payload = Payload::parse(&candidate.bytes, simple::COSIGN, limits)?;
        if payload.digest != subject.descriptor.digest {
            return Err(Reason::new(
                Why::Subject,
                format!("the signature is about {}", payload.digest),
            ));
        }
        let claim = claim(found, subject, Saying::Signature, vec![payload.name]);
        Ok(VerifiedClaim::new(Claim { issued: payload.issued, ..claim }))
    }
}

/// Cosign's old attestations.
struct CosignAttestation;

impl Scheme for CosignAttestation {
    fn form(&self) -> Form {
        Form::CosignAttestation
    }

    fn reads(&self, candidate: &Candidate) -> bool {
        candidate.media_type == dsse::MEDIA_TYPE
    }

    fn verify(
        &self,
        candidate: &Candidate,
        subject: &Subject,
        trusted: &[Trusted],
        limits: &Limits,
    ) -> Result<VerifiedClaim, Reason> {
        parse::within("an attestation", candidate.bytes.len(), limits.attestation)?;
        let envelope = parse::object("the envelope", &candidate.bytes, limits.depth)?;
        let envelope = Envelope::of(&envelope)?;
        let found = signer(trusted, &envelope.signed(), &envelope.signature)?;
        envelope.is_statement()?;
        stated(found, &envelope.payload, subject, limits)
    }
}

/// The media type under which signatures with GPG are looked at; they lie in files,
/// which have none.
pub const GPG: &str = "application/pgp-signature";

/// Signatures with GPG.
struct GpgSimple;

impl Scheme for GpgSimple {
    fn form(&self) -> Form {
        Form::GpgSimple
    }

    fn reads(&self, candidate: &Candidate) -> bool {
        candidate.media_type == GPG
    }

    fn verify(
        &self,
        candidate: &Candidate,
        subject: &Subject,
        trusted: &[Trusted],
        limits: &Limits,
    ) -> Result<VerifiedClaim, Reason> {
        let mut nearest: Option<Reason> = None;
        for one in trusted {
            let TrustedKey::Keyring(keyring) = &one.key else { continue };
            let signed = match openpgp::verify(&candidate.bytes, keyring, limits) {
                Ok(signed) => signed,
                Err(reason) => {
                    if nearest.as_ref().is_none_or(|old| old.why <= reason.why) {
                        nearest = Some(reason);
                    }
                    continue;
                }
            };
            let payload = Payload::parse(&signed.content, simple::ATOMIC, limits)?;
            if payload.digest != subject.descriptor.digest {
                return Err(Reason::new(
                    Why::Subject,
                    format!("the signature is about {}", payload.digest),
                ));
            }
            return Ok(VerifiedClaim::new(Claim {
                signer: Signer {
                    id: format!("openpgp:{}", signed.key.fingerprint),
                    name: one.name.clone(),
                },
                algorithm: signed.algorithm,
                digest: payload.digest,
                media_type: None,
                size: None,
                names: vec![payload.name],
                saying: Saying::Signature,
                issued: Some(signed.issued),
                certified: None,
                expires: signed.expires,
                sequence: None,
                doubts: Vec::new(),
            }));
        }
        Err(nearest.unwrap_or_else(|| Reason::new(Why::Key, "no keyring that could have made it")))
    }
}

/// Signatures of the Notary Project, in one of their two forms.
struct Notary(Form);

impl Scheme for Notary {
    fn form(&self) -> Form {
        self.0
    }

    fn reads(&self, candidate: &Candidate) -> bool {
        let kind = if self.0 == Form::NotaryCose { notary::COSE } else { notary::JWS };
        candidate.media_type == kind
    }

    fn verify(
        &self,
        candidate: &Candidate,
        subject: &Subject,
        trusted: &[Trusted],
        limits: &Limits,
    ) -> Result<VerifiedClaim, Reason> {
        let mut nearest: Option<Reason> = None;
        for one in trusted {
            let TrustedKey::Certificates(store) = &one.key else { continue };
            let read = match self.0 {
                Form::NotaryCose => notary::verify_cose,
                _ => notary::verify,
            };
            let signed = match read(&candidate.bytes, store, limits) {
                Ok(signed) => signed,
                Err(reason) => {
                    if nearest.as_ref().is_none_or(|old| old.why <= reason.why) {
                        nearest = Some(reason);
                    }
                    continue;
                }
            };
            let Descriptor { digest, media_type, size, .. } = &subject.descriptor;
            if (&signed.digest, signed.media_type.as_str(), signed.size)
                != (digest, media_type.as_str(), *size)
            {
                return Err(Reason::new(
                    Why::Subject,
                    format!("the signature is about {} ({} bytes)", signed.digest, signed.size),
                ));
            }
            let mut doubts = Vec::new();
            let name = match signed.stranger {
                // Nobody vouches for what it says of itself.
                Some(reason) => {
                    doubts.push((Facet::Authenticity, reason));
                    "a stranger".to_owned()
                }
                None => format!("{} ({})", one.name, signed.leaf.name()),
            };
            if signed.revocable {
                let text = "its certificates name a place that tells whether they were called \
                            back, and nobody is asked here";
                doubts.push((Facet::Revocation, Reason::new(Why::Check, text)));
            }
            return Ok(VerifiedClaim::new(Claim {
                signer: Signer { id: signed.leaf.key.fingerprint(), name },
                algorithm: signed.algorithm,
                digest: signed.digest,
                media_type: Some(signed.media_type),
                size: Some(signed.size),
                names: Vec::new(),
                saying: Saying::Signature,
                issued: Some(signed.issued),
                certified: signed.certified,
                expires: signed.expires,
                sequence: None,
                doubts,
            }));
        }
        Err(nearest
            .unwrap_or_else(|| Reason::new(Why::Key, "no certificates that could have made it")))
    }
}

/// A bundle over an artifact, or a statement about it, verified with a key:
/// without a policy, for files that are no images.
///
/// Errors with [`Why::Key`] if the key did not make it.
pub fn verify_blob(
    bundle: &[u8],
    key: &PublicKey,
    artifact: &Descriptor,
    bytes: Arc<[u8]>,
    limits: &Limits,
) -> Result<VerifiedClaim, Reason> {
    let candidate = Candidate {
        media_type: bundle::MEDIA_TYPE.to_owned(),
        bytes: bundle.into(),
        annotations: Annotations::new(),
        place: String::new(),
        broken: None,
    };
    let subject = Subject { descriptor: artifact.clone(), bytes, asked: Asked::default() };
    let trusted = [Trusted { name: key.fingerprint(), key: TrustedKey::Public(key.clone()) }];
    SigstoreBundle.verify(&candidate, &subject, &trusted, limits)
}
