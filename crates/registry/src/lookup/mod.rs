//! What resolving a name has to ask the world: documents of the web, records
//! of the DNS, registries. What the answers mean is for `plimsoll-name`.

mod dns;

use std::sync::Arc;

use plimsoll_content::{Code, Descriptor, Error, Resolve, Result};
use plimsoll_name::lookup::{Ask, Got, Lookup, Texts};
use plimsoll_name::{Address, Host, Repository};

use crate::client::{Client, Remote, Wanted};
use crate::protocol::{self, Url};

pub use dns::Dns;

/// Gives a repository as the settings of this machine have it.
pub type Remotes<'a> = dyn Fn(&protocol::Host, &Repository, &str) -> Result<Remote> + Sync + 'a;

/// The world, through a client of registries and a server of the DNS.
pub struct World<'a> {
    /// Who speaks to web servers and registries.
    pub client: Arc<Client>,
    /// Who is asked for records; without it there are none.
    pub dns: Option<Dns>,
    /// Who opens repositories.
    pub remotes: &'a Remotes<'a>,
}

impl World<'_> {
    fn remote(
        &self,
        host: &Host,
        repository: &Repository,
        which: &str,
        named: bool,
    ) -> Result<Remote> {
        let host: protocol::Host = host.to_string().parse()?;
        if !named {
            self.client.discovered(&host);
        }
        (self.remotes)(&host, repository, which)
    }
}

impl Lookup for World<'_> {
    fn txt(&self, name: &str) -> Result<Texts> {
        match &self.dns {
            Some(dns) => dns.txt(name),
            None => Ok(Texts {
                security: plimsoll_name::record::Security::Insecure,
                texts: Vec::new(),
                ttl: 60,
            }),
        }
    }

    fn get(&self, ask: &Ask<'_>) -> Result<Option<Got>> {
        let query = ask.query.map(|query| format!("?{query}")).unwrap_or_default();
        let url = Url::parse(&format!("{}{query}", ask.address))?;
        let wanted = Wanted {
            url: &url,
            what: ask.what,
            accept: ask.accept,
            limit: ask.limit,
            named: ask.named,
            owner: ask.owner,
        };
        let Some(found) = self.client.document(&wanted)? else { return Ok(None) };
        // A query may stand behind a redirect; nothing is relative to it.
        let whole = found.url.whole();
        let address: Address = whole.split('?').next().unwrap_or_default().parse()?;
        Ok(Some(Got { bytes: found.bytes, address, max_age: found.max_age }))
    }

    fn manifest(
        &self,
        host: &Host,
        repository: &Repository,
        which: &str,
        named: bool,
    ) -> Result<Option<Descriptor>> {
        match self.remote(host, repository, which, named)?.resolve(which) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.code() == Code::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn tags(&self, host: &Host, repository: &Repository) -> Result<Vec<String>> {
        let remote = self.remote(host, repository, "latest", true)?;
        Ok(remote.tags()?.into_iter().map(|tag| tag.as_str().to_owned()).collect())
    }

    fn is_insecure(&self, host: &Host) -> bool {
        host.to_string().parse().is_ok_and(|host| self.client.is_insecure(&host))
    }
}

/// The error of the DNS.
fn wrong(name: &str, found: impl std::fmt::Display) -> Error {
    Error::new(Code::Network, format!("asking the DNS for {name}")).found(found)
}
