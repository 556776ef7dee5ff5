//! Old signatures of cosign with a certificate and an entry of a log beside them, by a
//! `policy.json` of the containers tools and by a trusted root.

use plimsoll_content::{Algorithm, Annotations, Code, Descriptor, MediaType, Result};
use plimsoll_sign::format::simple::{COSIGN, MEDIA_TYPE, Payload, SIGNATURE};
use plimsoll_sign::judge::{Evidence, Seen, judge};
use plimsoll_sign::key::Kind;
use plimsoll_sign::policy::{Load, NameRule, Policy, Trusted, TrustedKey, Who};
use plimsoll_sign::scheme::{Candidate, Subject};
use plimsoll_sign::text::{to_base64, to_pem};
use plimsoll_sign::{Asked, ImageName, Limits, Why};
use serde_json::{Value, json};

use super::{rooted, wanted};
use crate::forge::der::{pair, sign};
use crate::forge::{
    AT, Form, ISSUER, Leaf, Log, Made, Signer, Verifier, WHO, World, YEAR, forms, mail,
};

const NAME: &str = "example.com/org/app:v1";
const MANIFEST: &[u8] = br#"{"schemaVersion":2}"#;
const MAIL: &str = "someone@example.com";

struct NoFiles;

impl Load for NoFiles {
    fn file(&self, path: &str) -> Result<Vec<u8>> {
        Err(plimsoll_content::Error::new(Code::Io, format!("reading {path}")))
    }

    fn store(&self, _: &str, _: &str) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(Vec::new())
    }
}

fn form() -> Form {
    let wanted = |form: &&Form| form.kind == ("hashedrekord", "0.0.1") && form.version == 2;
    *forms().iter().find(wanted).expect("a form")
}

fn content() -> Descriptor {
    let kind = MediaType::from("application/vnd.oci.image.manifest.v1+json");
    Descriptor::of(kind, Algorithm::Sha256, MANIFEST)
}

fn payload() -> Vec<u8> {
    let payload = Payload { digest: content().digest, name: NAME.to_owned(), issued: None };
    payload.to_bytes(COSIGN, None)
}

fn made(signer: &Signer) -> Made {
    Made::new(form(), &payload(), signer)
}

/// The signature as it lies in a `.sig` image.
fn candidate(made: &Made, chain: &[&[u8]], entry: Option<&Value>) -> Candidate {
    let signature = to_base64(&made.signature);
    let mut annotations = Annotations::from([(SIGNATURE.to_owned(), signature)]);
    let mut put = |name: &str, text: String| {
        annotations.insert(format!("dev.sigstore.cosign/{name}"), text);
    };
    if let Verifier::Certificate(der) = &made.verifier {
        put("certificate", to_pem("CERTIFICATE", der).to_string());
        put("chain", chain.iter().map(|der| to_pem("CERTIFICATE", der).to_string()).collect());
    }
    if let Some(entry) = entry {
        let hex =
            |text: &str| crate::forge::der::hex(&plimsoll_sign::text::base64(text).expect("b"));
        let number = |name: &str| entry[name].as_str().and_then(|text| text.parse::<u64>().ok());
        let bundle = json!({
            "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
            "Payload": {
                "body": entry["canonicalizedBody"],
                "integratedTime": number("integratedTime"),
                "logIndex": number("logIndex"),
                "logID": hex(entry["logId"]["keyId"].as_str().expect("text")),
            },
        });
        put("bundle", bundle.to_string());
    }
    Candidate {
        media_type: MEDIA_TYPE.to_owned(),
        bytes: made.artifact.clone().into(),
        annotations,
        place: String::new(),
        broken: None,
    }
}

fn verdict(policy: &Policy, candidate: Candidate) -> std::result::Result<(), (Why, String)> {
    let name = ImageName::parse(NAME);
    let asked = Asked { transport: "docker".to_owned(), path: None, name };
    let subject = Subject { descriptor: content(), bytes: MANIFEST.into(), asked };
    let evidence = Evidence { candidates: vec![candidate], cut: None };
    let found = judge(policy, &subject, &evidence, AT + YEAR, &Seen::new(), &Limits::default());
    match &found.outcomes[0].reason {
        None => found.verdict.map(|_| ()).map_err(|error| panic!("{error}")),
        Some(reason) => Err((reason.why, reason.text.clone())),
    }
}

fn fulcio(world: &World, change: impl FnOnce(&mut Value)) -> Result<Policy> {
    let pems = to_pem("CERTIFICATE", &world.root.1).to_string();
    let mut policy = json!({
        "default": [{
            "type": "sigstoreSigned",
            "fulcio": {
                "caData": to_base64(pems.as_bytes()),
                "oidcIssuer": ISSUER,
                "subjectEmail": MAIL,
            },
            "rekorPublicKeyData": to_base64(world.log.public().to_pem().as_bytes()),
        }],
    });
    change(&mut policy["default"][0]);
    Policy::containers(policy.to_string().as_bytes(), &NoFiles)
}

#[test]
fn policy_json_knows_fulcio_and_rekor() {
    let world = World::new();
    let signer = world.signer(&Leaf { subject: mail(MAIL), ..Leaf::default() });
    let made = made(&signer);
    let entry = world.entry(Log::First, &made.body(), AT);
    let chain = [world.middle.1.as_slice(), &world.root.1];
    let good = || candidate(&made, &chain, Some(&entry));
    let policy = fulcio(&world, |_| ()).expect("a policy");
    assert_eq!(verdict(&policy, good()), Ok(()));
    let other = fulcio(&world, |one| one["fulcio"]["subjectEmail"] = "other@example.com".into());
    assert_eq!(verdict(&other.expect("a policy"), good()).expect_err("other").0, Why::Identity);
    let other = fulcio(&world, |one| one["fulcio"]["oidcIssuer"] = "https://other".into());
    assert_eq!(verdict(&other.expect("a policy"), good()).expect_err("other").0, Why::Identity);
    let strange = fulcio(&World::new(), |_| ()).expect("a policy");
    assert_eq!(verdict(&strange, good()).expect_err("a strange world").0, Why::Log);
    for (what, candidate, why) in [
        ("no chain", candidate(&made, &[], Some(&entry)), Why::Certificate),
        ("no entry", candidate(&made, &chain, None), Why::Log),
    ] {
        assert_eq!(verdict(&policy, candidate).expect_err(what).0, why, "{what}");
    }
    // What its own readers refuse.
    type Change = fn(&mut Value);
    let faults: [(&str, Change); 6] = [
        ("no log", |one| drop(one.as_object_mut().map(|all| all.remove("rekorPublicKeyData")))),
        ("no issuer", |one| one["fulcio"] = json!({"caData": "", "subjectEmail": "a@b"})),
        ("an unknown member", |one| one["fulcio"]["san"] = "x".into()),
        ("no certificate", |one| one["fulcio"]["caData"] = "AAAA".into()),
        ("a key besides", |one| one["keyData"] = "AAAA".into()),
        ("logs twice", |one| one["rekorPublicKeyDatas"] = json!(["AAAA"])),
    ];
    for (what, change) in faults {
        let found = fulcio(&world, change).expect_err(what);
        assert_eq!(found.code(), Code::Policy, "{what}");
    }
    // A key, with and without the entry of a log.
    let own = pair(Kind::P256);
    let mut keyed = Made::new(form(), &payload(), &signer);
    keyed.signature = sign(&own, &payload());
    keyed.verifier = Verifier::Key(own.public().der().to_vec());
    let policy = fulcio(&world, |one| {
        drop(one.as_object_mut().map(|all| all.remove("fulcio")));
        one["keyData"] = to_base64(own.public().to_pem().as_bytes()).into();
    })
    .expect("a policy");
    let right = world.entry(Log::First, &keyed.body(), AT);
    assert_eq!(verdict(&policy, candidate(&keyed, &[], Some(&right))), Ok(()));
    assert_eq!(verdict(&policy, candidate(&keyed, &[], None)).expect_err("no entry").0, Why::Log);
    let told = verdict(&policy, candidate(&keyed, &[], Some(&entry))).expect_err("another");
    assert_eq!(told.0, Why::Log);
}

/// The same faults as in bundles, in the form that they were found in first.
#[test]
fn t01_t02_the_old_form_compares_entries_too() {
    let world = World::new();
    let signer = world.signer(&Leaf::default());
    let good = made(&signer);
    let trusted = Trusted {
        name: "k".into(),
        key: TrustedKey::Rooted(rooted(&world.trusted_root(), wanted(WHO, ISSUER)).into()),
    };
    let policy = Policy::of_keys(vec![trusted], 1, NameRule::Any);
    let with = |entry: &Value| candidate(&good, &[&world.middle.1], Some(entry));
    let own = world.entry(Log::First, &good.body(), AT);
    assert_eq!(verdict(&policy, with(&own)), Ok(()));
    let mut again = made(&signer);
    let mut content = made(&signer);
    content.signature.clone_from(&good.signature);
    content.artifact = b"other".to_vec();
    let mut stranger = made(&signer);
    stranger.signature.clone_from(&good.signature);
    stranger.verifier = Verifier::Certificate(world.signer(&Leaf::default()).certificate);
    again.payload.clear();
    for (what, other, text) in [
        ("signature", &again, "another signature"),
        ("content", &content, "another content"),
        ("signer", &stranger, "another signer"),
    ] {
        let entry = world.entry(Log::First, &other.body(), AT);
        let (why, told) = verdict(&policy, with(&entry)).expect_err(what);
        assert_eq!(why, Why::Log, "{what}: {told}");
        assert!(told.contains(text), "{what}: {told}");
    }
    for (what, time, why) in [("late", AT + 596, Why::Expired), ("early", AT - 6, Why::NotYet)] {
        let entry = world.entry(Log::First, &good.body(), time);
        assert_eq!(verdict(&policy, with(&entry)).expect_err(what).0, why, "{what}");
    }
    // A time that the log did not sign.
    let mut entry = own;
    entry["integratedTime"] = (AT + 1).to_string().into();
    assert_eq!(verdict(&policy, with(&entry)).expect_err("a lie").0, Why::Log);
    // Somebody who knows the key goes by it, whatever stands beside the signature.
    let key = signer.pair.public().clone();
    let keyed = Trusted { name: "k".into(), key: TrustedKey::Public(key.clone()) };
    let keyed = Policy::of_keys(vec![keyed], 1, NameRule::Any);
    assert_eq!(verdict(&keyed, with(&entry)), Ok(()));
    let both = TrustedKey::Rooted(rooted(&world.trusted_root(), Who::Key(key)).into());
    let both = Policy::of_keys(vec![Trusted { name: "k".into(), key: both }], 1, NameRule::Any);
    assert_eq!(verdict(&both, with(&entry)).expect_err("a certificate").0, Why::Key);
}
