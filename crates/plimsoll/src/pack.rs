//! A folder, or the tar of a root filesystem, becomes an image.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use plimsoll_content::{
    Algorithm, Annotations, Code, Descriptor, Digest, Document, Error, Ingest, MediaType, Platform,
    Result, Sealing, Sink, Source, Watch,
};
use plimsoll_layer::codec::Compression;
use plimsoll_layer::{IdMap, Root, pack as layer_pack};
use plimsoll_spec::{History, Index, LayerCompression, LayerType, media_type};
use rustix::process::{getegid, geteuid};
use serde::Serialize;

use crate::draft::Draft;
use crate::edit::Edit;
use crate::image::Image;
use crate::notes;
use crate::transfer;

/// What image to make.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the image runs on.
    pub platform: Platform,
    /// How the layer is compressed.
    pub compression: Compression,
    /// How many threads compress, beside the one that reads, hashes and
    /// writes; 0 and 1 leave it all to that one. The bytes are the same.
    pub threads: usize,
    /// `SOURCE_DATE_EPOCH`: the time of the image, and the latest time of a
    /// file in it. Without it the image carries no time of its own, so that
    /// the same input gives the same digest.
    pub epoch: Option<i64>,
    /// What the ids of the image are in the folder.
    pub map: Option<IdMap>,
    /// The owner and group of all files, instead of their own.
    pub owner: Option<(u32, u32)>,
    /// Changes to the config.
    pub edit: Edit,
    /// Annotations of the manifest.
    pub annotations: Annotations,
    /// A folder for an anonymous temporary file, which compressed archives
    /// need.
    pub scratch: PathBuf,
    /// The budgets of reading an archive.
    pub limits: plimsoll_layer::Limits,
}

/// An image that was made.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Packed {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The descriptor of the manifest, with its platform.
    pub descriptor: Descriptor,
    /// What it runs on.
    pub platform: String,
    /// The layer that was made.
    pub layer: PackedLayer,
    /// How many layers come from the base image.
    pub base_layers: usize,
    /// What was left out or noticed.
    pub warnings: Vec<String>,
}

/// The layer that was made.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackedLayer {
    /// The digest of the blob.
    pub digest: Digest,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The length of the blob, in bytes.
    pub size: u64,
    /// The length of the uncompressed tar, in bytes.
    pub bytes: u64,
    /// How many files it holds.
    pub entries: u64,
    /// How it is compressed.
    pub compression: String,
}

/// Makes an image from `input` (a folder or a tar), on top of `base` if there
/// is one, and writes its blobs to `sink`. Nothing is tagged.
pub fn pack(
    input: &Path,
    base: Option<(&dyn Source, &Image)>,
    sink: &dyn Sink,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Packed> {
    let mut draft = match base {
        // The base's own annotations and unknown members stay; what made it
        // another document (its subject) does not.
        Some((_, base)) => Draft::of(base)?.into_oci()?,
        None => Draft::new(&options.platform)?,
    };
    draft.edit(&options.edit)?;
    if let Some(epoch) = options.epoch {
        draft.edit(&Edit { created: Some(time(epoch)?), ..Edit::default() })?;
    }
    let (layer, packed, warnings) = layer(input, sink, options, watch)?;
    let mut base_layers = 0;
    if let Some((source, base)) = base {
        transfer::layers(source, sink, &base.manifest.layers, watch)
            .map_err(|error| error.context("copying the base image"))?;
        base_layers = base.manifest.layers.len();
    }
    draft.push(&layer, &packed.diff_id, &step("plimsoll pack", options.epoch)?)?;
    draft.annotate(&options.edit, &options.annotations)?;
    let descriptor = draft.write(sink)?;
    let platform = descriptor.platform.as_ref().map(ToString::to_string).unwrap_or_default();
    Ok(Packed {
        digest: descriptor.digest.clone(),
        platform,
        descriptor,
        layer: packed,
        base_layers,
        warnings,
    })
}

/// Makes an index of images for several platforms, and writes it to `sink`.
pub fn index(images: &[Packed], annotations: &Annotations, sink: &dyn Sink) -> Result<Descriptor> {
    let mut index = Index::new(images.iter().map(|image| image.descriptor.clone()).collect());
    index.annotations.clone_from(annotations);
    let index = Document::new(index)?;
    let descriptor = index.descriptor(media_type::INDEX, Algorithm::Sha256);
    sink.write(&descriptor, index.bytes())?;
    Ok(descriptor)
}

pub(crate) fn layer(
    input: &Path,
    sink: &dyn Sink,
    options: &Options,
    watch: &dyn Watch,
) -> Result<(Descriptor, PackedLayer, Vec<String>)> {
    let shown = input.display().to_string();
    let metadata = input.metadata().map_err(|cause| {
        Error::io("opening", &shown, cause).fix("give a folder, or a tar of a root filesystem")
    })?;
    let scratch = File::open(&options.scratch)
        .map_err(|cause| Error::io("opening folder", options.scratch.display(), cause))?;
    let layer_options = layer_pack::Options {
        scratch: Some(scratch.as_fd()),
        compression: options.compression,
        threads: options.threads,
        epoch: options.epoch,
        owner: options.owner,
        map: options.map.as_ref(),
        limits: options.limits,
        own: (metadata.is_dir() && options.map.is_none() && !geteuid().is_root())
            .then(|| (geteuid().as_raw(), getegid().as_raw())),
        ..layer_pack::Options::default()
    };
    watch.begin(&format!("packing {shown}"), None);
    let out = blob(sink, watch)?;
    let (packed, sealing) = if metadata.is_dir() {
        let root = Root::open(input)?;
        layer_pack::tree(root.as_fd(), out, &layer_options)
    } else if metadata.is_file() {
        let file = File::open(input).map_err(|cause| Error::io("opening", &shown, cause))?;
        layer_pack::archive(&file, out, &layer_options)
    } else {
        Err(Error::new(Code::Usage, format!("packing {shown}"))
            .found("neither a folder nor a regular file")
            .expected("a folder, or a tar of a root filesystem"))
    }
    .map_err(|error| error.context(format!("packing {shown}")))?;
    let blob = commit(sealing, options.compression)?;
    let layer = PackedLayer::new(&blob, &packed, options.compression);
    watch.end(&format!("packed {} entries into layer {}", layer.entries, layer.digest));
    let warnings = notes::all("", &packed.findings, watch);
    Ok((blob, layer, warnings))
}

/// A blob that is being made.
pub(crate) type Blob<'a> = Sealing<transfer::Counted<'a, Box<dyn Ingest + 'a>>>;

/// Begins a blob.
pub(crate) fn blob<'a>(sink: &'a dyn Sink, watch: &'a dyn Watch) -> Result<Blob<'a>> {
    Ok(Sealing::new(transfer::Counted::new(sink.begin()?, watch), Algorithm::Sha256))
}

/// Ends a blob that is a layer.
pub(crate) fn commit(blob: Blob<'_>, compression: Compression) -> Result<Descriptor> {
    let (proof, ingest) = blob.finish(layer_type(compression));
    let descriptor = proof.descriptor().clone();
    ingest.into_inner().commit(proof)?;
    Ok(descriptor)
}

/// What a layer is that was compressed in that way.
pub(crate) fn layer_type(compression: Compression) -> MediaType {
    LayerType::name(match compression {
        Compression::None => LayerCompression::None,
        Compression::Gzip { .. } => LayerCompression::Gzip,
        Compression::Zstd { .. } => LayerCompression::Zstd,
    })
}

impl PackedLayer {
    pub(crate) fn new(
        blob: &Descriptor,
        packed: &layer_pack::Packed,
        compression: Compression,
    ) -> Self {
        Self {
            digest: blob.digest.clone(),
            diff_id: packed.diff_id.clone(),
            size: blob.size,
            bytes: packed.bytes,
            entries: packed.entries,
            compression: compression.to_string(),
        }
    }
}

/// A step of the history.
pub(crate) fn step(created_by: &str, epoch: Option<i64>) -> Result<History> {
    Ok(History {
        created: epoch.map(time).transpose()?,
        created_by: Some(created_by.to_owned()),
        ..History::default()
    })
}

/// A time as the documents write it (RFC 3339, UTC).
pub fn time(epoch: i64) -> Result<String> {
    jiff::Timestamp::from_second(epoch).map(|time| time.to_string()).map_err(|cause| {
        Error::new(Code::Usage, "reading SOURCE_DATE_EPOCH")
            .found(epoch)
            .expected("seconds since 1970 of a year from -9999 to 9999")
            .cause(cause)
    })
}
