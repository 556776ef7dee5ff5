//! Signatures, keys and policies from outside: nothing panics, and nothing that is
//! not signed by the key is ever a claim.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use plimsoll_content::{Algorithm, Annotations, Descriptor, MediaType, Result};
use plimsoll_sign::format::bundle::{self, Bundle};
use plimsoll_sign::format::simple::{self, Payload};
use plimsoll_sign::format::{dn, dsse, file, notary, openpgp, statement::Statement, x509::Certificate};
use plimsoll_sign::judge::{Evidence, Seen, judge};
use plimsoll_sign::key::{KeyPair, PublicKey, external};
use plimsoll_sign::policy::{Load, NameRule, Policy, Trusted, TrustedKey};
use plimsoll_sign::scheme::{Candidate, Subject};
use plimsoll_sign::{Asked, ImageName, Limits};

/// A key whose private part nobody has.
const KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYkCX3eu1pS+TQOpMYzxktK8WzWlf
KgHOlPo/2YlfRGqP1xH64lUBOSxMvm+jLGVYBEnQyPyvRb7oYoNDD85rrg==
-----END PUBLIC KEY-----
";

/// The same of GnuPG.
const RING: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawex/BYJKwYBBAHaRw8BAQdAGRSdQ0zvzjbSoVpcMgmtCQRWDuGibl5/yoJF
L/e3itu0IFBsaW1zb2xsIHRlc3QgPHRlc3RAZXhhbXBsZS5jb20+iJAEExYIADgW
IQRETf3RWvcQwBUYEr7wAMOiWdaK+AUCawex/AIbAwULCQgHAgYVCgkICwIEFgID
AQIeAQIXgAAKCRDwAMOiWdaK+DJtAQD0Rz6bDx8IKJM7f3AyXjDozMJ2YvnsD8sW
jKuZlEmAlAEA75k2NeFWYjD/ENuPTpXg6Wp/o6Caz51XQch0ym9RRwc=
=5oJN
-----END PGP PUBLIC KEY BLOCK-----
";

struct NoFiles;

impl Load for NoFiles {
    fn file(&self, _: &str) -> Result<Vec<u8>> {
        Ok(KEY.as_bytes().to_vec())
    }

    fn store(&self, _: &str, _: &str) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(Vec::new())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    let content = Descriptor::of(MediaType::from("a/b"), Algorithm::Sha256, b"content");
    let _ = Bundle::parse(bytes, &limits);
    let _ = Payload::parse(bytes, simple::COSIGN, &limits);
    let _ = Statement::parse(bytes, &content.digest, &limits);
    let _ = (Policy::trust(bytes, &NoFiles), Policy::containers(bytes, &NoFiles));
    let _ = Policy::notary(bytes, &NoFiles);
    let _ = (file::candidate(bytes, "a file", &limits), external::described(bytes));
    let _ = (KeyPair::from_pkcs8(bytes), PublicKey::from_der(bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (KeyPair::from_pem(text), ImageName::parse(text));
        let _ = notary::write::Chain::from_pem(text);
        if let Ok(name) = dn::parse(text) {
            assert_eq!(dn::parse(&dn::write(&name)), Ok(name));
        }
    }
    let ring = openpgp::Keyring::parse(RING.as_bytes()).expect("a key");
    assert!(openpgp::verify(bytes, &ring, &limits).is_err());
    let _ = (openpgp::Keyring::parse(bytes), Certificate::parse(bytes));
    let nobody = notary::Store::default();
    assert!(notary::verify(bytes, &nobody, &limits).is_err());
    assert!(notary::verify_cose(bytes, &nobody, &limits).is_err());
    let key = PublicKey::from_pem(KEY).expect("a key");
    let of = vec![Trusted { name: "k".into(), key: TrustedKey::Public(key) }];
    let policy = Policy::of_keys(of, 1, NameRule::Any);
    let annotations = Annotations::from([(simple::SIGNATURE.to_owned(), "AAAA".to_owned())]);
    let kinds = [bundle::MEDIA_TYPE, simple::MEDIA_TYPE, dsse::MEDIA_TYPE, "text/plain"];
    let candidates = kinds.map(|kind| Candidate {
        media_type: kind.to_owned(),
        bytes: Arc::from(bytes),
        annotations: annotations.clone(),
        place: String::new(),
        broken: None,
    });
    let evidence = Evidence { candidates: candidates.into(), cut: None };
    let bytes: Arc<[u8]> = b"content".as_slice().into();
    let subject = Subject { descriptor: content, bytes, asked: Asked::default() };
    let found = judge(&policy, &subject, &evidence, 1_780_000_000, &Seen::new(), &limits);
    assert!(found.verdict.is_err());
    assert!(found.outcomes.iter().all(|outcome| outcome.signed.is_none()));
});
