//! Chains of certificates by the rules of the Notary Project, each with one fault; and
//! what rules let pass.

use plimsoll_sign::format::notary::write::{Chain, envelope};
use plimsoll_sign::format::notary::{self, Store};
use plimsoll_sign::judge::{Evidence, Judgement, Seen, judge};
use plimsoll_sign::key::{KeyPair, Kind};
use plimsoll_sign::policy::{Action, Enforcement, NameRule, Policy, Signed, Trusted, TrustedKey};
use plimsoll_sign::scheme::Candidate;
use plimsoll_sign::{Form, Limits};

use crate::certificates::{DAY, Draft, der, extension, pem, read};
use crate::support::{NOW, content, pair, policy, subject, with};

struct Keys {
    root: KeyPair,
    middle: KeyPair,
    leaf: KeyPair,
}

impl Keys {
    fn new() -> Self {
        Self { root: pair(Kind::P256), middle: pair(Kind::P256), leaf: pair(Kind::P256) }
    }

    fn drafts(&self) -> [Draft<'_>; 3] {
        [
            Draft::signer(&self.leaf),
            Draft::authority(&self.middle, "middle"),
            Draft::authority(&self.root, "root"),
        ]
    }
}

fn chain(drafts: &[Draft<'_>]) -> Vec<Vec<u8>> {
    let issuer = |at: usize| drafts.get(at + 1).unwrap_or(&drafts[at]);
    drafts.iter().enumerate().map(|(at, one)| one.signed_by(issuer(at))).collect()
}

/// An envelope with that chain, as its key signs it, whatever is wrong with the chain.
fn signed(leaf: &KeyPair, certificates: &[Vec<u8>], form: Form, issued: i64) -> Vec<u8> {
    with(leaf, |key| {
        let good = Draft::signer(leaf);
        let holds = Draft { holds: (issued - NOW - DAY, issued - NOW + DAY), ..good };
        let own = Chain::from_pem(&pem(&[holds.signed_by(&holds)])).expect("a chain");
        let made = envelope(form, key, &own, &content(), issued, None).expect("signed");
        exchanged(&made, form, certificates)
    })
}

/// The same with other certificates, which nobody signs.
fn exchanged(envelope: &[u8], form: Form, certificates: &[Vec<u8>]) -> Vec<u8> {
    assert_eq!(form, Form::NotaryJws);
    let mut value: serde_json::Value = serde_json::from_slice(envelope).expect("JSON");
    let list: Vec<_> = certificates.iter().map(|der| plimsoll_sign::text::to_base64(der)).collect();
    value["header"]["x5c"] = serde_json::json!(list);
    value.to_string().into_bytes()
}

fn candidate(bytes: Vec<u8>, form: Form) -> Candidate {
    let kind = if form == Form::NotaryCose { notary::COSE } else { notary::JWS };
    Candidate {
        media_type: kind.to_owned(),
        bytes: bytes.into(),
        annotations: plimsoll_content::Annotations::new(),
        place: "a referrer".to_owned(),
        broken: None,
    }
}

fn store(root: &[u8]) -> Store {
    Store { authorities: vec![read(root)], ..Store::default() }
}

fn by(store: Store, enforce: Enforcement) -> Policy {
    let of = vec![Trusted { name: "s".to_owned(), key: TrustedKey::Certificates(store) }];
    policy(Signed { enforce, name: NameRule::Any, ..Signed::by(of) })
}

fn judged(policy: &Policy, candidates: Vec<Candidate>, at: i64) -> Judgement {
    let evidence = Evidence { candidates, cut: None };
    judge(policy, &subject(), &evidence, at, &Seen::new(), &Limits::default())
}

/// The code of the refusal of a chain; empty if it is accepted.
fn code(keys: &Keys, drafts: &[Draft<'_>], at: i64) -> String {
    let made = chain(drafts);
    let root = made.last().expect("a root").clone();
    let bytes = signed(&keys.leaf, &made, Form::NotaryJws, at.min(NOW));
    let policy = by(store(&root), Enforcement::DEFAULT);
    match judged(&policy, vec![candidate(bytes, Form::NotaryJws)], at).verdict {
        Ok(_) => String::new(),
        Err(error) => error.code().to_string(),
    }
}

#[test]
fn each_kind_of_key_signs_in_both_forms() {
    for kind in [Kind::P256, Kind::P384] {
        let keys = Keys { leaf: pair(kind), ..Keys::new() };
        let made = chain(&keys.drafts());
        let own = Chain::from_pem(&pem(&made)).expect("a chain");
        assert_eq!(own.thumbprints().matches('"').count(), 6);
        for form in [Form::NotaryJws, Form::NotaryCose] {
            for expires in [None, Some(NOW + 10)] {
                let bytes = with(&keys.leaf, |key| {
                    envelope(form, key, &own, &content(), NOW, expires).expect("signed")
                });
                let policy = by(store(&made[2]), Enforcement::DEFAULT);
                let at = |time| judged(&policy, vec![candidate(bytes.clone(), form)], time);
                let good = at(NOW + 10);
                assert!(good.verdict.is_ok(), "{:?}", good.outcomes);
                let claim = good.outcomes[0].signed.as_ref().expect("a claim");
                assert_eq!((claim.issued, claim.expires), (Some(NOW), expires));
                let later = at(NOW + 11).verdict.err().map(|error| error.code().to_string());
                assert_eq!(later.as_deref(), expires.map(|_| "E_EXPIRED"));
            }
        }
    }
}

#[test]
fn a_key_signs_with_its_own_certificate_alone() {
    let keys = Keys::new();
    let made = chain(&keys.drafts());
    let own = Chain::from_pem(&pem(&made)).expect("a chain");
    let sign = |pair: &KeyPair, at: i64| {
        with(pair, |key| envelope(Form::NotaryJws, key, &own, &content(), at, None)).is_ok()
    };
    assert!(sign(&keys.leaf, NOW));
    assert!(!sign(&keys.root, NOW) && !sign(&pair(Kind::Ed25519), NOW));
    assert!(!sign(&keys.leaf, NOW - 2 * DAY) && !sign(&keys.leaf, NOW + 301 * DAY));
    for part in [&made[..2], &made[1..], &[made[0].clone(), made[2].clone()]] {
        assert!(Chain::from_pem(&pem(part)).is_err());
    }
    let other = ["", "x", "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n"];
    assert!(other.iter().all(|text| Chain::from_pem(text).is_err()));
}

/// A chain holds as a whole (CVE-2026-24122): none of it has expired or begins later.
#[test]
fn t15_every_certificate_of_a_chain_must_hold() {
    let keys = Keys::new();
    assert_eq!(code(&keys, &keys.drafts(), NOW), "");
    // Both ends count.
    let (begin, end) = (NOW - DAY, NOW + 300 * DAY);
    assert_eq!(code(&keys, &keys.drafts(), begin), "");
    assert_eq!(code(&keys, &keys.drafts(), end), "");
    assert_eq!(code(&keys, &keys.drafts(), end + 1), "E_EXPIRED");
    for at in 0..3 {
        let name = ["leaf", "middle", "root"][at];
        let mut drafts = keys.drafts();
        drafts[at].holds = (-1000 * DAY, -1);
        assert_eq!(code(&keys, &drafts, NOW), "E_EXPIRED", "{name} expired");
        drafts[at].holds = (1, 1000 * DAY);
        assert_eq!(code(&keys, &drafts, NOW), "E_EXPIRED", "{name} not yet");
        drafts[at].holds = (0, 0);
        assert_eq!(code(&keys, &drafts, NOW), "", "{name} at its one second");
    }
}

#[test]
fn chains_with_one_fault_are_refused() {
    let keys = Keys::new();
    let stranger = Keys::new();
    let changed = |at: usize, change: &dyn Fn(&mut Draft<'_>)| {
        let mut drafts = keys.drafts();
        change(&mut drafts[at]);
        code(&keys, &drafts, NOW)
    };
    // The leaf: what it may be used for.
    for (bits, good) in [
        (0x80, true),
        (0xc0, true), // nonRepudiation
        (0xa0, false),
        (0x90, false),
        (0x88, false),
        (0x84, false), // keyCertSign
        (0x82, false), // cRLSign
        (0x40, false),
    ] {
        let found = changed(0, &|draft| draft.usage = Some((bits, true)));
        assert_eq!(found.is_empty(), good, "{bits:02x}: {found}");
    }
    assert!(!changed(0, &|draft| draft.usage = Some((0x80, false))).is_empty());
    assert!(!changed(0, &|draft| draft.usage = None).is_empty());
    assert!(!changed(0, &|draft| draft.authority = Some((true, None, true))).is_empty());
    assert!(changed(0, &|draft| draft.authority = Some((false, None, false))).is_empty());
    for (purpose, good) in [(0, false), (1, false), (2, false), (3, true), (4, false), (8, false)] {
        let found = changed(0, &|draft| draft.purposes = vec![3, purpose]);
        assert_eq!(found.is_empty(), good, "{purpose}: {found}");
    }
    assert!(changed(0, &|draft| draft.purposes = Vec::new()).is_empty());
    // Authorities.
    for at in [1, 2] {
        assert!(!changed(at, &|draft| draft.authority = None).is_empty());
        assert!(!changed(at, &|draft| draft.authority = Some((true, None, false))).is_empty());
        assert!(!changed(at, &|draft| draft.authority = Some((false, None, true))).is_empty());
        assert!(!changed(at, &|draft| draft.usage = None).is_empty());
        assert!(!changed(at, &|draft| draft.usage = Some((0x06, false))).is_empty());
        assert!(!changed(at, &|draft| draft.usage = Some((0x82, true))).is_empty());
    }
    let path = |at, path| changed(at, &|draft| draft.authority = Some((true, Some(path), true)));
    assert_eq!((path(1, 0).as_str(), path(2, 1).as_str()), ("", ""));
    assert!(!path(2, 0).is_empty());
    // Other extensions are not looked at, critical or not: here, constraints on names.
    let other = extension(&[0x55, 0x1d, 0x1e], true, &der(0x30, &[]));
    for at in 0..3 {
        assert_eq!(changed(at, &|draft| draft.others = vec![other.clone()]), "");
    }
    // The order, what is missing, and what does not belong there.
    let made = chain(&keys.drafts());
    let [leaf, middle, root] = [&made[0], &made[1], &made[2]].map(Clone::clone);
    let foreign = chain(&stranger.drafts());
    let verdict = |list: &[&Vec<u8>]| {
        let list: Vec<_> = list.iter().map(|one| (*one).clone()).collect();
        let bytes = signed(&keys.leaf, &list, Form::NotaryJws, NOW);
        notary::verify(&bytes, &store(&root), &Limits::default()).is_ok()
    };
    assert!(verdict(&[&leaf, &middle, &root]));
    for wrong in [
        &[&leaf, &middle][..],
        &[&leaf, &root],
        &[&leaf],
        &[&root, &middle, &leaf],
        &[&middle, &leaf, &root],
        &[&leaf, &middle, &root, &root],
        &[&leaf, &middle, &root, &foreign[2]],
        &[&leaf, &foreign[1], &root],
        &[&foreign[0], &foreign[1], &foreign[2]],
        &[&foreign[0], &middle, &root],
        &[],
    ] {
        assert!(!verdict(wrong));
    }
    // One that signs itself is a leaf; one of an authority is none.
    let own = Draft::signer(&keys.leaf);
    let alone = own.signed_by(&own);
    let bytes = signed(&keys.leaf, std::slice::from_ref(&alone), Form::NotaryJws, NOW);
    assert!(notary::verify(&bytes, &store(&alone), &Limits::default()).is_ok());
    assert!(notary::verify(&bytes, &store(&root), &Limits::default()).is_err());
    // Ten certificates, and one more.
    for (middles, good) in [(8, true), (9, false)] {
        let more: Vec<_> = (0..middles).map(|_| pair(Kind::P256)).collect();
        let names: Vec<_> = (0..middles).map(|at| format!("middle {at}")).collect();
        let between = more.iter().zip(&names).map(|(key, name)| Draft::authority(key, name));
        let [first, _, last] = keys.drafts();
        let drafts: Vec<_> = [first].into_iter().chain(between).chain([last]).collect();
        assert_eq!(code(&keys, &drafts, NOW).is_empty(), good, "{middles}");
    }
}

#[test]
fn only_a_signing_authority_vouches_for_the_time() {
    let keys = Keys::new();
    let made = chain(&keys.drafts());
    let root = read(&made[2]);
    // By its own word, it was signed by an authority, when its certificates held.
    let header = serde_json::json!({
        "alg": "ES256",
        "cty": "application/vnd.cncf.notary.payload.v1+json",
        "crit": ["io.cncf.notary.signingScheme", "io.cncf.notary.authenticSigningTime"],
        "io.cncf.notary.signingScheme": "notary.x509.signingAuthority",
        "io.cncf.notary.authenticSigningTime": "2026-05-28T20:26:40Z",
    });
    let subject = content();
    let payload = serde_json::json!({"targetArtifact": {
        "digest": subject.digest, "mediaType": subject.media_type, "size": subject.size}});
    let encoded =
        |value: &serde_json::Value| plimsoll_sign::text::to_base64url(value.to_string().as_bytes());
    let (protected, payload) = (encoded(&header), encoded(&payload));
    let message = format!("{protected}.{payload}");
    let der = with(&keys.leaf, |key| key.sign(message.as_bytes()).expect("signed"));
    let signature = fixed(&der);
    let x5c: Vec<_> = made.iter().map(|der| plimsoll_sign::text::to_base64(der)).collect();
    let bytes = serde_json::json!({
        "protected": protected, "payload": payload, "header": {"x5c": x5c},
        "signature": plimsoll_sign::text::to_base64url(&signature),
    });
    let bytes = bytes.to_string().into_bytes();
    let late = NOW + 400 * DAY;
    let verdict = |store: Store| {
        let authenticity = if store.anyone { Action::Log } else { Action::Enforce };
        let policy = by(store, Enforcement { authenticity, ..Enforcement::DEFAULT });
        let found = judged(&policy, vec![candidate(bytes.clone(), Form::NotaryJws)], late);
        found.verdict.err().map(|error| error.code().to_string()).unwrap_or_default()
    };
    assert_eq!(verdict(Store { signing: vec![root.clone()], ..Store::default() }), "");
    assert_eq!(verdict(store(&made[2])), "E_UNTRUSTED");
    // The word of a stranger is none, whoever may sign.
    let anyone = Store { anyone: true, ..store(&made[2]) };
    assert_eq!(verdict(anyone), "E_EXPIRED");
}

/// The two numbers of a signature of ECDSA on P-256.
fn fixed(der: &[u8]) -> Vec<u8> {
    let mut at = 2;
    let mut out = Vec::new();
    for _ in 0..2 {
        let length = usize::from(der[at + 1]);
        let number = &der[at + 2..at + 2 + length];
        let number = if number.len() > 32 { &number[1..] } else { number };
        out.extend(vec![0; 32 - number.len()]);
        out.extend(number);
        at += 2 + length;
    }
    out
}

#[test]
fn what_a_rule_does_not_enforce_is_told() {
    let keys = Keys::new();
    let mut drafts = keys.drafts();
    // A list of what was called back.
    let uri = der(0x30, &[&der(0x30, &[&der(0xa0, &[&der(0xa0, &[&der(0x86, &[b"http://x"])])])])]);
    drafts[0].others = vec![extension(&[0x55, 0x1d, 0x1f], false, &uri)];
    let made = chain(&drafts);
    let own = Chain::from_pem(&pem(&made)).expect("a chain");
    let bytes = with(&keys.leaf, |key| {
        envelope(Form::NotaryCose, key, &own, &content(), NOW, Some(NOW + DAY)).expect("signed")
    });
    let at = |enforce: Enforcement, store: Store, time: i64| {
        let found =
            judged(&by(store, enforce), vec![candidate(bytes.clone(), Form::NotaryCose)], time);
        let told: Vec<_> = found.outcomes[0].not_enforced.iter().map(|one| one.why).collect();
        match found.verdict {
            Ok(_) => Ok(told),
            Err(error) => Err(error.code().to_string()),
        }
    };
    let whole = || store(&made[2]);
    let default = Enforcement::DEFAULT;
    let log = |enforce: &mut Action| *enforce = Action::Log;
    assert_eq!(at(default, whole(), NOW), Ok(Vec::new()));
    // Whether it was called back is not known, and a rule may want to know it.
    let mut strict = Enforcement { revocation: Action::Enforce, ..default };
    assert_eq!(at(strict, whole(), NOW), Err("E_UNSIGNED".to_owned()));
    log(&mut strict.revocation);
    assert_eq!(at(strict, whole(), NOW).expect("trusted").len(), 1);
    // Its own end, and that of its certificates.
    let mut lax = default;
    assert_eq!(at(lax, whole(), NOW + 2 * DAY), Err("E_EXPIRED".to_owned()));
    log(&mut lax.expiry);
    assert_eq!(at(lax, whole(), NOW + 2 * DAY).expect("trusted").len(), 1);
    assert_eq!(at(lax, whole(), NOW + 400 * DAY), Err("E_EXPIRED".to_owned()));
    log(&mut lax.time);
    assert_eq!(at(lax, whole(), NOW + 400 * DAY).expect("trusted").len(), 2);
    lax.time = Action::Skip;
    assert_eq!(at(lax, whole(), NOW + 400 * DAY).expect("trusted").len(), 1);
    // Whose it is.
    let nobody = Store::default();
    assert_eq!(at(default, nobody.clone(), NOW), Err("E_UNTRUSTED".to_owned()));
    let anyone = Store { anyone: true, ..nobody };
    assert_eq!(at(default, anyone.clone(), NOW), Err("E_UNTRUSTED".to_owned()));
    let mut audit = default;
    log(&mut audit.authenticity);
    assert_eq!(at(audit, anyone.clone(), NOW).expect("trusted").len(), 1);
    // It is about this content all the same.
    let other = with(&keys.leaf, |key| {
        let other = plimsoll_content::Descriptor::of(
            content().media_type,
            plimsoll_content::Algorithm::Sha256,
            b"other",
        );
        envelope(Form::NotaryJws, key, &own, &other, NOW, None).expect("signed")
    });
    let found =
        judged(&by(anyone, audit), vec![candidate(other, Form::NotaryJws)], NOW).verdict.err();
    assert_eq!(found.expect("refused").code().to_string(), "E_UNSIGNED");
}

#[test]
fn who_may_sign_is_a_matter_of_whole_parts() {
    let keys = Keys::new();
    let verdict = |subject: &[(u8, &'static str)], identity: &str| {
        let mut drafts = keys.drafts();
        drafts[0].subject = subject.to_vec();
        let made = chain(&drafts);
        let bytes = signed(&keys.leaf, &made, Form::NotaryJws, NOW);
        let name = plimsoll_sign::format::dn::parse(identity).expect("a name");
        let store = Store { identities: vec![name], ..store(&made[2]) };
        notary::verify(&bytes, &store, &Limits::default()).is_ok()
    };
    let us: &[(u8, &str)] = &[(6, "US"), (8, "WA"), (10, "Example"), (3, "a, b")];
    assert!(verdict(us, "C=US,S=WA,O=Example"));
    assert!(verdict(us, "CN=a\\, b,O=Example,ST=WA,C=US"));
    for other in ["O=Exampl", "O=example", "O=Example,OU=x", "CN=a", "C=DE,O=Example"] {
        assert!(!verdict(us, other), "{other}");
    }
    // Which of two would count?
    assert!(!verdict(&[(10, "Example"), (10, "Other")], "O=Example"));
}
