//! The place that a name leads to: its image, and content from wherever its
//! owner says, by digest.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use plimsoll_content::limits::Limits;
use plimsoll_content::{Descriptor, Error, Kind, Resolve, Result, Source, Unverified};
use plimsoll_name::chain::expand;
use plimsoll_name::listing::ref_of;
use plimsoll_name::{Address, Template};
use plimsoll_registry::client::{Blobs, Remote, fallback_tag};
use plimsoll_registry::protocol::Tag;
use plimsoll_spec::{Index, Node};
use plimsoll_store::{About, Catalog, Entry};

use super::Site;
use crate::place::registry::Listed;

/// An image that a name means.
#[derive(Debug)]
pub struct NamedPlace {
    pub(crate) name: String,
    pub(crate) root: Descriptor,
    pub(crate) templates: Vec<Template>,
    pub(crate) sites: Vec<Site>,
    pub(crate) blobs: Blobs,
    pub(crate) base: Address,
    /// What the owner lists about images; `None` if registries are asked.
    pub(crate) attached: Option<Vec<Descriptor>>,
}

impl NamedPlace {
    /// The one image that is listed.
    pub fn catalog(&self) -> Catalog {
        Catalog::new("name", self.name.clone(), vec![self.root.clone()])
    }

    /// What stands under a tag that is made of a digest.
    pub(crate) fn tagged(&self, tag: &str) -> Result<Option<Descriptor>> {
        if let Some(attached) = &self.attached {
            return Ok(attached.iter().find(|entry| ref_of(entry) == Some(tag)).cloned());
        }
        // A digest may be too long for a tag, and then none is made of it.
        if tag.parse::<Tag>().is_err() {
            return Ok(None);
        }
        self.first(|remote| match remote.resolve(tag) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .map(Option::flatten)
    }

    /// What the first repository says that can be asked.
    ///
    /// Errors if none can.
    fn first<T>(&self, ask: impl Fn(&Remote) -> Result<T>) -> Result<Option<T>> {
        let mut failed = None;
        for remote in self.blobs.remotes() {
            match ask(remote) {
                Ok(answer) => return Ok(Some(answer)),
                Err(error) if error.kind() == Kind::Unavailable => {
                    failed = failed.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    fn here(&self, blob: &Descriptor, from: u64) -> Result<Option<Box<dyn Read + Send>>> {
        for template in &self.templates {
            let Ok(address) = expand(template, &self.base, &blob.digest) else { continue };
            for site in &self.sites {
                let Some(path) = site.path(&address) else { continue };
                let mut file = match File::open(&path) {
                    Ok(file) => file,
                    Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
                    Err(cause) => return Err(Error::io("reading", path.display(), cause)),
                };
                file.seek(SeekFrom::Start(from))
                    .map_err(|cause| Error::io("reading", path.display(), cause))?;
                return Ok(Some(Box::new(file)));
            }
        }
        Ok(None)
    }
}

impl Source for NamedPlace {
    fn limits(&self) -> Limits {
        self.blobs.limits()
    }

    fn fetch(&self, blob: &Descriptor, from: u64) -> Result<Unverified<'_>> {
        match self.here(blob, from)? {
            Some(file) => Ok(Unverified::new(file)),
            None => self.blobs.fetch(blob, from),
        }
    }
}

/// Who knows what is about the images of a name; `pages` is how long the list of
/// a registry may be, if not as long as any.
pub(crate) struct Attached<'a> {
    pub(crate) place: &'a NamedPlace,
    pub(crate) pages: Option<usize>,
}

impl About for Attached<'_> {
    fn to(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        if !Node::is_document(&subject.media_type) {
            return Ok(Vec::new());
        }
        if self.place.attached.is_none() {
            let about = |remote: &Remote| Listed { remote, pages: self.pages }.to(subject);
            return Ok(self.place.first(about)?.unwrap_or_default());
        }
        let tag = fallback_tag(&subject.digest);
        let Some(list) = self.place.tagged(&tag)? else { return Ok(Vec::new()) };
        let list = (self.place as &dyn Source)
            .document::<Index>(&list)
            .map_err(|error| error.context(format!("reading the list of referrers {tag}")))?;
        let mut about = list.manifests.clone();
        about.sort_by(|one, other| one.digest.cmp(&other.digest));
        about.dedup_by(|one, other| one.digest == other.digest);
        Ok(about)
    }

    fn named(&self, subject: &Descriptor) -> Result<Vec<Entry>> {
        let Some(attached) = &self.place.attached else {
            let named = |remote: &Remote| Listed { remote, pages: self.pages }.named(subject);
            return Ok(self.place.first(named)?.unwrap_or_default());
        };
        let digest = &subject.digest;
        let start = format!("{}-{}.", digest.algorithm_name(), digest.encoded());
        let named = |entry: &&Descriptor| ref_of(entry).is_some_and(|tag| tag.starts_with(&start));
        let entries = attached.iter().filter(named).cloned().enumerate();
        Ok(entries.map(|(position, descriptor)| Entry { position, descriptor }).collect())
    }
}
