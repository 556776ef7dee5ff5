//! Names without a scheme: what the local store has under one, or else what a
//! registry has. No registry is implied: a name begins with one, or the
//! settings of this machine say which.

use std::sync::{Arc, PoisonError};

use plimsoll_content::{Code, Error, Kind, Platform, Resolve, Result};
use plimsoll_name::Assurance;
use plimsoll_name::chain::{Authority, Resolution as Meaning, Way};
use plimsoll_registry::client::{By, Called, Resolution, Tried};
use plimsoll_registry::conf::{Conf, How};
use plimsoll_registry::protocol::Image;

use super::{Home, find};
use crate::naming::NamedPlace;
use crate::reference::{Reference, Which, has_registry};

impl Home {
    /// What the settings of this machine say of registries. They are read once,
    /// and when they are needed.
    pub(crate) fn conf(&self) -> Result<Arc<Conf>> {
        let mut conf = self.conf.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(conf) = &*conf {
            return Ok(Arc::clone(conf));
        }
        Ok(Arc::clone(conf.insert(Arc::new(self.settings.read()?))))
    }

    /// How names were resolved so far.
    pub fn resolutions(&self) -> Vec<Resolution> {
        self.trail.steps()
    }

    /// What a name stands for; other references stay as they are. A name that
    /// the local store has not and that means nothing else stays one.
    ///
    /// Errors with [`Code::NotFound`] if several registries were searched, and
    /// none has it.
    pub fn locate(&self, reference: &Reference) -> Result<Reference> {
        let Reference::Name { name, which } = reference else { return Ok(reference.clone()) };
        if let Some(reference) = self.locked(name)? {
            return Ok(reference);
        }
        if let Some(layout) = self.existing()? {
            match find(&layout.catalog()?, &layout, which) {
                Ok(entry) => {
                    self.trail.add(Resolution {
                        name: name.clone(),
                        digest: entry.descriptor.digest,
                        by: vec![By::Store],
                        place: format!("store at {}", self.store.display()),
                        tried: Vec::new(),
                    });
                    return Ok(Reference::Store { which: which.clone() });
                }
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.elsewhere(name)?.unwrap_or_else(|| reference.clone()))
    }

    /// What the lock file says of a name, whatever the local store calls so.
    fn locked(&self, name: &str) -> Result<Option<Reference>> {
        let Some(naming) = self.naming.as_ref().filter(|naming| naming.locked.is_some()) else {
            return Ok(None);
        };
        let Ok(reference) = name.parse::<plimsoll_name::Reference>() else { return Ok(None) };
        let Some(entry) = naming.lock_entry(&reference)? else { return Ok(None) };
        let which = Which::Digest(entry.descriptor.digest);
        if let Some(layout) = self.existing()?
            && find(&layout.catalog()?, &layout, &which).is_ok()
        {
            return Ok(Some(Reference::Store { which }));
        }
        self.by_owner(name)
    }

    /// What a name stands for in a registry, whatever the local store has.
    ///
    /// Errors with [`Code::Reference`] if it has no registry and the settings
    /// give it none.
    pub fn in_registry(&self, reference: &Reference) -> Result<Reference> {
        let Reference::Name { name, .. } = reference else { return Ok(reference.clone()) };
        self.elsewhere(name)?.ok_or_else(|| {
            Error::new(Code::Reference, format!("finding {name:?} in a registry"))
                .found("a name without a registry, and no alias and no registry to search for it in registries.conf")
                .expected("a whole name: HOST/REPOSITORY[:TAG]")
                .fix(format!("docker://docker.io/{name}   if Docker Hub is meant"))
        })
    }

    /// The registry that a name begins with, or that the settings give it.
    fn elsewhere(&self, name: &str) -> Result<Option<Reference>> {
        if self.client.is_none() {
            return Ok(None);
        }
        if has_registry(name) {
            if let Some(found) = self.by_owner(name)? {
                return Ok(Some(found));
            }
            // What is no name of a registry may be one of the store.
            let Ok(image) = name.parse::<Image>() else { return Ok(None) };
            return Ok(Some(self.meant(name, image, Vec::new(), Vec::new())));
        }
        let meanings = self.conf()?.meanings(name)?;
        let mut tried: Vec<Tried> = Vec::new();
        let mut first = None;
        for meaning in &meanings {
            let image: Image = meaning.name.parse()?;
            let by = match meaning.how {
                How::Alias => By::Alias,
                How::Search => By::Search,
            };
            if meanings.len() == 1 {
                return Ok(Some(self.meant(name, image, vec![by], tried)));
            }
            match self.has(&image) {
                Ok(()) => return Ok(Some(self.meant(name, image, vec![by], tried))),
                Err(error) if matches!(error.code(), Code::Interrupted | Code::Offline) => {
                    return Err(error);
                }
                Err(error) => {
                    let place = format!("docker://{}", meaning.name);
                    tried.push(Tried { place, error: error.to_string() });
                    // One that could not be asked may have it.
                    if error.kind() == Kind::Unavailable || first.is_none() {
                        first = Some(error.code());
                    }
                }
            }
        }
        let Some(code) = first else { return Ok(None) };
        let error = Error::new(code, format!("finding {name:?}"))
            .found("nothing in the local store, and in no registry that is searched");
        Err(tried.into_iter().fold(error, |error, Tried { place, error: why }| {
            error.tried(format!("{place}: {why}"))
        }))
    }

    /// What the owner of a domain says of a name, if he says anything: not if
    /// the settings of registries say where it is.
    fn by_owner(&self, name: &str) -> Result<Option<Reference>> {
        let Some(naming) = &self.naming else { return Ok(None) };
        let Ok(reference) = name.parse::<plimsoll_name::Reference>() else { return Ok(None) };
        if let Ok(image) = name.parse::<Image>() {
            let route = self.conf()?.route(&image.host, image.repository.as_ref(), None)?;
            if route.moved {
                return Ok(None);
            }
        }
        let canonical = reference.to_string();
        let known =
            self.resolved.lock().unwrap_or_else(PoisonError::into_inner).get(&canonical).cloned();
        if known.is_some() {
            return Ok(Some(Reference::Zone { name: canonical }));
        }
        let host = Platform::host();
        let Some(found) = naming.meaning(self, &reference, Some(&host))? else { return Ok(None) };
        self.trail.add(Resolution {
            name: name.to_owned(),
            digest: found.descriptor.digest.clone(),
            by: vec![By::Owner],
            place: format!("{}, {}", found.way.as_str(), found.assurance),
            tried: Vec::new(),
        });
        self.resolved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(canonical.clone(), Arc::new(found));
        Ok(Some(Reference::Zone { name: canonical }))
    }

    /// What the zones said of signatures when a name of a repository was resolved.
    pub(crate) fn resolved_below(&self, host: &str, repository: &str) -> Option<Authority> {
        let resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        // A lock file keeps zones, and not what they said.
        let found = resolved.values().find(|found| {
            found.way != Way::Lock
                && !found.zones.is_empty()
                && found.name.host.to_string() == host
                && found.name.path.as_str() == repository
        })?;
        Some(Authority { zones: found.zones.clone(), signers: found.signers.clone() })
    }

    /// What is left open about who says what a name means, if that is anything: not for
    /// places that are said, for what the local store or the lock file has, for digests, for
    /// zones whose root somebody vouches for, and where a rule of this machine says what
    /// assurance is enough.
    pub fn doubt(&self, reference: &Reference) -> Result<Option<String>> {
        let Reference::Name { name, .. } = reference else { return Ok(None) };
        let parsed = name.parse::<plimsoll_name::Reference>().ok();
        let assurance = match self.locate(reference)? {
            Reference::Registry { which: Which::Digest(_), .. } => return Ok(None),
            Reference::Registry { .. } => Assurance::Tls,
            Reference::Zone { name } => self.meaning_of(&name)?.assurance,
            _ => return Ok(None),
        };
        let ruled = self.naming.as_ref().zip(parsed).is_some_and(|(naming, parsed)| {
            naming.rules.rules.minimum_by_rule(&parsed).is_some_and(|minimum| assurance >= minimum)
        });
        if ruled || assurance >= Assurance::ZoneAnchored {
            return Ok(None);
        }
        let caveat = assurance.caveat().unwrap_or_default();
        Ok(Some(format!("{}: {caveat}", assurance.as_str())))
    }

    /// The content of a name that was resolved.
    pub(super) fn by_name(&self, name: &str) -> Result<NamedPlace> {
        let found = self.meaning_of(name)?;
        self.naming()?.place(self, &found)
    }

    fn meaning_of(&self, name: &str) -> Result<Arc<Meaning>> {
        let lost = || {
            Error::new(Code::Bug, format!("opening {name}")).found("a name that was not resolved")
        };
        let resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        let found = resolved.get(name).cloned();
        drop(resolved);
        if let Some(found) = found {
            return Ok(found);
        }
        self.by_owner(name)?;
        let resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        resolved.get(name).cloned().ok_or_else(lost)
    }

    fn has(&self, image: &Image) -> Result<()> {
        let Reference::Registry { host, repository, which } = Reference::from(image.clone()) else {
            return Ok(());
        };
        let which = which.or_latest();
        let remote = self.remote(&host, repository.as_ref(), &which)?;
        let address = match &which {
            Which::Digest(digest) => digest.to_string(),
            other => other.to_string(),
        };
        remote.resolve(&address).map(|_| ())
    }

    /// Remembers how a name came to mean an image, for those who open that.
    fn meant(&self, name: &str, image: Image, by: Vec<By>, tried: Vec<Tried>) -> Reference {
        let reference = Reference::from(image);
        let key = key(&reference);
        let mut meant = self.meant.lock().unwrap_or_else(PoisonError::into_inner);
        meant.insert(key, Called { name: name.to_owned(), by, tried });
        reference
    }

    /// How something came to be asked for, if it was by a name.
    pub(super) fn called(&self, reference: &Reference) -> Option<Called> {
        let meant = self.meant.lock().unwrap_or_else(PoisonError::into_inner);
        meant.get(&key(reference)).cloned()
    }
}

/// A reference as it is kept: no tag is `latest`.
fn key(reference: &Reference) -> String {
    match reference {
        Reference::Registry { host, repository, which } => {
            let (host, repository) = (host.clone(), repository.clone());
            Reference::Registry { host, repository, which: which.or_latest() }.to_string()
        }
        other => other.to_string(),
    }
}
