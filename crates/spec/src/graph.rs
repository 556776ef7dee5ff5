//! Documents and what they point at.

use std::fmt;

use plimsoll_content::limits::Limits;
use plimsoll_content::{Code, Descriptor, Document, Error, MediaType, Result, json};
use serde_json::Value;

use crate::docker::schema1::{self, Schema1, is_schema1};
use crate::media_type;
use crate::{Index, Manifest};

/// A document of the graph, by what its descriptor says it is. The list is
/// complete: what is none of three is opaque.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one node is alive at a time, on the stack")]
pub enum Node {
    /// An index or manifest list.
    Index(Document<Index>),
    /// A manifest.
    Manifest(Document<Manifest>),
    /// A Docker schema 1 manifest. The bytes are those that its digest is
    /// about: without signatures.
    Schema1(Document<Schema1>),
    /// A blob, or something whose meaning is unknown: no error, and nothing to follow
    /// (IX12, LA17).
    Opaque,
}

/// What a descriptor is to the document that holds it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Role {
    /// An entry of an index.
    Manifest,
    /// The config of a manifest.
    Config,
    /// A layer of a manifest.
    Layer,
}

impl Role {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Config => "config",
            Self::Layer => "layer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Node {
    /// Whether content of that type is a document that can be parsed here.
    pub fn is_document(media_type: &MediaType) -> bool {
        is_index(media_type) || is_manifest(media_type) || is_schema1(media_type)
    }

    /// Parses proved `bytes` as what `descriptor` says they are.
    ///
    /// A document that says of itself to be something else, or that could be
    /// both a manifest and an index, is refused (MA5, hostile cases GR01,
    /// GR02, DG12).
    pub fn parse(descriptor: &Descriptor, bytes: Vec<u8>) -> Result<Self> {
        Self::parse_within(descriptor, bytes, &Limits::default())
    }

    /// The same within other budgets than the default ones.
    pub fn parse_within(descriptor: &Descriptor, bytes: Vec<u8>, limits: &Limits) -> Result<Self> {
        let said = &descriptor.media_type;
        if is_index(said) {
            let index = Document::<Index>::parse_within(bytes, limits)?;
            agree(said, index.media_type.as_ref())?;
            return Ok(Self::Index(index));
        }
        if is_manifest(said) {
            let manifest = Document::<Manifest>::parse_within(bytes, limits)?;
            agree(said, manifest.media_type.as_ref())?;
            return Ok(Self::Manifest(manifest));
        }
        if is_schema1(said) {
            let bytes = schema1::payload(&bytes, limits)?.unwrap_or(bytes);
            return Ok(Self::Schema1(Document::parse_within(bytes, limits)?));
        }
        Ok(Self::Opaque)
    }

    /// Everything the document points at, in order; the subject, a weak
    /// link, is not among it ([`Node::subject`]), nor are the layers of schema 1,
    /// which have no descriptors ([`Schema1::blobs`]).
    pub fn successors(&self) -> Vec<(Role, &Descriptor)> {
        match self {
            Self::Index(index) => {
                index.manifests.iter().map(|entry| (Role::Manifest, entry)).collect()
            }
            Self::Manifest(manifest) => std::iter::once((Role::Config, &manifest.config))
                .chain(manifest.layers.iter().map(|layer| (Role::Layer, layer)))
                .collect(),
            Self::Schema1(_) | Self::Opaque => Vec::new(),
        }
    }

    /// The manifest that the document is about.
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Index(index) => index.subject.as_ref(),
            Self::Manifest(manifest) => manifest.subject.as_ref(),
            Self::Schema1(_) | Self::Opaque => None,
        }
    }
}

/// What a document without a descriptor is: what it says of itself, or else
/// what its members make it.
pub fn said_type(bytes: &[u8], limits: &Limits) -> Result<MediaType> {
    json::check_within("a manifest", bytes, limits.json_depth)?;
    let value: Value = serde_json::from_slice(bytes).map_err(|cause| {
        Error::new(Code::Malformed, "reading a manifest").found(&cause).cause(cause)
    })?;
    if let Some(old) = schema1::media_type_of(&value) {
        return Ok(old);
    }
    let said = value.get("mediaType").and_then(Value::as_str);
    match said {
        Some(said) => Ok(MediaType::from(said)),
        None if value.get("manifests").is_some() => Ok(media_type::INDEX),
        None if value.get("config").is_some() => Ok(media_type::MANIFEST),
        None => Err(Error::new(Code::MediaType, "telling what a manifest is")
            .found("neither mediaType, config nor manifests")
            .expected("an image manifest or index")),
    }
}

fn is_index(media_type: &MediaType) -> bool {
    [media_type::INDEX, media_type::DOCKER_MANIFEST_LIST].contains(media_type)
}

fn is_manifest(media_type: &MediaType) -> bool {
    [media_type::MANIFEST, media_type::DOCKER_MANIFEST].contains(media_type)
}

fn agree(said: &MediaType, itself: Option<&MediaType>) -> Result<()> {
    match itself {
        Some(itself) if itself != said => Err(Error::new(Code::Malformed, "reading a document")
            .found(format!("mediaType {:?} in the document", itself.as_str()))
            .expected(format!("{:?}, as its descriptor says", said.as_str()))),
        _ => Ok(()),
    }
}
