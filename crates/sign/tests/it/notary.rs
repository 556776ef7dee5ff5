//! Envelopes of the Notary Project: those of its own library, which
//! `PLIMSOLL_NOTARY_VECTORS` names a checkout of (notaryproject/notation-go), and
//! changes of them with one fault each.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use plimsoll_content::{Annotations, Descriptor, MediaType};
use plimsoll_sign::format::notary::write::certificates;
use plimsoll_sign::format::notary::{self, Stamps, Store};
use plimsoll_sign::format::root::{Authority, Span};
use plimsoll_sign::format::x509::Certificate;
use plimsoll_sign::judge::{Evidence, Moment, Seen, judge};
use plimsoll_sign::policy::{NameRule, Policy, Signed, Trusted, TrustedKey};
use plimsoll_sign::scheme::{Candidate, Subject};
use plimsoll_sign::{Asked, Limits, text};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{NOW, policy};

struct Vectors(PathBuf);

impl Vectors {
    fn new() -> Option<Self> {
        let folder = std::env::var_os("PLIMSOLL_NOTARY_VECTORS").map(PathBuf::from);
        if folder.is_none() {
            let _ = writeln!(std::io::stderr(), "SKIP vectors: PLIMSOLL_NOTARY_VECTORS is not set");
        }
        folder.map(Self)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap_or_else(|cause| panic!("{name}: {cause}"))
    }

    /// The certificates of a store.
    fn store(&self, kind: &str, name: &str) -> Vec<Certificate> {
        let folder = self.0.join(format!("verifier/testdata/truststore/x509/{kind}/{name}"));
        let files = fs::read_dir(&folder).expect("a store").map(|entry| entry.expect("one").path());
        files.flat_map(|path| read_certificates(&path)).collect()
    }
}

fn read_certificates(path: &Path) -> Vec<Certificate> {
    let bytes = fs::read(path).expect("a file");
    match String::from_utf8(bytes.clone()) {
        Ok(pem) => certificates("a store", &pem).expect("certificates"),
        Err(_) => vec![Certificate::parse_open(&bytes).expect("a certificate")],
    }
}

/// The certificates that come along in an envelope; trusted only here.
fn own(bytes: &[u8]) -> Store {
    let read = |der: &[u8]| Certificate::parse_open(der).ok();
    let authorities = match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => value["header"]["x5c"]
            .as_array()
            .expect("x5c")
            .iter()
            .map(|one| text::base64(one.as_str().expect("text")).expect("base64"))
            .map(|der| read(&der).expect("a certificate"))
            .collect(),
        // In COSE they stand there as they are.
        Err(_) => (0..bytes.len().saturating_sub(4))
            .filter(|at| bytes[*at..].starts_with(&[0x30, 0x82]))
            .filter_map(|at| {
                let length = usize::from(bytes[at + 2]) << 8 | usize::from(bytes[at + 3]);
                read(bytes.get(at..at + 4 + length)?)
            })
            .collect(),
    };
    Store { authorities, ..Store::default() }
}

fn verdict(bytes: &[u8], trusted: &Store) -> String {
    match notary::verify(bytes, trusted, &Limits::default()) {
        Ok(_) => String::new(),
        Err(reason) => format!("{:?}: {reason}", reason.why),
    }
}

fn asks(store: Store) -> Policy {
    let of = vec![Trusted { name: "store".to_owned(), key: TrustedKey::Certificates(store) }];
    policy(Signed { name: NameRule::Any, ..Signed::by(of) })
}

/// What becomes of an envelope about the content that it names itself, at some time: the
/// code of the refusal, or nothing.
fn judged(bytes: &[u8], content: &Descriptor, store: Store, at: i64) -> String {
    let cose = bytes.first().is_some_and(|first| *first != b'{');
    let candidate = Candidate {
        media_type: if cose { notary::COSE } else { notary::JWS }.to_owned(),
        bytes: bytes.into(),
        annotations: Annotations::new(),
        place: "a vector".to_owned(),
        broken: None,
    };
    let subject = Subject {
        descriptor: content.clone(),
        bytes: b"".as_slice().into(),
        asked: Asked::default(),
    };
    let evidence = Evidence { candidates: vec![candidate], cut: None };
    let found = judge(
        &asks(store),
        &subject,
        &evidence,
        Moment::Given(at),
        &Seen::new(),
        &Limits::default(),
    );
    found.verdict.map_or_else(|error| error.code().to_string(), |_| String::new())
}

/// What a payload is about.
fn target(payload: &[u8]) -> Descriptor {
    let value: Value = serde_json::from_slice(payload).expect("JSON");
    let target = &value["targetArtifact"];
    Descriptor::new(
        MediaType::from(target["mediaType"].as_str().expect("a type")),
        target["digest"].as_str().expect("a digest").parse().expect("a digest"),
        target["size"].as_u64().expect("a size"),
    )
}

/// The content that an envelope is about, by its own word.
fn about(bytes: &[u8]) -> Descriptor {
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        let payload = value["payload"].as_str().expect("a payload").trim_end_matches('=');
        return target(&text::base64url(payload).expect("base64url"));
    }
    // In COSE it stands there as it is.
    let begin = bytes.windows(16).position(|part| part == b"{\"targetArtifact").expect("JSON");
    let end = bytes[begin..].windows(2).position(|part| part == b"}}").expect("its end");
    target(&bytes[begin..begin + end + 2])
}

/// All 26 envelopes, each with the verdict that it is meant to have.
#[test]
fn vectors_of_notation() {
    let Some(vectors) = Vectors::new() else { return };
    let ca = vectors.store("ca", "valid-trust-store");
    let sa = vectors.store("signingAuthority", "valid-trust-store");
    let known = Store { authorities: ca, signing: sa, ..Store::default() };
    let mock = "internal/mock/testdata";
    let mut score = Vec::new();
    let mut check = |name: &str, store: &Store, at: i64, expected: &str| {
        let bytes = vectors.read(name);
        let found = judged(&bytes, &about(&bytes), store.clone(), at);
        score.push((name.rsplit('/').next().unwrap_or(name).to_owned(), found.clone()));
        assert_eq!(found, expected, "{name} at {at}");
    };
    let layout = own(&vectors.read("internal/testdata/jws_signature.sig"));
    for name in ["jws", "cose"] {
        check(&format!("internal/testdata/{name}_signature.sig"), &layout, NOW, "");
        let nobody = Store::default();
        check(&format!("internal/testdata/{name}_signature.sig"), &nobody, NOW, "E_UNTRUSTED");
    }
    for kind in ["ca", "sa"] {
        let of = |what: &str| format!("{mock}/{kind}_{what}_sig_env.json");
        check(&of("valid"), &known, NOW, "");
        check(&of("expired"), &known, NOW, "E_EXPIRED");
        check(&of("expired"), &known, 1_659_096_000, "");
        // One "=" more than canonical base64url has.
        check(&of("invalid"), &known, NOW, "E_SIGNATURE");
        // A critical header that is not understood.
        check(&of("plugin"), &known, NOW, "E_SIGNATURE");
    }
    for (word, versions) in [
        ("compatible", ["0.0.9", "1.0.0-alpha.beta", "1.0.0-alpha", "1.0.0"]),
        ("incompatible", ["1.0.1", "1.0.9", "1.1.0-alpha", "1.2.3"]),
    ] {
        for version in versions {
            let name = format!("{mock}/ca_{word}_pluginver_sig_env_{version}.json");
            let store = own(&vectors.read(&name));
            check(&name, &store, NOW, "E_SIGNATURE");
        }
    }
    let metadata = format!("{mock}/sig_env_with_metadata.json");
    let store = own(&vectors.read(&metadata));
    check(&metadata, &store, NOW, "E_EXPIRED");
    check(&metadata, &store, 1_673_467_200, "");
    let stamped = "verifier/testdata/timestamp/sigEnv";
    let trusted = |name: &str| own(&vectors.read(&format!("{stamped}/{name}")));
    let (jws, old) = (trusted("jwsWithTimestamp.sig"), trusted("jwsExpiredWithTimestamp.sig"));
    for (name, store, expected) in [
        ("jwsWithTimestamp.sig", &jws, ""),
        ("coseWithTimestamp.sig", &jws, ""),
        ("withoutTimestamp.sig", &trusted("withoutTimestamp.sig"), ""),
        // The signer's certificate held for some minutes; nobody is trusted to say when.
        ("jwsExpiredWithTimestamp.sig", &old, "E_EXPIRED"),
        ("coseExpiredWithTimestamp.sig", &old, "E_EXPIRED"),
        ("timestampAfterNotAfter.sig", &trusted("timestampAfterNotAfter.sig"), "E_EXPIRED"),
        ("timestampBeforeNotBefore.sig", &trusted("timestampBeforeNotBefore.sig"), "E_EXPIRED"),
    ] {
        check(&format!("{stamped}/{name}"), store, NOW, expected);
    }
    // With an authority for time stamps.
    let stamping: Vec<_> = vectors
        .store("tsa", "test-timestamp")
        .into_iter()
        .map(|root| Authority { name: root.name(), chain: vec![root], holds: Span::default() })
        .collect();
    for stamps in [Stamps::Always, Stamps::AfterEnd] {
        let with = |store: &Store| Store { stamping: stamping.clone(), stamps, ..store.clone() };
        let always = stamps == Stamps::Always;
        for (name, store, expected) in [
            ("jwsWithTimestamp.sig", &jws, ""),
            ("coseWithTimestamp.sig", &jws, ""),
            ("jwsExpiredWithTimestamp.sig", &old, ""),
            ("coseExpiredWithTimestamp.sig", &old, ""),
            (
                "withoutTimestamp.sig",
                &trusted("withoutTimestamp.sig"),
                if always { "E_SIGNATURE" } else { "" },
            ),
            ("timestampAfterNotAfter.sig", &trusted("timestampAfterNotAfter.sig"), "refused"),
            ("timestampBeforeNotBefore.sig", &trusted("timestampBeforeNotBefore.sig"), "refused"),
        ] {
            let bytes = vectors.read(&format!("{stamped}/{name}"));
            let found = judged(&bytes, &about(&bytes), with(store), NOW);
            let right = match expected {
                "refused" => !found.is_empty(),
                other => found == other,
            };
            assert!(right, "{name} {stamps:?}: {found:?}");
        }
        // Of another authority.
        let other: Vec<_> = vectors
            .store("tsa", "test-mismatch")
            .into_iter()
            .map(|root| Authority { name: root.name(), chain: vec![root], holds: Span::default() })
            .collect();
        let bytes = vectors.read(&format!("{stamped}/jwsExpiredWithTimestamp.sig"));
        let store = Store { stamping: other, stamps, ..old.clone() };
        assert!(!judged(&bytes, &about(&bytes), store, NOW).is_empty());
    }
    let different: std::collections::BTreeSet<_> = score.iter().map(|(name, _)| name).collect();
    assert_eq!(different.len(), 26);
}

#[test]
fn t20_t21_vectors_of_notation_with_one_fault() {
    let Some(vectors) = Vectors::new() else { return };
    let layout = vectors.read("internal/testdata/jws_signature.sig");
    let certificates = own(&layout);
    let limits = Limits::default();
    let good = notary::verify(&layout, &certificates, &limits).expect("good");
    assert!(good.digest.to_string().starts_with("sha256:19dbd2e4"), "{}", good.digest);
    assert_eq!((good.size, good.algorithm.as_str()), (481, "PS256"));
    // The same in COSE.
    let cose = vectors.read("internal/testdata/cose_signature.sig");
    let other = notary::verify_cose(&cose, &certificates, &limits).expect("good");
    assert_eq!((&other.digest, other.size), (&good.digest, 481));
    assert!(notary::verify_cose(&cose, &Store::default(), &limits).is_err());
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
        let _ = notary::verify(&bytes, &Store::default(), &Limits::default());
        let _ = notary::verify_cose(&bytes, &Store::default(), &Limits::default());
        let _ = Certificate::parse(&bytes);
    }
}
