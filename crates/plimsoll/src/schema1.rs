//! Images of Docker schema 1, seen as OCI images that are made in memory.
//!
//! At first only what stands in the manifest is known ([`Image::open`]): how
//! the image is started, how it came about, which blobs its layers are. For
//! its diff_ids the layers are inflated once ([`Image::complete`]); then config
//! and manifest are those that `convert` writes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use plimsoll_content::{
    Algorithm, Code, Descriptor, Digest, Document, Error, Hasher, Result, Source, Watch,
};
use plimsoll_layer::Limits;
use plimsoll_layer::codec::{Decoder, Format};
use plimsoll_spec::docker::Schema1;
use plimsoll_spec::docker::schema1::Part;
use plimsoll_spec::{LayerCompression, LayerType, Manifest, media_type};

use crate::image::Image;
use crate::transfer::Watched;

/// What a schema 1 image is made of.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The manifest, without signatures.
    pub manifest: Document<Schema1>,
    /// Its steps, from the bottom up.
    pub parts: Vec<Part>,
}

/// The image as far as its manifest tells: without diff_ids.
pub(crate) fn image(
    source: &dyn Source,
    descriptor: Descriptor,
    manifest: Document<Schema1>,
) -> Result<Image> {
    let doing = || format!("reading image {}", descriptor.digest);
    let parts = manifest.parts(&source.limits()).map_err(|error| error.context(doing()))?;
    let mut layers = Vec::new();
    for part in parts.iter().filter(|part| !part.image.throwaway) {
        layers.push(layer(source, &part.blob)?);
    }
    let chain = Arc::new(Chain { manifest, parts });
    made(descriptor, chain, layers, Vec::new())
}

/// The error of those who would have to write a schema 1 image.
pub(crate) fn refused(doing: String) -> Error {
    Error::new(Code::Unrepresentable, doing)
        .found("a Docker schema 1 manifest, which is read and never written")
        .expected("an OCI or Docker schema 2 image")
        .fix("plimsoll convert SRC DST   makes an OCI image of it")
}

impl Image {
    /// Refuses an image that would have to be converted for this.
    pub(crate) fn written(&self, doing: impl FnOnce() -> String) -> Result<()> {
        if self.schema1.is_some() { Err(refused(doing())) } else { Ok(()) }
    }

    /// The image with all that is known about its layers. Only those of
    /// schema 1 miss something: their layers are read, proved and inflated,
    /// for their diff_ids.
    pub fn complete(
        &self,
        source: &dyn Source,
        limits: &Limits,
        watch: &dyn Watch,
    ) -> Result<Cow<'_, Self>> {
        let Some(chain) = &self.schema1 else { return Ok(Cow::Borrowed(self)) };
        let layers = &self.manifest.layers;
        if self.config.rootfs.diff_ids.len() == layers.len() {
            return Ok(Cow::Borrowed(self));
        }
        let mut known = BTreeMap::new();
        let mut diff_ids = Vec::new();
        for (position, layer) in layers.iter().enumerate() {
            let diff_id = match known.get(&layer.digest) {
                Some(diff_id) => Digest::clone(diff_id),
                None => inflated(source, layer, limits, watch).map_err(|error| {
                    error.context(format!("reading layer {}, {}", position + 1, layer.digest))
                })?,
            };
            known.insert(layer.digest.clone(), diff_id.clone());
            diff_ids.push(diff_id);
        }
        made(self.descriptor.clone(), Arc::clone(chain), layers.clone(), diff_ids).map(Cow::Owned)
    }
}

fn made(
    descriptor: Descriptor,
    chain: Arc<Chain>,
    layers: Vec<Descriptor>,
    diff_ids: Vec<Digest>,
) -> Result<Image> {
    let config = Document::new(chain.manifest.config(&chain.parts, diff_ids)?)?;
    let named = config.descriptor(media_type::CONFIG, Algorithm::Sha256);
    let manifest = Document::new(Manifest::new(named, layers))?;
    Ok(Image { descriptor, manifest, config, schema1: Some(chain) })
}

/// The descriptor of a layer of which only the digest is said. One that is
/// not there has no size.
pub(crate) fn layer(source: &dyn Source, digest: &Digest) -> Result<Descriptor> {
    let gzip = LayerType::name(LayerCompression::Gzip);
    let Some(size) = source.length(digest)? else {
        return Ok(Descriptor::new(gzip, digest.clone(), 0));
    };
    let mut layer = Descriptor::new(gzip, digest.clone(), size);
    let mut start = Vec::new();
    source
        .fetch(&layer, 0)?
        .without_proof()
        .take(512)
        .read_to_end(&mut start)
        .map_err(|cause| Error::io("reading blob", digest, cause))?;
    layer.media_type = LayerType::name(match Format::detect(&start) {
        Ok(Format::Tar) => LayerCompression::None,
        Ok(Format::Zstd) => LayerCompression::Zstd,
        // What it is not, its reader says.
        Ok(Format::Gzip) | Err(_) => LayerCompression::Gzip,
    });
    Ok(layer)
}

/// The diff_id of a layer, proved by its digest.
fn inflated(
    source: &dyn Source,
    layer: &Descriptor,
    limits: &Limits,
    watch: &dyn Watch,
) -> Result<Digest> {
    watch.begin(&format!("reading {}", layer.digest.short()), Some(layer.size));
    let mut reader = source.open(layer)?;
    let format = LayerType::of(&layer.media_type)
        .map_or(Format::Gzip, |kind| crate::unpack::format_of(kind.compression));
    let mut hashed = || {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut decoder = Decoder::new(format, Watched::new(&mut reader, watch), limits)?;
        io::copy(&mut decoder, &mut hasher)
            .map_err(|cause| Error::io("reading", "a layer", cause))?;
        decoder.finish()?;
        Ok(hasher.finish())
    };
    let diff_id = hashed();
    // Digest and size first: they explain a broken stream.
    let (_proof, _) = reader.finish()?;
    watch.end(&format!("read {}", layer.digest));
    diff_id
}
