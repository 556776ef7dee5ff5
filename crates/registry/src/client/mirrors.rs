//! Repositories that are read in several places: mirrors first, in order, and
//! then where they are. What a mirror gives is proved as everything else is;
//! nothing is written to one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use plimsoll_content::{Code, Descriptor, Digest, Error, Result};

use super::Client;
use super::download::Place;
use super::remote::Remote;
use super::trail::{By, Resolution, Tried};
use crate::conf::{Route, Way};
use crate::protocol::{Address, Host, Image, Repository, Tag};

/// No mirror was chosen.
pub(super) const NONE: usize = usize::MAX;

/// Another place of a repository.
pub(super) struct Mirror {
    pub(super) remote: Remote,
    /// What is asked for, as it is called there.
    address: Option<Address>,
}

/// How a repository is called, and what was asked of it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The registry, as it was written.
    pub host: Host,
    /// The repository, as it was written.
    pub repository: Repository,
    /// The tag or digest, if an image is meant.
    pub address: Option<Address>,
    /// How it came to be asked for, if it was not by its whole name.
    pub called: Option<Called>,
}

/// A name that means an image of a registry.
#[derive(Clone, Debug)]
pub struct Called {
    /// The name, as it was written.
    pub name: String,
    /// How it came to mean that.
    pub by: Vec<By>,
    /// Where it was looked for before.
    pub tried: Vec<Tried>,
}

impl Client {
    /// A repository in the places of a route. Nothing is asked of it yet.
    ///
    /// Errors with [`Code::Malformed`] if the route leads to no repository.
    pub fn along(self: &Arc<Self>, asked: Asked, route: Route) -> Result<Remote> {
        let mut remote = self.at(&route.location, &asked)?;
        remote.there = route.location.address;
        let behind = remote.place();
        for way in route.mirrors {
            let mut mirror = self.at(&way, &asked)?;
            mirror.behind = Some(behind.clone());
            remote.mirrors.push(Mirror { remote: mirror, address: way.address });
        }
        remote.moved = route.moved;
        remote.trail = self.wire.options().trail.clone();
        remote.asked = Some(asked);
        Ok(remote)
    }

    fn at(self: &Arc<Self>, way: &Way, asked: &Asked) -> Result<Remote> {
        let Some(repository) = &way.repository else {
            return Err(Error::new(
                Code::Malformed,
                format!("looking for docker://{}/{}", asked.host, asked.repository),
            )
            .found(format!("{} in registries.conf, which is a whole registry", way.host))
            .expected("a place that is a repository"));
        };
        let client = if way.insecure { self.insecure_at(&way.host) } else { Arc::clone(self) };
        Ok(client.remote(way.host.clone(), repository.clone()))
    }
}

impl Remote {
    /// The mirror that had the image.
    pub(super) fn chosen(&self) -> Option<&Remote> {
        let mirror = self.mirrors.get(self.chosen.load(Ordering::Relaxed));
        mirror.map(|mirror| &mirror.remote)
    }

    pub(super) fn place(&self) -> Place {
        Place {
            client: Arc::clone(&self.client),
            host: self.host.clone(),
            name: self.name.clone(),
            scope: self.pull.clone(),
        }
    }

    /// What is asked for, as it is called where the repository is.
    pub(super) fn as_there<'a>(&'a self, address: &'a Address) -> &'a Address {
        match (&self.asked, &self.there) {
            (Some(Asked { address: Some(asked), .. }), Some(there)) if asked == address => there,
            _ => address,
        }
    }

    /// The same for a tag.
    pub(super) fn tag_there(&self, tag: Tag) -> Tag {
        match self.as_there(&Address::Tag(tag.clone())) {
            Address::Tag(there) => there.clone(),
            Address::Digest(_) => tag,
        }
    }

    /// What an address stands for, at the first place that has it.
    pub(super) fn look_up(&self, address: &Address) -> Result<Descriptor> {
        let asked = self.asked.as_ref().and_then(|asked| asked.address.as_ref()) == Some(address);
        let mut tried = Vec::new();
        for (at, mirror) in self.mirrors.iter().enumerate() {
            // Anything else is asked for where the image was.
            if !asked && at != self.chosen.load(Ordering::Relaxed) {
                continue;
            }
            let there = mirror.address.as_ref().filter(|_| asked).unwrap_or(address);
            match mirror.remote.manifest(there, None) {
                Ok((found, bytes)) => {
                    self.remember(&found.digest, &bytes);
                    if asked {
                        self.chosen.store(at, Ordering::Relaxed);
                        self.tell(&found.digest, shown(&mirror.remote, there), By::Mirror, tried);
                    }
                    return Ok(found);
                }
                Err(error) if stops(&error) => return Err(error),
                Err(error) => tried
                    .push(Tried { place: shown(&mirror.remote, there), error: error.to_string() }),
            }
        }
        let there = self.as_there(address);
        match self.manifest(there, None) {
            Ok((found, _)) => {
                if asked {
                    let by = if self.moved { By::Location } else { By::Registry };
                    self.tell(&found.digest, shown(self, there), by, tried);
                }
                Ok(found)
            }
            Err(error) => Err(tried.iter().fold(error, |error, Tried { place, error: why }| {
                error.tried(format!("the mirror {place}: {why}"))
            })),
        }
    }

    /// Keeps how a name was resolved, if it says more than the name itself.
    fn tell(&self, digest: &Digest, place: String, by: By, tried: Vec<Tried>) {
        let Some(asked) = &self.asked else { return };
        let called = match &asked.called {
            Some(called) => called.clone(),
            None if by == By::Registry && tried.is_empty() => return,
            None => {
                let image = Image {
                    host: asked.host.clone(),
                    repository: Some(asked.repository.clone()),
                    address: asked.address.clone(),
                };
                Called { name: format!("docker://{image}"), by: Vec::new(), tried: Vec::new() }
            }
        };
        let Called { name, by: mut ways, tried: mut before } = called;
        ways.push(by);
        before.extend(tried);
        let digest = digest.clone();
        self.trail.add(Resolution { name, digest, by: ways, place, tried: before });
    }
}

/// Errors that no other place makes good.
pub(super) fn stops(error: &Error) -> bool {
    matches!(error.code(), Code::Interrupted | Code::Offline)
}

fn shown(remote: &Remote, address: &Address) -> String {
    let joint = if matches!(address, Address::Tag(_)) { ":" } else { "@" };
    format!("docker://{}/{}{joint}{address}", remote.host, remote.name)
}
