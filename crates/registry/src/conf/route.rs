//! What the settings mean for one repository: where it is read, and where it
//! is written.

use plimsoll_content::{Code, Error, Result};

use super::{Conf, Mirror, Pull, Rule};
use crate::protocol::{Address, Host, Image, Repository};

/// One place of a repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Way {
    /// The registry.
    pub host: Host,
    /// The repository there; `None` if the registry as a whole is meant.
    pub repository: Option<Repository>,
    /// What was asked for, as it is called there; `None` if nothing was.
    pub address: Option<Address>,
    /// Whether it may be spoken to in the clear, and its certificate is not
    /// checked.
    pub insecure: bool,
}

/// All places of a repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// Where it is looked for first, in order. Nothing is written there.
    pub mirrors: Vec<Way>,
    /// Where it is.
    pub location: Way,
    /// Whether that is another place than its name says.
    pub moved: bool,
}

impl Conf {
    /// The places of a repository, or of a registry as a whole. Mirrors are
    /// among them if an image is asked for, and only those that may be asked
    /// for it.
    ///
    /// Errors with [`Code::Blocked`] if nobody may speak to it, and with
    /// [`Code::Malformed`] if the settings make no name of this one.
    pub fn route(
        &self,
        host: &Host,
        repository: Option<&Repository>,
        asked: Option<&Address>,
    ) -> Result<Route> {
        let name = written(host, repository, asked);
        let plain = Way {
            host: host.clone(),
            repository: repository.cloned(),
            address: asked.cloned(),
            insecure: false,
        };
        let Some((prefix, length, rule)) = self.rule(&name) else {
            return Ok(Route { mirrors: Vec::new(), location: plain, moved: false });
        };
        if rule.blocked {
            return Err(Error::new(Code::Blocked, format!("speaking to docker://{name}"))
                .found(format!("{prefix:?}, which the settings of this machine block"))
                .expected("a registry that is not blocked in registries.conf"));
        }
        let rest = &name[length..];
        let location = match &rule.location {
            None => Way { insecure: rule.insecure, ..plain },
            Some(place) => way(place, rest, rule.insecure, &name)?,
        };
        let wanted = |mirror: &&Mirror| match (mirror.pull, asked) {
            (_, None) => false,
            (Pull::All, _) => true,
            (Pull::Digests, Some(asked)) => matches!(asked, Address::Digest(_)),
            (Pull::Tags, Some(asked)) => matches!(asked, Address::Tag(_)),
        };
        let mirrors = rule.mirrors.iter().filter(wanted);
        let mirrors: Vec<_> = mirrors
            .map(|mirror| way(&mirror.location, rest, mirror.insecure, &name))
            .collect::<Result<_>>()?;
        let moved = location.host != *host || location.repository.as_ref() != repository;
        Ok(Route { mirrors, location, moved })
    }

    /// The rule with the longest prefix of a name, and how long that is.
    fn rule(&self, name: &str) -> Option<(&str, usize, &Rule)> {
        let matching = self
            .rules
            .iter()
            .filter_map(|(prefix, rule)| Some((prefix.as_str(), matches(name, prefix)?, rule)));
        // Of a wildcard and a name, the name is the closer one; of two wildcards
        // the longer one.
        matching.max_by_key(|(prefix, length, _)| (*length, !prefix.starts_with('*'), prefix.len()))
    }
}

/// `HOST/REPOSITORY:TAG` or `@DIGEST`, as prefixes are held against it.
fn written(host: &Host, repository: Option<&Repository>, asked: Option<&Address>) -> String {
    let mut name =
        if host.is_docker_hub() { "docker.io".to_owned() } else { host.as_str().to_owned() };
    if let Some(repository) = repository {
        name.push('/');
        name.push_str(repository.as_str());
        match asked {
            Some(Address::Tag(tag)) => name.push_str(&format!(":{tag}")),
            Some(Address::Digest(digest)) => name.push_str(&format!("@{digest}")),
            None => {}
        }
    }
    name
}

/// How long the part of `name` is that `prefix` stands for.
fn matches(name: &str, prefix: &str) -> Option<usize> {
    let host = name.split('/').next().unwrap_or(name);
    if let Some(domain) = prefix.strip_prefix('*') {
        // Any port: the domain is meant. An address in brackets has none.
        let end =
            if host.starts_with('[') { host.len() } else { host.find(':').unwrap_or(host.len()) };
        let subdomain = host[..end].strip_suffix(domain)?;
        return (!subdomain.is_empty()).then_some(end);
    }
    let rest = name.strip_prefix(prefix)?;
    let ends = if prefix.contains('/') {
        rest.is_empty() || rest.starts_with(['/', ':', '@'])
    } else {
        // Another port is another registry.
        rest.is_empty() || rest.starts_with('/')
    };
    ends.then_some(prefix.len())
}

/// The name below another place.
fn way(place: &str, rest: &str, insecure: bool, name: &str) -> Result<Way> {
    let image: Image = format!("{place}{rest}").parse().map_err(|error: Error| {
        error
            .recode(Code::Malformed)
            .context(format!("looking for docker://{name} at {place}, as registries.conf has it"))
    })?;
    Ok(Way { host: image.host, repository: image.repository, address: image.address, insecure })
}
