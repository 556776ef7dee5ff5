//! Schemes: what turns the bytes of a signature into a claim.
//!
//! They are pure. Where signatures lie (a referrer, a tag, a folder) is no matter
//! of theirs: a [`Candidate`] comes from anywhere.

use std::sync::Arc;

use plimsoll_content::{Annotations, Descriptor};

use crate::asked::Asked;
use crate::claim::{Claim, Form, Saying, Signer, VerifiedClaim};
use crate::format::beside;
use crate::format::bundle::{self, Bundle, Content};
use crate::format::dsse::{self, Envelope};
use crate::format::parse;
use crate::format::simple::{self, Payload};
use crate::format::statement::Statement;
use crate::format::{notary, openpgp};
use crate::key::PublicKey;
use crate::keyless::{self, By, Held, Material, Signature, Vouched, made_by};
use crate::limits::Limits;
use crate::policy::{Facet, Rooted, Trusted, TrustedKey, Who};
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

/// Who made a signature, as far as the policy knows them.
struct Found<'a> {
    trusted: &'a Trusted,
    /// The key, or the person, for thresholds.
    id: String,
    held: Held,
}

/// Whose signature it is.
fn signer<'a>(
    trusted: &'a [Trusted],
    signature: &Signature<'_>,
    material: Result<&Material, &Reason>,
) -> Result<Found<'a>, Reason> {
    let mut nearest: Option<Reason> = None;
    // With many people of one root, all that comes along is verified once.
    let mut known: Vec<(&Rooted, Result<Held, Reason>)> = Vec::new();
    for one in trusted {
        let found = match &one.key {
            // What comes along changes nothing for somebody who knows the key.
            TrustedKey::Public(key) => {
                let algorithm = made_by(key, signature);
                let held = algorithm.map(|algorithm| Held {
                    algorithm,
                    vouched: Vouched::default(),
                    holds: None,
                    revocable: false,
                });
                held.map(|held| (key.fingerprint(), held)).ok_or_else(|| {
                    let name = quoted(&one.name);
                    Reason::new(Why::Key, format!("not made by {name}, or changed since"))
                })
            }
            TrustedKey::Rooted(rooted) => {
                let same = known.iter().find(|(other, _)| other.alike(rooted));
                let held = match same {
                    Some((_, held)) => held.clone(),
                    None => {
                        let held = material
                            .map_err(Clone::clone)
                            .and_then(|material| keyless::verify(signature, material, rooted));
                        known.push((rooted, held.clone()));
                        held
                    }
                };
                held.and_then(|held| match (&rooted.who, &held.vouched.identity) {
                    (Who::Anyone(wanted), Some(identity)) => {
                        keyless::wanted(identity, wanted.iter())?;
                        Ok((keyless::signer(identity), held))
                    }
                    (Who::Key(key), _) => Ok((key.fingerprint(), held)),
                    (Who::Anyone(_), None) => Err(Reason::new(Why::Identity, "by nobody")),
                })
            }
            TrustedKey::Keyring(_) | TrustedKey::Certificates { .. } => continue,
        };
        match found {
            Ok((id, held)) => return Ok(Found { trusted: one, id, held }),
            Err(reason) if nearest.as_ref().is_none_or(|old| old.why < reason.why) => {
                nearest = Some(reason);
            }
            Err(_) => {}
        }
    }
    let keys = trusted.iter().filter(|one| matches!(one.key, TrustedKey::Public(_)));
    let names: Vec<_> = keys.map(|one| one.name.as_str()).collect();
    Err(match nearest {
        Some(reason) if reason.why != Why::Key || names.len() < 2 => reason,
        _ => {
            let names = quoted(&names.join(", "));
            Reason::new(Why::Key, format!("not made by {names}, or changed since"))
        }
    })
}

fn claim(found: Found<'_>, subject: &Subject, saying: Saying, names: Vec<String>) -> Claim {
    let Found { trusted, id, held } = found;
    Claim {
        signer: Signer { id, name: trusted.name.clone() },
        algorithm: held.algorithm.as_str().to_owned(),
        digest: subject.descriptor.digest.clone(),
        media_type: None,
        size: None,
        names,
        saying,
        // Of several times the first: nobody makes something newer than it is.
        issued: held.vouched.times.iter().map(|seen| seen.at).min(),
        certified: held.holds,
        expires: None,
        sequence: None,
        vouched: held.vouched,
        doubts: held.revocable.then(may_be_revoked).into_iter().collect(),
    }
}

/// What is not known of certificates that say where it can be known.
fn may_be_revoked() -> (Facet, Reason) {
    let text = "its certificates name a place that tells whether they were called back, and \
                nobody is asked here";
    (Facet::Revocation, Reason::new(Why::Check, text))
}

/// What a verified statement says.
fn stated(
    found: Found<'_>,
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
    let issued = [issued, claim.issued].into_iter().flatten().min();
    let expires = [expires, claim.expires].into_iter().flatten().min();
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
        let bundle = Bundle::parse(&candidate.bytes, limits)?;
        let rooted = trusted.iter().any(|one| matches!(one.key, TrustedKey::Rooted(_)));
        if matches!(bundle.material.by, By::Certificates(_)) && !rooted {
            let text = "a bundle with a certificate, and nobody with one is trusted";
            return Err(Reason::new(Why::Form, text));
        }
        match bundle.content {
            Content::Dsse(envelope) => {
                let message = envelope.signed();
                let signature = Signature {
                    message: &message,
                    made: &envelope.signature,
                    envelope: Some(&envelope),
                };
                let found = signer(trusted, &signature, Ok(&bundle.material))?;
                envelope.is_statement()?;
                stated(found, &envelope.payload, subject, limits)
            }
            Content::Message { signature, digest } => {
                bundle::is_hash(digest.as_ref(), &subject.bytes)?;
                let signature =
                    Signature { message: &subject.bytes, made: &signature, envelope: None };
                let found = signer(trusted, &signature, Ok(&bundle.material))?;
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
        let material = beside::material(&candidate.annotations, limits);
        let signature = Signature { message: &candidate.bytes, made: &signature, envelope: None };
        let found = signer(trusted, &signature, material.as_ref())?;
        let payload = Payload::parse(&candidate.bytes, simple::COSIGN, limits)?;
        if payload.digest != subject.descriptor.digest {
            return Err(Reason::new(
                Why::Subject,
                format!("the signature is about {}", payload.digest),
            ));
        }
        let claim = claim(found, subject, Saying::Signature, vec![payload.name]);
        let issued = [payload.issued, claim.issued].into_iter().flatten().min();
        Ok(VerifiedClaim::new(Claim { issued, ..claim }))
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
        let material = beside::material(&candidate.annotations, limits);
        let message = envelope.signed();
        let signature =
            Signature { message: &message, made: &envelope.signature, envelope: Some(&envelope) };
        let found = signer(trusted, &signature, material.as_ref())?;
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
                vouched: Vouched::default(),
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
            doubts.extend(signed.unstamped.map(|reason| (Facet::AuthenticTimestamp, reason)));
            doubts.extend(signed.revocable.then(may_be_revoked));
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
                vouched: Vouched::default(),
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
    let subject = Subject { descriptor: artifact.clone(), bytes, asked: Asked::default() };
    let trusted = [Trusted { name: key.fingerprint(), key: TrustedKey::Public(key.clone()) }];
    SigstoreBundle.verify(&Candidate::bundle(bundle, ""), &subject, &trusted, limits)
}

impl Candidate {
    /// A sigstore bundle of a file.
    pub fn bundle(bytes: &[u8], place: &str) -> Self {
        Self {
            media_type: bundle::MEDIA_TYPE.to_owned(),
            bytes: bytes.into(),
            annotations: Annotations::new(),
            place: place.to_owned(),
            broken: None,
        }
    }
}
