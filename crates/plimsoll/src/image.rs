//! An image as a view: manifest and config, read and proved; layers when
//! they are asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use plimsoll_content::{Code, Descriptor, Digest, Document, Error, Platform, Result, Source};
use plimsoll_spec::graph::Node;
use plimsoll_spec::{Config, Index, LayerType, Manifest, media_type, select};
pub use plimsoll_store::document::node;

use crate::schema1::{self, Chain};

/// One image for one platform.
#[derive(Clone, Debug)]
pub struct Image {
    /// The descriptor of the manifest.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Document<Manifest>,
    /// The config.
    pub config: Document<Config>,
    /// What it is made of if it is one of Docker schema 1: manifest and config
    /// are then made here, and the source has neither.
    pub schema1: Option<Arc<Chain>>,
}

/// A layer: where it lies, what it is, and what it must inflate to.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The blob.
    pub descriptor: Descriptor,
    /// Compression and whether it may be distributed.
    pub kind: LayerType,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
}

/// What a platform was not chosen from, for messages.
const SHOWN: usize = 12;

impl Image {
    /// Reads the image that `root` stands for: itself, or, where it is an
    /// index, what that has for `platform`.
    ///
    /// Without `platform` it is this machine's; a manifest that is named
    /// directly is taken whatever it is for.
    pub fn open(
        source: &dyn Source,
        root: &Descriptor,
        platform: Option<&Platform>,
    ) -> Result<Self> {
        Search { source, platform, vain: BTreeSet::new() }.open(root, 0)
    }

    fn of(
        source: &dyn Source,
        descriptor: Descriptor,
        manifest: Document<Manifest>,
    ) -> Result<Self> {
        let kind = &manifest.config.media_type;
        if ![media_type::CONFIG, media_type::DOCKER_CONFIG].contains(kind) {
            return Err(Error::new(
                Code::MediaType,
                format!("opening image {}", descriptor.digest),
            )
            .found(format!("a config of media type {:?}", kind.as_str()))
            .expected("an image config: this is an artifact of another kind")
            .fix("plimsoll show REF manifest   prints it"));
        }
        let config = source.document::<Config>(&manifest.config)?;
        Ok(Self { descriptor, manifest, config, schema1: None })
    }

    /// What the image runs on, as its config says.
    pub fn platform(&self) -> Platform {
        self.config.platform()
    }

    /// The layers with their diff_ids, from the bottom up. They are paired by
    /// position, never by digest. Those of schema 1 are known after
    /// [`Image::complete`].
    pub fn layers(&self) -> Result<Vec<Layer>> {
        let doing = || format!("reading the layers of image {}", self.descriptor.digest);
        let diff_ids = &self.config.rootfs.diff_ids;
        if diff_ids.len() != self.manifest.layers.len() {
            return Err(Error::new(Code::Malformed, doing())
                .found(format!("{} diff_ids in the config", diff_ids.len()))
                .expected(format!(
                    "{}, one for each layer of the manifest",
                    self.manifest.layers.len()
                )));
        }
        if self.config.rootfs.kind != "layers" {
            return Err(Error::new(Code::Malformed, doing())
                .found(format!("rootfs.type {:?}", self.config.rootfs.kind))
                .expected("layers"));
        }
        self.manifest
            .layers
            .iter()
            .zip(diff_ids)
            .enumerate()
            .map(|(position, (descriptor, diff_id))| {
                let kind = LayerType::of(&descriptor.media_type).ok_or_else(|| {
                    Error::new(Code::MediaType, doing())
                        .found(format!(
                            "layer {} has media type {:?}",
                            position + 1,
                            descriptor.media_type.as_str()
                        ))
                        .expected("a tar layer, possibly with gzip or zstd")
                        .fix(format!("plimsoll show REF layer {}   prints its bytes", position + 1))
                })?;
                Ok(Layer { descriptor: descriptor.clone(), kind, diff_id: diff_id.clone() })
            })
            .collect()
    }
}

/// Looking for the image for a platform in a tree of indexes. Each is looked
/// into once, however many ways lead to it (hostile case GR05).
struct Search<'a> {
    source: &'a dyn Source,
    platform: Option<&'a Platform>,
    /// What was looked into in vain.
    vain: BTreeSet<Digest>,
}

impl Search<'_> {
    /// `depth` says how many indexes are around `root`.
    fn open(&mut self, root: &Descriptor, depth: usize) -> Result<Image> {
        let source = self.source;
        let mut descriptor = root.clone();
        let most = source.limits().index_depth;
        for depth in depth..=most {
            match node(source, &descriptor)? {
                Node::Index(index) => match self.chosen(&index, &descriptor, depth)? {
                    Chosen::Entry(entry) => descriptor = *entry,
                    Chosen::Image(image) => return Ok(*image),
                },
                node @ (Node::Manifest(_) | Node::Schema1(_)) => {
                    let image = match node {
                        Node::Manifest(manifest) => Image::of(source, descriptor, manifest)?,
                        Node::Schema1(old) => schema1::image(source, descriptor, old)?,
                        Node::Index(_) | Node::Opaque => continue,
                    };
                    // A manifest that was named directly is for whatever it is for,
                    // but what was asked for by name has to be what is there.
                    if let Some(wanted) = self.platform
                        && !select::matches(wanted, &image.platform())
                    {
                        return Err(no_platform(
                            &image.descriptor,
                            wanted,
                            &[image.platform().to_string()],
                        ));
                    }
                    return Ok(image);
                }
                Node::Opaque => {
                    return Err(Error::new(
                        Code::MediaType,
                        format!("opening image {}", descriptor.digest),
                    )
                    .found(format!("media type {:?}", descriptor.media_type.as_str()))
                    .expected("an image manifest or an index"));
                }
            }
        }
        Err(Error::new(Code::Limit, format!("opening image {}", root.digest))
            .found(format!("more than {most} nested indexes"))
            .expected("fewer"))
    }

    fn chosen(
        &mut self,
        index: &Document<Index>,
        descriptor: &Descriptor,
        depth: usize,
    ) -> Result<Chosen> {
        let host = Platform::host();
        let wanted = self.platform.unwrap_or(&host);
        if let Some(found) = select::select(index, wanted) {
            return Ok(Chosen::Entry(Box::new(found.clone())));
        }
        // An entry without a platform says nothing: its config does. A sole one
        // is taken, as all engines do.
        let unsaid: Vec<_> = index
            .manifests
            .iter()
            .filter(|entry| entry.platform.is_none() && Node::is_document(&entry.media_type))
            .collect();
        if let [only] = unsaid[..] {
            return Ok(Chosen::Entry(Box::new(only.clone())));
        }
        for entry in unsaid {
            if !self.vain.insert(entry.digest.clone()) {
                continue;
            }
            let mut inner = Search {
                source: self.source,
                platform: Some(wanted),
                vain: std::mem::take(&mut self.vain),
            };
            let found = inner.open(entry, depth + 1);
            self.vain = inner.vain;
            if let Ok(image) = found {
                return Ok(Chosen::Image(Box::new(image)));
            }
        }
        let mut there = select::platforms(index);
        there.truncate(SHOWN);
        Err(no_platform(descriptor, wanted, &there))
    }
}

/// What an index has for a platform.
enum Chosen {
    Entry(Box<Descriptor>),
    Image(Box<Image>),
}

fn no_platform(descriptor: &Descriptor, wanted: &Platform, there: &[String]) -> Error {
    let error = Error::new(Code::Platform, format!("choosing a platform of {}", descriptor.digest))
        .found(if there.is_empty() { "none".to_owned() } else { there.join(", ") })
        .expected(wanted);
    match there.first() {
        Some(other) => error.fix(format!("--platform {other}   takes another one")),
        None => error,
    }
}
