//! Bundles that others made, out of their own test suites. They are not part of
//! this repository: `PLIMSOLL_SIGSTORE_VECTORS` names a checkout of
//! sigstore/sigstore-conformance, `PLIMSOLL_MODEL_VECTORS` one of
//! sigstore/model-transparency. Without them the tests say `SKIP`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use std::sync::Arc;

use plimsoll_content::{Algorithm, Descriptor, Digest, MediaType};
use plimsoll_sign::format::bundle::{Bundle, Content};
use plimsoll_sign::format::root::Root;
use plimsoll_sign::judge::{Evidence, Seen, judge};
use plimsoll_sign::key::PublicKey;
use plimsoll_sign::keyless::{Pattern, Wanted};
use plimsoll_sign::policy::{NameRule, Policy, Requirement, Rooted, Trusted, TrustedKey, Who};
use plimsoll_sign::scheme::{Candidate, Subject, verify_blob};
use plimsoll_sign::{Asked, Limits, Saying};
use serde_json::Value;

/// Whom the suite means where a case does not say it.
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";

fn folder(variable: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    if folder.is_none() {
        let _ = writeln!(std::io::stderr(), "SKIP vectors: {variable} is not set");
    }
    folder
}

fn read(path: &Path) -> Option<Vec<u8>> {
    fs::read(path).ok()
}

/// Each case of the suite is decided as its name says: with the trusted root of the
/// case, or that of the public instance, which `PLIMSOLL_SIGSTORE_ROOT` names.
#[test]
fn sigstore_conformance() {
    let Some(vectors) = folder("PLIMSOLL_SIGSTORE_VECTORS") else { return };
    let Some(public) = folder("PLIMSOLL_SIGSTORE_ROOT") else { return };
    let cases = vectors.join("test/assets/bundle-verify");
    let public = Arc::new(Root::parse(&read(&public).expect("a root")).expect("a root"));
    let (mut right, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(&cases).expect("cases") {
        let case = entry.expect("a case").path();
        if !case.is_dir() {
            continue;
        }
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        let found = conforms(&case, &cases, &public);
        if found.is_ok() == name.ends_with("_fail") {
            wrong.push(format!("{name}: {found:?}"));
        } else {
            right += 1;
        }
        let _ = writeln!(std::io::stderr(), "{name}: {}", found.err().unwrap_or_default());
    }
    assert!(wrong.is_empty(), "{right} right, these not: {wrong:#?}");
    assert!(right >= 70);
}

/// The verdict on one case: nothing, or why not.
fn conforms(case: &Path, cases: &Path, public: &Arc<Root>) -> Result<(), String> {
    let bundle = read(&case.join("bundle.sigstore.json")).ok_or("no bundle")?;
    let artifact = read(&case.join("artifact")).or_else(|| read(&cases.join("a.txt")));
    let artifact = artifact.ok_or("no artifact")?;
    let root = match read(&case.join("trusted_root.json")) {
        None => Arc::clone(public),
        Some(root) => Arc::new(Root::parse(&root).map_err(|reason| reason.to_string())?),
    };
    let text = |name: &str, other: &str| {
        let own = read(&case.join(name)).map(|text| String::from_utf8_lossy(&text).into_owned());
        own.unwrap_or(other.to_owned()).trim().to_owned()
    };
    let who = match read(&case.join("key.pub")) {
        Some(pem) => {
            let pem = String::from_utf8(pem).map_err(|_| "no text")?;
            Who::Key(PublicKey::from_pem(&pem).map_err(|error| error.to_string())?)
        }
        None => Who::Anyone(vec![Wanted {
            issuer: Some(Pattern::Is(text("issuer", ISSUER))),
            subject: Pattern::Is(text("identity", IDENTITY)),
            mail: false,
        }]),
    };
    let people = matches!(who, Who::Anyone(_));
    let rooted = Rooted { root, who, log: true, certificate_log: people };
    let trusted = Trusted { name: "k".to_owned(), key: TrustedKey::Rooted(Arc::new(rooted)) };
    let content = Descriptor::of(MediaType::from("text/plain"), Algorithm::Sha256, &artifact);
    let subject = Subject { descriptor: content, bytes: artifact.into(), asked: Asked::default() };
    let policy = Policy::of_keys(vec![trusted], 1, NameRule::Any);
    let mut policy = policy;
    // Suites ask about statements of any type; so does this.
    let candidates = vec![Candidate::bundle(&bundle, "")];
    let evidence = Evidence { candidates, cut: None };
    let at = 1_790_000_000;
    let found =
        |policy: &Policy| judge(policy, &subject, &evidence, at, &Seen::new(), &Limits::default());
    let mut judged = found(&policy);
    if let Some(Saying::Attestation { predicate_type, .. }) =
        judged.outcomes.first().and_then(|one| one.signed.as_ref()).map(|claim| &claim.saying)
    {
        let of_type = Some(predicate_type.clone());
        let [Requirement::Signed(signed)] = &mut policy.default[..] else {
            return Err(String::new());
        };
        signed.of_type = of_type;
        judged = found(&policy);
    }
    judged.verdict.map(|_| ()).map_err(|error| error.to_string())
}

/// Bundles with a key and no log: P-384 with SHA-384, by another tool.
#[test]
fn model_transparency() {
    let Some(folder) = folder("PLIMSOLL_MODEL_VECTORS") else { return };
    let tests = folder.join("scripts/tests");
    let pem = fs::read_to_string(tests.join("keys/certificate/signing-key-pub.pem")).expect("key");
    let key = PublicKey::from_pem(&pem).expect("a key");
    let limits = Limits::default();
    for version in ["v0.3.1", "v1.0.0", "v1.0.1", "v1.1.0"] {
        let path = tests.join(format!("{version}-elliptic-key/model.sig"));
        let bundle = fs::read(&path).expect("a bundle");
        let Content::Dsse(envelope) = Bundle::parse(&bundle, &limits).expect("read").content else {
            panic!("{version}: no envelope");
        };
        let statement: Value = serde_json::from_slice(&envelope.payload).expect("JSON");
        let hex = statement["subject"][0]["digest"]["sha256"].as_str().expect("a digest");
        let digest: Digest = format!("sha256:{hex}").parse().expect("a digest");
        let content = Descriptor::new(MediaType::from("x/y"), digest, 0);
        let empty: Arc<[u8]> = Vec::new().into();
        let claim = verify_blob(&bundle, &key, &content, empty, &limits);
        assert_eq!(claim.expect(version).algorithm, "ecdsa-sha2-384-nistp384");
    }
}
