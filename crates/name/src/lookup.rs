//! What has to be asked for, as one trait: everything that resolving a name
//! needs from outside comes through it.

use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll_content::{Code, Descriptor, Digest, Error, Result};

use crate::record::Security;
use crate::{Address, Host, Repository};

/// How many requests one name may need.
pub const REQUESTS: u64 = 64;

/// How many bytes of documents one name may need.
pub const BYTES: u64 = 32 << 20;

/// Who asks the world.
///
/// Each method answers in one of three ways: with what is there, with `None`
/// when it is certain that nothing is there, or with an error. An error never
/// means that nothing is there.
pub trait Lookup: Sync {
    /// The TXT records of a name in the DNS, each as one string of bytes.
    ///
    /// Errors if there is no answer, or one that DNSSEC shows to be false.
    fn txt(&self, name: &str) -> Result<Texts>;

    /// A document of the web. Absent is 404 or 410, over TLS that was verified.
    fn get(&self, ask: &Ask<'_>) -> Result<Option<Got>>;

    /// The descriptor of a manifest in a registry, by tag or digest.
    ///
    /// `named` says that the user wrote this host himself.
    fn manifest(
        &self,
        host: &Host,
        repository: &Repository,
        which: &str,
        named: bool,
    ) -> Result<Option<Descriptor>>;

    /// The tags of a repository.
    fn tags(&self, host: &Host, repository: &Repository) -> Result<Vec<String>>;

    /// Whether that registry is spoken to without encryption, or to whoever
    /// answers for it.
    fn is_insecure(&self, host: &Host) -> bool;
}

/// What stands in the DNS.
#[derive(Clone, Debug)]
pub struct Texts {
    /// What the answer is worth.
    pub security: Security,
    /// The strings; none if the name does not exist.
    pub texts: Vec<Vec<u8>>,
    /// How many seconds they may be remembered.
    pub ttl: u64,
}

/// What is wanted of the web.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// The address.
    pub address: &'a Address,
    /// What is asked there, behind a `?`.
    pub query: Option<&'a str>,
    /// What it is, for messages.
    pub what: &'a str,
    /// The media types, for `Accept`.
    pub accept: &'a str,
    /// The most bytes.
    pub limit: u64,
    /// Whether the user wrote this host himself, so that it may be on his own
    /// network.
    pub named: bool,
    /// Redirects must stay with the owner of that host.
    pub owner: Option<&'a str>,
}

/// What came.
#[derive(Clone, Debug)]
pub struct Got {
    /// The content.
    pub bytes: Vec<u8>,
    /// Where it came from, after redirects.
    pub address: Address,
    /// How many seconds it may be remembered, if that was said.
    pub max_age: Option<u64>,
}

/// Counts what one name needs, and refuses more than is sensible.
pub(crate) struct Counted<'a> {
    inner: &'a dyn Lookup,
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl<'a> Counted<'a> {
    pub(crate) fn new(inner: &'a dyn Lookup) -> Self {
        Self { inner, requests: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn count(&self) -> Result<()> {
        if self.requests.fetch_add(1, Ordering::Relaxed) >= REQUESTS {
            return Err(Error::new(Code::Limit, "resolving a name")
                .found(format!("more than {REQUESTS} requests"))
                .expected("fewer"));
        }
        Ok(())
    }
}

impl Lookup for Counted<'_> {
    fn txt(&self, name: &str) -> Result<Texts> {
        self.inner.txt(name)
    }

    fn get(&self, ask: &Ask<'_>) -> Result<Option<Got>> {
        self.count()?;
        let got = self.inner.get(ask)?;
        let length = got.as_ref().map_or(0, |got| got.bytes.len() as u64);
        if length > ask.limit || self.bytes.fetch_add(length, Ordering::Relaxed) + length > BYTES {
            return Err(Error::new(Code::Limit, format!("reading {}", ask.what))
                .found(format!("{length} bytes of {}", ask.address))
                .expected("fewer"));
        }
        Ok(got)
    }

    fn manifest(
        &self,
        host: &Host,
        repository: &Repository,
        which: &str,
        named: bool,
    ) -> Result<Option<Descriptor>> {
        self.count()?;
        self.inner.manifest(host, repository, which, named)
    }

    fn tags(&self, host: &Host, repository: &Repository) -> Result<Vec<String>> {
        self.count()?;
        self.inner.tags(host, repository)
    }

    fn is_insecure(&self, host: &Host) -> bool {
        self.inner.is_insecure(host)
    }
}

/// A name of a file on the shelf for something with any text as its name.
pub(crate) fn shelved(folder: &str, text: &str) -> String {
    let digest = Digest::of(plimsoll_content::Algorithm::Sha256, text.as_bytes());
    format!("{folder}/{}", digest.encoded())
}
