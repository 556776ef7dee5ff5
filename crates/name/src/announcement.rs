//! What a host says of its names: `/.well-known/image-names` (D2), and the
//! older `/.well-known/oci-host-ref-engines`.

use plimsoll_content::{Code, Digest, Document, Error, Result, View, json, limits::Limits};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::path::{Prefix, Repository};
use crate::{Address, Host, Template};

/// Where the document is.
pub const WELL_KNOWN: &str = "/.well-known/image-names";

/// Its media type.
pub const MEDIA_TYPE: &str = "application/vnd.plimsoll.image-names.v1+json";

/// Where the older one is (oci-discovery).
pub const REF_ENGINES: &str = "/.well-known/oci-host-ref-engines";

/// The media type of the older one.
pub const REF_ENGINES_TYPE: &str = "application/vnd.oci.ref-engines.v1+json";

/// The largest document of either kind, in bytes.
pub const LIMIT: u64 = 64 << 10;

/// A template of image indexes, by path.
pub const INDEX_TEMPLATE: &str = "oci-index-template-v1";

/// A template of blobs, by digest.
pub const CAS_TEMPLATE: &str = "oci-cas-template-v1";

/// A repository of a registry.
pub const DISTRIBUTION: &str = "oci-distribution-v1";

/// What a host says of its names.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    /// 1.
    pub schema_version: u64,
    /// Of which host it speaks: the one that was asked.
    pub host: String,
    /// How many seconds it may be remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// Members that nobody may ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub critical: Vec<String>,
    /// Its zone, if names are signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZonePlace>,
    /// Where some of the names are found; it says nothing of what they mean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Where names are found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ref_engines: Vec<Engine>,
    /// Where content is found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cas_engines: Vec<Engine>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Where a zone is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ZonePlace {
    /// Which names it is about.
    pub prefix: String,
    /// Folders of its metadata, each with the same.
    pub metadata: Vec<Address>,
    /// Folders of its targets, each with the same.
    pub targets: Vec<Address>,
    /// A root of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<RootFile>,
}

impl ZonePlace {
    /// The place of a zone below one folder, as a DNS record names it.
    pub fn below(prefix: &Prefix, folder: &Address) -> Result<Self> {
        Ok(Self {
            prefix: prefix.to_string(),
            metadata: vec![folder.file("metadata/")?],
            targets: vec![folder.file("targets/")?],
            root: None,
        })
    }

    /// The prefix.
    pub fn prefix(&self) -> Result<Prefix> {
        self.prefix.parse()
    }

    /// Refuses a zone that can not be reached.
    pub fn check(&self) -> Result<()> {
        self.prefix()?;
        let sensible = |places: &[Address]| (1..=8).contains(&places.len());
        if !sensible(&self.metadata) || !sensible(&self.targets) {
            return Err(wrong(format!("zone {}", self.prefix))
                .found("no address, or more than 8")
                .expected("where its metadata and its targets are"));
        }
        Ok(())
    }
}

/// A root of a zone.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RootFile {
    /// Its version.
    pub version: u64,
    /// Its digest.
    pub digest: Digest,
    /// Its length, in bytes.
    pub size: u64,
}

/// Where the names below a prefix are found.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Which names.
    pub prefix: String,
    /// Where they are found.
    #[serde(default)]
    pub ref_engines: Vec<Engine>,
    /// Where their content is found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cas_engines: Vec<Engine>,
}

/// One way to find something. Protocols that are unknown are passed over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Engine {
    /// Which protocol.
    pub protocol: String,
    /// Its template, or the address of a repository.
    #[serde(default)]
    pub uri: String,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Engine {
    /// An engine of that protocol.
    pub fn new(protocol: &str, uri: &str) -> Self {
        Self { protocol: protocol.to_owned(), uri: uri.to_owned(), other: Map::new() }
    }

    /// Its template, complete, if it is of that protocol.
    pub fn template(&self, protocol: &str, base: &Address) -> Result<Option<Template>> {
        if self.protocol != protocol {
            return Ok(None);
        }
        Template::parse(&self.uri)?.absolute(base).map(Some)
    }

    /// The repository that it means for a path, if it is a registry. `rest` is
    /// the path below what the engine stands at.
    pub fn repository(&self, rest: &str) -> Result<Option<(Host, Repository)>> {
        if self.protocol != DISTRIBUTION {
            return Ok(None);
        }
        let address: Address = self.uri.parse()?;
        let base = address.path().strip_prefix("/v2/").ok_or_else(|| {
            wrong(format!("engine {}", self.uri)).found("no /v2/").expected("https://HOST/v2/…")
        })?;
        let base = base.trim_end_matches('/');
        let joint = if base.is_empty() || rest.is_empty() { "" } else { "/" };
        Ok(Some((address.host().clone(), format!("{base}{joint}{rest}").parse()?)))
    }
}

impl View for Announcement {
    const NAME: &'static str = "what a host says of its names";

    fn limit(_: &Limits) -> u64 {
        LIMIT
    }

    fn check(&self) -> Result<()> {
        json::refuse_lookalikes("", &self.other, &["host", "zone", "routes", "critical"])?;
        if self.schema_version != 1 {
            return Err(wrong(Self::NAME)
                .found(format!("schemaVersion {}", self.schema_version))
                .expected("1"));
        }
        if let Some(unknown) = self.critical.first() {
            return Err(wrong(Self::NAME)
                .found(format!("critical member {unknown:?}"))
                .expected("none that this version does not know")
                .fix("a newer version may know it"));
        }
        let host = Host::domain(&self.host)?;
        if let Some(zone) = &self.zone {
            zone.check()?;
            if *zone.prefix()?.host() != host {
                return Err(wrong(Self::NAME)
                    .found(format!("zone {} at host {host}", zone.prefix))
                    .expected("a zone of that host"));
            }
        }
        for route in &self.routes {
            let prefix: Prefix = route.prefix.parse()?;
            if *prefix.host() != host {
                return Err(wrong(Self::NAME)
                    .found(format!("route {prefix} at host {host}"))
                    .expected("routes of that host"));
            }
        }
        Ok(())
    }
}

impl Announcement {
    /// Reads the document that `host` gave.
    pub fn parse(bytes: &[u8], host: &Host) -> Result<Document<Self>> {
        let document = Document::<Self>::parse(bytes)
            .map_err(|error| error.recode(Code::Discovery).context(format!("asking {host}")))?;
        if Host::domain(&document.host)? != *host {
            return Err(wrong(Self::NAME)
                .found(format!("host {:?}", document.host))
                .expected(format!("{host}, which was asked")));
        }
        Ok(document)
    }

    /// The route with the longest prefix that covers a name, and the rest of
    /// the path below it.
    pub fn route<'a>(&self, host: &Host, path: &'a str) -> Option<(&Route, &'a str)> {
        let fitting = self.routes.iter().filter_map(|route| {
            let prefix: Prefix = route.prefix.parse().ok()?;
            Some((prefix.len(), route, prefix.rest(host, path)?))
        });
        fitting.max_by_key(|(length, ..)| *length).map(|(_, route, rest)| (route, rest))
    }
}

/// The older document: engines, and nothing else.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefEngines {
    /// Where names are found.
    #[serde(default)]
    pub ref_engines: Vec<Engine>,
    /// Where content is found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cas_engines: Vec<Engine>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl View for RefEngines {
    const NAME: &'static str = "ref-engines";

    fn limit(_: &Limits) -> u64 {
        LIMIT
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

fn wrong(what: impl std::fmt::Display) -> Error {
    Error::new(Code::Discovery, format!("reading {what}"))
}
