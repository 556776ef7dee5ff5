//! Bundles that others made, out of their own test suites. They are not part of
//! this repository: `PLIMSOLL_SIGSTORE_VECTORS` names a checkout of
//! sigstore/sigstore-conformance, `PLIMSOLL_MODEL_VECTORS` one of
//! sigstore/model-transparency. Without them the tests say `SKIP`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use plimsoll_content::{Algorithm, Descriptor, Digest, MediaType};
use plimsoll_sign::format::bundle::{Bundle, Content};
use plimsoll_sign::key::PublicKey;
use plimsoll_sign::scheme::verify_blob;
use plimsoll_sign::{Limits, Why};
use serde_json::Value;

fn folder(variable: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    if folder.is_none() {
        let _ = writeln!(std::io::stderr(), "SKIP vectors: {variable} is not set");
    }
    folder
}

fn read(path: &Path) -> Option<Vec<u8>> {
    fs::read(path).ok()
}

/// Of 70 cases, those with a key are decided rightly; those with a certificate
/// are never taken for signed.
#[test]
fn sigstore_conformance() {
    let Some(folder) = folder("PLIMSOLL_SIGSTORE_VECTORS") else { return };
    let cases = folder.join("test/assets/bundle-verify");
    let limits = Limits::default();
    let (mut keyed, mut keyless) = (0, 0);
    for entry in fs::read_dir(&cases).expect("cases") {
        let case = entry.expect("a case").path();
        let Some(bundle) = read(&case.join("bundle.sigstore.json")) else { continue };
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        let artifact = read(&case.join("artifact"))
            .or_else(|| read(&cases.join("a.txt")))
            .expect("an artifact");
        let content = Descriptor::of(MediaType::from("text/plain"), Algorithm::Sha256, &artifact);
        let key = read(&case.join("key.pub"))
            .and_then(|pem| PublicKey::from_pem(&String::from_utf8(pem).ok()?).ok());
        if !name.starts_with("managed-key") {
            keyless += 1;
            let found = Bundle::parse(&bundle, &limits).expect_err(&name);
            assert!(matches!(found.why, Why::Form | Why::Malformed | Why::Limit), "{name}");
            continue;
        }
        keyed += 1;
        let accepted = key.is_some_and(|key| {
            verify_blob(&bundle, &key, &content, artifact.into(), &limits).is_ok()
        });
        assert_eq!(accepted, !name.ends_with("_fail"), "{name}");
    }
    assert_eq!((keyed, keyless), (4, 66));
}

/// Bundles with a key and no log: P-384 with SHA-384, by another tool.
#[test]
fn model_transparency() {
    let Some(folder) = folder("PLIMSOLL_MODEL_VECTORS") else { return };
    let tests = folder.join("scripts/tests");
    let pem = fs::read_to_string(tests.join("keys/certificate/signing-key-pub.pem")).expect("key");
    let key = PublicKey::from_pem(&pem).expect("a key");
    let limits = Limits::default();
    for version in ["v0.3.1", "v1.0.0", "v1.0.1", "v1.1.0"] {
        let path = tests.join(format!("{version}-elliptic-key/model.sig"));
        let bundle = fs::read(&path).expect("a bundle");
        let Content::Dsse(envelope) = Bundle::parse(&bundle, &limits).expect("read").content else {
            panic!("{version}: no envelope");
        };
        let statement: Value = serde_json::from_slice(&envelope.payload).expect("JSON");
        let hex = statement["subject"][0]["digest"]["sha256"].as_str().expect("a digest");
        let digest: Digest = format!("sha256:{hex}").parse().expect("a digest");
        let content = Descriptor::new(MediaType::from("x/y"), digest, 0);
        let empty: std::sync::Arc<[u8]> = Vec::new().into();
        let claim = verify_blob(&bundle, &key, &content, empty, &limits);
        assert_eq!(claim.expect(version).algorithm, "ecdsa-sha2-384-nistp384");
    }
}
