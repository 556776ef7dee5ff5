//! OCI image layouts as folders (`image-layout.md`).
//!
//! Reading trusts nothing in the folder and takes no lock. Writing keeps two
//! promises: a blob is at its place only whole, durable and proved, and
//! `index.json` goes from one whole state to the next with nothing in it lost
//! that this version does not know, however many processes write.
//!
//! What writing needs lies in the folder `.plimsoll` of the layout, which
//! other tools ignore (LA10) and which may be removed when nobody writes:
//!
//! | name | what |
//! |---|---|
//! | `lock` | held alone while `index.json` is changed |
//! | `writers` | shared by those who write blobs; held alone to remove some |
//! | `gate` | what writers pass on their way in, closed while somebody waits to remove |
//! | `staging/` | blobs and documents on their way to their places; parts of blobs that broke off |
//! | `uploads/` | blobs that come in parts, over hours or several processes |

mod blobs;
mod check;
mod collect;
mod create;
mod index;
mod lines;
mod listing;
mod select;
mod target;
mod upload;
mod walk;

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll_content::limits::Limits;
use plimsoll_content::{Code, Document, Error, Result, View};
use plimsoll_spec::{Index, LayoutHeader};

pub use blobs::{Inventory, Removed};
pub use check::Frame;
pub(crate) use collect::in_folder;
pub use collect::{Collect, Collected};
pub use lines::Line;
pub use listing::{Listing, Stamp};
pub use select::Selector;
pub(crate) use select::is_prefix;
pub use target::Target;
pub use upload::Upload;
pub use walk::{About, Closure, Reachable, Referrers, closure, reachable};

use crate::folder::{Flush, Folder, Refused};
use crate::lock::{Lock, Share};
use lines::Lines;

const HEADER: &str = "oci-layout";
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs";
const OWN: &str = ".plimsoll";
const STAGING: &str = "staging";

/// How long a change of `index.json` waits for its turn: others hold the lock
/// for milliseconds, on slow storage for seconds.
const INDEX_PATIENCE: Duration = Duration::from_mins(1);

/// How long removers of blobs wait for writers, who may have hours of work.
const REMOVER_PATIENCE: Duration = Duration::from_secs(10);

/// How long writers wait for removers: these read all documents of a layout.
const WRITER_PATIENCE: Duration = Duration::from_mins(2);

/// How a layout is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Follow symbolic links in the layout, also out of it. Some layouts
    /// share blobs that way; a layout of a stranger can lead anywhere.
    pub follow_symlinks: bool,
    /// The budgets for documents.
    pub limits: Limits,
    /// Whether what is written survives a power cut.
    pub flush: Flush,
}

/// A layout directory: a place that content is read from and written to, and
/// in which it has names.
pub struct Layout {
    root: Folder,
    path: PathBuf,
    options: Options,
    /// The list as it was read or written last.
    last: Mutex<Option<Arc<Lines>>>,
}

impl Layout {
    /// Opens a layout; links in it are refused.
    ///
    /// Errors with [`Code::NotALayout`] and what was found instead if the
    /// folder is none, and with [`Code::Malformed`] if a document is broken.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, Options::default())
    }

    /// Opens a layout.
    pub fn open_with(path: &Path, options: Options) -> Result<Self> {
        let layout = Self::unchecked(path, options)?;
        layout.check_header()?;
        layout.index()?;
        Ok(layout)
    }

    /// The folder, whatever is in it.
    fn unchecked(path: &Path, options: Options) -> Result<Self> {
        let root = Folder::open(path, options.follow_symlinks).map_err(|cause| {
            if cause.kind() == io::ErrorKind::NotADirectory {
                return not_a_layout(path)
                    .found("a file")
                    .expected("a folder with oci-layout, index.json and blobs")
                    .fix(format!(
                        "for an archive of a layout, write oci-archive:{}",
                        path.display()
                    ));
            }
            Error::io("opening layout", path.display(), cause)
        })?;
        let root = root.flushed(options.flush);
        Ok(Self { root, path: path.to_owned(), options, last: Mutex::default() })
    }

    fn check_header(&self) -> Result<()> {
        let Some(bytes) = self.read_document(HEADER, LayoutHeader::limit(&self.options.limits))?
        else {
            return Err(not_a_layout(&self.path)
                .found(format!("no file {HEADER}{}", self.looks_like()))
                .expected("a folder with oci-layout, index.json and blobs")
                .fix("check the path; `plimsoll pack` makes a layout"));
        };
        Document::<LayoutHeader>::parse(bytes).map_err(|error| {
            error
                .context(format!("opening layout {}", self.path.display()))
                .fix(format!("the file {HEADER} must be {{\"imageLayoutVersion\":\"1.0.0\"}}"))
        })?;
        Ok(())
    }

    /// What a folder that is no layout may be.
    fn looks_like(&self) -> &'static str {
        let has = |name: &str| self.root.stat(name).ok().flatten().is_some();
        if has("manifest.json") && has("version") {
            "; it looks like the dir: format of skopeo"
        } else if has("manifest.json") {
            "; it looks like an unpacked docker archive"
        } else if has("config.json") && has("rootfs") {
            "; it looks like a runtime bundle"
        } else if has("etc") && (has("bin") || has("usr")) {
            "; it looks like a root filesystem"
        } else if self.root.names().is_ok_and(|names| names.is_empty()) {
            "; the folder is empty"
        } else {
            ""
        }
    }

    /// Where the layout lies, as it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether what is written here survives a power cut.
    pub fn flush(&self) -> Flush {
        self.root.flush()
    }

    /// What `index.json` says now.
    pub fn index(&self) -> Result<Document<Index>> {
        self.parse_index(&self.read_index_bytes()?)
    }

    /// The bytes of `index.json`.
    fn read_index_bytes(&self) -> Result<Vec<u8>> {
        self.read_document(INDEX, Index::limit(&self.options.limits))?.ok_or_else(|| {
            not_a_layout(&self.path)
                .found(format!("no file {INDEX}"))
                .expected("index.json, the list of what the layout holds")
                .fix("copy the layout anew from where it came")
        })
    }

    /// Whether the file has these bytes, without holding them twice.
    fn index_is(&self, bytes: &[u8]) -> Result<bool> {
        let failed = |cause| Error::io("reading", self.path.join(INDEX).display(), cause);
        let (mut file, size) = match self.root.file(INDEX) {
            Ok((file, size)) => (file, size),
            Err(Refused::Io(cause)) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(refused) => return Err(self.refused(INDEX, refused)),
        };
        if size != bytes.len() as u64 {
            return Ok(false);
        }
        let (mut piece, mut rest) = ([0; 16 << 10], bytes);
        loop {
            let length = match file.read(&mut piece) {
                Ok(0) => return Ok(rest.is_empty()),
                Ok(length) => length,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                Err(cause) => return Err(failed(cause)),
            };
            match rest.strip_prefix(&piece[..length]) {
                Some(behind) => rest = behind,
                None => return Ok(false),
            }
        }
    }

    /// What they say.
    fn parse_index(&self, bytes: &[u8]) -> Result<Document<Index>> {
        let broken = |error: Error| {
            error.context(format!("reading {INDEX} of layout {}", self.path.display())).fix(
                "another tool may have been stopped while it wrote the file: copy it anew from \
                 where it came; the blobs may be good",
            )
        };
        if bytes.is_empty() {
            return Err(broken(
                Error::new(Code::Malformed, "reading an image index").found("an empty file"),
            ));
        }
        match Document::parse_within(bytes, &self.options.limits) {
            Ok(index) => Ok(index),
            Err(error) if error.code() == Code::Malformed => Err(broken(error)),
            Err(error) => Err(error.context(format!("opening layout {}", self.path.display()))),
        }
    }

    /// The content of a small file of the layout; `None` if there is none.
    pub(crate) fn read_document(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let doing = || format!("reading {name} of layout {}", self.path.display());
        let (file, size) = match self.root.file(name) {
            Ok(opened) => opened,
            Err(Refused::Io(cause)) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(refused) => return Err(self.refused(name, refused)),
        };
        let mut bytes = Vec::new();
        if size <= limit {
            // The file may grow meanwhile.
            file.take(limit + 1)
                .read_to_end(&mut bytes)
                .map_err(|cause| Error::io("reading", self.path.join(name).display(), cause))?;
        }
        let size = size.max(bytes.len() as u64);
        if size > limit {
            return Err(Error::new(Code::Limit, doing())
                .found(format!("{size} bytes"))
                .expected(format!("at most {limit} bytes")));
        }
        Ok(Some(bytes))
    }

    /// The error about a file of the layout that was not opened.
    fn refused(&self, name: &str, refused: Refused) -> Error {
        let place = self.path.join(name);
        match refused {
            Refused::Io(cause) => Error::io("opening", place.display(), cause),
            Refused::Kind(kind) => {
                let error = Error::new(Code::UnsafeEntry, format!("opening {}", place.display()))
                    .found(kind)
                    .expected("a regular file");
                if kind == "a symbolic link" {
                    error.fix("if the links in this layout are yours, allow them with --follow-layout-symlinks")
                } else {
                    error
                }
            }
        }
    }

    /// The folder of what writing needs, made if it is missing.
    fn own(&self) -> Result<Folder> {
        let failed = |cause| Error::io("writing to layout", self.path.display(), cause);
        self.root.make(OWN).map_err(failed)?;
        self.root.folder(OWN).map_err(failed)
    }

    /// The folder in which content is staged.
    fn staging(&self) -> Result<Folder> {
        let failed = |cause| Error::io("writing to layout", self.path.display(), cause);
        let own = self.own()?;
        own.make(STAGING).map_err(failed)?;
        own.folder(STAGING).map_err(failed)
    }

    /// Says that content is being written: as long as the guard lives, nobody
    /// removes blobs from the layout.
    ///
    /// Hold it from the first blob of an image until its name is set; an
    /// [`Ingest`](plimsoll_content::Ingest) by itself guards only until its
    /// blob is there. Waits for a running [`Layout::collect`]; errors with
    /// [`Code::Locked`] if that takes minutes. Whoever holds a guard should not
    /// ask for another one, nor remove blobs: it would wait for itself.
    pub fn writing(&self) -> Result<Writing> {
        let gate = self.lock("gate", Share::Shared, WRITER_PATIENCE)?;
        let writing = self.ingesting();
        drop(gate);
        writing
    }

    /// The guard of one blob. It does not wait at the gate, for the caller
    /// may be one of those who are waited for there.
    fn ingesting(&self) -> Result<Writing> {
        self.lock("writers", Share::Shared, WRITER_PATIENCE).map(|lock| Writing { _lock: lock })
    }

    /// The right to remove blobs: nobody writes while it is held.
    pub(crate) fn removing(&self) -> Result<(Lock, Lock)> {
        // New writers wait at the gate, or the turn would never come.
        let gate = self.lock("gate", Share::Exclusive, REMOVER_PATIENCE)?;
        let writers = self.lock("writers", Share::Exclusive, REMOVER_PATIENCE)?;
        Ok((gate, writers))
    }

    fn lock(&self, name: &str, share: Share, patience: Duration) -> Result<Lock> {
        Lock::take(&self.own()?, name, share, patience, &self.path)
    }

    fn lock_index(&self) -> Result<Lock> {
        self.lock("lock", Share::Exclusive, INDEX_PATIENCE)
    }
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layout({})", self.path.display())
    }
}

/// The guard of somebody who writes; see [`Layout::writing`].
#[derive(Debug)]
#[must_use]
pub struct Writing {
    _lock: Lock,
}

fn not_a_layout(path: &Path) -> Error {
    Error::new(Code::NotALayout, format!("opening layout {}", path.display()))
}
