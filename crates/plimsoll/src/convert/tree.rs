//! The documents of an image that is converted: indexes, manifests, and what
//! else an index may list.

use std::collections::BTreeMap;

use plimsoll_content::{Code, Descriptor, Digest, Document, Error, Result, View};
use plimsoll_spec::graph::Node;
use plimsoll_spec::{Index, Manifest, media_type};
use serde_json::{Map, Value};

use super::family::bare;
use super::layers::{self, Made};
use super::{Converter, Family};
use crate::draft::{Draft, kept, parse, update};
use crate::edit::array;
use crate::image::{self, Image};

/// What builders say of what they attach to an image inside of its index: what
/// it is, and the digest of the image.
const ATTACHED: &str = "vnd.docker.reference.type";
const ATTACHED_TO: &str = "vnd.docker.reference.digest";

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
        self.options.check_layers(to)?;
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
            told = self.join(&image, &mut draft, keep, options)?;
        } else {
            for (position, layer) in layers.iter().enumerate() {
                let diff_id = diff_ids.get(position);
                let encode = self.encoding(layer, diff_id, from, to);
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

    fn index(
        &mut self,
        descriptor: &Descriptor,
        index: &Document<Index>,
        depth: usize,
    ) -> Result<Descriptor> {
        let family = self.options.family.unwrap_or(Family::of(&descriptor.media_type));
        let crossing = family != Family::of(&descriptor.media_type);
        let to_docker = crossing && family == Family::Docker;
        if to_docker && depth > 0 {
            self.warn(format!(
                "{} becomes a list in a list, which Docker's own tools do not follow",
                descriptor.digest
            ));
        }
        let mut value = parse(index.bytes())?;
        let mut new: Vec<Option<Descriptor>> = vec![None; index.manifests.len()];
        let mut of: BTreeMap<Digest, Digest> = BTreeMap::new();
        for (position, entry) in index.manifests.iter().enumerate() {
            if is_attached(entry) || !self.is_meant(entry, depth + 1)? {
                continue;
            }
            let made = self
                .node(entry, depth + 1)
                .map_err(|error| error.context(format!("converting entry {}", position + 1)))?;
            of.insert(entry.digest.clone(), made.digest.clone());
            new[position] = Some(made);
        }
        let mut lost = family.index(&mut value, &descriptor.media_type);
        for (position, entry) in index.manifests.iter().enumerate() {
            let about = entry.annotations.get(ATTACHED_TO).and_then(|text| text.parse().ok());
            let about = about.and_then(|old: Digest| of.get(&old).map(|new| (old, new)));
            if !is_attached(entry) || about.is_none() && self.only.is_some() {
                continue;
            }
            if to_docker {
                lost.push(format!("entry {}: the attestation {}", position + 1, entry.digest));
                continue;
            }
            let made = self.node(entry, depth + 1)?;
            let Some(Value::Object(member)) = array(&mut value, "manifests")?.get_mut(position)
            else {
                continue;
            };
            match about {
                Some((old, now)) if old != *now => {
                    self.warn(format!(
                        "the attestation {} goes along with {now}; what it states, it states of {old}",
                        entry.digest
                    ));
                    if let Some(annotations) = member.get_mut("annotations") {
                        annotations[ATTACHED_TO] = Value::from(now.to_string());
                    }
                }
                Some(_) => {}
                None => self.warn(format!(
                    "the attestation {} is about nothing in its index",
                    entry.digest
                )),
            }
            new[position] = Some(made);
        }
        let entries = std::mem::take(array(&mut value, "manifests")?);
        let mut kept_entries = Vec::new();
        for (position, mut member) in entries.into_iter().enumerate() {
            let (Some(entry), Some(Some(new))) = (index.manifests.get(position), new.get(position))
            else {
                continue;
            };
            if let Value::Object(members) = &mut member {
                update(members, entry, new)?;
                members.insert("mediaType".to_owned(), Value::from(new.media_type.as_str()));
                if to_docker {
                    fill_platform(members, new)?;
                }
            }
            if crossing {
                lost.extend(family.entry(&mut member, position));
            }
            kept_entries.push(member);
        }
        *array(&mut value, "manifests")? = kept_entries;
        let new = self.write(descriptor, index, &value, family)?;
        self.lose(descriptor, lost);
        self.told(descriptor, &new, Vec::new());
        Ok(new)
    }

    /// Whether an entry is chosen, or leads to what is.
    fn is_meant(&self, entry: &Descriptor, depth: usize) -> Result<bool> {
        let Some(only) = &self.only else { return Ok(true) };
        if only.contains(&entry.digest) {
            return Ok(true);
        }
        if depth > self.source.limits().index_depth {
            return Ok(false);
        }
        match image::node(self.source, entry) {
            Ok(Node::Index(index)) => {
                for entry in &index.manifests {
                    if self.is_meant(entry, depth + 1)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Ok(_) => Ok(false),
            Err(error) if error.code() == Code::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes a document, which keeps its bytes if it says nothing else.
    fn write<T: View + Clone>(
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

    fn told(&mut self, old: &Descriptor, new: &Descriptor, layers: Vec<super::Layer>) {
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

fn is_attached(entry: &Descriptor) -> bool {
    entry.annotations.contains_key(ATTACHED)
}

/// Docker's lists say of each image what it runs on.
fn fill_platform(member: &mut Map<String, Value>, new: &Descriptor) -> Result<()> {
    if member.get("platform").is_none_or(Value::is_null)
        && let Some(platform) = &new.platform
    {
        let platform = serde_json::to_value(platform).map_err(|cause| {
            Error::new(Code::Bug, "writing a platform").found(&cause).cause(cause)
        })?;
        member.insert("platform".to_owned(), platform);
    }
    Ok(())
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
