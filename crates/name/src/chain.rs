//! The chain of resolution (C.4): who is asked what a name means, in which
//! order, and what each answer is worth.
//!
//! Each step ends with an answer, with the certainty that there is none, or
//! with an error. Only that certainty leads on; an error ends the chain.

mod documents;
mod steps;

use std::collections::BTreeSet;

use plimsoll_content::{Code, Descriptor, Digest, Document, Error, Platform, Result};
use serde::{Deserialize, Serialize};

use crate::announcement::{CAS_TEMPLATE, Engine};
use crate::listing::{self, Listing};
use crate::lookup::{Counted, Lookup};
use crate::path::Prefix;
use crate::reference::Ref;
use crate::rules::Rules;
use crate::time::Time;
use crate::tuf::{Freshness, Shelf};
use crate::zone::Report;
use crate::{Address, Assurance, Host, Reference, Template};

/// The ref that is meant where none is written.
pub const DEFAULT_REF: &str = "latest";

/// With what names are resolved.
#[derive(Clone, Copy)]
pub struct Resolver<'a> {
    /// Who asks the world.
    pub lookup: &'a dyn Lookup,
    /// What is remembered.
    pub shelf: &'a dyn Shelf,
    /// The rules of this machine.
    pub rules: &'a Rules,
    /// The time.
    pub now: Time,
    /// Whether the world may be asked.
    pub freshness: Freshness,
}

/// What a name means.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// The name, in its canonical form.
    pub name: Reference,
    /// The image.
    pub descriptor: Descriptor,
    /// How strongly it is vouched for.
    pub assurance: Assurance,
    /// By which step of the chain.
    pub way: Way,
    /// The zones that vouch for it, outermost first.
    pub zones: Vec<Report>,
    /// Where the content is found, by digest; in the order of trying.
    pub cas: Vec<Template>,
    /// Repositories that have the content, in the order of trying.
    pub registries: Vec<(Host, String)>,
    /// What the zones say about signatures, outermost first.
    pub signers: Vec<(Prefix, Vec<u8>)>,
    /// What is listed beside the image because it is about images, such as
    /// signatures; `None` if only the registries can say it.
    pub attached: Option<Vec<Descriptor>>,
    /// What people should know.
    pub notes: Vec<String>,
    /// How many requests were made, and how many bytes of documents came.
    pub cost: (u64, u64),
}

/// Which step of the chain gave the answer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The digest was written.
    Digest,
    /// The lock file.
    Lock,
    /// A rule of this machine.
    Rules,
    /// A zone, found by a pin or by what was seen before.
    Zone,
    /// A zone, found by a record in the DNS.
    Dns,
    /// A document of the host.
    Announcement,
    /// A document of the host, or of one above it, as oci-discovery has it.
    RefEngines,
    /// A page of the host, as AppC has it.
    Page,
    /// The registry at the host.
    Registry,
}

impl Way {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Digest => "the digest that was written",
            Self::Lock => "names.lock",
            Self::Rules => "a rule of this machine",
            Self::Zone => "the zone that is pinned",
            Self::Dns => "the zone that the DNS names",
            Self::Announcement => "what the host publishes at /.well-known/image-names",
            Self::RefEngines => "what the host publishes at /.well-known/oci-host-ref-engines",
            Self::Page => "tags of a page of the host",
            Self::Registry => "the registry at that host",
        }
    }
}

/// Everything that is known of a repository before one image is chosen.
#[derive(Clone, Debug)]
pub struct Repository {
    /// The images, if there is a list of them.
    pub listing: Option<Document<Listing>>,
    /// The tags of a registry, if that is all there is.
    pub tags: Vec<String>,
    /// The rest, with the descriptor left to choose.
    pub found: Found,
}

/// What was found out about a repository, whichever image is meant.
#[derive(Clone, Debug)]
pub struct Found {
    /// How strongly it is vouched for.
    pub assurance: Assurance,
    /// By which step of the chain.
    pub way: Way,
    /// The zones that vouch for it.
    pub zones: Vec<Report>,
    /// What people should know.
    pub notes: Vec<String>,
    cas: Vec<Template>,
    registries: Vec<(Host, String)>,
    signers: Vec<(Prefix, Vec<u8>)>,
    attached: Option<Vec<Descriptor>>,
    /// Where the list was found, for templates in it.
    base: Option<Address>,
}

impl Found {
    fn new(assurance: Assurance, way: Way) -> Self {
        Self {
            assurance,
            way,
            zones: Vec::new(),
            notes: Vec::new(),
            cas: Vec::new(),
            registries: Vec::new(),
            signers: Vec::new(),
            attached: None,
            base: None,
        }
    }

    /// Keeps what a list has about images. One that stands for a registry says
    /// nothing of that.
    fn attached_of(&mut self, list: &Listing) {
        self.attached = self.registries.is_empty().then(|| list.attached());
    }
}

/// One step's answer.
#[allow(clippy::large_enum_variant, reason = "there is one of it at a time")]
enum Step {
    Listing(Document<Listing>, Found),
    One(Descriptor, Found),
}

/// What the zones of a name say of signatures.
#[derive(Clone, Debug)]
pub struct Authority {
    /// The zones that vouch for it, outermost first.
    pub zones: Vec<Report>,
    /// What they say (D6), by the zone.
    pub signers: Vec<(Prefix, Vec<u8>)>,
}

impl Resolver<'_> {
    /// What the zones of a name say of signatures, whether they list that name or
    /// not; `None` if it has none.
    ///
    /// Errors with [`Code::Assurance`] if they are vouched for more weakly than
    /// the rules demand.
    pub fn authority(&self, name: &Reference) -> Result<Option<Authority>> {
        let counted = Counted::new(self.lookup);
        let chain = Chain { lookup: &counted, zones_only: true, ..Chain::of(self, name) };
        let doing =
            |error: Error| error.context(format!("asking whose signatures of {name} count"));
        self.rules.check(name).map_err(doing)?;
        let Some(Step::Listing(_, found)) = chain.step(None).map_err(doing)? else {
            return Ok(None);
        };
        self.strong(name, found.assurance)?;
        Ok(Some(Authority { zones: found.zones, signers: found.signers }))
    }

    /// What a name means.
    ///
    /// Errors with [`Code::NotFound`] if it is certain that there is nothing
    /// under it, and with [`Code::Assurance`] if it is vouched for more weakly
    /// than the rules demand.
    pub fn resolve(&self, name: &Reference, platform: Option<&Platform>) -> Result<Resolution> {
        let counted = Counted::new(self.lookup);
        let chain = Chain { lookup: &counted, ..Chain::of(self, name) };
        let found =
            chain.resolve(platform).and_then(|found| found.ok_or_else(|| chain.absent(None)));
        let found = found.map_err(|error| error.context(format!("resolving {name}")))?;
        self.enough(name, found, &counted)
    }

    /// Refuses what is vouched for more weakly than the rules demand.
    fn enough(
        &self,
        name: &Reference,
        found: Resolution,
        cost: &Counted<'_>,
    ) -> Result<Resolution> {
        self.strong(name, found.assurance)?;
        Ok(Resolution { cost: (cost.requests(), cost.bytes()), ..found })
    }

    fn strong(&self, name: &Reference, assurance: Assurance) -> Result<()> {
        let (minimum, from) = self.rules.minimum(name);
        if assurance < minimum {
            return Err(Error::new(Code::Assurance, format!("resolving {name}"))
                .found(format!("assurance {assurance}"))
                .expected(format!("at least {minimum}, as {from} demands")));
        }
        Ok(())
    }

    /// The same, unless only the registry at the host could say it: that is
    /// `None`, and it was not asked.
    pub fn discover(
        &self,
        name: &Reference,
        platform: Option<&Platform>,
    ) -> Result<Option<Resolution>> {
        let counted = Counted::new(self.lookup);
        let chain = Chain { lookup: &counted, registries: false, ..Chain::of(self, name) };
        let found =
            chain.resolve(platform).map_err(|error| error.context(format!("resolving {name}")))?;
        found.map(|found| self.enough(name, found, &counted)).transpose()
    }

    /// All images under a name.
    pub fn list(&self, name: &Reference) -> Result<Repository> {
        let counted = Counted::new(self.lookup);
        let chain = Chain { lookup: &counted, ..Chain::of(self, name) };
        chain.list().map_err(|error| error.context(format!("resolving {name}")))
    }
}

struct Chain<'a> {
    lookup: &'a dyn Lookup,
    shelf: &'a dyn Shelf,
    rules: &'a Rules,
    now: Time,
    freshness: Freshness,
    name: &'a Reference,
    /// Whether the registry at the host is asked.
    registries: bool,
    /// Whether only zones are of interest.
    zones_only: bool,
}

impl<'a> Chain<'a> {
    fn of(resolver: &Resolver<'a>, name: &'a Reference) -> Self {
        Self {
            lookup: resolver.lookup,
            shelf: resolver.shelf,
            rules: resolver.rules,
            now: resolver.now,
            freshness: resolver.freshness,
            name,
            registries: true,
            zones_only: false,
        }
    }

    fn offline(&self) -> bool {
        self.freshness != Freshness::Online
    }

    /// `None` is a name of which nothing is said.
    fn resolve(&self, platform: Option<&Platform>) -> Result<Option<Resolution>> {
        self.rules.check(self.name)?;
        let which = self.which()?;
        if let Some(digest) = &self.name.digest {
            return self.by_digest(digest, &which, platform);
        }
        let step = self.step(Some(&which))?;
        step.map(|step| self.choose(step, &which, platform)).transpose()
    }

    fn which(&self) -> Result<Ref> {
        match &self.name.which {
            Some(which) => Ok(which.clone()),
            None => DEFAULT_REF.parse(),
        }
    }

    /// The image out of what a step found.
    fn choose(&self, step: Step, which: &Ref, platform: Option<&Platform>) -> Result<Resolution> {
        let (descriptor, mut found) = match step {
            Step::One(descriptor, found) => (descriptor, found),
            Step::Listing(list, found) => {
                let entry = list.select(which, &self.name.labels, platform)?;
                let entry = entry.ok_or_else(|| self.absent(Some(&list)))?.clone();
                let base = found.base.clone();
                let mut found = found;
                found.attached_of(&list);
                if let Some(base) = base {
                    let engines = listing::engines_of(&entry);
                    let mut cas = templates(&engines, &base)?;
                    cas.append(&mut found.cas);
                    found.cas = cas;
                }
                (entry, found)
            }
        };
        found.notes.extend(self.name.warnings());
        let mut registries = Vec::new();
        for (host, repository, _) in self.rules.mirrors(self.name)? {
            registries.push((host, repository.to_string()));
        }
        registries.append(&mut found.registries);
        let own = (self.name.host.clone(), self.name.path.to_string());
        if !registries.contains(&own) {
            registries.push(own);
        }
        Ok(Resolution {
            name: self.name.clone(),
            descriptor,
            assurance: found.assurance,
            way: found.way,
            zones: found.zones,
            cas: found.cas,
            registries,
            signers: found.signers,
            attached: found.attached,
            notes: found.notes,
            cost: (0, 0),
        })
    }

    /// A digest decides by itself; the rest of the chain says where the content
    /// is, and whether the ref that was written as well still means it.
    fn by_digest(
        &self,
        digest: &Digest,
        which: &Ref,
        platform: Option<&Platform>,
    ) -> Result<Option<Resolution>> {
        let step = match self.step(self.name.which.as_ref()) {
            Ok(step) => step,
            // The host may be gone and the content elsewhere.
            Err(error) if self.offline() => return Err(error),
            Err(error) if error.code() == Code::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut notes = Vec::new();
        let (descriptor, mut found) = match step {
            Some(Step::Listing(list, mut found)) => {
                found.attached_of(&list);
                let entry = list.manifests.iter().find(|entry| entry.digest == *digest).cloned();
                if self.name.which.is_some() {
                    match list.select(which, &self.name.labels, platform) {
                        Ok(Some(now)) if now.digest == *digest => {}
                        Ok(Some(now)) => {
                            notes.push(format!("{which} stands for {} by now", now.digest));
                        }
                        Ok(None) => notes.push(format!("{which} stands for nothing any more")),
                        Err(error) => notes.push(error.to_string()),
                    }
                }
                (entry, found)
            }
            Some(Step::One(descriptor, found)) => {
                if descriptor.digest == *digest {
                    (Some(descriptor), found)
                } else {
                    notes.push(format!("{which} stands for {} by now", descriptor.digest));
                    (None, found)
                }
            }
            None if !self.registries => return Ok(None),
            None => (None, Found::new(Assurance::Digest, Way::Digest)),
        };
        let descriptor = match descriptor {
            Some(descriptor) => descriptor,
            None => self.descriptor_of(digest, &found)?,
        };
        found.assurance = Assurance::Digest;
        found.way = Way::Digest;
        found.notes.extend(notes);
        self.choose(Step::One(descriptor, found), which, platform).map(Some)
    }

    /// The descriptor of a manifest of which only the digest is known.
    fn descriptor_of(&self, digest: &Digest, found: &Found) -> Result<Descriptor> {
        let algorithm = digest.computable("a manifest")?;
        if self.offline() {
            return Err(self.unknown_offline());
        }
        for template in &found.cas {
            let Some(base) = found.base.as_ref() else { break };
            let address = expand(template, base, digest)?;
            let ask = self.ask(&address, "a manifest", "*/*", listing::LIMIT, None);
            let Some(got) = self.lookup.get(&ask)? else { continue };
            if Digest::of(algorithm, &got.bytes) != *digest {
                continue;
            }
            let media_type = serde_json::from_slice::<serde_json::Value>(&got.bytes)
                .ok()
                .and_then(|value| value.get("mediaType")?.as_str().map(str::to_owned))
                .unwrap_or_else(|| "application/vnd.oci.image.manifest.v1+json".to_owned());
            return Ok(Descriptor::new(
                media_type.as_str().into(),
                digest.clone(),
                got.bytes.len() as u64,
            ));
        }
        let mut places = self.rules.mirrors(self.name)?;
        for (host, path) in &found.registries {
            places.push((host.clone(), path.parse()?, false));
        }
        places.push((self.name.host.clone(), self.name.path.clone(), false));
        for (host, path, _) in places {
            let named = host == self.name.host;
            if let Some(found) = self.lookup.manifest(&host, &path, &digest.to_string(), named)? {
                return Ok(found);
            }
        }
        Err(self.absent(None))
    }

    fn list(&self) -> Result<Repository> {
        self.rules.check(self.name)?;
        match self.step(None)?.ok_or_else(|| self.absent(None))? {
            Step::Listing(list, found) => {
                Ok(Repository { listing: Some(list), tags: Vec::new(), found })
            }
            Step::One(_, found) => {
                let (host, path) = match found.registries.first() {
                    Some((host, path)) => (host.clone(), path.parse()?),
                    None => (self.name.host.clone(), self.name.path.clone()),
                };
                let tags = self.lookup.tags(&host, &path)?;
                Ok(Repository { listing: None, tags, found })
            }
        }
    }

    fn absent(&self, list: Option<&Document<Listing>>) -> Error {
        let error = Error::new(Code::NotFound, format!("looking for {}", self.name));
        let Some(list) = list else {
            return error.found("nothing").expected("an image under that name");
        };
        let refs: BTreeSet<_> = list.refs().into_iter().collect();
        let shown: Vec<_> = refs.iter().take(10).copied().collect();
        let more = if refs.len() > shown.len() { ", …" } else { "" };
        error
            .found(format!("refs {}{more}", shown.join(", ")))
            .expected("one of that name, platform and labels")
            .fix(format!("plimsoll resolve --all {}", self.name.name()))
    }

    fn unknown_offline(&self) -> Error {
        Error::new(Code::NotFound, format!("looking for {} without a network", self.name))
            .found("nothing that is remembered")
            .expected("a zone that was read before, or names.lock")
    }
}

/// The templates of blobs among engines.
fn templates(engines: &[Engine], base: &Address) -> Result<Vec<Template>> {
    let all = engines.iter().map(|engine| engine.template(CAS_TEMPLATE, base));
    Ok(all.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Where a template has the content of a digest.
pub fn expand(template: &Template, base: &Address, digest: &Digest) -> Result<Address> {
    let (whole, encoded) = (digest.to_string(), digest.encoded());
    let algorithm = digest.algorithm_name();
    template.expand(
        base,
        &[("digest", whole.as_str()), ("algorithm", algorithm), ("encoded", encoded.as_str())],
    )
}
