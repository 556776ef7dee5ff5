//! Signatures with a certificate, logs and time stamps: each form is accepted as it
//! should be, and with one fault refused for that very fault.

mod beside;
mod certificates;
mod entries;
mod roots;
mod times;

use std::sync::Arc;

use plimsoll_content::{Algorithm, Descriptor, MediaType};
use plimsoll_sign::format::root::Root;
use plimsoll_sign::judge::{Evidence, Judgement, Seen, judge};
use plimsoll_sign::keyless::{Check, Pattern, Wanted};
use plimsoll_sign::policy::{NameRule, Policy, Rooted, Trusted, TrustedKey, Who};
use plimsoll_sign::scheme::{Candidate, Subject};
use plimsoll_sign::{Asked, Limits, Why};
use serde_json::Value;

use crate::forge::{AT, Form, ISSUER, Leaf, Log, Made, WHO, World, YEAR, forms};

pub(super) const ARTIFACT: &[u8] = b"what is signed";

pub(super) fn wanted(subject: &str, issuer: &str) -> Who {
    Who::Anyone(vec![Wanted {
        issuer: Some(Pattern::Is(issuer.to_owned())),
        subject: Pattern::Is(subject.to_owned()),
        mail: false,
    }])
}

pub(super) fn rooted(root: &Value, who: Who) -> Rooted {
    let root = Arc::new(Root::parse(root.to_string().as_bytes()).expect("a root"));
    let certificate_log = matches!(who, Who::Anyone(_));
    Rooted { root, who, log: true, certificate_log }
}

pub(super) fn judged_at(rooted: Rooted, bundle: &Value, artifact: &[u8], at: i64) -> Judgement {
    let trusted = Trusted { name: "k".into(), key: TrustedKey::Rooted(Arc::new(rooted)) };
    judged_by(&Policy::of_keys(vec![trusted], 1, NameRule::Any), bundle, artifact, at)
}

pub(super) fn judged_by(policy: &Policy, bundle: &Value, artifact: &[u8], at: i64) -> Judgement {
    let descriptor = Descriptor::of(MediaType::from("a/b"), Algorithm::Sha256, artifact);
    let subject = Subject { descriptor, bytes: artifact.into(), asked: Asked::default() };
    let candidates = vec![Candidate::bundle(bundle.to_string().as_bytes(), "")];
    let evidence = Evidence { candidates, cut: None };
    judge(policy, &subject, &evidence, at, &Seen::new(), &Limits::default())
}

/// Why a bundle does not count; `Ok` if it does.
pub(super) fn verdict(rooted: Rooted, bundle: &Value) -> Result<Judgement, (Why, String)> {
    let judged = judged_at(rooted, bundle, ARTIFACT, AT + YEAR);
    match &judged.outcomes[0].reason {
        None => {
            assert!(judged.verdict.is_ok());
            Ok(judged)
        }
        Some(reason) => {
            assert!(judged.verdict.is_err());
            Err((reason.why, reason.text.clone()))
        }
    }
}

/// By the root of the world, for the signer that it forges.
pub(super) fn plain(world: &World, bundle: &Value) -> Result<Judgement, (Why, String)> {
    verdict(rooted(&world.trusted_root(), wanted(WHO, ISSUER)), bundle)
}

pub(super) fn refused(world: &World, what: &str, bundle: &Value, why: Why, text: &str) {
    let (found, told) = plain(world, bundle).expect_err(what);
    assert_eq!(found, why, "{what}: {told}");
    assert!(told.contains(text), "{what}: {told}");
}

/// A good bundle of that form, and what it is made of.
pub(super) fn good(world: &World, form: Form) -> (Made, Value) {
    let signer = world.signer(&Leaf::default());
    let made = Made::new(form, ARTIFACT, &signer);
    let bundle = complete(world, &made);
    (made, bundle)
}

pub(super) fn complete(world: &World, made: &Made) -> Value {
    let entry = world.entry(made.form.log, &made.body(), AT);
    made.bundle(&[entry], &stamps(world, made))
}

pub(super) fn stamps(world: &World, made: &Made) -> Vec<Vec<u8>> {
    match made.form.log {
        Log::First => Vec::new(),
        Log::Second => vec![world.stamp(&made.signature, AT).response(&world.stamps.0)],
    }
}

/// A form of bundles with the first log, and one with the second.
pub(super) fn two_forms() -> [Form; 2] {
    let all = forms();
    let find = |log| *all.iter().rev().find(|form| form.log == log && !form.envelope).expect("one");
    [find(Log::First), find(Log::Second)]
}

#[test]
fn each_form_is_accepted_and_tells_who_and_when() {
    let world = World::new();
    for form in forms() {
        let (_, bundle) = good(&world, form);
        let judged = plain(&world, &bundle).unwrap_or_else(|told| panic!("{form:?}: {told:?}"));
        let claim = judged.outcomes[0].signed.as_ref().expect("signed");
        let identity = claim.vouched.identity.as_ref().expect("somebody");
        assert_eq!((identity.subject.as_str(), identity.issuer.as_deref()), (WHO, Some(ISSUER)));
        assert_eq!(claim.issued, Some(AT));
        assert_eq!(claim.vouched.times.len(), 1, "{form:?}");
        let by = if form.log == Log::First { Check::Log } else { Check::Timestamp };
        assert_eq!(claim.vouched.times[0].by, by);
        let all = [Check::Certificate, Check::CertificateLog, Check::Log];
        assert!(all.iter().all(|check| claim.vouched.checked.contains(check)));
        // The same bundle is about nothing else.
        let root = rooted(&world.trusted_root(), wanted(WHO, ISSUER));
        let other = judged_at(root, &bundle, b"something else", AT);
        assert!(other.verdict.is_err(), "{form:?}");
        assert!(other.outcomes[0].signed.is_none());
    }
    let all = forms();
    assert_eq!(all.iter().filter(|form| form.version == 1).count(), 3);
    assert!(all.len() > 15);
}
