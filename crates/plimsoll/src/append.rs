//! Layers on top of an image: layer tars as they are, and folders.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use plimsoll_content::{
    Algorithm, Code, Descriptor, Digest, Error, Hasher, Platform, Result, Sealing, Sink, Watch,
};
use plimsoll_layer::Limits;
use plimsoll_layer::codec::{Compression, Decoder, Encoder, Format};
use plimsoll_layer::tar::Entries;
use plimsoll_spec::media_type;

use crate::change::Report;
use crate::draft::Draft;
use crate::edit::Edit;
use crate::pack::{self, PackedLayer, step};
use crate::place::Home;
use crate::reference::Reference;
use crate::{notes, transfer};

/// How layers are made.
#[derive(Clone, Debug)]
pub struct Options {
    /// How folders and plain tars are compressed.
    pub compression: Compression,
    /// `SOURCE_DATE_EPOCH`.
    pub epoch: Option<i64>,
    /// The owner of all files of folders.
    pub owner: Option<(u32, u32)>,
    /// What the history says of the layers.
    pub created_by: String,
    /// How many threads may compress.
    pub threads: usize,
    /// The budgets of reading layers.
    pub limits: Limits,
}

/// An image with more layers.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Appended {
    /// What was changed.
    #[serde(flatten)]
    pub report: Report,
    /// The layers, from the bottom up.
    pub layers: Vec<PackedLayer>,
    /// What was left out or noticed.
    pub warnings: Vec<String>,
}

impl Home {
    /// Puts layers on top of every image that the reference leads to, or of
    /// those for `platform`.
    pub fn append(
        &self,
        reference: &Reference,
        new: Option<&str>,
        platform: Option<&Platform>,
        inputs: &[PathBuf],
        options: &Options,
        watch: &dyn Watch,
    ) -> Result<Appended> {
        // Made once, for the first image of the first try.
        let mut made: Option<Vec<(Descriptor, PackedLayer)>> = None;
        let mut warnings = Vec::new();
        let report = self.rewrite(
            reference,
            new,
            platform,
            &|_| Ok(()),
            &mut |image, target| {
                let mut layers = Vec::new();
                match &made {
                    Some(made)
                        if made
                            .iter()
                            .all(|(blob, _)| target.sink().has(blob).unwrap_or(false)) =>
                    {
                        layers.clone_from(made);
                    }
                    _ => {
                        warnings.clear();
                        for input in inputs {
                            layers.push(layer(
                                input,
                                target.sink(),
                                &target.scratch(),
                                options,
                                &mut warnings,
                                watch,
                            )?);
                        }
                        made = Some(layers.clone());
                    }
                }
                let mut draft = Draft::of(image)?;
                let step = step(&options.created_by, options.epoch)?;
                for (blob, layer) in layers {
                    draft.push(&blob, &layer.diff_id, &step)?;
                }
                Ok(draft)
            },
            watch,
        )?;
        let layers = made.into_iter().flatten().map(|(_, layer)| layer).collect();
        Ok(Appended { report, layers, warnings })
    }
}

fn layer(
    input: &Path,
    sink: &dyn Sink,
    scratch: &Path,
    options: &Options,
    warnings: &mut Vec<String>,
    watch: &dyn Watch,
) -> Result<(Descriptor, PackedLayer)> {
    let shown = input.display().to_string();
    let metadata = input.metadata().map_err(|cause| {
        Error::io("opening", &shown, cause).fix("give a folder, or the tar of a layer")
    })?;
    if metadata.is_dir() {
        let options = pack::Options {
            platform: Platform::host(),
            compression: options.compression,
            epoch: options.epoch,
            owner: options.owner,
            edit: Edit::default(),
            annotations: plimsoll_content::Annotations::default(),
            scratch: scratch.to_owned(),
            threads: options.threads,
            limits: options.limits,
            map: None,
        };
        let (blob, layer, found) = pack::layer(input, sink, &options, watch)?;
        warnings.extend(found);
        return Ok((blob, layer));
    }
    if !metadata.is_file() {
        return Err(Error::new(Code::Usage, format!("appending {shown}"))
            .found("neither a folder nor a regular file")
            .expected("a folder, or the tar of a layer"));
    }
    archive(input, sink, options, warnings, watch)
        .map_err(|error| error.context(format!("appending {shown}")))
}

/// The tar of a layer: its bytes stay as they are, whiteouts included; a
/// plain one may be compressed. It is read as whoever applies it will.
fn archive(
    input: &Path,
    sink: &dyn Sink,
    options: &Options,
    warnings: &mut Vec<String>,
    watch: &dyn Watch,
) -> Result<(Descriptor, PackedLayer)> {
    let limits = options.limits;
    let shown = input.display().to_string();
    let failed = |cause| Error::io("reading", &shown, cause);
    let mut file = File::open(input).map_err(|cause| Error::io("opening", &shown, cause))?;
    let mut start = Vec::new();
    (&file).take(512).read_to_end(&mut start).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let format = Format::detect(&start)?;
    watch.begin(&format!("appending {shown}"), None);
    let sealing = Sealing::new(transfer::Counted::new(sink.begin()?, watch), Algorithm::Sha256);
    let (sealing, read, kind, how) = match (format, options.compression) {
        (Format::Tar, compression) => {
            let encoder = Encoder::with_threads(compression, sealing, options.threads)?;
            let (encoder, read) = read(&file, encoder, format, limits)?;
            (encoder.finish()?, read, pack::layer_type(compression), compression.to_string())
        }
        (Format::Gzip, _) => {
            let (sealing, read) = read(&file, sealing, format, limits)?;
            (sealing, read, media_type::LAYER_GZIP, format.to_string())
        }
        (Format::Zstd, _) => {
            let (sealing, read) = read(&file, sealing, format, limits)?;
            (sealing, read, media_type::LAYER_ZSTD, format.to_string())
        }
    };
    let (proof, ingest) = sealing.finish(kind);
    let blob = proof.descriptor().clone();
    ingest.into_inner().commit(proof)?;
    warnings.extend(notes::all("", &read.findings, watch));
    let layer = PackedLayer {
        digest: blob.digest.clone(),
        diff_id: read.diff_id,
        size: blob.size,
        bytes: read.bytes,
        entries: read.entries,
        compression: how,
    };
    watch.end(&format!("appended {} entries as layer {}", layer.entries, layer.digest));
    Ok((blob, layer))
}

struct Seen {
    diff_id: Digest,
    bytes: u64,
    entries: u64,
    findings: Vec<plimsoll_layer::finding::Finding>,
}

/// Reads a layer to its end, passing what the file holds on to `out`.
fn read<W: Write>(file: &File, out: W, format: Format, limits: Limits) -> Result<(W, Seen)> {
    let tee = Tee { reader: file, writer: out };
    let decoder = Decoder::new(format, tee, &limits)?;
    let hashed = Hashed { reader: decoder, hasher: Hasher::new(Algorithm::Sha256), bytes: 0 };
    let mut entries = Entries::new(hashed, limits);
    let mut count = 0;
    while entries.next()?.is_some() {
        count += 1;
    }
    let (mut hashed, mut findings) = entries.finish()?;
    io::copy(&mut hashed, &mut io::sink())
        .map_err(|cause| Error::io("reading", "the end of a layer", cause))?;
    let (diff_id, bytes) = (hashed.hasher.finish(), hashed.bytes);
    let (mut tee, more) = hashed.reader.finish()?;
    io::copy(&mut tee, &mut io::sink())
        .map_err(|cause| Error::io("reading", "the end of a layer", cause))?;
    findings.extend(more);
    Ok((tee.writer, Seen { diff_id, bytes, entries: count, findings }))
}

struct Tee<R, W> {
    reader: R,
    writer: W,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.writer.write_all(&buffer[..length])?;
        Ok(length)
    }
}

struct Hashed<R> {
    reader: R,
    hasher: Hasher,
    bytes: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        self.bytes += length as u64;
        Ok(length)
    }
}
