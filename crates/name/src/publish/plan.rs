//! What has to be signed and written.

use std::collections::BTreeMap;

use plimsoll_content::{Algorithm, Code, Digest, Error, Result, json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::config::{Config, key_of};
use super::site::target_paths;
use super::{BINS_FROM, METADATA};
use crate::announcement::ZonePlace;
use crate::crypto::{Secret, hex};
use crate::time::{DAY, Time};
use crate::tuf::{
    Delegated, Delegations, Envelope, File, Key, Metadata, Role, Root, SPEC_VERSION, Signature,
    Snapshot, Target, Targets, Timestamp, canonical,
};
use crate::zone::{MEMBER, SIGNERS, cut_target, index_target};

/// How deep cuts are looked for where lists are spread over bins.
const DEPTH: usize = 16;

/// What a zone is to say.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The lists of images, by the path below the prefix.
    pub listings: BTreeMap<String, Vec<u8>>,
    /// The cuts, by the path below the prefix: a root of the other zone, and
    /// where that is.
    pub cuts: BTreeMap<String, (Vec<u8>, ZonePlace)>,
    /// Whose signatures count (D6).
    pub signers: Option<Vec<u8>>,
}

/// Metadata that is yet to be signed by enough keys.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Pending {
    /// Its file in the tree.
    pub file: String,
    /// What is signed, with the signatures so far.
    pub envelope: Envelope,
    /// The roles that must have signed it, each by itself.
    needs: Vec<Need>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Need {
    who: String,
    role: Role,
    keys: BTreeMap<String, Key>,
}

/// Signatures that are missing.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Missing {
    /// On which file.
    pub file: String,
    /// Of which role.
    pub role: String,
    /// How many.
    pub signatures: u64,
    /// By which of these keys.
    pub keys: Vec<String>,
}

/// What a publication consists of.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Plan {
    /// Out of what it was made: another one would be another plan.
    pub input: String,
    /// The metadata, in the order of writing.
    pub metadata: Vec<Pending>,
    /// The targets, which are written first.
    #[serde(skip)]
    pub files: Vec<(String, Vec<u8>)>,
}

impl Plan {
    /// What has to be written so that a zone says what is wanted. `published`
    /// reads a file of the tree.
    pub fn new(
        config: &Config,
        wanted: &Wanted,
        published: &dyn Fn(&str) -> Result<Option<Vec<u8>>>,
        now: Time,
    ) -> Result<Self> {
        plimsoll_content::View::check(config)?;
        let maker = Maker { config, published, now };
        let mut metadata = Vec::new();
        let old = maker.newest_root()?;
        let root = maker.root(old.as_ref())?;
        let body = match &root {
            Some(pending) => parsed::<Root>(&pending.envelope.signed)?,
            None => (**old.as_ref().ok_or_else(no_root)?).clone(),
        };
        let snapshot_before = maker.newest_snapshot()?;
        let (top, others, files) = maker.targets(wanted)?;
        let mut versions: BTreeMap<String, u64> = BTreeMap::new();
        let mut changed = false;
        let listed = |name: &str| {
            let before = snapshot_before.as_ref()?;
            before.meta.get(&format!("{name}.json")).map(|file| file.version)
        };
        for (name, targets) in others {
            let role = delegated(&top, &name)?;
            let (version, pending) = maker.lists(&name, targets, listed(&name), role)?;
            versions.insert(name, version);
            changed |= pending.is_some();
            metadata.extend(pending);
        }
        let role = Need::of("targets", &body);
        let (version, pending) = maker.lists("targets", top, listed("targets"), role)?;
        versions.insert("targets".to_owned(), version);
        changed |= pending.is_some();
        metadata.extend(pending);
        // What was there once stays listed, or old clients would refuse the rest.
        for (name, file) in snapshot_before.iter().flat_map(|before| &before.meta) {
            let role = name.strip_suffix(".json").unwrap_or(name).to_owned();
            versions.entry(role).or_insert(file.version);
        }
        let snapshot = maker.snapshot(snapshot_before.as_ref(), &body, versions, changed)?;
        let version = snapshot.0;
        metadata.extend(snapshot.1);
        metadata.extend(root);
        metadata.push(maker.timestamp(&body, version)?);
        Ok(Self { input: maker.input(wanted)?, metadata, files })
    }

    /// Adds the signatures of these keys, where they are asked for.
    pub fn sign(&mut self, secrets: &[Secret]) -> Result<()> {
        for pending in &mut self.metadata {
            let message = canonical(&pending.envelope.signed)?;
            for secret in secrets {
                let (id, _) = key_of(secret)?;
                let asked = pending.needs.iter().any(|need| need.role.keyids.contains(&id));
                let there = pending.envelope.signatures.iter().any(|one| one.keyid == id);
                if asked && !there {
                    let sig = hex(&secret.sign(&message));
                    pending.envelope.signatures.push(Signature { keyid: id, sig });
                }
            }
            pending.envelope.signatures.sort_by(|a, b| a.keyid.cmp(&b.keyid));
        }
        Ok(())
    }

    /// What is missing before it can be published.
    pub fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        for pending in &self.metadata {
            for need in &pending.needs {
                let done =
                    |id: &&String| pending.envelope.signatures.iter().any(|one| one.keyid == **id);
                let signed = need.role.keyids.iter().filter(done).count() as u64;
                if signed < need.role.threshold {
                    missing.push(Missing {
                        file: pending.file.clone(),
                        role: need.who.clone(),
                        signatures: need.role.threshold - signed,
                        keys: need.role.keyids.iter().filter(|id| !done(id)).cloned().collect(),
                    });
                }
            }
        }
        missing
    }

    /// The files, in the order of writing: targets, lists, snapshot, root, and
    /// the timestamp, with which all of it becomes visible.
    ///
    /// Errors if signatures are missing.
    pub fn into_files(self) -> Result<Vec<(String, Vec<u8>)>> {
        if let Some(missing) = self.missing().first() {
            return Err(Error::new(Code::Zone, format!("publishing {}", missing.file))
                .found(format!(
                    "{} signatures of role {} missing",
                    missing.signatures, missing.role
                ))
                .expected(format!("signatures of {}", missing.keys.join(" or "))));
        }
        let mut files = self.files;
        for pending in self.metadata {
            let bytes = json::canonical(&pending.envelope)?;
            files.push((pending.file, bytes));
        }
        Ok(files)
    }
}

impl Need {
    fn of(name: &str, root: &Root) -> Self {
        Self {
            who: name.to_owned(),
            role: root.roles.get(name).cloned().unwrap_or_default(),
            keys: root.keys.clone(),
        }
    }
}

struct Maker<'a> {
    config: &'a Config,
    published: &'a dyn Fn(&str) -> Result<Option<Vec<u8>>>,
    now: Time,
}

type Listed = (Targets, Vec<(String, Targets)>, Vec<(String, Vec<u8>)>);

impl Maker<'_> {
    fn input(&self, wanted: &Wanted) -> Result<String> {
        let mut text = json::canonical(self.config)?;
        for (path, bytes) in &wanted.listings {
            text.extend_from_slice(
                format!("\n{path} {}", Digest::of(Algorithm::Sha256, bytes)).as_bytes(),
            );
        }
        for (path, (bytes, place)) in &wanted.cuts {
            text.extend_from_slice(
                format!("\n{path} {}", Digest::of(Algorithm::Sha256, bytes)).as_bytes(),
            );
            text.extend_from_slice(&json::canonical(place)?);
        }
        text.extend_from_slice(wanted.signers.as_deref().unwrap_or_default());
        if let Some(timestamp) = (self.published)(&format!("{METADATA}/timestamp.json"))? {
            text.extend_from_slice(&timestamp);
        }
        Ok(Digest::of(Algorithm::Sha256, &text).to_string())
    }

    fn expiry(&self, days: u32) -> Time {
        self.now.plus(i64::from(days) * DAY)
    }

    /// Whether more than half of the time is over.
    fn is_old(&self, expires: Time, days: u32) -> bool {
        expires < self.now.plus(i64::from(days) * DAY / 2)
    }

    fn newest_root(&self) -> Result<Option<Metadata<Root>>> {
        let mut newest = None;
        for version in 1.. {
            let Some(bytes) = (self.published)(&format!("{METADATA}/{version}.root.json"))? else {
                break;
            };
            newest = Some(Metadata::parse(bytes)?);
        }
        Ok(newest)
    }

    fn root(&self, old: Option<&Metadata<Root>>) -> Result<Option<Pending>> {
        let config = self.config;
        let mut mark = Map::new();
        mark.insert("prefix".to_owned(), config.prefix.clone().into());
        if config.retired {
            mark.insert("retired".to_owned(), true.into());
        }
        if config.moved {
            mark.insert("metadata".to_owned(), value(&config.metadata)?);
            mark.insert("targets".to_owned(), value(&config.targets)?);
        }
        let roles = ["root", "targets", "snapshot", "timestamp"];
        let used = |id: &&String| roles.iter().any(|role| config.roles[*role].keys.contains(id));
        let keys = config.keys.iter().filter(|(id, _)| used(id));
        let mut body = Root {
            kind: "root".to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            version: 1,
            expires: self.expiry(config.days.root),
            consistent_snapshot: true,
            keys: keys.map(|(id, key)| (id.clone(), key.clone())).collect(),
            roles: roles.iter().map(|name| ((*name).to_owned(), role(config, name))).collect(),
            other: Map::from_iter([(MEMBER.to_owned(), Value::Object(mark))]),
        };
        let mut needs = Vec::new();
        if let Some(old) = old {
            let same = old.keys == body.keys && old.roles == body.roles && old.other == body.other;
            if same && !self.is_old(old.expires, config.days.root) {
                return Ok(None);
            }
            body.version = old.version() + 1;
            needs.push(Need { who: "root, as it was".to_owned(), ..Need::of("root", old) });
        }
        needs.push(Need::of("root", &body));
        let file = format!("{METADATA}/{}.root.json", body.version);
        Ok(Some(pending(file, &body, needs)?))
    }

    /// The snapshot that is published.
    fn newest_snapshot(&self) -> Result<Option<Metadata<Snapshot>>> {
        let Some(bytes) = (self.published)(&format!("{METADATA}/timestamp.json"))? else {
            return Ok(None);
        };
        let version = Metadata::<Timestamp>::parse(bytes)?.snapshot()?.version;
        let bytes = (self.published)(&format!("{METADATA}/{version}.snapshot.json"))?;
        bytes.map(Metadata::parse).transpose()
    }

    /// What the roles list: that of the top, those below it, and the files.
    fn targets(&self, wanted: &Wanted) -> Result<Listed> {
        let prefix = self.config.prefix()?;
        let mut files = Vec::new();
        let mut add = |path: String, bytes: &[u8]| {
            let target = Target::of(bytes);
            for file in target_paths(&path, target.hash().unwrap_or_default()) {
                files.push((file, bytes.to_vec()));
            }
            (path, target)
        };
        let lists: BTreeMap<String, Target> =
            wanted.listings.iter().map(|(rest, bytes)| add(index_target(rest), bytes)).collect();
        let mut cuts = BTreeMap::new();
        for (rest, (bytes, place)) in &wanted.cuts {
            if place.prefix()? != prefix.join(rest) || rest.is_empty() {
                return Err(Error::new(Code::Zone, format!("giving away {rest:?}"))
                    .found(format!("a zone about {}", place.prefix))
                    .expected(format!("one about {}", prefix.join(rest))));
            }
            let (path, mut target) = add(cut_target(rest), bytes);
            target.custom =
                Some(Value::Object(Map::from_iter([(MEMBER.to_owned(), value(place)?)])));
            cuts.insert(path, target);
        }
        let mut top = self.body(BTreeMap::new());
        if let Some(bytes) = &wanted.signers {
            let (path, target) = add(SIGNERS.to_owned(), bytes);
            top.targets.insert(path, target);
        }
        let mut roles = Vec::new();
        let mut below = Vec::new();
        let binned = lists.len() > BINS_FROM;
        if !cuts.is_empty() || binned {
            let deepest = wanted.cuts.keys().map(|rest| rest.split('/').count()).max().unwrap_or(1);
            let depth = if binned { DEPTH.max(deepest) } else { deepest };
            let patterns =
                (1..=depth).map(|depth| format!("zones/{}", vec!["*"; depth].join("/"))).collect();
            roles.push(self.delegate("zones", "zones", Some(patterns), None));
            below.push(("zones".to_owned(), self.body(cuts)));
        }
        if binned {
            for (name, prefixes, targets) in bins(lists) {
                roles.push(self.delegate(&name, "targets", None, Some(prefixes)));
                below.push((name, self.body(targets)));
            }
        } else {
            top.targets.extend(lists);
        }
        if !roles.is_empty() {
            let used = |id: &&String| {
                ["targets", "zones"].iter().any(|r| self.config.roles[*r].keys.contains(id))
            };
            let keys = self.config.keys.iter().filter(|(id, _)| used(id));
            top.delegations = Some(Delegations {
                keys: keys.map(|(id, key)| (id.clone(), key.clone())).collect(),
                roles,
                other: Map::new(),
            });
        }
        Ok((top, below, files))
    }

    fn body(&self, targets: BTreeMap<String, Target>) -> Targets {
        Targets {
            kind: "targets".to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            version: 1,
            expires: self.expiry(self.config.days.targets),
            targets,
            delegations: None,
            other: Map::new(),
        }
    }

    fn delegate(
        &self,
        name: &str,
        signer: &str,
        paths: Option<Vec<String>>,
        path_hash_prefixes: Option<Vec<String>>,
    ) -> Delegated {
        let role = role(self.config, signer);
        Delegated {
            name: name.to_owned(),
            keyids: role.keyids,
            threshold: role.threshold,
            terminating: true,
            paths,
            path_hash_prefixes,
            other: Map::new(),
        }
    }

    /// The version under which a role's list is published, and the list if
    /// that has to be signed anew.
    fn lists(
        &self,
        name: &str,
        mut targets: Targets,
        published: Option<u64>,
        need: Need,
    ) -> Result<(u64, Option<Pending>)> {
        if let Some(version) = published {
            let bytes = (self.published)(&format!("{METADATA}/{version}.{name}.json"))?;
            let old = bytes.map(Metadata::<Targets>::parse).transpose()?;
            if let Some(old) = old {
                let same = old.targets == targets.targets
                    && value(&old.delegations)? == value(&targets.delegations)?
                    && !self.is_old(old.expires, self.config.days.targets)
                    && old.verify(&need.keys, &need.role, name).is_ok();
                if same {
                    return Ok((version, None));
                }
            }
            targets.version = version + 1;
        }
        let file = format!("{METADATA}/{}.{name}.json", targets.version);
        Ok((targets.version, Some(pending(file, &targets, vec![need])?)))
    }

    fn snapshot(
        &self,
        old: Option<&Metadata<Snapshot>>,
        root: &Root,
        versions: BTreeMap<String, u64>,
        changed: bool,
    ) -> Result<(u64, Option<Pending>)> {
        let need = Need::of("snapshot", root);
        if let Some(old) = old
            && !changed
            && !self.is_old(old.expires, self.config.days.snapshot)
            && old.verify(&need.keys, &need.role, "snapshot").is_ok()
        {
            return Ok((old.version(), None));
        }
        let body = Snapshot {
            kind: "snapshot".to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            version: old.map_or(1, |old| old.version() + 1),
            expires: self.expiry(self.config.days.snapshot),
            meta: versions
                .into_iter()
                .map(|(name, version)| (format!("{name}.json"), File::new(version)))
                .collect(),
            other: Map::new(),
        };
        let file = format!("{METADATA}/{}.snapshot.json", body.version);
        Ok((body.version, Some(pending(file, &body, vec![need])?)))
    }

    fn timestamp(&self, root: &Root, snapshot: u64) -> Result<Pending> {
        let file = format!("{METADATA}/timestamp.json");
        let old = (self.published)(&file)?.map(Metadata::<Timestamp>::parse).transpose()?;
        let body = Timestamp {
            kind: "timestamp".to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            version: old.map_or(1, |old| old.version() + 1),
            expires: self.expiry(self.config.days.timestamp),
            meta: BTreeMap::from([("snapshot.json".to_owned(), File::new(snapshot))]),
            other: Map::new(),
        };
        pending(file, &body, vec![Need::of("timestamp", root)])
    }
}

fn delegated(top: &Targets, name: &str) -> Result<Need> {
    let delegations = top.delegations.as_ref().ok_or_else(no_root)?;
    let role = delegations.roles.iter().find(|role| role.name == name).ok_or_else(no_root)?;
    Ok(Need { who: name.to_owned(), role: role.signers(), keys: delegations.keys.clone() })
}

/// Lists spread by the digests of their paths: about a hundred in a bin.
fn bins(lists: BTreeMap<String, Target>) -> Vec<(String, Vec<String>, BTreeMap<String, Target>)> {
    let digits = if lists.len() <= 25_600 { 2 } else { 3 };
    // 256 bins, or 1,024 of four prefixes each.
    let share = if digits == 2 { 1 } else { 4 };
    let count = 16usize.pow(digits) / share;
    let mut bins: Vec<_> = (0..count)
        .map(|bin| {
            let prefixes = (bin * share..(bin + 1) * share)
                .map(|prefix| format!("{prefix:0width$x}", width = digits as usize))
                .collect();
            (format!("bin-{bin:0width$x}", width = digits as usize), prefixes, BTreeMap::new())
        })
        .collect();
    for (path, target) in lists {
        let digest = Digest::of(Algorithm::Sha256, path.as_bytes());
        let first = &digest.encoded()[..digits as usize];
        let bin = usize::from_str_radix(first, 16).unwrap_or_default() / share;
        bins[bin].2.insert(path, target);
    }
    bins
}

fn role(config: &Config, name: &str) -> Role {
    let role = &config.roles[name];
    Role { keyids: role.keys.clone(), threshold: role.threshold, other: Map::new() }
}

fn pending(file: String, body: &impl Serialize, needs: Vec<Need>) -> Result<Pending> {
    let envelope = Envelope { signatures: Vec::new(), signed: value(body)?, other: Map::new() };
    Ok(Pending { file, envelope, needs })
}

fn value(body: &impl Serialize) -> Result<Value> {
    serde_json::to_value(body)
        .map_err(|cause| Error::new(Code::Bug, "writing metadata").found(&cause).cause(cause))
}

fn parsed<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T> {
    serde_json::from_value(value.clone())
        .map_err(|cause| Error::new(Code::Bug, "reading metadata").found(&cause).cause(cause))
}

fn no_root() -> Error {
    Error::new(Code::Bug, "planning a publication").found("no root")
}
