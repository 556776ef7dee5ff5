//! Signatures: cosign, OpenSSL and the library of podman verify ours, and we theirs.

use std::fs;
use std::path::Path;
use std::process::Command;

use plimsoll_interop::{Output, Peer, Program, Scratch, peer, run};

use crate::registry::Registry;

const PASSPHRASE: &str = "correct horse";

/// What all of it is about: an index of two platforms in a registry, and keys.
struct Yard {
    scratch: Scratch,
    registry: Registry,
    plimsoll: Program,
}

impl Yard {
    fn new() -> Option<Self> {
        let scratch = Scratch::new();
        let registry = Registry::start(&scratch)?;
        let plimsoll = Program::new(scratch.path());
        for arch in ["amd64", "arm64"] {
            let tree = format!("tree/linux/{arch}");
            fs::create_dir_all(scratch.join(&tree)).expect("folders");
            fs::write(scratch.join(&format!("{tree}/file")), arch).expect("a file");
        }
        let platforms = "linux/amd64,linux/arm64";
        plimsoll.good(&["pack", "tree", "oci:images:v1", "--platform", platforms]);
        let yard = Self { scratch, registry, plimsoll };
        yard.plimsoll.good(&["push", "oci:images:v1", &yard.ours("v1")]);
        Some(yard)
    }

    fn ours(&self, tag: &str) -> String {
        format!("docker://{}/org/app:{tag}", self.registry.host)
    }

    fn digest(&self, tag: &str) -> String {
        self.plimsoll.good(&["inspect", "-q", &self.ours(tag)]).trim().to_owned()
    }

    fn theirs(&self, digest: &str) -> String {
        format!("{}/org/app@{digest}", self.registry.host)
    }

    /// Our program, with the passphrase.
    fn plimsoll(&self, words: &[&str]) -> Output {
        run(self.plimsoll.command().env("PLIMSOLL_PASSPHRASE", PASSPHRASE).args(words))
    }

    fn good(&self, words: &[&str]) -> String {
        self.plimsoll(words).good(&format!("plimsoll {}", words.join(" ")))
    }

    fn cosign(&self, cosign: &Peer, words: &[&str]) -> Output {
        let mut command = cosign.command();
        command
            .env("HOME", self.scratch.path())
            .env("COSIGN_PASSWORD", PASSPHRASE)
            .env("SIGSTORE_NO_CACHE", "1")
            .current_dir(self.scratch.path())
            .args(words);
        run(&mut command)
    }

    fn cosign_verifies(&self, cosign: &Peer, key: &str, image: &str, more: &[&str]) -> bool {
        let words =
            ["verify", "--key", key, "--insecure-ignore-tlog=true", "--allow-http-registry"];
        let words: Vec<_> = words.iter().chain(more).chain([&image]).copied().collect();
        self.cosign(cosign, &words).code == 0
    }
}

const OLD: &[&str] = &["--new-bundle-format=false"];

#[test]
fn cosign_verifies_what_we_sign_in_both_forms() {
    let Some(cosign) = peer("cosign") else { return };
    let Some(yard) = Yard::new() else { return };
    for kind in ["p256", "p384", "ed25519"] {
        yard.good(&["key", "new", kind, "--type", kind, "--out", "."]);
        yard.good(&["sign", &yard.ours("v1"), "--key", &format!("./{kind}.key")]);
    }
    let index = yard.digest("v1");
    let child =
        yard.plimsoll.good(&["inspect", "-q", &yard.ours("v1"), "--platform", "linux/arm64"]);
    for image in [index.as_str(), child.trim()] {
        let image = yard.theirs(image);
        assert!(yard.cosign_verifies(&cosign, "p256.pub", &image, &[]), "bundle {image}");
        assert!(yard.cosign_verifies(&cosign, "p256.pub", &image, OLD), "old form {image}");
    }
    yard.good(&["key", "new", "stranger", "--out", "."]);
    let image = yard.theirs(&index);
    // cosign 3.1 signs with P-384 and SHA-384, and does not verify that itself.
    let sign = ["sign", "--yes", "--key", "p384.key", "--tlog-upload=false"];
    let more = ["--use-signing-config=false", "--allow-http-registry", &image];
    let words: Vec<_> = sign.iter().chain(&more).copied().collect();
    let before = yard.plimsoll.good(&["referrers", "-q", &yard.ours("v1")]).lines().count();
    yard.cosign(&cosign, &words).good("cosign sign with P-384");
    let report = yard.good(&["verify", &yard.ours("v1"), "--key", "./p384.pub", "--json"]);
    let accepted = report.matches("\"verdict\":\"accepted\"").count();
    assert_eq!((before, accepted), (3, 2), "{report}");
    assert!(!yard.cosign_verifies(&cosign, "stranger.pub", &image, &[]));
    assert!(!yard.cosign_verifies(&cosign, "stranger.pub", &image, OLD));
}

#[test]
fn we_verify_what_cosign_signs_in_both_forms_and_read_its_keys() {
    let Some(cosign) = peer("cosign") else { return };
    let Some(yard) = Yard::new() else { return };
    yard.cosign(&cosign, &["generate-key-pair"]).good("generate-key-pair");
    let image = yard.theirs(&yard.digest("v1"));
    let verify = ["verify", &yard.ours("v1"), "--key", "./cosign.pub", "--json"];
    assert!(yard.plimsoll(&verify).err.contains("E_UNSIGNED"));
    let sign = ["sign", "--yes", "--key", "cosign.key", "--tlog-upload=false"];
    let offline = ["--use-signing-config=false", "--allow-http-registry"];
    for (more, form) in [(&[][..], "sigstore-bundle"), (OLD, "cosign-simple")] {
        let words: Vec<_> = sign.iter().chain(&offline).chain(more).copied().collect();
        let words: Vec<_> = words.into_iter().chain([image.as_str()]).collect();
        yard.cosign(&cosign, &words).good("cosign sign");
        let report: serde_json::Value =
            serde_json::from_str(&yard.good(&verify)).expect("one document");
        let results = report["images"][0]["results"].as_array().expect("results");
        let of_form = results.iter().find(|result| result["form"] == form).expect(form);
        assert_eq!(of_form["verdict"], "accepted", "{report:#}");
    }
    // Its key signs here, and ours are read there.
    yard.good(&["key", "import", "cosign.key", "theirs"]);
    yard.good(&["sign", &yard.ours("v1"), "--key", "theirs"]);
    assert!(yard.cosign_verifies(&cosign, "cosign.pub", &image, &[]));
    yard.good(&["key", "new", "own", "--out", "."]);
    let words: Vec<_> = ["sign", "--yes", "--key", "own.key", "--tlog-upload=false"]
        .iter()
        .chain(&offline)
        .copied()
        .chain([image.as_str()])
        .collect();
    yard.cosign(&cosign, &words).good("cosign sign with our key");
    yard.good(&["verify", &yard.ours("v1"), "--key", "./own.pub"]);
}

#[test]
fn attestations_are_read_both_ways() {
    let Some(cosign) = peer("cosign") else { return };
    let Some(yard) = Yard::new() else { return };
    yard.good(&["key", "new", "own", "--out", "."]);
    fs::write(yard.scratch.join("p.json"), r#"{"builder":{"id":"x"}}"#).expect("a file");
    let image = yard.theirs(&yard.digest("v1"));
    let ours = yard.ours("v1");
    let kind = ["--type", "slsaprovenance1"];
    yard.good(&["attach", &ours, "--predicate", "p.json", kind[0], kind[1], "--key", "./own.key"]);
    let verify = |kind: &str| {
        let words = ["verify-attestation", "--key", "own.pub", "--insecure-ignore-tlog=true"];
        let more = ["--allow-http-registry", "--type", kind, &image];
        let words: Vec<_> = words.iter().chain(&more).copied().collect();
        yard.cosign(&cosign, &words).code
    };
    assert_eq!(verify("slsaprovenance1"), 0);
    assert_ne!(verify("vuln"), 0);
    let attest = ["attest", "--yes", "--key", "own.key", "--tlog-upload=false"];
    let more = ["--use-signing-config=false", "--allow-http-registry", "--type", "openvex"];
    let words: Vec<_> = attest.iter().chain(&more).copied().collect();
    let words: Vec<_> = words.into_iter().chain(["--predicate", "p.json", &image]).collect();
    yard.cosign(&cosign, &words).good("cosign attest");
    yard.good(&["sign", &ours, "--key", "./own.key"]);
    let ask = |kind: &str| {
        yard.plimsoll(&["verify", &ours, "--key", "./own.pub", "--require-attestation", kind]).code
    };
    assert_eq!((ask("slsaprovenance1"), ask("openvex"), ask("spdx")), (0, 0, 7));
}

/// OpenSSL makes the keys, and verifies the old form and the envelope.
#[test]
fn openssl_verifies_what_its_keys_sign_here() {
    let Some(openssl) = peer("openssl") else { return };
    let scratch = Scratch::new();
    let plimsoll = Program::new(scratch.path());
    fs::create_dir(scratch.join("tree")).expect("a folder");
    plimsoll.good(&["pack", "tree", "oci:images:v1"]);
    let ask = |words: &[&str]| {
        let mut command = Command::new(&openssl.path);
        run(command.current_dir(scratch.path()).args(words))
    };
    let own = |words: &[&str]| run(plimsoll.command().env("PLIMSOLL_PASSPHRASE", "").args(words));
    let makes: [(&str, &[&str]); 4] = [
        ("sec1", &["ecparam", "-name", "prime256v1", "-genkey", "-out", "sec1.pem"]),
        (
            "p384",
            &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-384",
                "-out",
                "p384.pem",
            ],
        ),
        ("ed", &["genpkey", "-algorithm", "ed25519", "-out", "ed.pem"]),
        ("rsa", &["genrsa", "-out", "rsa.pem", "3072"]),
    ];
    for (name, make) in makes {
        ask(make).good(name);
        let file = format!("{name}.pem");
        own(&["key", "import", &file, name]).good(name);
        let layout = format!("oci:{name}:v1");
        plimsoll.good(&["copy", "oci:images:v1", &layout]);
        own(&["sign", &layout, "--key", name, "--as", "example.com/org/app:v1"]).good(name);
        own(&["verify", &layout, "--key", name]).good(name);
        let public = plimsoll.good(&["key", "export", name]);
        fs::write(scratch.join("pub.pem"), &public).expect("a file");
        assert_eq!(ask(&["pkey", "-in", &file, "-pubout"]).good(name), public, "{name}");
        let report = plimsoll.good(&["referrers", &layout, "--json"]);
        let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
        let digest = report["referrers"][0]["digest"].as_str().expect("a digest");
        let text = plimsoll.good(&["show", &format!("{layout}@{digest}").replace(":v1@", "@")]);
        let manifest: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let blob = manifest["layers"][0]["digest"].as_str().expect("a digest").replace(':', "/");
        let bundle = fs::read(scratch.join(&format!("{name}/blobs/{blob}"))).expect("a bundle");
        let bundle: serde_json::Value = serde_json::from_slice(&bundle).expect("JSON");
        let envelope = &bundle["dsseEnvelope"];
        // The envelope as others take it apart.
        let script = "import base64,json;e=json.load(open('envelope'));p=base64.b64decode(e['payload']);t=e['payloadType'].encode();open('pae','wb').write(b'DSSEv1 %d %s %d %s'%(len(t),t,len(p),p));open('sig','wb').write(base64.b64decode(e['signatures'][0]['sig']))";
        let mut python = Command::new("python3");
        python.current_dir(scratch.path()).args(["-c", script]);
        fs::write(scratch.join("envelope"), envelope.to_string()).expect("a file");
        run(&mut python).good("python3");
        let verify: &[&str] = match name {
            "ed" => &[
                "pkeyutl", "-verify", "-rawin", "-in", "pae", "-sigfile", "sig", "-pubin",
                "-inkey", "pub.pem",
            ],
            "p384" => &["dgst", "-sha384", "-verify", "pub.pem", "-signature", "sig", "pae"],
            _ => &["dgst", "-sha256", "-verify", "pub.pem", "-signature", "sig", "pae"],
        };
        ask(verify).good(name);
        fs::write(scratch.join("pae"), "something else").expect("a file");
        assert_ne!(ask(verify).code, 0, "{name}");
    }
}

/// Libraries that verify bundles with a key: that of npm, and that of PyPI.
#[test]
fn the_libraries_of_npm_and_pypi_verify_our_bundles() {
    let tools = [
        ("sigstore-node", "node/sigstore_verifies.cjs"),
        ("signatures-python", "python/dsse_verifies.py"),
    ];
    let scratch = Scratch::new();
    let plimsoll = Program::new(scratch.path());
    let ours = |words: &[&str]| {
        run(plimsoll.command().env("PLIMSOLL_PASSPHRASE", "").args(words)).good(words[0])
    };
    fs::create_dir(scratch.join("tree")).expect("a folder");
    plimsoll.good(&["pack", "tree", "oci:images:v1"]);
    ours(&["key", "new", "stranger"]);
    fs::write(scratch.join("stranger.pub"), ours(&["key", "export", "stranger"])).expect("a file");
    for (tool, script) in tools {
        let Some(peer) = peer(tool) else { continue };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        for kind in ["p256", "p384", "ed25519"] {
            let name = format!("{tool}-{kind}");
            let (layout, key) = (format!("oci:{name}:v1"), format!("{name}.pub"));
            ours(&["key", "new", &name, "--type", kind]);
            fs::write(scratch.join(&key), ours(&["key", "export", &name])).expect("a file");
            ours(&["copy", "oci:images:v1", &layout]);
            ours(&["sign", &layout, "--key", &name, "--as", "example.com/org/app:v1"]);
            let report: serde_json::Value =
                serde_json::from_str(&ours(&["referrers", &layout, "--json"])).expect("JSON");
            let digest = report["referrers"][0]["digest"].as_str().expect("a digest");
            let text = ours(&["show", &format!("oci:{name}@{digest}")]);
            let manifest: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let blob =
                manifest["layers"][0]["digest"].as_str().expect("a digest").replace(':', "/");
            let bundle = scratch.text(&format!("{name}/blobs/{blob}"));
            let verify = |key: &str| {
                let payload = scratch.text("payload");
                let mut command = peer.command();
                command.arg(&script).args([&bundle, &scratch.text(key), &payload]);
                run(&mut command).code == 0
            };
            // That of npm takes SHA-256 for every curve.
            let good = (tool, kind) != ("sigstore-node", "p384");
            assert_eq!(verify(&key), good, "{name}");
            if good {
                // Neither compares what is signed with anything.
                let signed = fs::read(scratch.join("payload")).expect("a payload");
                let signed: serde_json::Value = serde_json::from_slice(&signed).expect("JSON");
                let digest = ours(&["inspect", "-q", &layout]).trim().replace("sha256:", "");
                assert_eq!(signed["subject"][0]["digest"]["sha256"], digest);
            }
            assert!(!verify("stranger.pub"), "{name}");
        }
    }
}

/// The library of podman, skopeo and CRI-O under a policy, which it and we read.
#[test]
fn the_library_of_podman_accepts_what_we_sign() {
    let Some(check) = peer("policy-check") else { return };
    let Some(yard) = Yard::new() else { return };
    yard.good(&["key", "new", "own", "--out", "."]);
    yard.good(&["key", "new", "stranger", "--out", "."]);
    let image =
        yard.plimsoll.good(&["inspect", "-q", &yard.ours("v1"), "--platform", "linux/amd64"]);
    let one = format!("docker://{}/org/one:v1", yard.registry.host);
    let child = format!("oci:images@{}", image.trim());
    yard.plimsoll.good(&["copy", &child, &one]);
    fs::create_dir(yard.scratch.join("registries.d")).expect("a folder");
    let attachments =
        format!("docker:\n  {}:\n    use-sigstore-attachments: true\n", yard.registry.host);
    fs::write(yard.scratch.join("registries.d/a.yaml"), attachments).expect("a file");
    let policy = |key: &str| {
        let text = serde_json::json!({
            "default": [{"type": "reject"}],
            "transports": {"docker": {&yard.registry.host: [
                {"type": "sigstoreSigned", "keyPath": yard.scratch.text(key)}]}},
        });
        let name = format!("{key}.json");
        fs::write(yard.scratch.join(&name), text.to_string()).expect("a file");
        name
    };
    let both = |key: &str, image: &str| {
        let (policy, folder) = (policy(key), yard.scratch.text("registries.d"));
        let mut command = check.command();
        command.current_dir(yard.scratch.path()).args([&policy, &folder, image]);
        let theirs = run(&mut command).code == 0;
        let ours = yard.plimsoll(&["verify", image, "--policy", &policy]).code == 0;
        assert_eq!(theirs, ours, "{key} {image}");
        theirs
    };
    assert!(!both("own.pub", &one));
    yard.good(&["sign", &one, "--key", "./own.key", "--form", "cosign-simple"]);
    assert!(both("own.pub", &one));
    assert!(!both("stranger.pub", &one));
    // Signed for another tag, and for another repository.
    let moved = one.replace(":v1", ":v2");
    let elsewhere = one.replace("/one:", "/other:");
    for place in [&moved, &elsewhere] {
        yard.plimsoll.good(&["copy", &one, place, "--referrers"]);
        assert!(!both("own.pub", place), "{place}");
    }
}

/// GnuPG and skopeo: one key of each common kind, both ways, under one policy.
#[test]
fn skopeo_and_we_verify_what_the_other_signs_with_gpg() {
    let (Some(gpg), Some(skopeo)) = (peer("gpg"), peer("skopeo")) else { return };
    for kind in ["rsa3072", "ed25519"] {
        let Some(yard) = Yard::new() else { return };
        let home = yard.scratch.join("gnupg");
        fs::create_dir(&home).expect("a folder");
        fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .expect("an own folder");
        let ask = |peer: &Peer, words: &[&str]| {
            let mut command = peer.command();
            command.env("GNUPGHOME", &home).env("HOME", yard.scratch.path());
            run(command.current_dir(yard.scratch.path()).args(words))
        };
        let who = "interop@example.com";
        let make = ["--batch", "--quiet", "--passphrase", "", "--quick-gen-key", who, kind, "sign"];
        ask(&gpg, &make).good("gpg makes a key");
        for (format, file) in [("--export", "ring.gpg"), ("--armor", "ring.asc")] {
            ask(&gpg, &["--batch", "--output", file, format, "--export", who]).good("gpg exports");
        }
        let ours = yard.ours("v1");
        let words = ["sign", &ours, "--gpg", who, "--lookaside", "lookaside"];
        let mut command = yard.plimsoll.command();
        command.env("GNUPGHOME", &home).args(words);
        run(&mut command).good("plimsoll sign --gpg");
        let verify = |key: &str, folder: &str, image: &str| {
            yard.plimsoll(&["verify", image, "--trust-key", key, "--lookaside", folder]).code
        };
        assert_eq!(verify("./ring.gpg", "lookaside", &ours), 0);
        assert_eq!(verify("./ring.asc", "lookaside", &ours), 0);
        assert_eq!(verify("./ring.gpg", "nowhere", &ours), 7);
        // skopeo copies one image out of the registry under a policy.
        let policy = serde_json::json!({
            "default": [{"type": "reject"}],
            "transports": {"docker": {&yard.registry.host: [{
                "type": "signedBy", "keyType": "GPGKeys", "keyPath": yard.scratch.text("ring.gpg")}]}},
        });
        fs::write(yard.scratch.join("policy.json"), policy.to_string()).expect("a file");
        let place = |folder: &str| {
            let name = format!("{folder}.d");
            fs::create_dir_all(yard.scratch.join(&name)).expect("a folder");
            let text = format!(
                "docker:\n  {}:\n    lookaside: file://{}\n",
                yard.registry.host,
                yard.scratch.text(folder)
            );
            fs::write(yard.scratch.join(&format!("{name}/a.yaml")), text).expect("a file");
            name
        };
        let copies = |folder: &str, image: &str| {
            let settings = place(folder);
            let words = ["--policy", "policy.json", "--registries.d", &settings, "copy"];
            let more = ["--src-tls-verify=false", "--remove-signatures", image, "dir:copied"];
            let words: Vec<_> = words.iter().chain(&more).copied().collect();
            ask(&skopeo, &words).code == 0
        };
        assert!(copies("lookaside", &ours), "{kind}: skopeo refuses ours");
        assert!(!copies("nowhere", &ours));
        // What skopeo signs.
        let settings = place("theirs");
        let to = yard.ours("theirs");
        let words = ["--insecure-policy", "--registries.d", &settings, "copy", "--sign-by", who];
        let more = ["--dest-tls-verify=false", "oci:images:v1", &to];
        let words: Vec<_> = words.iter().chain(&more).copied().collect();
        ask(&skopeo, &words).good("skopeo signs");
        assert_eq!(verify("./ring.gpg", "theirs", &to), 0);
        // Under another name it counts for neither.
        let moved = yard.ours("moved");
        yard.plimsoll.good(&["copy", &to, &moved]);
        assert!(!copies("theirs", &moved));
        let under = ["verify", &moved, "--policy", "policy.json", "--lookaside", "theirs"];
        let done = yard.plimsoll(&under);
        assert_eq!((done.code, done.err.contains("E_SIGNED_NAME")), (7, true), "{}", done.err);
        ask(&Peer { name: "gpgconf".into(), path: "gpgconf".into() }, &["--kill", "gpg-agent"]);
    }
}
