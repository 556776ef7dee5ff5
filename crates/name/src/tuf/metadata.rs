//! What the metadata of a repository says, as types (specification, section 4).
//!
//! Bytes that came are kept beside what they say; signatures are over the
//! canonical form of exactly those.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plimsoll_content::{Algorithm, Code, Digest, Error, Result, json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::canonical;
use crate::crypto::{Public, Scheme, hex, unhex};
use crate::time::Time;

/// Metadata of one role: its bytes, what is signed, and by whom.
#[derive(Clone, Debug)]
pub struct Metadata<T> {
    bytes: Arc<[u8]>,
    signed: Vec<u8>,
    signatures: Vec<Signature>,
    body: T,
}

/// The outer form: signatures, and what they are over.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Envelope {
    /// The signatures.
    pub signatures: Vec<Signature>,
    /// What is signed.
    pub signed: Value,
    /// Members that this version does not know. They are not signed.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One signature.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Signature {
    /// Of which key.
    pub keyid: String,
    /// In hexadecimal digits; empty while it is yet to be made.
    pub sig: String,
}

/// Kind, version of the specification, version and expiry.
///
/// The four stand in each struct: numbers of arbitrary precision do not come
/// through a flattened one.
pub(crate) struct Head<'a>(&'a str, &'a str, u64, Time);

/// What all kinds of metadata have.
pub(crate) trait Body: DeserializeOwned {
    const TYPE: &'static str;
    const LIMIT: u64;
    fn head(&self) -> Head<'_>;
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// The version of the specification that is written here.
pub const SPEC_VERSION: &str = "1.0.34";

/// The keys of a repository, and who may do what.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Root {
    /// Which kind it is.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The version of the specification.
    pub spec_version: String,
    /// The version of this metadata, from 1.
    pub version: u64,
    /// From when on it says nothing any more.
    pub expires: Time,
    /// Whether file names hold versions and digests.
    #[serde(default)]
    pub consistent_snapshot: bool,
    /// The keys, by their ids, which mean nothing by themselves.
    pub keys: BTreeMap<String, Key>,
    /// Who may sign what: `root`, `timestamp`, `snapshot`, `targets`.
    pub roles: BTreeMap<String, Role>,
    /// Members that this version does not know, `x-image-zone` among them.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A public key.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Key {
    /// What kind of key.
    pub keytype: String,
    /// How it signs.
    pub scheme: String,
    /// The key itself.
    pub keyval: KeyValue,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The value of a public key.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct KeyValue {
    /// Hexadecimal digits, or PEM.
    #[serde(default)]
    pub public: String,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Key {
    /// The key in the form that is written here.
    pub fn ed25519(public: &[u8; 32]) -> Self {
        Self {
            keytype: "ed25519".to_owned(),
            scheme: "ed25519".to_owned(),
            keyval: KeyValue { public: hex(public), other: Map::new() },
            other: Map::new(),
        }
    }

    /// The id that others compute as well.
    pub fn id(&self) -> Result<String> {
        let value = serde_json::to_value(self)
            .map_err(|cause| Error::new(Code::Bug, "writing a key").found(&cause).cause(cause))?;
        Ok(Digest::of(Algorithm::Sha256, &canonical(&value)?).encoded())
    }

    /// The key, if it is of a kind that can be verified here.
    pub fn public(&self) -> Option<(Public, Scheme)> {
        let text = &self.keyval.public;
        match (self.keytype.as_str(), self.scheme.as_str()) {
            ("ed25519", "ed25519") => {
                Some((Public::Ed25519(unhex(text)?.try_into().ok()?), Scheme::Ed25519))
            }
            ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => {
                let key = Public::from_pem(text).or_else(|| Public::p256(&unhex(text)?))?;
                matches!(key, Public::P256(_)).then_some((key, Scheme::P256))
            }
            ("rsa", "rsassa-pss-sha256") => {
                let key = Public::from_pem(text)?;
                matches!(key, Public::Rsa { .. }).then_some((key, Scheme::RsaPss))
            }
            _ => None,
        }
    }
}

/// Who may sign something, and how many of them must.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Role {
    /// The ids of the keys.
    pub keyids: Vec<String>,
    /// How many of them are enough.
    pub threshold: u64,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Role {
    fn check(&self, name: &str) -> Result<()> {
        let unique: BTreeSet<_> = self.keyids.iter().collect();
        if self.threshold < 1 || unique.len() != self.keyids.len() {
            return Err(Error::new(Code::Zone, format!("reading role {name}"))
                .found(format!("threshold {} of keys {:?}", self.threshold, self.keyids))
                .expected("a threshold of at least 1, and each key once"));
        }
        Ok(())
    }
}

/// Which file of metadata, as another one lists it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct File {
    /// Its version.
    pub version: u64,
    /// Its length, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its digests, by algorithm.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hashes: BTreeMap<String, String>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl File {
    /// A file of that version.
    pub fn new(version: u64) -> Self {
        Self { version, length: None, hashes: BTreeMap::new(), other: Map::new() }
    }

    /// Refuses other bytes than those that are listed.
    pub fn check(&self, what: &str, bytes: &[u8]) -> Result<()> {
        if let Some(length) = self.length
            && length != bytes.len() as u64
        {
            return Err(wrong(what)
                .found(format!("{} bytes", bytes.len()))
                .expected(format!("{length} bytes")));
        }
        if self.hashes.is_empty() {
            return Ok(());
        }
        check_hashes(what, &self.hashes, bytes)
    }
}

/// Refuses bytes that have not all the digests that can be computed, of which
/// there must be one.
fn check_hashes(what: &str, hashes: &BTreeMap<String, String>, bytes: &[u8]) -> Result<()> {
    let mut known = 0;
    for (algorithm, expected) in hashes {
        let Ok(algorithm) = algorithm.parse::<Algorithm>() else { continue };
        known += 1;
        let found = Digest::of(algorithm, bytes);
        if *found.encoded() != *expected.to_ascii_lowercase() {
            return Err(wrong(what).found(found).expected(format!("{algorithm}:{expected}")));
        }
    }
    if known == 0 {
        return Err(wrong(what).found("no digest that is known here").expected("sha256 or sha512"));
    }
    Ok(())
}

/// The newest snapshot.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Timestamp {
    /// Which kind it is.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The version of the specification.
    pub spec_version: String,
    /// The version of this metadata, from 1.
    pub version: u64,
    /// From when on it says nothing any more.
    pub expires: Time,
    /// `snapshot.json` alone.
    pub meta: BTreeMap<String, File>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Timestamp {
    /// The snapshot.
    pub fn snapshot(&self) -> Result<&File> {
        self.meta.get("snapshot.json").ok_or_else(|| {
            wrong("timestamp.json").found("no snapshot.json in it").expected("its version")
        })
    }
}

/// The versions of all targets metadata.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Snapshot {
    /// Which kind it is.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The version of the specification.
    pub spec_version: String,
    /// The version of this metadata, from 1.
    pub version: u64,
    /// From when on it says nothing any more.
    pub expires: Time,
    /// The files, by the names of their roles and `.json`.
    pub meta: BTreeMap<String, File>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a role lists, and whom it lets list more.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Targets {
    /// Which kind it is.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The version of the specification.
    pub spec_version: String,
    /// The version of this metadata, from 1.
    pub version: u64,
    /// From when on it says nothing any more.
    pub expires: Time,
    /// The targets, by their paths.
    pub targets: BTreeMap<String, Target>,
    /// Who lists more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A file that a repository vouches for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Target {
    /// Its length, in bytes.
    pub length: u64,
    /// Its digests, by algorithm.
    pub hashes: BTreeMap<String, String>,
    /// What is told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Target {
    /// The entry of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let digest = Digest::of(Algorithm::Sha256, bytes);
        Self {
            length: bytes.len() as u64,
            hashes: BTreeMap::from([("sha256".to_owned(), digest.encoded())]),
            custom: None,
            other: Map::new(),
        }
    }

    /// The digest that stands in its file name.
    pub fn hash(&self) -> Option<&str> {
        let hash = self.hashes.get("sha256").or_else(|| self.hashes.get("sha512"))?;
        hash.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(hash)
    }

    /// Refuses other bytes than those that are listed.
    pub fn check(&self, what: &str, bytes: &[u8]) -> Result<()> {
        if self.length != bytes.len() as u64 {
            return Err(wrong(what)
                .found(format!("{} bytes", bytes.len()))
                .expected(format!("{} bytes", self.length)));
        }
        check_hashes(what, &self.hashes, bytes)
    }
}

/// Whom a role lets list more, in order.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Delegations {
    /// Their keys.
    pub keys: BTreeMap<String, Key>,
    /// The roles, in order.
    #[serde(default)]
    pub roles: Vec<Delegated>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A role that may list some paths.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Delegated {
    /// How it is called.
    pub name: String,
    /// The ids of the keys.
    pub keyids: Vec<String>,
    /// How many of them are enough.
    pub threshold: u64,
    /// Whether nobody else is asked for these paths.
    pub terminating: bool,
    /// Patterns of paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Or how the digests of paths begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Delegated {
    /// Whether it may list that path.
    pub fn covers(&self, path: &str) -> bool {
        match (&self.paths, &self.path_hash_prefixes) {
            (Some(patterns), None) => patterns.iter().any(|pattern| matches(pattern, path)),
            (None, Some(prefixes)) => {
                let digest = Digest::of(Algorithm::Sha256, path.as_bytes());
                prefixes.iter().any(|prefix| digest.encoded().starts_with(prefix.as_str()))
            }
            _ => false,
        }
    }

    /// Who may sign it.
    pub fn signers(&self) -> Role {
        Role { keyids: self.keyids.clone(), threshold: self.threshold, other: Map::new() }
    }
}

/// `*` and `?` stand for letters of one part of a path.
fn matches(pattern: &str, path: &str) -> bool {
    let (patterns, parts) = (pattern.split('/'), path.split('/'));
    patterns.clone().count() == parts.clone().count()
        && patterns.zip(parts).all(|(pattern, part)| {
            fits(&pattern.chars().collect::<Vec<_>>(), &part.chars().collect::<Vec<_>>())
        })
}

/// In time that grows with the product of the lengths, whatever the pattern.
fn fits(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, seen)) = star {
            star = Some((at, seen + 1));
            p = at + 1;
            t = seen + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|letter| *letter == '*')
}

/// The name of a role as it stands in addresses and file names.
pub fn quoted(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

impl Body for Root {
    const TYPE: &'static str = "root";
    const LIMIT: u64 = super::limits::ROOT;

    fn head(&self) -> Head<'_> {
        Head(&self.kind, &self.spec_version, self.version, self.expires)
    }

    fn check(&self) -> Result<()> {
        for name in ["root", "timestamp", "snapshot", "targets"] {
            let Some(role) = self.roles.get(name) else {
                return Err(wrong("a root")
                    .found(format!("no role {name}"))
                    .expected("four roles"));
            };
            role.check(name)?;
        }
        Ok(())
    }
}

impl Body for Timestamp {
    const TYPE: &'static str = "timestamp";
    const LIMIT: u64 = super::limits::TIMESTAMP;

    fn head(&self) -> Head<'_> {
        Head(&self.kind, &self.spec_version, self.version, self.expires)
    }

    fn check(&self) -> Result<()> {
        self.snapshot().map(|_| ())
    }
}

impl Body for Snapshot {
    const TYPE: &'static str = "snapshot";
    const LIMIT: u64 = super::limits::SNAPSHOT;

    fn head(&self) -> Head<'_> {
        Head(&self.kind, &self.spec_version, self.version, self.expires)
    }
}

impl Body for Targets {
    const TYPE: &'static str = "targets";
    const LIMIT: u64 = super::limits::TARGETS;

    fn head(&self) -> Head<'_> {
        Head(&self.kind, &self.spec_version, self.version, self.expires)
    }

    fn check(&self) -> Result<()> {
        let roles = self.delegations.iter().flat_map(|delegations| &delegations.roles);
        let mut names = BTreeSet::new();
        for role in roles {
            role.signers().check(&role.name)?;
            let reserved =
                ["root", "timestamp", "snapshot", "targets"].contains(&role.name.as_str());
            if reserved || role.name.is_empty() || !names.insert(&role.name) {
                return Err(wrong("delegations")
                    .found(format!("a role named {:?}", role.name))
                    .expected("a name of its own"));
            }
            if role.paths.is_some() == role.path_hash_prefixes.is_some() {
                return Err(wrong("delegations")
                    .found(format!("role {:?}", role.name))
                    .expected("either paths or path_hash_prefixes"));
            }
        }
        Ok(())
    }
}

#[allow(private_bounds, reason = "the four kinds of metadata are all there are")]
impl<T: Body> Metadata<T> {
    /// Reads metadata. Nobody has verified it.
    pub fn parse(bytes: impl Into<Arc<[u8]>>) -> Result<Self> {
        let bytes = bytes.into();
        let what = format!("{} metadata", T::TYPE);
        if bytes.len() as u64 > T::LIMIT {
            return Err(Error::new(Code::Limit, format!("reading {what}"))
                .found(format!("{} bytes", bytes.len()))
                .expected(format!("at most {} bytes", T::LIMIT)));
        }
        json::check(&what, &bytes)?;
        let malformed = |cause: serde_json::Error| {
            Error::new(Code::Malformed, format!("reading {what}")).found(&cause).cause(cause)
        };
        let envelope: Envelope = serde_json::from_slice(&bytes).map_err(malformed)?;
        let unique: BTreeSet<_> = envelope.signatures.iter().map(|one| &one.keyid).collect();
        if unique.len() != envelope.signatures.len() {
            return Err(wrong(&what).found("two signatures of one key").expected("one of each"));
        }
        let signed = canonical(&envelope.signed)?;
        let body: T = serde_json::from_value(envelope.signed).map_err(malformed)?;
        let Head(kind, spec, version, _) = body.head();
        if kind != T::TYPE || spec.split('.').next() != Some("1") || version < 1 {
            return Err(wrong(&what)
                .found(format!("_type {kind:?}, spec_version {spec:?}, version {version}"))
                .expected(format!("_type {:?} of TUF 1, from version 1 on", T::TYPE)));
        }
        body.check()?;
        Ok(Self { bytes, signed, signatures: envelope.signatures, body })
    }

    /// Refuses what not enough of the keys of a role have signed. A key that
    /// stands there under two ids counts once.
    pub fn verify(&self, keys: &BTreeMap<String, Key>, role: &Role, who: &str) -> Result<()> {
        let mut good = BTreeSet::new();
        for signature in &self.signatures {
            if !role.keyids.contains(&signature.keyid) {
                continue;
            }
            let Some((public, scheme)) = keys.get(&signature.keyid).and_then(Key::public) else {
                continue;
            };
            let Some(bytes) = unhex(&signature.sig) else { continue };
            if public.verify(scheme, &self.signed, &bytes) {
                good.insert(public);
            }
        }
        if (good.len() as u64) < role.threshold {
            return Err(Error::new(Code::Zone, format!("verifying {} metadata", T::TYPE))
                .found(format!("good signatures of {} keys of {who}", good.len()))
                .expected(format!("{} of {}", role.threshold, role.keyids.len())));
        }
        Ok(())
    }

    /// The bytes that came.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// The signatures.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The version.
    pub fn version(&self) -> u64 {
        self.body.head().2
    }

    /// From when on it says nothing any more.
    pub fn expires(&self) -> Time {
        self.body.head().3
    }

    /// Refuses what says nothing any more.
    pub fn check_fresh(&self, now: Time, what: &str) -> Result<()> {
        if now >= self.expires() {
            return Err(Error::new(
                Code::Zone,
                format!("using {what}, version {}", self.version()),
            )
            .found(format!("it expired at {}", self.expires()))
            .expected(format!("one that is good at {now}"))
            .fix("its owner has to sign it again; a clock may be wrong"));
        }
        Ok(())
    }
}

impl<T> std::ops::Deref for Metadata<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.body
    }
}

fn wrong(what: &str) -> Error {
    Error::new(Code::Zone, format!("reading {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stay_within_a_part() {
        for (pattern, path, fit) in [
            ("*", "a", true),
            ("*", "a/b", false),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("foo-?.tgz", "foo-1.tgz", true),
            ("foo-?.tgz", "foo-10.tgz", false),
            ("*.py", "x.PY", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, path), fit, "{pattern} {path}");
        }
        let slow = format!("{}b", "a*".repeat(40));
        assert!(!matches(&slow, &"a".repeat(2000)));
    }
}
