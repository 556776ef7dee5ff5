//! Images in tar archives: a layout in an archive (`oci-archive:`), what
//! `docker save` writes (`docker-archive:`), and AppC images (`aci:`).
//!
//! An [`Archive`] is a place to read from. An uncompressed one in a file is
//! read where it lies, by offset; one that is compressed, or that comes
//! through a pipe, is first written to a temporary file without a name.
//! [`receive()`] needs no such file: it brings a whole archive into a sink as
//! it comes by. [`OciWriter`] and [`DockerWriter`] write archives as streams.
//!
//! An archive that is both (newer docker writes `manifest.json` beside a
//! layout) is taken as the layout, which has the manifests as they are.

mod aci;
mod aci_layer;
mod aci_search;
mod docker;
mod files;
mod legacy;
mod members;
mod output;
mod read_docker;
mod receive;
mod write_docker;
mod write_oci;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll_content::limits::Limits;
use plimsoll_content::{
    Code, Descriptor, Digest, Document, Error, Result, Source, Unverified, View,
};
use plimsoll_layer::RelPath;
use plimsoll_layer::codec::{Format, Inflated, is_compressed};
use plimsoll_layer::tar::Entries;
use plimsoll_spec::{Index, LayoutHeader};

pub use output::Output;
pub use receive::{Received, receive};
pub use write_docker::DockerWriter;
pub use write_oci::OciWriter;

use crate::catalog::Catalog;
use crate::layout::Frame;
use crate::temporary;
use docker::Files as _;
use members::{Members, Piece, Span};

const HEADER: &str = "oci-layout";
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs";

/// How much of a file tells what it is.
const START: u64 = 512;

/// What kind of archive it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Form {
    /// An OCI image layout.
    Oci,
    /// What `docker save` writes.
    Docker,
    /// An app container image (AppC), which is only read.
    Aci,
}

impl Form {
    /// How references to such an archive begin.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Oci => "oci-archive:",
            Self::Docker => "docker-archive:",
            Self::Aci => "aci:",
        }
    }

    /// All of them.
    pub const ALL: [Self; 3] = [Self::Oci, Self::Docker, Self::Aci];
}

/// How an archive is read.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// What kind of archive it is; without it, that is seen by what it holds.
    pub form: Option<Form>,
    /// A folder for the temporary file that a compressed one needs.
    pub scratch: &'a Path,
    /// The budgets for documents in it.
    pub limits: Limits,
    /// Where the images are that an AppC image depends on.
    pub folders: &'a [PathBuf],
    /// Whether the documents of a layout in it may be in any state: to judge
    /// them ([`Archive::frame`]).
    pub unchecked: bool,
}

impl<'a> Reading<'a> {
    /// Nothing special.
    pub fn new(scratch: &'a Path, limits: Limits) -> Self {
        Self { form: None, scratch, limits, folders: &[], unchecked: false }
    }
}

/// An archive to read from.
pub struct Archive {
    form: Form,
    shown: String,
    file: Arc<File>,
    members: Members<Span>,
    list: Vec<Descriptor>,
    /// Of docker archives: documents that were made or read, and where layers lie.
    documents: BTreeMap<Digest, Arc<[u8]>>,
    layers: BTreeMap<Digest, Span>,
    /// Layers about which nothing is said, by where they lie: the blob, and
    /// its diff_id.
    hashed: BTreeMap<u64, (Descriptor, Digest)>,
    findings: Vec<String>,
    limits: Limits,
}

impl Archive {
    /// Opens the archive at `path`; `scratch` is a folder for the temporary
    /// file that a compressed one needs; `limits` are the budgets for documents
    /// in it. Without `form`, what it is is seen by what it holds.
    pub fn open(path: &Path, form: Option<Form>, scratch: &Path, limits: Limits) -> Result<Self> {
        Self::open_with(path, &Reading { form, ..Reading::new(scratch, limits) })
    }

    /// The same with all that can be said about it. What an AppC image depends
    /// on is also looked for in the folder of `path`.
    pub fn open_with(path: &Path, reading: &Reading<'_>) -> Result<Self> {
        let mut folders = vec![path.parent().map_or_else(PathBuf::new, Path::to_owned)];
        folders.extend_from_slice(reading.folders);
        let reading = Reading { folders: &folders, ..*reading };
        Self::read_with(open_file(path)?, &path.display().to_string(), &reading)
    }

    /// What the file at `path` looks like: `None` if it is no archive of
    /// images, and no form if it is compressed, which takes reading it.
    pub fn look(path: &Path) -> Result<Option<Option<Form>>> {
        let failed = |cause| Error::io("opening archive", path.display(), cause);
        match path.metadata() {
            Ok(data) if data.is_file() => {}
            Ok(_) => return Ok(None),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) if cause.kind() == io::ErrorKind::NotADirectory => return Ok(None),
            Err(cause) => return Err(failed(cause)),
        }
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut start = [0; START as usize];
        let read = file.read_at(&mut start, 0).map_err(failed)?;
        if is_compressed(&start[..read]) {
            return Ok(Some(None));
        }
        match Format::detect(&start[..read]) {
            Ok(Format::Tar) if read > 0 => {}
            _ => return Ok(None),
        }
        // Whatever is wrong with it is told when it is opened.
        let Ok(members) = Members::index(&file, length) else { return Ok(Some(None)) };
        Ok(form_of(&members).map(Some))
    }

    /// Whether an archive in a file may be an AppC image, by its first entry;
    /// all of it has to be read then before anything is known.
    pub fn may_be_aci(file: &File) -> bool {
        let Ok(length) = file.metadata().map(|data| data.len()) else { return false };
        let whole = Arc::new(match file.try_clone() {
            Ok(file) => file,
            Err(_) => return false,
        });
        let reader = Piece::new(&whole, Span { offset: 0, size: length }, 0);
        let Ok(reader) = stream(reader) else { return false };
        let mut entries = Entries::new(reader, members::limits());
        loop {
            match entries.next() {
                Ok(Some((entry, _))) if entry.path.is_root() => {}
                Ok(Some((entry, _))) => return aci::belongs(&entry.path),
                Ok(None) | Err(_) => return false,
            }
        }
    }

    /// Whether an open file can be read where it lies: a regular file that is
    /// not compressed.
    pub fn lies_open(file: &File) -> io::Result<bool> {
        Ok(file.metadata()?.is_file() && is_plain(file)?)
    }

    /// Reads the archive in an open file, which may be a pipe. `shown` is
    /// what messages call it.
    pub fn read(
        file: File,
        shown: &str,
        form: Option<Form>,
        scratch: &Path,
        limits: Limits,
    ) -> Result<Self> {
        Self::read_with(file, shown, &Reading { form, ..Reading::new(scratch, limits) })
    }

    /// The same with all that can be said about it.
    pub fn read_with(file: File, shown: &str, reading: &Reading<'_>) -> Result<Self> {
        let doing = || format!("opening archive {shown}");
        let (file, length) = plain(file, shown, reading.scratch)?;
        let members = Members::index(&file, length).map_err(|error| error.context(doing()))?;
        let Some(form) = reading.form.or_else(|| form_of(&members)) else {
            return Err(neither(doing(), shown));
        };
        let mut archive = Self {
            form,
            shown: shown.to_owned(),
            file: Arc::new(file),
            members,
            list: Vec::new(),
            documents: BTreeMap::new(),
            layers: BTreeMap::new(),
            hashed: BTreeMap::new(),
            findings: Vec::new(),
            limits: reading.limits,
        };
        match form {
            Form::Oci if reading.unchecked => Ok(()),
            Form::Oci => archive.open_oci(),
            Form::Docker => archive.open_docker(),
            Form::Aci => archive.open_aci(length, reading),
        }
        .map_err(|error| error.context(doing()))?;
        Ok(archive)
    }

    /// What the layout in the archive consists of, unread, to judge it by the
    /// letter; `None` if it is no layout.
    pub fn frame(&self) -> Option<Frame> {
        if self.form != Form::Oci {
            return None;
        }
        let limits = &self.limits;
        let blobs = self.members.names().any(is_in_blobs);
        Some(Frame {
            header: self.document(HEADER, LayoutHeader::limit(limits)),
            index: self.document(INDEX, Index::limit(limits)),
            blobs: blobs || self.members.has(BLOBS),
        })
    }

    /// The blobs of a layout in the archive with their sizes, and what else
    /// lies among them.
    pub fn inventory(&self) -> (Vec<(Digest, u64)>, Vec<PathBuf>) {
        let (mut blobs, mut strangers) = (Vec::new(), Vec::new());
        for name in self.members.names().filter(|name| is_in_blobs(name)) {
            let shown = name.to_string();
            let span = self.members.file(&shown).ok().flatten();
            match (digest_of_name(&shown), span) {
                (Some(digest), Some(span)) => blobs.push((digest, span.size)),
                // The folder of an algorithm.
                _ if self.members.is_folder(name) && name.components().count() == 2 => {}
                _ => strangers.push(PathBuf::from(shown)),
            }
        }
        (blobs, strangers)
    }

    /// What kind of archive it is.
    pub fn form(&self) -> Form {
        self.form
    }

    /// What was odd and is read nevertheless.
    pub fn findings(&self) -> &[String] {
        &self.findings
    }

    /// What the archive lists.
    pub fn catalog(&self) -> Catalog {
        Catalog::new(self.form.prefix(), self.shown.clone(), self.list.clone())
    }

    fn open_oci(&mut self) -> Result<()> {
        let limits = self.limits;
        let documents = (
            self.document(HEADER, LayoutHeader::limit(&limits))?,
            self.document(INDEX, Index::limit(&limits))?,
        );
        self.list = oci_list(documents, &limits)?;
        Ok(())
    }

    fn open_docker(&mut self) -> Result<()> {
        let (images, findings) = docker::images(self)?;
        for image in images {
            self.list.extend(image.entries());
            self.documents.insert(image.manifest.digest, image.manifest_bytes.into());
            self.documents.insert(image.config.digest, image.config_bytes.into());
        }
        self.findings = findings;
        Ok(())
    }

    fn open_aci(&mut self, length: u64, reading: &Reading<'_>) -> Result<()> {
        let members = std::mem::replace(&mut self.members, Members::new());
        let file = Arc::clone(&self.file);
        let top = aci::Part::new(&self.shown, file, length, members, &self.limits)?;
        let read = aci::read(top, reading.scratch, reading.folders, self.limits)?;
        self.file = Arc::new(read.file);
        self.layers = read.layers;
        self.documents = read.documents;
        self.list = vec![read.entry];
        self.findings = read.findings;
        Ok(())
    }

    fn span(&self, digest: &Digest) -> Result<Option<Span>> {
        match self.form {
            Form::Oci => self.members.file(&blob_name(digest)),
            Form::Docker | Form::Aci => Ok(self.layers.get(digest).copied()),
        }
    }
}

fn open_file(path: &Path) -> Result<File> {
    File::open(path).map_err(|cause| Error::io("opening archive", path.display(), cause))
}

fn is_in_blobs(name: &RelPath) -> bool {
    name.as_bytes().starts_with(b"blobs/")
}

/// What an archive is by what it holds.
fn form_of<T: Clone>(members: &Members<T>) -> Option<Form> {
    if members.has(HEADER) || members.has(INDEX) {
        return Some(Form::Oci);
    }
    let docker = members.has(docker::MANIFEST)
        || members.has(docker::REPOSITORIES)
        || folders(members).any(|folder| {
            ["layer.tar", "VERSION"].iter().any(|name| members.has(&format!("{folder}/{name}")))
        });
    if docker {
        return Some(Form::Docker);
    }
    aci::is_one(members).then_some(Form::Aci)
}

/// The folders that may be images of docker before 1.10.
fn folders<T: Clone>(members: &Members<T>) -> impl Iterator<Item = &str> {
    members.names().filter_map(|name| legacy::folder(name.as_bytes()))
}

/// The entries of the layout in an archive, from its two documents.
fn oci_list(
    documents: (Option<Vec<u8>>, Option<Vec<u8>>),
    limits: &Limits,
) -> Result<Vec<Descriptor>> {
    let missing = |name: &str| {
        Error::new(Code::NotALayout, "reading the layout in an archive")
            .found(format!("no file {name}"))
            .expected("oci-layout, index.json and blobs")
    };
    let header = documents.0.ok_or_else(|| missing(HEADER))?;
    Document::<LayoutHeader>::parse_within(header, limits)?;
    let index =
        Document::<Index>::parse_within(documents.1.ok_or_else(|| missing(INDEX))?, limits)?;
    Ok(index.view().manifests.clone())
}

/// The digest that the name of a blob claims.
fn digest_of_name(name: &str) -> Option<Digest> {
    let (algorithm, encoded) = name.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{encoded}").parse().ok()
}

/// The name of a blob in the archive of a layout.
fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm_name(), digest.encoded())
}

fn neither(doing: String, shown: &str) -> Error {
    Error::new(Code::NotALayout, doing)
        .found("neither index.json, nor manifest.json or layers of docker")
        .expected("the archive of a layout, what docker save writes, or an AppC image")
        .fix(format!(
            "plimsoll pack {shown} NAME   makes an image, if it is a tar archive of a root filesystem"
        ))
}

impl Source for Archive {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn length(&self, digest: &Digest) -> Result<Option<u64>> {
        match self.documents.get(digest) {
            Some(bytes) => Ok(Some(bytes.len() as u64)),
            None => Ok(self.span(digest)?.map(|span| span.size)),
        }
    }

    fn fetch(&self, blob: &Descriptor, from: u64) -> Result<Unverified<'_>> {
        let doing = || format!("reading blob {}", blob.digest);
        if from > blob.size {
            return Err(Error::new(Code::Usage, doing())
                .found(format!("byte {from} as the first"))
                .expected(format!("at most {}, its size", blob.size)));
        }
        let size = |found: u64| {
            if found == blob.size {
                return Ok(());
            }
            Err(Error::new(Code::Size, doing())
                .found(format!("{found} bytes in {}", self.shown))
                .expected(format!("{} bytes", blob.size)))
        };
        let bytes = match self.documents.get(&blob.digest) {
            Some(bytes) => Some(bytes.to_vec()),
            None => match self.span(&blob.digest)? {
                Some(span) => {
                    size(span.size)?;
                    return Ok(Unverified::new(Piece::new(&self.file, span, from)));
                }
                None => blob.embedded()?,
            },
        };
        let Some(bytes) = bytes else {
            return Err(Error::new(Code::NotFound, doing())
                .found(format!("no such blob in {}", self.shown))
                .expected(format!("{} bytes of {}", blob.size, blob.media_type))
                .fix("the archive holds only a part of the image: write it anew"));
        };
        size(bytes.len() as u64)?;
        let mut reader = io::Cursor::new(bytes);
        reader.set_position(from);
        Ok(Unverified::new(reader))
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Archive({}{})", self.form.prefix(), self.shown)
    }
}

/// Whether a regular file is an uncompressed archive: what its first bytes
/// say. What looks like nothing known is left to the reader of tar.
fn is_plain(file: &File) -> io::Result<bool> {
    let mut start = [0; START as usize];
    let length = file.read_at(&mut start, 0)?;
    Ok(!is_compressed(&start[..length]))
}

/// The uncompressed stream of an archive, whatever it comes as. Refuses
/// what is no archive after its first bytes (hostile case DA12).
fn stream<R: Read + Send>(mut reader: R) -> Result<impl Read + Send> {
    let doing = "reading an archive of images";
    let mut start = Vec::new();
    reader
        .by_ref()
        .take(START)
        .read_to_end(&mut start)
        .map_err(|cause| Error::io("reading", "the start of an archive", cause))?;
    if start.is_empty() {
        return Err(Error::new(Code::Layer, doing).found("nothing").expected("a tar archive"));
    }
    let mut inflated = Inflated::new(io::Cursor::new(start).chain(reader), &members::limits())?;
    let mut first = Vec::new();
    inflated
        .by_ref()
        .take(START)
        .read_to_end(&mut first)
        .map_err(|cause| Error::io("reading", "the start of an archive", cause))?;
    if Format::detect(&first)? != Format::Tar || first.iter().all(|byte| *byte == 0) {
        return Err(Error::new(Code::Layer, doing)
            .found("no tar archive in what is compressed")
            .expected("an archive with images"));
    }
    Ok(io::Cursor::new(first).chain(inflated))
}

/// The uncompressed archive in a file, and how long it is: that file itself,
/// or a temporary one.
fn plain(file: File, shown: &str, scratch: &Path) -> Result<(File, u64)> {
    let doing = || format!("opening archive {shown}");
    let io = |cause| Error::io("opening archive", shown, cause);
    let data = file.metadata().map_err(io)?;
    if data.is_dir() {
        return Err(Error::new(Code::NotALayout, doing())
            .found("a folder")
            .expected("a tar archive")
            .fix(format!("for a layout in a folder, write oci:{shown}")));
    }
    if data.is_file() && is_plain(&file).map_err(io)? {
        return Ok((file, data.len()));
    }
    let file = spool(file, scratch).map_err(|error| error.context(doing()))?;
    let length = file.metadata().map_err(io)?.len();
    Ok((file, length))
}

/// Writes what comes, uncompressed, to a temporary file without a name.
fn spool(file: File, scratch: &Path) -> Result<File> {
    let mut reader = stream(file)?;
    let failed = |cause| Error::io("writing a temporary file in", scratch.display(), cause);
    let mut spooled = temporary::unnamed(scratch).map_err(failed)?;
    let mut buffer = vec![0; 128 << 10];
    loop {
        let length = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("reading", "an archive", error)),
        };
        spooled.write_all(&buffer[..length]).map_err(failed)?;
    }
    spooled.rewind().map_err(failed)?;
    Ok(spooled)
}
