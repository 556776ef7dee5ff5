//! A place that is open, whatever kind it is.

use plimsoll_content::{Result, Source};
use plimsoll_store::{Archive, Catalog, Dir, Layout};

/// A place that is open.
#[derive(Debug)]
#[non_exhaustive]
pub enum Held {
    /// A layout directory, or the local store.
    Layout(Layout),
    /// Images in a tar archive.
    Archive(Box<Archive>),
    /// Skopeo's folder of one image.
    Dir(Box<Dir>),
}

impl Held {
    /// Where the content is.
    pub fn source(&self) -> &dyn Source {
        match self {
            Self::Layout(layout) => layout,
            Self::Archive(archive) => &**archive,
            Self::Dir(dir) => &**dir,
        }
    }

    /// What the place lists now.
    pub fn catalog(&self) -> Result<Catalog> {
        match self {
            Self::Layout(layout) => layout.catalog(),
            Self::Archive(archive) => Ok(archive.catalog()),
            Self::Dir(dir) => Ok(dir.catalog()),
        }
    }

    /// What was odd about it and is read nevertheless.
    pub fn findings(&self) -> &[String] {
        match self {
            Self::Archive(archive) => archive.findings(),
            Self::Layout(_) | Self::Dir(_) => &[],
        }
    }
}
