//! `trustpolicy.json`: what it means, what is refused, and those of the tests of
//! notation, which `PLIMSOLL_NOTATION_POLICIES` names a checkout of
//! (notaryproject/notation).

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use plimsoll_content::{Code, Error, Result};
use plimsoll_sign::key::Kind;
use plimsoll_sign::policy::{Action, Facet, Load, Policy, Requirement, Signed, TrustedKey, trust};
use serde_json::{Value, json};

use crate::certificates::{Draft, pem};
use crate::support::{asked, pair};

/// Stores by their names, each with one file.
struct Stores(BTreeMap<String, Vec<u8>>);

impl Load for Stores {
    fn file(&self, path: &str) -> Result<Vec<u8>> {
        Err(Error::new(Code::NotFound, format!("reading {path}")))
    }

    fn store(&self, kind: &str, name: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let found = self.0.get(&format!("{kind}:{name}"));
        let bytes = found.ok_or_else(|| Error::new(Code::NotFound, "reading a store"))?;
        Ok(vec![("a.pem".to_owned(), bytes.clone())])
    }
}

fn stores() -> Stores {
    let (root, leaf) = (pair(Kind::P256), pair(Kind::P256));
    let authority = Draft::authority(&root, "root");
    let own = authority.signed_by(&authority);
    let good = pem(std::slice::from_ref(&own)).into_bytes();
    let signer = pem(&[Draft::signer(&leaf).signed_by(&authority)]).into_bytes();
    let names = ["ca:e2e", "ca:e2e-new", "ca:sKey", "ca:wabbit-networks.io", "tsa:e2e"];
    let mut stores: BTreeMap<_, _> =
        names.iter().map(|name| ((*name).to_owned(), good.clone())).collect();
    stores.insert("signingAuthority:e2e".to_owned(), good);
    stores.insert("ca:der".to_owned(), own);
    stores.insert("ca:leaf".to_owned(), signer);
    stores.insert("ca:empty".to_owned(), b"no certificate".to_vec());
    Stores(stores)
}

fn good() -> Value {
    json!({"version": "1.0", "trustPolicies": [{
        "name": "e2e",
        "registryScopes": ["example.com/org/app", "example.com:5000/org/app"],
        "signatureVerification": {"level": "strict"},
        "trustStores": ["ca:e2e", "signingAuthority:e2e"],
        "trustedIdentities": ["x509.subject: C=US, ST=WA, O=Example, CN=a"],
    }, {
        "name": "all",
        "registryScopes": ["*"],
        "signatureVerification": {"level": "audit"},
        "trustStores": ["ca:der"],
        "trustedIdentities": ["*"],
    }]})
}

fn read(value: &Value) -> Result<Policy> {
    Policy::notary(value.to_string().as_bytes(), &stores())
}

fn signed(require: &[Requirement]) -> &Signed {
    match require {
        [Requirement::Signed(signed)] => signed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_statement_is_for_its_repositories_and_one_for_all_others() {
    let policy = read(&good()).expect("a policy");
    let rule = |name: &str| policy.rule(&asked(name)).0.map(|rule| rule.written.clone());
    let own = Some("example.com/org/app".to_owned());
    assert_eq!(rule("example.com/org/app:v1"), own);
    let digest = format!("Example.com/org/app@sha256:{}", "a".repeat(64));
    assert_eq!((rule(&digest), rule("example.com/org/app")), (own.clone(), own));
    assert_eq!(rule("example.com:5000/org/app").as_deref(), Some("example.com:5000/org/app"));
    for other in ["example.com/org/app/more:v1", "example.com/org:v1", "example.org/org/app:v1"] {
        assert_eq!(rule(other).as_deref(), Some("*"), "{other}");
    }
    let strict = signed(policy.rule(&asked("example.com/org/app:v1")).1);
    assert_eq!(strict.enforce.revocation, Action::Enforce);
    assert!(strict.enforce.lets_pass().is_empty());
    let TrustedKey::Certificates(store) = &strict.of[0].key else { panic!("certificates") };
    assert_eq!((store.authorities.len(), store.signing.len(), store.anyone), (1, 1, false));
    assert_eq!(store.identities[0].len(), 4);
    let audit = signed(policy.rule(&asked("example.org/x:v1")).1);
    let lax = [Facet::Authenticity, Facet::AuthenticTimestamp, Facet::Expiry];
    assert_eq!(audit.enforce.lets_pass(), lax);
    // Without a statement for all, others are refused.
    let mut one = good();
    one["trustPolicies"].as_array_mut().expect("all").pop();
    let policy = read(&one).expect("a policy");
    assert!(matches!(policy.rule(&asked("example.org/x:v1")).1, [Requirement::Reject]));
}

#[test]
fn a_level_says_what_is_enforced_and_can_be_changed() {
    let of = |verification: Value| {
        let mut value = good();
        value["trustPolicies"][0]["signatureVerification"] = verification;
        read(&value).map(|policy| match &policy.rules[0].require[..] {
            [Requirement::Signed(signed)] => {
                let of = |facet| match signed.enforce.of(facet) {
                    Action::Enforce => 'e',
                    Action::Log => 'l',
                    Action::Skip => 's',
                };
                let all = [
                    Facet::Authenticity,
                    Facet::AuthenticTimestamp,
                    Facet::Expiry,
                    Facet::Revocation,
                ];
                all.into_iter().map(of).collect::<String>()
            }
            [Requirement::Accept] => "accept".to_owned(),
            other => format!("{other:?}"),
        })
    };
    for (level, over, expected) in [
        ("strict", json!({}), "eeee"),
        ("permissive", json!({}), "elll"),
        ("audit", json!({}), "llll"),
        ("strict", json!({"expiry": "log", "revocation": "skip"}), "eels"),
        ("strict", json!({"authenticTimestamp": "log", "authenticity": "log"}), "llee"),
        ("audit", json!({"authenticity": "enforce", "revocation": "enforce"}), "elle"),
    ] {
        let found = of(json!({"level": level, "override": over})).expect(level);
        assert_eq!(found, expected, "{level} {over}");
    }
    for bad in [
        json!({}),
        json!({"level": "none"}),
        json!({"level": "Strict"}),
        json!({"level": "strict", "override": {"integrity": "log"}}),
        json!({"level": "strict", "override": {"integrity": "enforce"}}),
        json!({"level": "strict", "override": {"expiry": "skip"}}),
        json!({"level": "strict", "override": {"authenticity": "skip"}}),
        json!({"level": "strict", "override": {"unknown": "log"}}),
        json!({"level": "skip", "override": {"expiry": "log"}}),
        json!({"level": "strict", "verifyTimestamp": "never"}),
        json!({"level": "strict", "unknown": 1}),
        // Whom to trust, and nothing to be verified.
        json!({"level": "skip"}),
    ] {
        assert_eq!(of(bad.clone()).expect_err("invalid").code(), Code::Policy, "{bad}");
    }
}

#[test]
fn what_the_specification_calls_invalid_is_refused() {
    let change = |pointer: &str, value: Value| {
        let mut changed = good();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        changed.pointer_mut(parent).expect(pointer)[name] = value;
        read(&changed).map(|_| ()).map_err(|error| error.code())
    };
    let first = "/trustPolicies/0";
    for (at, value) in [
        ("/version", json!("1.1")),
        ("/version", json!(1)),
        ("/unknown", json!(1)),
        ("/trustPolicies", json!([])),
    ] {
        assert_eq!(change(at, value.clone()), Err(Code::Policy), "{at} {value}");
    }
    for (member, value) in [
        ("name", json!("")),
        ("name", json!("all")),
        ("unknown", json!(1)),
        ("globalPolicy", json!(true)),
        ("registryScopes", json!([])),
        ("registryScopes", json!(["*"])),
        ("registryScopes", json!(["*", "example.com/x"])),
        ("registryScopes", json!(["example.com/x", "example.com/x"])),
        ("registryScopes", json!(["example.com"])),
        ("registryScopes", json!(["example.com/x:v1"])),
        ("registryScopes", json!(["example.com/*"])),
        ("registryScopes", json!(["*.example.com/x"])),
        ("registryScopes", json!(["example.com\\x"])),
        ("registryScopes", json!(["https://example.com/x"])),
        ("registryScopes", json!(["example.com/Upper"])),
        ("registryScopes", json!(["example.com/a//b"])),
        ("registryScopes", json!(["example.com/a_.b"])),
        ("trustStores", json!([])),
        ("trustStores", json!(["e2e"])),
        ("trustStores", json!(["*"])),
        ("trustStores", json!(["ca:"])),
        ("trustStores", json!(["ca:.."])),
        ("trustStores", json!(["ca:../e2e"])),
        ("trustStores", json!(["other:e2e"])),
        ("trustStores", json!(["ca:empty"])),
        ("trustStores", json!(["ca:leaf"])),
        ("trustStores", json!(["tsa:e2e"])),
        ("trustedIdentities", json!([])),
        ("trustedIdentities", json!([""])),
        ("trustedIdentities", json!(["*", "x509.subject: C=US,ST=WA,O=x"])),
        ("trustedIdentities", json!(["C=US,ST=WA,O=x"])),
        ("trustedIdentities", json!(["x509.subject C=US,ST=WA,O=x"])),
        ("trustedIdentities", json!(["x509.subject:"])),
        ("trustedIdentities", json!(["x509.subject: ST=WA,O=x"])),
        ("trustedIdentities", json!(["x509.subject: C=US,O=x"])),
        ("trustedIdentities", json!(["x509.subject: C=US,ST=WA"])),
        ("trustedIdentities", json!(["x509.subject: C=US,ST=WA,O=#0403616263"])),
        (
            "trustedIdentities",
            json!(["x509.subject: C=US,ST=WA,O=x", "x509.subject: C=US,ST=WA,O=x,CN=y"]),
        ),
        // One signer could be both.
        (
            "trustedIdentities",
            json!(["x509.subject: C=US,ST=WA,O=x,OU=z", "x509.subject: C=US,ST=WA,O=x,CN=y"]),
        ),
    ] {
        let at = format!("{first}/{member}");
        assert_eq!(change(&at, value.clone()), Err(Code::Policy), "{at} {value}");
    }
    for (member, value) in [
        ("registryScopes", json!(["local/my-layout", "localhost:5000/a__b/c-d--e.f"])),
        ("trustStores", json!(["ca:e2e", "ca:e2e-new", "ca:e2e"])),
        (
            "trustedIdentities",
            json!(["x509.subject: C=US,S=WA,O=x", "x509.subject: C=US,ST=WA,O=y"]),
        ),
    ] {
        assert_eq!(change(&format!("{first}/{member}"), value.clone()), Ok(()), "{value}");
    }
    // A store that is not there is told as that.
    assert_eq!(change("/trustPolicies/0/trustStores", json!(["ca:no"])), Err(Code::NotFound));
    // Nothing to be verified, for all images there are.
    let skip = |scope: &str| {
        read(&json!({"version": "1.0", "trustPolicies": [{"name": "s",
            "registryScopes": [scope], "signatureVerification": {"level": "skip"}}]}))
    };
    assert_eq!(skip("*").expect_err("invalid").code(), Code::Policy);
    let policy = skip("example.com/x").expect("a policy");
    assert!(matches!(policy.rules[0].require[..], [Requirement::Accept]));
}

#[test]
fn it_is_written_in_our_form_where_that_can_say_it() {
    let mut value = good();
    value["trustPolicies"][1]["signatureVerification"]["level"] = "permissive".into();
    let policy = read(&value).expect("a policy");
    let ours = trust::of(&policy).expect("written");
    let again = Policy::trust(ours.to_string().as_bytes(), &stores()).expect("read");
    assert_eq!(again.rules.len(), policy.rules.len());
    for (one, other) in again.rules.iter().zip(&policy.rules) {
        let (own, old) = (signed(&one.require), signed(&other.require));
        assert_eq!((&one.scope, own.enforce, &own.forms), (&other.scope, old.enforce, &old.forms));
    }
    // One who is anybody has no place in it.
    let audit = read(&good()).expect("a policy");
    assert_eq!(trust::of(&audit).expect_err("audit").code(), Code::Unrepresentable);
}

/// The 43 of notation's own tests; their names say which are invalid.
#[test]
fn policies_of_notation() {
    let Some(folder) = std::env::var_os("PLIMSOLL_NOTATION_POLICIES") else {
        let _ = writeln!(std::io::stderr(), "SKIP vectors: PLIMSOLL_NOTATION_POLICIES is not set");
        return;
    };
    let folder = Path::new(&folder).join("test/e2e/testdata/config/trustpolicies");
    let invalid = [
        "blob_trust_policy",
        "empty_registry_scope_",
        "empty_trusted_identity_",
        "invalid_format_",
        // A store that is not there: notation tells so once an image is verified.
        "invalid_trust_store_",
        "malformed_registry_scope_",
        "malformed_trust_store_",
        "malformed_trusted_identity_",
        "missing_country_",
        "missing_organization_",
        "missing_state_",
        "multi_statements_with_multi_wildcard_",
        "multi_statements_with_the_same_name_",
        "multi_statements_with_the_same_registry_scope_",
        "overlapped_registry_scope_",
        "overlapped_trusted_identity_",
        "override_integrity_for_permissive_",
        // The specification forbids it for all images; notation lets it pass.
        "skip_trustpolicy",
        "unset_trust_store_",
        "unset_trusted_identity_",
        "wildcard_plus_other_registry_scope_",
        "wildcard_plus_other_trusted_identity_",
        "wildcard_trust_store_",
    ];
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("policies") {
        let path = entry.expect("a policy").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let found = Policy::notary(&fs::read(&path).expect("a file"), &stores());
        let valid = !invalid.iter().any(|begin| name.starts_with(begin));
        assert_eq!(found.is_ok(), valid, "{name}: {:?}", found.err());
        count += 1;
    }
    assert_eq!(count, 43);
}
