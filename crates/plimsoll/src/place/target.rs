//! Places that images are written to.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use plimsoll_content::{Code, Descriptor, Digest, Error, Kind, Resolve, Result, Sink, Source, Tag};
use plimsoll_registry::client::Remote;
use plimsoll_registry::protocol;
use plimsoll_store::{
    self as store, DirWriter, DockerWriter, Form, Layout, OciWriter, Output, check_ref_name,
};

use super::{Held, Home, Opened, bug, registry};
use crate::reference::{At, Reference, Which};

/// A place that images are written to.
///
/// A place that is not there yet is made beside its destination, and appears
/// there when all is complete.
#[derive(Debug)]
pub struct Target {
    kind: Sort,
    name: Option<String>,
    scratch: PathBuf,
}

#[derive(Debug)]
enum Sort {
    Layout(store::Target),
    Archive(OciWriter),
    Docker(DockerWriter),
    Dir { writer: DirWriter, root: Box<Mutex<Option<Descriptor>>> },
    Registry(Box<Remote>),
}

impl Home {
    /// Prepares the place that the reference names for new images.
    pub fn target(&self, reference: &Reference) -> Result<Target> {
        let scratch = self.scratch().to_owned();
        let (kind, which) = match reference.clone().look(false)? {
            Reference::Layout { path, which } => (self.layout(&path)?, which),
            Reference::Store { which } | Reference::Name { which, .. } => {
                self.store()?;
                (self.layout(self.store_path())?, which)
            }
            Reference::Archive { form: Some(Form::Docker), .. } => {
                return Err(Error::new(Code::Usage, format!("writing to {reference}"))
                    .found("a docker archive, which holds finished images only")
                    .expected("a layout, or the archive of one")
                    .fix(format!(
                        "write to a layout first; then: plimsoll copy oci:LAYOUT {reference}"
                    )));
            }
            Reference::Archive { form: Some(Form::Aci), .. } => {
                return Err(Error::new(Code::Usage, format!("writing to {reference}"))
                    .found("an AppC image, which is only read")
                    .expected("a layout, an archive of one, docker-archive:, dir: or store:"));
            }
            Reference::Archive { at, which, .. } => {
                (Sort::Archive(OciWriter::new(self.archive(&at)?)), which)
            }
            Reference::Dir(path) => {
                let writer = DirWriter::create(&path)?.flushed(self.flush());
                (Sort::Dir { writer, root: Box::default() }, Which::Only)
            }
            Reference::Registry { host, repository, which } => {
                let remote = self.remote(&host, repository.as_ref(), &Which::Only)?;
                (Sort::Registry(Box::new(remote)), which)
            }
            Reference::Zone { name } => {
                return Err(Error::new(Code::Usage, format!("writing to {name}"))
                    .found("a name that its owner publishes")
                    .expected("a place: docker://, oci:, store: or an archive"));
            }
            Reference::Path(path) => return Err(bug(&path)),
        };
        let name = match &which {
            Which::Only => None,
            which => Some(which.to_write()?),
        };
        if let Some(name) = &name {
            check_ref_name(name)?;
        }
        Ok(Target { kind, name, scratch })
    }

    /// Prepares a docker archive, for those who know what it can hold.
    pub(crate) fn docker_target(&self, at: &At, name: Option<String>) -> Result<Target> {
        let kind = Sort::Docker(DockerWriter::new(self.archive(at)?));
        Ok(Target { kind, name, scratch: self.scratch().to_owned() })
    }

    fn layout(&self, path: &Path) -> Result<Sort> {
        store::Target::open_with(path, self.options()).map(Sort::Layout)
    }

    /// Prepares the place of a changed image: that of the image as it was and
    /// its name, unless `new` says another one. A bare name is one in the
    /// same place, everything else a whole reference.
    pub fn beside(&self, opened: &Opened, new: Option<&str>) -> Result<Target> {
        let doing = || format!("naming the changed {}", opened.root.digest);
        if let (Held::Registry(remote), Some(text)) = (opened.held(), new)
            && let Ok(tag) = text.parse::<protocol::Tag>()
        {
            // A bare name is one in the same place.
            let remote = self.remote(remote.host(), Some(remote.name()), &Which::Only)?;
            let kind = Sort::Registry(Box::new(remote));
            let name = Some(tag.as_str().to_owned());
            return Ok(Target { kind, name, scratch: self.scratch().to_owned() });
        }
        let name = match new {
            None => {
                opened.layout()?;
                opened.name().map(str::to_owned).ok_or_else(|| {
                    Error::new(Code::Reference, doing())
                        .found("an image that was not named by a name")
                        .expected("a name for the changed image")
                        .fix("give a new reference after the old one")
                })?
            }
            Some(text) => {
                let reference = Reference::parse(text)?;
                let bare = matches!(reference, Reference::Store { .. } | Reference::Name { .. })
                    && !text.starts_with("store:")
                    && opened.place() != "store";
                if !bare {
                    return self.target(&reference);
                }
                text.to_owned()
            }
        };
        check_ref_name(&name)?;
        Ok(Target {
            kind: self.layout(opened.layout()?.path())?,
            name: Some(name),
            scratch: self.scratch().to_owned(),
        })
    }

    /// A new archive.
    pub(crate) fn archive(&self, at: &At) -> Result<Output> {
        match at {
            At::File(path) => Ok(Output::file(path)?.flushed(self.flush())),
            At::Stream => Ok(Output::stream(Box::new(self.output()?), "-", self.scratch())),
        }
    }
}

impl Target {
    /// Where the blobs go.
    pub fn sink(&self) -> &dyn Sink {
        match &self.kind {
            Sort::Layout(target) => target.layout(),
            Sort::Archive(writer) => writer,
            Sort::Docker(writer) => writer,
            Sort::Dir { writer, .. } => writer,
            Sort::Registry(remote) => &**remote,
        }
    }

    /// The place as one to read from, where it is one.
    pub fn source(&self) -> Option<&dyn Source> {
        self.layout().map(|layout| layout as &dyn Source)
    }

    /// Whether several blobs may be written at once.
    pub(crate) fn takes_several(&self) -> bool {
        matches!(self.kind, Sort::Layout(_) | Sort::Dir { .. } | Sort::Registry(_))
    }

    /// The repository that it is.
    pub(crate) fn registry(&self) -> Option<&Remote> {
        match &self.kind {
            Sort::Registry(remote) => Some(remote),
            _ => None,
        }
    }

    fn layout(&self) -> Option<&Layout> {
        match &self.kind {
            Sort::Layout(target) => Some(target.layout()),
            Sort::Archive(_) | Sort::Docker(_) | Sort::Dir { .. } | Sort::Registry(_) => None,
        }
    }

    /// The docker archive that it is.
    pub(crate) fn docker(&self) -> Option<&DockerWriter> {
        match &self.kind {
            Sort::Docker(writer) => Some(writer),
            Sort::Layout(_) | Sort::Archive(_) | Sort::Dir { .. } | Sort::Registry(_) => None,
        }
    }

    /// A folder on the file system of the place, for temporary files without
    /// a name.
    pub fn scratch(&self) -> PathBuf {
        match &self.kind {
            Sort::Layout(target) => target.folder(),
            Sort::Archive(_) | Sort::Docker(_) | Sort::Dir { .. } | Sort::Registry(_) => {
                self.scratch.clone()
            }
        }
    }

    /// The name that the reference gives to what is written.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The name under which [`Target::publish`] lists an image.
    pub fn published_name(&self) -> &str {
        self.name().unwrap_or("latest")
    }

    /// Whether the place gives names to images.
    pub fn has_names(&self) -> bool {
        !matches!(self.kind, Sort::Dir { .. })
    }

    /// What has that name in the place already.
    pub fn named(&self, name: &str) -> Result<Option<Digest>> {
        let names: &dyn Resolve = match (&self.kind, self.layout()) {
            (Sort::Registry(remote), _) => &**remote,
            (_, Some(layout)) => layout,
            _ => return Ok(None),
        };
        match names.resolve(name) {
            Ok(found) => Ok(Some(found.digest)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A name for `image` that its source gives. It takes nobody's place
    /// unasked (hostile case DA09), which `force` is.
    pub fn free(
        &self,
        name: Option<String>,
        image: &Descriptor,
        force: bool,
    ) -> Result<Option<String>> {
        let Some(mut name) = name else { return Ok(None) };
        if self.registry().is_some() {
            name = registry::tag(&name)?;
            // Such a list is joined with the one that is there.
            if registry::listed_subject(&name, image).is_some() {
                return Ok(Some(name));
            }
        }
        if force {
            return Ok(Some(name));
        }
        match self.named(&name)? {
            Some(other) if other != image.digest => {
                Err(Error::new(Code::Exists, format!("naming {} {name:?}", image.digest))
                    .found(format!("{other} under that name"))
                    .expected("a name that is free: the source has chosen it, not you")
                    .fix("--force   lets it take the name over"))
            }
            _ => Ok(Some(name)),
        }
    }

    /// Lists content that was written, under a name or without.
    pub fn put(&self, name: Option<&str>, image: &Descriptor) -> Result<()> {
        match (&self.kind, name) {
            (Sort::Layout(target), Some(name)) => target.layout().tag(name, image),
            (Sort::Layout(target), None) => target.layout().add(image),
            (Sort::Archive(writer), Some(name)) => writer.tag(name, image),
            (Sort::Archive(writer), None) => writer.add(image),
            (Sort::Docker(writer), Some(name)) => writer.tag(name, image),
            (Sort::Docker(writer), None) => writer.add(image),
            (Sort::Registry(remote), Some(name)) => registry::put(remote, name, image),
            // It is there by its digest.
            (Sort::Registry(_), None) => Ok(()),
            (Sort::Dir { root, .. }, _) => {
                let mut root = root.lock().unwrap_or_else(PoisonError::into_inner);
                if root.as_ref().is_some_and(|root| root.digest != image.digest) {
                    return Err(Error::new(Code::Unrepresentable, "writing a dir: folder")
                        .found("a second image")
                        .expected("one: such a folder has no names"));
                }
                *root = Some(image.clone());
                Ok(())
            }
        }
    }

    /// Makes the place visible if it is new.
    pub fn finish(self) -> Result<()> {
        match self.kind {
            Sort::Layout(target) => target.publish().map(|_| ()),
            Sort::Archive(writer) => writer.publish(),
            Sort::Docker(writer) => writer.publish(),
            // It became visible piece by piece, names last.
            Sort::Registry(_) => Ok(()),
            Sort::Dir { writer, root } => {
                match root.into_inner().unwrap_or_else(PoisonError::into_inner) {
                    Some(root) => writer.publish(&root),
                    None => Err(Error::new(Code::Bug, "writing a dir: folder").found("no image")),
                }
            }
        }
    }

    /// Gives the image its name ([`Target::published_name`]), and makes the
    /// place visible if it is new.
    pub fn publish(self, image: &Descriptor) -> Result<()> {
        self.put(Some(self.published_name()), image)?;
        self.finish()
    }

    /// The same if that name still stands for `old`; `false` if somebody else
    /// was faster. Nobody else has a name in an archive that is being written.
    pub fn publish_over(self, image: &Descriptor, old: &Digest) -> Result<bool> {
        if let Some(layout) = self.layout()
            && !layout.tag_over(self.published_name(), old, image)?
        {
            return Ok(false);
        }
        if self.layout().is_none() {
            self.put(Some(self.published_name()), image)?;
        }
        self.finish().map(|()| true)
    }
}
