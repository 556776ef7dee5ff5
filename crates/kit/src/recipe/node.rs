//! The parts of an image in a recipe, and the bytes they become.

use plimsoll_content::{Algorithm, Code, Digest, Error, Result};
use plimsoll_layer::codec::{Compression, Encoder};
use serde::Deserialize;
use serde_json::Value;

use super::tar::{self, Entry};

/// One part: a document, a layer, or any bytes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Node {
    /// JSON with references to other parts in it.
    pub(crate) document: Option<Value>,
    /// The entries of a layer.
    pub(crate) layer: Option<Vec<Entry>>,
    /// Any bytes.
    pub(crate) bytes: Option<Value>,
    pub(crate) media_type: Option<String>,
    algorithm: Option<String>,
    compression: Option<String>,
    /// Whether blanks make the document readable.
    pub(crate) pretty: bool,
    /// Bytes in front of the document.
    before: Value,
    /// Whether the layer has the blocks that end an archive.
    end: Option<bool>,
    /// What is done to the bytes before they get their address.
    damage: Vec<Damage>,
    /// Whether the bytes lie in the layout.
    stored: Option<bool>,
    /// What is done to the bytes afterwards, so that the address is wrong.
    lie: Vec<Damage>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
enum Damage {
    /// Bytes at the end.
    Append(Value),
    /// How many bytes are taken from the end.
    Cut(usize),
    /// Which byte has all its bits turned; from the end if negative.
    Flip(i64),
    /// Other bytes instead.
    Replace(Value),
}

/// What a part became.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    /// As its address says.
    pub(crate) bytes: Vec<u8>,
    /// As it lies in the layout, if it does.
    pub(crate) stored: Option<Vec<u8>>,
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    /// The digest of the layer as a plain archive.
    pub(crate) diff_id: Digest,
}

impl Node {
    /// A part of a base with what a case says about it.
    pub(crate) fn merged(&self, over: &Self) -> Self {
        let content = over.document.is_some() || over.layer.is_some() || over.bytes.is_some();
        let mut node = if content {
            Self { media_type: self.media_type.clone(), ..over.clone() }
        } else {
            Self {
                document: self.document.clone(),
                layer: self.layer.clone(),
                bytes: self.bytes.clone(),
                media_type: self.media_type.clone(),
                ..over.clone()
            }
        };
        node.media_type = over.media_type.clone().or(node.media_type);
        node.algorithm = over.algorithm.clone().or_else(|| self.algorithm.clone());
        node.compression = over.compression.clone().or_else(|| self.compression.clone());
        node
    }

    /// Puts the bytes together; `document` are those of the document with its
    /// references written out.
    pub(crate) fn blob(&self, name: &str, document: Vec<u8>) -> Result<Blob> {
        let algorithm: Algorithm = self.algorithm.as_deref().unwrap_or("sha256").parse()?;
        let mut media_type = "application/octet-stream";
        let (plain, mut bytes) = if let Some(entries) = &self.layer {
            let mut plain = tar::blocks(entries)?;
            if self.end.unwrap_or(true) {
                plain.extend([0; 1024]);
            }
            let compression: Compression = self.compression.as_deref().unwrap_or("gzip").parse()?;
            media_type = match compression {
                Compression::None => "application/vnd.oci.image.layer.v1.tar",
                Compression::Gzip { .. } => "application/vnd.oci.image.layer.v1.tar+gzip",
                Compression::Zstd { .. } => "application/vnd.oci.image.layer.v1.tar+zstd",
            };
            let mut encoder = Encoder::new(compression, Vec::new())?;
            std::io::Write::write_all(&mut encoder, &plain)
                .map_err(|cause| Error::io("compressing", name, cause))?;
            (plain, encoder.finish()?)
        } else {
            let bytes = match &self.bytes {
                Some(bytes) => tar::content(bytes)?,
                None => [tar::content(&self.before)?, document].concat(),
            };
            (bytes.clone(), bytes)
        };
        for damage in &self.damage {
            damage.apply(name, &mut bytes)?;
        }
        let mut stored = bytes.clone();
        for damage in &self.lie {
            damage.apply(name, &mut stored)?;
        }
        Ok(Blob {
            digest: Digest::of(algorithm, &bytes),
            diff_id: Digest::of(Algorithm::Sha256, &plain),
            stored: self.stored.unwrap_or(true).then_some(stored),
            media_type: self.media_type.clone().unwrap_or_else(|| media_type.to_owned()),
            bytes,
        })
    }
}

impl Damage {
    fn apply(&self, name: &str, bytes: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Append(more) => bytes.extend(tar::content(more)?),
            Self::Cut(length) => bytes.truncate(bytes.len().saturating_sub(*length)),
            Self::Flip(at) => {
                let place = if *at < 0 { bytes.len() as i64 + at } else { *at };
                let byte = usize::try_from(place)
                    .ok()
                    .and_then(|place| bytes.get_mut(place))
                    .ok_or_else(|| {
                        Error::new(Code::Malformed, format!("damaging {name} in a recipe"))
                            .found(format!("no byte {at}"))
                    })?;
                *byte = !*byte;
            }
            Self::Replace(other) => *bytes = tar::content(other)?,
        }
        Ok(())
    }
}
