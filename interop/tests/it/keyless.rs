//! Signatures with a certificate, over files: sigstore's own suite of cases through the
//! program, and cosign beside it.
//!
//! The suite is not part of this repository: `PLIMSOLL_SIGSTORE_VECTORS` names a checkout
//! of sigstore/sigstore-conformance, `PLIMSOLL_SIGSTORE_ROOT` the `trusted_root.json` of
//! the public instance (it lies in sigstore's package on PyPI).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_interop::{Peer, Program, Scratch, peer, run, skip};

use crate::registry::Registry;

/// Whom the suite means where a case does not say it.
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";

/// The type of all statements in it.
const KIND: &str = "https://slsa.dev/provenance/v1";

/// One case: the words that both programs know, and whether it is to be accepted.
struct Case {
    name: String,
    words: Vec<String>,
    bundle: PathBuf,
    artifact: PathBuf,
}

impl Case {
    fn read(folder: &Path, root: &Path) -> Self {
        let text = |name: &str, other: &str| {
            let own = fs::read_to_string(folder.join(name)).unwrap_or(other.to_owned());
            own.trim().to_owned()
        };
        let there = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        let root = there("trusted_root.json").unwrap_or_else(|| root.to_owned());
        let mut words = vec!["--trusted-root".to_owned(), root.display().to_string()];
        match there("key.pub") {
            Some(key) => words.extend(["--key".to_owned(), key.display().to_string()]),
            None => words.extend([
                "--certificate-identity".to_owned(),
                text("identity", IDENTITY),
                "--certificate-oidc-issuer".to_owned(),
                text("issuer", ISSUER),
            ]),
        }
        Self {
            name: folder.file_name().expect("a name").to_string_lossy().into_owned(),
            words,
            bundle: folder.join("bundle.sigstore.json"),
            artifact: there("artifact").unwrap_or_else(|| folder.join("../a.txt")),
        }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.bundle).unwrap_or_default()
    }

    /// What the program says; a statement is asked for where there is one.
    fn ours(&self, program: &Program) -> (bool, String) {
        let mut command = program.command();
        command.args(["verify", "--blob"]).arg(&self.artifact).arg("--bundle").arg(&self.bundle);
        command.args(&self.words);
        if self.text().contains("\"dsseEnvelope\"") {
            command.args(["--require-attestation", KIND]);
        }
        let done = run(&mut command);
        let told = done.code == 0 || done.err.contains("error[E_");
        assert!(told && !done.err.contains("E_BUG"), "{}: {}", self.name, done.err);
        (done.code == 0, done.err)
    }

    fn theirs(&self, cosign: &Peer, scratch: &Scratch) -> bool {
        let (statement, stamped) =
            (self.text().contains("\"dsseEnvelope\""), self.text().contains("signedTimestamp"));
        let mut command: Command = cosign.command();
        command.env("HOME", scratch.path()).env("SIGSTORE_NO_CACHE", "1");
        if statement {
            command.args(["verify-blob-attestation", "--type", KIND]);
        } else {
            command.arg("verify-blob");
        }
        if stamped {
            command.arg("--use-signed-timestamps");
        }
        command.arg("--bundle").arg(&self.bundle).args(&self.words).arg(&self.artifact);
        run(&mut command).code == 0
    }
}

/// The cases, or `None` after saying `SKIP`.
fn cases() -> Option<Vec<Case>> {
    let named = |variable: &str| {
        let path = std::env::var_os(variable).map(PathBuf::from);
        if path.is_none() {
            skip(&format!("sigstore's conformance suite: {variable} is not set"));
        }
        path
    };
    let suite = named("PLIMSOLL_SIGSTORE_VECTORS")?.join("test/assets/bundle-verify");
    let root = named("PLIMSOLL_SIGSTORE_ROOT")?;
    let mut folders: Vec<_> = fs::read_dir(&suite)
        .expect("the suite")
        .map(|entry| entry.expect("a case").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    assert!(folders.len() >= 70, "{} cases", folders.len());
    Some(folders.iter().map(|folder| Case::read(folder, &root)).collect())
}

#[test]
fn sigstores_suite_is_decided_as_it_says() {
    let Some(cases) = cases() else { return };
    let scratch = Scratch::new();
    let program = Program::new(scratch.path());
    let mut wrong = Vec::new();
    for case in &cases {
        let (accepted, told) = case.ours(&program);
        println!("{}: {}", case.name, if accepted { "accepted" } else { &told });
        if accepted == case.name.ends_with("_fail") {
            wrong.push(&case.name);
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong: {wrong:?}", wrong.len(), cases.len());
}

#[test]
fn cosign_decides_the_suite_as_we_do() {
    let Some(cosign) = peer("cosign") else { return };
    let Some(cases) = cases() else { return };
    let scratch = Scratch::new();
    let program = Program::new(scratch.path());
    let differ: Vec<_> = cases
        .iter()
        .filter(|case| case.ours(&program).0 != case.theirs(&cosign, &scratch))
        .map(|case| &case.name)
        .collect();
    assert!(differ.is_empty(), "{differ:?}");
}

/// Lets our tests forge a bundle; who it is by, and who says so.
fn forge(folder: &Path, log: &str, file: Option<&Path>) -> (String, String) {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "-q", "-p", "plimsoll-sign", "--example", "keyless_fixture", "--"]);
    let made = run(command.arg(folder).arg(log).args(file));
    let said = made.good("keyless_fixture");
    let (who, issuer) = said.trim().split_once(' ').expect("two words");
    (who.to_owned(), issuer.to_owned())
}

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// An image in a registry with such a bundle: both programs find and accept it, and
/// nothing of it comes here for somebody else.
#[test]
fn images_are_signed_without_a_key() {
    let Some(cosign) = peer("cosign") else { return };
    let scratch = Scratch::new();
    let Some(registry) = Registry::start(&scratch) else { return };
    let program = Program::new(scratch.path());
    fs::create_dir_all(scratch.join("tree")).expect("a folder");
    fs::write(scratch.join("tree/file"), "x").expect("a file");
    program.good(&["pack", "tree", "oci:images:v1"]);
    for log in ["first", "second"] {
        let image = format!("docker://{}/{log}:v1", registry.host);
        program.good(&["push", "oci:images:v1", &image]);
        let digest = program.good(&["inspect", "-q", &image]).trim().to_owned();
        let hex = digest.strip_prefix("sha256:").expect("SHA-256");
        let manifest = scratch.join(&format!("images/blobs/sha256/{hex}"));
        let folder = scratch.join(log);
        let (who, issuer) = forge(&folder, log, Some(&manifest));
        let bundle = format!("{log}/bundle.sigstore.json:{BUNDLE}");
        program.good(&["attach", &image, &bundle, "--artifact-type", BUNDLE]);
        let root = folder.join("trusted_root.json").display().to_string();
        let by = |who: &str| {
            let words = ["--trusted-root", &root, "--certificate-identity", who];
            let more = ["--certificate-oidc-issuer", &issuer];
            words.iter().chain(&more).map(|word| (*word).to_owned()).collect::<Vec<_>>()
        };
        let ours = |verb: &[&str], who: &str| run(program.command().args(verb).args(by(who)));
        let report = ours(&["verify", &image, "--json"], &who).good("plimsoll verify");
        assert!(report.contains(&format!("\"subject\":\"{who}\"")), "{report}");
        ours(&["pull", &image, "-q"], &who).good("plimsoll pull");
        let other = ours(&["copy", &image, "oci:other:v1"], "https://forge.example/other");
        assert!(other.code == 7 && other.err.contains("E_UNTRUSTED"), "{}", other.err);
        assert!(!scratch.join("other").join("blobs").exists(), "nothing is left of it");
        let theirs = |who: &str| {
            let mut command = cosign.command();
            command.env("HOME", scratch.path()).env("SIGSTORE_NO_CACHE", "1");
            command.args(["verify", "--allow-http-registry", "--use-signed-timestamps"]);
            command.args(by(who)).arg(format!("{}/{log}@{digest}", registry.host));
            run(&mut command)
        };
        theirs(&who).good("cosign verify");
        assert_ne!(theirs("https://forge.example/other").code, 0);
    }
}

/// What our forged authorities issue, cosign accepts as well, and both refuse it for
/// somebody else.
#[test]
fn cosign_accepts_what_our_tests_forge() {
    let Some(cosign) = peer("cosign") else { return };
    let scratch = Scratch::new();
    let program = Program::new(scratch.path());
    for log in ["first", "second"] {
        let folder = scratch.join(log);
        let (who, issuer) = forge(&folder, log, None);
        let case = |who: &str| {
            let mut words = vec!["--trusted-root".to_owned()];
            words.push(folder.join("trusted_root.json").display().to_string());
            words.extend(["--certificate-identity".to_owned(), who.to_owned()]);
            words.extend(["--certificate-oidc-issuer".to_owned(), issuer.clone()]);
            Case {
                name: log.to_owned(),
                words,
                bundle: folder.join("bundle.sigstore.json"),
                artifact: folder.join("artifact"),
            }
        };
        let right = case(&who);
        assert!(right.ours(&program).0, "{log}: {}", right.ours(&program).1);
        assert!(right.theirs(&cosign, &scratch), "{log}");
        let wrong = case("https://forge.example/other");
        assert!(!wrong.ours(&program).0 && !wrong.theirs(&cosign, &scratch), "{log}");
    }
}
