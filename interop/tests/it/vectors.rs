//! The fixtures of the containers tools (containers/image), which
//! `PLIMSOLL_CONTAINERS_VECTORS` names a checkout of: signatures with GPG and of cosign in
//! folders, each with the verdict that its own tests demand.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use plimsoll_interop::{Output, Program, Scratch, run, skip};
use serde_json::{Value, json};

struct Fixtures {
    folder: PathBuf,
    scratch: Scratch,
    plimsoll: Program,
}

impl Fixtures {
    fn new() -> Option<Self> {
        let Some(folder) = std::env::var_os("PLIMSOLL_CONTAINERS_VECTORS") else {
            skip("fixtures: PLIMSOLL_CONTAINERS_VECTORS is not set");
            return None;
        };
        let scratch = Scratch::new();
        let plimsoll = Program::new(scratch.path());
        // They hold symbolic links, which are no files of an image.
        let fixtures = scratch.join("fixtures");
        let mut copy = Command::new("cp");
        copy.arg("-rL").arg(PathBuf::from(folder).join("signature/fixtures")).arg(&fixtures);
        run(&mut copy).good("cp");
        Some(Self { folder: fixtures, scratch, plimsoll })
    }

    fn at(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn verify(&self, image: &str, more: &[&str]) -> Output {
        let words = ["verify", &format!("dir:{}", self.at(image))];
        run(self.plimsoll.command().args(words).args(more))
    }

    /// The verdict under a policy that asks for one thing: empty, or the code.
    fn under(&self, image: &str, name: Option<&str>, require: &Value) -> String {
        let policy = json!({"default": [require]});
        fs::write(self.scratch.join("policy.json"), policy.to_string()).expect("a file");
        let as_name: Vec<_> = name.into_iter().flat_map(|name| ["--as", name]).collect();
        let words = [&["--policy", "policy.json"], &as_name[..]].concat();
        let done = self.verify(image, &words);
        let code = done.err.split_once("error[").and_then(|(_, rest)| rest.split_once(']'));
        match (done.code, code) {
            (0, _) => String::new(),
            (_, Some((code, _))) => code.to_owned(),
            (other, None) => format!("{other}: {}", done.err),
        }
    }
}

fn base64(path: &str) -> String {
    run(Command::new("base64").args(["-w0", path])).good("base64").trim().to_owned()
}

#[test]
fn gpg_fixtures_in_folders_are_judged_as_they_are_meant() {
    let Some(fixtures) = Fixtures::new() else { return };
    for (image, ring, expected) in [
        ("dir-img-valid", "public-key.gpg", ""),
        ("dir-img-valid-2", "public-key.gpg", ""),
        // The first is no signature, the second is.
        ("dir-img-mixed", "public-key.gpg", ""),
        ("dir-img-valid-subkey", "public-key-with-subkey.gpg", ""),
        ("dir-img-valid-subkey", "public-key.gpg", "E_UNTRUSTED"),
        ("dir-img-modified-manifest", "public-key.gpg", "E_UNSIGNED"),
        ("dir-img-manifest-digest-error", "public-key.gpg", "E_MALFORMED"),
        ("dir-img-unsigned", "public-key.gpg", "E_UNSIGNED"),
        ("dir-img-no-manifest", "public-key.gpg", "E_NOT_A_LAYOUT"),
    ] {
        let done = fixtures.verify(image, &["--trust-key", &fixtures.at(ring)]);
        assert_eq!(done.code == 0, expected.is_empty(), "{image}: {}{}", done.out, done.err);
        assert!(done.err.contains(expected), "{image}: {}", done.err);
    }
}

#[test]
fn cosign_fixtures_in_folders_are_judged_as_they_are_meant() {
    let Some(fixtures) = Fixtures::new() else { return };
    let single = "192.168.64.2:5000/cosign-signed-single-sample";
    let by = |key: &str, repository: &str| {
        json!({"type": "sigstoreSigned", "keyPath": fixtures.at(key),
            "signedIdentity": {"type": "exactRepository", "dockerRepository": repository}})
    };
    for (image, expected) in [
        ("dir-img-cosign-valid", ""),
        ("dir-img-cosign-valid-2", ""),
        ("dir-img-cosign-mixed", ""),
        ("dir-img-cosign-modified-manifest", "E_UNSIGNED"),
        ("dir-img-cosign-manifest-digest-error", "E_MALFORMED"),
        ("dir-img-cosign-other-attachment", "E_SIGNATURE"),
        ("dir-img-cosign-no-manifest", "E_NOT_A_LAYOUT"),
    ] {
        let found = fixtures.under(image, None, &by("cosign.pub", single));
        assert_eq!(found, expected, "{image}");
    }
    // By another key, and for another repository.
    let found = fixtures.under("dir-img-cosign-valid", None, &by("cosign2.pub", single));
    assert_eq!(found, "E_UNTRUSTED");
    let other = by("cosign.pub", "192.168.64.2:5000/other");
    assert_eq!(fixtures.under("dir-img-cosign-valid", None, &other), "E_SIGNED_NAME");
    // With a tag.
    let own = json!({"type": "sigstoreSigned", "keyPath": fixtures.at("cosign.pub")});
    let image = "dir-img-cosign-valid-with-tag";
    let name = |tag: &str| format!("192.168.64.2:5000/skopeo-signed:{tag}");
    assert_eq!(fixtures.under(image, Some(&name("tag")), &own), "");
    assert_eq!(fixtures.under(image, Some(&name("othertag")), &own), "E_SIGNED_NAME");
    // By a certificate and a log; for somebody else, or with another log, not.
    let mut fulcio = json!({"type": "sigstoreSigned",
        "fulcio": {"caPath": fixtures.at("fulcio_v1.crt.pem"),
            "oidcIssuer": "https://github.com/login/oauth", "subjectEmail": "mitr@redhat.com"},
        "rekorPublicKeyPath": fixtures.at("rekor.pub"),
        "signedIdentity": {"type": "exactRepository",
            "dockerRepository": "192.168.64.2:5000/cosign-signed/fulcio-rekor-1"}});
    let image = "dir-img-cosign-fulcio-rekor-valid";
    assert_eq!(fixtures.under(image, None, &fulcio), "");
    fulcio["rekorPublicKeyPath"] = json!(fixtures.at("cosign.pub"));
    assert_eq!(fixtures.under(image, None, &fulcio), "E_SIGNATURE");
    fulcio["rekorPublicKeyPath"] = json!(fixtures.at("rekor.pub"));
    fulcio["fulcio"]["subjectEmail"] = json!("other@redhat.com");
    assert_eq!(fixtures.under(image, None, &fulcio), "E_UNTRUSTED");
    // An entry of a log, asked for.
    let mut logged = by("cosign2.pub", "192.168.64.2:5000/cosign-signed/key-1");
    logged["rekorPublicKeyPath"] = json!(fixtures.at("rekor.pub"));
    let image = "dir-img-cosign-key-rekor-valid";
    assert_eq!(fixtures.under(image, None, &logged), "");
    logged["rekorPublicKeyPath"] = json!(fixtures.at("cosign.pub"));
    assert_eq!(fixtures.under(image, None, &logged), "E_SIGNATURE");
    // Its entry of a log is not asked for, and is no harm.
    let logged = by("cosign2.pub", "192.168.64.2:5000/cosign-signed/key-1");
    assert_eq!(fixtures.under("dir-img-cosign-key-rekor-valid", None, &logged), "");
}

/// All kinds of requirements that its own parser knows.
#[test]
fn their_policy_is_read_as_it_is() {
    let Some(fixtures) = Fixtures::new() else { return };
    let text = fs::read_to_string(fixtures.at("policy.json")).expect("a policy");
    let mut policy: Value = serde_json::from_str(&text).expect("JSON");
    // The keys that it names lie nowhere, and those that it holds are none.
    let transports = policy["transports"].as_object_mut().expect("transports");
    for scopes in transports.values_mut() {
        for require in scopes.as_object_mut().expect("scopes").values_mut() {
            for one in require.as_array_mut().expect("requirements") {
                let gpg = one["type"] == "signedBy";
                let with = fixtures.at(if gpg { "public-key.gpg" } else { "cosign.pub" });
                let data = base64(&with);
                for (name, value) in one.as_object_mut().expect("one") {
                    match name.as_str() {
                        "keyPath" => *value = json!(with),
                        "keyPaths" => *value = json!([with]),
                        "keyData" => *value = json!(data),
                        "keyDatas" => *value = json!([data]),
                        _ => {}
                    }
                }
            }
        }
    }
    fs::write(fixtures.scratch.join("policy.json"), policy.to_string()).expect("a file");
    let words = ["policy", "show", "--policy", "policy.json"];
    let shown = fixtures.plimsoll.good(&words);
    let scopes = transports_of(&policy);
    assert!(scopes > 10, "{scopes}");
    assert_eq!(shown.lines().filter(|line| !line.starts_with(' ')).count(), scopes + 1, "{shown}");
    assert!(shown.contains("signedBaseLayer"), "{shown}");
}

fn transports_of(policy: &Value) -> usize {
    let transports = policy["transports"].as_object().expect("transports");
    transports.values().map(|all| all.as_object().expect("scopes").len()).sum()
}
