//! The layers of an image become a root filesystem, in one pass over each
//! blob, staged beside the destination and published when every proof is in.

use std::io::Read;
use std::os::fd::BorrowedFd;
use std::path::Path;

use plimsoll_content::{Descriptor, Digest, Error, Result, Source, Verifying, Watch};
use plimsoll_layer::apply::{self, Announced, Applier};
use plimsoll_layer::codec::Format;
use plimsoll_layer::limits;
use plimsoll_spec::{LayerCompression, LayerType};
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

/// What a folder that was published is sure to outlive.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Durability {
    /// This process, however it ends. What the machine has not written to its
    /// disk when it loses its power may be incomplete then.
    #[default]
    Process,
    /// A crash of the machine as well: publishing waits for the disk.
    Disk,
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
    durability: Durability,
    watch: &dyn Watch,
) -> Result<Unpacked> {
    unpack_with(source, image, destination, options, durability, watch, |_| Ok(()))
}

/// [`unpack`], with something else to be done with the tree before it is
/// published.
pub fn unpack_with(
    source: &dyn Source,
    image: &Image,
    destination: &Path,
    options: &apply::Options,
    durability: Durability,
    watch: &dyn Watch,
    last: impl FnOnce(BorrowedFd<'_>) -> Result<()>,
) -> Result<Unpacked> {
    let staged = stage(destination)?;
    let unpacked = into(source, image, staged.fd(), options, watch)
        .and_then(|unpacked| last(staged.fd()).map(|()| unpacked))
        .map_err(|error| error.context(format!("unpacking to {}", destination.display())))?;
    publish(staged, durability)?;
    Ok(unpacked)
}

/// Stages beside `destination`, which must not exist or be an empty folder.
pub(crate) fn stage(destination: &Path) -> Result<StagedDir> {
    StagedDir::beside(destination)
}

/// Gives what was staged its place.
pub(crate) fn publish(staged: StagedDir, durability: Durability) -> Result<()> {
    match durability {
        Durability::Process => staged.flushed(Flush::Never).publish(),
        Durability::Disk => staged.publish(),
    }
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
    let image = image.complete(source, &options.limits, watch)?;
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
    layers_into(source, &layers, 1, layers.len(), &mut applier, watch, |position, summary| {
        unpacked.entries += summary.entries;
        unpacked.bytes += summary.bytes;
        unpacked.compressed += layers[position].descriptor.size;
        let place = format!("layer {}: ", position + 1);
        unpacked.warnings.extend(notes::all(&place, &summary.findings, watch));
    })?;
    applier.finish()?;
    Ok(unpacked)
}

/// Applies neighbouring layers through `applier`, the lowest first, with both
/// proofs of each: the blob's digest and the diff_id. `number` is what people
/// call the first of them, `of` how many the image has.
pub fn layers_into(
    source: &dyn Source,
    layers: &[Layer],
    number: usize,
    of: usize,
    applier: &mut Applier<'_>,
    watch: &dyn Watch,
    done: impl FnMut(usize, apply::Summary),
) -> Result<()> {
    proved(source, layers, number, of, watch, done, |blobs, announced, done| {
        applier.apply_all(blobs, announced, done)
    })
}

/// Leads neighbouring layers to `take`, with their digests as the proof of
/// the blobs; what they say comes to `done`, and to `watch`.
pub(crate) fn proved<'a, T>(
    source: &'a dyn Source,
    layers: &'a [Layer],
    number: usize,
    of: usize,
    watch: &'a dyn Watch,
    mut done: impl FnMut(usize, apply::Summary),
    take: impl FnOnce(
        Blobs<'a>,
        &[Announced],
        &mut dyn FnMut(usize, apply::Summary),
    ) -> Result<T, (usize, Error)>,
) -> Result<T> {
    let name = |position: usize| format!("layer {} of {of}", number + position);
    let begin = |position: usize| {
        if let Some(layer) = layers.get(position) {
            watch.begin(&name(position), Some(layer.descriptor.size));
        }
    };
    let announced: Vec<_> = layers
        .iter()
        .map(|layer| Announced { format: format(layer), diff_id: layer.diff_id.clone() })
        .collect();
    begin(0);
    let mut each = |position: usize, mut summary: apply::Summary| {
        let Descriptor { digest, size, .. } = &layers[position].descriptor;
        summary.findings.extend(limits::ratio(summary.bytes, *size));
        watch.end(&format!("{}  {digest}  {} entries", name(position), summary.entries));
        done(position, summary);
        begin(position + 1);
    };
    take(Blobs { source, layers, watch }, &announced, &mut each).map_err(|(position, error)| {
        match layers.get(position) {
            Some(layer) => {
                error.context(format!("applying {}, {}", name(position), layer.descriptor.digest))
            }
            None => error,
        }
    })
}

/// The blobs of layers, from one source, with their digests as the proof.
pub(crate) struct Blobs<'a> {
    source: &'a dyn Source,
    layers: &'a [Layer],
    watch: &'a dyn Watch,
}

impl<'a> apply::Blobs for Blobs<'a> {
    type Blob = Watched<'a, Verifying<Box<dyn Read + Send + 'a>>>;

    fn open(&mut self, layer: usize) -> Result<Self::Blob> {
        Ok(Watched::new(self.source.open(&self.layers[layer].descriptor)?, self.watch))
    }

    fn prove(&mut self, _: usize, blob: Self::Blob) -> Result<()> {
        let (_proof, _) = blob.into_inner().finish()?;
        Ok(())
    }
}

/// How the layer is compressed, as the codecs call it.
pub fn format(layer: &Layer) -> Format {
    layer_format(layer.kind)
}

/// How layers of that type are compressed, as the codecs call it.
pub(crate) fn layer_format(kind: LayerType) -> Format {
    match kind.compression {
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
