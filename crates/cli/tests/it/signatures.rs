//! Signatures from the command line: those of the Notary Project, keys that programs hold,
//! copies that carry them along, and the limits of looking for them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::server::{Reply, Server};
use crate::trust::{NAME, fails, ok, report, run, sandbox};

/// A signer of the Notary Project, for a hundred years, whose certificate names a list of
/// what was called back; and the root.
const SIGNER: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6K86tPf6XtYlSY0I
qXNEPXCL6Biv78bnIPtKKNuuehihRANCAAS59NBu+Ie+THzmF1J1zVct+JttIWUQ
Xa8F7unUSRVjI15B2xBkBn/y54APiLrGLvg3VXJUk2zbg2MJ2QdntFOu
-----END PRIVATE KEY-----
";
const LEAF: &str = "-----BEGIN CERTIFICATE-----
MIICEzCCAbmgAwIBAgIUUnJINMGVqtZ+ookUeZkEF0AYWMgwCgYIKoZIzj0EAwIw
OzELMAkGA1UEBhMCVVMxCzAJBgNVBAgMAldBMRAwDgYDVQQKDAdFeGFtcGxlMQ0w
CwYDVQQDDARyb290MCAXDTI2MTEyNjA3MTY0MFoYDzIxMjYxMTAyMDcxNjQwWjA9
MQswCQYDVQQGEwJVUzELMAkGA1UECAwCV0ExEDAOBgNVBAoMB0V4YW1wbGUxDzAN
BgNVBAMMBnNpZ25lcjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLn00G74h75M
fOYXUnXNVy34m20hZRBdrwXu6dRJFWMjXkHbEGQGf/LngA+IusYu+DdVclSTbNuD
YwnZB2e0U66jgZYwgZMwDgYDVR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoGCCsGAQUF
BwMDMCwGA1UdHwQlMCMwIaAfoB2GG2h0dHA6Ly9jcmwuZXhhbXBsZS5jb20vbGlz
dDAdBgNVHQ4EFgQUg7AMxvGztoezEUv1xnf0Y1o5FMwwHwYDVR0jBBgwFoAUiNgF
Iip7MdM6nMSfyqsD5d4L5tQwCgYIKoZIzj0EAwIDSAAwRQIgDRDDSEl1jhWZNHDh
C9EbzVvL0iJ8zWtJah+Wyac7gq8CIQDYzlkCd3jmEvWPd/bYqae1bNWMYEMapYG4
DDKpjI02Ow==
-----END CERTIFICATE-----
";
const ROOT: &str = "-----BEGIN CERTIFICATE-----
MIIB3TCCAYOgAwIBAgIUGR8g9Jrurj/uhtTi+YqDW9nzrhgwCgYIKoZIzj0EAwIw
OzELMAkGA1UEBhMCVVMxCzAJBgNVBAgMAldBMRAwDgYDVQQKDAdFeGFtcGxlMQ0w
CwYDVQQDDARyb290MCAXDTI2MTEyNjA3MTY0MFoYDzIxMjYxMTAyMDcxNjQwWjA7
MQswCQYDVQQGEwJVUzELMAkGA1UECAwCV0ExEDAOBgNVBAoMB0V4YW1wbGUxDTAL
BgNVBAMMBHJvb3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ0QytvCiUrsl8E
2jg3FEtxha6mfjb4rO8dFJkRorq3kfwmfiCFM5aCkPdjG2Zi2pcEvkhlzpAs7Wpo
k4CeOU/Eo2MwYTAdBgNVHQ4EFgQUiNgFIip7MdM6nMSfyqsD5d4L5tQwHwYDVR0j
BBgwFoAUiNgFIip7MdM6nMSfyqsD5d4L5tQwDwYDVR0TAQH/BAUwAwEB/zAOBgNV
HQ8BAf8EBAMCAgQwCgYIKoZIzj0EAwIDSAAwRQIgMmE+MtQ2tcn/9ZSuygyIcOpp
T02zKOu70F7f/g76UNwCIQClajXcojP9zXRpwmc0OYJ+tm/lkL+cLVi6ZpyV234T
7w==
-----END CERTIFICATE-----
";

#[test]
fn signatures_of_the_notary_project_are_made_and_judged_by_its_policies() {
    let sandbox = sandbox();
    sandbox.write("signer.key", SIGNER);
    sandbox.write("chain.pem", format!("{LEAF}{ROOT}"));
    sandbox.write("root.pem", ROOT);
    ok(&sandbox, &["key", "import", "signer.key", "signer"]);
    let image = "oci:images:v1";
    let sign = |more: &[&'static str]| {
        let words = ["sign", image, "--key", "signer"];
        words.iter().chain(more).copied().collect::<Vec<_>>()
    };
    fails(&sandbox, 2, "E_USAGE", &sign(&["--form", "notary-jws"]));
    fails(&sandbox, 2, "E_USAGE", &sign(&["--cert", "chain.pem", "--form", "cosign-simple"]));
    fails(&sandbox, 2, "E_USAGE", &sign(&["--cert", "chain.pem", "--sequence", "1"]));
    fails(&sandbox, 2, "E_USAGE", &["sign", image, "--key", "a", "--cert", "chain.pem"]);
    assert_ne!(run(&sandbox, &sign(&["--cert", "root.pem"])).code, 0);
    let made = report(&sandbox, &sign(&["--cert", "chain.pem"]));
    assert_eq!(made["images"][0]["signatures"][0]["form"], "notary-jws");
    let both = ["--cert", "chain.pem", "--form", "notary-cose", "--form", "sigstore-bundle"];
    let both: Vec<_> = both.into_iter().chain(["--expires", "1d", "--as", NAME]).collect();
    let made = report(&sandbox, &sign(&both));
    let forms = made["images"][0]["signatures"].as_array().expect("all").len();
    assert_eq!(forms, 3, "a bundle, a name binding and an envelope: {made}");
    // What lies there is what others look for.
    let referrers = report(&sandbox, &["referrers", image]);
    let referrers = referrers["referrers"].as_array().expect("all").clone();
    let notary = "application/vnd.cncf.notary.signature";
    let of_kind: Vec<_> = referrers.iter().filter(|one| one["artifactType"] == notary).collect();
    assert_eq!(of_kind.len(), 2);
    let list = &of_kind[0]["annotations"]["io.cncf.notary.x509chain.thumbprint#S256"];
    let list: Vec<String> = serde_json::from_str(list.as_str().expect("text")).expect("JSON");
    assert_eq!((list.len(), list[0].len()), (2, 64));
    ok(&sandbox, &["verify", image, "--trust-key", "./root.pem"]);
    fails(&sandbox, 7, "E_UNTRUSTED", &["verify", image, "--trust-key", "a"]);
    // Their policy, and the stores beside it.
    fs::create_dir_all(sandbox.path("truststore/x509/ca/own/sub")).expect("folders");
    sandbox.write("truststore/x509/ca/own/root.pem", ROOT);
    sandbox.write("truststore/x509/ca/own/README", "no certificate");
    let policy = |name: &str, level: Value, identity: &str| {
        let policy = json!({"version": "1.0", "trustPolicies": [{
            "name": "own", "registryScopes": ["*"], "signatureVerification": level,
            "trustStores": ["ca:own"], "trustedIdentities": [identity]}]});
        sandbox.write(name, policy.to_string());
    };
    let who = "x509.subject: C=US, ST=WA, O=Example";
    policy("strict.json", json!({"level": "strict"}), who);
    policy("offline.json", json!({"level": "strict", "override": {"revocation": "skip"}}), who);
    policy("other.json", json!({"level": "permissive"}), "x509.subject: C=US, ST=WA, O=Other");
    policy("audit.json", json!({"level": "audit"}), "x509.subject: C=US, ST=WA, O=Other");
    let verify = |file: &'static str| ["verify", image, "--policy", file];
    ok(&sandbox, &verify("offline.json"));
    // Nobody can be asked about the list that the certificate names.
    fails(&sandbox, 7, "E_UNSIGNED", &verify("strict.json"));
    fails(&sandbox, 7, "E_UNTRUSTED", &verify("other.json"));
    assert!(ok(&sandbox, &verify("audit.json")).contains("NOT ENFORCED"));
    let lax = report(&sandbox, &verify("audit.json"));
    let told = lax["images"][0]["results"].as_array().expect("results").iter();
    assert!(told.clone().any(|one| one["notEnforced"][0]["code"] == "key"), "{lax}");
    assert!(ok(&sandbox, &["policy", "show", "--policy", "audit.json"]).contains("NOT ENFORCED"));
    let shown = report(&sandbox, &["policy", "check", image, "--policy", "strict.json"]);
    assert_eq!((&shown["form"], &shown["scope"]), (&"notary".into(), &"*".into()));
    ok(&sandbox, &["policy", "import", "--policy", "offline.json", "-o", "imported.json"]);
    ok(&sandbox, &verify("imported.json"));
    fails(&sandbox, 1, "E_UNREPRESENTABLE", &["policy", "import", "--policy", "audit.json"]);
    // Symbolic links are no stores, and neither is what is not there.
    let store = sandbox.path("truststore/x509/ca");
    fs::rename(store.join("own"), store.join("real")).expect("moved");
    fails(&sandbox, 3, "E_NOT_FOUND", &verify("offline.json"));
    std::os::unix::fs::symlink("real", store.join("own")).expect("a link");
    fails(&sandbox, 2, "E_POLICY", &verify("offline.json"));
    fs::remove_file(store.join("own")).expect("removed");
    fs::create_dir(store.join("own")).expect("a folder");
    std::os::unix::fs::symlink("../real/root.pem", store.join("own/root.pem")).expect("a link");
    fails(&sandbox, 2, "E_POLICY", &verify("offline.json"));
}

/// A program that holds a key; it answers with OpenSSL.
const HOLDER: &str = r#"#!/bin/sh
# Nothing of the question may stand among the arguments.
[ $# = 0 ] || exit 3
question=$(cat)
case $question in
*'"do":"describe"'*)
  pem=$(awk '{printf "%s\\n", $0}' held.pub)
  printf '{"publicKey":"%s","algorithms":["%s"]}' "$pem" "${ALGORITHM:-ecdsa-sha2-256-nistp256}" ;;
*'"do":"sign"'*)
  printf %s "$question" | sed 's/.*"message":"\([^"]*\)".*/\1/' | base64 -d > message
  printf '{"signature":"%s"}' "$(openssl dgst -sha256 -sign "${KEY:-held.key}" message | base64 -w0)" ;;
esac
"#;

#[test]
fn a_program_that_holds_the_key_signs() {
    let has_openssl = std::process::Command::new("openssl").arg("version").output().is_ok();
    if !has_openssl {
        return eprintln!("SKIP openssl is missing");
    }
    let sandbox = sandbox();
    sandbox.write("held.key", SIGNER);
    ok(&sandbox, &["key", "import", "held.key", "held"]);
    sandbox.write("held.pub", ok(&sandbox, &["key", "export", "held"]));
    let script = |name: &str, text: &str| {
        sandbox.write(name, text);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(sandbox.path(name), mode).expect("a program");
    };
    script("holder", HOLDER);
    let image = "oci:images:v1";
    let sign = ["sign", image, "--key", "exec:./holder", "--as", NAME];
    ok(&sandbox, &sign);
    ok(&sandbox, &["verify", image, "--key", "held", "--as", NAME]);
    // Certificates of that key sign as well.
    sandbox.write("chain.pem", format!("{LEAF}{ROOT}"));
    ok(&sandbox, &["sign", image, "--key", "exec:./holder", "--cert", "chain.pem"]);
    sandbox.write("root.pem", ROOT);
    ok(&sandbox, &["verify", image, "--trust-key", "./root.pem"]);
    sandbox.write("p.json", "{}");
    let attach = ["attach", image, "--predicate", "p.json", "--type", "custom"];
    ok(&sandbox, &[&attach[..], &["--key", "exec:./holder"]].concat());
    // A signature that its key has not made is none: nothing is written.
    let listed = ok(&sandbox, &["referrers", image, "-q"]);
    let other = HOLDER.replace("${KEY:-held.key}", "other.key");
    script("other", &other);
    let made = std::process::Command::new("openssl")
        .args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"])
        .arg(sandbox.path("other.key"))
        .status();
    assert!(made.expect("openssl").success());
    let with = |program: &'static str| ["sign", image, "--key", program, "--as", NAME];
    fails(&sandbox, 7, "E_SIGNATURE", &with("exec:./other"));
    script("silent", "#!/bin/sh\nexit 5\n");
    let told = fails(&sandbox, 1, "E_FAILED", &with("exec:./silent"));
    assert!(told.contains('5'), "{told}");
    script(
        "locked",
        "#!/bin/sh\ncat >/dev/null\necho '{\"error\":\"the card is locked\"}'\nexit 1\n",
    );
    assert!(fails(&sandbox, 1, "E_FAILED", &with("exec:./locked")).contains("the card is locked"));
    script("endless", "#!/bin/sh\nyes\n");
    assert_ne!(run(&sandbox, &with("exec:./endless")).code, 0);
    script("odd", "#!/bin/sh\necho hello\n");
    assert_ne!(run(&sandbox, &with("exec:./odd")).code, 0);
    fails(&sandbox, 2, "E_USAGE", &with("exec:"));
    fails(&sandbox, 3, "E_NOT_FOUND", &with("exec:./nobody"));
    assert_eq!(ok(&sandbox, &["referrers", image, "-q"]), listed);
}

/// Plain copies carry signatures along, and ask for little where there are none.
#[test]
fn copies_carry_signatures_along() {
    let sandbox = sandbox();
    let server = Server::new();
    let plain = format!("docker://{}/org/plain:v1", server.host);
    let signed = format!("docker://{}/org/signed:v1", server.host);
    ok(&sandbox, &["copy", "oci:images:v1", &plain]);
    let count = |what: &str| server.count("GET", what) + server.count("HEAD", what);
    let asked = |words: &[&str]| {
        let before = (count("/referrers/"), count("/manifests/sha256-"), count("/tags/list"));
        ok(&sandbox, words);
        let after = (count("/referrers/"), count("/manifests/sha256-"), count("/tags/list"));
        (after.0 - before.0, after.1 - before.1, after.2 - before.2)
    };
    // The list of referrers, its tag where the registry makes none, and the tag of old.
    assert_eq!(asked(&["pull", &plain, "plain:v1"]), (1, 2, 0));
    assert_eq!(asked(&["pull", &plain, "again:v1", "--no-signatures"]), (0, 0, 0));
    ok(&sandbox, &["sign", "oci:images:v1", "--key", "a", "--as", NAME]);
    sandbox.write("sbom.json", "{}");
    let sbom = ["attach", "oci:images:v1", "sbom.json:application/json"];
    ok(&sandbox, &[&sbom[..], &["--artifact-type", "application/x-sbom"]].concat());
    ok(&sandbox, &["push", "oci:images:v1", &signed]);
    let results = |place: &str| {
        let report = report(&sandbox, &["verify", place, "--key", "a", "--as", NAME]);
        assert_eq!(report["trusted"], true, "{place}: {report}");
        report["images"][0]["results"].as_array().expect("results").len()
    };
    assert_eq!(results(&signed), 2);
    let mut from = signed.as_str();
    for to in ["oci:one:v1", "oci-archive:a.tar:v1", "store:app:v1", "oci:two:v1"] {
        ok(&sandbox, &["copy", from, to]);
        assert_eq!(results(to), 2, "{to}");
        // What else is about the image stays where it is.
        assert_eq!(ok(&sandbox, &["referrers", to, "-q"]).lines().count(), 1, "{to}");
        from = to;
    }
    ok(&sandbox, &["copy", &signed, "oci:none:v1", "--no-signatures"]);
    fails(&sandbox, 7, "E_UNSIGNED", &["verify", "oci:none:v1", "--key", "a"]);
    // Where nothing else than the image has a place, the image goes.
    for to in ["dir:folder", "docker-archive:d.tar"] {
        ok(&sandbox, &["copy", &signed, to]);
    }
    // Others that are there stay, and that is told.
    ok(&sandbox, &["copy", "oci:none:v1", "oci:other:v1"]);
    ok(&sandbox, &["sign", "oci:other:v1", "--key", "b", "--as", NAME]);
    let done = run(&sandbox, &["copy", &signed, "oci:other:v2"]);
    assert_eq!((done.code, done.stderr.contains("stay")), (0, true), "{}", done.stderr);
    ok(&sandbox, &["verify", "oci:other:v1", "--key", "a", "--trust-key", "b", "--threshold", "2"]);
}

/// A source that does not tell of signatures, or lists what it does not have, is copied
/// all the same, and said to be so.
#[test]
fn what_can_not_be_had_of_signatures_is_a_warning() {
    let sandbox = sandbox();
    ok(&sandbox, &["sign", "oci:images:v1", "--key", "a", "--as", NAME]);
    for (part, status) in [("/referrers/", 500), ("/referrers/", 401), (".sig", 503)] {
        let server = Server::spoilt(move |seen, _, reply| {
            let asked = seen.is("GET", part) || seen.is("HEAD", part);
            if asked { Reply::new(status, b"{}") } else { reply }
        });
        let name = format!("docker://{}/org/app:v1", server.host);
        ok(&sandbox, &["copy", "oci:images:v1", &name, "--no-signatures"]);
        let done = run(&sandbox, &["copy", &name, &format!("oci:{status}:v1")]);
        assert_eq!(done.code, 0, "{part} {status}: {}", done.stderr);
        assert!(done.stderr.contains("not copied"), "{part} {status}: {}", done.stderr);
        sandbox.ok(&["inspect", &format!("oci:{status}:v1")]);
    }
    // A layout that lacks a signature it lists.
    let layout = sandbox.layout("images");
    let report = report(&sandbox, &["referrers", "oci:images:v1"]);
    let digest = report["referrers"][0]["digest"].as_str().expect("a digest");
    let manifest = layout.document(digest);
    let blob = manifest["layers"][0]["digest"].as_str().expect("a digest").replace(':', "/");
    fs::remove_file(sandbox.path(&format!("images/blobs/{blob}"))).expect("removed");
    let done = run(&sandbox, &["copy", "oci:images:v1", "oci:rest:v1"]);
    assert_eq!((done.code, done.stderr.contains("not copied")), (0, true), "{}", done.stderr);
    ok(&sandbox, &["verify", "oci:rest:v1", "--key", "a"]);
}

/// The budgets of looking for signatures, at the limit and one below what is there (t11).
#[test]
fn t11_what_is_looked_at_ends_at_the_limits() {
    let sandbox = sandbox();
    let image = "oci:images:v1";
    for form in ["sigstore-bundle", "cosign-simple"] {
        ok(&sandbox, &["sign", image, "--key", "a", "--as", NAME, "--form", form]);
    }
    let layout = sandbox.layout("images");
    let listed = report(&sandbox, &["referrers", image]);
    let bundle = layout.document(listed["referrers"][0]["digest"].as_str().expect("a digest"));
    let index = layout.index();
    let entries = index["manifests"].as_array().expect("entries");
    let old = entries.iter().find(|entry| {
        let name = &entry["annotations"]["org.opencontainers.image.ref.name"];
        name.as_str().is_some_and(|name| name.starts_with("sha256-") && name.contains('.'))
    });
    let old = layout.document(old.expect("a tag")["digest"].as_str().expect("a digest"));
    let size = |manifest: &Value| manifest["layers"][0]["size"].as_u64().expect("a size");
    let (bundle, old) = (size(&bundle), size(&old));
    let verify = |limit: &str| {
        let done = run(&sandbox, &["verify", image, "--key", "b", "--limit", limit]);
        assert_eq!(done.code, 7, "{limit}: {}", done.stderr);
        done.stderr.contains("E_SIGNATURE_LIMIT")
    };
    for (name, most) in [
        ("signatures-bytes", bundle + old),
        ("attestation-bytes", bundle.max(old)),
        ("signatures", 2),
    ] {
        assert!(!verify(&format!("{name}={most}")), "{name} at the limit");
        assert!(verify(&format!("{name}={}", most - 1)), "{name} above it");
    }
    assert!(verify("signature-seconds=0"));
}

/// What was not looked at is named, whatever comes along (t03).
#[test]
fn t03_output_tells_of_the_checks_that_were_done_alone() {
    let sandbox = sandbox();
    ok(&sandbox, &["sign", "oci:images:v1", "--key", "a", "--as", NAME]);
    let told = report(&sandbox, &["verify", "oci:images:v1", "--key", "a", "--as", NAME]);
    let list = told["images"][0]["notChecked"].as_array().expect("a list").clone();
    for check in ["transparency logs", "time stamps", "revocation"] {
        assert!(list.contains(&check.into()), "{check}: {list:?}");
    }
    assert!(!list.contains(&"name".into()), "{list:?}");
    let told = report(&sandbox, &["verify", "oci:images:v1", "--key", "a"]);
    let list = told["images"][0]["notChecked"].as_array().expect("a list");
    assert!(list.contains(&"name".into()), "{list:?}");
}
