//! Skopeo's folder of one image (`dir:`).
//!
//! | name | what |
//! |---|---|
//! | `version` | `Directory Transport Version: 1.1` and a newline |
//! | `manifest.json` | the manifest or index of the image |
//! | `HEX.manifest.json` | further manifests, that the index leads to |
//! | `HEX` | everything else, by the value of its digest |
//!
//! The folder names no algorithm: whoever asks for content knows its digest,
//! and proves it. `manifest.json` is what sha256 says it is, a signed one of
//! Docker's schema 1 what it says without its signatures. Signatures of images
//! (`signature-1`) are left alone.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use plimsoll_content::limits::Limits;
use plimsoll_content::{
    Algorithm, Code, Descriptor, Digest, Error, Ingest, Result, Sink, Source, Unverified, Verified,
};
use plimsoll_spec::docker::schema1;
use plimsoll_spec::{Node, graph};

use crate::StagedDir;
use crate::catalog::Catalog;
use crate::folder::{Flush, Folder, Refused};
use crate::temporary::TemporaryFile;

const VERSION: &str = "version";
const VERSION_TEXT: &[u8] = b"Directory Transport Version: 1.1\n";
const MANIFEST: &str = "manifest.json";
const MODE: u32 = 0o644;

/// A folder of one image, to read from.
#[derive(Debug)]
pub struct Dir {
    folder: Folder,
    path: PathBuf,
    root: Descriptor,
    limits: Limits,
}

impl Dir {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the folder; `limits` are the budgets for documents in it. Links
    /// in it are refused.
    pub fn open(path: &Path, limits: Limits) -> Result<Self> {
        let doing = || format!("opening folder {}", path.display());
        let folder = Folder::open(path, false)
            .map_err(|cause| Error::io("opening folder", path.display(), cause))?;
        let bytes = match folder.file(MANIFEST) {
            Ok((file, size)) => {
                if size > limits.index {
                    return Err(Error::new(Code::Limit, doing())
                        .found(format!("a {MANIFEST} of {size} bytes"))
                        .expected(format!("at most {} bytes", limits.index)));
                }
                let mut bytes = Vec::new();
                file.take(limits.index)
                    .read_to_end(&mut bytes)
                    .map_err(|cause| Error::io("reading", path.join(MANIFEST).display(), cause))?;
                bytes
            }
            Err(Refused::Io(cause)) if cause.kind() == io::ErrorKind::NotFound => {
                return Err(Error::new(Code::NotALayout, doing())
                    .found(format!("no file {MANIFEST}"))
                    .expected("what skopeo writes to dir:"));
            }
            Err(refused) => return Err(self::refused(path, MANIFEST, refused)),
        };
        let root = root_of(&bytes, &limits).map_err(|error| error.context(doing()))?;
        Ok(Self { folder, path: path.to_owned(), root, limits })
    }

    /// The one image, which has no name.
    pub fn catalog(&self) -> Catalog {
        Catalog::new("dir:", self.path.display().to_string(), vec![self.root.clone()])
    }

    fn file(&self, digest: &Digest) -> Result<Option<(File, u64)>> {
        let hex = digest.encoded();
        let document = format!("{hex}.manifest.json");
        let root = (*digest == self.root.digest).then_some(MANIFEST);
        for name in root.into_iter().chain([document.as_str(), hex.as_str()]) {
            match self.folder.file(name) {
                Ok(opened) => return Ok(Some(opened)),
                Err(Refused::Io(cause)) if cause.kind() == io::ErrorKind::NotFound => {}
                Err(refused) => return Err(self::refused(&self.path, name, refused)),
            }
        }
        Ok(None)
    }
}

/// The descriptor of a manifest that has none.
fn root_of(bytes: &[u8], limits: &Limits) -> Result<Descriptor> {
    let kind = graph::said_type(bytes, limits)?;
    let mut root = Descriptor::of(kind, Algorithm::Sha256, bytes);
    if schema1::is_schema1(&root.media_type)
        && let Some(payload) = schema1::payload(bytes, limits)?
    {
        root.digest = Digest::of(Algorithm::Sha256, &payload);
    }
    Ok(root)
}

fn refused(path: &Path, name: &str, refused: Refused) -> Error {
    let place = path.join(name);
    match refused {
        Refused::Io(cause) => Error::io("opening", place.display(), cause),
        Refused::Kind(kind) => {
            Error::new(Code::UnsafeEntry, format!("opening {}", place.display()))
                .found(kind)
                .expected("a regular file")
        }
    }
}

impl Source for Dir {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn length(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self.file(digest)?.map(|(_, size)| size))
    }

    fn fetch(&self, blob: &Descriptor, from: u64) -> Result<Unverified<'_>> {
        let doing = || format!("reading blob {}", blob.digest);
        let Some((mut file, size)) = self.file(&blob.digest)? else {
            let Some(bytes) = blob.embedded()? else {
                return Err(Error::new(Code::NotFound, doing())
                    .found(format!("no such blob in {}", self.path.display()))
                    .expected(format!("{} bytes of {}", blob.size, blob.media_type)));
            };
            let mut reader = io::Cursor::new(bytes);
            reader.set_position(from);
            return Ok(Unverified::new(reader));
        };
        if size != blob.size || from > size {
            return Err(Error::new(Code::Size, doing())
                .found(format!("{size} bytes in {}", self.path.display()))
                .expected(format!("{} bytes", blob.size.max(from))));
        }
        if from > 0 {
            file.seek(SeekFrom::Start(from))
                .map_err(|cause| Error::io("reading blob", &blob.digest, cause))?;
        }
        Ok(Unverified::new(file))
    }
}

/// A new folder of one image, which is there when it is published.
#[derive(Debug)]
pub struct DirWriter {
    staged: StagedDir,
    folder: Folder,
}

impl DirWriter {
    /// Stages a folder beside `path`, where nothing or an empty folder lies.
    pub fn create(path: &Path) -> Result<Self> {
        let staged = StagedDir::beside(path)?;
        let failed = |cause| Error::io("making folder", path.display(), cause);
        let folder = Folder::open(&staged.path(), false).map_err(failed)?;
        Ok(Self { staged, folder })
    }

    /// The same, with that rule for what is published.
    #[must_use]
    pub fn flushed(self, flush: Flush) -> Self {
        Self { staged: self.staged.flushed(flush), folder: self.folder.flushed(flush) }
    }

    /// Makes `root`, which was written, the image of the folder, and the
    /// folder visible.
    pub fn publish(self, root: &Descriptor) -> Result<()> {
        let shown = self.staged.destination();
        let failed = |cause| Error::io("writing folder", shown.display(), cause);
        if root.digest.algorithm() != Some(Algorithm::Sha256) {
            return Err(Error::new(Code::Unrepresentable, format!("writing {}", shown.display()))
                .found(&root.digest)
                .expected("a manifest with a sha256 digest: a dir: folder names no algorithm"));
        }
        let name = file_name(root);
        rustix::fs::renameat(&self.folder, &name, &self.folder, MANIFEST)
            .map_err(|errno| failed(errno.into()))?;
        let file = TemporaryFile::create(self.folder.as_fd()).map_err(failed)?;
        let mut file = file.flushed(self.folder.flush());
        file.file().write_all(VERSION_TEXT).map_err(failed)?;
        file.publish(self.folder.as_fd(), VERSION, MODE).map_err(failed)?;
        self.staged.open_up()?;
        self.staged.publish()
    }
}

/// What content is called in such a folder.
fn file_name(blob: &Descriptor) -> String {
    let hex = blob.digest.encoded();
    if Node::is_document(&blob.media_type) { format!("{hex}.manifest.json") } else { hex }
}

impl Sink for DirWriter {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        match self.folder.file(&file_name(blob)) {
            Ok((_, size)) => Ok(size == blob.size),
            Err(_) => Ok(false),
        }
    }

    fn begin(&self) -> Result<Box<dyn Ingest + '_>> {
        let file = TemporaryFile::create(self.folder.as_fd()).map_err(|cause| {
            Error::io("writing folder", self.staged.destination().display(), cause)
        })?;
        let file = file.flushed(self.folder.flush());
        Ok(Box::new(Blob { writer: self, file, written: 0 }))
    }
}

struct Blob<'a> {
    writer: &'a DirWriter,
    file: TemporaryFile,
    written: u64,
}

impl Write for Blob<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.file().write(bytes)?;
        self.written += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Ingest for Blob<'_> {
    fn commit(mut self: Box<Self>, proof: Verified) -> Result<Descriptor> {
        let blob = proof.descriptor().clone();
        proof.covers(self.written)?;
        let folder = self.writer.folder.as_fd();
        self.file
            .publish(folder, file_name(&blob), MODE)
            .map_err(|cause| Error::io("writing blob", &blob.digest, cause))?;
        Ok(blob)
    }
}
