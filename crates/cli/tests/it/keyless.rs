//! Signatures with a certificate: files, by the flags and by a policy. The files are
//! those of the book.

use std::path::Path;

use serde_json::{Value, json};

use crate::schemas::check;
use crate::support::{Done, Sandbox};

const WHO: &str = "https://forge.example/org/app/.workflows/release.yml@refs/heads/main";
const ISSUER: &str = "https://issuer.example";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/registries/keyless");
    for name in ["artifact", "bundle.sigstore.json", "trusted_root.json"] {
        sandbox.write(name, std::fs::read(book.join(name)).expect("a file of the book"));
    }
    sandbox
}

fn run(sandbox: &Sandbox, words: &[&str]) -> Done {
    let mut command = sandbox.command(words);
    command.env_remove("PLIMSOLL_POLICY").env("XDG_CONFIG_HOME", sandbox.path("xdg"));
    Done::of(&command.output().expect("started"))
}

const BLOB: [&str; 5] = ["verify", "--blob", "artifact", "--bundle", "bundle.sigstore.json"];

fn verify(sandbox: &Sandbox, more: &[&str]) -> Done {
    let words: Vec<_> = BLOB.iter().chain(more).copied().collect();
    run(sandbox, &words)
}

fn by<'a>(who: &'a str, issuer: &'a str) -> Vec<&'a str> {
    let root = ["--trusted-root", "trusted_root.json"];
    let who = ["--certificate-identity", who, "--certificate-oidc-issuer", issuer];
    root.into_iter().chain(who).collect()
}

#[test]
fn a_file_is_verified_and_only_what_is_signed_is_told() {
    let sandbox = sandbox();
    let words: Vec<_> = by(WHO, ISSUER).into_iter().chain(["--json"]).collect();
    let done = verify(&sandbox, &words);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let report: Value = serde_json::from_str(&done.stdout).expect("one document");
    check(&report);
    let image = &report["images"][0];
    assert_eq!(image["notChecked"], json!(["revocation", "name"]));
    let signed = &image["results"][0]["signed"];
    assert_eq!(signed["identity"], json!({"issuer": ISSUER, "subject": WHO}));
    let all = json!(["certificate", "certificate-log", "log", "timestamp"]);
    assert_eq!(signed["checked"], all);
    assert_eq!(signed["times"][0]["by"], "log");
    assert_eq!(signed["times"][1]["name"], "https://stamps.example");
    // Less is checked, and that is told.
    let lax = ["--insecure-ignore-sct", "--json"];
    let words: Vec<_> = by(WHO, ISSUER).into_iter().chain(lax).collect();
    let report: Value = serde_json::from_str(&verify(&sandbox, &words).stdout).expect("JSON");
    check(&report);
    let left = json!(["logs of certificates", "revocation", "name"]);
    assert_eq!(report["images"][0]["notChecked"], left);
    // Somebody else: nothing stands under signed.
    let words: Vec<_> = by("a@example.com", ISSUER).into_iter().chain(["--json"]).collect();
    let done = verify(&sandbox, &words);
    assert_eq!(done.code, 7);
    let report: Value = serde_json::from_str(&done.stdout).expect("JSON");
    check(&report);
    let result = &report["images"][0]["results"][0];
    assert_eq!((&result["signed"], &result["reason"]["code"]), (&Value::Null, &json!("identity")));
    assert_eq!(report["images"][0]["code"], "E_UNTRUSTED");
    // Another file.
    sandbox.write("artifact", "other");
    let done = verify(&sandbox, &by(WHO, ISSUER));
    assert!(done.code == 7 && done.stderr.contains("E_UNSIGNED"), "{}", done.stderr);
    let done = verify(&sandbox, &[&by(WHO, ISSUER)[..], &["--limit", "signed-file=4B"]].concat());
    assert!(done.code == 7 && done.stderr.contains("E_SIGNATURE_LIMIT"), "{}", done.stderr);
}

#[test]
fn half_of_an_identity_is_an_error_and_never_nothing() {
    let sandbox = sandbox();
    sandbox.image();
    let root = ["--trusted-root", "trusted_root.json"];
    let who = ["--certificate-identity", WHO];
    let issuer = ["--certificate-oidc-issuer", ISSUER];
    for words in [
        &root[..],
        &who,
        &issuer,
        &[root, who].concat(),
        &[root, issuer].concat(),
        &[who, issuer].concat(),
        &[&root[..], &["--insecure-ignore-tlog"]].concat(),
    ] {
        let done = verify(&sandbox, words);
        assert_eq!(done.code, 2, "{words:?}: {}{}", done.stdout, done.stderr);
        let copy: Vec<_> =
            ["copy", "oci:images:v1", "oci:other:v1"].iter().chain(words).copied().collect();
        let done = run(&sandbox, &copy);
        assert_eq!(done.code, 2, "{words:?}: {}{}", done.stdout, done.stderr);
    }
    // An image without such a signature does not pass.
    let copy: Vec<_> =
        ["copy", "oci:images:v1", "oci:other:v1"].into_iter().chain(by(WHO, ISSUER)).collect();
    let done = run(&sandbox, &copy);
    assert!(done.code == 7 && done.stderr.contains("E_UNSIGNED"), "{}", done.stderr);
    sandbox.write("trusted_root.json", "{}");
    let done = verify(&sandbox, &by(WHO, ISSUER));
    assert!(done.stderr.contains("E_POLICY"), "{}", done.stderr);
}

#[test]
fn a_policy_names_people() {
    let sandbox = sandbox();
    let policy = |change: &dyn Fn(&mut Value)| {
        let mut policy = json!({
            "version": 1,
            "identities": {"release": {
                "root": "trusted_root.json",
                "issuer": ISSUER,
                "subject-pattern": "https://forge.example/org/**",
            }},
            "rules": [{"scope": "*", "require": [{
                "kind": "signature", "of": ["keyless:release"], "name": "any", "time": "timestamp",
            }]}],
        });
        change(&mut policy);
        sandbox.write("trust.json", policy.to_string());
        verify(&sandbox, &["--policy", "trust.json"])
    };
    let done = policy(&|_| ());
    assert_eq!(done.code, 0, "{}", done.stderr);
    type Change = fn(&mut Value);
    let changes: [(&str, &str, Change); 8] = [
        ("another issuer", "E_UNTRUSTED", |all| {
            all["identities"]["release"]["issuer"] = "https://x".into();
        }),
        ("too old", "E_EXPIRED", |all| all["rules"][0]["require"][0]["max-age"] = "1s".into()),
        ("no root", "E_POLICY", |all| all["identities"]["release"]["root"] = Value::Null),
        ("another file", "E_NOT_FOUND", |all| {
            all["identities"]["release"]["root"] = "nothing".into();
        }),
        ("no issuer", "E_POLICY", |all| all["identities"]["release"]["issuer"] = "".into()),
        ("both", "E_POLICY", |all| all["identities"]["release"]["subject"] = "x".into()),
        ("unknown", "E_POLICY", |all| all["identities"]["release"]["ctlog"] = "ignore".into()),
        ("nobody", "E_POLICY", |all| {
            all["rules"][0]["require"][0]["of"] = json!(["keyless:other"]);
        }),
    ];
    for (what, code, change) in changes {
        let done = policy(&change);
        assert!(done.stderr.contains(code), "{what}: {} {}", done.code, done.stderr);
    }
}
