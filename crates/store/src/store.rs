//! The local store of one user.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Digest, Error, Result};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, chmod, flock, fstat, openat, statat};
use rustix::io::{Errno, retry_on_intr};

use crate::folder::{Folder, folder_flags};
use crate::layout::{in_folder, is_prefix};
use crate::{Collect, Collected, Entry, Layout, Options, StagedDir, temporary};

const CACHE: &str = "cache";
/// Where those who run images have their private folders.
const RUN: &str = "run";
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

    /// [`Store::open`] with options.
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
        Ok(StagedDir::beside(&path)?.flushed(self.layout.flush()))
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

    /// As [`Store::cached`], kept from [`Store::forget`] and
    /// [`Store::collect`] as long as what is given lives: in this process and
    /// in others.
    pub fn hold(&self, kind: &str, key: &Digest) -> Result<Option<Held>> {
        while let Some(path) = self.cached(kind, key)? {
            let lock = || {
                let folder = open_folder(&path)?;
                // Who has just published it, or is about to remove it, is quick.
                retry_on_intr(|| flock(&folder, FlockOperation::LockShared))?;
                io::Result::Ok(folder)
            };
            let folder = match lock() {
                Ok(folder) => folder,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(Error::io("using cache", path.display(), cause)),
            };
            if same_file(&path, &folder) {
                return Ok(Some(Held { path, _lock: folder }));
            }
        }
        Ok(None)
    }

    /// Removes cached content; `false` if there was none. Errors with
    /// [`Code::Locked`] if somebody holds it.
    pub fn forget(&self, kind: &str, key: &Digest) -> Result<bool> {
        let Some(path) = self.cached(kind, key)? else { return Ok(false) };
        let failed = |cause| Error::io("removing cache", path.display(), cause);
        let folder = match open_folder(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other.map_err(failed)?,
        };
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {
                return Err(Error::new(Code::Locked, format!("removing cache {}", path.display()))
                    .found("a process that uses it")
                    .expected("nobody")
                    .fix("try again when the container has ended"));
            }
            other => other.map_err(|errno| failed(errno.into()))?,
        }
        let remove = || {
            let name = CString::new(key.encoded())?;
            let parent = Folder::open(path.parent().unwrap_or(Path::new("")), false)?;
            temporary::retire(parent.as_fd(), &name)
        };
        if same_file(&path, &folder) {
            remove().map_err(failed)?;
        }
        Ok(true)
    }

    /// All folders of the cache, in the order of their paths. What lies among
    /// them and is none is left out.
    pub fn cache(&self) -> Result<Vec<CacheFolder>> {
        let mut found = Vec::new();
        for (kind, algorithm, folder) in self.cache_folders()? {
            for encoded in names(&folder, self.path())? {
                if let Ok(key) = format!("{algorithm}:{encoded}").parse() {
                    found.push(CacheFolder { kind: kind.clone(), key });
                }
            }
        }
        Ok(found)
    }

    /// The folders that hold the folders of the cache: kind, algorithm, handle.
    fn cache_folders(&self) -> Result<Vec<(String, String, Folder)>> {
        let mut found = Vec::new();
        let failed = |cause| Error::io("listing cache in", self.path().display(), cause);
        let root = Folder::open(self.path(), false).map_err(failed)?;
        let Ok(cache) = root.folder(CACHE) else { return Ok(found) };
        for kind in names(&cache, self.path())? {
            let Ok(of_kind) = cache.folder(&kind) else { continue };
            for algorithm in names(&of_kind, self.path())? {
                if let Ok(folder) = of_kind.folder(&algorithm) {
                    found.push((kind.clone(), algorithm, folder));
                }
            }
        }
        Ok(found)
    }

    /// Removes blobs that no image needs, what killed processes left, and the
    /// folders of the cache that `needed` does not name and nobody holds.
    ///
    /// `needed` is asked when nobody can write any more. Folders that can not
    /// be removed, which belong to the users of a user namespace, are given
    /// with the reason. See [`Layout::collect_with`] for how writers and
    /// removers keep out of each other's way.
    pub fn collect(
        &self,
        options: &Collect,
        needed: &dyn Fn(&Layout) -> Result<BTreeSet<Digest>>,
    ) -> Result<Swept> {
        let _no_writer = self.layout.removing()?;
        let mut collected = self.layout.collect_alone(options)?;
        let needed = needed(&self.layout)?;
        let (mut removed, mut stayed) = (Vec::new(), Vec::new());
        for folder in self.cache()? {
            if needed.contains(&folder.key) {
                continue;
            }
            let done =
                if options.dry_run { Ok(true) } else { self.forget(&folder.kind, &folder.key) };
            match done {
                Ok(true) => removed.push(folder),
                Ok(false) => {}
                Err(error) => stayed.push((folder, error)),
            }
        }
        let failed = |cause| Error::io("listing", self.path().display(), cause);
        let run = Folder::open(self.path(), false).map_err(failed)?.folder(RUN).ok();
        for (place, folder) in run.map(|folder| (PathBuf::from(RUN), folder)).into_iter().chain(
            self.cache_folders()?.into_iter().map(|(kind, algorithm, folder)| {
                (Path::new(CACHE).join(kind).join(algorithm), folder)
            }),
        ) {
            collected.leftovers.extend(in_folder(&folder, &place, !options.dry_run)?);
        }
        Ok(Swept { collected, cache: removed, stayed })
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

/// What was removed from a store, or would be.
#[derive(Debug)]
pub struct Swept {
    /// Blobs and leftovers.
    pub collected: Collected,
    /// Folders of the cache.
    pub cache: Vec<CacheFolder>,
    /// Folders of the cache that could not be removed.
    pub stayed: Vec<(CacheFolder, Error)>,
}

/// A folder of the cache.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CacheFolder {
    /// What the folders hold and for whom.
    pub kind: String,
    /// The chain id, as a rule.
    pub key: Digest,
}

/// A folder of the cache that nobody removes as long as this lives.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    _lock: OwnedFd,
}

impl Held {
    /// Where the folder lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The names in a folder of the cache that are text; others are not ours.
fn names(folder: &Folder, store: &Path) -> Result<Vec<String>> {
    let names =
        folder.names().map_err(|cause| Error::io("listing cache in", store.display(), cause))?;
    Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, folder_flags() | OFlags::NOFOLLOW, Mode::empty())?)
}

/// Whether the path still leads to what `folder` is the handle of.
fn same_file(path: &Path, folder: &OwnedFd) -> bool {
    let (Ok(ours), Ok(theirs)) = (fstat(folder), statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW))
    else {
        return false;
    };
    (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
}
