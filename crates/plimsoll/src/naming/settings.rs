//! `names.toml`: the rules of this machine.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Error, Result};
use plimsoll_name::Address;
use plimsoll_name::dns::Anchor;
use plimsoll_name::rules::{Mirror, Rule, Rules};
use plimsoll_registry::conf::parse_toml;
use serde::Deserialize;

use super::folder;

/// The largest file of rules.
const LIMIT: u64 = 4 << 20;

/// What `names.toml` says.
#[derive(Clone, Debug)]
pub struct NameRules {
    /// What is pinned, mirrored, demanded and blocked.
    pub rules: Rules,
    /// Folders that stand for addresses.
    pub sites: Vec<Site>,
    /// Addresses of hosts, which the DNS is not asked for.
    pub hosts: BTreeMap<String, SocketAddr>,
    /// Whether the DNS is asked for records.
    pub dns: bool,
    /// The servers that are asked, instead of those of this machine.
    pub servers: Vec<SocketAddr>,
    /// The keys of the root of the DNS, instead of those that everybody has.
    pub anchors: Vec<Anchor>,
}

impl Default for NameRules {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            sites: Vec::new(),
            hosts: BTreeMap::new(),
            dns: true,
            servers: Vec::new(),
            anchors: Vec::new(),
        }
    }
}

/// A folder of this machine that stands for an address: what is published
/// there is read from it.
#[derive(Clone, Debug)]
pub struct Site {
    /// The address.
    pub base: Address,
    /// The folder.
    pub folder: PathBuf,
}

impl Site {
    /// The file that stands for an address, if it is below that of the site.
    pub fn path(&self, address: &Address) -> Option<PathBuf> {
        if address.host() != self.base.host() {
            return None;
        }
        let base = self.base.path().trim_end_matches('/');
        let rest = address.path().strip_prefix(base)?.strip_prefix('/')?;
        // An address has no `..`; what is coded in it stays coded.
        Some(self.folder.join(rest))
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    dns: Option<DnsRule>,
    #[serde(default)]
    prefix: Vec<PrefixRule>,
    #[serde(default)]
    host: Vec<HostRule>,
    #[serde(default)]
    site: Vec<SiteRule>,
}

/// `dns = false`, or a table of how it is asked.
#[derive(Deserialize)]
#[serde(untagged)]
enum DnsRule {
    Asked(bool),
    How(DnsTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DnsTable {
    #[serde(default)]
    servers: Vec<String>,
    #[serde(default)]
    anchors: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrefixRule {
    r#match: String,
    root: Option<String>,
    zone: Option<String>,
    min: Option<String>,
    blocked: Option<bool>,
    #[serde(default)]
    mirrors: Vec<String>,
    #[serde(default)]
    resolve: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostRule {
    name: String,
    address: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SiteRule {
    base: String,
    folder: PathBuf,
}

impl NameRules {
    /// Reads the file at a path; one that is not there says nothing.
    pub fn read(path: &Path) -> Result<Self> {
        let Some(bytes) = folder::read(path, LIMIT)? else { return Ok(Self::default()) };
        let shown = path.display().to_string();
        Self::parse(&bytes, &shown, path.parent().unwrap_or(Path::new(".")))
            .map_err(|error| error.context(format!("reading {shown}")))
    }

    /// Reads rules. Folders in it are relative to `folder`.
    pub fn parse(bytes: &[u8], from: &str, folder: &Path) -> Result<Self> {
        let value = parse_toml(bytes, from)?;
        let file: File = serde_json::from_value(value).map_err(|cause| {
            Error::new(Code::Malformed, "reading the rules of names").found(&cause).cause(cause)
        })?;
        let mut rules = Rules::default();
        for rule in file.prefix {
            let mut mirrors = Vec::new();
            for (list, resolve) in [(&rule.resolve, true), (&rule.mirrors, false)] {
                for text in list {
                    mirrors.push(mirror(text, resolve)?);
                }
            }
            rules.rules.push(Rule {
                // `*` is all names.
                prefix: if rule.r#match == "*" { None } else { Some(rule.r#match.parse()?) },
                root: rule.root.map(|text| text.parse()).transpose()?,
                zone: rule.zone.map(|text| text.parse()).transpose()?,
                minimum: rule.min.map(|text| text.parse()).transpose()?,
                blocked: rule.blocked,
                mirrors,
                from: from.to_owned(),
            });
        }
        let mut hosts = BTreeMap::new();
        for host in file.host {
            let address = host.address.parse().map_err(|_| {
                Error::new(Code::Malformed, format!("reading the address of {}", host.name))
                    .found(format!("{:?}", host.address))
                    .expected("an address with a port, as in 127.0.0.1:8443")
            })?;
            hosts.insert(host.name.to_ascii_lowercase(), address);
        }
        let mut sites = Vec::new();
        for site in file.site {
            sites.push(Site { base: site.base.parse()?, folder: folder.join(site.folder) });
        }
        let (dns, table) = match file.dns {
            None => (true, None),
            Some(DnsRule::Asked(asked)) => (asked, None),
            Some(DnsRule::How(table)) => (true, Some(table)),
        };
        let (servers, anchors) = match table {
            None => (Vec::new(), Vec::new()),
            Some(DnsTable { servers, anchors }) => (
                servers.iter().map(|text| server(text)).collect::<Result<_>>()?,
                anchors.iter().map(|text| text.parse()).collect::<Result<_>>()?,
            ),
        };
        Ok(Self { rules, sites, hosts, dns, servers, anchors })
    }
}

/// A server of the DNS: an address, with or without a port.
fn server(text: &str) -> Result<SocketAddr> {
    let plain = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    text.parse().or_else(|_| plain()).map_err(|_| {
        Error::new(Code::Malformed, "reading the servers of the DNS")
            .found(format!("{text:?}"))
            .expected("addresses, as in 10.0.0.53 or 127.0.0.1:5353")
    })
}

fn mirror(text: &str, resolve: bool) -> Result<Mirror> {
    let rest = text.strip_prefix("docker://").unwrap_or(text);
    let (host, base) = rest.split_once('/').unwrap_or((rest, ""));
    Ok(Mirror { host: host.parse()?, base: base.trim_end_matches('/').to_owned(), resolve })
}

/// The servers of the DNS, out of `/etc/resolv.conf`.
pub fn nameservers(path: &Path) -> Vec<SocketAddr> {
    let bytes = folder::read(path, 1 << 20).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == "nameserver").then_some(())?;
        let address: IpAddr = words.next()?.split('%').next()?.parse().ok()?;
        Some(SocketAddr::new(address, 53))
    });
    servers.take(3).collect()
}
