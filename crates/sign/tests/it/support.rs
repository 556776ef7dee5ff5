//! Keys, content and candidates, and the shortest way to a verdict.

use plimsoll_content::{Algorithm, Annotations, Descriptor, MediaType};
use plimsoll_sign::format::{bundle, dsse, simple};
use plimsoll_sign::judge::{Evidence, Judgement, Seen, judge};
use plimsoll_sign::key::{KeyPair, Kind};
use plimsoll_sign::policy::{NameRule, Policy, Signed, Trusted, TrustedKey};
use plimsoll_sign::scheme::{Candidate, Subject};
use plimsoll_sign::write::{Local, SigningKey};
use plimsoll_sign::{Asked, ImageName, Limits};
use ring::rand::SystemRandom;

pub(crate) const MANIFEST: &[u8] = br#"{"schemaVersion":2}"#;
pub(crate) const NAME: &str = "example.com/org/app:v1";
/// Some time in 2026.
pub(crate) const NOW: i64 = 1_780_000_000;

pub(crate) fn pair(kind: Kind) -> KeyPair {
    KeyPair::generate(kind, &SystemRandom::new()).expect("a key")
}

pub(crate) fn content() -> Descriptor {
    Descriptor::of(
        MediaType::from("application/vnd.oci.image.manifest.v1+json"),
        Algorithm::Sha256,
        MANIFEST,
    )
}

pub(crate) fn asked(name: &str) -> Asked {
    Asked { transport: "docker".to_owned(), path: None, name: ImageName::parse(name) }
}

pub(crate) fn subject() -> Subject {
    Subject { descriptor: content(), bytes: MANIFEST.into(), asked: asked(NAME) }
}

pub(crate) fn trusted(name: &str, pair: &KeyPair) -> Trusted {
    Trusted { name: name.to_owned(), key: TrustedKey::Public(pair.public().clone()) }
}

pub(crate) fn with<T>(pair: &KeyPair, work: impl FnOnce(&dyn SigningKey) -> T) -> T {
    work(&Local { pair, random: &SystemRandom::new() })
}

pub(crate) fn bundled(bytes: Vec<u8>) -> Candidate {
    Candidate {
        media_type: bundle::MEDIA_TYPE.to_owned(),
        bytes: bytes.into(),
        annotations: Annotations::new(),
        place: "a referrer".to_owned(),
        broken: None,
    }
}

pub(crate) fn payload(pair: &KeyPair, payload: &[u8]) -> Candidate {
    let signature = with(pair, |key| key.sign(payload)).expect("signed");
    let signature = plimsoll_sign::text::to_base64(&signature);
    Candidate {
        media_type: simple::MEDIA_TYPE.to_owned(),
        bytes: payload.into(),
        annotations: Annotations::from([(simple::SIGNATURE.to_owned(), signature)]),
        place: "a tag".to_owned(),
        broken: None,
    }
}

/// A bundle around any payload, rightly signed.
pub(crate) fn statement(pair: &KeyPair, payload: &[u8]) -> Candidate {
    let kind = dsse::IN_TOTO;
    let signature = with(pair, |key| key.sign(&dsse::pae(kind, payload))).expect("signed");
    let envelope =
        dsse::Envelope { payload_type: kind.to_owned(), payload: payload.to_vec(), signature };
    let hint = pair.public().hint();
    bundled(bundle::Bundle::to_bytes(&hint, &envelope).expect("written"))
}

pub(crate) fn policy(signed: Signed) -> Policy {
    Policy { default: vec![plimsoll_sign::policy::Requirement::Signed(signed)], rules: Vec::new() }
}

pub(crate) fn by(pair: &KeyPair, name: NameRule) -> Policy {
    Policy::of_keys(vec![trusted("k", pair)], 1, name)
}

pub(crate) fn judged(policy: &Policy, candidates: Vec<Candidate>) -> Judgement {
    let evidence = Evidence { candidates, cut: None };
    judge(policy, &subject(), &evidence, NOW, &Seen::new(), &Limits::default())
}

/// The code of a refusal; empty if the content is trusted.
pub(crate) fn code(policy: &Policy, candidates: Vec<Candidate>) -> String {
    match judged(policy, candidates).verdict {
        Ok(_) => String::new(),
        Err(error) => error.code().to_string(),
    }
}
