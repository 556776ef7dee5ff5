//! Times of signing: who is believed to say them.

use std::slice::from_ref;

use plimsoll_sign::Why;
use plimsoll_sign::key::Kind;
use plimsoll_sign::keyless::Check;
use plimsoll_sign::policy::{Action, NameRule, Policy, Requirement, Rooted, Trusted, TrustedKey};
use serde_json::{Value, json};

use super::{
    ARTIFACT, complete, good, judged_at, judged_by, plain, refused, rooted, two_forms, verdict,
    wanted,
};
use crate::forge::der::{CODE, PURPOSE, TIME, der, extension, oid, purpose, rfc3339, seq, usage};
use crate::forge::{AT, ISSUER, Leaf, Log, Made, WHO, World, YEAR, below, forms};

/// Findings 3, 4, 9 and 11 of the review of sigstore-rust: times that nobody signed, one
/// authority that dates back, several signatures, a stamp by another authority.
#[test]
fn t19_no_time_is_believed_that_nobody_vouches_for() {
    let world = World::new();
    let [first, second] = two_forms();
    // 3: a time in an entry without a promise.
    let (made, _) = good(&world, first);
    let mut entry = world.entry(Log::First, &made.body(), AT);
    entry["inclusionPromise"] = Value::Null;
    let bundle = made.bundle(from_ref(&entry), &[]);
    refused(&world, "a time without a promise", &bundle, Why::Time, "nobody who is trusted");
    // With a stamp, that one counts, and not the other.
    let stamp = world.stamp(&made.signature, AT + 9).response(&world.stamps.0);
    let judged = plain(&world, &made.bundle(&[entry], &[stamp])).expect("stamped");
    let times = &judged.outcomes[0].signed.as_ref().expect("signed").vouched.times;
    assert_eq!(times.iter().map(|time| time.at).collect::<Vec<_>>(), [AT + 9]);
    let (made, _) = good(&world, second);
    let mut entry = world.entry(Log::Second, &made.body(), AT);
    entry["integratedTime"] = AT.to_string().into();
    refused(&world, "the same", &made.bundle(&[entry], &[]), Why::Time, "nobody who is trusted");
    // 4: of several times, each one decides.
    let entry = world.entry(Log::Second, &made.body(), AT);
    let at = |time: i64| world.stamp(&made.signature, time).response(&world.stamps.0);
    let two = made.bundle(from_ref(&entry), &[at(AT), at(AT + 5)]);
    assert!(plain(&world, &two).is_ok());
    for (what, time, why) in [("before", AT - 6, Why::NotYet), ("after", AT + 596, Why::Expired)] {
        let bundle = made.bundle(from_ref(&entry), &[at(AT), at(time)]);
        refused(&world, what, &bundle, why, "the certificate of the signer");
    }
    let made_first = good(&world, first).0;
    let entry_first = world.entry(Log::First, &made_first.body(), AT);
    let late = world.stamp(&made_first.signature, AT + 596).response(&world.stamps.0);
    let bundle = made_first.bundle(&[entry_first], &[late]);
    refused(&world, "the log says so, the stamp not", &bundle, Why::Expired, "");
    let one = at(AT);
    let bundle = made.bundle(from_ref(&entry), &[one.clone(), one]);
    refused(&world, "one stamp twice", &bundle, Why::Malformed, "twice");
    // 9: several signatures in one envelope.
    let envelope = *forms().iter().find(|form| form.envelope).expect("a form");
    let (_, mut bundle) = good(&world, envelope);
    let signatures = &mut bundle["dsseEnvelope"]["signatures"];
    *signatures = json!([signatures[0], signatures[0]]);
    refused(&world, "two signatures", &bundle, Why::Malformed, "2 signatures");
    // 11: a stamp by somebody else in the name of the authority.
    let strange = World::new();
    for brought in [vec![], vec![strange.stamps.1.clone()]] {
        let mut stamp = strange.stamp(&made.signature, AT);
        stamp.brought = brought;
        let bundle = made.bundle(from_ref(&entry), &[stamp.response(&strange.stamps.0)]);
        refused(&world, "a strange authority", &bundle, Why::Time, "nobody who is trusted");
    }
    let stamp = world.stamp(&made.signature, AT).response(&strange.stamps.0);
    let bundle = made.bundle(&[entry], &[stamp]);
    refused(&world, "another key", &bundle, Why::Time, "did not sign");
}

#[test]
fn time_stamps_with_one_fault_are_refused() {
    let world = World::new();
    let [_, form] = two_forms();
    let (made, _) = good(&world, form);
    let entry = world.entry(Log::Second, &made.body(), AT);
    let right = || world.stamp(&made.signature, AT);
    let bundle = |stamp: Vec<u8>| made.bundle(from_ref(&entry), &[stamp]);
    let response = |stamp: crate::forge::der::Stamp| stamp.response(&world.stamps.0);
    let with = |change: fn(&mut crate::forge::der::Stamp)| {
        let mut stamp = right();
        change(&mut stamp);
        bundle(response(stamp))
    };
    assert!(plain(&world, &bundle(response(right()))).is_ok());
    // The bare token, and a fraction of a second, are as good.
    let whole = response(right());
    assert!(plain(&world, &bundle(whole[whole.len() - token_length(&whole)..].to_vec())).is_ok());
    assert!(plain(&world, &with(|stamp| stamp.at = stamp.at.replace('Z', ".25Z"))).is_ok());
    let critical = |critical: bool| {
        move |stamp: &mut crate::forge::der::Stamp| {
            stamp.extension = Some(extension("1.2.3.4", critical, &[5, 0]));
        }
    };
    let mut noted = right();
    critical(false)(&mut noted);
    assert!(plain(&world, &bundle(response(noted))).is_ok());
    let mut demanding = right();
    critical(true)(&mut demanding);
    let faults = [
        ("other content", with(|stamp| stamp.imprint[0] ^= 1), Why::Time),
        ("changed", with(|stamp| stamp.changed = true), Why::Time),
        ("refused", with(|stamp| stamp.refused = true), Why::Time),
        ("unbound", with(|stamp| stamp.bound = false), Why::Time),
        ("another number", with(|stamp| stamp.named.1 = 3), Why::Time),
        ("another certificate", with(|stamp| stamp.certificate[9] ^= 1), Why::Time),
        ("other data", with(|stamp| stamp.content = "1.2.840.113549.1.7.1"), Why::Malformed),
        ("signed data", with(|stamp| stamp.signed_content = "1.2.840.113549.1.7.1"), Why::Time),
        ("no time", with(|stamp| stamp.at = "yesterday".to_owned()), Why::Malformed),
        ("a condition", bundle(response(demanding)), Why::Malformed),
        ("nothing", bundle(Vec::new()), Why::Malformed),
        ("no end", bundle(whole[..whole.len() - 1].to_vec()), Why::Malformed),
        ("too much", bundle([&whole[..], &[0]].concat()), Why::Malformed),
    ];
    for (what, bundle, why) in faults {
        refused(&world, what, &bundle, why, "");
    }
    // Authorities of stamps are authorities of nothing else.
    let year = (AT - YEAR, AT + YEAR);
    let gone = (AT - YEAR, AT - 1);
    for (what, holds, extensions, why) in [
        ("not critical", year, vec![usage(0x80), purpose(TIME, false)], Why::Certificate),
        ("another purpose", year, vec![usage(0x80), purpose(CODE, true)], Why::Certificate),
        (
            "two purposes",
            year,
            vec![usage(0x80), extension(PURPOSE, true, &seq(&[&oid(TIME), &oid(CODE)]))],
            Why::Certificate,
        ),
        ("expired", gone, vec![usage(0x80), purpose(TIME, true)], Why::Expired),
    ] {
        let mut world = World::new();
        world.stamps = below(&world.stamps_root, "stamps", "stamp", Kind::P256, holds, extensions);
        let (_, bundle) = good(&world, form);
        refused(&world, what, &bundle, why, "");
    }
    // Where the root names no certificate of the signer, the token brings it.
    let mut root = world.trusted_root();
    let chain = &mut root["timestampAuthorities"][0]["certChain"]["certificates"];
    *chain = json!([chain[1]]);
    let mut stamp = right();
    let who = || wanted(WHO, ISSUER);
    assert!(verdict(rooted(&root, who()), &bundle(response(stamp.clone()))).is_err());
    stamp.brought = vec![world.stamps.1.clone()];
    assert!(verdict(rooted(&root, who()), &bundle(response(stamp))).is_ok());
}

/// How long the token in a response is: all behind the status.
fn token_length(response: &[u8]) -> usize {
    let header = if response[1] == 0x82 { 4 } else { 3 };
    response.len() - header - 5
}

#[test]
fn without_a_log_the_certificate_has_to_hold_now() {
    let world = World::new();
    let [form, _] = two_forms();
    let (made, _) = good(&world, form);
    let bare = made.bundle(&[], &[]);
    let lax = || Rooted { log: false, ..rooted(&world.trusted_root(), wanted(WHO, ISSUER)) };
    for (at, code) in [(AT, ""), (AT + 596, "E_EXPIRED"), (AT - 6, "E_EXPIRED")] {
        let found = judged_at(lax(), &bare, ARTIFACT, at);
        let told = found.verdict.err().map(|error| error.code().to_string()).unwrap_or_default();
        assert_eq!(told, code, "{at}");
    }
    // The authority has to be in use, too.
    let mut root = world.trusted_root();
    root["certificateAuthorities"][0]["validFor"]["end"] = rfc3339(AT + 9).into();
    for (at, good) in [(AT + 9, true), (AT + 10, false)] {
        let lax = Rooted { log: false, ..rooted(&root, wanted(WHO, ISSUER)) };
        assert_eq!(judged_at(lax, &bare, ARTIFACT, at).verdict.is_ok(), good);
    }
    let stamp = world.stamp(&made.signature, AT).response(&world.stamps.0);
    let stamped = made.bundle(&[], &[stamp]);
    assert!(judged_at(lax(), &stamped, ARTIFACT, AT + YEAR).verdict.is_ok());
    // What is there has to hold all the same.
    let other = Made::new(form, ARTIFACT, &world.signer(&Leaf::default()));
    let wrong = made.bundle(&[world.entry(Log::First, &other.body(), AT)], &[]);
    assert!(judged_at(lax(), &wrong, ARTIFACT, AT).verdict.is_err());
}

/// Nobody is asked about revocation, of signers and of authorities alike; it is never
/// taken for checked, and who wants it checked is refused (CVE-2024-56138).
#[test]
fn t16_nothing_is_said_of_revocation() {
    let world = World::new();
    let [_, form] = two_forms();
    let (_, bundle) = good(&world, form);
    let judged = plain(&world, &bundle).expect("good");
    let checked = &judged.outcomes[0].signed.as_ref().expect("signed").vouched.checked;
    let all = [Check::Certificate, Check::CertificateLog, Check::Log, Check::Timestamp];
    assert_eq!(checked.iter().copied().collect::<Vec<_>>(), all);
    // A certificate that says where its revocation is told.
    let place = seq(&[&seq(&[&der(0xa0, &[&der(0xa0, &[&der(0x86, &[b"http://x.example"])])])])]);
    let leaf = Leaf { more: vec![extension("2.5.29.31", false, &place)], ..Leaf::default() };
    let made = Made::new(form, ARTIFACT, &world.signer(&leaf));
    let bundle = complete(&world, &made);
    let root = || rooted(&world.trusted_root(), wanted(WHO, ISSUER));
    for (action, counts) in [(Action::Skip, true), (Action::Log, true), (Action::Enforce, false)] {
        let trusted = Trusted { name: "k".into(), key: TrustedKey::Rooted(root().into()) };
        let mut policy = Policy::of_keys(vec![trusted], 1, NameRule::Any);
        let [Requirement::Signed(signed)] = &mut policy.default[..] else { panic!("a rule") };
        signed.enforce.revocation = action;
        let judged = judged_by(&policy, &bundle, ARTIFACT, AT + YEAR);
        assert_eq!(judged.verdict.is_ok(), counts, "{action:?}");
    }
}
