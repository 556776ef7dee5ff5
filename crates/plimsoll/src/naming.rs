//! Names on this machine: its rules (`names.toml`), what it remembers, whom it
//! asks, and where the content of what a name means is had from.

mod export;
mod folder;
mod named;
mod settings;
mod zone;

use std::path::PathBuf;
use std::sync::Arc;

use plimsoll_content::{Platform, Result};
use plimsoll_name::appc;
use plimsoll_name::chain::{Repository, Resolution, Resolver};
use plimsoll_name::dns::Anchor;
use plimsoll_name::lock::{Lock, Locked};
use plimsoll_name::lookup::{Ask, Got, Lookup, Texts};
use plimsoll_name::memory::{self, Known};
use plimsoll_name::record::Security;
use plimsoll_name::time::Time;
use plimsoll_name::tuf::Freshness;
use plimsoll_name::{Address, Host, Prefix, Reference};
use plimsoll_registry::client::Blobs;
use plimsoll_registry::lookup::{Dns, World};

use crate::place::Home;

pub use export::Exported;
pub use folder::Folder;
pub(crate) use named::Attached;
pub use named::NamedPlace;
pub use settings::{NameRules, Site, nameservers};
pub use zone::{Checked, Published, Zone};

/// With what names are resolved here.
#[derive(Clone, Debug)]
pub struct Naming {
    /// The rules.
    pub rules: NameRules,
    /// Where it is remembered what was seen.
    pub state: PathBuf,
    /// The servers of the DNS.
    pub nameservers: Vec<core::net::SocketAddr>,
    /// The time.
    pub now: Time,
    /// Whether the world may be asked.
    pub freshness: Freshness,
    /// If set, names mean what stands there, and nobody is asked.
    pub locked: Option<Arc<Lock>>,
}

impl Naming {
    fn shelf(&self) -> Folder {
        Folder::new(self.state.clone())
    }

    /// What a name means.
    pub fn resolve(
        &self,
        home: &Home,
        name: &Reference,
        platform: Option<&Platform>,
    ) -> Result<Resolution> {
        self.with(home, |resolver| resolver.resolve(name, platform))
    }

    /// The same, unless only the registry at the host could say it.
    pub(crate) fn discover(
        &self,
        home: &Home,
        name: &Reference,
        platform: Option<&Platform>,
    ) -> Result<Option<Resolution>> {
        self.with(home, |resolver| resolver.discover(name, platform))
    }

    /// What a name means, by the lock file if there is one, or by its owner;
    /// nothing if only the registry at the host can say it.
    pub(crate) fn meaning(
        &self,
        home: &Home,
        name: &Reference,
        platform: Option<&Platform>,
    ) -> Result<Option<Resolution>> {
        match self.lock_entry(name)? {
            Some(locked) => Ok(Some(locked.meaning(name)?)),
            None => self.discover(home, name, platform),
        }
    }

    /// Where the content is of what a name means.
    pub(crate) fn place(&self, home: &Home, found: &Resolution) -> Result<NamedPlace> {
        let client = home.registries()?;
        let mut remotes = Vec::new();
        for (host, path) in &found.registries {
            let registry: plimsoll_registry::protocol::Host = host.to_string().parse()?;
            if *host != found.name.host {
                client.discovered(&registry);
            }
            let which = crate::reference::Which::Digest(found.descriptor.digest.clone());
            remotes.push(home.remote(&registry, Some(&path.parse()?), &which)?);
        }
        let blobs =
            Blobs::new(Arc::clone(client), found.cas.clone(), found.name.host.clone(), remotes);
        Ok(NamedPlace {
            name: found.name.to_string(),
            root: found.descriptor.clone(),
            templates: found.cas.clone(),
            sites: self.rules.sites.clone(),
            blobs,
            base: Address::new(found.name.host.clone(), "/")?,
            attached: found.attached.clone(),
        })
    }

    /// All images under a name.
    pub fn list(&self, home: &Home, name: &Reference) -> Result<Repository> {
        self.with(home, |resolver| resolver.list(name))
    }

    /// Where the archive of an App container image is, as pages at the name say.
    pub fn archive(
        &self,
        home: &Home,
        name: &Reference,
        platform: &Platform,
    ) -> Result<Option<appc::Archive>> {
        self.rules.rules.check(name)?;
        self.with(home, |resolver| appc::discover(resolver.lookup, name, platform))
    }

    /// What the lock file says of a name.
    pub fn lock_entry(&self, name: &Reference) -> Result<Option<Locked>> {
        self.locked.as_ref().map(|lock| lock.find(name).cloned()).transpose()
    }

    /// All zones that are known here.
    pub fn known(&self) -> Result<Vec<Known>> {
        memory::all(&self.shelf())
    }

    /// Forgets what is known of a prefix: the next look-up is as the first.
    pub fn forget(&self, prefix: &Prefix) -> Result<Vec<Prefix>> {
        memory::forget(&self.shelf(), prefix)
    }

    pub(crate) fn with<T>(
        &self,
        home: &Home,
        act: impl FnOnce(&Resolver<'_>) -> Result<T>,
    ) -> Result<T> {
        self.with_lookup(home, &self.shelf(), None, act)
    }

    fn with_lookup<T>(
        &self,
        home: &Home,
        shelf: &Folder,
        record: Option<&export::Record>,
        act: impl FnOnce(&Resolver<'_>) -> Result<T>,
    ) -> Result<T> {
        let remotes = |host: &_, repository: &_, which: &str| {
            let which = crate::reference::Which::Name(which.to_owned());
            home.remote(host, Some(repository), &which)
        };
        let offline = self.freshness != Freshness::Online;
        let world = World {
            client: Arc::clone(home.registries()?),
            dns: Some(Dns {
                servers: either(&self.rules.servers, || self.nameservers.clone()),
                anchors: either(&self.rules.anchors, Anchor::root),
                now: self.now,
                offline,
            })
            .filter(|dns| self.rules.dns && !dns.servers.is_empty()),
            remotes: &remotes,
        };
        let lookup = &Sites { world: &world, sites: &self.rules.sites, record };
        act(&Resolver {
            lookup,
            shelf,
            rules: &self.rules.rules,
            now: self.now,
            freshness: self.freshness,
        })
    }
}

/// What the rules say, or else what holds everywhere.
fn either<T: Clone>(said: &[T], others: impl FnOnce() -> Vec<T>) -> Vec<T> {
    if said.is_empty() { others() } else { said.to_vec() }
}

/// The world, but for the addresses that folders of this machine stand for.
struct Sites<'a> {
    world: &'a World<'a>,
    sites: &'a [Site],
    /// Where what was found is kept, for export.
    record: Option<&'a export::Record>,
}

impl Sites<'_> {
    fn note(&self, address: &Address, got: Option<Got>) -> Result<Option<Got>> {
        if let (Some(record), Some(got)) = (self.record, &got) {
            record.keep(address, &got.bytes)?;
        }
        Ok(got)
    }
}

impl Lookup for Sites<'_> {
    fn txt(&self, name: &str) -> Result<Texts> {
        // A host that a folder stands for has no other voice.
        let host = name.strip_prefix("_image-names.").unwrap_or(name);
        let here = self.sites.iter().any(|site| site.base.host().domain_name() == Some(host));
        if here {
            return Ok(Texts { security: Security::Insecure, texts: Vec::new(), ttl: 60 });
        }
        self.world.txt(name)
    }

    fn get(&self, ask: &Ask<'_>) -> Result<Option<Got>> {
        for site in self.sites {
            if let Some(mut path) = site.path(ask.address) {
                // A page of a folder, as web servers have it.
                if ask.query.is_some() && path.is_dir() {
                    path = path.join("index.html");
                }
                let bytes = folder::read(&path, ask.limit)?;
                let got = bytes.map(|bytes| Got {
                    bytes,
                    address: ask.address.clone(),
                    max_age: Some(0),
                });
                return self.note(ask.address, got);
            }
        }
        let got = self.world.get(ask)?;
        self.note(ask.address, got)
    }

    fn manifest(
        &self,
        host: &Host,
        repository: &plimsoll_name::Repository,
        which: &str,
        named: bool,
    ) -> Result<Option<plimsoll_content::Descriptor>> {
        self.world.manifest(host, repository, which, named)
    }

    fn tags(&self, host: &Host, repository: &plimsoll_name::Repository) -> Result<Vec<String>> {
        self.world.tags(host, repository)
    }

    fn is_insecure(&self, host: &Host) -> bool {
        self.world.is_insecure(host)
    }
}
