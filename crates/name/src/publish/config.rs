//! What a publisher decides: `zone.json` in his folder.

use std::collections::BTreeMap;

use plimsoll_content::{Code, Document, Error, Result, View, json, limits::Limits};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Address;
use crate::announcement::ZonePlace;
use crate::crypto::{Public, Secret};
use crate::path::Prefix;
use crate::template::Template;
use crate::tuf::Key;

/// The roles of a zone.
pub(super) const ROLES: [&str; 5] = ["root", "targets", "zones", "snapshot", "timestamp"];

/// What a publisher decides.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// 1.
    pub schema_version: u64,
    /// Which names the zone is about.
    pub prefix: String,
    /// Where its metadata will be found.
    pub metadata: Vec<Address>,
    /// Where its targets will be found.
    pub targets: Vec<Address>,
    /// Where lists will be found by those who verify no signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Template>,
    /// Where blobs will be found.
    pub cas: Template,
    /// How long metadata is good.
    pub days: Days,
    /// Who signs what.
    pub roles: BTreeMap<String, RoleKeys>,
    /// The keys, by their ids.
    pub keys: BTreeMap<String, Key>,
    /// Further forms of the tree: `v2`, for clients of registries.
    #[serde(default)]
    pub formats: Vec<String>,
    /// Where archives of AppC are, if pages are to say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appc: Option<String>,
    /// Whether the root says where the zone is, for those who come by an
    /// address that others hand out and that it left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moved: bool,
    /// Whether there will be no zone any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How many days metadata is good.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Days {
    /// A root.
    pub root: u32,
    /// What is listed, cuts included.
    pub targets: u32,
    /// A snapshot.
    pub snapshot: u32,
    /// A timestamp: what is stolen or taken back counts this long at most.
    pub timestamp: u32,
}

/// Who signs for a role.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RoleKeys {
    /// The ids of the keys.
    pub keys: Vec<String>,
    /// How many of them are needed.
    pub threshold: u64,
}

/// How keys are handed out at the beginning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// One key does everything; a timestamp is good for 90 days.
    Hobby,
    /// Two of three keys for the root, one for what is listed, one for what is
    /// signed every few days.
    Team,
}

impl Profile {
    /// The names of the keys that are to be made.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Hobby => &["zone"],
            Self::Team => &["root-1", "root-2", "root-3", "targets", "online"],
        }
    }
}

impl View for Config {
    const NAME: &'static str = "the settings of a zone";

    fn limit(limits: &Limits) -> u64 {
        limits.document
    }

    fn check(&self) -> Result<()> {
        json::refuse_lookalikes("", &self.other, &["prefix", "roles", "keys", "cas", "days"])?;
        let wrong = |found: String, expected: &str| {
            Err(Error::new(Code::Usage, format!("reading {}", Self::NAME))
                .found(found)
                .expected(expected))
        };
        if self.schema_version != 1 {
            return wrong(format!("schemaVersion {}", self.schema_version), "1");
        }
        self.place()?.check()?;
        for name in ROLES {
            let Some(role) = self.roles.get(name) else {
                return wrong(
                    format!("no role {name}"),
                    "root, targets, zones, snapshot, timestamp",
                );
            };
            let mut keys = role.keys.clone();
            keys.sort();
            keys.dedup();
            let known = keys.iter().all(|id| self.keys.contains_key(id));
            if !known
                || keys.len() != role.keys.len()
                || role.threshold < 1
                || role.threshold > keys.len() as u64
            {
                return wrong(
                    format!("role {name}: {} of {:?}", role.threshold, role.keys),
                    "a threshold that its keys, each of them known, can reach",
                );
            }
        }
        let days = self.days;
        let range = 1..=3650;
        if ![days.root, days.targets, days.snapshot, days.timestamp]
            .iter()
            .all(|d| range.contains(d))
        {
            return wrong(format!("{days:?}"), "from 1 day to 10 years");
        }
        if let Some(appc) = &self.appc {
            crate::appc::template(appc)?;
        }
        if let Some(format) = self.formats.iter().find(|f| f.as_str() != "v2") {
            return wrong(format!("format {format:?}"), "v2");
        }
        Ok(())
    }
}

impl Config {
    /// The settings of a new zone whose tree will be found below `base`.
    /// `secrets` are the keys that the profile names, in its order.
    pub fn new(
        prefix: &Prefix,
        base: &Address,
        profile: Profile,
        secrets: &[Secret],
    ) -> Result<Self> {
        let mut keys = BTreeMap::new();
        let mut ids = Vec::new();
        for secret in secrets {
            let (id, key) = key_of(secret)?;
            keys.insert(id.clone(), key);
            ids.push(id);
        }
        let role = |names: &[usize], threshold: u64| RoleKeys {
            keys: names.iter().filter_map(|at| ids.get(*at).cloned()).collect(),
            threshold,
        };
        let (root, targets, online, days) = match profile {
            Profile::Hobby => (
                role(&[0], 1),
                role(&[0], 1),
                role(&[0], 1),
                Days { root: 365, targets: 365, snapshot: 90, timestamp: 90 },
            ),
            Profile::Team => (
                role(&[0, 1, 2], 2),
                role(&[3], 1),
                role(&[4], 1),
                Days { root: 365, targets: 365, snapshot: 7, timestamp: 7 },
            ),
        };
        let roles = BTreeMap::from([
            ("root".to_owned(), root),
            ("zones".to_owned(), targets.clone()),
            ("targets".to_owned(), targets),
            ("snapshot".to_owned(), online.clone()),
            ("timestamp".to_owned(), online),
        ]);
        let template = |path: &str| Template::parse(&format!("{}{path}", base.file("")?));
        let config = Self {
            schema_version: 1,
            prefix: prefix.to_string(),
            metadata: vec![base.file("zone/metadata/")?],
            targets: vec![base.file("zone/targets/")?],
            index: Some(template("oci-index/{+path}")?),
            cas: template("oci-cas/{algorithm}/{encoded:2}/{encoded}")?,
            days,
            roles,
            keys,
            formats: vec!["v2".to_owned()],
            appc: None,
            moved: false,
            retired: false,
            other: Map::new(),
        };
        config.check()?;
        Ok(config)
    }

    /// Reads settings.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Ok(Document::<Self>::parse(bytes)?.view().clone())
    }

    /// The settings as they are written.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.check()?;
        json::canonical(self)
    }

    /// Which names the zone is about.
    pub fn prefix(&self) -> Result<Prefix> {
        self.prefix.parse()
    }

    /// Where the zone is.
    pub fn place(&self) -> Result<ZonePlace> {
        Ok(ZonePlace {
            prefix: self.prefix()?.to_string(),
            metadata: self.metadata.clone(),
            targets: self.targets.clone(),
            root: None,
        })
    }

    /// Lets a key sign for a role, instead of another one if that is named.
    pub fn rotate(&mut self, role: &str, new: &Secret, old: Option<&str>) -> Result<String> {
        let (id, key) = key_of(new)?;
        let unknown = || {
            Error::new(Code::Usage, format!("rotating a key of role {role}"))
                .found(format!("{old:?}"))
                .expected("one of its keys; root, targets, zones, snapshot or timestamp")
        };
        let entry = self.roles.get_mut(role).ok_or_else(unknown)?;
        if let Some(old) = old {
            let at = entry.keys.iter().position(|id| id == old || id.starts_with(old));
            entry.keys.remove(at.ok_or_else(unknown)?);
        } else if entry.keys.len() == 1 {
            entry.keys.clear();
        }
        entry.keys.push(id.clone());
        self.keys.insert(id.clone(), key);
        let used: Vec<String> = self.roles.values().flat_map(|role| role.keys.clone()).collect();
        self.keys.retain(|id, _| used.contains(id));
        self.check()?;
        Ok(id)
    }
}

/// The public half of a key, with its id.
pub(super) fn key_of(secret: &Secret) -> Result<(String, Key)> {
    match secret.public() {
        Public::Ed25519(bytes) => {
            let key = Key::ed25519(&bytes);
            Ok((key.id()?, key))
        }
        _ => Err(Error::new(Code::Usage, "using a key").expected("an Ed25519 key")),
    }
}
