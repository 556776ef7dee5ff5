//! Entries of transparency logs (Rekor, version 1 and 2) as bundles carry them: that a
//! log that is trusted has the entry, and when it says that it took it.
//!
//! What the entry is about is compared in `body`: an entry of something else proves
//! nothing (CVE-2022-36056, CVE-2026-22703).

pub(crate) mod body;
mod checkpoint;
mod tree;

use serde_json::{Map, Value};

use self::checkpoint::Checkpoint;
use super::dsse::bytes;
use super::hash::hex;
use super::parse::{member, most, no_lookalikes, optional, string};
use super::root::{Log, Root};
use crate::claim::Seconds;
use crate::key::{Algorithm, Kind, PublicKey};
use crate::reason::{Reason, Why, quoted};
use crate::text;

/// How many hashes a proof may have: a log of more entries does not exist.
const HASHES: usize = 64;

/// An entry of a log. Nobody has verified it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Which log, by its key.
    pub log: Vec<u8>,
    /// Its number there.
    pub index: u64,
    /// What it is of: kind and version.
    pub kind: (String, String),
    /// When the log took it, by a word that may be unsigned.
    pub at: Option<Seconds>,
    /// The signature by which the log promises to keep it.
    pub promise: Option<Vec<u8>>,
    /// The proof that the log has it.
    pub proof: Option<Proof>,
    /// The entry itself, as the log has it.
    pub body: Vec<u8>,
}

/// The proof that a log has an entry (RFC 9162, 2.1.3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proof {
    /// The number of the entry in the tree.
    pub index: u64,
    /// How many entries the tree has.
    pub size: u64,
    /// The hash of the tree.
    pub root: Vec<u8>,
    /// The hashes from the entry to the root.
    pub hashes: Vec<Vec<u8>>,
    /// What the log has signed of the tree.
    pub checkpoint: Option<String>,
}

/// What a log vouches for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logged<'a> {
    /// Which one.
    pub(crate) log: &'a Log,
    /// When it took the entry, where it has signed that.
    pub(crate) at: Option<Seconds>,
}

impl Entry {
    /// Reads an entry of a bundle.
    pub(crate) fn of(object: &Map<String, Value>) -> Result<Self, Reason> {
        let what = "a log entry";
        let members = [
            "logIndex",
            "logId",
            "kindVersion",
            "integratedTime",
            "inclusionPromise",
            "inclusionProof",
            "canonicalizedBody",
        ];
        no_lookalikes(what, object, &members)?;
        let kind = member(what, object, "kindVersion")?;
        let promise = match optional(what, object, "inclusionPromise")? {
            None => None,
            Some(promise) => Some(bytes(what, promise, "signedEntryTimestamp")?),
        };
        let at = match object.get("integratedTime") {
            None | Some(Value::Null) => None,
            Some(time) => Some(
                number(time)
                    .and_then(|time| Seconds::try_from(time).ok())
                    .ok_or_else(|| Reason::malformed(format!("{what}: integratedTime")))?,
            ),
        };
        Ok(Self {
            log: bytes(what, member(what, object, "logId")?, "keyId")?,
            index: needed(what, object, "logIndex")?,
            kind: (
                string(what, kind, "kind")?.to_owned(),
                string(what, kind, "version")?.to_owned(),
            ),
            at: at.filter(|at| *at != 0),
            promise: promise.filter(|promise| !promise.is_empty()),
            proof: optional(what, object, "inclusionProof")?.map(Proof::of).transpose()?,
            body: bytes(what, object, "canonicalizedBody")?,
        })
    }

    /// Reads an entry as cosign kept it beside old signatures (`dev.sigstore.cosign/bundle`):
    /// a promise, and no proof.
    pub(crate) fn of_annotation(object: &Map<String, Value>) -> Result<Self, Reason> {
        let what = "the entry of a log beside a signature";
        super::parse::exactly(what, object, &["SignedEntryTimestamp", "Payload"])?;
        let payload = member(what, object, "Payload")?;
        let members = ["body", "integratedTime", "logIndex", "logID"];
        super::parse::exactly(what, payload, &members)?;
        let body = bytes(what, payload, "body")?;
        let kind = body::kind(&body)?;
        let log = super::hash::unhex(string(what, payload, "logID")?)
            .ok_or_else(|| Reason::malformed(format!("{what}: logID is no hex")))?;
        Ok(Self {
            log,
            index: needed(what, payload, "logIndex")?,
            kind,
            at: Some(needed(what, payload, "integratedTime")?)
                .and_then(|time| Seconds::try_from(time).ok()),
            promise: Some(bytes(what, object, "SignedEntryTimestamp")?),
            proof: None,
            body,
        })
    }

    /// That a log that is trusted has the entry. Of logs that are not, `None`.
    pub(crate) fn verify<'a>(
        &self,
        root: &'a Root,
        needs_proof: bool,
    ) -> Result<Option<Logged<'a>>, Reason> {
        let mut failed = None;
        // One log may stand there for several times.
        for log in root.logs.iter().filter(|log| log.id == self.log || log.hint == self.log) {
            match self.by(log, needs_proof) {
                Ok(at) => return Ok(Some(Logged { log, at })),
                Err(reason) => failed = Some(reason),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// When the log took the entry, if it has signed that; an error if it does not have it.
    fn by(&self, log: &Log, needs_proof: bool) -> Result<Option<Seconds>, Reason> {
        let proved = match &self.proof {
            Some(proof) if needs_proof || proof.checkpoint.is_some() => {
                proof.verify(&self.body, log)?;
                true
            }
            // Of the first bundles: what the log has not signed proves nothing.
            _ => false,
        };
        if needs_proof && !proved {
            return Err(Reason::new(Why::Log, "a log entry without the proof that the log has it"));
        }
        let Some(promise) = &self.promise else {
            if proved {
                // The time is a word of whoever wrote the bundle.
                return Ok(None);
            }
            let text = "a log entry with neither a proof nor a promise of its log";
            return Err(Reason::new(Why::Log, text));
        };
        let time = self
            .at
            .ok_or_else(|| Reason::malformed("a log entry with a promise and without a time"))?;
        if !signed_by(&log.key, self.promised(time).as_bytes(), promise) {
            let text = "the promise of a log entry is not signed by its log";
            return Err(Reason::new(Why::Log, text));
        }
        log.holds.at("the log", time)?;
        Ok(Some(time))
    }

    /// What a log signs as its promise: four members in canonical JSON (RFC 8785).
    fn promised(&self, time: Seconds) -> String {
        format!(
            "{{\"body\":\"{}\",\"integratedTime\":{time},\"logID\":\"{}\",\"logIndex\":{}}}",
            text::to_base64(&self.body),
            hex(&self.log),
            self.index
        )
    }
}

impl Proof {
    fn of(object: &Map<String, Value>) -> Result<Self, Reason> {
        let what = "the proof of a log entry";
        let members = ["logIndex", "rootHash", "treeSize", "hashes", "checkpoint"];
        no_lookalikes(what, object, &members)?;
        let mut hashes = Vec::new();
        match object.get("hashes") {
            None | Some(Value::Null) => {}
            Some(Value::Array(all)) => {
                most("hashes of a proof", all.len(), HASHES)?;
                for one in all {
                    let hash = one.as_str().and_then(text::base64);
                    hashes.push(hash.filter(|hash| hash.len() == 32).ok_or_else(|| {
                        Reason::malformed(format!("{what}: a hash that is none"))
                    })?);
                }
            }
            Some(_) => return Err(Reason::malformed(format!("{what}: hashes are no array"))),
        }
        let checkpoint = match optional(what, object, "checkpoint")? {
            None => None,
            Some(checkpoint) => Some(string(what, checkpoint, "envelope")?.to_owned()),
        };
        // The first entry of a log has number 0, which protobuf may leave out.
        let index =
            if object.contains_key("logIndex") { needed(what, object, "logIndex")? } else { 0 };
        Ok(Self {
            index,
            size: needed(what, object, "treeSize")?,
            root: bytes(what, object, "rootHash")?,
            hashes,
            checkpoint: checkpoint.filter(|checkpoint| !checkpoint.is_empty()),
        })
    }

    fn verify(&self, body: &[u8], log: &Log) -> Result<(), Reason> {
        let wrong = |text: &str| Err(Reason::new(Why::Log, text));
        let Some(checkpoint) = &self.checkpoint else {
            return wrong("the proof of a log entry without what the log has signed");
        };
        let checkpoint = Checkpoint::verify(checkpoint, log)?;
        if checkpoint.size != self.size || checkpoint.root != self.root {
            return wrong("the proof of a log entry is for another tree than the log has signed");
        }
        if !tree::includes(body, self.index, self.size, &self.hashes, &self.root) {
            return wrong("the proof of a log entry does not lead to what the log has signed");
        }
        Ok(())
    }
}

/// Whether a log made the signature, with the algorithm of its key.
fn signed_by(key: &PublicKey, message: &[u8], made: &[u8]) -> bool {
    let algorithm = match key.kind() {
        Kind::P256 => Algorithm::EcdsaP256Sha256,
        Kind::P384 => Algorithm::EcdsaP384Sha384,
        Kind::Ed25519 => Algorithm::Ed25519,
        Kind::Rsa => Algorithm::RsaPkcs1Sha256,
    };
    key.verifies(algorithm, message, made)
}

/// A number that is not negative; protobuf writes it as a string.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        Value::Number(number) => number.as_u64(),
        _ => None,
    }
}

fn needed(what: &str, object: &Map<String, Value>, name: &str) -> Result<u64, Reason> {
    let value = object.get(name).unwrap_or(&Value::Null);
    number(value).ok_or_else(|| {
        let found = quoted(&value.to_string());
        Reason::malformed(format!("{what}: {name} is {found}, no number from 0"))
    })
}
