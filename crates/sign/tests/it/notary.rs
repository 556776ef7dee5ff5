//! Envelopes of the Notary Project: those of its own library, which
//! `PLIMSOLL_NOTARY_VECTORS` names a checkout of (notaryproject/notation-go), and ours
//! with one fault each.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use plimsoll_sign::format::notary;
use plimsoll_sign::format::x509::Certificate;
use plimsoll_sign::{Limits, text};
use proptest::prelude::*;
use serde_json::Value;

/// The certificates that come along in an envelope; trusted only here.
fn own(bytes: &[u8]) -> Vec<Certificate> {
    let value: Value = serde_json::from_slice(bytes).expect("JSON");
    let list = value["header"]["x5c"].as_array().expect("x5c");
    list.iter()
        .map(|one| text::base64(one.as_str().expect("text")).expect("base64"))
        .map(|der| Certificate::parse(&der).expect("a certificate"))
        .collect()
}

fn verdict(bytes: &[u8], trusted: &[Certificate]) -> String {
    match notary::verify(bytes, trusted, &Limits::default()) {
        Ok(_) => String::new(),
        Err(reason) => format!("{:?}: {reason}", reason.why),
    }
}

#[test]
fn t20_t21_vectors_of_notation() {
    let Some(folder) = std::env::var_os("PLIMSOLL_NOTARY_VECTORS") else {
        let _ = writeln!(std::io::stderr(), "SKIP vectors: PLIMSOLL_NOTARY_VECTORS is not set");
        return;
    };
    let folder = Path::new(&folder);
    let read = |name: &str| fs::read(folder.join(name)).expect("an envelope");
    let layout = read("internal/testdata/jws_signature.sig");
    let certificates = own(&layout);
    let good = notary::verify(&layout, &certificates, &Limits::default()).expect("good");
    assert!(good.digest.to_string().starts_with("sha256:19dbd2e4"), "{}", good.digest);
    assert_eq!((good.size, good.algorithm.as_str()), (481, "PS256"));
    assert!(good.holds.1.is_some_and(|end| end > 4_000_000_000), "it holds until 2123");
    assert!(!verdict(&layout, &[]).is_empty(), "certificates that come along are no trust");
    let mock = |name: &str| read(&format!("internal/mock/testdata/{name}_sig_env.json"));
    let root = |kind: &str| {
        let path = format!(
            "verifier/testdata/truststore/x509/{kind}/valid-trust-store/NotationTestRoot.pem"
        );
        let pem = String::from_utf8(read(&path)).expect("PEM");
        let blocks = text::pem_blocks("a certificate", &pem).expect("blocks");
        blocks.iter().map(|(_, der)| Certificate::parse(der).expect("one")).collect::<Vec<_>>()
    };
    for (kind, prefix) in [("ca", "ca"), ("signingAuthority", "sa")] {
        let root = root(kind);
        assert_eq!(verdict(&mock(&format!("{prefix}_valid")), &root), "");
        // Its end is in 2022.
        let bytes = mock(&format!("{prefix}_expired"));
        let old = notary::verify(&bytes, &root, &Limits::default()).expect("it held once");
        assert!(old.holds.1.expect("an end") < 1_700_000_000);
        // One "=" more than canonical base64url has.
        assert!(verdict(&mock(&format!("{prefix}_invalid")), &root).starts_with("Malformed"));
        // A critical header that is not understood.
        let plugin = verdict(&mock(&format!("{prefix}_plugin")), &root);
        assert!(plugin.contains("critical header"), "{plugin}");
    }
    let mut plugins = 0;
    for entry in fs::read_dir(folder.join("internal/mock/testdata")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name.contains("compatible_pluginver") {
            plugins += 1;
            let bytes = fs::read(&path).expect("an envelope");
            assert!(!verdict(&bytes, &own(&bytes)).is_empty(), "{name}");
        }
    }
    assert_eq!(plugins, 8);
    // The same in COSE.
    let cose = read("internal/testdata/cose_signature.sig");
    let same = notary::verify_cose(&cose, &certificates, &Limits::default());
    let other = same.expect("good");
    assert_eq!((&other.digest, other.size), (&good.digest, 481));
    let limits = Limits::default();
    assert!(notary::verify_cose(&cose, &[], &limits).is_err());
    // Without its tag; the first bytes of the payload, protected header, signature.
    assert!(notary::verify_cose(&cose[1..], &certificates, &limits).is_err());
    for at in [2, 10, 40, 100, cose.len() - 1] {
        let mut bad = cose.clone();
        bad[at] ^= 1;
        assert!(notary::verify_cose(&bad, &certificates, &limits).is_err(), "byte {at}");
    }
    assert!(notary::verify_cose(&[&cose[..], &[0]].concat(), &certificates, &limits).is_err());
    // Each fault by itself, also where only unsigned parts are touched.
    let value: Value = serde_json::from_slice(&layout).expect("JSON");
    let change = |pointer: &str, new: &dyn Fn(&str) -> String| {
        let mut changed = value.clone();
        let member = changed.pointer_mut(pointer).expect("a member");
        *member = new(member.as_str().expect("text")).into();
        verdict(changed.to_string().as_bytes(), &certificates)
    };
    let flip =
        |text: &str| format!("{}{}", if text.starts_with('A') { 'B' } else { 'A' }, &text[1..]);
    for pointer in ["/payload", "/protected", "/signature"] {
        assert!(!change(pointer, &flip).is_empty(), "{pointer}");
        assert!(!change(pointer, &|text| format!("{text}=")).is_empty(), "{pointer} padded");
        assert!(!change(pointer, &|text| format!("{text}\n")).is_empty(), "{pointer} spaced");
    }
    let mut more = value.clone();
    more["unknown"] = 1.into();
    assert!(!verdict(more.to_string().as_bytes(), &certificates).is_empty());
}

proptest! {
    #[test]
    fn nothing_panics(bytes: Vec<u8>) {
        let _ = notary::verify(&bytes, &[], &Limits::default());
        let _ = notary::verify_cose(&bytes, &[], &Limits::default());
        let _ = Certificate::parse(&bytes);
    }
}
