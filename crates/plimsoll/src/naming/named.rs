//! The place that a name leads to: its image, and content from wherever its
//! owner says, by digest.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use plimsoll_content::limits::Limits;
use plimsoll_content::{Descriptor, Error, Result, Source, Unverified};
use plimsoll_name::chain::expand;
use plimsoll_name::{Address, Template};
use plimsoll_registry::client::Blobs;
use plimsoll_store::Catalog;

use super::Site;

/// An image that a name means.
#[derive(Debug)]
pub struct NamedPlace {
    pub(crate) name: String,
    pub(crate) root: Descriptor,
    pub(crate) templates: Vec<Template>,
    pub(crate) sites: Vec<Site>,
    pub(crate) blobs: Blobs,
    pub(crate) base: Address,
}

impl NamedPlace {
    /// The one image that is listed.
    pub fn catalog(&self) -> Catalog {
        Catalog::new("name", self.name.clone(), vec![self.root.clone()])
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
