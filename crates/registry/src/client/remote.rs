//! One repository as a place: what it holds, and what is written to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use plimsoll_content::limits::Limits;
use plimsoll_content::{
    Code, Delete, Descriptor, Digest, Error, Ingest, Kind, Resolve, Result, Sink, Source, Tag,
    Unverified,
};
use plimsoll_spec::Node;

use super::auth::Scope;
use super::download::{Download, Place};
use super::manifest::ManifestIngest;
use super::mirrors::{self, Asked, Mirror};
use super::trail::Trail;
use super::upload;
use super::wire::{Answer, Method, Request};
use super::{Client, locked};
use crate::protocol::{self, Address, Endpoint, Host, Url};

/// How many bytes of manifests are remembered.
const REMEMBERED: usize = 64 << 20;

/// A repository of a registry.
///
/// Manifests that went by are remembered, proved, for as long as this lives:
/// they are asked for again and again.
pub struct Remote {
    pub(super) client: Arc<Client>,
    pub(super) host: Host,
    pub(super) name: protocol::Repository,
    pub(super) pull: Scope,
    pub(super) push: Scope,
    remembered: Mutex<Remembered>,
    /// Whether the registry does not take a large blob in one piece.
    pub(super) in_chunks: AtomicBool,
    /// One at a time changes the list of referrers under a tag.
    pub(super) listing: Mutex<()>,
    pub(super) digest_tags: Mutex<Option<Arc<Vec<protocol::Tag>>>>,
    /// Where it is read first.
    pub(super) mirrors: Vec<Mirror>,
    /// Which of them had the image.
    pub(super) chosen: AtomicUsize,
    /// Where a blob goes on that breaks off for good: this is a mirror.
    pub(super) behind: Option<Place>,
    /// How it is called, if that is not where it is.
    pub(super) asked: Option<Asked>,
    /// What was asked for, as it is called here.
    pub(super) there: Option<Address>,
    /// Whether it lies elsewhere than its name says.
    pub(super) moved: bool,
    pub(super) trail: Trail,
}

#[derive(Default)]
struct Remembered {
    documents: BTreeMap<Digest, Arc<[u8]>>,
    bytes: usize,
    /// What was asked for as a manifest, whatever its media type says.
    manifests: BTreeSet<Digest>,
}

impl Remote {
    pub(super) fn new(client: Arc<Client>, host: Host, name: protocol::Repository) -> Self {
        Self {
            pull: Scope::of(&name, "pull"),
            push: Scope::of(&name, "pull,push"),
            client,
            host,
            name,
            remembered: Mutex::default(),
            in_chunks: AtomicBool::new(false),
            listing: Mutex::default(),
            digest_tags: Mutex::default(),
            mirrors: Vec::new(),
            chosen: AtomicUsize::new(mirrors::NONE),
            behind: None,
            asked: None,
            there: None,
            moved: false,
            trail: Trail::default(),
        }
    }

    /// The registry, as it was written.
    pub fn host(&self) -> &Host {
        self.asked.as_ref().map_or(&self.host, |asked| &asked.host)
    }

    /// The name of the repository in it.
    pub fn name(&self) -> &protocol::Repository {
        self.asked.as_ref().map_or(&self.name, |asked| &asked.repository)
    }

    /// Who speaks to it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn url(&self, endpoint: &Endpoint<'_>) -> Result<Url> {
        self.client.online(|| format!("asking {} for {endpoint}", self.host))?;
        let contact = self.client.contact(&self.host)?;
        Ok(Url::new(contact.scheme, self.host.api(), endpoint.to_string()))
    }

    pub(super) fn ask(&self, scope: &Scope, request: Request<'_>) -> Result<Answer> {
        self.client.ask(&self.host, scope, request)
    }

    /// Gives an answer of an expected status on, and makes an error of others.
    pub(super) fn expect(
        &self,
        answer: Answer,
        statuses: &[u16],
        scope: &Scope,
        doing: &str,
    ) -> Result<Answer> {
        if statuses.contains(&answer.status) {
            return Ok(answer);
        }
        Err(self.client.refusal(&self.host, scope, answer, doing))
    }

    pub(super) fn recall(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        locked(&self.remembered).documents.get(digest).cloned()
    }

    /// Remembers a document whose bytes are proved to be those of its digest.
    pub(super) fn remember(&self, digest: &Digest, bytes: &[u8]) {
        let mut remembered = locked(&self.remembered);
        remembered.manifests.insert(digest.clone());
        if remembered.bytes + bytes.len() > REMEMBERED || remembered.documents.contains_key(digest)
        {
            return;
        }
        remembered.bytes += bytes.len();
        remembered.documents.insert(digest.clone(), bytes.into());
    }

    fn is_manifest(&self, blob: &Descriptor) -> bool {
        Node::is_document(&blob.media_type)
            || locked(&self.remembered).manifests.contains(&blob.digest)
    }

    /// Whether the registry has something at one of its addresses.
    fn there(&self, endpoint: &Endpoint<'_>, blob: &Descriptor) -> Result<bool> {
        let doing = format!("looking for {} in {self}", blob.digest);
        let mut request = Request::new(Method::HEAD, self.url(endpoint)?);
        if let Endpoint::Manifest(..) = endpoint {
            request = request.with("accept", super::manifest::accepted(&blob.media_type));
        }
        let answer = self.ask(&self.pull, request)?;
        if answer.status == 404 {
            return Ok(false);
        }
        let answer = self.expect(answer, &[200], &self.pull, &doing)?;
        Ok(answer.length().is_none_or(|length| length == blob.size))
    }

    fn missing(&self, blob: &Descriptor) -> Error {
        Error::new(Code::NotFound, format!("reading blob {}", blob.digest))
            .found(format!("no such blob in {self}"))
            .expected(format!("{} bytes of {}", blob.size, blob.media_type))
    }

    fn fetch_manifest(&self, blob: &Descriptor) -> Result<Option<Arc<[u8]>>> {
        let limits = self.limits();
        blob.within("a manifest", limits.index.max(limits.document))?;
        match self.manifest(&Address::Digest(blob.digest.clone()), Some(blob)) {
            Ok((_, bytes)) => Ok(Some(bytes)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "docker://{}/{}", self.host(), self.name())
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({self})")
    }
}

impl Source for Remote {
    fn limits(&self) -> Limits {
        self.client.wire.options().limits
    }

    fn fetch(&self, blob: &Descriptor, from: u64) -> Result<Unverified<'_>> {
        let whole = |bytes: Arc<[u8]>| {
            let mut reader = Cursor::new(bytes);
            reader.set_position(from);
            Ok(Unverified::new(reader))
        };
        if let Some(bytes) = self.recall(&blob.digest) {
            return whole(bytes);
        }
        if let Some(mirror) = self.chosen() {
            match mirror.fetch(blob, from) {
                Err(error) if mirrors::stops(&error) => return Err(error),
                // Where it is, it may be had.
                Err(_) => {}
                found => return found,
            }
        }
        if self.is_manifest(blob)
            && let Some(bytes) = self.fetch_manifest(blob)?
        {
            return whole(bytes);
        }
        if let Some(download) = Download::begin(self, blob, from)? {
            return Ok(Unverified::new(download));
        }
        if let Some(bytes) = blob.embedded()? {
            return whole(bytes.into());
        }
        // An entry of an index whose type is unknown here: a manifest to the registry.
        let small = blob.size <= self.limits().document && blob.digest.algorithm().is_some();
        if small
            && !self.is_manifest(blob)
            && let Some(bytes) = self.fetch_manifest(blob)?
        {
            return whole(bytes);
        }
        Err(self.missing(blob))
    }

    fn holds(&self, blob: &Descriptor) -> Result<bool> {
        if let Some(bytes) = self.recall(&blob.digest) {
            return Ok(bytes.len() as u64 == blob.size);
        }
        if let Some(mirror) = self.chosen()
            && mirror.holds(blob).is_ok_and(|there| there)
        {
            return Ok(true);
        }
        let address = Address::Digest(blob.digest.clone());
        if self.is_manifest(blob) {
            return self.there(&Endpoint::Manifest(&self.name, &address), blob);
        }
        if self.there(&Endpoint::Blob(&self.name, &blob.digest), blob)? {
            return Ok(true);
        }
        // As `fetch` has it.
        let json = blob.media_type.as_str().ends_with("json");
        Ok(json && self.there(&Endpoint::Manifest(&self.name, &address), blob)?)
    }

    fn length(&self, digest: &Digest) -> Result<Option<u64>> {
        if let Some(mirror) = self.chosen()
            && let Ok(Some(length)) = mirror.length(digest)
        {
            return Ok(Some(length));
        }
        let doing = format!("looking for {digest} in {self}");
        let url = self.url(&Endpoint::Blob(&self.name, digest))?;
        let answer = self.ask(&self.pull, Request::new(Method::HEAD, url))?;
        if answer.status == 404 {
            return Ok(None);
        }
        let answer = self.expect(answer, &[200], &self.pull, &doing)?;
        answer.length().map(Some).ok_or_else(|| {
            Error::new(Code::Registry, doing)
                .found("no Content-Length")
                .expected("how long it is")
                .tried(&answer.url)
        })
    }

    fn address(&self) -> Option<String> {
        // Where it is: the registry knows no other name of it.
        Some(format!("docker://{}/{}", self.host, self.name))
    }
}

impl Sink for Remote {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        let address = Address::Digest(blob.digest.clone());
        if self.is_manifest(blob) {
            return self.there(&Endpoint::Manifest(&self.name, &address), blob);
        }
        self.there(&Endpoint::Blob(&self.name, &blob.digest), blob)
    }

    fn begin(&self) -> Result<Box<dyn Ingest + '_>> {
        Ok(upload::begin(self, None))
    }

    fn receive(&self, blob: &Descriptor) -> Result<Box<dyn Ingest + '_>> {
        if Node::is_document(&blob.media_type) {
            return Ok(Box::new(ManifestIngest::new(self)));
        }
        Ok(upload::begin(self, Some(blob)))
    }

    fn mount(&self, blob: &Descriptor, from: &str) -> Result<bool> {
        let ours = format!("docker://{}/", self.host);
        let Some(other) = from.strip_prefix(&ours) else { return Ok(false) };
        let Ok(other) = other.parse::<protocol::Repository>() else { return Ok(false) };
        if Node::is_document(&blob.media_type) || other == self.name {
            return Ok(false);
        }
        upload::mount(self, blob, &other)
    }

    fn again(&self, error: &Error) -> bool {
        error.code() == Code::Network
    }
}

impl Resolve for Remote {
    fn resolve(&self, name: &str) -> Result<Descriptor> {
        let address = match name.parse::<Digest>() {
            Ok(digest) => Address::Digest(digest),
            Err(_) => Address::Tag(name.parse()?),
        };
        self.look_up(&address)
    }
}

impl Tag for Remote {
    fn tag(&self, name: &str, target: &Descriptor) -> Result<()> {
        let tag = self.tag_there(name.parse()?);
        let bytes = match self.recall(&target.digest) {
            Some(bytes) => bytes,
            None => (self as &dyn Source).read(target, "a manifest", self.limits().index)?.into(),
        };
        self.put_manifest(target, &bytes, Some(&tag))
    }

    fn untag(&self, name: &str) -> Result<bool> {
        let tag = self.tag_there(name.parse()?);
        self.delete_manifest(&Address::Tag(tag))
    }
}

impl Delete for Remote {
    fn delete(&self, digest: &Digest) -> Result<bool> {
        self.delete_manifest(&Address::Digest(digest.clone()))
    }
}
