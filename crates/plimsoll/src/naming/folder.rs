//! What is remembered of names, as small files in a folder.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Error, Result};
use plimsoll_name::tuf::Shelf;
use plimsoll_store::write_file_atomic;

/// The largest file that is remembered.
const LIMIT: u64 = 8 << 20;

/// A folder of files that are replaced whole.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at that path, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        let plain = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
        };
        if name.trim_end_matches('/').split('/').all(plain) {
            return Ok(self.0.join(name));
        }
        Err(Error::new(Code::Bug, "remembering something").found(format!("{name:?}")))
    }
}

impl Shelf for Folder {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        read(&self.path(name)?, LIMIT)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write(&self.path(name)?, bytes, 0o600)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name)?;
        let done = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match done {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("removing", path.display(), cause))
            }
            _ => Ok(()),
        }
    }

    fn list(&self, start: &str) -> Result<Vec<String>> {
        let folder = start.trim_end_matches('/');
        let Ok(entries) = self.path(folder)?.read_dir() else { return Ok(Vec::new()) };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        // What is half-written has a dot in front.
        let mut names: Vec<String> = names
            .filter(|name| !name.starts_with('.'))
            .map(|name| format!("{folder}/{name}"))
            .collect();
        names.sort();
        Ok(names)
    }
}

/// A file, if it is there. A folder of that name is none.
pub(super) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    if path.is_dir() { Ok(None) } else { crate::registries::bytes(path, limit) }
}

/// Writes a file whole, with the folders above it.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let failed = |cause| Error::io("writing", path.display(), cause);
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let private = if mode == 0o600 { 0o700 } else { 0o755 };
    fs::DirBuilder::new().recursive(true).mode(private).create(folder).map_err(failed)?;
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Error::new(Code::Usage, format!("writing {}", path.display())).expected("a plain name")
    })?;
    let handle = File::open(folder).map_err(failed)?;
    write_file_atomic(handle.as_fd(), name, bytes, mode)
        .map_err(|error| error.context(format!("writing {}", path.display())))
}
