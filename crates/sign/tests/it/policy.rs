//! Policies as files: what is read, and what is refused.

use plimsoll_content::{Code, Error, Result};
use plimsoll_sign::Policy;
use plimsoll_sign::key::Kind;
use plimsoll_sign::policy::{Load, NameRule, Requirement, Signed};
use serde_json::{Value, json};

use crate::support::*;

struct One(String);

impl Load for One {
    fn file(&self, path: &str) -> Result<Vec<u8>> {
        match path {
            "k.pub" | "/etc/k.pub" => Ok(self.0.clone().into_bytes()),
            "/etc/k.gpg" => Ok(RING.as_bytes().to_vec()),
            other => Err(Error::new(Code::NotFound, format!("reading {other}"))),
        }
    }

    fn store(&self, kind: &str, name: &str) -> Result<Vec<(String, Vec<u8>)>> {
        Err(Error::new(Code::NotFound, format!("reading {kind}/{name}")))
    }
}

/// A public key of GnuPG, whose private part nobody has.
const RING: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawex/BYJKwYBBAHaRw8BAQdAGRSdQ0zvzjbSoVpcMgmtCQRWDuGibl5/yoJF
L/e3itu0IFBsaW1zb2xsIHRlc3QgPHRlc3RAZXhhbXBsZS5jb20+iJAEExYIADgW
IQRETf3RWvcQwBUYEr7wAMOiWdaK+AUCawex/AIbAwULCQgHAgYVCgkICwIEFgID
AQIeAQIXgAAKCRDwAMOiWdaK+DJtAQD0Rz6bDx8IKJM7f3AyXjDozMJ2YvnsD8sW
jKuZlEmAlAEA75k2NeFWYjD/ENuPTpXg6Wp/o6Caz51XQch0ym9RRwc=
=5oJN
-----END PGP PUBLIC KEY BLOCK-----
";

fn load() -> One {
    One(pair(Kind::P256).public().to_pem())
}

fn good() -> Value {
    json!({
        "version": 1,
        "default": "reject",
        "keys": {"a": {"path": "k.pub"}, "b": {"pem": pair(Kind::Ed25519).public().to_pem()}},
        "rules": [
            {"scope": "example.com/org/", "require": [
                {"kind": "signature", "threshold": 2, "of": ["key:a", "key:b"],
                 "forms": ["sigstore-bundle", "cosign-simple"], "name": "exact",
                 "time": "any", "max-age": "180d", "expiry": "enforce", "rollback": "refuse"},
                {"kind": "attestation", "predicateType": "slsaprovenance1", "of": ["key:a"],
                 "checks": {"/buildDefinition/buildType": "x"}}]},
            {"scope": "oci:", "require": [{"kind": "accept"}]},
            {"scope": "example.com/org/bad", "require": [{"kind": "reject"}]}
        ]
    })
}

fn read(value: &Value) -> Result<Policy> {
    Policy::trust(value.to_string().as_bytes(), &load())
}

fn signed(requirement: &Requirement) -> &Signed {
    match requirement {
        Requirement::Signed(signed) => signed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn trust_json_says_what_it_says() {
    let policy = read(&good()).expect("read");
    let (rule, require) = policy.rule(&asked("example.com/org/app:v1"));
    assert_eq!(rule.expect("a rule").written, "example.com/org/");
    let first = signed(&require[0]);
    assert_eq!((first.threshold, first.of.len(), first.forms.len()), (2, 2, 2));
    assert_eq!(
        (&first.name, first.max_age, first.rollback),
        (&NameRule::Exact, Some(15_552_000), true)
    );
    assert_eq!(signed(&require[1]).of_type.as_deref(), Some("https://slsa.dev/provenance/v1"));
    let (rule, require) = policy.rule(&asked("example.com/org/bad/app:v1"));
    assert_eq!(rule.expect("a rule").written, "example.com/org/bad");
    assert!(matches!(require[..], [Requirement::Reject]));
    let (rule, require) = policy.rule(&asked("example.com/organ/app:v1"));
    assert!(rule.is_none() && matches!(require[..], [Requirement::Reject]));
}

#[test]
fn what_is_not_understood_is_an_error() {
    type Change = fn(&mut Value);
    let changes: &[(&str, Change)] = &[
        ("no version", |value| drop(value.as_object_mut().map(|all| all.remove("version")))),
        ("version 2", |value| value["version"] = 2.into()),
        ("an unknown member", |value| value["extra"] = 1.into()),
        ("an unknown member of a rule", |value| value["rules"][0]["extra"] = 1.into()),
        ("an unknown condition", |value| value["rules"][0]["require"][0]["log"] = true.into()),
        ("an unknown kind", |value| value["rules"][0]["require"][0]["kind"] = "maybe".into()),
        ("an unknown key", |value| value["rules"][0]["require"][0]["of"] = json!(["key:c"])),
        ("no signers", |value| value["rules"][0]["require"][0]["of"] = json!([])),
        ("what is not verified", |value| {
            value["rules"][0]["require"][0]["of"] = json!(["keyless:ci"]);
        }),
        ("a threshold that nobody meets", |value| {
            value["rules"][0]["require"][0]["threshold"] = 3.into();
        }),
        ("the threshold 0", |value| value["rules"][0]["require"][0]["threshold"] = 0.into()),
        ("two names of one key", |value| {
            value["keys"]["b"] = json!({"path": "k.pub"});
        }),
        ("a time that is not checked", |value| {
            value["rules"][0]["require"][0]["time"] = "timestamp".into();
        }),
        ("no requirements", |value| value["rules"][0]["require"] = json!([])),
        ("one scope twice", |value| value["rules"][1]["scope"] = "example.com/org".into()),
        ("a broken scope", |value| value["rules"][1]["scope"] = "a*b".into()),
        ("an unknown default", |value| value["default"] = "maybe".into()),
        ("an unknown form", |value| {
            value["rules"][0]["require"][0]["forms"] = json!(["pgp"]);
        }),
        ("an odd age", |value| value["rules"][0]["require"][0]["max-age"] = "180".into()),
    ];
    for (what, change) in changes {
        let mut value = good();
        change(&mut value);
        let error = read(&value).expect_err(what);
        assert_eq!(error.code(), Code::Policy, "{what}: {error}");
    }
    let twice = good().to_string().replacen('{', r#"{"default":"accept","#, 1);
    assert_eq!(Policy::trust(twice.as_bytes(), &load()).expect_err("twice").code(), Code::Policy);
}

#[test]
fn policy_json_means_what_it_means_to_skopeo() {
    let value = json!({
        "default": [{"type": "reject"}],
        "transports": {
            "docker": {
                "example.com/org": [{"type": "sigstoreSigned", "keyPath": "/etc/k.pub"}],
                "example.com/gpg": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/etc/k.gpg"}],
                "example.com/any": [{"type": "insecureAcceptAnything"}],
                "example.com/repo": [{"type": "sigstoreSigned", "keyPath": "/etc/k.pub",
                    "signedIdentity": {"type": "matchRepository"}}],
                "example.com/both": [{"type": "sigstoreSigned", "keyPath": "/etc/k.pub"}, {"type": "reject"}]
            },
            "oci": {"": [{"type": "insecureAcceptAnything"}]}
        }
    });
    let read = |value: &Value| Policy::containers(value.to_string().as_bytes(), &load());
    let policy = read(&value).expect("read");
    let at = |name: &str| policy.rule(&asked(name)).1.to_vec();
    assert_eq!(signed(&at("example.com/org/app:v1")[0]).name, NameRule::Exact);
    assert_eq!(signed(&at("example.com/repo:v1")[0]).name, NameRule::Repository);
    let gpg = at("example.com/gpg:v1");
    assert_eq!(signed(&gpg[0]).of[0].name, "444DFDD15AF710C0151812BEF000C3A259D68AF8");
    assert!(matches!(at("example.com/any:v1")[..], [Requirement::Accept]));
    assert!(matches!(at("example.com/both:v1")[..], [_, Requirement::Reject]));
    assert!(matches!(at("example.com/other:v1")[..], [Requirement::Reject]));
    for (what, pointer, bad) in [
        ("no default", "/default", Value::Null),
        ("an empty list", "/default", json!([])),
        ("an unknown type", "/default/0/type", json!("acceptAll")),
        ("an unknown member", "/default/0", json!({"type": "reject", "x": 1})),
        (
            "two keys",
            "/transports/docker/example.com~1org/0",
            json!({"type": "sigstoreSigned", "keyPath": "/etc/k.pub", "keyData": "AA=="}),
        ),
        ("no key", "/transports/docker/example.com~1org/0", json!({"type": "sigstoreSigned"})),
    ] {
        let mut changed = value.clone();
        *changed.pointer_mut(pointer).expect("a member") = bad;
        assert_eq!(read(&changed).expect_err(what).code(), Code::Policy, "{what}");
    }
}
