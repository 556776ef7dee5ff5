//! Payloads and envelopes that are rightly signed and say something wrong. Other
//! verifiers let most of them pass; each is made wrong in one place only.

use plimsoll_content::{Algorithm, Digest};
use plimsoll_sign::Why;
use plimsoll_sign::format::bundle;
use plimsoll_sign::key::Kind;
use plimsoll_sign::policy::NameRule;
use serde_json::{Value, json};

use crate::support::*;

fn payloads(digest: &str) -> [(&'static str, String, &'static str); 9] {
    let zeros = format!("sha256:{}", "0".repeat(64));
    let right = |name: &str, image: &str, kind: &str, more: &str| {
        format!(
            "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"{name}\"}},{image},\"type\":\"{kind}\"{more}}},\"optional\":null}}"
        )
    };
    let image = format!("\"image\":{{\"docker-manifest-digest\":\"{digest}\"}}");
    let twice = format!("\"image\":{{\"docker-manifest-digest\":\"{zeros}\"}},{image}");
    let kind = "cosign container image signature";
    let name = "example.com/org/app";
    [
        ("correct", right(name, &image, kind, ""), ""),
        (
            "type: revocation",
            right(name, &image, "this is a REVOCATION of the image", ""),
            "E_SIGNATURE",
        ),
        ("type: atomic", right(name, &image, "atomic container signature", ""), "E_SIGNATURE"),
        (
            "unknown critical member",
            right(name, &image, kind, ",\"not-after\":\"2020-01-01\""),
            "E_SIGNATURE",
        ),
        ("member twice", right(name, &twice, kind, ""), "E_SIGNATURE"),
        (
            "members in another case",
            right(name, &image, kind, "")
                .replace("critical", "Critical")
                .replace("image\":{\"docker", "Image\":{\"Docker"),
            "E_SIGNATURE",
        ),
        ("another repository", right("example.com/org/other", &image, kind, ""), "E_SIGNED_NAME"),
        ("layer of another type", right(name, &image, kind, ""), "E_SIGNATURE"),
        ("a space at the end", right(name, &image, kind, "") + " ", ""),
    ]
}

#[test]
fn t07_of_nine_payloads_seven_are_refused() {
    let pair = pair(Kind::P256);
    let policy = by(&pair, NameRule::Repository);
    let mut refused = 0;
    for (what, text, expected) in payloads(&content().digest.to_string()) {
        let mut candidate = payload(&pair, text.as_bytes());
        if what == "layer of another type" {
            candidate.media_type = "text/plain".to_owned();
        }
        let found = code(&policy, vec![candidate]);
        assert_eq!(found, expected, "{what}: {text}");
        refused += usize::from(!found.is_empty());
    }
    assert_eq!(refused, 7);
    // What is read of any name is what the policy says is of any name.
    let (_, other, _) = &payloads(&content().digest.to_string())[6];
    assert_eq!(code(&by(&pair, NameRule::Any), vec![payload(&pair, other.as_bytes())]), "");
}

#[test]
fn t14_digests_of_no_digest_are_refused() {
    let pair = pair(Kind::P256);
    let good = content().digest.to_string();
    for bad in [
        "sha256:../../x".to_owned(),
        good.to_uppercase(),
        good[..60].to_owned(),
        format!("md5:{}", "0".repeat(32)),
        good.replace("sha256:", "SHA256:"),
    ] {
        let (_, text, _) = &payloads(&bad)[0];
        let found = code(&by(&pair, NameRule::Any), vec![payload(&pair, text.as_bytes())]);
        assert!(["E_SIGNATURE", "E_UNSIGNED"].contains(&found.as_str()), "{bad}: {found}");
    }
}

fn statement_of(predicate_type: &str, predicate: &Value) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": content().digest.encoded()}}],
        "predicateType": predicate_type,
        "predicate": predicate,
    })
}

const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

#[test]
fn t06_an_attestation_is_no_signature() {
    let pair = pair(Kind::P256);
    let failed = json!({"verificationResult": "FAILED"});
    let vsa = statement_of("https://slsa.dev/verification_summary/v1", &failed);
    let found =
        judged(&by(&pair, NameRule::Any), vec![statement(&pair, vsa.to_string().as_bytes())]);
    assert_eq!(found.verdict.expect_err("refused").code().as_str(), "E_UNSIGNED");
    assert_eq!(found.outcomes[0].reason.as_ref().expect("a reason").why, Why::Type);
}

#[test]
fn t23_a_good_envelope_about_other_content_is_refused() {
    let pair = pair(Kind::P256);
    let mut other = statement_of(SIGN, &json!({}));
    other["subject"][0]["digest"]["sha256"] =
        Digest::of(Algorithm::Sha256, b"other").encoded().into();
    let found =
        code(&by(&pair, NameRule::Any), vec![statement(&pair, other.to_string().as_bytes())]);
    assert_eq!(found, "E_UNSIGNED");
}

#[test]
fn statements_with_one_fault_are_refused() {
    let pair = pair(Kind::P256);
    let good = statement_of(SIGN, &json!({})).to_string();
    assert_eq!(code(&by(&pair, NameRule::Any), vec![statement(&pair, good.as_bytes())]), "");
    let bare = good.replace(r#""predicate":{},"#, "");
    assert_ne!(bare, good);
    assert_eq!(code(&by(&pair, NameRule::Any), vec![statement(&pair, bare.as_bytes())]), "");
    for (what, bad) in [
        ("a member in another case", good.replace("predicateType", "PredicateType")),
        ("a member twice", good.replacen('{', r#"{"predicateType":"x/y","#, 1)),
        ("another type", good.replace("in-toto.io", "in-toto.example")),
        ("no subject", good.replace("subject", "subjects")),
        ("no JSON", good.replace('}', "")),
        ("an array", format!("[{good}]")),
    ] {
        assert_ne!(bad, good, "{what}");
        let found = code(&by(&pair, NameRule::Any), vec![statement(&pair, bad.as_bytes())]);
        assert!(["E_SIGNATURE", "E_UNSIGNED"].contains(&found.as_str()), "{what}: {found}");
    }
}

#[test]
fn bundles_with_one_fault_are_refused() {
    let pair = pair(Kind::P256);
    // A signature whose length makes its base64 end with padding.
    let (good, value) = std::iter::repeat_with(|| {
        let good = statement(&pair, statement_of(SIGN, &json!({})).to_string().as_bytes());
        let value: Value = serde_json::from_slice(&good.bytes).expect("JSON");
        (good, value)
    })
    .take(1000)
    .find(|(_, value)| {
        let signature = value["dsseEnvelope"]["signatures"][0]["sig"].as_str();
        signature.is_some_and(|text| text.ends_with('='))
    })
    .expect("one of many");
    let change = |pointer: &str, new: Value| {
        let mut changed = value.clone();
        *changed.pointer_mut(pointer).expect("a member") = new;
        bundled(changed.to_string().into_bytes())
    };
    let signature = value["dsseEnvelope"]["signatures"][0]["sig"].as_str().expect("base64");
    let payload = value["dsseEnvelope"]["payload"].as_str().expect("base64");
    let one = value["dsseEnvelope"]["signatures"][0].clone();
    let policy = by(&pair, NameRule::Any);
    // An unknown member, a key of its own among them, is no fault and no key.
    let raw = json!({"hint": "", "rawBytes": pair.public().to_pem()});
    assert_eq!(code(&policy, vec![change("/verificationMaterial/publicKey", raw.clone())]), "");
    let stranger = by(&crate::support::pair(Kind::P256), NameRule::Any);
    let found = code(&stranger, vec![change("/verificationMaterial/publicKey", raw)]);
    assert_eq!(found, "E_UNTRUSTED", "t26: a key that comes along is no trusted key");
    for (what, candidate) in [
        (
            "another type",
            change("/mediaType", "application/vnd.dev.sigstore.bundle.v9+json".into()),
        ),
        ("no signature", change("/dsseEnvelope/signatures", json!([]))),
        ("t19: two signatures", change("/dsseEnvelope/signatures", json!([one, one]))),
        ("another payload type", change("/dsseEnvelope/payloadType", "text/plain".into())),
        (
            "t21: base64 without padding",
            change("/dsseEnvelope/signatures/0/sig", signature.trim_end_matches('=').into()),
        ),
        (
            "t21: white space in base64",
            change("/dsseEnvelope/payload", format!("{payload}\n").into()),
        ),
        ("t21: base64url", change("/dsseEnvelope/signatures/0/sig", "-_".repeat(48).into())),
        ("no bundle", bundled(b"{}".to_vec())),
        ("no JSON", bundled(good.bytes[1..].to_vec())),
    ] {
        let found = code(&policy, vec![candidate]);
        assert!(["E_SIGNATURE", "E_UNTRUSTED"].contains(&found.as_str()), "{what}: {found}");
    }
    let certificate = change("/verificationMaterial", json!({"certificate": {"rawBytes": ""}}));
    let told = judged(&policy, vec![certificate]);
    assert_eq!(told.outcomes[0].reason.as_ref().expect("a reason").why, Why::Form);
}

/// A key that comes along with its own signature vouches for nothing (t26).
#[test]
fn t26_a_key_in_a_bundle_is_no_key() {
    let (own, stranger) = (pair(Kind::P256), pair(Kind::P256));
    let any = by(&own, NameRule::Any);
    let with = |made: &plimsoll_sign::scheme::Candidate, key: Value| {
        let mut value: Value = serde_json::from_slice(&made.bytes).expect("JSON");
        value["verificationMaterial"]["publicKey"] = key;
        code(&any, vec![bundled(value.to_string().into_bytes())])
    };
    let good = statement(&own, statement_of(SIGN, &json!({})).to_string().as_bytes());
    let bad = statement(&stranger, statement_of(SIGN, &json!({})).to_string().as_bytes());
    for key in [
        json!({"rawBytes": plimsoll_sign::text::to_base64(stranger.public().to_pem().as_bytes())}),
        json!({"rawBytes": plimsoll_sign::text::to_base64(stranger.public().der()), "hint": own.public().hint()}),
        json!({"hint": stranger.public().hint()}),
    ] {
        assert_eq!(with(&bad, key.clone()), "E_UNTRUSTED", "{key}");
        // It does no harm either: who may sign is known here.
        assert_eq!(with(&good, key.clone()), "", "{key}");
    }
}

/// One key for several forms: what is signed in one must not verify in another.
#[test]
fn t29_no_payload_is_one_of_another_form() {
    let pair = pair(Kind::P256);
    let said = statement_of(SIGN, &json!({})).to_string();
    let pae = plimsoll_sign::format::dsse::pae("application/vnd.in-toto+json", said.as_bytes());
    let found = code(&by(&pair, NameRule::Any), vec![payload(&pair, &pae)]);
    assert_eq!(found, "E_SIGNATURE");
    assert!(bundle::is_bundle(bundle::MEDIA_TYPE));
}

/// What stands beside a signature is signed by nobody.
#[test]
fn t08_t27_nothing_unsigned_stands_under_signed() {
    let pair = pair(Kind::P256);
    let digest = content().digest.to_string();
    let (_, text, _) = &payloads(&digest)[0];
    let mut candidate = payload(&pair, text.as_bytes());
    for name in ["dev.sigstore.cosign/certificate", "org.opencontainers.image.created", "creator"] {
        candidate.annotations.insert(name.to_owned(), "UNSIGNED".to_owned());
    }
    let said = statement_of(SIGN, &json!({}));
    let mut other = statement(&pair, said.to_string().as_bytes());
    let mut value: Value = serde_json::from_slice(&other.bytes).expect("JSON");
    value["verificationMaterial"]["publicKey"]["hint"] = "UNSIGNED".into();
    value["comment"] = "UNSIGNED".into();
    other.bytes = value.to_string().into_bytes().into();
    other.annotations.insert("dev.sigstore.bundle.predicateType".to_owned(), "UNSIGNED".to_owned());
    let found = judged(&by(&pair, NameRule::Any), vec![candidate, other]);
    assert!(found.verdict.is_ok());
    for outcome in &found.outcomes {
        let signed = serde_json::to_string(outcome.signed.as_ref().expect("signed")).expect("JSON");
        assert!(!signed.contains("UNSIGNED"), "{signed}");
    }
    // The name that was asked for is not one that is signed (t08).
    assert!(found.outcomes[1].signed.as_ref().expect("signed").names.is_empty());
}

/// Each kind of key has its own list of algorithms, and the one that fits is told.
#[test]
fn t30_the_algorithm_follows_from_the_key_and_is_told() {
    let said = statement_of(SIGN, &json!({})).to_string();
    for (kind, expected) in [
        (Kind::P256, "ecdsa-sha2-256-nistp256"),
        (Kind::P384, "ecdsa-sha2-384-nistp384"),
        (Kind::Ed25519, "ed25519"),
    ] {
        let pair = pair(kind);
        let found = judged(&by(&pair, NameRule::Any), vec![statement(&pair, said.as_bytes())]);
        assert!(found.verdict.is_ok());
        assert_eq!(found.outcomes[0].signed.as_ref().expect("signed").algorithm, expected);
    }
}
