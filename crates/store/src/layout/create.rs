//! Making layouts.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

use plimsoll_content::{Code, Document, Error, Result};
use plimsoll_spec::{Index, LayoutHeader};

use super::{BLOBS, HEADER, INDEX, Layout, OWN, Options, not_a_layout};
use crate::folder::Folder;
use crate::temporary::{self, TemporaryFile};

impl Layout {
    /// Makes an empty layout at `path`, where nothing or an empty folder lies;
    /// the folder around it must exist.
    ///
    /// Errors with [`Code::Exists`] if it is a layout already.
    pub fn create(path: &Path) -> Result<Self> {
        if is_layout(path) {
            return Err(Error::new(Code::Exists, format!("making layout {}", path.display()))
                .found("a layout")
                .expected("nothing, or an empty folder"));
        }
        Self::open_or_create(path)
    }

    /// Opens the layout at `path`; makes it if nothing or an empty folder
    /// lies there.
    ///
    /// Several processes may do so at once. Files have mode 0644 and folders
    /// 0755 (with the group's rights of the folder around) whatever the umask
    /// says.
    pub fn open_or_create(path: &Path) -> Result<Self> {
        Self::open_or_create_with(path, Options::default())
    }

    /// [`Layout::open_or_create`] with options.
    pub fn open_or_create_with(path: &Path, options: Options) -> Result<Self> {
        if !is_layout(path) {
            make_folder(path)?;
            let layout = Self::unchecked(path, options)?;
            layout.fill()?;
        }
        Self::open_with(path, options)
    }

    /// The same in a folder that may hold something else besides, which is
    /// left alone: a registry has layouts inside of layouts.
    pub fn open_or_create_around(path: &Path, options: Options) -> Result<Self> {
        if !is_layout(path) {
            make_folder(path)?;
            Self::unchecked(path, options)?.make_parts()?;
        }
        Self::open_with(path, options)
    }

    fn fill(&self) -> Result<()> {
        let failed = |cause| Error::io("making layout", self.path.display(), cause);
        let names = self.root.names().map_err(failed)?;
        // What another process, or one that was killed, has made so far.
        let begun = names.iter().any(|name| name.to_bytes() == OWN.as_bytes());
        let ours = [OWN, BLOBS, INDEX, HEADER].map(str::as_bytes);
        let stranger = names.iter().find(|name| !begun || !ours.contains(&name.to_bytes()));
        if let Some(stranger) = stranger {
            return Err(not_a_layout(&self.path)
                .found(format!("a folder without {HEADER}, which holds {stranger:?}"))
                .expected("a layout, an empty folder, or nothing")
                .fix("choose another path for the new layout"));
        }
        self.make_parts()
    }

    /// Makes the parts of a layout, the header last: before it is there, the
    /// folder is no layout to anybody.
    fn make_parts(&self) -> Result<()> {
        let failed = |cause| Error::io("making layout", self.path.display(), cause);
        let _lock = self.lock_index()?;
        self.root.make(BLOBS).map_err(failed)?;
        self.root
            .folder(BLOBS)
            .and_then(|blobs| blobs.make("sha256").map(|_| blobs))
            .and_then(|blobs| blobs.sync())
            .map_err(failed)?;
        self.put_new(INDEX, Document::new(Index::new(Vec::new()))?.bytes())?;
        self.put_new(HEADER, Document::new(LayoutHeader::default())?.bytes())
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let failed = |cause| Error::io("making layout", self.path.display(), cause);
        if self.root.stat(name).map_err(failed)?.is_some() {
            return Ok(());
        }
        self.put(name, bytes)
    }

    /// Lets a file of the layout have this content, in one step and durably.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.put_in(&self.root, name, bytes)
    }

    /// The same in the folder of what this software needs.
    pub(crate) fn put_own(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.put_in(&self.own()?, name, bytes)
    }

    fn put_in(&self, folder: &Folder, name: &str, bytes: &[u8]) -> Result<()> {
        let staging = self.staging()?;
        let write = || {
            // Tidying up must not stop the work.
            let _ = temporary::sweep(staging.as_fd());
            let mut file = TemporaryFile::create(staging.as_fd())?.flushed(folder.flush());
            file.file().write_all(bytes)?;
            file.publish(folder.as_fd(), name, 0o644)?;
            folder.sync()
        };
        write().map_err(|cause| Error::io("writing", self.path.join(name).display(), cause))
    }
}

fn is_layout(path: &Path) -> bool {
    path.join(HEADER).symlink_metadata().is_ok()
}

/// Makes the folder at `path` unless it is there.
fn make_folder(path: &Path) -> Result<()> {
    let failed = |cause| Error::io("making layout", path.display(), cause);
    if path.is_dir() {
        return Ok(());
    }
    let Some(name) = path.file_name() else {
        return Err(Error::new(Code::Usage, format!("making layout {}", path.display()))
            .found("a path that ends in .. or /")
            .expected("the name of a new folder"));
    };
    let parent = path.parent().unwrap_or(Path::new(""));
    let parent = Folder::open(parent, false)
        .map_err(|cause| failed(cause).fix("make the folder around it first"))?;
    parent.make(name).map_err(failed)?;
    parent.sync().map_err(failed)
}
