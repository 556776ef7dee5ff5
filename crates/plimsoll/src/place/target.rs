//! Places that images are written to.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use plimsoll_content::{Code, Descriptor, Digest, Error, Kind, Resolve, Result, Sink, Source, Tag};
use plimsoll_store::{self as store, DirWriter, Form, Layout, OciWriter, Output, check_ref_name};

use super::{Home, bug};
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
    Dir { writer: DirWriter, root: Box<Mutex<Option<Descriptor>>> },
}

impl Home {
    /// Prepares the place that the reference names for new images.
    pub fn target(&self, reference: &Reference) -> Result<Target> {
        let scratch = self.scratch().to_owned();
        let (kind, which) = match reference.clone().look(false)? {
            Reference::Layout { path, which } => (Sort::Layout(store::Target::open(&path)?), which),
            Reference::Store { which } => {
                self.store()?;
                (Sort::Layout(store::Target::open(self.store_path())?), which)
            }
            Reference::Archive { form: Some(Form::Docker), .. } => {
                return Err(Error::new(Code::Usage, format!("writing to {reference}"))
                    .found("a docker archive, which holds finished images only")
                    .expected("a layout, or the archive of one")
                    .fix(format!(
                        "write to a layout first; then: plimsoll copy oci:LAYOUT {reference}"
                    )));
            }
            Reference::Archive { at, which, .. } => {
                (Sort::Archive(OciWriter::new(self.archive(&at)?)), which)
            }
            Reference::Dir(path) => {
                let writer = DirWriter::create(&path)?;
                (Sort::Dir { writer, root: Box::default() }, Which::Only)
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

    /// A new archive.
    pub(crate) fn archive(&self, at: &At) -> Result<Output> {
        match at {
            At::File(path) => Output::file(path),
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
            Sort::Dir { writer, .. } => writer,
        }
    }

    /// The place as one to read from, where it is one.
    pub fn source(&self) -> Option<&dyn Source> {
        self.layout().map(|layout| layout as &dyn Source)
    }

    fn layout(&self) -> Option<&Layout> {
        match &self.kind {
            Sort::Layout(target) => Some(target.layout()),
            Sort::Archive(_) | Sort::Dir { .. } => None,
        }
    }

    /// A folder on the file system of the place, for temporary files without
    /// a name.
    pub fn scratch(&self) -> PathBuf {
        match &self.kind {
            Sort::Layout(target) => target.folder(),
            Sort::Archive(_) | Sort::Dir { .. } => self.scratch.clone(),
        }
    }

    /// The name that the reference gives to what is written.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether the place gives names to images.
    pub fn has_names(&self) -> bool {
        !matches!(self.kind, Sort::Dir { .. })
    }

    /// What has that name in the place already.
    pub fn named(&self, name: &str) -> Result<Option<Digest>> {
        let Some(layout) = self.layout() else { return Ok(None) };
        match layout.resolve(name) {
            Ok(found) => Ok(Some(found.digest)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists content that was written, under a name or without.
    pub fn put(&self, name: Option<&str>, image: &Descriptor) -> Result<()> {
        match (&self.kind, name) {
            (Sort::Layout(target), Some(name)) => target.layout().tag(name, image),
            (Sort::Layout(target), None) => target.layout().add(image),
            (Sort::Archive(writer), Some(name)) => writer.tag(name, image),
            (Sort::Archive(writer), None) => writer.add(image),
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
            Sort::Dir { writer, root } => {
                match root.into_inner().unwrap_or_else(PoisonError::into_inner) {
                    Some(root) => writer.publish(&root),
                    None => Err(Error::new(Code::Bug, "writing a dir: folder").found("no image")),
                }
            }
        }
    }

    /// Gives the image the name of the reference, or else `latest`, and makes
    /// the place visible if it is new.
    pub fn publish(self, image: &Descriptor) -> Result<()> {
        let name = self.name.clone().unwrap_or_else(|| "latest".to_owned());
        self.put(Some(&name), image)?;
        self.finish()
    }
}
