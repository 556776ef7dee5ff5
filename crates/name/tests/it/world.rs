//! A world in memory: web servers, the DNS, registries, and owners who publish.

use std::collections::BTreeMap;
use std::sync::Mutex;

use plimsoll_content::{Algorithm, Code, Descriptor, Digest, Error, Platform, Result};
use plimsoll_name::announcement::{RootFile, ZonePlace};
use plimsoll_name::chain::{Resolution, Resolver};
use plimsoll_name::crypto::Secret;
use plimsoll_name::listing::{Listing, REF_NAME};
use plimsoll_name::lookup::{Ask, Got, Lookup, Texts};
use plimsoll_name::publish::{self, Config, Plan, Profile, Wanted};
use plimsoll_name::record::Security;
use plimsoll_name::rules::Rules;
use plimsoll_name::time::Time;
use plimsoll_name::tuf::{Freshness, Shelf};
use plimsoll_name::{Address, Host, Prefix, Reference, Repository};

pub(crate) const NOW: Time = Time(1_795_662_000);

/// What a client remembers.
#[derive(Default)]
pub(crate) struct Memory(pub(crate) Mutex<BTreeMap<String, Vec<u8>>>);

impl Shelf for Memory {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.lock().expect("lock").get(name).cloned())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.0.lock().expect("lock").insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.0.lock().expect("lock").retain(|other, _| !other.starts_with(name));
        Ok(())
    }

    fn list(&self, start: &str) -> Result<Vec<String>> {
        let names = self.0.lock().expect("lock");
        Ok(names.keys().filter(|name| name.starts_with(start)).cloned().collect())
    }
}

impl Memory {
    pub(crate) fn copied(&self) -> Self {
        Self(Mutex::new(self.0.lock().expect("lock").clone()))
    }
}

/// Everything outside.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) web: BTreeMap<String, Vec<u8>>,
    /// Addresses, or beginnings of them, that fail.
    pub(crate) broken: Vec<String>,
    pub(crate) redirects: BTreeMap<String, String>,
    pub(crate) dns: BTreeMap<String, (Security, Vec<String>)>,
    pub(crate) bogus: Vec<String>,
    pub(crate) registries: BTreeMap<String, Descriptor>,
    pub(crate) log: Mutex<Vec<String>>,
    pub(crate) bytes: Mutex<u64>,
}

impl World {
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().expect("lock"))
    }

    fn note(&self, text: String) {
        self.log.lock().expect("lock").push(text);
    }

    /// Puts the tree of an owner at an address.
    pub(crate) fn serve(&mut self, base: &str, tree: &BTreeMap<String, Vec<u8>>) {
        self.web.retain(|address, _| !address.starts_with(base));
        for (path, bytes) in tree {
            self.web.insert(format!("{base}{path}"), bytes.clone());
        }
    }
}

impl Lookup for World {
    fn txt(&self, name: &str) -> Result<Texts> {
        self.note(format!("TXT {name}"));
        if self.bogus.iter().any(|bogus| bogus == name) {
            return Err(Error::new(Code::Discovery, format!("asking the DNS for {name}"))
                .found("an answer that DNSSEC shows to be false"));
        }
        let (security, texts) =
            self.dns.get(name).cloned().unwrap_or((Security::Insecure, Vec::new()));
        Ok(Texts { security, texts: texts.into_iter().map(String::into_bytes).collect(), ttl: 300 })
    }

    fn get(&self, ask: &Ask<'_>) -> Result<Option<Got>> {
        let mut address = ask.address.to_string();
        self.note(format!("GET {address}"));
        if let Some(to) = self.redirects.get(&address) {
            let there: Address = to.parse().expect("address");
            if let Some(owner) = ask.owner {
                let host = there.host().domain_name().unwrap_or_default();
                if !plimsoll_name::suffix::same_owner(host, owner) {
                    return Err(Error::new(Code::Discovery, format!("asking {address}"))
                        .found(format!("a redirect to {host}")));
                }
            }
            address.clone_from(to);
        }
        if let Some(broken) = self.broken.iter().find(|start| address.starts_with(*start)) {
            return Err(Error::new(Code::Network, format!("asking {address}")).found(broken));
        }
        let Some(bytes) = self.web.get(&address).cloned() else { return Ok(None) };
        *self.bytes.lock().expect("lock") += bytes.len() as u64;
        if bytes.len() as u64 > ask.limit {
            return Err(Error::new(Code::Limit, format!("reading {}", ask.what)));
        }
        Ok(Some(Got { bytes, address: address.parse()?, max_age: None }))
    }

    fn manifest(
        &self,
        host: &Host,
        repository: &Repository,
        which: &str,
        _: bool,
    ) -> Result<Option<Descriptor>> {
        self.note(format!("MANIFEST {host}/{repository} {which}"));
        let key = format!("{host}/{repository}");
        if self.broken.iter().any(|start| *start == host.to_string()) {
            return Err(Error::new(Code::Network, format!("asking {host}")).found("broken"));
        }
        let by_tag = self.registries.get(&format!("{key}:{which}"));
        let by_digest = self.registries.iter().find(|(name, found)| {
            name.starts_with(&format!("{key}:")) && found.digest.to_string() == which
        });
        Ok(by_tag.or(by_digest.map(|(_, found)| found)).cloned())
    }

    fn tags(&self, host: &Host, repository: &Repository) -> Result<Vec<String>> {
        let key = format!("{host}/{repository}:");
        Ok(self
            .registries
            .keys()
            .filter_map(|name| name.strip_prefix(&key))
            .map(str::to_owned)
            .collect())
    }

    fn is_insecure(&self, host: &Host) -> bool {
        host.to_string() == "plain.example:5000"
    }
}

/// Somebody who publishes a zone.
pub(crate) struct Owner {
    pub(crate) config: Config,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) wanted: Wanted,
    pub(crate) tree: BTreeMap<String, Vec<u8>>,
}

impl Owner {
    pub(crate) fn new(prefix: &str, base: &str, seed: u8) -> Self {
        Self::with(prefix, base, seed, Profile::Hobby)
    }

    pub(crate) fn with(prefix: &str, base: &str, seed: u8, profile: Profile) -> Self {
        let secrets: Vec<Secret> = (0..profile.keys().len() as u8)
            .map(|at| {
                let mut bytes = [seed; 32];
                bytes[0] = at;
                Secret::new(bytes)
            })
            .collect();
        let prefix: Prefix = prefix.parse().expect("prefix");
        let base: Address = base.parse().expect("address");
        let config = Config::new(&prefix, &base, profile, &secrets).expect("config");
        Self { config, secrets, wanted: Wanted::default(), tree: BTreeMap::new() }
    }

    /// Lists an image, of some text, under a path and refs.
    pub(crate) fn list(&mut self, rest: &str, entries: Vec<Descriptor>) {
        let engines = vec![plimsoll_name::announcement::Engine::new(
            "oci-cas-template-v1",
            self.config.cas.as_str(),
        )];
        let list = Listing::new(entries, engines);
        let bytes = plimsoll_content::json::canonical(&list).expect("json");
        self.wanted.listings.insert(rest.to_owned(), bytes);
    }

    pub(crate) fn plan(&self, now: Time) -> Plan {
        let tree = &self.tree;
        Plan::new(&self.config, &self.wanted, &|path| Ok(tree.get(path).cloned()), now)
            .expect("plan")
    }

    pub(crate) fn publish_at(&mut self, now: Time) {
        let mut plan = self.plan(now);
        plan.sign(&self.secrets).expect("signed");
        self.tree.extend(plan.into_files().expect("complete"));
        if self.config.prefix().expect("prefix").path().is_empty() {
            let said = publish::announcement(&self.config, Some(self.root_file())).expect("said");
            self.tree.insert(".well-known/image-names".to_owned(), said);
        }
    }

    pub(crate) fn publish(&mut self) {
        self.publish_at(NOW);
    }

    /// The first root, as others refer to it.
    pub(crate) fn root_file(&self) -> RootFile {
        let bytes = &self.tree["zone/metadata/1.root.json"];
        RootFile {
            version: 1,
            digest: Digest::of(Algorithm::Sha256, bytes),
            size: bytes.len() as u64,
        }
    }

    pub(crate) fn root_bytes(&self, version: u64) -> Vec<u8> {
        self.tree[&format!("zone/metadata/{version}.root.json")].clone()
    }

    pub(crate) fn place(&self) -> ZonePlace {
        self.config.place().expect("place")
    }

    /// Gives a part of its names to another zone.
    pub(crate) fn delegate(&mut self, rest: &str, other: &Owner) {
        self.wanted.cuts.insert(rest.to_owned(), (other.root_bytes(1), other.place()));
    }

    /// Replaces all keys.
    pub(crate) fn rotate(&mut self, seed: u8) {
        let new = Secret::new([seed; 32]);
        for role in ["root", "targets", "zones", "snapshot", "timestamp"] {
            self.config.rotate(role, &new, None).expect("rotated");
        }
        self.secrets.push(new);
    }
}

/// An entry of a list.
pub(crate) fn image(which: &str, text: &str) -> Descriptor {
    let mut entry = Descriptor::of(
        "application/vnd.oci.image.manifest.v1+json".into(),
        Algorithm::Sha256,
        text.as_bytes(),
    );
    entry.annotations.insert(REF_NAME.to_owned(), which.to_owned());
    entry
}

pub(crate) fn for_platform(which: &str, text: &str, platform: &str) -> Descriptor {
    Descriptor {
        platform: Some(platform.parse::<Platform>().expect("platform")),
        ..image(which, text)
    }
}

/// A client: what it remembers, and its rules.
#[derive(Default)]
pub(crate) struct Client {
    pub(crate) memory: Memory,
    pub(crate) rules: Rules,
    pub(crate) freshness: Freshness,
}

impl Client {
    pub(crate) fn at(&self, world: &World, name: &str, now: Time) -> Result<Resolution> {
        let name: Reference = name.parse()?;
        let resolver = Resolver {
            lookup: world,
            shelf: &self.memory,
            rules: &self.rules,
            now,
            freshness: self.freshness,
        };
        resolver.resolve(&name, None)
    }

    pub(crate) fn resolve(&self, world: &World, name: &str) -> Result<Resolution> {
        self.at(world, name, NOW)
    }
}

/// The error, with what it happened in.
pub(crate) fn told(result: Result<Resolution>) -> String {
    match result {
        Ok(found) => panic!("resolved to {} as {}", found.descriptor.digest, found.assurance),
        Err(error) => format!("{} {error} {}", error.code(), error.contexts().join("; ")),
    }
}

/// `example.com` with one image, and its child `example.com/team`.
pub(crate) fn two_zones() -> (World, Owner, Owner) {
    let mut owner = Owner::new("example.com", "https://oci.example.com/", 1);
    owner.list("org/app", vec![image("v1.0.0", "one"), image("latest", "one")]);
    let mut team = Owner::new("example.com/team", "https://images.team.example/", 50);
    team.list("app", vec![image("v2", "two")]);
    team.publish();
    owner.delegate("team", &team);
    owner.publish();
    let mut world = World::default();
    serve(&mut world, &owner, &team);
    (world, owner, team)
}

pub(crate) fn serve(world: &mut World, owner: &Owner, team: &Owner) {
    world.serve("https://oci.example.com/", &owner.tree);
    world.serve("https://images.team.example/", &team.tree);
    let said = owner.tree[".well-known/image-names"].clone();
    world.web.insert("https://example.com/.well-known/image-names".to_owned(), said);
}
