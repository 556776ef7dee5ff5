//! The Notary Project: its own library, jwcrypto, pycose and OpenSSL verify ours, and we
//! verify what that library signs; its policies mean the same to both.

use std::fs;
use std::path::Path;

use plimsoll_interop::{Output, Peer, Program, Scratch, peer, run, skip};
use serde_json::{Value, json};

use crate::registry::Registry;

/// The kinds of keys that there are, and what OpenSSL makes them of.
const KINDS: [(&str, &[&str]); 5] = [
    ("p256", &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    ("p384", &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
    ("rsa2048", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
    ("rsa3072", &["RSA", "-pkeyopt", "rsa_keygen_bits:3072"]),
    ("rsa4096", &["RSA", "-pkeyopt", "rsa_keygen_bits:4096"]),
];

struct Yard {
    scratch: Scratch,
    plimsoll: Program,
    openssl: Peer,
}

impl Yard {
    /// A layout `images` with `v1`, and a root for certificates.
    fn new() -> Option<Self> {
        let openssl = peer("openssl")?;
        let scratch = Scratch::new();
        let plimsoll = Program::new(scratch.path());
        fs::create_dir(scratch.join("tree")).expect("a folder");
        fs::write(scratch.join("tree/file"), "x").expect("a file");
        plimsoll.good(&["pack", "tree", "oci:images:v1"]);
        let yard = Self { scratch, plimsoll, openssl };
        yard.root("root");
        fs::create_dir_all(yard.scratch.join("config/truststore/x509/ca/own")).expect("folders");
        fs::copy(
            yard.scratch.join("root.pem"),
            yard.scratch.join("config/truststore/x509/ca/own/root.pem"),
        )
        .expect("a copy");
        Some(yard)
    }

    fn ask(&self, peer: &Peer, words: &[&str]) -> Output {
        run(peer.command().current_dir(self.scratch.path()).args(words))
    }

    fn openssl(&self, words: &[&str]) {
        self.ask(&self.openssl, words).good(&format!("openssl {}", words.join(" ")));
    }

    fn root(&self, name: &str) {
        let (key, pem) = (format!("{name}.key"), format!("{name}.pem"));
        let subject = format!("/C=US/ST=WA/O=Example/CN={name}");
        self.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            &key,
            "-out",
            &pem,
            "-days",
            "3650",
            "-subj",
            &subject,
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ]);
    }

    /// A signer `NAME.key` with `NAME.chain`, and its key kept here as NAME.
    fn signer(&self, name: &str, kind: &[&str], root: &str) {
        let file = |ending: &str| format!("{name}.{ending}");
        let make = ["genpkey", "-out", &file("key"), "-algorithm"];
        self.openssl(&make.iter().chain(kind).copied().collect::<Vec<_>>());
        let subject = format!("/C=US/ST=WA/O=Example/CN={name}");
        self.openssl(&[
            "req",
            "-new",
            "-key",
            &file("key"),
            "-subj",
            &subject,
            "-out",
            &file("csr"),
        ]);
        let uses = "keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n";
        fs::write(self.scratch.join("uses"), uses).expect("a file");
        let (ca, ca_key) = (format!("{root}.pem"), format!("{root}.key"));
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &file("csr"),
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-CAcreateserial",
            "-days",
            "365",
            "-extfile",
            "uses",
            "-out",
            &file("pem"),
        ]);
        let read = |name: &str| fs::read_to_string(self.scratch.join(name)).expect("a file");
        let chain = format!("{}{}", read(&file("pem")), read(&ca));
        fs::write(self.scratch.join(&file("chain")), chain).expect("a file");
        self.good(&["key", "import", &file("key"), name]);
    }

    fn ours(&self, words: &[&str]) -> Output {
        run(self.plimsoll.command().env("PLIMSOLL_PASSPHRASE", "").args(words))
    }

    fn good(&self, words: &[&str]) -> String {
        self.ours(words).good(&format!("plimsoll {}", words.join(" ")))
    }

    fn digest(&self, image: &str) -> String {
        self.good(&["inspect", "-q", image]).trim().to_owned()
    }

    /// Writes a policy with one statement for all, changed somehow.
    fn policy(&self, change: &dyn Fn(&mut Value)) {
        let mut policy = json!({"version": "1.0", "trustPolicies": [{
            "name": "own", "registryScopes": ["*"],
            "signatureVerification": {"level": "strict"},
            "trustStores": ["ca:own"], "trustedIdentities": ["*"]}]});
        change(&mut policy["trustPolicies"][0]);
        fs::write(self.scratch.join("config/trustpolicy.json"), policy.to_string())
            .expect("a file");
    }

    /// Whether the library and we accept an image of a registry under that policy; both
    /// must agree.
    fn both(&self, notation: &Peer, host: &str, tag: &str) -> bool {
        let image = format!("docker://{host}/org/app:{tag}");
        let digest = self.digest(&image);
        let place = format!("docker:{host}/org/app");
        let reference = format!("{host}/org/app@{digest}");
        let config = self.scratch.text("config");
        let theirs = self.ask(notation, &["verify", &config, &place, &reference]);
        let ours = self.ours(&["verify", &image, "--policy", "config/trustpolicy.json"]);
        let words = format!("{}{}{}", theirs.out, ours.out, ours.err);
        assert_eq!(theirs.code == 0, ours.code == 0, "{tag}: {words}");
        ours.code == 0
    }
}

#[test]
fn the_library_of_notation_and_we_verify_what_the_other_signs() {
    let Some(notation) = peer("notation-check") else { return };
    let Some(yard) = Yard::new() else { return };
    let Some(registry) = Registry::start(&yard.scratch) else { return };
    let host = registry.host.clone();
    yard.policy(&|_| {});
    yard.root("stranger");
    let at = |tag: &str| format!("docker://{host}/org/app:{tag}");
    for (name, kind) in KINDS {
        yard.signer(name, kind, "root");
        let chain = format!("{name}.chain");
        for form in ["notary-jws", "notary-cose"] {
            // An image of its own for each signature, so that none hides another.
            let file = format!("tree/{name}-{form}");
            fs::write(yard.scratch.join(&file), name).expect("a file");
            let (ours, theirs) = (format!("{name}-{form}"), format!("{name}-{form}-theirs"));
            yard.good(&["pack", "tree", &format!("oci:images:{ours}")]);
            yard.good(&["copy", &format!("oci:images:{ours}"), &at(&ours)]);
            assert!(!yard.both(&notation, &host, &ours), "unsigned");
            let form_flag = ["--form", form, "--expires", "30d"];
            let words = ["sign", &at(&ours), "--key", name, "--cert", &chain];
            yard.good(&words.iter().chain(&form_flag).copied().collect::<Vec<_>>());
            assert!(yard.both(&notation, &host, &ours), "{ours}");
            fs::write(yard.scratch.join(&format!("{file}-theirs")), name).expect("a file");
            yard.good(&["pack", "tree", &format!("oci:images:{theirs}")]);
            yard.good(&["copy", &format!("oci:images:{theirs}"), &at(&theirs)]);
            let kind =
                if form == "notary-jws" { "application/jose+json" } else { "application/cose" };
            let (place, digest) = (format!("docker:{host}/org/app"), yard.digest(&at(&theirs)));
            let reference = format!("{host}/org/app@{digest}");
            let key = format!("{name}.key");
            let words = ["sign", &key, &chain, &place, &reference, kind];
            yard.ask(&notation, &words).good("notation-check sign");
            assert!(yard.both(&notation, &host, &theirs), "{theirs}");
        }
    }
    // The same under other policies.
    let tag = "p256-notary-cose";
    let identity = |name: &'static str| {
        move |one: &mut Value| one["trustedIdentities"] = json!([format!("x509.subject: {name}")])
    };
    yard.policy(&identity("C=US,ST=WA,O=Example,CN=p256"));
    assert!(yard.both(&notation, &host, tag));
    assert!(!yard.both(&notation, &host, "p384-notary-jws"));
    yard.policy(&identity("C=US,ST=WA,O=Exampl"));
    assert!(!yard.both(&notation, &host, tag));
    let repository = format!("{host}/org/app");
    yard.policy(&|one| one["registryScopes"] = json!([repository]));
    assert!(yard.both(&notation, &host, tag));
    let below = format!("{host}/org");
    yard.policy(&|one| one["registryScopes"] = json!([below]));
    assert!(!yard.both(&notation, &host, tag));
    // Of a stranger: whole, and not to be trusted.
    yard.signer("unknown", KINDS[0].1, "stranger");
    fs::write(yard.scratch.join("tree/unknown"), "x").expect("a file");
    yard.good(&["pack", "tree", "oci:images:unknown"]);
    yard.good(&["copy", "oci:images:unknown", &at("unknown")]);
    yard.good(&["sign", &at("unknown"), "--key", "unknown", "--cert", "unknown.chain"]);
    for (level, accepted) in [("strict", false), ("permissive", false), ("audit", true)] {
        yard.policy(&|one| one["signatureVerification"]["level"] = level.into());
        assert_eq!(yard.both(&notation, &host, "unknown"), accepted, "{level}");
        assert!(yard.both(&notation, &host, tag));
    }
}

#[test]
fn jwcrypto_pycose_and_openssl_verify_what_we_sign() {
    let Some(python) = peer("signatures-python") else { return };
    let Some(yard) = Yard::new() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/notary_verifies.py");
    let script = script.to_str().expect("a path").to_owned();
    for (name, kind) in KINDS {
        yard.signer(name, kind, "root");
        for form in ["notary-jws", "notary-cose"] {
            let image = format!("oci:{name}-{form}:v1");
            yard.good(&["copy", "oci:images:v1", &image]);
            let chain = format!("{name}.chain");
            yard.good(&["sign", &image, "--key", name, "--cert", &chain, "--form", form]);
            let report: Value =
                serde_json::from_str(&yard.good(&["referrers", &image, "--json"])).expect("JSON");
            let digest = report["referrers"][0]["digest"].as_str().expect("a digest");
            let text = yard.good(&["show", &format!("oci:{name}-{form}@{digest}")]);
            let manifest: Value = serde_json::from_str(&text).expect("JSON");
            let blob =
                manifest["layers"][0]["digest"].as_str().expect("a digest").replace(':', "/");
            let file = yard.scratch.join(&format!("{name}-{form}/blobs/{blob}"));
            let bytes = fs::read(file).expect("an envelope");
            let verify = |bytes: &[u8]| {
                fs::write(yard.scratch.join("envelope"), bytes).expect("a file");
                yard.ask(&python, &[&script, "envelope", "certificates.pem", "payload"])
            };
            verify(&bytes).good(&format!("{name} {form}"));
            let payload = fs::read(yard.scratch.join("payload")).expect("a payload");
            let payload: Value = serde_json::from_slice(&payload).expect("JSON");
            let target = &payload["targetArtifact"];
            assert_eq!(target["digest"], yard.digest(&image), "{target}");
            yard.openssl(&["verify", "-CAfile", "root.pem", "certificates.pem"]);
            let mut bad = bytes.clone();
            let at = bad.len() - 10;
            bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
            assert_ne!(verify(&bad).code, 0, "{name} {form}");
        }
    }
}

/// The signed layout of notation's own tests, from end to end, and all of the policies of
/// its other tests, as its library judges them.
#[test]
fn the_vectors_of_notation_are_judged_as_they_are_meant() {
    let Some(yard) = Yard::new() else { return };
    let folder = |name: &str| std::env::var_os(name).map(std::path::PathBuf::from);
    let Some(vectors) = folder("PLIMSOLL_NOTARY_VECTORS") else {
        return skip("vectors: PLIMSOLL_NOTARY_VECTORS is not set");
    };
    // A layout with the image; its two envelopes become referrers of it.
    let layout = vectors.join("internal/testdata/oci-layout");
    let envelope = fs::read(vectors.join("internal/testdata/jws_signature.sig")).expect("a file");
    let value: Value = serde_json::from_slice(&envelope).expect("JSON");
    let root = value["header"]["x5c"][0].as_str().expect("a certificate");
    let pem = format!("-----BEGIN CERTIFICATE-----\n{root}\n-----END CERTIFICATE-----\n");
    fs::write(yard.scratch.join("alpine.pem"), pem).expect("a file");
    let image =
        "oci:signed@sha256:19dbd2e48e921426ee8ace4dc892edfb2ecdc1d1a72d5416c83670c30acecef0";
    run(std::process::Command::new("cp").args(["-r"]).arg(layout).arg(yard.scratch.join("signed")))
        .good("cp");
    for (name, kind) in [("jws", "application/jose+json"), ("cose", "application/cose")] {
        let file = vectors.join(format!("internal/testdata/{name}_signature.sig"));
        let with = format!("{}:{kind}", file.display());
        let words = ["attach", image, &with, "--artifact-type"];
        yard.good(&[&words[..], &["application/vnd.cncf.notary.signature"]].concat());
    }
    let report = yard.good(&["verify", image, "--trust-key", "./alpine.pem", "--json"]);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let accepted = report["images"][0]["results"].as_array().expect("results").iter();
    let accepted = accepted.filter(|one| one["verdict"] == "accepted").count();
    assert_eq!(accepted, 2, "{report:#}");
    assert_eq!(yard.ours(&["verify", image, "--trust-key", "./root.pem"]).code, 7);
    // The policies.
    let (Some(policies), Some(notation)) =
        (folder("PLIMSOLL_NOTATION_POLICIES"), peer("notation-check"))
    else {
        return skip("policies: PLIMSOLL_NOTATION_POLICIES is not set");
    };
    for store in
        ["ca/e2e", "ca/e2e-new", "ca/sKey", "ca/wabbit-networks.io", "tsa/e2e", "ca/invalid_store"]
    {
        let to = yard.scratch.join(&format!("config/truststore/x509/{store}"));
        fs::create_dir_all(&to).expect("folders");
        fs::copy(yard.scratch.join("root.pem"), to.join("root.pem")).expect("a copy");
    }
    let mut count = 0;
    for entry in fs::read_dir(policies.join("test/e2e/testdata/config/trustpolicies")).expect("all")
    {
        let path = entry.expect("one").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        fs::copy(&path, yard.scratch.join("config/trustpolicy.json")).expect("a copy");
        let theirs = yard.ask(&notation, &["policy", "config/trustpolicy.json"]);
        let ours = yard.ours(&["policy", "show", "--policy", "config/trustpolicy.json"]);
        // The specification forbids this one for all images, which the library lets pass.
        let strict = name == "skip_trustpolicy.json";
        assert_eq!(
            ours.code == 0,
            theirs.code == 0 && !strict,
            "{name}: {}{}",
            theirs.out,
            ours.err
        );
        count += 1;
    }
    assert_eq!(count, 43);
}
