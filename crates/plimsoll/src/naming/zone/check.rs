//! `name check`: the tree as a client sees that has never seen it before.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use plimsoll_content::{Algorithm, Code, Descriptor, Digest, Error, Result, Source};
use plimsoll_name::chain::Resolver;
use plimsoll_name::lookup::{Ask, Got, Lookup, Texts};
use plimsoll_name::publish::METADATA;
use plimsoll_name::record::Security;
use plimsoll_name::rules::{Rule, Rules};
use plimsoll_name::time::{DAY, Time};
use plimsoll_name::tuf::{Freshness, Shelf};
use plimsoll_name::{Address, Host, Reference, Repository};
use plimsoll_store::reachable;
use serde::Serialize;

use super::tree::Cas;
use super::{LIMIT, Zone, read};
use crate::naming::Site;

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// Which names the zone is about.
    pub prefix: String,
    /// How many repositories it lists.
    pub repositories: usize,
    /// How many images.
    pub images: usize,
    /// From when on it counts no more.
    pub expires: String,
    /// What is wrong or soon will be.
    pub findings: Vec<String>,
}

impl Zone {
    /// Looks at the tree as a client does, with all signatures, and at the
    /// content that it lists.
    pub fn check(&self, now: Time) -> Result<Checked> {
        let site = self.site();
        let prefix = self.config.prefix()?;
        let first =
            read(&site.join(format!("{METADATA}/1.root.json")), LIMIT)?.ok_or_else(|| {
                Error::new(Code::NotFound, format!("checking {}", site.display()))
                    .found("no 1.root.json")
                    .expected("a tree that was published")
                    .fix("plimsoll name publish")
            })?;
        let base: Address = format!("https://{}/zone/", prefix.host()).parse()?;
        let world = Tree { site: Site { base: base.clone(), folder: site.join("zone") } };
        let rule = Rule {
            prefix: Some(prefix.clone()),
            root: Some(Digest::of(Algorithm::Sha256, &first)),
            zone: Some(base),
            ..Rule::default()
        };
        let rules = Rules { rules: vec![rule] };
        let shelf = Memory::default();
        let resolver = Resolver {
            lookup: &world,
            shelf: &shelf,
            rules: &rules,
            now,
            freshness: Freshness::Online,
        };
        let wanted = self.wanted()?;
        let mut checked = Checked {
            prefix: prefix.to_string(),
            repositories: 0,
            images: 0,
            expires: String::new(),
            findings: Vec::new(),
        };
        let cas = Cas(site);
        for (rest, bytes) in &wanted.listings {
            let name: Reference = if rest.is_empty() {
                prefix.to_string().parse()?
            } else {
                prefix.join(rest).to_string().parse()?
            };
            let cut = wanted.cuts.keys().any(|cut| {
                rest.strip_prefix(cut.as_str())
                    .is_some_and(|more| more.is_empty() || more.starts_with('/'))
            });
            if cut {
                checked
                    .findings
                    .push(format!("{name} is below a cut: what is listed here is not seen"));
                continue;
            }
            let found = match resolver.list(&name) {
                Ok(found) => found,
                Err(error) => {
                    let why = error.contexts().first().cloned().unwrap_or_default();
                    checked.findings.push(format!("{name}: {error} ({why})"));
                    continue;
                }
            };
            checked.repositories += 1;
            if let Some(zone) = found.found.zones.last() {
                checked.expires = zone.expires.to_string();
                let left = zone.expires.0 - now.0;
                if left < i64::from(self.config.days.timestamp) * DAY / 4 {
                    let note = format!("zone {} expires at {}", zone.prefix, zone.expires);
                    if !checked.findings.contains(&note) {
                        checked.findings.push(note);
                    }
                }
            }
            let Some(list) = found.listing else { continue };
            if **list.bytes() != **bytes {
                checked.findings.push(format!("{name} was changed and not published"));
            }
            checked.images += list.images().count();
            for entry in &list.manifests {
                checked.findings.extend(content(&cas, entry, &name));
            }
        }
        Ok(checked)
    }
}

/// What is wrong with the content of an image.
fn content(cas: &Cas, entry: &Descriptor, name: &Reference) -> Vec<String> {
    let all = match reachable(cas, entry) {
        Ok(all) => all,
        Err(error) => return vec![format!("{name}: {error}")],
    };
    let missing = all.missing.iter().map(|blob| format!("{name}: {} is missing", blob.digest));
    let broken = all.present.iter().filter_map(|blob| {
        let mut reader = match cas.open(blob) {
            Ok(reader) => reader,
            Err(error) => return Some(format!("{name}: {error}")),
        };
        let read = std::io::copy(&mut reader, &mut std::io::sink());
        let proved = read.map_err(|cause| Error::io("reading", &blob.digest, cause));
        proved.and_then(|_| reader.finish()).err().map(|error| format!("{name}: {error}"))
    });
    missing.chain(broken).collect()
}

struct Tree {
    site: Site,
}

impl Lookup for Tree {
    fn txt(&self, _: &str) -> Result<Texts> {
        Ok(Texts { security: Security::Insecure, texts: Vec::new(), ttl: 60 })
    }

    fn get(&self, ask: &Ask<'_>) -> Result<Option<Got>> {
        let Some(path) = self.site.path(ask.address) else { return Ok(None) };
        let bytes = read(&path, ask.limit)?;
        Ok(bytes.map(|bytes| Got { bytes, address: ask.address.clone(), max_age: None }))
    }

    fn manifest(&self, _: &Host, _: &Repository, _: &str, _: bool) -> Result<Option<Descriptor>> {
        Ok(None)
    }

    fn tags(&self, _: &Host, _: &Repository) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn is_insecure(&self, _: &Host) -> bool {
        false
    }
}

/// What is remembered for one check.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

impl Memory {
    fn names(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf for Memory {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.names().get(name).cloned())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.names().insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.names().retain(|other, _| !other.starts_with(name));
        Ok(())
    }

    fn list(&self, start: &str) -> Result<Vec<String>> {
        Ok(self.names().keys().filter(|name| name.starts_with(start)).cloned().collect())
    }
}
