//! An image becomes one tar of its root filesystem, without being unpacked.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use plimsoll_content::{Digest, Error, Result, Source, Watch};
use plimsoll_layer::apply::Summary;
use plimsoll_layer::codec::Compression;
use plimsoll_layer::pack::{self, Stack};
use serde::Serialize;

use crate::image::Image;
use crate::notes;
use crate::transfer::Counted;
use crate::unpack::Way;

/// How an image is exported.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the tar is compressed.
    pub compression: Compression,
    /// `SOURCE_DATE_EPOCH`: the latest time that a file in the tar may have.
    pub epoch: Option<i64>,
    /// A folder for an anonymous temporary file: all layers are proved before
    /// the first byte goes out, so their content waits there.
    pub scratch: PathBuf,
    /// The budgets of reading layers.
    pub limits: plimsoll_layer::Limits,
}

/// What was exported.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    /// The digest of the manifest.
    pub digest: Digest,
    /// What the image runs on.
    pub platform: String,
    /// How many layers went into it.
    pub layers: usize,
    /// How many entries the tar has.
    pub entries: u64,
    /// The digest of the tar before compression.
    pub diff_id: Digest,
    /// The length of the tar before compression, in bytes.
    pub bytes: u64,
    /// How many bytes were written.
    pub size: u64,
    /// What could not be kept or was noticed.
    pub warnings: Vec<String>,
}

/// Writes the tar of the root filesystem that unpacking the image would give,
/// sorted, with an entry for the root: always the same bytes.
///
/// Nothing is written to `out` before every layer has its digest and its
/// diff_id.
pub fn export<W: Write>(
    source: &dyn Source,
    image: &Image,
    out: W,
    options: &Options,
    watch: &dyn Watch,
) -> Result<(Exported, W)> {
    let image = image.complete(source, &options.limits, watch)?;
    let layers = image.layers()?;
    let scratch = File::open(&options.scratch)
        .map_err(|cause| Error::io("opening folder", options.scratch.display(), cause))?;
    let pack_options = pack::Options {
        compression: options.compression,
        epoch: options.epoch,
        root: true,
        scratch: Some(scratch.as_fd()),
        limits: options.limits,
        ..pack::Options::default()
    };
    let mut warnings = Vec::new();
    let stack = Stack::new(&pack_options)?;
    let done = |position: usize, summary: Summary| {
        let place = format!("layer {}: ", position + 1);
        warnings.extend(notes::all(&place, &summary.findings, watch));
    };
    let way = Way { source, layers: &layers, number: 1, of: layers.len(), keep: None, watch };
    let stack = way.lead(done, |blobs, announced, done| stack.layers(blobs, announced, done))?;
    watch.begin("writing the root filesystem", None);
    let (packed, out) = stack.write(Length { out: Counted::new(out, watch), length: 0 })?;
    warnings.extend(notes::all("", &packed.findings, watch));
    watch.end(&format!("wrote {} entries", packed.entries));
    let exported = Exported {
        digest: image.descriptor.digest.clone(),
        platform: image.platform().to_string(),
        layers: layers.len(),
        entries: packed.entries,
        diff_id: packed.diff_id,
        bytes: packed.bytes,
        size: out.length,
        warnings,
    };
    Ok((exported, out.out.into_inner()))
}

/// Counts what goes by.
struct Length<W> {
    out: W,
    length: u64,
}

impl<W: Write> Write for Length<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.out.write(bytes)?;
        self.length += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
