//! Writing what `docker load` and `podman load` accept: for each image its
//! layers uncompressed as `<diff_id>.tar`, its config as `<id>.json`, and the
//! list `manifest.json` at the end. The same images give the same bytes.
//!
//! The form holds no manifest, so the digest of an image does not survive
//! it. The id (the digest of the config) and the diff_ids do. A manifest that
//! is written here says what belongs to an image, and is forgotten.
//!
//! What does not live here: making the layers plain.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use plimsoll_content::{
    Code, Descriptor, Digest, Error, Ingest, Result, Sink, Tag, Verified, json,
};
use plimsoll_spec::graph::Node;
use plimsoll_spec::{LayerCompression, LayerType, media_type};
use serde::Serialize;

use super::files::{Files, Names};
use super::{Output, docker};

/// A docker archive, to write to. Files are written one at a time.
pub struct DockerWriter {
    files: Files<Flat>,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    manifests: BTreeMap<Digest, Vec<u8>>,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    config: String,
    layers: Vec<String>,
    repo_tags: Vec<String>,
}

struct Flat;

impl Names for Flat {
    fn file(&self, blob: &Descriptor) -> Result<String> {
        let hex = blob.digest.encoded();
        if [media_type::CONFIG, media_type::DOCKER_CONFIG].contains(&blob.media_type) {
            return Ok(format!("{hex}.json"));
        }
        match LayerType::of(&blob.media_type) {
            Some(LayerType { compression: LayerCompression::None, .. }) => Ok(format!("{hex}.tar")),
            _ => Err(Error::new(
                Code::Unrepresentable,
                format!("writing {} to a docker archive", blob.digest),
            )
            .found(format!("media type {:?}", blob.media_type.as_str()))
            .expected("the config of an image, or an uncompressed layer")),
        }
    }

    fn folders(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

impl DockerWriter {
    /// Starts an archive.
    pub fn new(output: Output) -> Self {
        Self { files: Files::new(output, Flat), list: Mutex::default() }
    }

    /// Lists an image, whose manifest was written, without a name.
    pub fn add(&self, image: &Descriptor) -> Result<()> {
        self.line(None, image)
    }

    /// The length of an uncompressed layer that was written.
    pub fn layer(&self, diff_id: &Digest) -> Option<u64> {
        self.files.size(&format!("{}.tar", diff_id.encoded()))
    }

    /// Ends the archive, and makes it visible where it is a file.
    pub fn publish(self) -> Result<()> {
        let list = self.list.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut output = self.files.into_output()?;
        output.whole(docker::MANIFEST, &json::canonical(&list.lines)?)?;
        output.publish()
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, name: Option<&str>, image: &Descriptor) -> Result<()> {
        let doing = || format!("listing {} in a docker archive", image.digest);
        let mut list = self.list();
        let bytes = list.manifests.get(&image.digest).cloned().ok_or_else(|| {
            Error::new(Code::NotFound, doing())
                .found("no such manifest")
                .expected("content that is written before its name")
        })?;
        let Node::Manifest(manifest) = Node::parse(image, bytes)? else {
            return Err(Error::new(Code::Unrepresentable, doing())
                .found("an index")
                .expected("one image: the form holds no index"));
        };
        let file = |blob: &Descriptor| {
            if self.files.has(blob)? {
                return Flat.file(blob);
            }
            Err(Error::new(Code::NotFound, doing())
                .found(format!("no blob {} in the archive", blob.digest))
                .expected("content that is written before its manifest"))
        };
        let config = file(&manifest.config)?;
        let layers = manifest.layers.iter().map(file).collect::<Result<Vec<_>>>()?;
        let names = name.map(str::to_owned);
        // An image that comes again under another name is one line.
        match list.lines.iter_mut().find(|line| line.config == config && line.layers == layers) {
            Some(line) => line.repo_tags.extend(names),
            None => {
                list.lines.push(Line { config, layers, repo_tags: names.into_iter().collect() });
            }
        }
        Ok(())
    }
}

impl Tag for DockerWriter {
    /// `name` is `NAME:TAG`.
    fn tag(&self, name: &str, image: &Descriptor) -> Result<()> {
        self.untag(name)?;
        self.line(Some(name), image)
    }

    fn untag(&self, name: &str) -> Result<bool> {
        let mut found = false;
        for line in &mut self.list().lines {
            let before = line.repo_tags.len();
            line.repo_tags.retain(|other| other != name);
            found |= line.repo_tags.len() < before;
        }
        Ok(found)
    }
}

impl Sink for DockerWriter {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        if Node::is_document(&blob.media_type) {
            return Ok(self.list().manifests.contains_key(&blob.digest));
        }
        self.files.has(blob)
    }

    /// What is begun must turn out to be an uncompressed layer.
    fn begin(&self) -> Result<Box<dyn Ingest + '_>> {
        self.files.start(None)
    }

    fn receive(&self, blob: &Descriptor) -> Result<Box<dyn Ingest + '_>> {
        if Node::is_document(&blob.media_type) {
            return Ok(Box::new(Manifest { writer: self, bytes: Vec::new() }));
        }
        self.files.start(Some(blob))
    }
}

/// A manifest, which is not written.
struct Manifest<'a> {
    writer: &'a DockerWriter,
    bytes: Vec<u8>,
}

impl Write for Manifest<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Ingest for Manifest<'_> {
    fn commit(self: Box<Self>, proof: Verified) -> Result<Descriptor> {
        proof.covers(self.bytes.len() as u64)?;
        let blob = proof.descriptor().clone();
        self.writer.list().manifests.insert(blob.digest.clone(), self.bytes);
        Ok(blob)
    }
}

impl fmt::Debug for DockerWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DockerWriter")
    }
}
