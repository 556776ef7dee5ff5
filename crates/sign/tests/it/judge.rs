//! When it is enough: thresholds, names, times, limits.

use plimsoll_sign::format::statement::BINDING;
use plimsoll_sign::judge::{Evidence, Seen, judge};
use plimsoll_sign::key::Kind;
use plimsoll_sign::policy::{Check, NameRule, Signed, ZoneRule, Zoned};
use plimsoll_sign::write::{self, Term};
use plimsoll_sign::{Form, Limits, Why};
use serde_json::json;

use crate::support::*;

fn bundle(
    pair: &plimsoll_sign::key::KeyPair,
    name: Option<&str>,
) -> plimsoll_sign::scheme::Candidate {
    bundled(with(pair, |key| write::signature(key, &content(), name)).expect("signed"))
}

#[test]
fn t18_a_threshold_counts_signers_and_not_signatures() {
    let (one, other) = (pair(Kind::P256), pair(Kind::Ed25519));
    // The same key under two names is one signer.
    let of = vec![trusted("a", &one), trusted("again", &one), trusted("b", &other)];
    let needs = |threshold| policy(Signed { threshold, ..Signed::by(of.clone()) });
    let twice = || vec![bundle(&one, None), bundle(&one, Some(NAME))];
    assert_eq!(code(&needs(1), twice()), "");
    let found = judged(&needs(2), twice());
    let error = found.verdict.expect_err("one signer");
    assert_eq!(error.code().as_str(), "E_UNTRUSTED");
    assert!(error.to_string().contains("1 of 2"), "{error}");
    let both = vec![bundle(&one, None), bundle(&other, None)];
    assert_eq!(code(&needs(2), both), "");
}

#[test]
fn each_reason_has_a_code_of_its_own() {
    let (own, stranger) = (pair(Kind::P256), pair(Kind::P256));
    let exact = by(&own, NameRule::Exact);
    assert_eq!(code(&exact, Vec::new()), "E_UNSIGNED");
    assert_eq!(code(&exact, vec![bundle(&stranger, Some(NAME))]), "E_UNTRUSTED");
    assert_eq!(code(&exact, vec![bundle(&own, Some("example.com/org/app:v2"))]), "E_SIGNED_NAME");
    assert_eq!(code(&exact, vec![bundle(&own, None)]), "E_SIGNED_NAME");
    assert_eq!(code(&exact, vec![bundle(&own, Some(NAME))]), "");
    // One bad signature among good ones is told, and changes nothing.
    let found = judged(&exact, vec![bundle(&stranger, Some(NAME)), bundle(&own, Some(NAME))]);
    assert!(found.verdict.is_ok());
    assert_eq!(found.outcomes[0].reason.as_ref().expect("a reason").why, Why::Key);
    assert!(found.outcomes[1].counts);
}

#[test]
fn names_are_compared_as_the_rule_says() {
    let own = pair(Kind::P256);
    let untagged = "example.com/org/app";
    for (rule, signed, expected) in [
        (NameRule::Any, None, true),
        (NameRule::Any, Some("example.com/org/other:v1"), true),
        (NameRule::Location, None, true),
        (NameRule::Location, Some(untagged), true),
        (NameRule::Location, Some(NAME), true),
        (NameRule::Location, Some("example.com/org/app:v2"), false),
        (NameRule::Location, Some("example.com/org/other"), false),
        (NameRule::Repository, None, false),
        (NameRule::Repository, Some("example.com/org/app:v2"), true),
        (NameRule::Repository, Some("example.com/org/app2:v1"), false),
        (NameRule::Repository, Some("EXAMPLE.com/org/app:v2"), true),
        (NameRule::Exact, Some(untagged), false),
        (NameRule::Exact, Some("example.com/org/app:v2"), false),
        (NameRule::Exact, Some(NAME), true),
        (NameRule::Is("example.com/x:v1".to_owned()), Some("example.com/x:v1"), true),
        (NameRule::Is("example.com/x:v1".to_owned()), Some(NAME), false),
        (NameRule::IsIn("example.com/x".to_owned()), Some("example.com/x:v9"), true),
        (
            NameRule::Remap { prefix: "example.com/org".into(), signed: "upstream.org/a".into() },
            Some("upstream.org/a/app:v1"),
            true,
        ),
        (
            NameRule::Remap { prefix: "example.com/or".into(), signed: "upstream.org/a".into() },
            Some("upstream.org/ag/app:v1"),
            false,
        ),
    ] {
        let found = code(&by(&own, rule.clone()), vec![bundle(&own, signed)]);
        assert_eq!(found.is_empty(), expected, "{rule:?} {signed:?}: {found}");
    }
}

fn bound(pair: &plimsoll_sign::key::KeyPair, term: Term) -> plimsoll_sign::scheme::Candidate {
    bundled(with(pair, |key| write::binding(key, &content(), NAME, term)).expect("signed"))
}

#[test]
fn t13_what_expired_or_went_back_is_refused() {
    let own = pair(Kind::P256);
    let term = Term { issued: NOW - 100, expires: Some(NOW), sequence: Some(12) };
    let exact = by(&own, NameRule::Exact);
    // The last second counts.
    assert_eq!(code(&exact, vec![bound(&own, term)]), "");
    let old = Term { expires: Some(NOW - 1), ..term };
    assert_eq!(code(&exact, vec![bound(&own, old)]), "E_EXPIRED");
    let future = Term { issued: NOW + 10_000, expires: Some(NOW + 20_000), ..term };
    assert_eq!(code(&exact, vec![bound(&own, future)]), "E_EXPIRED");
    let rollback = |seen: Option<u64>, candidate| {
        let policy = policy(Signed {
            rollback: true,
            name: NameRule::Exact,
            ..Signed::by(vec![trusted("k", &own)])
        });
        let seen: Seen = seen.into_iter().map(|seen| (NAME.to_owned(), seen)).collect();
        let evidence = Evidence { candidates: vec![candidate], cut: None };
        judge(&policy, &subject(), &evidence, NOW, &seen, &Limits::default()).verdict
    };
    for (seen, good) in [(None, true), (Some(11), true), (Some(12), true), (Some(13), false)] {
        match rollback(seen, bound(&own, term)) {
            Ok(trusted) => {
                assert!(good, "{seen:?}");
                assert_eq!(trusted.newest(), Some(&(NAME.to_owned(), 12)));
            }
            Err(error) => {
                assert!(!good, "{seen:?}: {error}");
                assert_eq!(error.code().as_str(), "E_ROLLBACK");
            }
        }
    }
    let error = rollback(None, bundle(&own, Some(NAME))).expect_err("no sequence");
    assert_eq!(error.code().as_str(), "E_UNSIGNED");
}

#[test]
fn a_clock_that_is_not_set_judges_no_times() {
    let own = pair(Kind::P256);
    let term = Term { issued: 0, expires: Some(100), sequence: None };
    let evidence = Evidence { candidates: vec![bound(&own, term)], cut: None };
    let exact = by(&own, NameRule::Exact);
    let limits = Limits::default();
    let found = judge(&exact, &subject(), &evidence, 50, &Seen::new(), &limits);
    assert_eq!(found.verdict.expect_err("1970").code().as_str(), "E_EXPIRED");
    let evidence = Evidence { candidates: vec![bundle(&own, Some(NAME))], cut: None };
    assert!(judge(&exact, &subject(), &evidence, 50, &Seen::new(), &limits).verdict.is_ok());
}

#[test]
fn a_binding_with_an_unknown_member_is_refused() {
    let own = pair(Kind::P256);
    let content = content();
    let mut said = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": content.digest.encoded()}}],
        "predicateType": BINDING,
        "predicate": {
            "names": [NAME],
            "descriptor": {"mediaType": content.media_type, "size": content.size},
            "issued": NOW, "expires": null, "sequence": 1,
        },
    });
    let exact = by(&own, NameRule::Exact);
    assert_eq!(code(&exact, vec![statement(&own, said.to_string().as_bytes())]), "");
    said["predicate"]["onlyOn"] = "Sunday".into();
    assert_eq!(code(&exact, vec![statement(&own, said.to_string().as_bytes())]), "E_SIGNATURE");
    said["predicate"].as_object_mut().expect("an object").remove("onlyOn");
    said["predicate"]["descriptor"]["size"] = 1.into();
    assert_eq!(code(&exact, vec![statement(&own, said.to_string().as_bytes())]), "E_UNSIGNED");
}

#[test]
fn t04_t05_an_attestation_is_of_the_type_that_was_asked_for() {
    let own = pair(Kind::P256);
    let slsa = "https://slsa.dev/provenance/v1";
    let predicate = json!({"buildDefinition": {"buildType": "https://example.com/b"}});
    let of = |kind: &str| {
        let made = with(&own, |key| write::attestation(key, &content(), kind, predicate.clone()));
        bundled(made.expect("signed"))
    };
    let wants = |checks: Vec<Check>| {
        policy(Signed {
            of_type: Some(slsa.to_owned()),
            checks,
            ..Signed::by(vec![trusted("k", &own)])
        })
    };
    assert_eq!(code(&wants(Vec::new()), vec![of(slsa)]), "");
    assert_eq!(code(&wants(Vec::new()), vec![of("https://spdx.dev/Document")]), "E_UNSIGNED");
    assert_eq!(code(&wants(Vec::new()), vec![bundle(&own, None)]), "E_UNSIGNED");
    // The same envelope in the old storage form.
    let value: serde_json::Value = serde_json::from_slice(&of(slsa).bytes).expect("JSON");
    let bare = |kind: &str| {
        let value: serde_json::Value = if kind == slsa {
            value.clone()
        } else {
            serde_json::from_slice(&of(kind).bytes).expect("JSON")
        };
        plimsoll_sign::scheme::Candidate {
            media_type: "application/vnd.dsse.envelope.v1+json".to_owned(),
            bytes: value["dsseEnvelope"].to_string().into_bytes().into(),
            ..of(kind)
        }
    };
    assert_eq!(code(&wants(Vec::new()), vec![bare(slsa)]), "");
    assert_eq!(code(&wants(Vec::new()), vec![bare("a:b")]), "E_UNSIGNED");
    let check = |value: &str| Check {
        pointer: "/buildDefinition/buildType".to_owned(),
        value: value.into(),
    };
    assert_eq!(code(&wants(vec![check("https://example.com/b")]), vec![of(slsa)]), "");
    let found = judged(&wants(vec![check("https://example.com/")]), vec![of(slsa)]);
    assert_eq!(found.outcomes[0].reason.as_ref().expect("a reason").why, Why::Check);
}

#[test]
fn t09_what_others_push_changes_nothing() {
    let own = pair(Kind::P256);
    let text = write_simple(&own);
    let mut junk = bundle(&pair(Kind::P256), None);
    junk.bytes = b"{}".as_slice().into();
    let keyless = bundled(
        br#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{}}}"#.to_vec(),
    );
    let found = judged(&by(&own, NameRule::Exact), vec![junk, keyless, text]);
    assert!(found.verdict.is_ok());
    let forms = policy(Signed {
        forms: [Form::SigstoreBundle].into(),
        ..Signed::by(vec![trusted("k", &own)])
    });
    assert_eq!(code(&forms, vec![write_simple(&own)]), "E_SIGNATURE");
}

fn write_simple(pair: &plimsoll_sign::key::KeyPair) -> plimsoll_sign::scheme::Candidate {
    let made = with(pair, |key| write::simple(key, &content(), NAME)).expect("signed");
    let (text, signature) = made.expect("a key that can");
    let mut candidate = payload(pair, &text);
    candidate.annotations.insert(plimsoll_sign::format::simple::SIGNATURE.to_owned(), signature);
    candidate
}

#[test]
fn t11_every_limit_holds_at_the_limit_and_above_it() {
    let own = pair(Kind::P256);
    let any = by(&own, NameRule::Any);
    let limits = Limits {
        candidates: 3,
        subjects: 3,
        digests: 3,
        log_entries: 3,
        timestamps: 3,
        ..Limits::default()
    };
    let judged = |candidates: Vec<_>, limits: &Limits| {
        let evidence = Evidence { candidates, cut: None };
        let found = judge(&any, &subject(), &evidence, NOW, &Seen::new(), limits);
        found.verdict.map_or_else(|error| error.code().to_string(), |_| String::new())
    };
    // Signatures.
    let strangers = |count: usize| {
        let stranger = pair(Kind::P256);
        (0..count).map(|_| bundle(&stranger, None)).chain([bundle(&own, None)]).collect::<Vec<_>>()
    };
    assert_eq!(judged(strangers(2), &limits), "");
    assert_eq!(judged(strangers(3), &limits), "E_SIGNATURE_LIMIT");
    // Subjects and their digests.
    let with_subjects = |subjects: usize, digests: usize| {
        let own_digest = content().digest.encoded();
        let mut all: Vec<_> = (1..subjects).map(|_| json!({"digest": {"sha1": "00"}})).collect();
        let mut own_digests = json!({"sha256": own_digest});
        for n in 1..digests {
            own_digests[format!("x{n}")] = "00".into();
        }
        all.push(json!({"digest": own_digests}));
        let said = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": all,
            "predicateType": "https://sigstore.dev/cosign/sign/v1",
        });
        vec![statement(&own, said.to_string().as_bytes())]
    };
    assert_eq!(judged(with_subjects(3, 3), &limits), "");
    assert_eq!(judged(with_subjects(4, 3), &limits), "E_SIGNATURE_LIMIT");
    assert_eq!(judged(with_subjects(3, 4), &limits), "E_SIGNATURE_LIMIT");
    // What comes along in a bundle.
    let with_more = |entries: usize, stamps: usize| {
        let mut value: serde_json::Value =
            serde_json::from_slice(&bundle(&own, None).bytes).expect("JSON");
        let entry = json!({
            "logIndex": "1",
            "logId": {"keyId": ""},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "canonicalizedBody": "",
        });
        value["verificationMaterial"]["tlogEntries"] = json!(vec![entry; entries]);
        value["verificationMaterial"]["timestampVerificationData"] =
            json!({"rfc3161Timestamps": vec![json!({"signedTimestamp": ""}); stamps]});
        vec![bundled(value.to_string().into_bytes())]
    };
    assert_eq!(judged(with_more(3, 3), &limits), "");
    assert_eq!(judged(with_more(4, 3), &limits), "E_SIGNATURE_LIMIT");
    assert_eq!(judged(with_more(3, 4), &limits), "E_SIGNATURE_LIMIT");
    // Bytes.
    let simple = write_simple(&own);
    let exactly = Limits { simple: simple.bytes.len() as u64, ..limits };
    assert_eq!(judged(vec![simple.clone()], &exactly), "");
    let less = Limits { simple: simple.bytes.len() as u64 - 1, ..limits };
    assert_eq!(judged(vec![simple], &less), "E_SIGNATURE_LIMIT");
    let one = bundle(&own, None);
    let length = one.bytes.len() as u64;
    let exactly = Limits { envelope: length, attestation: length, ..limits };
    assert_eq!(judged(vec![one.clone()], &exactly), "");
    let less = Limits { envelope: length - 1, attestation: length - 1, ..limits };
    assert_eq!(judged(vec![one], &less), "E_SIGNATURE_LIMIT");
    // Depth.
    let deep = |levels: usize| {
        let said = format!(
            "{{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{{\"digest\":{{\"sha256\":\"{}\"}}}}],\"predicateType\":\"https://sigstore.dev/cosign/sign/v1\",\"predicate\":{}1{}}}",
            content().digest.encoded(),
            "[".repeat(levels),
            "]".repeat(levels),
        );
        vec![statement(&own, said.as_bytes())]
    };
    assert_eq!(judged(deep(31), &limits), "");
    assert_eq!(judged(deep(32), &limits), "E_SIGNATURE");
}

#[test]
fn who_owns_a_name_says_who_signs_and_how() {
    let (own, other, stranger) = (pair(Kind::P256), pair(Kind::P256), pair(Kind::Ed25519));
    let rule = |threshold, keys: &[&plimsoll_sign::key::KeyPair], name: NameRule| ZoneRule {
        threshold,
        of: keys.iter().map(|key| trusted(&key.public().fingerprint(), key)).collect(),
        forms_of: std::collections::BTreeMap::new(),
        name,
    };
    let zone = |says| Zoned { says, ..Zoned::parse("example.com/org").expect("a prefix") };
    let needs = |of: Vec<_>, threshold, says| {
        policy(Signed { threshold, zones: vec![zone(says)], ..Signed::by(of) })
    };
    let signed = |pair| bundle(pair, Some(NAME));
    // Nobody counts before the owner was asked, and nobody whom he does not name.
    assert_eq!(code(&needs(vec![], 1, None), vec![signed(&own)]), "E_UNTRUSTED");
    assert_eq!(
        code(&needs(vec![], 1, Some(Err("no zone".into()))), vec![signed(&own)]),
        "E_UNTRUSTED"
    );
    assert_eq!(code(&needs(vec![], 1, Some(Ok(vec![]))), vec![signed(&own)]), "E_UNTRUSTED");
    let one = || Some(Ok(vec![rule(1, &[&own, &other], NameRule::Exact)]));
    assert_eq!(code(&needs(vec![], 1, one()), vec![signed(&own)]), "");
    assert_eq!(code(&needs(vec![], 1, one()), vec![signed(&stranger)]), "E_UNTRUSTED");
    assert_eq!(code(&needs(vec![], 1, one()), vec![]), "E_UNSIGNED");
    // The name that the owner asks for is signed, whatever the policy asks for.
    assert_eq!(code(&needs(vec![], 1, one()), vec![bundle(&own, None)]), "E_SIGNED_NAME");
    // So many as he asks for, and so many as the policy asks for.
    let two = || Some(Ok(vec![rule(2, &[&own, &other], NameRule::Any)]));
    assert_eq!(code(&needs(vec![], 1, two()), vec![signed(&own), signed(&own)]), "E_UNTRUSTED");
    assert_eq!(code(&needs(vec![], 1, two()), vec![signed(&own), signed(&other)]), "");
    assert_eq!(code(&needs(vec![], 2, one()), vec![signed(&own)]), "E_UNTRUSTED");
    // All of his rules.
    let both = Some(Ok(vec![rule(1, &[&own], NameRule::Any), rule(1, &[&other], NameRule::Any)]));
    assert_eq!(code(&needs(vec![], 1, both.clone()), vec![signed(&own)]), "E_UNTRUSTED");
    assert_eq!(code(&needs(vec![], 1, both), vec![signed(&own), signed(&other)]), "");
    // Beside keys of the policy, his count for as many as they are, once he is
    // content; one key is one signer, whoever names it.
    let beside = || vec![trusted("k", &stranger)];
    assert_eq!(code(&needs(beside(), 1, two()), vec![signed(&stranger)]), "");
    assert_eq!(
        code(&needs(beside(), 2, two()), vec![signed(&stranger), signed(&own)]),
        "E_UNTRUSTED"
    );
    assert_eq!(code(&needs(beside(), 2, one()), vec![signed(&stranger), signed(&own)]), "");
    let same = || vec![trusted("k", &own)];
    assert_eq!(code(&needs(same(), 2, one()), vec![signed(&own)]), "E_UNTRUSTED");
    // A form that he does not allow.
    let mut narrow = rule(1, &[&own], NameRule::Any);
    narrow.forms_of.insert(own.public().fingerprint(), [Form::CosignSimple].into());
    assert_eq!(code(&needs(vec![], 1, Some(Ok(vec![narrow]))), vec![signed(&own)]), "E_SIGNATURE");
}

#[test]
fn names_of_domains_are_read_in_parts() {
    let name = |text| plimsoll_sign::ImageName::parse(text).expect("a name");
    for (written, covered, not) in [
        ("example.com/", "example.com/app:v1", "example.com.evil.example/app"),
        ("example.com", "example.com/org/app", "sub.example.com/app"),
        ("example.com/org/", "example.com/org", "example.com/organ"),
        (
            "example.com/org",
            "example.com/org/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "example.com/app/org",
        ),
    ] {
        let zone = Zoned::parse(written).expect(written);
        assert!(zone.covers(&name(covered)), "{written} {covered}");
        assert!(!zone.covers(&name(not)), "{written} {not}");
    }
    for bad in [
        "",
        "/",
        "example",
        "example.com/app:v1",
        "example.com//",
        "example.com/../x",
        "*.example.com",
    ] {
        assert!(Zoned::parse(bad).is_none(), "{bad:?}");
    }
}
