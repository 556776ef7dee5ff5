//! An image becomes one tar of its root filesystem, without being unpacked.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use plimsoll_content::{Code, Digest, Error, Kind, Result, Source, Watch};
use plimsoll_layer::apply::Summary;
use plimsoll_layer::codec::Compression;
use plimsoll_layer::pack::{self, Stack};
use serde::Serialize;

use crate::image::{Image, Layer};
use crate::notes;
use crate::transfer::{Counted, Watched};
use crate::unpack;

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
    let mut stack = Stack::new(&pack_options)?;
    for (position, layer) in layers.iter().enumerate() {
        let place = (position + 1, layers.len());
        let summary;
        (stack, summary) = proved(source, layer, place, watch, stack)?;
        warnings.extend(notes::all(&format!("layer {}: ", position + 1), &summary.findings, watch));
    }
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

/// Puts a layer on the stack with both proofs: the blob's digest and the
/// diff_id. `place` is the layer's number, and how many there are.
fn proved<'a>(
    source: &dyn Source,
    layer: &Layer,
    place: (usize, usize),
    watch: &dyn Watch,
    stack: Stack<'a>,
) -> Result<(Stack<'a>, Summary)> {
    let (number, of) = place;
    let blob = &layer.descriptor;
    watch.begin(&format!("layer {number} of {of}"), Some(blob.size));
    let context =
        |error: Error| error.context(format!("reading layer {number} of {of}, {}", blob.digest));
    let mut reader = source.open(blob).map_err(context)?;
    let watched = Watched::new(&mut reader, watch);
    match stack.layer(watched, unpack::format(layer), &layer.diff_id) {
        Ok((stack, summary)) => {
            let (_proof, _) = reader.finish().map_err(context)?;
            let entries = summary.entries;
            watch.end(&format!("layer {number} of {of}  {}  {entries} entries", blob.digest));
            Ok((stack, summary))
        }
        // A damaged blob shows first as a broken stream: say what is wrong.
        Err(error) if error.kind() == Kind::Integrity && error.code() != Code::Digest => {
            Err(context(match reader.finish() {
                Err(damage) if damage.kind() == Kind::Integrity => damage,
                _ => error,
            }))
        }
        Err(error) => Err(context(error)),
    }
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
