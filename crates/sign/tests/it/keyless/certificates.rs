//! Certificates: their paths, purposes and times, and whom they name.

use plimsoll_sign::Why;
use plimsoll_sign::key::Kind;
use plimsoll_sign::keyless::{Check, Pattern, Wanted};
use plimsoll_sign::policy::{Rooted, Who};
use serde_json::json;

use super::{ARTIFACT, complete, good, plain, refused, rooted, two_forms, verdict, wanted};
use crate::forge::der::{CODE, TIME, authority, der, extension, purpose, seq, usage};
use crate::forge::{AT, ISSUER, Leaf, Made, WHO, World, YEAR, below, issued_by, mail, own, uri};

/// CVE-2026-24122: every certificate of the path has to hold at the time of signing.
#[test]
fn t15_every_certificate_of_the_path_is_judged_at_every_time() {
    let [first, second] = two_forms();
    let year = (AT - YEAR, AT + YEAR);
    let gone = (AT - YEAR, AT - 1);
    let coming = (AT + 1, AT + YEAR);
    for (what, root_holds, middle_holds, leaf_holds, why) in [
        ("an expired root", gone, year, year, Why::Expired),
        ("a root that is not there yet", coming, year, year, Why::NotYet),
        ("an expired authority", year, gone, year, Why::Expired),
        ("an authority that is not there yet", year, coming, year, Why::NotYet),
        ("an expired certificate", year, year, gone, Why::Expired),
        ("a certificate that is not there yet", year, year, coming, Why::NotYet),
    ] {
        for form in [first, second] {
            let mut world = World::new();
            world.root = own("root", Kind::P384, root_holds, vec![authority(None), usage(6)]);
            let extensions = World::middle_extensions();
            world.middle =
                below(&world.root, "root", "middle", Kind::P256, middle_holds, extensions);
            let leaf = Leaf { holds: leaf_holds, ..Leaf::default() };
            let made = Made::new(form, ARTIFACT, &world.signer(&leaf));
            refused(&world, what, &complete(&world, &made), why, "");
        }
    }
    // Both ends count.
    for holds in [(AT, AT), (AT - 600, AT), (AT, AT + 600)] {
        let world = World::new();
        let leaf = Leaf { holds, ..Leaf::default() };
        let made = Made::new(first, ARTIFACT, &world.signer(&leaf));
        assert!(plain(&world, &complete(&world, &made)).is_ok());
    }
}

/// What the rules of RFC 5280 and of Fulcio ask of certificates.
#[test]
fn certificates_with_one_fault_are_refused() {
    let [form, _] = two_forms();
    let world = World::new();
    let constraints = extension("2.5.29.30", false, &seq(&[]));
    let leaves = [
        ("no purpose", Leaf { purpose: None, ..Leaf::default() }, "not one for signatures"),
        (
            "another purpose",
            Leaf { purpose: Some(purpose(TIME, true)), ..Leaf::default() },
            "not one for signatures",
        ),
        ("no usage", Leaf { usage: None, ..Leaf::default() }, "not one for signatures"),
        ("another usage", Leaf { usage: Some(usage(0x20)), ..Leaf::default() }, "not one for"),
        ("certificates", Leaf { usage: Some(usage(0x84)), ..Leaf::default() }, "not one for"),
        ("authority", Leaf { more: vec![authority(None)], ..Leaf::default() }, "not one for"),
        ("constraints", Leaf { more: vec![constraints.clone()], ..Leaf::default() }, "constrains"),
    ];
    for (what, leaf, text) in leaves {
        let made = Made::new(form, ARTIFACT, &world.signer(&leaf));
        refused(&world, what, &complete(&world, &made), Why::Certificate, text);
    }
    let unknown = extension("1.2.3.4", true, &[5, 0]);
    let poison = extension("1.3.6.1.4.1.11129.2.4.3", true, &[5, 0]);
    let two = seq(&[&der(0x86, &[WHO.as_bytes()]), &der(0x86, &[b"https://other.example"])]);
    let old = extension("1.3.6.1.4.1.57264.1.1", false, b"https://other.example");
    let malformed = [
        ("an unknown critical extension", Leaf { more: vec![unknown], ..Leaf::default() }),
        ("a certificate to be", Leaf { more: vec![poison], ..Leaf::default() }),
        ("two subjects", Leaf { subject: extension("2.5.29.17", true, &two), ..Leaf::default() }),
        (
            "two issuers that differ",
            Leaf { issuers: vec![issued_by(ISSUER), old], ..Leaf::default() },
        ),
        ("one extension twice", Leaf { more: vec![usage(0x80)], ..Leaf::default() }),
        ("a control letter", Leaf { subject: uri("https://a\n"), ..Leaf::default() }),
    ];
    for (what, leaf) in malformed {
        let made = Made::new(form, ARTIFACT, &world.signer(&leaf));
        refused(&world, what, &complete(&world, &made), Why::Malformed, "");
    }
    let year = (AT - YEAR, AT + YEAR);
    for (what, extensions) in [
        ("no authority", vec![usage(0x06), purpose(CODE, false)]),
        ("an authority for messages", vec![authority(Some(0)), usage(0x80)]),
        ("an authority for time", vec![authority(None), usage(0x06), purpose(TIME, false)]),
        ("an authority with conditions", vec![authority(None), usage(0x06), constraints.clone()]),
    ] {
        let mut world = World::new();
        world.middle = below(&world.root, "root", "middle", Kind::P256, year, extensions);
        let made = Made::new(form, ARTIFACT, &world.signer(&Leaf::default()));
        refused(&world, what, &complete(&world, &made), Why::Certificate, "");
    }
    // A path that is longer than its root allows.
    let mut world = World::new();
    world.root = own("root", Kind::P384, year, vec![authority(Some(0)), usage(0x06)]);
    let extensions = World::middle_extensions();
    world.middle = below(&world.root, "root", "middle", Kind::P256, year, extensions);
    let made = Made::new(form, ARTIFACT, &world.signer(&Leaf::default()));
    refused(&world, "a long path", &complete(&world, &made), Why::Certificate, "not so many");
    // An authority of the same name that somebody else has.
    let mut other = World::new();
    let made = Made::new(form, ARTIFACT, &other.signer(&Leaf::default()));
    let bundle = complete(&other, &made);
    other.middle = World::new().middle;
    other.root = World::new().root;
    refused(&other, "an authority of the same name", &bundle, Why::Certificate, "leads to no");
}

#[test]
fn who_signed_is_compared_as_a_whole() {
    let world = World::new();
    let [form, _] = two_forms();
    let (_, bundle) = good(&world, form);
    let root = world.trusted_root();
    for (subject, issuer) in [
        ("https://forge.example/org/app/.workflows/release.yml@refs/heads/mai", ISSUER),
        (&WHO.to_uppercase(), ISSUER),
        (WHO, "https://issuer.example/"),
        (WHO, "https://issuer.example.evil.example"),
        ("", ISSUER),
    ] {
        let told = verdict(rooted(&root, wanted(subject, issuer)), &bundle).expect_err(subject);
        assert_eq!(told.0, Why::Identity);
        assert!(told.1.contains(WHO) && told.1.contains(ISSUER), "{}", told.1);
        assert_eq!(told.0.code().as_str(), "E_UNTRUSTED");
    }
    let like = |subject: &str| {
        Who::Anyone(vec![Wanted {
            issuer: Some(Pattern::Is(ISSUER.to_owned())),
            subject: Pattern::Like(subject.to_owned()),
            mail: false,
        }])
    };
    assert!(verdict(rooted(&root, like("https://forge.example/org/**")), &bundle).is_ok());
    assert!(verdict(rooted(&root, like("https://forge.example/org/*")), &bundle).is_err());
    assert!(verdict(rooted(&root, like("forge.example/**")), &bundle).is_err());
    // An address counts as one only if it is one.
    let address = "someone@example.com";
    for (subject, good) in [(mail(address), true), (uri(address), false)] {
        let made = Made::new(form, ARTIFACT, &world.signer(&Leaf { subject, ..Leaf::default() }));
        let who = Who::Anyone(vec![Wanted {
            issuer: Some(Pattern::Is(ISSUER.to_owned())),
            subject: Pattern::Is(address.to_owned()),
            mail: true,
        }]);
        assert_eq!(verdict(rooted(&root, who), &complete(&world, &made)).is_ok(), good);
    }
    // The issuer in its older form.
    let old = extension("1.3.6.1.4.1.57264.1.1", false, ISSUER.as_bytes());
    for (issuers, good) in
        [(vec![old.clone()], true), (vec![old, issued_by(ISSUER)], true), (vec![], false)]
    {
        let made = Made::new(form, ARTIFACT, &world.signer(&Leaf { issuers, ..Leaf::default() }));
        assert_eq!(plain(&world, &complete(&world, &made)).is_ok(), good);
    }
}

#[test]
fn logs_of_certificates_are_asked_for() {
    let world = World::new();
    let [form, _] = two_forms();
    for (what, logged, good) in [
        ("one that is right", vec![(AT, true)], true),
        ("two that are right", vec![(AT, true), (AT + 1, true)], true),
        ("none", vec![], false),
        ("one that is wrong", vec![(AT, false)], false),
        ("one that is right and one that is wrong", vec![(AT, true), (AT, false)], false),
        ("one from before the log", vec![(AT - 2 * YEAR, true)], false),
    ] {
        let leaf = Leaf { logged, ..Leaf::default() };
        let made = Made::new(form, ARTIFACT, &world.signer(&leaf));
        assert_eq!(plain(&world, &complete(&world, &made)).is_ok(), good, "{what}");
        let lax =
            Rooted { certificate_log: false, ..rooted(&world.trusted_root(), wanted(WHO, ISSUER)) };
        let judged = verdict(lax, &complete(&world, &made)).expect(what);
        let checked = &judged.outcomes[0].signed.as_ref().expect("signed").vouched.checked;
        assert!(!checked.contains(&Check::CertificateLog), "{what}");
    }
    // A log that the root does not name.
    let mut root = world.trusted_root();
    root["ctlogs"] = json!([]);
    let (_, bundle) = good(&world, form);
    let told = verdict(rooted(&root, wanted(WHO, ISSUER)), &bundle).expect_err("no log");
    assert!(told.1.contains("no trusted log of certificates"), "{}", told.1);
}

/// CVE-2023-25656: names in certificates of any shape cost no more than their length.
#[test]
fn t17_names_in_certificates_are_read_in_one_pass() {
    let world = World::new();
    let [form, _] = two_forms();
    let long = "=#".repeat(15_000);
    let year = (AT - YEAR, AT + YEAR);
    let mut odd = World::new();
    odd.root = own("root", Kind::P256, year, vec![authority(None), usage(0x06)]);
    odd.middle = below(&odd.root, "root", "middle", Kind::P256, year, World::middle_extensions());
    let leaf = Leaf { subject: uri(&long), ..Leaf::default() };
    let signer = world.signer(&leaf);
    let made = Made::new(form, ARTIFACT, &signer);
    let begun = std::time::Instant::now();
    let told = plain(&world, &complete(&world, &made)).expect_err("somebody else");
    assert_eq!(told.0, Why::Identity);
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    let (_, named) = own(&long, Kind::P256, year, vec![authority(None)]);
    let parsed = plimsoll_sign::format::x509::Certificate::parse(&named).expect("read");
    assert_eq!(parsed.subject, [("CN".to_owned(), long)]);
}
