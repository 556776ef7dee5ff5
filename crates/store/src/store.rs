//! The local store of one user.

use std::ffi::CString;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Digest, Error, Result};
use rustix::fs::{Mode, chmod};

use crate::folder::Folder;
use crate::layout::{Options, is_prefix};
use crate::{Entry, Layout, StagedDir, temporary};

const CACHE: &str = "cache";
const FORMAT: &str = ".plimsoll/format";

/// The one format of stores there is. A later one gets another number, and
/// this version refuses it.
const VERSION: &[u8] = b"1\n";

/// The local store: an OCI layout that any tool can read, and beside its
/// blobs a cache of unpacked content, which may be removed at any time.
#[derive(Debug)]
pub struct Store {
    layout: Layout,
}

impl Store {
    /// Opens the store at `path`; makes it, with the folders around it, on
    /// first use. What it makes is for its owner only (0700).
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, Options::default())
    }

    /// The same with options.
    pub fn open_with(path: &Path, options: Options) -> Result<Self> {
        let failed = |cause| Error::io("opening the local store at", path.display(), cause);
        if !path.is_dir() {
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
            }
            match DirBuilder::new().mode(0o700).create(path) {
                Ok(()) => chmod(path, Mode::RWXU).map_err(|errno| failed(errno.into()))?,
                // Another process was faster.
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(failed(cause)),
            }
        }
        let layout = Layout::open_or_create_with(path, options)
            .map_err(|error| error.context("opening the local store"))?;
        let store = Self { layout };
        store.check_format()?;
        Ok(store)
    }

    fn check_format(&self) -> Result<()> {
        match self.layout.read_document(FORMAT, 64)? {
            Some(bytes) if bytes == VERSION => Ok(()),
            Some(bytes) => Err(Error::new(
                Code::NotALayout,
                format!("opening the local store at {}", self.path().display()),
            )
            .found(format!("format {:?}", String::from_utf8_lossy(&bytes).trim_end()))
            .expected("format 1: a later version of this program made the store")
            .fix("use that version, or another store (--store)")),
            // A store on read-only media is readable without it.
            None => match self.layout.put_own("format", VERSION) {
                Err(error) if error.code() == Code::Permission => Ok(()),
                other => other,
            },
        }
    }

    /// Where the store lies.
    pub fn path(&self) -> &Path {
        self.layout.path()
    }

    /// The store as a layout: to read from, to write to, to name in.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What somebody means who writes `text`: a name, or else a digest or at
    /// least 8 digits of one.
    ///
    /// Errors with [`Code::NotFound`] and what there is, or with
    /// [`Code::Reference`] and the possible meanings if there are several.
    pub fn find(&self, text: &str) -> Result<Entry> {
        let named = self.layout.find_name(text);
        let digits = text.rsplit_once(':').map_or(text, |(_, digits)| digits);
        match named {
            Err(error) if error.code() == Code::NotFound && is_prefix(digits) => {
                match self.layout.find_prefix(text) {
                    Err(other) if other.code() == Code::NotFound => Err(error),
                    other => other,
                }
            }
            other => other,
        }
    }

    /// The folder of cached content of some kind under that key, if there is
    /// one. It is there only whole.
    ///
    /// `kind` is one word that says what the folders hold and for whom, for
    /// example the layers as root sees them; the key is a chain id, as a rule.
    pub fn cached(&self, kind: &str, key: &Digest) -> Result<Option<PathBuf>> {
        let path = self.cache_path(kind, key)?;
        match path.symlink_metadata() {
            Ok(data) if data.is_dir() => Ok(Some(path)),
            Ok(_) => Err(Error::new(Code::Malformed, format!("reading cache {}", path.display()))
                .found("something else than a folder")
                .fix(format!("rm {}", path.display()))),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::io("reading cache", path.display(), cause)),
        }
    }

    /// Stages content for the cache; [`Store::keep`] puts it there. Errors
    /// with [`Code::Exists`] if it is there already.
    pub fn stage(&self, kind: &str, key: &Digest) -> Result<StagedDir> {
        let path = self.cache_path(kind, key)?;
        if self.cached(kind, key)?.is_some() {
            return Err(Error::new(Code::Exists, format!("making cache {}", path.display()))
                .found("a folder of that name")
                .expected("a name that is free"));
        }
        let mut folder = Folder::open(self.path(), false)
            .map_err(|cause| Error::io("making cache", self.path().display(), cause))?;
        for name in [CACHE, kind, key.algorithm_name()] {
            folder = folder
                .make(name)
                .and_then(|_| folder.folder(name))
                .map_err(|cause| Error::io("making cache", path.display(), cause))?;
        }
        StagedDir::beside(&path)
    }

    /// Publishes staged content, and says where it lies. If another process
    /// has cached the same meanwhile, that is taken.
    pub fn keep(staged: StagedDir) -> Result<PathBuf> {
        let path = staged.destination();
        match staged.publish() {
            Err(error) if error.code() != Code::Exists => Err(error),
            _ => Ok(path),
        }
    }

    /// Removes cached content; `false` if there was none. Nobody may be
    /// using it.
    pub fn forget(&self, kind: &str, key: &Digest) -> Result<bool> {
        let Some(path) = self.cached(kind, key)? else { return Ok(false) };
        let remove = || {
            let name = CString::new(key.encoded())?;
            let parent = Folder::open(path.parent().unwrap_or(Path::new("")), false)?;
            temporary::retire(parent.as_fd(), &name)
        };
        remove().map_err(|cause| Error::io("removing cache", path.display(), cause))?;
        Ok(true)
    }

    fn cache_path(&self, kind: &str, key: &Digest) -> Result<PathBuf> {
        let word =
            kind.bytes().all(|byte| byte.is_ascii_lowercase() || b"-0123456789".contains(&byte));
        if kind.is_empty() || !word {
            return Err(Error::new(Code::Usage, "naming a cache")
                .found(format!("{kind:?}"))
                .expected("lower-case letters, digits and -"));
        }
        Ok(self.path().join(CACHE).join(kind).join(key.algorithm_name()).join(key.encoded()))
    }
}
