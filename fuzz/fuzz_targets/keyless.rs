//! Certificates, time stamps, trusted roots, entries of logs and their checkpoints from
//! outside: nothing panics, and nothing counts that nobody trusted has signed.
//!
//! The first byte says what the rest is.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use plimsoll_content::{Algorithm, Annotations, Descriptor, MediaType};
use plimsoll_sign::format::root::Root;
use plimsoll_sign::format::simple;
use plimsoll_sign::format::x509::Certificate;
use plimsoll_sign::judge::{Evidence, Seen, judge};
use plimsoll_sign::keyless::{Pattern, Wanted};
use plimsoll_sign::policy::{NameRule, Policy, Rooted, Trusted, TrustedKey, Who};
use plimsoll_sign::scheme::{Candidate, Subject};
use plimsoll_sign::text::{base64, to_base64, to_pem};
use plimsoll_sign::{Asked, Limits};

/// The root and a bundle of the book's fixture, made by keys that nobody has any more.
const ROOT: &str = include_str!("../seeds/keyless/trusted_root.json");
const BUNDLE: &str = include_str!("../seeds/keyless/bundle.json");

fn trusted(root: Root, log: bool) -> Policy {
    let who = Who::Anyone(vec![Wanted {
        issuer: None,
        subject: Pattern::Like("**".to_owned()),
        mail: false,
    }]);
    let rooted = Rooted { root: Arc::new(root), who, log, certificate_log: log };
    let key = TrustedKey::Rooted(Arc::new(rooted));
    Policy::of_keys(vec![Trusted { name: "k".into(), key }], 1, NameRule::Any)
}

fn counts(policy: &Policy, candidate: Candidate, content: &[u8]) -> bool {
    let descriptor = Descriptor::of(MediaType::from("a/b"), Algorithm::Sha256, content);
    let subject = Subject { descriptor, bytes: content.into(), asked: Asked::default() };
    let evidence = Evidence { candidates: vec![candidate], cut: None };
    let at = 1_790_000_000_i64;
    let found = judge(policy, &subject, &evidence, at, &Seen::new(), &Limits::default());
    found.outcomes.iter().any(|outcome| outcome.signed.is_some())
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let root = || Root::parse(ROOT.as_bytes()).expect("a root");
    let text = String::from_utf8_lossy(bytes);
    // Seeds are text, with what is none in base64.
    let raw = base64(text.trim_end()).unwrap_or_else(|| bytes.to_vec());
    let changed = |from: &str, to: &str| {
        let mut bundle: serde_json::Value = serde_json::from_str(BUNDLE).expect("JSON");
        *bundle.pointer_mut(from).expect("a member") = to.into();
        Candidate::bundle(bundle.to_string().as_bytes(), "")
    };
    let material = "/verificationMaterial";
    match kind {
        b'b' => {
            // A bundle by itself: of other content than the one that is signed.
            assert!(!counts(&trusted(root(), true), Candidate::bundle(bytes, ""), b"other"));
            assert!(!counts(&trusted(root(), false), Candidate::bundle(bytes, ""), b"other"));
        }
        b'r' => {
            // A root: whatever it is, other content is not signed.
            if let Ok(root) = Root::parse(bytes) {
                let bundle = Candidate::bundle(BUNDLE.as_bytes(), "");
                assert!(!counts(&trusted(root, true), bundle, b"other"));
            }
        }
        b'c' => {
            let _ = Certificate::parse(&raw);
            let certificate = format!("{material}/certificate/rawBytes");
            let candidate = changed(&certificate, &to_base64(&raw));
            let own = counts(&trusted(root(), true), candidate, b"signed by a workflow\n");
            assert!(!own || BUNDLE.contains(&to_base64(&raw)));
            let pem = to_pem("CERTIFICATE", &raw).to_string();
            let annotations = Annotations::from([
                (simple::SIGNATURE.to_owned(), "AAAA".to_owned()),
                ("dev.sigstore.cosign/certificate".to_owned(), pem.clone()),
                ("dev.sigstore.cosign/chain".to_owned(), pem),
                ("dev.sigstore.cosign/bundle".to_owned(), text.clone().into_owned()),
            ]);
            let candidate = Candidate {
                media_type: simple::MEDIA_TYPE.to_owned(),
                bytes: b"{}".as_slice().into(),
                annotations,
                place: String::new(),
                broken: None,
            };
            assert!(!counts(&trusted(root(), true), candidate, b"other"));
        }
        b't' => {
            let stamp =
                format!("{material}/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp");
            // Without another time, a stamp that is forged leaves none.
            let candidate = changed(&stamp, &to_base64(&raw));
            let _ = counts(&trusted(root(), true), candidate, b"signed by a workflow\n");
        }
        b'n' => {
            let note = format!("{material}/tlogEntries/0/inclusionProof/checkpoint/envelope");
            let candidate = changed(&note, &text);
            let own = counts(&trusted(root(), true), candidate, b"signed by a workflow\n");
            assert!(!own || text.starts_with("rekor.example - 123456\n3\n"));
        }
        _ => {
            let body = format!("{material}/tlogEntries/0/canonicalizedBody");
            let candidate = changed(&body, &to_base64(bytes));
            let own = counts(&trusted(root(), true), candidate, b"signed by a workflow\n");
            assert!(!own || BUNDLE.contains(&to_base64(bytes)));
        }
    }
});
