//! The layers of an image become a root filesystem, in one pass over each
//! blob, staged beside the destination and published when every proof is in.

use std::os::fd::BorrowedFd;
use std::path::Path;

use plimsoll_content::{Code, Digest, Error, Kind, Result, Source, Watch};
use plimsoll_layer::apply::{self, Applier};
use plimsoll_layer::codec::Format;
use plimsoll_spec::LayerCompression;
use plimsoll_store::{Flush, StagedDir};
use serde::Serialize;

use crate::image::{Image, Layer};
use crate::notes;
use crate::transfer::Watched;

/// What was unpacked.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unpacked {
    /// The digest of the manifest.
    pub digest: Digest,
    /// What the image runs on.
    pub platform: String,
    /// How many layers were applied.
    pub layers: usize,
    /// How many entries they held.
    pub entries: u64,
    /// How long they were as blobs, in bytes.
    pub compressed: u64,
    /// How long they were as tar archives, in bytes.
    pub bytes: u64,
    /// What could not be kept or was noticed.
    pub warnings: Vec<String>,
}

/// Unpacks the image to `destination`, which must not exist or be an empty
/// folder.
///
/// A failure at any point, the last byte of the last layer included, leaves
/// nothing at the destination.
pub fn unpack(
    source: &dyn Source,
    image: &Image,
    destination: &Path,
    options: &apply::Options,
    flush: Flush,
    watch: &dyn Watch,
) -> Result<Unpacked> {
    let staged = stage(destination)?.flushed(flush);
    let unpacked = into(source, image, staged.fd(), options, watch)
        .map_err(|error| error.context(format!("unpacking to {}", destination.display())))?;
    publish(staged)?;
    Ok(unpacked)
}

/// Stages beside `destination`, which must not exist or be an empty folder.
pub(crate) fn stage(destination: &Path) -> Result<StagedDir> {
    StagedDir::beside(destination)
}

/// Gives what was staged its place.
pub(crate) fn publish(staged: StagedDir) -> Result<()> {
    staged.publish()
}

/// Applies all layers of the image to the folder `root`, which must be empty
/// and private until the caller publishes it.
pub fn into(
    source: &dyn Source,
    image: &Image,
    root: BorrowedFd<'_>,
    options: &apply::Options,
    watch: &dyn Watch,
) -> Result<Unpacked> {
    let layers = image.layers()?;
    let mut unpacked = Unpacked {
        digest: image.descriptor.digest.clone(),
        platform: image.platform().to_string(),
        layers: layers.len(),
        entries: 0,
        compressed: 0,
        bytes: 0,
        warnings: Vec::new(),
    };
    let mut applier = Applier::new(root, options.clone())?;
    for (position, layer) in layers.iter().enumerate() {
        let summary = layer_into(source, layer, position + 1, layers.len(), &mut applier, watch)?;
        unpacked.entries += summary.entries;
        unpacked.bytes += summary.bytes;
        unpacked.compressed += layer.descriptor.size;
        let place = format!("layer {}: ", position + 1);
        unpacked.warnings.extend(notes::all(&place, &summary.findings, watch));
    }
    applier.finish()?;
    Ok(unpacked)
}

/// Applies one layer through `applier`, with both proofs: the blob's digest
/// and the diff_id.
pub fn layer_into(
    source: &dyn Source,
    layer: &Layer,
    number: usize,
    of: usize,
    applier: &mut Applier<'_>,
    watch: &dyn Watch,
) -> Result<apply::Summary> {
    let blob = &layer.descriptor;
    watch.begin(&format!("layer {number} of {of}"), Some(blob.size));
    let context =
        |error: Error| error.context(format!("applying layer {number} of {of}, {}", blob.digest));
    let mut reader = source.open(blob).map_err(context)?;
    let applied = applier.apply(Watched::new(&mut reader, watch), format(layer), &layer.diff_id);
    let summary = match applied {
        Ok(summary) => {
            let (_proof, _) = reader.finish().map_err(context)?;
            summary
        }
        // A damaged blob shows first as a broken stream. What is wrong with
        // it is that it is not the blob that was announced: say that.
        Err(error) if error.kind() == Kind::Integrity && error.code() != Code::Digest => {
            return Err(context(match reader.finish() {
                Err(damage) if damage.kind() == Kind::Integrity => damage,
                _ => error,
            }));
        }
        Err(error) => return Err(context(error)),
    };
    watch.end(&format!("layer {number} of {of}  {}  {} entries", blob.digest, summary.entries));
    Ok(summary)
}

/// How the layer is compressed, as the codecs call it.
pub fn format(layer: &Layer) -> Format {
    match layer.kind.compression {
        LayerCompression::None => Format::Tar,
        LayerCompression::Gzip => Format::Gzip,
        LayerCompression::Zstd => Format::Zstd,
    }
}

/// How layers are applied by default: as root, files keep the image's
/// owners; as an ordinary user, they are the user's, and the owners are
/// recorded beside them.
pub fn options() -> apply::Options {
    let ids = if rustix::process::geteuid().is_root() { apply::Ids::Keep } else { apply::Ids::Own };
    apply::Options { ids, ..apply::Options::default() }
}
