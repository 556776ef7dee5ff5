//! A small world of its own: authorities for certificates and time stamps, logs of both
//! versions, and what they issue; each part may have one fault.
#![allow(dead_code, reason = "each program that includes it uses a part")]

pub(crate) mod der;

use plimsoll_sign::format::dsse;
use plimsoll_sign::key::{KeyPair, Kind};
use plimsoll_sign::text::{to_base64, to_pem};
use serde_json::{Value, json};

use self::der::{
    CODE, Cert, SUBJECT, Stamp, TIME, TST, authority, extension, generalized, hex, pair, purpose,
    rfc3339, seq, sha256, sign, usage,
};

/// When everything happens.
pub(crate) const AT: i64 = 1_770_000_000;
pub(crate) const YEAR: i64 = 365 * 86_400;
pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const WHO: &str = "https://forge.example/org/app/.workflows/release.yml@refs/heads/main";
const LOG: &str = "rekor.example";
const LOG2: &str = "log2.rekor.example";

/// Whose keys there are.
pub(crate) struct World {
    pub(crate) root: (KeyPair, Vec<u8>),
    pub(crate) middle: (KeyPair, Vec<u8>),
    pub(crate) stamps_root: (KeyPair, Vec<u8>),
    pub(crate) stamps: (KeyPair, Vec<u8>),
    pub(crate) certificate_log: KeyPair,
    pub(crate) log: KeyPair,
    pub(crate) log2: KeyPair,
}

/// The certificate of a signer.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) holds: (i64, i64),
    pub(crate) subject: Vec<u8>,
    pub(crate) issuers: Vec<Vec<u8>>,
    pub(crate) usage: Option<Vec<u8>>,
    pub(crate) purpose: Option<Vec<u8>>,
    pub(crate) more: Vec<Vec<u8>>,
    /// The times of its stamps by the log of certificates, and whether each is right.
    pub(crate) logged: Vec<(i64, bool)>,
}

pub(crate) fn uri(text: &str) -> Vec<u8> {
    extension(SUBJECT, true, &seq(&[&der::der(0x86, &[text.as_bytes()])]))
}

pub(crate) fn mail(text: &str) -> Vec<u8> {
    extension(SUBJECT, true, &seq(&[&der::der(0x81, &[text.as_bytes()])]))
}

pub(crate) fn issued_by(text: &str) -> Vec<u8> {
    extension("1.3.6.1.4.1.57264.1.8", false, &der::der(0x0c, &[text.as_bytes()]))
}

impl Default for Leaf {
    fn default() -> Self {
        Self {
            holds: (AT - 5, AT + 595),
            subject: uri(WHO),
            issuers: vec![issued_by(ISSUER)],
            usage: Some(usage(0x80)),
            purpose: Some(purpose(CODE, false)),
            more: Vec::new(),
            logged: vec![(AT - 5, true)],
        }
    }
}

/// Which log, in which version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Log {
    /// With a promise and a time.
    First,
    /// With a proof alone.
    Second,
}

/// A signer with its certificate.
pub(crate) struct Signer {
    pub(crate) pair: KeyPair,
    pub(crate) certificate: Vec<u8>,
}

impl World {
    pub(crate) fn new() -> Self {
        let kinds = (Kind::P384, Kind::P256);
        let holds = (AT - YEAR, AT + YEAR);
        let root = own("root", kinds.0, holds, vec![authority(None), usage(0x06)]);
        let middle = below(&root, "root", "middle", kinds.1, holds, Self::middle_extensions());
        let stamps_root = own("stamps", kinds.1, holds, vec![authority(Some(0)), usage(0x06)]);
        let extensions = vec![usage(0x80), purpose(TIME, true)];
        let stamps = below(&stamps_root, "stamps", "stamp", kinds.0, holds, extensions);
        let (certificate_log, log, log2) =
            (pair(Kind::P256), pair(Kind::P256), pair(Kind::Ed25519));
        Self { root, middle, stamps_root, stamps, certificate_log, log, log2 }
    }

    pub(crate) fn middle_extensions() -> Vec<Vec<u8>> {
        vec![authority(Some(0)), usage(0x06), purpose(CODE, false)]
    }

    /// The trusted root: all of it, from a year before.
    pub(crate) fn trusted_root(&self) -> Value {
        let from = json!({"start": rfc3339(AT - YEAR)});
        let chain = |all: &[&Vec<u8>]| {
            let all = all.iter().map(|der| json!({"rawBytes": to_base64(der)}));
            json!({"certificates": all.collect::<Vec<_>>()})
        };
        let log = |host: &str, pair: &KeyPair, id: &[u8], details: &str| {
            json!({
                "baseUrl": format!("https://{host}"),
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": to_base64(pair.public().der()),
                    "keyDetails": details,
                    "validFor": from,
                },
                "logId": {"keyId": to_base64(id)},
            })
        };
        let p256 = "PKIX_ECDSA_P256_SHA_256";
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                log(LOG, &self.log, &self.id(Log::First), p256),
                log(LOG2, &self.log2, &self.id(Log::Second), "PKIX_ED25519"),
            ],
            "certificateAuthorities": [{
                "subject": {"commonName": "root"},
                "uri": "https://fulcio.example",
                "certChain": chain(&[&self.middle.1, &self.root.1]),
                "validFor": from,
            }],
            "ctlogs": [log(
                "ct.example",
                &self.certificate_log,
                &sha256(self.certificate_log.public().der()),
                p256,
            )],
            "timestampAuthorities": [{
                "subject": {"commonName": "stamps"},
                "uri": "https://stamps.example",
                "certChain": chain(&[&self.stamps.1, &self.stamps_root.1]),
                "validFor": from,
            }],
        })
    }

    pub(crate) fn id(&self, log: Log) -> Vec<u8> {
        match log {
            Log::First => sha256(self.log.public().der()),
            Log::Second => {
                // C2SP signed-note: name, kind and the key itself.
                let key = &self.log2.public().der()[12..];
                sha256(&[LOG2.as_bytes(), b"\n\x01", key].concat())
            }
        }
    }

    pub(crate) fn signer(&self, leaf: &Leaf) -> Signer {
        self.signer_of(leaf, pair(Kind::P256))
    }

    pub(crate) fn signer_of(&self, leaf: &Leaf, own: KeyPair) -> Signer {
        let mut extensions = Vec::new();
        extensions.extend(leaf.usage.clone());
        extensions.extend(leaf.purpose.clone());
        extensions.push(leaf.subject.clone());
        extensions.extend(leaf.issuers.clone());
        extensions.extend(leaf.more.clone());
        let mut cert = Cert {
            serial: 7,
            issuer: "middle".to_owned(),
            subject: String::new(),
            holds: leaf.holds,
            key: own.public().clone(),
            extensions,
        };
        let tbs = cert.tbs(self.middle.0.public().kind());
        if !leaf.logged.is_empty() {
            let mut list = Vec::new();
            for (at, right) in &leaf.logged {
                let stamp = self.stamp_of_certificate(&tbs, *at, *right);
                list.extend((stamp.len() as u16).to_be_bytes());
                list.extend(stamp);
            }
            let list = [&(list.len() as u16).to_be_bytes()[..], &list].concat();
            let list = der::der(4, &[&list]);
            cert.extensions.push(extension("1.3.6.1.4.1.11129.2.4.2", false, &list));
        }
        Signer { certificate: cert.signed(&self.middle.0), pair: own }
    }

    fn stamp_of_certificate(&self, tbs: &[u8], at: i64, right: bool) -> Vec<u8> {
        let time = (at as u64 * 1000).to_be_bytes();
        let mut message = vec![0, 0];
        message.extend(time);
        message.extend([0, 1]);
        message.extend(sha256(self.middle.0.public().der()));
        message.extend(&(tbs.len() as u32).to_be_bytes()[1..]);
        message.extend_from_slice(tbs);
        message.extend([0, 0]);
        if !right {
            message.push(0);
        }
        let signature = sign(&self.certificate_log, &message);
        let mut stamp = vec![0];
        stamp.extend(sha256(self.certificate_log.public().der()));
        stamp.extend(time);
        stamp.extend([0, 0, 4, 3]);
        stamp.extend((signature.len() as u16).to_be_bytes());
        stamp.extend(signature);
        stamp
    }

    /// An entry of a log, right in itself whatever it is about.
    pub(crate) fn entry(&self, log: Log, body: &Value, at: i64) -> Value {
        let bytes = body.to_string().into_bytes();
        let hash = |parts: &[&[u8]]| sha256(&parts.concat());
        let leaves = [hash(&[&[0], b"first"]), hash(&[&[0], &bytes]), hash(&[&[0], b"third"])];
        let pairs = hash(&[&[1], &leaves[0], &leaves[1]]);
        let root = to_base64(&hash(&[&[1], &pairs, &leaves[2]]));
        let (name, by) = match log {
            Log::First => (LOG, &self.log),
            Log::Second => (LOG2, &self.log2),
        };
        let id = self.id(log);
        let origin = if log == Log::First { format!("{LOG} - 123456") } else { LOG2.to_owned() };
        let note = format!("{origin}\n3\n{root}\n");
        let signature = [&id[..4], &sign(by, note.as_bytes())].concat();
        let mut entry = json!({
            "logIndex": if log == Log::First { "1001" } else { "1" },
            "logId": {"keyId": to_base64(&id)},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "inclusionProof": {
                "logIndex": "1",
                "treeSize": "3",
                "rootHash": root,
                "hashes": [to_base64(&leaves[0]), to_base64(&leaves[2])],
                "checkpoint": {
                    "envelope": format!("{note}\n\u{2014} {name} {}\n", to_base64(&signature)),
                },
            },
            "canonicalizedBody": to_base64(&bytes),
        });
        if log == Log::First {
            entry["integratedTime"] = at.to_string().into();
            let promise = self.promise(&bytes, at, 1001);
            entry["inclusionPromise"] = json!({"signedEntryTimestamp": promise});
        }
        entry
    }

    /// What the first log promises about an entry.
    pub(crate) fn promise(&self, body: &[u8], at: i64, index: u64) -> String {
        let id = hex(&self.id(Log::First));
        let promised = format!(
            "{{\"body\":\"{}\",\"integratedTime\":{at},\"logID\":\"{id}\",\"logIndex\":{index}}}",
            to_base64(body),
        );
        to_base64(&sign(&self.log, promised.as_bytes()))
    }

    pub(crate) fn stamp(&self, signature: &[u8], at: i64) -> Stamp {
        Stamp {
            at: generalized(at),
            imprint: sha256(signature),
            certificate: self.stamps.1.clone(),
            named: ("stamps".to_owned(), 2),
            brought: Vec::new(),
            content: TST,
            signed_content: TST,
            bound: true,
            changed: false,
            refused: false,
            extension: None,
        }
    }
}

/// A root of its own.
pub(crate) fn own(
    name: &str,
    kind: Kind,
    holds: (i64, i64),
    extensions: Vec<Vec<u8>>,
) -> (KeyPair, Vec<u8>) {
    certified(None, name, name, kind, holds, extensions)
}

/// A certificate that another one has signed.
pub(crate) fn below(
    upper: &(KeyPair, Vec<u8>),
    issuer: &str,
    name: &str,
    kind: Kind,
    holds: (i64, i64),
    extensions: Vec<Vec<u8>>,
) -> (KeyPair, Vec<u8>) {
    certified(Some(&upper.0), issuer, name, kind, holds, extensions)
}

/// A new key with a certificate, by its own key if no other signs it.
fn certified(
    upper: Option<&KeyPair>,
    issuer: &str,
    name: &str,
    kind: Kind,
    holds: (i64, i64),
    extensions: Vec<Vec<u8>>,
) -> (KeyPair, Vec<u8>) {
    let own = pair(kind);
    let cert = Cert {
        serial: if upper.is_some() { 2 } else { 1 },
        issuer: issuer.to_owned(),
        subject: name.to_owned(),
        holds,
        key: own.public().clone(),
        extensions,
    };
    let der = cert.signed(upper.unwrap_or(&own));
    (own, der)
}

/// What a bundle is to be like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Form {
    /// The media type.
    pub(crate) media_type: &'static str,
    /// Its minor version.
    pub(crate) version: u8,
    /// Whether it holds an envelope.
    pub(crate) envelope: bool,
    /// The kind of entry and its version.
    pub(crate) kind: (&'static str, &'static str),
    /// In which log.
    pub(crate) log: Log,
}

const V1: &str = "application/vnd.dev.sigstore.bundle+json;version=0.1";
const V2: &str = "application/vnd.dev.sigstore.bundle+json;version=0.2";
const V3: &str = "application/vnd.dev.sigstore.bundle+json;version=0.3";
const NEW: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// All forms of bundles with a certificate that are read.
pub(crate) fn forms() -> Vec<Form> {
    let mut all = Vec::new();
    for (media_type, version) in [(V1, 1), (V2, 2), (V3, 3), (NEW, 3)] {
        for envelope in [false, true] {
            let kinds: &[_] = if envelope {
                &[
                    ("dsse", "0.0.1"),
                    ("intoto", "0.0.2"),
                    ("dsse", "0.0.2"),
                    ("hashedrekord", "0.0.2"),
                ]
            } else {
                &[("hashedrekord", "0.0.1"), ("hashedrekord", "0.0.2")]
            };
            for kind in kinds {
                let second = matches!(kind, ("dsse" | "hashedrekord", "0.0.2"));
                // The first bundles ask for promises, which the second log does not make.
                if second && version == 1 {
                    continue;
                }
                let log = if second { Log::Second } else { Log::First };
                all.push(Form { media_type, version, envelope, kind: *kind, log });
            }
        }
    }
    all
}

/// A statement by which cosign signs.
pub(crate) fn statement(artifact: &[u8]) -> Vec<u8> {
    let digest = hex(&sha256(artifact));
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": digest}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    })
    .to_string()
    .into_bytes()
}

/// A signature, made and logged.
pub(crate) struct Made {
    pub(crate) form: Form,
    pub(crate) artifact: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) verifier: Verifier,
}

/// Who made it.
#[derive(Clone)]
pub(crate) enum Verifier {
    Certificate(Vec<u8>),
    Key(Vec<u8>),
}

impl Made {
    pub(crate) fn new(form: Form, artifact: &[u8], signer: &Signer) -> Self {
        let payload = statement(artifact);
        let signature = sign(&signer.pair, &message(form, artifact, &payload));
        let verifier = Verifier::Certificate(signer.certificate.clone());
        Self { form, artifact: artifact.to_vec(), payload, signature, verifier }
    }

    /// What a log has of it.
    pub(crate) fn body(&self) -> Value {
        let hash = |bytes: &[u8]| json!({"algorithm": "sha256", "value": hex(&sha256(bytes))});
        let hash2 =
            |bytes: &[u8]| json!({"algorithm": "SHA2_256", "digest": to_base64(&sha256(bytes))});
        let sig = to_base64(&self.signature);
        let pem = match &self.verifier {
            Verifier::Certificate(der) => to_pem("CERTIFICATE", der),
            Verifier::Key(der) => to_pem("PUBLIC KEY", der),
        };
        let pem = to_base64(pem.as_bytes());
        let verifier = match &self.verifier {
            Verifier::Certificate(der) => json!({
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "x509Certificate": {"rawBytes": to_base64(der)},
            }),
            Verifier::Key(der) => json!({
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "publicKey": {"rawBytes": to_base64(der)},
            }),
        };
        let message = message(self.form, &self.artifact, &self.payload);
        let (kind, version) = self.form.kind;
        let spec = match self.form.kind {
            ("hashedrekord", "0.0.1") => json!({
                "data": {"hash": hash(&message)},
                "signature": {"content": sig, "publicKey": {"content": pem}},
            }),
            ("hashedrekord", _) => json!({"hashedRekordV002": {
                "data": hash2(&message),
                "signature": {"content": sig, "verifier": verifier},
            }}),
            ("dsse", "0.0.1") => json!({
                "envelopeHash": hash(b"as it was sent"),
                "payloadHash": hash(&self.payload),
                "signatures": [{"signature": sig, "verifier": pem}],
            }),
            ("dsse", _) => json!({"dsseV002": {
                "payloadHash": hash2(&self.payload),
                "signatures": [{"content": sig, "verifier": verifier}],
            }}),
            _ => json!({"content": {
                "envelope": {
                    "payloadType": dsse::IN_TOTO,
                    "signatures": [{"publicKey": pem, "sig": to_base64(sig.as_bytes())}],
                },
                "hash": hash(b"as it was sent"),
                "payloadHash": hash(&self.payload),
            }}),
        };
        json!({"apiVersion": version, "kind": kind, "spec": spec})
    }

    /// The bundle, with entries and time stamps.
    pub(crate) fn bundle(&self, entries: &[Value], stamps: &[Vec<u8>]) -> Value {
        let mut material = match &self.verifier {
            Verifier::Certificate(der) if self.form.version > 2 => {
                json!({"certificate": {"rawBytes": to_base64(der)}})
            }
            Verifier::Certificate(der) => {
                json!({"x509CertificateChain": {"certificates": [{"rawBytes": to_base64(der)}]}})
            }
            Verifier::Key(der) => json!({"publicKey": {"hint": to_base64(&sha256(der))}}),
        };
        material["tlogEntries"] = entries.into();
        if !stamps.is_empty() {
            let stamps = stamps.iter().map(|stamp| json!({"signedTimestamp": to_base64(stamp)}));
            material["timestampVerificationData"] =
                json!({"rfc3161Timestamps": stamps.collect::<Vec<_>>()});
        }
        let mut bundle =
            json!({"mediaType": self.form.media_type, "verificationMaterial": material});
        if self.form.envelope {
            bundle["dsseEnvelope"] = json!({
                "payload": to_base64(&self.payload),
                "payloadType": dsse::IN_TOTO,
                "signatures": [{"sig": to_base64(&self.signature)}],
            });
        } else {
            let digest = to_base64(&sha256(&self.artifact));
            bundle["messageSignature"] = json!({
                "messageDigest": {"algorithm": "SHA2_256", "digest": digest},
                "signature": to_base64(&self.signature),
            });
        }
        bundle
    }
}

/// What is signed.
pub(crate) fn message(form: Form, artifact: &[u8], payload: &[u8]) -> Vec<u8> {
    if form.envelope { dsse::pae(dsse::IN_TOTO, payload) } else { artifact.to_vec() }
}
