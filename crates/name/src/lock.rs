//! Lock files (D7): what names meant, and who vouched for it, so that they
//! mean the same again without asking anybody.

use std::collections::BTreeMap;

use plimsoll_content::{Code, Descriptor, Document, Error, Result, View, json, limits::Limits};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::chain::{Resolution, Way};
use crate::listing::ref_of;
use crate::time::Time;
use crate::zone::Report;
use crate::{Assurance, Reference, Template};

/// A lock file: `names.lock`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    /// 1.
    pub schema_version: u64,
    /// What each name meant, by its canonical form.
    pub names: BTreeMap<String, Locked>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a name meant.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Locked {
    /// The image.
    pub descriptor: Descriptor,
    /// How strongly it was vouched for.
    pub assurance: Assurance,
    /// The zones that did, with the versions of that time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<Report>,
    /// Where the content was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cas: Vec<Template>,
    /// Repositories that had it, as HOST/REPOSITORY.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registries: Vec<String>,
    /// What is about it, such as its signatures; `None` if registries are asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<Vec<Descriptor>>,
    /// When.
    pub time: Time,
}

impl Locked {
    /// The meaning, as if it was resolved now.
    pub fn meaning(&self, name: &Reference) -> Result<Resolution> {
        let mut registries = Vec::new();
        for text in &self.registries {
            let (host, path) = text.split_once('/').unwrap_or((text, ""));
            registries.push((host.parse()?, path.to_owned()));
        }
        Ok(Resolution {
            name: name.clone(),
            descriptor: self.descriptor.clone(),
            assurance: Assurance::Digest,
            way: Way::Lock,
            zones: self.zones.clone(),
            cas: self.cas.clone(),
            registries,
            signers: Vec::new(),
            attached: self.attached.clone(),
            notes: Vec::new(),
            cost: (0, 0),
        })
    }
}

/// What is named after an image, of all that is about images.
fn about(all: &[Descriptor], image: &Descriptor) -> Vec<Descriptor> {
    let digest = &image.digest;
    let start: String =
        format!("{}-{}", digest.algorithm_name(), digest.encoded()).chars().take(71).collect();
    let named = |entry: &&Descriptor| ref_of(entry).is_some_and(|tag| tag.starts_with(&start));
    all.iter().filter(named).cloned().collect()
}

impl View for Lock {
    const NAME: &'static str = "names.lock";

    fn limit(limits: &Limits) -> u64 {
        limits.index
    }

    fn check(&self) -> Result<()> {
        json::refuse_lookalikes("", &self.other, &["names", "schemaVersion"])?;
        if self.schema_version != 1 {
            return Err(Error::new(Code::Malformed, "reading names.lock")
                .found(format!("schemaVersion {}", self.schema_version))
                .expected("1"));
        }
        for (name, locked) in &self.names {
            let canonical = name.parse::<Reference>()?.to_string();
            if canonical != *name {
                return Err(Error::new(Code::Malformed, "reading names.lock")
                    .found(format!("{name:?}"))
                    .expected(canonical));
            }
            locked.descriptor.check("/descriptor")?;
            for entry in locked.attached.iter().flatten() {
                entry.check("/attached")?;
            }
        }
        Ok(())
    }
}

impl Default for Lock {
    fn default() -> Self {
        Self { schema_version: 1, names: BTreeMap::new(), other: Map::new() }
    }
}

impl Lock {
    /// Reads a lock file.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Ok(Document::<Self>::parse(bytes)?.view().clone())
    }

    /// The file as it is written: the same names, the same bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = json::canonical(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Notes what a name means.
    pub fn note(&mut self, found: &Resolution, time: Time) {
        let locked = Locked {
            descriptor: found.descriptor.clone(),
            assurance: found.assurance,
            zones: found.zones.clone(),
            cas: found.cas.clone(),
            registries: found
                .registries
                .iter()
                .map(|(host, path)| format!("{host}/{path}"))
                .collect(),
            attached: found.attached.as_ref().map(|all| about(all, &found.descriptor)),
            time,
        };
        self.names.insert(found.name.to_string(), locked);
    }

    /// What a name meant.
    pub fn find(&self, name: &Reference) -> Result<&Locked> {
        self.names.get(&name.to_string()).ok_or_else(|| {
            Error::new(Code::NotFound, format!("looking for {name} in names.lock"))
                .found(format!("{} other names", self.names.len()))
                .expected("that name: --locked asks nobody else")
                .fix(format!("plimsoll resolve --lock names.lock {name}"))
        })
    }
}
