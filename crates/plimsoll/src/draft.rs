//! An image that is being changed: the JSON of its manifest and config as
//! they were, and what is done to them.
//!
//! What is not changed stays: a config that comes out as it went in keeps its
//! bytes and digest, an image likewise. What is changed becomes a new
//! document in canonical form, with every member that is unknown here.

use std::collections::BTreeMap;

use plimsoll_content::{
    Algorithm, Annotations, Descriptor, Digest, Document, Error, MediaType, Platform, Result, Sink,
    View, json,
};
use plimsoll_content::{Code, Source, Watch};
use plimsoll_spec::graph::Node;
use plimsoll_spec::{Config, History, Index, Manifest, media_type, select};
use serde_json::{Map, Value};

use crate::convert::Family;
use crate::edit::{Edit, array, object};
use crate::image::{self, Image};
use crate::{schema1, transfer};

/// An image that is being changed.
#[derive(Clone, Debug)]
pub struct Draft {
    manifest: Map<String, Value>,
    config: Map<String, Value>,
    config_type: MediaType,
    manifest_type: MediaType,
    algorithms: (Algorithm, Algorithm),
    before: Option<Image>,
}

impl Draft {
    /// An empty OCI image.
    pub fn new(platform: &Platform) -> Result<Self> {
        let config = to_object(&Config::new(platform))?;
        let empty = Descriptor::of(media_type::CONFIG, Algorithm::Sha256, b"{}");
        let manifest = to_object(&Manifest::new(empty, Vec::new()))?;
        Ok(Self {
            manifest,
            config,
            config_type: media_type::CONFIG,
            manifest_type: media_type::MANIFEST,
            algorithms: (Algorithm::Sha256, Algorithm::Sha256),
            before: None,
        })
    }

    /// An image as it is.
    ///
    /// Errors with [`Code::Unrepresentable`] for one of Docker schema 1 that is
    /// not [complete](Image::complete).
    pub fn of(image: &Image) -> Result<Self> {
        if image.manifest.layers.len() != image.config.rootfs.diff_ids.len() {
            image.written(|| format!("changing {}", image.descriptor.digest))?;
        }
        let algorithm = |digest: &Digest| digest.computable("a changed document");
        Ok(Self {
            manifest: parse(image.manifest.bytes())?,
            config: parse(image.config.bytes())?,
            config_type: image.manifest.config.media_type.clone(),
            manifest_type: match &image.schema1 {
                None => image.descriptor.media_type.clone(),
                Some(_) => media_type::MANIFEST,
            },
            algorithms: (
                algorithm(&image.manifest.config.digest)?,
                algorithm(&image.descriptor.digest)?,
            ),
            before: Some(image.clone()),
        })
    }

    /// Makes an OCI image of it, and no longer one about another image.
    pub fn into_oci(mut self) -> Result<Self> {
        self.manifest.remove("subject");
        self.manifest.insert("mediaType".to_owned(), Value::from(media_type::MANIFEST.as_str()));
        self.convert(Family::Oci)?;
        Ok(self.rehashed(Algorithm::Sha256))
    }

    /// Makes an image of that family of it. Gives what is lost by that.
    ///
    /// Errors with [`Code::Unrepresentable`] if that has no such layers.
    pub fn convert(&mut self, family: Family) -> Result<Vec<String>> {
        let lost = family.manifest(&mut self.manifest, &self.manifest_type)?;
        self.manifest_type = family.name(&self.manifest_type);
        self.config_type = family.name(&self.config_type);
        Ok(lost)
    }

    /// The same with documents of that algorithm.
    #[must_use]
    pub fn rehashed(self, algorithm: Algorithm) -> Self {
        Self { algorithms: (algorithm, algorithm), ..self }
    }

    /// Whose documents they are.
    pub fn family(&self) -> Family {
        Family::of(&self.manifest_type)
    }

    /// The algorithm of the digest that its manifest has.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithms.1
    }

    /// Changes the config.
    pub fn edit(&mut self, edit: &Edit) -> Result<()> {
        edit.apply(&mut self.config)
    }

    /// Changes the annotations of the manifest.
    pub fn annotate(&mut self, edit: &Edit, annotations: &Annotations) -> Result<()> {
        edit.annotate(&mut self.manifest, annotations)
    }

    /// Puts a layer on top. The history tells of it if it tells of all layers
    /// below.
    pub fn push(&mut self, layer: &Descriptor, diff_id: &Digest, step: &History) -> Result<()> {
        let mut layer = serde_json::to_value(layer).map_err(bug)?;
        self.family().adopt(&mut layer)?;
        array(&mut self.manifest, "layers")?.push(layer);
        let ids = array(object(&mut self.config, "rootfs")?, "diff_ids")?;
        let below = ids.len();
        ids.push(Value::from(diff_id.to_string()));
        let told = match self.config.get("history") {
            Some(Value::Array(steps)) => steps.iter().filter(|step| !is_empty_layer(step)).count(),
            _ => 0,
        };
        if told == below {
            let step = serde_json::to_value(step).map_err(bug)?;
            array(&mut self.config, "history")?.push(step);
        }
        Ok(())
    }

    /// What its layers are, by their media types.
    pub(crate) fn layer_types(&self) -> Vec<String> {
        let layers = self.manifest.get("layers").and_then(Value::as_array);
        let said =
            |layer: &Value| layer.get("mediaType").and_then(Value::as_str).map(str::to_owned);
        layers.into_iter().flatten().map(|layer| said(layer).unwrap_or_default()).collect()
    }

    /// The JSON of the config.
    pub(crate) fn config_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.config
    }

    /// The JSON of the manifest.
    pub(crate) fn manifest_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.manifest
    }

    /// Writes both documents, and gives the descriptor of the manifest with
    /// its platform.
    pub fn write(mut self, sink: &dyn Sink) -> Result<Descriptor> {
        let before = self.before.as_ref();
        let config = kept::<Config>(before.map(|image| &image.config), &self.config)?;
        let descriptor = config.descriptor(self.config_type.clone(), self.algorithms.0);
        sink.write(&descriptor, config.bytes())?;
        let member = object(&mut self.manifest, "config")?;
        let new = [
            ("digest", Value::from(descriptor.digest.to_string())),
            ("size", Value::from(descriptor.size)),
            ("mediaType", Value::from(descriptor.media_type.as_str())),
        ];
        if member.get("digest") != Some(&new[0].1) {
            // The old one, embedded.
            member.remove("data");
        }
        for (name, value) in new {
            member.insert(name.to_owned(), value);
        }
        let before = self.before.as_ref();
        let manifest = kept::<Manifest>(before.map(|image| &image.manifest), &self.manifest)?;
        let mut descriptor = manifest.descriptor(self.manifest_type, self.algorithms.1);
        sink.write(&descriptor, manifest.bytes())?;
        descriptor.platform = Some(config.platform());
        Ok(descriptor)
    }
}

/// An image that was changed.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The digest of its manifest before.
    pub from: Digest,
    /// The digest of its manifest now.
    pub digest: Digest,
    /// What it runs on.
    pub platform: String,
}

/// What happens to each image of a tree of indexes.
pub(crate) struct Rewrite<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) sink: &'a dyn Sink,
    /// Only the images for this one.
    pub(crate) platform: Option<&'a Platform>,
    /// What is done to one; its layers are in the sink already.
    pub(crate) change: &'a mut dyn FnMut(&Image) -> Result<Draft>,
    /// What is done to an index, if all images of it are meant.
    pub(crate) index: &'a dyn Fn(&mut Map<String, Value>) -> Result<()>,
    pub(crate) watch: &'a dyn Watch,
    pub(crate) changed: Vec<Changed>,
    /// What came of each document: indexes may lead to one in very many ways
    /// (hostile case GR05).
    pub(crate) done: BTreeMap<Digest, Descriptor>,
}

impl Rewrite<'_> {
    /// Changes everything that `root` leads to, and gives the new root.
    pub(crate) fn run(&mut self, root: &Descriptor) -> Result<Descriptor> {
        let new = self.node(root, 0)?;
        if self.changed.is_empty() {
            return Err(Error::new(Code::Platform, format!("changing {}", root.digest))
                .found(match self.platform {
                    Some(_) => "no image for that platform",
                    None => "no image in the index",
                })
                .expected(self.platform.map_or_else(|| "an image".to_owned(), ToString::to_string))
                .fix("plimsoll inspect REF   lists what there is"));
        }
        Ok(new)
    }

    fn node(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Descriptor> {
        if depth > self.source.limits().index_depth {
            return Err(Error::new(Code::Limit, format!("changing {}", descriptor.digest))
                .found("more nested indexes than are ever sensible"));
        }
        if let Some(new) = self.done.get(&descriptor.digest) {
            return Ok(new.clone());
        }
        match image::node(self.source, descriptor)? {
            Node::Index(index) => {
                let new = self.in_index(descriptor, &index, depth)?;
                self.done.insert(descriptor.digest.clone(), new.clone());
                Ok(new)
            }
            Node::Manifest(_) => {
                let image = Image::open(self.source, descriptor, self.platform)?;
                self.image(&image)
            }
            Node::Schema1(_) => Err(schema1::refused(format!("changing {}", descriptor.digest))),
            Node::Opaque => {
                Err(Error::new(Code::MediaType, format!("changing {}", descriptor.digest))
                    .found(format!("media type {:?}", descriptor.media_type.as_str()))
                    .expected("an image manifest or an index"))
            }
        }
    }

    fn image(&mut self, image: &Image) -> Result<Descriptor> {
        if let Some(new) = self.done.get(&image.descriptor.digest) {
            return Ok(new.clone());
        }
        transfer::layers(self.source, self.sink, &image.manifest.layers, self.watch)?;
        let new = (self.change)(image)?.write(self.sink)?;
        self.changed.push(Changed {
            from: image.descriptor.digest.clone(),
            digest: new.digest.clone(),
            platform: new.platform.as_ref().map(ToString::to_string).unwrap_or_default(),
        });
        self.done.insert(image.descriptor.digest.clone(), new.clone());
        Ok(new)
    }

    fn in_index(
        &mut self,
        descriptor: &Descriptor,
        index: &Document<Index>,
        depth: usize,
    ) -> Result<Descriptor> {
        let mut value = parse(index.bytes())?;
        for (position, entry) in index.manifests.iter().enumerate() {
            let new = match self.meant(entry)? {
                Meant::Index => self.node(entry, depth + 1)?,
                Meant::Image(image) => {
                    let new = self.image(&image)?;
                    // What the entry says stays, unless the image says another
                    // thing now than it did.
                    let same = new.platform.as_ref() == Some(&image.platform());
                    Descriptor { platform: new.platform.filter(|_| !same), ..new }
                }
                Meant::Other => {
                    transfer::all(self.source, self.sink, entry, self.watch)?;
                    continue;
                }
            };
            let Some(Value::Object(member)) = array(&mut value, "manifests")?.get_mut(position)
            else {
                continue;
            };
            update(member, entry, &new)?;
        }
        if self.platform.is_none() {
            (self.index)(&mut value)?;
        }
        let new = kept::<Index>(Some(index), &value)?;
        let algorithm = descriptor.digest.computable("a changed index")?;
        let new_descriptor = new.descriptor(descriptor.media_type.clone(), algorithm);
        self.sink.write(&new_descriptor, new.bytes())?;
        Ok(new_descriptor)
    }

    /// What an entry is to this change.
    fn meant(&self, entry: &Descriptor) -> Result<Meant> {
        match image::node(self.source, entry) {
            Ok(Node::Index(_)) => return Ok(Meant::Index),
            Ok(Node::Manifest(_)) => {}
            Ok(Node::Schema1(_) | Node::Opaque) => return Ok(Meant::Other),
            Err(error) if error.code() == Code::NotFound => return Ok(Meant::Other),
            Err(error) => return Err(error),
        }
        // What builders attach to an image looks like one: its layers are not
        // those of a root filesystem.
        if entry.annotations.contains_key("vnd.docker.reference.type") {
            self.watch.warn(&format!(
                "{} is about the image as it was before, and stays as it is",
                entry.digest
            ));
            return Ok(Meant::Other);
        }
        let image = match Image::open(self.source, entry, None) {
            Ok(image) => image,
            Err(error) if error.code() == Code::MediaType => return Ok(Meant::Other),
            Err(error) => return Err(error),
        };
        let said = entry.platform.clone().unwrap_or_else(|| image.platform());
        if self.platform.is_some_and(|wanted| !select::matches(wanted, &said)) {
            return Ok(Meant::Other);
        }
        Ok(Meant::Image(Box::new(image)))
    }
}

enum Meant {
    Index,
    Image(Box<Image>),
    Other,
}

/// Lets an entry of an index point at the new content. Its platform changes
/// only if that of the image did.
pub(crate) fn update(
    member: &mut Map<String, Value>,
    old: &Descriptor,
    new: &Descriptor,
) -> Result<()> {
    if old.digest == new.digest {
        return Ok(());
    }
    member.remove("data");
    member.insert("digest".to_owned(), Value::from(new.digest.to_string()));
    member.insert("size".to_owned(), Value::from(new.size));
    if let (Some(said), Some(now)) = (&old.platform, &new.platform)
        && (&said.os, &said.architecture, &said.variant)
            != (&now.os, &now.architecture, &now.variant)
    {
        let platform = object(member, "platform")?;
        platform.insert("os".to_owned(), Value::from(now.os.clone()));
        platform.insert("architecture".to_owned(), Value::from(now.architecture.clone()));
        platform.remove("variant");
        if let Some(variant) = &now.variant {
            platform.insert("variant".to_owned(), Value::from(variant.clone()));
        }
    }
    Ok(())
}

/// The bytes of a document as a JSON object.
pub(crate) fn parse(bytes: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(bytes).map_err(|cause| {
        Error::new(Code::Malformed, "reading a document").found(&cause).cause(cause)
    })
}

/// A document out of a JSON object: the one that was there before, byte for
/// byte, if it says nothing else.
pub(crate) fn kept<T: View + Clone>(
    before: Option<&Document<T>>,
    value: &Map<String, Value>,
) -> Result<Document<T>> {
    match before {
        Some(before) if parse(before.bytes())? == *value => Ok(before.clone()),
        _ => document(value),
    }
}

/// A document out of a JSON object, in canonical form.
pub(crate) fn document<T: View>(value: &Map<String, Value>) -> Result<Document<T>> {
    Document::parse(json::canonical(value)?)
}

fn to_object(view: &impl serde::Serialize) -> Result<Map<String, Value>> {
    match serde_json::to_value(view).map_err(bug)? {
        Value::Object(members) => Ok(members),
        _ => Err(Error::new(Code::Bug, "writing a document").found("no object")),
    }
}

fn bug(cause: serde_json::Error) -> Error {
    Error::new(Code::Bug, "writing a document").found(&cause).cause(cause)
}

/// Whether a step of the history made no layer.
pub(crate) fn is_empty_layer(step: &Value) -> bool {
    step.get("empty_layer").and_then(Value::as_bool).unwrap_or(false)
}
