//! The documents of an image that is converted: manifests of images and of
//! artifacts, and what else an index may list. Indexes are in `index`.

use plimsoll_content::{Code, Descriptor, Document, Error, Result, View};
use plimsoll_layer::codec::Compression;
use plimsoll_spec::graph::Node;
use plimsoll_spec::{Manifest, media_type};
use serde_json::{Map, Value};

use super::family::bare;
use super::index::is_attached;
use super::layers::{self, Made};
use super::{Converter, Family};
use crate::draft::{Draft, kept, parse};
use crate::edit::array;
use crate::image::{self, Image};

impl Converter<'_> {
    /// Converts what a descriptor points at, and gives the one that points at
    /// what came of it.
    pub(super) fn node(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Descriptor> {
        if depth > self.source.limits().index_depth {
            return Err(Error::new(Code::Limit, format!("converting {}", descriptor.digest))
                .found("more nested indexes than are ever sensible"));
        }
        let key = (descriptor.digest.clone(), descriptor.media_type.clone());
        if let Some(new) = self.documents.get(&key) {
            return Ok(new.clone());
        }
        let new = match image::node(self.source, descriptor)? {
            Node::Index(index) => self.index(descriptor, &index, depth)?,
            Node::Manifest(manifest) if is_image(&manifest) => self.image(descriptor)?,
            // It becomes an OCI image in memory, and goes on from there.
            Node::Schema1(_) => self.image(descriptor)?,
            Node::Manifest(manifest) => self.artifact(descriptor, &manifest)?,
            Node::Opaque if depth > 0 => self.opaque(descriptor)?,
            Node::Opaque => {
                return Err(Error::new(
                    Code::MediaType,
                    format!("converting {}", descriptor.digest),
                )
                .found(format!("media type {:?}", descriptor.media_type.as_str()))
                .expected("an image manifest or an index"));
            }
        };
        self.documents.insert(key, new.clone());
        Ok(new)
    }

    fn image(&mut self, descriptor: &Descriptor) -> Result<Descriptor> {
        let image = Image::open(self.source, descriptor, None)?;
        let image = image.complete(self.source, &self.options.limits, self.watch)?;
        let from = Family::of(&descriptor.media_type);
        let to = self.options.family.unwrap_or(from);
        let (layers, diff_ids) = (&image.manifest.layers, &image.config.rootfs.diff_ids);
        let changes = self.options.compression.is_some() || self.options.algorithm.is_some();
        if changes && layers.len() != diff_ids.len() {
            return Err(Error::new(Code::Malformed, format!("converting {}", descriptor.digest))
                .found(format!("{} layers and {} diff_ids", layers.len(), diff_ids.len()))
                .expected("as many: the content of a layer is proved by its diff_id"));
        }
        let mut draft = Draft::of(&image)?;
        let (mut told, mut lost) = (Vec::new(), Vec::new());
        let joining = match &mut self.squash {
            // What is attached to an image looks like one and has no tree.
            Some(squash) if !is_attached(descriptor) => squash
                .keep(&image, descriptor.platform.as_ref())?
                .map(|keep| (keep, squash.options)),
            _ => None,
        };
        if let Some((keep, options)) = joining {
            if to == Family::Docker && matches!(options.compression, Compression::Zstd { .. }) {
                return Err(layers::no_zstd());
            }
            told = self.join(&image, &mut draft, keep, options)?;
        } else {
            for (position, layer) in layers.iter().enumerate() {
                let diff_id = diff_ids.get(position);
                let encode = self.encoding(layer, diff_id, from, to)?;
                let made = self
                    .layer(layer, diff_id, encode)
                    .map_err(|error| error.context(format!("converting layer {}", position + 1)))?;
                lost.extend(layers::replace(&mut draft, position, &made)?);
                told.push(one(layer, &made));
            }
        }
        if let Some(family) = self.options.family {
            lost.extend(draft.convert(family)?);
        }
        if self.target.docker().is_some() {
            lost.extend(bare(draft.manifest_mut()));
        }
        if let Some(algorithm) = self.options.algorithm {
            draft = draft.rehashed(algorithm);
        }
        for (layer, media_type) in told.iter_mut().zip(draft.layer_types()) {
            layer.media_type = media_type;
        }
        let new = draft.write(self.target.sink())?;
        self.lose(descriptor, lost);
        self.told(descriptor, &new, told);
        Ok(new)
    }

    /// A manifest of something that is no image: its blobs stay what they are.
    fn artifact(
        &mut self,
        descriptor: &Descriptor,
        manifest: &Document<Manifest>,
    ) -> Result<Descriptor> {
        let family = self.options.family.unwrap_or(Family::of(&descriptor.media_type));
        if family == Family::Docker && Family::of(&descriptor.media_type) == Family::Oci {
            return Err(Error::new(
                Code::Unrepresentable,
                format!("converting {} to Docker's form", descriptor.digest),
            )
            .found(format!("an artifact of kind {:?}", manifest.kind().as_str()))
            .expected("an image: Docker's form has nothing else")
            .fix("--platform OS/ARCH   takes images out of an index"));
        }
        let mut value = parse(manifest.bytes())?;
        let made = self.layer(&manifest.config, None, None)?;
        if let Some(config) = value.get_mut("config") {
            layers::blob(config, &made)?;
        }
        let mut told = Vec::new();
        for (position, blob) in manifest.layers.iter().enumerate() {
            let made = self
                .layer(blob, None, None)
                .map_err(|error| error.context(format!("bringing blob {}", position + 1)))?;
            if let Some(member) = array(&mut value, "layers")?.get_mut(position) {
                layers::blob(member, &made)?;
            }
            told.push(one(blob, &made));
        }
        if let Some(family) = self.options.family {
            family.manifest(&mut value, &descriptor.media_type)?;
        }
        let new = self.write(descriptor, manifest, &value, family)?;
        self.told(descriptor, &new, told);
        Ok(new)
    }

    /// Something of a kind that nobody here knows, in an index.
    fn opaque(&mut self, descriptor: &Descriptor) -> Result<Descriptor> {
        if self.options.family == Some(Family::Docker) {
            return Err(Error::new(
                Code::Unrepresentable,
                format!("converting {} to Docker's form", descriptor.digest),
            )
            .found(format!("an entry of media type {:?}", descriptor.media_type.as_str()))
            .expected("images")
            .fix("--platform OS/ARCH   takes images out of an index"));
        }
        Ok(self.layer(descriptor, None, None)?.blob)
    }

    /// Writes a document, which keeps its bytes if it says nothing else.
    pub(super) fn write<T: View + Clone>(
        &self,
        old: &Descriptor,
        before: &Document<T>,
        value: &Map<String, Value>,
        family: Family,
    ) -> Result<Descriptor> {
        let document = kept(Some(before), value)?;
        let algorithm = self.algorithm(&old.digest)?;
        let new = document.descriptor(family.name(&old.media_type), algorithm);
        self.target.sink().write(&new, document.bytes())?;
        Ok(new)
    }

    pub(super) fn told(&mut self, old: &Descriptor, new: &Descriptor, layers: Vec<super::Layer>) {
        self.report.manifests.push(super::Manifest {
            from: old.digest.clone(),
            digest: new.digest.clone(),
            media_type: new.media_type.to_string(),
            platform: new.platform.as_ref().map(ToString::to_string),
            layers,
        });
    }
}

fn is_image(manifest: &Manifest) -> bool {
    [media_type::CONFIG, media_type::DOCKER_CONFIG].contains(&manifest.config.media_type)
}

fn one(old: &Descriptor, made: &Made) -> super::Layer {
    super::Layer {
        from: vec![old.digest.clone()],
        digest: made.blob.digest.clone(),
        diff_id: made.diff_id.clone(),
        size: made.blob.size,
        media_type: made.blob.media_type.to_string(),
        state: made.how,
    }
}
