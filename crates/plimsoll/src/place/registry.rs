//! Repositories of registries as places: what is asked of them, and how tags
//! stand for the names of other places.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use plimsoll_content::{Code, Descriptor, Digest, Error, Resolve, Result, Source, Tag};
use plimsoll_registry::client::{Asked, Client, Remote, fallback_tag};
use plimsoll_registry::protocol::{self, Address, Host, Repository};
use plimsoll_spec::annotations::REF_NAME;
use plimsoll_spec::{Index, Node, media_type};
use plimsoll_store::{About, Catalog, Entry};

use super::Home;
use crate::reference::{Reference, Which};

/// How many tags are asked for at once.
const ASKED_AT_ONCE: usize = 8;

/// What a registry lists by names alone: each fact more is one more question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Names {
    /// The repositories of a registry.
    Repositories(Vec<String>),
    /// The tags of a repository.
    Tags(Vec<String>),
}

impl Home {
    /// A repository where the settings say that it is; nothing is asked of it
    /// yet. With `which`, it is read from mirrors first: an image of it, or what
    /// is under no tag, is meant to be written otherwise.
    pub(crate) fn remote(
        &self,
        host: &Host,
        repository: Option<&Repository>,
        which: &Which,
    ) -> Result<Remote> {
        let client = self.registries()?;
        let Some(repository) = repository else {
            return Err(Error::new(Code::Reference, format!("opening docker://{host}"))
                .found("a registry")
                .expected(format!("a repository of it: docker://{host}/REPOSITORY[:TAG]"))
                .fix(format!("plimsoll ls docker://{host}   lists them, if the registry does")));
        };
        let address = match which {
            Which::Name(tag) => Some(Address::Tag(tag.parse()?)),
            Which::Digest(digest) => Some(Address::Digest(digest.clone())),
            Which::Only | Which::Prefix(_) | Which::Position(_) => None,
        };
        let asked = address.as_ref().filter(|_| self.mirrors);
        let route = self.conf()?.route(host, Some(repository), asked)?;
        let written = Reference::Registry {
            host: host.clone(),
            repository: Some(repository.clone()),
            which: which.clone(),
        };
        let called = self.called(&written);
        let asked = Asked { host: host.clone(), repository: repository.clone(), address, called };
        client.along(asked, route)
    }

    /// Where the settings say that a registry is, and who speaks to it.
    pub fn registry(&self, host: &Host) -> Result<(Arc<Client>, Host)> {
        let way = self.conf()?.route(host, None, None)?.location;
        let client = self.registries()?;
        let client = if way.insecure { client.insecure_at(&way.host) } else { Arc::clone(client) };
        Ok((client, way.host))
    }

    /// The names in a registry or repository; `None` if the reference is to
    /// something else, or to one image.
    pub fn names(&self, reference: &Reference) -> Result<Option<Names>> {
        let reference = self.locate(reference)?;
        let Reference::Registry { host, repository, which: Which::Only } = &reference else {
            return Ok(None);
        };
        if repository.is_none() {
            let (client, host) = self.registry(host)?;
            return client.catalogue(&host).map(|all| Some(Names::Repositories(all)));
        }
        let tags = self.remote(host, repository.as_ref(), &Which::Only)?.tags()?;
        Ok(Some(Names::Tags(tags.into_iter().map(|tag| tag.as_str().to_owned()).collect())))
    }
}

/// The image that is meant.
pub(super) fn find(remote: &Remote, which: &Which) -> Result<Entry> {
    match which {
        Which::Only => entry(remote, 0, "latest"),
        Which::Name(tag) => entry(remote, 0, tag),
        Which::Digest(digest) => {
            Ok(Entry { position: 0, descriptor: remote.resolve(&digest.to_string())? })
        }
        Which::Prefix(_) | Which::Position(_) => {
            Err(Error::new(Code::Reference, format!("looking for {which} in {remote}"))
                .found("a part of a digest, or a position")
                .expected("a tag, or a whole digest"))
        }
    }
}

fn entry(remote: &Remote, position: usize, tag: &str) -> Result<Entry> {
    Ok(Entry { position, ..called(remote.resolve(tag)?, tag) })
}

/// What a tag stands for, as an entry.
pub(crate) fn called(mut descriptor: Descriptor, tag: &str) -> Entry {
    descriptor.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
    Entry { position: 0, descriptor }
}

/// All tags, and what they stand for.
pub(super) fn catalog(remote: &Remote) -> Result<Catalog> {
    let tags = remote.tags()?;
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let found: Vec<Mutex<Option<Result<Entry>>>> = tags.iter().map(|_| Mutex::default()).collect();
    let work = || {
        while !failed.load(Ordering::Relaxed)
            && let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed))
            && let Some(tag) = tags.get(at)
        {
            let answer = entry(remote, at, tag.as_str());
            if answer.as_ref().is_err_and(|error| error.code() != Code::NotFound) {
                failed.store(true, Ordering::Relaxed);
            }
            *found[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..ASKED_AT_ONCE.min(tags.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut list = Vec::new();
    for answer in found {
        match answer.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(Ok(entry)) => list.push(entry.descriptor),
            // It was removed since the list was made.
            Some(Err(error)) if error.code() == Code::NotFound => {}
            Some(Err(error)) => return Err(error),
            None => {}
        }
    }
    Ok(Catalog::new("docker://", format!("{}/{}", remote.host(), remote.name()), list))
}

/// What the registry lists about its manifests; `pages` is how long a list may
/// be, if not as long as any.
pub(crate) struct Listed<'a> {
    pub(crate) remote: &'a Remote,
    pub(crate) pages: Option<usize>,
}

impl About for Listed<'_> {
    fn to(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        // Nothing is about a layer, as far as registries know.
        if !Node::is_document(&subject.media_type) {
            return Ok(Vec::new());
        }
        let mut about = match self.pages {
            None => self.remote.referrers(&subject.digest)?,
            Some(pages) => self.remote.referrers_within(&subject.digest, pages)?,
        };
        about.sort_by(|one, other| one.digest.cmp(&other.digest));
        about.dedup_by(|one, other| one.digest == other.digest);
        Ok(about)
    }

    fn named(&self, subject: &Descriptor) -> Result<Vec<Entry>> {
        if !Node::is_document(&subject.media_type) {
            return Ok(Vec::new());
        }
        let tags = self.remote.digest_tags(&subject.digest)?;
        tags.iter().enumerate().map(|(at, tag)| entry(self.remote, at, tag.as_str())).collect()
    }
}

/// A name of another place as a tag: itself, or the tag in it.
pub(super) fn tag(name: &str) -> Result<String> {
    if name.parse::<protocol::Tag>().is_ok() {
        return Ok(name.to_owned());
    }
    let last = name.rsplit('/').next().unwrap_or(name);
    let tag = last.split_once(':').map_or("latest", |(_, tag)| tag);
    tag.parse::<protocol::Tag>()
        .map(|tag| tag.as_str().to_owned())
        .map_err(|error| error.context(format!("choosing a tag for {name:?}")))
}

/// Whose referrers an index lists that has such a tag.
pub(crate) fn listed_subject(tag: &str, image: &Descriptor) -> Option<Digest> {
    let subject: Digest = tag.replacen('-', ":", 1).parse().ok()?;
    (image.media_type == media_type::INDEX && fallback_tag(&subject) == tag).then_some(subject)
}

/// Gives a tag to what was written.
pub(super) fn put(remote: &Remote, tag: &str, image: &Descriptor) -> Result<()> {
    if let Some(subject) = listed_subject(tag, image) {
        match remote.resolve(tag) {
            Ok(there) if there.digest == image.digest => return Ok(()),
            Ok(_) => {
                let list = (remote as &dyn Source).document::<Index>(image)?;
                return remote.list_referrers(&subject, &list.manifests);
            }
            Err(error) if error.code() == Code::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    remote.tag(tag, image)
}

/// Gives an image of a repository a further name there, which may be written
/// as a whole reference.
pub(super) fn name(remote: &Remote, text: &str, image: &Descriptor) -> Result<String> {
    let tag = match Reference::parse(text) {
        Ok(Reference::Registry { host, repository, which }) => {
            if host != *remote.host() || repository.as_ref() != Some(remote.name()) {
                return Err(Error::new(Code::Reference, format!("naming {}", image.digest))
                    .found(format!("{text}, in another repository"))
                    .expected(format!("a tag in {remote}"))
                    .fix(format!("plimsoll copy {remote}@{} {text}", image.digest)));
            }
            which.to_write()?
        }
        _ => text.to_owned(),
    };
    remote.tag(&tag, image)?;
    Ok(tag)
}
