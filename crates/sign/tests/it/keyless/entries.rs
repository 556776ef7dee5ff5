//! Entries of logs: which ones count, and what they have to be about.

use std::slice::from_ref;

use plimsoll_content::{Algorithm, Descriptor, MediaType};
use plimsoll_sign::judge::{Evidence, Seen, judge};
use plimsoll_sign::key::Kind;
use plimsoll_sign::policy::{NameRule, Policy, Trusted, TrustedKey, Who};
use plimsoll_sign::scheme::{Candidate, Subject};
use plimsoll_sign::text::to_base64;
use plimsoll_sign::{Asked, Limits, Why};
use serde_json::{Value, json};

use super::{ARTIFACT, complete, good, plain, refused, rooted, stamps, two_forms, verdict};
use crate::forge::der::{pair, sign};
use crate::forge::{AT, Leaf, Log, Made, Signer, Verifier, World, forms};

/// CVE-2022-36056 and CVE-2026-22703: an entry of the log that is right in itself, about
/// something else in one respect, for every form of bundles.
#[test]
fn t01_t02_an_entry_about_something_else_is_refused_in_every_form() {
    let world = World::new();
    for form in forms() {
        let signer = world.signer(&Leaf::default());
        let made = Made::new(form, ARTIFACT, &signer);
        // Another signature by the same key over the same content.
        let again = Made::new(form, ARTIFACT, &signer);
        assert_ne!(made.signature, again.signature);
        // The same signature, as if it were over other content.
        let mut content = Made::new(form, b"other", &signer);
        content.signature.clone_from(&made.signature);
        // The same, as if somebody else had made it.
        let mut stranger = Made::new(form, ARTIFACT, &signer);
        stranger.signature.clone_from(&made.signature);
        stranger.verifier = Verifier::Certificate(world.signer(&Leaf::default()).certificate);
        // The same, as if the bare key had made it.
        let mut bare = Made::new(form, ARTIFACT, &signer);
        bare.signature.clone_from(&made.signature);
        bare.verifier = Verifier::Key(signer.pair.public().der().to_vec());
        for (what, other, text) in [
            ("signature", &again, "another signature"),
            ("content", &content, "another content"),
            ("certificate", &stranger, "another signer"),
            ("key", &bare, "another signer"),
        ] {
            let entry = world.entry(form.log, &other.body(), AT);
            let bundle = made.bundle(&[entry], &stamps(&world, &made));
            refused(&world, &format!("{form:?}: {what}"), &bundle, Why::Log, text);
        }
        // The kind that the bundle says, and the one that the entry is.
        let mut entry = world.entry(form.log, &made.body(), AT);
        entry["kindVersion"]["version"] = "0.0.9".into();
        let bundle = made.bundle(&[entry], &stamps(&world, &made));
        refused(&world, "kind", &bundle, Why::Log, "another kind");
        let mut body = made.body();
        body["kind"] = "rpm".into();
        let entry = world.entry(form.log, &body, AT);
        let bundle = made.bundle(&[entry], &stamps(&world, &made));
        refused(&world, "kind", &bundle, Why::Log, "not for such a signature");
    }
}

/// CVE-2022-23649: what a log has promised, and what a bundle says that it has.
#[test]
fn t03_only_what_was_checked_is_told() {
    let world = World::new();
    let [first, _] = two_forms();
    let (made, bundle) = good(&world, first);
    // A promise about another entry, and about another number or time.
    let body = world.entry(
        Log::First,
        &Made::new(first, b"x", &world.signer(&Leaf::default())).body(),
        AT,
    );
    let changes: [(&str, Value); 4] = [
        ("/inclusionPromise", body["inclusionPromise"].clone()),
        ("/logIndex", "1002".into()),
        ("/integratedTime", (AT + 1).to_string().into()),
        ("/inclusionPromise/signedEntryTimestamp", to_base64(&[0; 70]).into()),
    ];
    for (at, value) in changes {
        let mut changed = bundle.clone();
        let place = format!("/verificationMaterial/tlogEntries/0{at}");
        *changed.pointer_mut(&place).expect("a member") = value;
        refused(&world, at, &changed, Why::Log, "promise");
    }
    // With a key that is known and no root, nothing is claimed of logs.
    let mut keyed =
        Made::new(first, ARTIFACT, &Signer { pair: pair(Kind::P256), certificate: vec![] });
    let own = pair(Kind::P256);
    keyed.signature = sign(&own, ARTIFACT);
    keyed.verifier = Verifier::Key(own.public().der().to_vec());
    let bundle = complete(&world, &keyed);
    let of = vec![Trusted { name: "k".into(), key: TrustedKey::Public(own.public().clone()) }];
    let descriptor = Descriptor::of(MediaType::from("a/b"), Algorithm::Sha256, ARTIFACT);
    let subject = Subject { descriptor, bytes: ARTIFACT.into(), asked: Asked::default() };
    let candidates = vec![Candidate::bundle(bundle.to_string().as_bytes(), "")];
    let evidence = Evidence { candidates, cut: None };
    let policy = Policy::of_keys(of, 1, NameRule::Any);
    let found = judge(&policy, &subject, &evidence, AT, &Seen::new(), &Limits::default());
    let claim = found.outcomes[0].signed.as_ref().expect("signed");
    assert!(claim.vouched.checked.is_empty() && claim.vouched.times.is_empty());
    assert_eq!(claim.issued, None);
    // With the root, it is.
    let who = || Who::Key(own.public().clone());
    let judged = verdict(rooted(&world.trusted_root(), who()), &bundle).expect("logged");
    let claim = judged.outcomes[0].signed.as_ref().expect("signed");
    assert_eq!(claim.vouched.times[0].at, AT);
    // A log without times of its own counts while it is in use.
    let [_, second] = two_forms();
    let mut later = Made::new(second, ARTIFACT, &world.signer(&Leaf::default()));
    later.signature.clone_from(&keyed.signature);
    later.verifier = keyed.verifier.clone();
    let bundle = later.bundle(&[world.entry(Log::Second, &later.body(), AT)], &[]);
    assert!(verdict(rooted(&world.trusted_root(), who()), &bundle).is_ok());
    let mut root = world.trusted_root();
    root["tlogs"][1]["publicKey"]["validFor"]["end"] = "2099-01-01T00:00:00Z".into();
    let told = verdict(rooted(&root, who()), &bundle).expect_err("a log that ends");
    assert_eq!(told.0, Why::Time);
    let unlogged = keyed.bundle(&[], &[]);
    let told = verdict(rooted(&world.trusted_root(), who()), &unlogged).expect_err("no log");
    assert_eq!(told.0, Why::Log);
    let mut entry = world.entry(Log::First, &made.body(), AT);
    let told = verdict(rooted(&world.trusted_root(), who()), &keyed.bundle(from_ref(&entry), &[]));
    assert_eq!(told.expect_err("another entry").0, Why::Log);
    // An entry of a log that nobody trusts is none.
    entry["logId"]["keyId"] = to_base64(&[9; 32]).into();
    let told = verdict(rooted(&world.trusted_root(), who()), &keyed.bundle(&[entry], &[]));
    assert!(told.expect_err("a strange log").1.contains("no entry of a log that is trusted"));
}

#[test]
fn proofs_with_one_fault_are_refused() {
    let world = World::new();
    for form in two_forms() {
        let (_, bundle) = good(&world, form);
        let proof = "/verificationMaterial/tlogEntries/0/inclusionProof";
        let hash = to_base64(&[3; 32]);
        let changes: [(&str, Value); 9] = [
            ("/logIndex", "0".into()),
            ("/logIndex", "2".into()),
            ("/treeSize", "4".into()),
            ("/treeSize", "-3".into()),
            ("/rootHash", hash.clone().into()),
            ("/hashes/0", hash.clone().into()),
            ("/hashes", json!([])),
            ("/hashes/1", "AAAA".into()),
            ("/checkpoint", Value::Null),
        ];
        for (at, value) in changes {
            let mut changed = bundle.clone();
            *changed.pointer_mut(&format!("{proof}{at}")).expect("a member") = value;
            let (why, told) = plain(&world, &changed).expect_err(at);
            assert!(matches!(why, Why::Log | Why::Malformed), "{at}: {told}");
        }
        let mut changed = bundle.clone();
        let hashes = changed.pointer_mut(&format!("{proof}/hashes")).expect("hashes");
        *hashes = json!(vec![hash; 65]);
        refused(&world, "65 hashes", &changed, Why::Limit, "hashes");
        // Without any proof: not enough where bundles have to have one.
        let mut changed = bundle.clone();
        *changed.pointer_mut(proof).expect("a proof") = Value::Null;
        refused(&world, "no proof", &changed, Why::Log, "without the proof");
        // The same entry twice.
        let mut changed = bundle;
        let entries = changed.pointer_mut("/verificationMaterial/tlogEntries").expect("entries");
        *entries = json!([entries[0], entries[0]]);
        refused(&world, "one entry twice", &changed, Why::Malformed, "twice");
    }
    // The first bundles have to have a promise, and need no proof.
    let first = *forms().iter().find(|form| form.version == 1).expect("a form");
    let (_, bundle) = good(&world, first);
    let mut changed = bundle.clone();
    changed["verificationMaterial"]["tlogEntries"][0]["inclusionProof"] = Value::Null;
    assert!(plain(&world, &changed).is_ok());
    let mut changed = bundle;
    changed["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"] = Value::Null;
    refused(&world, "no promise", &changed, Why::Malformed, "without the promise");
}
