//! Writing what `docker load` and `podman load` accept: for each image its
//! config as `<id>.json`, its layers uncompressed as `<diff_id>.tar`, and the
//! list `manifest.json` at the end. The same images give the same bytes.
//!
//! The form holds no manifest, so the digest of an image does not survive
//! it. The id (the digest of the config) and the diff_ids do.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use plimsoll_content::{
    Code, Descriptor, Digest, Error, Hasher, Kind, Result, Source, Watch, json,
};
use plimsoll_layer::Limits;
use plimsoll_layer::codec::{Decoder, Format};
use serde::Serialize;

use super::{Output, docker};

/// An image to be written.
#[derive(Clone, Debug)]
pub struct DockerImage<'a> {
    /// Its config.
    pub config: &'a Descriptor,
    /// Its layers: the blob, how it is compressed, and its diff_id.
    pub layers: Vec<(&'a Descriptor, Format, &'a Digest)>,
    /// What it is called, as `NAME:TAG`.
    pub names: Vec<String>,
}

/// A docker archive, to write to.
#[derive(Debug)]
pub struct DockerWriter {
    output: Output,
    written: BTreeSet<String>,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    config: String,
    layers: Vec<String>,
    repo_tags: Vec<String>,
}

impl DockerWriter {
    /// Starts an archive.
    pub fn new(output: Output) -> Self {
        Self { output, written: BTreeSet::new(), lines: Vec::new() }
    }

    /// Writes an image. Layers are inflated once, on their way; digest and
    /// diff_id are proved.
    ///
    /// After an error the archive is of no use.
    pub fn add(
        &mut self,
        source: &dyn Source,
        image: &DockerImage<'_>,
        watch: &dyn Watch,
    ) -> Result<()> {
        let mut layers = Vec::new();
        for (blob, format, diff_id) in &image.layers {
            let name = format!("{}.tar", diff_id.encoded());
            if self.written.insert(name.clone()) {
                self.layer(source, blob, *format, diff_id, &name, watch)
                    .map_err(|error| error.context(format!("writing layer {}", blob.digest)))?;
            }
            layers.push(name);
        }
        let config = format!("{}.json", image.config.digest.encoded());
        if self.written.insert(config.clone()) {
            let bytes = source.read(image.config, "an image config", source.limits().config)?;
            self.output.whole(&config, &bytes)?;
        }
        // An image that comes again under another name is one line.
        match self.lines.iter_mut().find(|line| line.config == config && line.layers == layers) {
            Some(line) => line.repo_tags.extend(image.names.iter().cloned()),
            None => self.lines.push(Line { config, layers, repo_tags: image.names.clone() }),
        }
        Ok(())
    }

    /// Ends the archive, and makes it visible where it is a file.
    pub fn publish(mut self) -> Result<()> {
        self.output.whole(docker::MANIFEST, &json::canonical(&self.lines)?)?;
        self.output.publish()
    }

    fn layer(
        &mut self,
        source: &dyn Source,
        blob: &Descriptor,
        format: Format,
        diff_id: &Digest,
        name: &str,
        watch: &dyn Watch,
    ) -> Result<()> {
        watch.begin(&format!("writing {}", diff_id.short()), Some(blob.size));
        let mut reader = source.open(blob)?;
        let plain = format == Format::Tar;
        let start = if plain {
            self.output.begin(name, blob.size)?;
            0
        } else {
            self.output.begin_unknown()?
        };
        let counted = Counted { reader: &mut reader, watch };
        let copied = self.inflate(counted, format, diff_id, plain && blob.digest == *diff_id);
        let (found, size) = match copied {
            Ok(copied) => {
                let (_proof, _) = reader.finish()?;
                copied
            }
            // A damaged blob shows first as a broken stream.
            Err(error) if error.kind() == Kind::Integrity => {
                return Err(match reader.finish() {
                    Err(damage) if damage.kind() == Kind::Integrity => damage,
                    _ => error,
                });
            }
            Err(error) => return Err(error),
        };
        if let Some(found) = found
            && found != *diff_id
        {
            return Err(Error::new(Code::DiffId, "hashing the uncompressed layer")
                .found(found)
                .expected(diff_id));
        }
        if plain {
            self.output.end(size)?;
        } else {
            self.output.measure(start, name, size)?;
        }
        watch.end(&format!("wrote {diff_id}"));
        Ok(())
    }

    /// Copies the uncompressed layer; gives its digest, unless the proof of
    /// the blob says the same, and its size.
    fn inflate(
        &mut self,
        reader: impl Read,
        format: Format,
        diff_id: &Digest,
        proved: bool,
    ) -> Result<(Option<Digest>, u64)> {
        let mut hasher = Hasher::new(diff_id.computable("diff_id")?);
        let mut decoder = Decoder::new(format, reader, &Limits::default())?;
        let mut buffer = vec![0; 128 << 10];
        let mut size = 0;
        loop {
            let length = match decoder.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io("reading", "a layer", error)),
            };
            if !proved {
                hasher.update(&buffer[..length]);
            }
            self.output
                .write_all(&buffer[..length])
                .map_err(|cause| Error::io("writing", "an archive", cause))?;
            size += length as u64;
        }
        decoder.finish()?;
        Ok(((!proved).then(|| hasher.finish()), size))
    }
}

/// Tells how much is read, and stops when told to.
struct Counted<'a, R> {
    reader: R,
    watch: &'a dyn Watch,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.watch.interrupted() {
            return Err(Error::new(Code::Interrupted, "stopping").found("a signal").into());
        }
        let length = self.reader.read(buffer)?;
        self.watch.advance(length as u64);
        Ok(length)
    }
}
