//! Signatures with GPG: the fixtures of the containers tools, which
//! `PLIMSOLL_CONTAINERS_VECTORS` names a checkout of (containers/image), and what
//! anybody may write into such a file.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use plimsoll_content::{Algorithm, Descriptor, MediaType};
use plimsoll_sign::format::openpgp::{self, Keyring};
use plimsoll_sign::judge::{Evidence, Seen, judge};
use plimsoll_sign::policy::{NameRule, Policy, Trusted, TrustedKey};
use plimsoll_sign::scheme::{Candidate, GPG, Subject};
use plimsoll_sign::{Asked, ImageName, Limits};
use proptest::prelude::*;

use crate::support::NOW;

/// The verdict on a file: empty, or the code of the error.
fn verdict(folder: &Path, ring: &str, file: &str, manifest: &[u8], name: &str) -> String {
    let ring = fs::read(folder.join(ring)).expect("a keyring");
    let keyring = Keyring::parse(&ring).expect("keys");
    let of = vec![Trusted { name: "k".into(), key: TrustedKey::Keyring(Arc::new(keyring)) }];
    let kind = MediaType::from("application/vnd.docker.distribution.manifest.v2+json");
    let subject = Subject {
        descriptor: Descriptor::of(kind, Algorithm::Sha256, manifest),
        bytes: manifest.into(),
        asked: Asked { name: ImageName::parse(name), ..Asked::default() },
    };
    let candidates = vec![Candidate {
        media_type: GPG.to_owned(),
        bytes: fs::read(folder.join(file)).expect("a signature").into(),
        annotations: plimsoll_content::Annotations::new(),
        place: file.to_owned(),
        broken: None,
    }];
    let evidence = Evidence { candidates, cut: None };
    let policy = Policy::of_keys(of, 1, NameRule::Any);
    let found = judge(&policy, &subject, &evidence, NOW, &Seen::new(), &Limits::default());
    found.verdict.map_or_else(|error| error.code().to_string(), |_| String::new())
}

#[test]
fn t22_fixtures_of_the_containers_tools() {
    let Some(folder) = std::env::var_os("PLIMSOLL_CONTAINERS_VECTORS") else {
        let _ = writeln!(std::io::stderr(), "SKIP vectors: PLIMSOLL_CONTAINERS_VECTORS is not set");
        return;
    };
    let folder = Path::new(&folder).join("signature/fixtures");
    let manifest = fs::read(folder.join("image.manifest.json")).expect("a manifest");
    let name = "example.com/testing/manifest:latest";
    let ring = "public-key.gpg";
    for (ring, file, expected) in [
        (ring, "image.signature", ""),
        (ring, "no-optional-fields.signature", ""),
        (ring, "corrupt.signature", "E_UNTRUSTED"),
        (ring, "corrupt.signature-v3", "E_UNTRUSTED"),
        (ring, "expired.signature", "E_SIGNATURE"),
        (ring, "invalid-blob.signature", "E_SIGNATURE"),
        (ring, "invalid-blob.signature-v3", "E_SIGNATURE"),
        (ring, "unknown-key.signature", "E_UNTRUSTED"),
        (ring, "unknown-key.signature-v3", "E_UNTRUSTED"),
        (ring, "unsigned-literal.signature", "E_SIGNATURE"),
        (ring, "unsigned-encrypted.signature", "E_SIGNATURE"),
        ("public-key-with-subkey.gpg", "subkey.signature", ""),
        ("public-key-with-subkey.gpg", "subkey.signature-v3", ""),
        (ring, "subkey.signature", "E_UNTRUSTED"),
        ("public-key-with-revoked-subkey.gpg", "subkey-revoked.signature", "E_EXPIRED"),
        ("public-key-with-revoked-subkey.gpg", "subkey-revoked.signature-v3", "E_EXPIRED"),
    ] {
        let found = verdict(&folder, ring, file, &manifest, name);
        if expected.is_empty() {
            // About the manifest of the fixtures, or another one: never untrusted.
            assert!(["", "E_UNSIGNED"].contains(&found.as_str()), "{file}: {found}");
        } else {
            assert_eq!(found, expected, "{file}");
        }
    }
    assert_eq!(verdict(&folder, ring, "image.signature", &manifest, name), "");
    // A reference that is none is no name, whatever the rule says of names.
    assert_eq!(
        verdict(&folder, ring, "invalid-reference.signature", &manifest, name),
        "E_SIGNATURE"
    );
    // With another manifest it is about other content.
    assert_eq!(verdict(&folder, ring, "image.signature", b"{}", name), "E_UNSIGNED");
    // The expired one by its content is expired by its signature before that.
    let keys = Keyring::parse(&fs::read(folder.join(ring)).expect("a file")).expect("keys");
    let bytes = fs::read(folder.join("expired.signature")).expect("a file");
    let signed = openpgp::verify(&bytes, &keys, &Limits::default()).expect("it held once");
    assert!(signed.expires.expect("an end") < NOW);
    assert_eq!(keys.keys[0].fingerprint, "08CD26E446E2E95249B7A405E932F44B23E8DD43");
}

proptest! {
    #[test]
    fn nothing_panics(bytes: Vec<u8>) {
        let empty = Keyring { keys: Vec::new() };
        let _ = openpgp::verify(&bytes, &empty, &Limits::default());
        let _ = Keyring::parse(&bytes);
    }
}
