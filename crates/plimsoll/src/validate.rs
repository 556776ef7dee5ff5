//! Whether everything that an image reaches is there and is what it is said
//! to be: documents, sizes, digests, diff_ids, tar streams.
//!
//! It goes on after a finding, so that one run tells everything. The rule
//! book of the specification is not here.

use std::collections::BTreeSet;
use std::io;

use plimsoll_content::{Code, Descriptor, Digest, Error, Hasher, Result, Source, Watch};
use plimsoll_layer::codec::Decoder;
use plimsoll_layer::tar::Entries;
use plimsoll_layer::{Check as Sense, Limits};
use plimsoll_spec::LayerType;
use plimsoll_spec::graph::Node;
use serde::Serialize;

use crate::image::{self, Image};
use crate::transfer::Watched;
use crate::{schema1, unpack};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The image breaks a rule that others rely on.
    Error,
    /// It works, and should be otherwise.
    Warning,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What kind of thing it is, by the name of its error code.
    pub code: &'static str,
    /// The way from the reference to the blob, such as `manifest 1, layer 3`.
    pub location: String,
    /// The blob.
    pub digest: Digest,
    /// What was found and expected, in words.
    pub message: String,
}

/// What was checked, and what was found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was named.
    pub digest: Digest,
    /// Whether there are no errors.
    pub valid: bool,
    /// How many documents were read.
    pub documents: usize,
    /// How many other blobs were read.
    pub blobs: usize,
    /// How many bytes were hashed, both forms of layers counted.
    pub bytes: u64,
    /// How many entries the layers hold.
    pub entries: u64,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
}

/// Checks everything reachable from `root`, on all platforms.
///
/// `limits` are the budgets for layers.
pub fn validate(
    source: &dyn Source,
    root: &Descriptor,
    limits: Limits,
    watch: &dyn Watch,
) -> Result<Report> {
    let report = Report {
        digest: root.digest.clone(),
        valid: true,
        documents: 0,
        blobs: 0,
        bytes: 0,
        entries: 0,
        findings: Vec::new(),
    };
    let mut check = Check { source, watch, limits, report, seen: BTreeSet::new(), visits: 0 };
    check.document(root, "", 0)?;
    check.report.valid = !check.report.findings.iter().any(|finding| finding.level == Level::Error);
    Ok(check.report)
}

struct Check<'a> {
    source: &'a dyn Source,
    watch: &'a dyn Watch,
    limits: Limits,
    report: Report,
    /// Blobs that need not be read again, with what they were checked as.
    seen: BTreeSet<(Digest, Option<Digest>)>,
    visits: usize,
}

impl Check<'_> {
    /// Takes an error as a finding, unless it says that the check itself can
    /// not go on.
    fn note(&mut self, error: Error, location: &str, digest: &Digest) -> Result<()> {
        if matches!(error.code(), Code::Interrupted | Code::Bug | Code::Permission) {
            return Err(error);
        }
        self.find(Level::Error, error.code(), location, digest, &error.to_string());
        Ok(())
    }

    fn find(&mut self, level: Level, code: Code, location: &str, digest: &Digest, message: &str) {
        self.report.findings.push(Finding {
            level,
            code: code.as_str(),
            location: if location.is_empty() { "top".to_owned() } else { location.to_owned() },
            digest: digest.clone(),
            message: message.to_owned(),
        });
    }

    fn document(&mut self, descriptor: &Descriptor, location: &str, depth: usize) -> Result<()> {
        self.visits += 1;
        let limits = self.source.limits();
        if depth > limits.index_depth || self.visits > limits.index_visits {
            let message = "more nested or listed documents than are ever sensible";
            self.find(Level::Error, Code::Limit, location, &descriptor.digest, message);
            return Ok(());
        }
        if !self.seen.insert((descriptor.digest.clone(), None)) {
            return Ok(());
        }
        if !Node::is_document(&descriptor.media_type) {
            return self.blob(descriptor, location);
        }
        let node = match image::node(self.source, descriptor) {
            Ok(node) => node,
            Err(error) => return self.note(error, location, &descriptor.digest),
        };
        self.report.documents += 1;
        self.report.bytes += descriptor.size;
        match node {
            Node::Index(index) => {
                for (position, entry) in index.manifests.iter().enumerate() {
                    let place = join(location, &format!("manifest {}", position + 1));
                    self.document(entry, &place, depth + 1)?;
                }
            }
            Node::Manifest(manifest) => self.manifest(descriptor, &manifest, location)?,
            Node::Schema1(_) => self.schema1(descriptor, location)?,
            Node::Opaque => {}
        }
        Ok(())
    }

    fn manifest(
        &mut self,
        descriptor: &Descriptor,
        manifest: &plimsoll_content::Document<plimsoll_spec::Manifest>,
        location: &str,
    ) -> Result<()> {
        let image = match Image::open(self.source, descriptor, None) {
            Ok(image) => image,
            // An artifact: its blobs are checked as they are.
            Err(error) if error.code() == Code::MediaType => return self.blobs(manifest, location),
            Err(error) => {
                self.note(error, &join(location, "config"), &manifest.config.digest)?;
                return self.blobs(manifest, location);
            }
        };
        self.report.documents += 1;
        self.report.bytes += manifest.config.size;
        let history = &image.config.history;
        let filled = history.iter().filter(|entry| !entry.empty_layer).count();
        if !history.is_empty() && filled != manifest.layers.len() {
            let message = format!(
                "history tells of {filled} layers, the manifest has {}",
                manifest.layers.len()
            );
            self.find(
                Level::Warning,
                Code::Malformed,
                &join(location, "config"),
                &manifest.config.digest,
                &message,
            );
        }
        let layers = match image.layers() {
            Ok(layers) => layers,
            Err(error) => {
                self.note(error, &join(location, "config"), &manifest.config.digest)?;
                return self.blobs(manifest, location);
            }
        };
        let mut sense = Sense::new();
        for (position, layer) in layers.iter().enumerate() {
            if !self.seen.insert((layer.descriptor.digest.clone(), Some(layer.diff_id.clone()))) {
                sense.skip_layer();
                continue;
            }
            let place = join(location, &format!("layer {}", position + 1));
            if layer.kind.nondistributable
                && layer.descriptor.urls.iter().any(|url| !url.is_empty())
                && let Err(error) = self.source.fetch(&layer.descriptor, 0)
                && error.code() == Code::NotFound
            {
                sense.skip_layer();
                continue; // It lies elsewhere, as it may.
            }
            if let Err(error) = self.layer(layer, &mut sense, &place) {
                sense.skip_layer();
                self.note(error, &place, &layer.descriptor.digest)?;
            }
        }
        Ok(())
    }

    /// A schema 1 manifest: its chain, and its layers, which have digests
    /// alone. Steps without a layer need no blob.
    fn schema1(&mut self, descriptor: &Descriptor, location: &str) -> Result<()> {
        let image = match Image::open(self.source, descriptor, None) {
            Ok(image) => image,
            Err(error) => return self.note(error, location, &descriptor.digest),
        };
        let mut sense = Sense::new();
        for (position, blob) in image.manifest.layers.iter().enumerate() {
            if !self.seen.insert((blob.digest.clone(), Some(blob.digest.clone()))) {
                sense.skip_layer();
                continue;
            }
            let place = join(location, &format!("layer {}", position + 1));
            let Some(kind) = LayerType::of(&blob.media_type) else { continue };
            // There is no diff_id to compare with.
            let layer =
                image::Layer { descriptor: blob.clone(), kind, diff_id: blob.digest.clone() };
            if let Err(error) = self.read(&layer, &mut sense, &place) {
                sense.skip_layer();
                self.note(error, &place, &blob.digest)?;
            }
        }
        for part in image.schema1.iter().flat_map(|chain| &chain.parts) {
            if part.image.throwaway && self.source.length(&part.blob)?.is_some() {
                let blob = schema1::layer(self.source, &part.blob)?;
                if self.seen.insert((blob.digest.clone(), Some(blob.digest.clone()))) {
                    self.blob(&blob, &join(location, "a step without a layer"))?;
                }
            }
        }
        Ok(())
    }

    fn layer(&mut self, layer: &image::Layer, sense: &mut Sense, location: &str) -> Result<()> {
        let diff_id = self.read(layer, sense, location)?;
        if diff_id != layer.diff_id {
            return Err(Error::new(Code::DiffId, "hashing the uncompressed layer")
                .found(diff_id)
                .expected(&layer.diff_id));
        }
        Ok(())
    }

    /// Reads a layer to its end, and gives its diff_id.
    fn read(&mut self, layer: &image::Layer, sense: &mut Sense, location: &str) -> Result<Digest> {
        let blob = &layer.descriptor;
        self.watch.begin(location, Some(blob.size));
        let mut reader = self.source.open(blob)?;
        let read = read_layer(Watched::new(&mut reader, self.watch), layer, self.limits, sense);
        // Digest and size first: they explain a broken stream.
        let (_proof, _) = reader.finish()?;
        let read = read?;
        self.report.blobs += 1;
        self.report.bytes += blob.size + read.bytes;
        self.report.entries += read.entries;
        let ratio = plimsoll_layer::limits::ratio(read.bytes, blob.size);
        for finding in read.findings.iter().chain(&ratio) {
            let level = if Sense::is_error(finding.name) { Level::Error } else { Level::Warning };
            self.find(level, Code::Layer, location, &blob.digest, &finding.to_string());
        }
        self.watch.end(&format!("{location}  {}", blob.digest));
        Ok(read.diff_id)
    }

    fn blobs(&mut self, manifest: &plimsoll_spec::Manifest, location: &str) -> Result<()> {
        self.blob(&manifest.config, &join(location, "config"))?;
        for (position, blob) in manifest.layers.iter().enumerate() {
            self.blob(blob, &join(location, &format!("layer {}", position + 1)))?;
        }
        Ok(())
    }

    /// A blob whose meaning is unknown: size and digest.
    fn blob(&mut self, blob: &Descriptor, location: &str) -> Result<()> {
        let proved = blob.embedded().and_then(|embedded| match embedded {
            Some(_) => Ok(()),
            None => self.source.open(blob).and_then(|mut reader| {
                io::copy(&mut Watched::new(&mut reader, self.watch), &mut io::sink())
                    .map_err(|cause| Error::io("reading blob", &blob.digest, cause))?;
                reader.finish().map(|_| ())
            }),
        });
        match proved {
            Ok(()) => {
                self.report.blobs += 1;
                self.report.bytes += blob.size;
                Ok(())
            }
            // Well-formed and unknown is no violation (DE23); it is said, though.
            Err(error) if error.code() == Code::Unverifiable => {
                self.find(Level::Warning, error.code(), location, &blob.digest, &error.to_string());
                Ok(())
            }
            Err(error) => self.note(error, location, &blob.digest),
        }
    }
}

struct ReadLayer {
    diff_id: Digest,
    bytes: u64,
    entries: u64,
    findings: Vec<plimsoll_layer::Finding>,
}

/// Reads a layer to its end without writing anything. Types of entries that
/// have no place in a layer are refused here, where unpacking skips them.
fn read_layer(
    reader: impl io::Read,
    layer: &image::Layer,
    limits: Limits,
    sense: &mut Sense,
) -> Result<ReadLayer> {
    let decoder = Decoder::new(unpack::format(layer), reader, &limits)?;
    let hashed = Hashed {
        reader: decoder,
        hasher: Hasher::new(layer.diff_id.computable("diff_id")?),
        bytes: 0,
    };
    let mut entries = Entries::new(hashed, limits).strict();
    let mut count = 0;
    while let Some((entry, _body)) = entries.next()? {
        sense.entry(&entry)?;
        count += 1;
    }
    let (hashed, mut findings) = entries.finish()?;
    let (bytes, diff_id) = (hashed.bytes, hashed.hasher.finish());
    let (_, more) = hashed.reader.finish()?;
    findings.extend(more);
    findings.extend(sense.end_layer());
    Ok(ReadLayer { diff_id, bytes, entries: count, findings })
}

struct Hashed<R> {
    reader: R,
    hasher: Hasher,
    bytes: u64,
}

impl<R: io::Read> io::Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        self.bytes += length as u64;
        Ok(length)
    }
}

fn join(location: &str, step: &str) -> String {
    if location.is_empty() { step.to_owned() } else { format!("{location}, {step}") }
}
