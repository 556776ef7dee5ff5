//! Keys: made, kept, read, and refused.

use std::time::Instant;

use plimsoll_sign::key::{self, KeyPair, Kind, Passphrase, PublicKey};
use plimsoll_sign::text;
use ring::rand::SystemRandom;
use serde_json::Value;

use crate::support::*;

fn phrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned())
}

#[test]
fn a_kept_key_is_the_same_key() {
    for kind in [Kind::P256, Kind::P384, Kind::Ed25519] {
        let made = pair(kind);
        for passphrase in ["", "correct horse"] {
            let file = key::seal(&made, &phrase(passphrase), &SystemRandom::new()).expect("sealed");
            assert!(key::is_encrypted(&file));
            assert!(file.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"));
            let opened = key::open(&file, &phrase(passphrase)).expect("opened");
            assert_eq!(opened.public(), made.public());
            let old = file.replace("SIGSTORE", "COSIGN");
            assert_eq!(key::open(&old, &phrase(passphrase)).expect("old").public(), made.public());
            let error = key::open(&file, &phrase("wrong")).expect_err("wrong");
            assert_eq!(error.code().as_str(), "E_PASSPHRASE");
        }
        let plain = text::to_pem("PRIVATE KEY", &made.to_pkcs8());
        let signature = with(&made, |key| key.sign(b"x")).expect("signed");
        let read = key::open(&plain, &phrase("")).expect("plain");
        assert!(read.public().verifies(read.algorithm(), b"x", &signature));
        assert!(!read.public().verifies(read.algorithm(), b"y", &signature));
    }
}

#[test]
fn t28_costs_of_a_key_file_are_refused_before_they_are_paid() {
    let made = pair(Kind::P256);
    let file = key::seal(&made, &phrase(""), &SystemRandom::new()).expect("sealed");
    let (label, content) = text::pem("a key", &file).expect("PEM");
    let value: Value = serde_json::from_slice(&content).expect("JSON");
    for (pointer, bad) in [
        ("/kdf/params/N", Value::from(1u64 << 30)),
        ("/kdf/params/N", Value::from(65537)),
        ("/kdf/params/N", Value::from(1024)),
        ("/kdf/params/r", Value::from(1u64 << 20)),
        ("/kdf/params/p", Value::from(1u64 << 20)),
        ("/kdf/name", Value::from("none")),
        ("/cipher/name", Value::from("none")),
        ("/kdf/salt", Value::from("AA==")),
        ("/cipher/nonce", Value::from("AA==")),
        ("/ciphertext", Value::from("not base64")),
    ] {
        let mut changed = value.clone();
        *changed.pointer_mut(pointer).expect("a member") = bad.clone();
        let started = Instant::now();
        let text = text::to_pem(&label, changed.to_string().as_bytes());
        let error = key::open(&text, &phrase("")).expect_err(pointer);
        assert_eq!(error.code().as_str(), "E_MALFORMED", "{pointer} {bad}");
        assert!(started.elapsed().as_millis() < 50, "{pointer} {bad}");
    }
}

#[test]
fn nothing_secret_is_shown() {
    let made = pair(Kind::P256);
    let shown = format!("{made:?}");
    assert!(shown.contains("SHA256:") && shown.len() < 100, "{shown}");
    let error =
        KeyPair::from_pem("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----")
            .expect_err("no key");
    assert!(!format!("{error:?}").contains("secret"));
}

/// A key has one fingerprint because it has one encoding.
#[test]
fn unusual_encodings_of_keys_are_refused() {
    let spki = pair(Kind::P256).public().der().to_vec();
    PublicKey::from_der(&spki).expect("the usual one");
    let trailing = [&spki[..], &[0]].concat();
    let mut long = spki.clone();
    long.splice(1..2, [0x81, spki[1]]);
    let mut compressed = spki.clone();
    let at = spki.len() - 65;
    compressed[at] = 2;
    let mut curve = spki.clone();
    curve[22] ^= 1;
    for bad in [trailing, long, compressed, curve, Vec::new(), b"x".to_vec()] {
        assert!(PublicKey::from_der(&bad).is_err(), "{bad:?}");
    }
}
