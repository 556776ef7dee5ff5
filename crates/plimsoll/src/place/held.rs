//! A place that is open, whatever kind it is.

use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Error, Result, Sink, Source};
use plimsoll_registry::client::Remote;
use plimsoll_store::{About, Archive, Catalog, Dir, Entry, Form, Layout, Reading, Referrers};

use super::{Home, bug, registry};
use crate::naming::{Attached, NamedPlace};
use crate::reference::{At, Reference, Which};

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
    /// A repository of a registry.
    Registry(Box<Remote>),
    /// What a name means, with its content from wherever its owner says.
    Named(Box<NamedPlace>),
}

impl Held {
    /// Where the content is.
    pub fn source(&self) -> &dyn Source {
        match self {
            Self::Layout(layout) => layout,
            Self::Archive(archive) => &**archive,
            Self::Dir(dir) => &**dir,
            Self::Registry(remote) => &**remote,
            Self::Named(place) => &**place,
        }
    }

    /// The image that is meant. In a registry nothing else is looked at.
    pub fn find(&self, which: &Which) -> Result<Entry> {
        match self {
            Self::Registry(remote) => registry::find(remote, which),
            _ => super::find(&self.catalog()?, self.source(), which),
        }
    }

    /// Who knows what is about the content of the place.
    pub fn about(&self) -> Result<Box<dyn About + '_>> {
        match self {
            Self::Registry(remote) => Ok(Box::new(registry::Listed { remote, pages: None })),
            Self::Named(place) => Ok(Box::new(Attached { place, pages: None })),
            _ => Ok(Box::new(Referrers::of(self.source(), &self.catalog()?)?)),
        }
    }

    /// Where further content goes, in a place that takes some; `place` is what
    /// it is called.
    pub(crate) fn sink(&self, place: &str) -> Result<&dyn Sink> {
        match self {
            Self::Registry(remote) => Ok(&**remote),
            _ => Ok(self.layout(place)?),
        }
    }

    /// What the place lists now.
    pub fn catalog(&self) -> Result<Catalog> {
        match self {
            Self::Layout(layout) => layout.catalog(),
            Self::Archive(archive) => Ok(archive.catalog()),
            Self::Dir(dir) => Ok(dir.catalog()),
            Self::Registry(remote) => registry::catalog(remote),
            Self::Named(place) => Ok(place.catalog()),
        }
    }

    /// What was odd about it and is read nevertheless.
    pub fn findings(&self) -> &[String] {
        match self {
            Self::Archive(archive) => archive.findings(),
            Self::Layout(_) | Self::Dir(_) | Self::Registry(_) | Self::Named(_) => &[],
        }
    }

    /// The layout that the place is, for those who change it; `place` is what
    /// it is called.
    pub(crate) fn layout(&self, place: &str) -> Result<&Layout> {
        match self {
            Self::Layout(layout) => Ok(layout),
            Self::Archive(_) | Self::Dir(_) | Self::Registry(_) | Self::Named(_) => {
                Err(only_read(place))
            }
        }
    }
}

impl Home {
    /// Opens the place of a reference; which image of it is meant comes with
    /// it, and what the place is called. `None` is a store that is not there.
    pub fn hold(&self, reference: &Reference) -> Result<(Option<Held>, Which, String)> {
        self.hold_as(reference, true)
    }

    /// The same; a layout that is not to be `checked` may be in any state.
    pub(crate) fn hold_as(
        &self,
        reference: &Reference,
        checked: bool,
    ) -> Result<(Option<Held>, Which, String)> {
        Ok(match self.locate(&reference.clone().look(true)?)? {
            Reference::Layout { path, which } => {
                let place = format!("oci:{}", path.display());
                let open = if checked { Layout::open_with } else { Layout::open_unchecked };
                let layout = open(&path, self.options())?;
                (Some(Held::Layout(layout)), which, place)
            }
            Reference::Archive { form, at, which } => {
                let reading = Reading { form, unchecked: !checked, ..self.reading() };
                let archive = match &at {
                    At::File(path) => Archive::open_with(path, &reading)?,
                    At::Stream => Archive::read_with(self.input()?, "-", &reading)?,
                };
                let place = format!("{}{at}", archive.form().prefix());
                (Some(Held::Archive(Box::new(archive))), which, place)
            }
            Reference::Dir(path) => {
                let place = format!("dir:{}", path.display());
                (Some(Held::Dir(Box::new(Dir::open(&path, self.limits())?))), Which::Only, place)
            }
            Reference::Registry { host, repository, which } => {
                let remote = self.remote(&host, repository.as_ref(), &which.or_latest())?;
                let place = remote.to_string();
                (Some(Held::Registry(Box::new(remote))), which, place)
            }
            Reference::Zone { name } => {
                let place = self.by_name(&name)?;
                (Some(Held::Named(Box::new(place))), Which::Only, name)
            }
            // What is nowhere is looked for in the local store.
            Reference::Store { which } | Reference::Name { which, .. } => {
                (self.existing()?.map(Held::Layout), which, "store".to_owned())
            }
            Reference::Path(path) => return Err(bug(&path)),
        })
    }

    /// Where the reference leads, as it can be written down: with an absolute
    /// path, in which no link is left. What comes through a pipe is `-`.
    pub fn lasting(&self, reference: &Reference) -> Result<String> {
        let absolute = |prefix: &str, path: &Path| {
            std::fs::canonicalize(path)
                .map(|path| format!("{prefix}{}", path.display()))
                .map_err(|cause| Error::io("finding", path.display(), cause))
        };
        match self.locate(&reference.clone().look(true)?)? {
            Reference::Layout { path, .. } => absolute("oci:", &path),
            Reference::Archive { form, at: At::File(path), .. } => {
                let form = match form.or(Archive::look(&path)?.flatten()) {
                    Some(form) => form,
                    // A compressed one, which takes reading it.
                    None => Archive::open_with(&path, &self.reading())?.form(),
                };
                absolute(form.prefix(), &path)
            }
            Reference::Archive { at: At::Stream, .. } => Ok("-".to_owned()),
            Reference::Dir(path) => absolute("dir:", &path),
            other @ (Reference::Registry { .. } | Reference::Zone { .. }) => Ok(other.to_string()),
            Reference::Store { .. } | Reference::Name { .. } => Ok("store".to_owned()),
            Reference::Path(path) => Err(bug(&path)),
        }
    }

    /// Opens such a place.
    pub(crate) fn hold_lasting(&self, place: &str) -> Result<Held> {
        let form =
            Form::ALL.into_iter().find_map(|form| Some((form, place.strip_prefix(form.prefix())?)));
        let reference = if let Some((form, path)) = form {
            Reference::Archive {
                form: Some(form),
                at: At::File(PathBuf::from(path)),
                which: Which::Only,
            }
        } else if let Some(path) = place.strip_prefix("oci:") {
            Reference::Layout { path: PathBuf::from(path), which: Which::Only }
        } else if let Some(path) = place.strip_prefix("dir:") {
            Reference::Dir(PathBuf::from(path))
        } else if place.starts_with("docker://") {
            Reference::parse(place)?
        } else if place == "store" {
            Reference::Store { which: Which::Only }
        } else {
            return Err(Error::new(Code::NotFound, format!("opening {place}"))
                .found("what came through a pipe, or a place of another version")
                .expected("a layout, an archive in a file, or the local store"));
        };
        self.hold(&reference)?.0.ok_or_else(|| self.not_in_store(&Which::Only))
    }

    /// The folder of the place of a reference, whatever state it is in.
    pub(crate) fn folder(&self, reference: Option<&Reference>) -> Result<PathBuf> {
        match reference.cloned().map(|reference| reference.look(true)).transpose()? {
            None | Some(Reference::Store { .. } | Reference::Name { .. }) => {
                Ok(self.store_path().to_owned())
            }
            Some(Reference::Layout { path, .. }) => Ok(path),
            Some(Reference::Path(path)) => Err(bug(&path)),
            Some(
                other @ (Reference::Archive { .. }
                | Reference::Dir(_)
                | Reference::Registry { .. }
                | Reference::Zone { .. }),
            ) => Err(only_read(&other.to_string())),
        }
    }
}

fn only_read(place: &str) -> Error {
    Error::new(Code::Usage, format!("changing {place}"))
        .found(if place.starts_with("docker://") {
            "a registry, in which this can not be done"
        } else {
            "a place that is only read"
        })
        .expected("a layout, or the local store")
        .fix(format!("plimsoll copy {place} oci:LAYOUT   makes one"))
}
