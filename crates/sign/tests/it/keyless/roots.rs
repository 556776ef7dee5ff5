//! Trusted roots, and what bundles bring along instead.

use plimsoll_sign::Why;
use plimsoll_sign::format::root::Root;
use plimsoll_sign::text::to_base64;
use serde_json::{Value, json};

use super::{good, plain, refused, rooted, two_forms, verdict, wanted};
use crate::forge::der::rfc3339;
use crate::forge::{AT, ISSUER, Log, Verifier, WHO, World, forms};

/// Authorities and logs count in their time only, and both ends count.
#[test]
fn roots_are_trusted_for_their_time() {
    let world = World::new();
    let [first, second] = two_forms();
    let list = ["tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"];
    for form in [first, second] {
        let (_, bundle) = good(&world, form);
        let log = usize::from(form.log == Log::Second);
        for name in list {
            if name == "timestampAuthorities" && form.log == Log::First {
                continue;
            }
            let at = if name == "tlogs" { log } else { 0 };
            let key = if name.ends_with("logs") { "/publicKey" } else { "" };
            let place = format!("/{name}/{at}{key}/validFor");
            // A certificate was logged five seconds before.
            let then = if name == "ctlogs" { AT - 5 } else { AT };
            for (start, end, good) in [
                (then, then, true),
                (then + 1, then + 2, false),
                (then - 2, then - 1, false),
                (then - 2, then + 2, true),
            ] {
                let mut root = world.trusted_root();
                *root.pointer_mut(&place).expect("a span") =
                    json!({"start": rfc3339(start), "end": rfc3339(end)});
                let found = verdict(rooted(&root, wanted(WHO, ISSUER)), &bundle);
                assert_eq!(found.is_ok(), good, "{form:?} {place} {start} {end}: {found:?}");
            }
            // One that stands there for two times counts in both.
            let mut root = world.trusted_root();
            let list = root[name].as_array_mut().expect("a list");
            let mut gone = list[at].clone();
            *gone.pointer_mut(&format!("{key}/validFor")).expect("a span") =
                json!({"start": rfc3339(then - 9), "end": rfc3339(then - 8)});
            list.insert(0, gone);
            assert!(verdict(rooted(&root, wanted(WHO, ISSUER)), &bundle).is_ok(), "{name}");
            // Without a start it is no root at all.
            let mut root = world.trusted_root();
            *root.pointer_mut(&place).expect("a span") = json!({"end": rfc3339(AT)});
            assert!(Root::parse(root.to_string().as_bytes()).is_err(), "{place}");
        }
    }
}

/// A root that comes along, one that is malformed, and one that lies.
#[test]
fn bundles_and_roots_with_one_fault_are_refused() {
    let world = World::new();
    let chain = *forms().iter().find(|form| form.version == 2 && !form.envelope).expect("a form");
    let (made, bundle) = good(&world, chain);
    let certificates = "/verificationMaterial/x509CertificateChain/certificates";
    let raw = |der: &[u8]| json!({"rawBytes": to_base64(der)});
    let Verifier::Certificate(leaf) = &made.verifier else { panic!("a certificate") };
    let with = |all: Value| {
        let mut changed = bundle.clone();
        *changed.pointer_mut(certificates).expect("a chain") = all;
        changed
    };
    assert!(plain(&world, &with(json!([raw(leaf), raw(&world.middle.1)]))).is_ok());
    let root = with(json!([raw(leaf), raw(&world.middle.1), raw(&world.root.1)]));
    refused(&world, "a root", &root, Why::Certificate, "brings along the root");
    refused(&world, "no chain", &with(json!([])), Why::Malformed, "empty chain");
    refused(&world, "no leaf", &with(json!([raw(&world.middle.1)])), Why::Key, "");
    refused(&world, "a long chain", &with(json!(vec![raw(leaf); 11])), Why::Limit, "");
    // The intermediate may come with the bundle where the root names the end alone.
    let mut short = world.trusted_root();
    let known = &mut short["certificateAuthorities"][0]["certChain"]["certificates"];
    *known = json!([known[1]]);
    let who = || wanted(WHO, ISSUER);
    assert!(verdict(rooted(&short, who()), &bundle).is_err());
    let brought = with(json!([raw(leaf), raw(&world.middle.1)]));
    assert!(verdict(rooted(&short, who()), &brought).is_ok());
    // A version has what it has.
    let mut changed = bundle.clone();
    changed["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.3+json".into();
    refused(&world, "a chain in version 0.3", &changed, Why::Malformed, "its version");
    let mut changed = bundle.clone();
    changed["verificationMaterial"]["publicKey"] = json!({"hint": ""});
    refused(&world, "a key besides", &changed, Why::Malformed, "several");
    let mut changed = bundle;
    changed["messageSignature"]["messageDigest"]["digest"] = to_base64(&[0; 32]).into();
    refused(&world, "another digest", &changed, Why::Subject, "other content");
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 9] = [
        ("no type", |root| root["mediaType"] = "application/json".into()),
        ("a later type", |root| {
            root["mediaType"] = "application/vnd.dev.sigstore.trustedroot+json;version=0.9".into();
        }),
        ("no array", |root| root["tlogs"] = json!({})),
        ("no certificates", |root| {
            root["certificateAuthorities"][0]["certChain"]["certificates"] = json!([]);
        }),
        ("no key", |root| root["tlogs"][0]["publicKey"]["rawBytes"] = "?".into()),
        ("no number of the key", |root| root["tlogs"][0]["logId"] = json!({})),
        ("a short number", |root| root["tlogs"][0]["logId"]["keyId"] = "AAA=".into()),
        ("no time", |root| root["tlogs"][0]["publicKey"]["validFor"]["start"] = "2020".into()),
        ("a lookalike", |root| root["TLogs"] = json!([])),
    ];
    for (what, change) in changes {
        let mut root = world.trusted_root();
        change(&mut root);
        assert!(Root::parse(root.to_string().as_bytes()).is_err(), "{what}");
    }
    // Keys of a kind that is not known are left out, and what else is there counts.
    let mut root = world.trusted_root();
    root["tlogs"][1]["publicKey"]["rawBytes"] = to_base64(b"a key of tomorrow").into();
    root["tlogs"][1]["publicKey"]["keyDetails"] = "ML_DSA_65".into();
    root["tlogs"][1]["operator"] = "someone".into();
    let read = Root::parse(root.to_string().as_bytes()).expect("a root");
    assert_eq!(read.logs.len(), 1);
}

/// A root is a file that is read, and nothing that it says leads anywhere else.
#[test]
fn t31_a_root_leads_to_no_files_and_no_hosts() {
    let world = World::new();
    let [form, _] = two_forms();
    let (_, bundle) = good(&world, form);
    let mut root = world.trusted_root();
    for name in ["ctlogs", "tlogs"] {
        // The name of a log of certificates is compared with nothing.
        if name == "ctlogs" {
            root[name][0]["baseUrl"] = "file:///../../../etc/passwd".into();
        }
    }
    root["certificateAuthorities"][0]["uri"] = "../../x".into();
    root["timestampAuthorities"][0]["uri"] = "http://127.0.0.1:1/".into();
    assert!(verdict(rooted(&root, wanted(WHO, ISSUER)), &bundle).is_ok());
    // The name of a log is that of its notes; another one is another log.
    root["tlogs"][0]["baseUrl"] = "https://../rekor.example".into();
    let told = verdict(rooted(&root, wanted(WHO, ISSUER)), &bundle).expect_err("another name");
    assert_eq!(told.0, Why::Log);
}
