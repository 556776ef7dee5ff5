//! Folders and files that become visible as a whole or not at all.

use std::ffi::{CString, OsStr, OsString};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{
    FileType, Mode, RenameFlags, fchmod, fstat, fsync, renameat, renameat_with, syncfs,
};
use rustix::io::{Errno, retry_on_intr};

use crate::folder::{Flush, Folder};
use crate::remove;
use crate::temporary::{self, TemporaryFile};

/// A private folder beside a destination, in which something is built.
///
/// It has mode 0700 and a hidden name (`.plimsoll-….tmp`), and is locked as
/// long as this value lives. [`StagedDir::publish`] gives it its place in one
/// step. Dropped before, it is removed with all that is in it; what a killed
/// process leaves is removed by the next one that stages in the same place.
///
/// Whoever builds in it may change its mode, as the root entry of a layer
/// does: it is published with the mode that it has then.
#[derive(Debug)]
pub struct StagedDir {
    parent: Folder,
    parent_path: PathBuf,
    name: Option<CString>,
    folder: OwnedFd,
    destination: OsString,
    /// An empty folder lay at the destination, which may be replaced.
    over_empty: bool,
    flush: Flush,
}

impl StagedDir {
    /// Stages beside `destination`, on the same file system.
    ///
    /// Errors with [`Code::Exists`] if something lies there already other
    /// than an empty folder, which people make for what is to come and which
    /// is replaced; the folder around it must exist.
    pub fn beside(destination: &Path) -> Result<Self> {
        let shown = destination.display();
        let Some(name) = destination.file_name() else {
            return Err(Error::new(Code::Usage, format!("preparing folder {shown}"))
                .found("a path that ends in .. or /")
                .expected("the name of a new folder"));
        };
        let parent_path = destination.parent().unwrap_or(Path::new("")).to_owned();
        let parent = Folder::open(&parent_path, false).map_err(|cause| {
            Error::io("opening the folder around", &shown, cause)
                .fix("make the folder around it first")
        })?;
        let failed = |cause| Error::io("preparing folder", &shown, cause);
        let over_empty = match parent.stat(name).map_err(failed)? {
            None => false,
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let names = parent.folder(name).and_then(|old| old.names()).map_err(failed)?;
                if !names.is_empty() {
                    return Err(exists(destination));
                }
                true
            }
            Some(_) => return Err(exists(destination)),
        };
        // Tidying up must not stop the work.
        let _ = temporary::sweep(parent.as_fd());
        let (own, folder) = temporary::folder(parent.as_fd()).map_err(failed)?;
        Ok(Self {
            parent,
            parent_path,
            name: Some(own),
            folder,
            destination: name.to_owned(),
            over_empty,
            flush: Flush::Durable,
        })
    }

    /// The same, with that rule for what is published.
    #[must_use]
    pub fn flushed(mut self, flush: Flush) -> Self {
        self.flush = flush;
        self
    }

    /// Removes what killed processes left in `folder`, and gives how many
    /// things that were. What somebody works on stays.
    pub fn sweep(folder: &Path) -> Result<usize> {
        let doing = "removing leftovers in";
        Folder::open(folder, false)
            .and_then(|opened| temporary::sweep(opened.as_fd()))
            .map_err(|cause| Error::io(doing, folder.display(), cause))
    }

    /// The handle of the folder.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// Where the folder lies for now: for programs that take no handle.
    pub fn path(&self) -> PathBuf {
        let name = self.name.as_ref().map_or(&b""[..], |name| name.to_bytes());
        self.parent_path.join(OsStr::from_bytes(name))
    }

    /// Where the folder will lie.
    pub fn destination(&self) -> PathBuf {
        self.parent_path.join(&self.destination)
    }

    /// Makes everything in the folder durable, gives the folder its name, and
    /// makes that durable too; with [`Flush::Never`], only the name is given.
    ///
    /// Errors with [`Code::Exists`] if something has that name by now.
    /// Nothing is ever replaced but the empty folder that lay there when
    /// this was staged. After an error the folder is removed.
    pub fn publish(mut self) -> Result<()> {
        self.try_publish()
    }

    /// [`StagedDir::publish`], after whose failure the folder is still there.
    pub(crate) fn try_publish(&mut self) -> Result<()> {
        let destination = self.destination();
        let failed =
            |errno: Errno| Error::io("publishing folder", destination.display(), errno.into());
        // One sync for all files instead of one for each.
        if self.flush == Flush::Durable {
            syncfs(&self.folder).map_err(failed)?;
        }
        self.rename()?;
        if self.flush == Flush::Never {
            return Ok(());
        }
        retry_on_intr(|| fsync(self.parent.as_fd())).map_err(failed)
    }

    fn rename(&mut self) -> Result<()> {
        let destination = self.destination();
        let Some(own) = &self.name else {
            return Err(Error::new(Code::Bug, "publishing a folder twice"));
        };
        let name = self.destination.as_bytes();
        let parent = self.parent.as_fd();
        // Renaming a folder replaces nothing but an empty folder, so where one
        // lay, or where the file system has no such flag, it will do without.
        let renamed = if self.over_empty {
            Err(Errno::INVAL)
        } else {
            renameat_with(parent, own, parent, name, RenameFlags::NOREPLACE)
        };
        match renamed {
            Err(Errno::INVAL | Errno::NOSYS) => renameat(parent, own, parent, name),
            other => other,
        }
        .map_err(|errno| match errno {
            Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR => exists(&destination),
            errno => Error::io("publishing folder", destination.display(), errno.into()),
        })?;
        self.name = None;
        Ok(())
    }

    /// Gives the folder the mode that [`Folder::make`] would give it.
    pub(crate) fn open_up(&self) -> Result<()> {
        fstat(self.parent.as_fd())
            .and_then(|stat| {
                let mode = Mode::from_raw_mode(0o755 | stat.st_mode & 0o2020);
                fchmod(&self.folder, mode)
            })
            .map_err(|errno| {
                Error::io("publishing folder", self.destination().display(), errno.into())
            })
    }
}

impl Drop for StagedDir {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            // What can not be removed now is swept later.
            let _ = remove::tree(self.parent.as_fd(), &name);
        }
    }
}

/// A file that appears beside others when it is complete, and replaces
/// nothing. Dropped before, it is gone.
#[derive(Debug)]
pub struct StagedFile {
    parent: Folder,
    file: TemporaryFile,
    destination: PathBuf,
}

impl StagedFile {
    /// Stages in the folder of `destination`.
    ///
    /// Errors with [`Code::Exists`] if something lies there already; the
    /// folder around it must exist.
    pub fn beside(destination: &Path) -> Result<Self> {
        let shown = destination.display();
        let Some(name) = destination.file_name() else {
            return Err(Error::new(Code::Usage, format!("preparing file {shown}"))
                .found("a path that ends in .. or /")
                .expected("the name of a new file"));
        };
        let around = destination.parent().unwrap_or(Path::new(""));
        let parent = Folder::open(around, false).map_err(|cause| {
            Error::io("opening the folder around", &shown, cause)
                .fix("make the folder around it first")
        })?;
        let failed = |cause| Error::io("preparing file", &shown, cause);
        if parent.stat(name).map_err(failed)?.is_some() {
            return Err(taken(destination));
        }
        let _ = temporary::sweep(parent.as_fd());
        let file = TemporaryFile::create(parent.as_fd()).map_err(failed)?;
        Ok(Self { parent, file, destination: destination.to_owned() })
    }

    /// The same, with that rule for what is published.
    #[must_use]
    pub fn flushed(self, flush: Flush) -> Self {
        Self { parent: self.parent.flushed(flush), file: self.file.flushed(flush), ..self }
    }

    /// The folder that it lies in.
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.parent.as_fd()
    }

    /// Makes the content durable, and gives the file its name and mode 0644.
    ///
    /// Errors with [`Code::Exists`] if something has that name by now.
    pub fn publish(mut self) -> Result<()> {
        let name = self.destination.file_name().unwrap_or_default();
        match self.file.publish_new(self.parent.as_fd(), name, 0o644) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(taken(&self.destination));
            }
            other => other.and_then(|()| self.parent.sync()),
        }
        .map_err(|cause| Error::io("publishing file", self.destination.display(), cause))
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.file().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn taken(destination: &Path) -> Error {
    Error::new(Code::Exists, format!("making file {}", destination.display()))
        .found("something of that name")
        .expected("a name that is free")
        .fix("remove it, or choose another destination")
}

fn exists(destination: &Path) -> Error {
    Error::new(Code::Exists, format!("making folder {}", destination.display()))
        .found("something of that name")
        .expected("a name that is free")
        .fix("remove it, or choose another destination")
}

/// Writes a file so that its name stands for the old content or the new one
/// at any moment, also after a crash, and gives it that mode whatever the
/// umask says.
///
/// `name` is one component in `folder`.
pub fn write_file_atomic(
    folder: BorrowedFd<'_>,
    name: &str,
    bytes: &[u8],
    mode: u32,
) -> Result<()> {
    if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(Error::new(Code::Usage, "writing a file")
            .found(format!("name {name:?}"))
            .expected("one component of a path"));
    }
    let write = || {
        let _ = temporary::sweep(folder);
        let mut file = TemporaryFile::create(folder)?;
        file.file().write_all(bytes)?;
        file.publish(folder, name, mode)?;
        Ok(retry_on_intr(|| fsync(folder))?)
    };
    write().map_err(|cause| Error::io("writing", format!("{name:?}"), cause))
}
