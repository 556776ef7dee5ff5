//! The layers of an image become a root filesystem, in one pass over each
//! blob, staged beside the destination and published when every proof is in.

use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plimsoll_content::{
    Descriptor, Digest, Error, Ingest, Part, Result, Sink, Source, Stage, Verifying, Watch,
};
use plimsoll_layer::apply::{self, Announced, Applier};
use plimsoll_layer::codec::Format;
use plimsoll_layer::limits;
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
    Way { source, layers, number, of, keep: None, watch }
        .lead(done, |blobs, announced, done| applier.apply_all(blobs, announced, done))
}

/// Neighbouring layers on their way to whoever takes them, with their digests
/// as the proof of the blobs.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) layers: &'a [Layer],
    /// What people call the first of them.
    pub(crate) number: usize,
    /// How many the image has.
    pub(crate) of: usize,
    /// Where the blobs are to be kept as they go by.
    pub(crate) keep: Option<&'a dyn Sink>,
    pub(crate) watch: &'a dyn Watch,
}

impl<'a> Way<'a> {
    /// Leads the layers to `take`; what they say comes to `done`, and to the
    /// watch.
    pub(crate) fn lead<T>(
        self,
        mut done: impl FnMut(usize, apply::Summary),
        take: impl FnOnce(
            Blobs<'a>,
            &[Announced],
            &mut dyn FnMut(usize, apply::Summary),
        ) -> Result<T, (usize, Error)>,
    ) -> Result<T> {
        let Self { layers, number, of, watch, .. } = self;
        let name = |position: usize| format!("layer {} of {of}", number + position);
        let announced: Vec<_> = layers
            .iter()
            .map(|layer| Announced { format: format(layer), diff_id: layer.diff_id.clone() })
            .collect();
        let parts: Vec<_> = layers
            .iter()
            .map(|layer| Part::new(&layer.descriptor.digest, layer.descriptor.size))
            .collect();
        watch.begin("reading layers", Some(total(layers)));
        let mut each = |position: usize, mut summary: apply::Summary| {
            let Descriptor { digest, size, .. } = &layers[position].descriptor;
            summary.findings.extend(limits::ratio(summary.bytes, *size));
            let part = &parts[position];
            part.settle(Stage::Done);
            let told = format!("{}  {digest}  {} entries", name(position), summary.entries);
            watch.leave(part, &told);
            done(position, summary);
        };
        let blobs = layers.iter().map(|layer| &layer.descriptor).collect();
        let blobs = Blobs {
            keep: self.keep,
            parts: parts.clone(),
            ..Blobs::new(self.source, blobs, watch)
        };
        let taken = take(blobs, &announced, &mut each);
        watch.end("");
        taken.map_err(|(position, error)| match layers.get(position) {
            Some(layer) => {
                error.context(format!("applying {}, {}", name(position), layer.descriptor.digest))
            }
            None => error,
        })
    }
}

/// How many bytes the layers have as blobs.
pub(crate) fn total(layers: &[Layer]) -> u64 {
    layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.descriptor.size))
}

/// The blobs of layers, from one source, with their digests as the proof.
pub(crate) struct Blobs<'a> {
    source: &'a dyn Source,
    blobs: Vec<&'a Descriptor>,
    /// What each of them is to whoever watches, if it is a part of a step.
    parts: Vec<Arc<Part>>,
    /// Where they are to be kept as they go by.
    keep: Option<&'a dyn Sink>,
    kept: Option<Kept<'a>>,
    watch: &'a dyn Watch,
}

/// A blob that is kept as it goes by.
#[derive(Clone)]
struct Kept<'a>(Arc<Mutex<Option<Box<dyn Ingest + 'a>>>>);

impl<'a> Kept<'a> {
    fn lock(&self) -> MutexGuard<'_, Option<Box<dyn Ingest + 'a>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Kept<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().as_mut().map_or(Ok(bytes.len()), |ingest| ingest.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> Blobs<'a> {
    pub(crate) fn new(
        source: &'a dyn Source,
        blobs: Vec<&'a Descriptor>,
        watch: &'a dyn Watch,
    ) -> Self {
        Self { source, blobs, parts: Vec::new(), keep: None, kept: None, watch }
    }
}

impl<'a> apply::Blobs for Blobs<'a> {
    type Blob = Watched<'a, Verifying<Box<dyn Read + Send + 'a>>>;

    fn open(&mut self, layer: usize) -> Result<Self::Blob> {
        let blob = self.blobs[layer];
        let part = self.parts.get(layer);
        if let Some(part) = part {
            self.watch.enter(part);
        }
        let mut unproved = self.source.fetch(blob, 0)?;
        if let Some(sink) = self.keep
            && !sink.has(blob)?
        {
            let kept = Kept(Arc::new(Mutex::new(Some(sink.receive(blob)?))));
            unproved = unproved.tee(kept.clone());
            self.kept = Some(kept);
        }
        Ok(Watched::new(unproved.verify(blob)?, self.watch).part(part))
    }

    fn prove(&mut self, _: usize, blob: Self::Blob) -> Result<()> {
        let (proof, reader) = blob.into_inner().finish()?;
        drop(reader);
        if let Some(kept) = self.kept.take()
            && let Some(ingest) = kept.lock().take()
        {
            ingest.commit(proof)?;
        }
        Ok(())
    }
}

/// How the layer is compressed, as the codecs call it.
pub fn format(layer: &Layer) -> Format {
    format_of(layer.kind.compression)
}

/// The same of what a media type says.
pub(crate) fn format_of(compression: LayerCompression) -> Format {
    match compression {
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
