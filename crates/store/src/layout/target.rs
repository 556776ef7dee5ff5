//! Layouts that become visible as a whole.

use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Descriptor, MediaType, Result, Sink, Tag};

use super::{Layout, Options, Writing};
use crate::StagedDir;

/// A layout to write to: one that is there, or a new one that is not there
/// before [`Target::publish`]. Dropped before, a new one leaves nothing.
#[derive(Debug)]
pub struct Target {
    layout: Layout,
    staged: Option<StagedDir>,
    _writing: Writing,
}

impl Target {
    /// Opens the layout at `path`, or stages a new one beside it. The guard
    /// of [`Layout::writing`] is held as long as the target lives.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, Options::default())
    }

    /// [`Target::open`] with options.
    pub fn open_with(path: &Path, options: Options) -> Result<Self> {
        let empty = path.is_dir() && path.read_dir().is_ok_and(|mut names| names.next().is_none());
        // A folder that is called . has no name to be replaced by.
        if path.symlink_metadata().is_ok() && !(empty && path.file_name().is_some()) {
            let layout = if empty {
                Layout::open_or_create_with(path, options)?
            } else {
                Layout::open_with(path, options)?
            };
            let writing = layout.writing()?;
            return Ok(Self { layout, staged: None, _writing: writing });
        }
        let staged = StagedDir::beside(path)?.flushed(options.flush);
        // Its name for now says nothing to anybody.
        let mut layout = Layout::open_or_create_with(&staged.path(), options)
            .map_err(|error| error.context(format!("making layout {}", path.display())))?;
        // What messages are to say.
        path.clone_into(&mut layout.path);
        let writing = layout.writing()?;
        Ok(Self { layout, staged: Some(staged), _writing: writing })
    }

    /// The layout to write to.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The folder that is written to, which a new layout has under another
    /// name until it is visible: for temporary files on the same file system.
    pub fn folder(&self) -> PathBuf {
        self.staged.as_ref().map_or_else(|| self.layout.path().to_owned(), StagedDir::path)
    }

    /// Makes what was written visible, and gives the layout at its place.
    ///
    /// If somebody else made a layout there meanwhile, everything goes into
    /// that one, names last.
    pub fn publish(self) -> Result<Layout> {
        let Self { layout, staged, _writing } = self;
        let Some(mut staged) = staged else { return Ok(layout) };
        staged.open_up()?;
        match staged.try_publish() {
            Ok(()) => Ok(layout),
            Err(error) if error.code() == Code::Exists => {
                let other = Layout::open_with(&staged.destination(), layout.options)?;
                other.take_all(&layout)?;
                Ok(other)
            }
            Err(error) => Err(error),
        }
    }
}

impl Layout {
    /// Takes all blobs, entries and names of another layout.
    fn take_all(&self, from: &Self) -> Result<()> {
        let _writing = self.writing()?;
        for digest in from.inventory()?.blobs {
            let path = super::blobs::path(&digest);
            let (_, size) =
                from.root.file(&path).map_err(|refused| from.refused(&path, refused))?;
            let blob = Descriptor::new(MediaType::from("application/octet-stream"), digest, size);
            if self.has(&blob)? {
                continue;
            }
            self.copy_from(from, &blob)?;
        }
        for entry in from.entries()? {
            match entry.name() {
                Some(name) => self.tag(name, &entry.descriptor)?,
                None => self.add(&entry.descriptor)?,
            }
        }
        Ok(())
    }
}
