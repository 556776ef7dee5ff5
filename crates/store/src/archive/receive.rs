//! An archive that goes by, straight into a sink.
//!
//! Blobs come in any order, before anybody knows what they are for. Each is
//! proved by the name it has and kept as it comes; the list of images is
//! read when all has gone by. Of a docker archive the layers are named by
//! what they are. Nothing is written but by the sink.

use std::io::{self, Read, Write};
use std::sync::Arc;

use plimsoll_content::limits::Limits;
use plimsoll_content::{
    Algorithm, Code, Descriptor, Digest, Error, Result, Sealing, Sink, Unverified, Watch,
};
use plimsoll_layer::EntryKind;
use plimsoll_layer::tar::{Body, Entries};

use super::legacy::LayerFile;
use super::members::{self, Members};
use super::{Form, HEADER, INDEX, START, docker, form_of, neither, oci_list, stream};
use crate::catalog::Catalog;

/// The longest layer that is kept in memory until it is known whether it is
/// needed: what docker before 1.10 wrote for a step without a layer.
const EMPTY: u64 = 1024;

/// What has come.
#[derive(Debug)]
pub struct Received {
    /// What kind of archive it was.
    pub form: Form,
    /// The images that it lists.
    pub catalog: Catalog,
    /// The blobs that were written.
    pub stored: Vec<Descriptor>,
    /// The blobs that were there already.
    pub present: Vec<Descriptor>,
    /// What was odd and was read nevertheless.
    pub findings: Vec<String>,
}

#[derive(Clone)]
enum Kept {
    Memory(Arc<[u8]>),
    Stored(Descriptor),
    Both(Arc<[u8]>, Descriptor),
}

/// Brings all content of the archive that `reader` gives into `sink`.
/// `shown` is what messages call it, `limits` are the budgets for its
/// documents; without `form`, what it is is seen by what it holds.
pub fn receive(
    reader: impl Read + Send,
    shown: &str,
    form: Option<Form>,
    sink: &dyn Sink,
    limits: &Limits,
    watch: &dyn Watch,
) -> Result<Received> {
    let doing = || format!("reading archive {shown}");
    let all = || {
        let reader = stream(Stoppable { reader, watch })?;
        let mut coming = Coming {
            form,
            sink,
            watch,
            limits: *limits,
            members: Members::new(),
            memory: 0,
            stored: Vec::new(),
            present: Vec::new(),
            findings: Vec::new(),
        };
        let mut entries = Entries::new(reader, members::limits());
        while let Some((entry, mut body)) = entries.next()? {
            let kept = if let EntryKind::File { size } = entry.kind {
                let name = String::from_utf8_lossy(entry.path.as_bytes()).into_owned();
                coming
                    .take(&name, size, &mut body)
                    .map_err(|error| error.context(format!("reading entry {}", entry.path)))?
            } else {
                None
            };
            let nothing = Kept::Memory(Arc::new([]));
            let sparse = body.is_sparse() || kept.is_none();
            coming.members.add(&entry, sparse, kept.unwrap_or(nothing))?;
        }
        // The end is read as well: it may be cut off, or damaged.
        members::ended(entries.finish()?.1)?;
        coming.resolve(shown)
    };
    all().map_err(|error| error.context(doing()))
}

struct Coming<'a> {
    form: Option<Form>,
    sink: &'a dyn Sink,
    watch: &'a dyn Watch,
    limits: Limits,
    members: Members<Kept>,
    memory: u64,
    stored: Vec<Descriptor>,
    present: Vec<Descriptor>,
    findings: Vec<String>,
}

impl Coming<'_> {
    /// Takes a file. `None` if nobody can need it.
    fn take<R: Read + Send>(
        &mut self,
        name: &str,
        size: u64,
        body: &mut Body<'_, R>,
    ) -> Result<Option<Kept>> {
        // Two entries of one name are refused before the second is written.
        if self.members.has(name) {
            return Err(Error::new(Code::UnsafeEntry, "reading an archive of images")
                .found(format!("two entries called {name:?}"))
                .expected("one: readers disagree which counts"));
        }
        if body.is_sparse() {
            return Ok(None);
        }
        if let Some(rest) = name.strip_prefix("blobs/") {
            let digest = rest
                .split_once('/')
                .and_then(|(algorithm, encoded)| format!("{algorithm}:{encoded}").parse().ok());
            let Some(digest) = digest else {
                self.findings.push(format!("{name:?} is not the name of a blob"));
                return Ok(None);
            };
            return self.blob(digest, size, body).map(Some);
        }
        if [HEADER, INDEX, docker::MANIFEST, docker::REPOSITORIES].contains(&name) {
            return self.remember(size, self.limits.index, body).map(Kept::Memory).map(Some);
        }
        let layer = [".tar", ".tar.gz", ".tgz", ".tar.zst"].iter().any(|end| name.ends_with(end));
        if layer && size > EMPTY || size > self.limits.config {
            return self.seal(name, size, body).map(Kept::Stored).map(Some);
        }
        self.remember(size, self.limits.config, body).map(Kept::Memory).map(Some)
    }

    /// A blob of a layout: proved by its name.
    fn blob<R: Read + Send>(
        &mut self,
        digest: Digest,
        size: u64,
        body: &mut Body<'_, R>,
    ) -> Result<Kept> {
        // If it is a layer of a docker archive, nothing else says what it is.
        let mut start = Vec::new();
        body.by_ref()
            .take(START)
            .read_to_end(&mut start)
            .map_err(|cause| Error::io("reading", "an archive", cause))?;
        let blob = Descriptor::new(docker::layer_type(&start), digest, size);
        let mut content = io::Cursor::new(start).chain(body);
        // Newer docker has its configs among the blobs.
        if self.form == Some(Form::Docker) && size <= self.limits.config {
            let bytes = self.remember(size, self.limits.config, &mut content)?;
            self.write(&blob, &bytes[..])?;
            return Ok(Kept::Both(bytes, blob));
        }
        self.write(&blob, content)?;
        Ok(Kept::Stored(blob))
    }

    fn write(&mut self, blob: &Descriptor, content: impl Read + Send) -> Result<()> {
        if self.sink.has(blob)? {
            self.present.push(blob.clone());
            return Ok(());
        }
        self.watch.begin(&format!("receiving {}", blob.digest.short()), Some(blob.size));
        let mut ingest = self.sink.receive(blob)?;
        let counted = Counted { reader: content, watch: self.watch };
        let reader = Unverified::new(counted).tee(&mut *ingest).verify(blob)?;
        let (proof, reader) = reader.finish()?;
        drop(reader);
        ingest.commit(proof)?;
        self.watch.end(&format!("received {}", blob.digest));
        self.stored.push(blob.clone());
        Ok(())
    }

    /// A file whose name tells no digest.
    fn seal<R: Read + Send>(
        &mut self,
        name: &str,
        size: u64,
        body: &mut Body<'_, R>,
    ) -> Result<Descriptor> {
        self.watch.begin(&format!("receiving {}", shortened(name)), Some(size));
        let failed = |cause| Error::io("receiving", name, cause);
        let mut ingest = self.sink.begin()?;
        let mut sealing = Sealing::new(&mut *ingest, Algorithm::Sha256);
        let mut counted = Counted { reader: body, watch: self.watch };
        let mut start = Vec::new();
        counted.by_ref().take(START).read_to_end(&mut start).map_err(failed)?;
        sealing.write_all(&start).map_err(failed)?;
        let mut buffer = vec![0; 128 << 10];
        loop {
            let length = match counted.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            sealing.write_all(&buffer[..length]).map_err(failed)?;
        }
        let (proof, _) = sealing.finish(docker::layer_type(&start));
        let blob = ingest.commit(proof)?;
        self.watch.end(&format!("received {}", blob.digest));
        self.stored.push(blob.clone());
        Ok(blob)
    }

    fn remember(&mut self, size: u64, limit: u64, mut body: impl Read) -> Result<Arc<[u8]>> {
        let most = self.limits.archive_documents;
        if size > most.saturating_sub(self.memory) {
            return Err(docker::too_many(most));
        }
        if size > limit {
            return Err(Error::new(Code::Limit, "keeping a document of an archive in memory")
                .found(format!("{size} bytes"))
                .expected(format!("at most {limit}")));
        }
        self.memory += size;
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).map_err(|cause| Error::io("reading", "an archive", cause))?;
        Ok(bytes.into())
    }

    /// All has gone by: what is it?
    fn resolve(mut self, shown: &str) -> Result<Received> {
        let Some(form) = self.form.or_else(|| form_of(&self.members)) else {
            return Err(neither("telling what the archive is".to_owned(), shown));
        };
        let list = match form {
            Form::Oci => oci_list(
                (
                    docker::Files::document(&self, HEADER, self.limits.index)?,
                    docker::Files::document(&self, INDEX, self.limits.index)?,
                ),
                &self.limits,
            )?,
            Form::Aci => {
                return Err(Error::new(Code::Unrepresentable, "reading an AppC image as it comes")
                    .found("an image whose manifest is made when all of it was read")
                    .expected("one that can be read again")
                    .fix("aci:- writes it to a temporary file first, aci:PATH reads a file"));
            }
            Form::Docker => {
                let (images, findings) = docker::images(&mut self)?;
                self.findings.extend(findings);
                let mut list = Vec::new();
                for image in &images {
                    self.write(&image.config, &image.config_bytes[..])?;
                    self.write(&image.manifest, &image.manifest_bytes[..])?;
                    list.extend(image.entries());
                }
                list
            }
        };
        let catalog = Catalog::new(form.prefix(), shown.to_owned(), list);
        Ok(Received {
            form,
            catalog,
            stored: self.stored,
            present: self.present,
            findings: self.findings,
        })
    }
}

impl docker::Files for Coming<'_> {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn document(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self.members.file(name)? {
            None => Ok(None),
            Some(Kept::Memory(bytes) | Kept::Both(bytes, _)) if bytes.len() as u64 <= limit => {
                Ok(Some(bytes.to_vec()))
            }
            Some(_) => Err(Error::new(Code::Limit, format!("reading {name:?} of an archive"))
                .found("a file that was too large to be kept in memory, or a blob")
                .expected(format!("at most {limit} bytes"))
                .fix("write the archive to a file, and read that")),
        }
    }

    fn layer(&mut self, name: &str, diff_id: &Digest) -> Result<Option<Descriptor>> {
        let blob = match self.members.followed(name)? {
            None => return Ok(None),
            Some(Kept::Stored(blob) | Kept::Both(_, blob)) => blob,
            // A small one under a name of no known kind.
            Some(Kept::Memory(bytes)) => {
                let blob = Descriptor::of(docker::layer_type(&bytes), Algorithm::Sha256, &bytes);
                self.write(&blob, &bytes[..])?;
                blob
            }
        };
        let plain = blob.media_type == docker::layer_type(&[]);
        if plain && blob.digest != *diff_id {
            return Err(Error::new(Code::DiffId, format!("reading layer {name:?}"))
                .found(&blob.digest)
                .expected(diff_id));
        }
        Ok(Some(blob))
    }

    fn unknown_layer(&mut self, name: &str) -> Result<Option<LayerFile>> {
        let blob = match self.members.followed(name)? {
            None => return Ok(None),
            Some(Kept::Stored(blob) | Kept::Both(_, blob)) => blob,
            Some(Kept::Memory(bytes)) => {
                let blob = Descriptor::of(docker::layer_type(&bytes), Algorithm::Sha256, &bytes);
                // One without entries is no layer of anything.
                if bytes.iter().any(|byte| *byte != 0) {
                    self.write(&blob, &bytes[..])?;
                }
                blob
            }
        };
        if blob.media_type != docker::layer_type(&[]) {
            return Err(Error::new(Code::Unrepresentable, format!("reading layer {name:?}"))
                .found("a compressed layer whose diff_id stands nowhere, and which has gone by")
                .expected("an archive that can be read again")
                .fix("write the archive to a file, uncompressed, and read that"));
        }
        Ok(Some(LayerFile { diff_id: blob.digest.clone(), blob }))
    }

    fn folders(&self) -> Vec<String> {
        super::folders(&self.members).map(str::to_owned).collect()
    }
}

fn shortened(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(24).collect()
}

/// Tells how much went by.
struct Counted<'a, R> {
    reader: R,
    watch: &'a dyn Watch,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.watch.advance(length as u64);
        Ok(length)
    }
}

/// Stops when told to.
struct Stoppable<'a, R> {
    reader: R,
    watch: &'a dyn Watch,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.watch.interrupted() {
            return Err(Error::new(Code::Interrupted, "stopping").found("a signal").into());
        }
        self.reader.read(buffer)
    }
}
