//! What becomes of the layers of an image that is converted: each goes by
//! once, from its source to its new place, with all proofs.

use std::io::{self, Read};

use plimsoll_content::{
    Algorithm, Code, Descriptor, Digest, Error, Result, Sealing, Source, Verifying,
};
use plimsoll_layer::apply::{self, Announced};
use plimsoll_layer::codec::Compression;
use plimsoll_layer::recode::{self, recode};
use plimsoll_layer::{Finding, limits};
use plimsoll_spec::{LayerCompression, LayerType};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Converter, Family};
use crate::draft::Draft;
use crate::edit::{array, object};
use crate::transfer::{self, Brought, Counted, Watched};
use crate::{notes, pack, unpack};

/// Annotations that say where in a blob something lies: they are wrong about
/// another blob of the same content. Prefixes, of eStargz and zstd:chunked.
const PLACES_IN_BLOBS: [&str; 2] =
    ["containerd.io/snapshot/stargz/", "io.github.containers.zstd-chunked."];

/// How a layer came to be at the destination.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum How {
    /// It was brought as it was.
    Copied,
    /// It was there as it was.
    Present,
    /// It is compressed in another way, over the same tar.
    Recompressed,
    /// Its bytes are the same, its digest is of another algorithm.
    Rehashed,
    /// It is a layer that may not be distributed and lies at its `urls`.
    Elsewhere,
    /// It is what several layers come to.
    Squashed,
}

/// A layer that was made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) blob: Descriptor,
    /// `None` for blobs that are no layers.
    pub(crate) diff_id: Option<Digest>,
    pub(crate) how: How,
}

impl Converter<'_> {
    /// Brings a layer in the form that is wanted.
    pub(super) fn layer(
        &mut self,
        layer: &Descriptor,
        diff_id: Option<&Digest>,
        encode: Option<Compression>,
    ) -> Result<Made> {
        let key = (layer.digest.clone(), layer.media_type.clone(), diff_id.cloned());
        if let Some(made) = self.made.get(&key) {
            return Ok(made.clone());
        }
        let made = self.bring(layer, diff_id, encode)?;
        self.made.insert(key, made.clone());
        Ok(made)
    }

    fn bring(
        &mut self,
        layer: &Descriptor,
        diff_id: Option<&Digest>,
        encode: Option<Compression>,
    ) -> Result<Made> {
        let as_it_is = |how| Made { blob: layer.clone(), diff_id: diff_id.cloned(), how };
        let kind = LayerType::of(&layer.media_type);
        let other = |digest: &Digest| {
            self.options.algorithm.is_some_and(|wanted| digest.algorithm() != Some(wanted))
        };
        let rehash = other(&layer.digest) || diff_id.is_some_and(other);
        if kind.is_some_and(|kind| kind.nondistributable)
            && self.target.docker().is_none()
            && is_elsewhere(self.source, layer)?
        {
            if rehash {
                self.warn(format!(
                    "{} lies elsewhere: its digests stay those of their algorithm",
                    layer.digest
                ));
            }
            return Ok(as_it_is(How::Elsewhere));
        }
        if let Some(compression) = encode {
            let Some((kind, diff_id)) = kind.zip(diff_id) else {
                return Err(Error::new(Code::Bug, "recompressing something that is no layer"));
            };
            return self.recompress(layer, kind, diff_id, compression);
        }
        if rehash {
            return self.rehash(layer, diff_id);
        }
        let copied = transfer::blob(self.source, self.target.sink(), layer, self.watch)?;
        if copied == Brought::Copied {
            self.report.bytes = self.report.bytes.saturating_add(layer.size);
        }
        Ok(as_it_is(match copied {
            Brought::Copied => How::Copied,
            Brought::Mounted | Brought::Present => How::Present,
        }))
    }

    /// The same tar in another compression.
    fn recompress(
        &mut self,
        layer: &Descriptor,
        kind: LayerType,
        diff_id: &Digest,
        compression: Compression,
    ) -> Result<Made> {
        let algorithm = self.algorithm(&layer.digest)?;
        if let Some(size) = self.target.docker().and_then(|archive| archive.layer(diff_id)) {
            // The same layer in another compression.
            let blob = Descriptor::new(pack::layer_type(compression), diff_id.clone(), size);
            return Ok(Made { blob, diff_id: Some(diff_id.clone()), how: How::Recompressed });
        }
        self.watch.begin(&format!("recompressing {}", layer.digest.short()), Some(layer.size));
        let one = One { layer, reader: Some(self.source.open(layer)?), watch: self.watch };
        let announced =
            Announced { format: unpack::format_of(kind.compression), diff_id: diff_id.clone() };
        let out = Sealing::new(self.target.sink().begin()?, algorithm);
        let options = self.recoding(compression, diff_id)?;
        let (recoded, sealing) = recode(one, &announced, out, &options)?;
        let (proof, ingest) = sealing.finish(pack::layer_type(compression));
        let blob = proof.descriptor().clone();
        ingest.commit(proof)?;
        self.found(layer, recoded.findings, recoded.bytes);
        self.watch.end(&format!("recompressed {} as {}", layer.digest, blob.digest));
        self.report.bytes = self.report.bytes.saturating_add(blob.size);
        Ok(Made { blob, diff_id: Some(recoded.diff_id), how: How::Recompressed })
    }

    /// The same bytes under a digest of another algorithm; the tar in it, too.
    fn rehash(&mut self, layer: &Descriptor, diff_id: Option<&Digest>) -> Result<Made> {
        let algorithm = self.algorithm(&layer.digest)?;
        self.watch.begin(&format!("hashing {}", layer.digest.short()), Some(layer.size));
        let ingest = self.target.sink().begin()?;
        let mut sealing = Sealing::new(Counted::new(ingest, self.watch), algorithm);
        let kind = LayerType::of(&layer.media_type);
        let mut new = None;
        let mut found = None;
        {
            let reader = self.source.fetch(layer, 0)?.tee(&mut sealing).verify(layer)?;
            match diff_id.zip(kind) {
                Some((diff_id, kind)) => {
                    let quiet = plimsoll_content::Quiet;
                    let one = One { layer, reader: Some(reader), watch: &quiet };
                    let format = unpack::format_of(kind.compression);
                    let announced = Announced { format, diff_id: diff_id.clone() };
                    let options = self.recoding(Compression::None, diff_id)?;
                    let (recoded, _) = recode(one, &announced, io::sink(), &options)?;
                    found = Some((recoded.findings, recoded.bytes));
                    new = Some(recoded.diff_id);
                }
                None => {
                    let (_proof, _) = reader.finish()?;
                }
            }
        }
        let (proof, counted) = sealing.finish(layer.media_type.clone());
        let blob = proof.descriptor().clone();
        counted.into_inner().commit(proof)?;
        if let Some((findings, bytes)) = found {
            self.found(layer, findings, bytes);
        }
        if let (None, Some(diff_id)) = (&new, diff_id) {
            if *diff_id == layer.digest {
                new = Some(blob.digest.clone());
            } else {
                self.warn(format!(
                    "{} is of type {:?}, which nobody here can look into: its diff_id stays {diff_id}",
                    layer.digest,
                    layer.media_type.as_str()
                ));
                new = Some(diff_id.clone());
            }
        }
        self.watch.end(&format!("hashed {} as {}", layer.digest, blob.digest));
        self.report.bytes = self.report.bytes.saturating_add(blob.size);
        // Everything else that its descriptor says is true of it still.
        let blob = Descriptor { digest: blob.digest, size: blob.size, ..layer.clone() };
        Ok(Made { blob, diff_id: new, how: How::Rehashed })
    }

    fn recoding(&self, compression: Compression, diff_id: &Digest) -> Result<recode::Options> {
        Ok(recode::Options {
            compression,
            algorithm: self.algorithm(diff_id)?,
            threads: self.options.threads,
            limits: self.options.limits,
        })
    }

    /// The algorithm of what is made in the place of something.
    pub(crate) fn algorithm(&self, old: &Digest) -> Result<Algorithm> {
        match self.options.algorithm {
            Some(algorithm) => Ok(algorithm),
            None => old.computable("what is converted"),
        }
    }

    fn found(&mut self, layer: &Descriptor, mut findings: Vec<Finding>, bytes: u64) {
        findings.extend(limits::ratio(bytes, layer.size));
        let place = format!("layer {}: ", layer.digest.short());
        self.report.warnings.extend(notes::all(&place, &findings, self.watch));
    }

    /// How a layer of an image is to be compressed, if not as it is.
    pub(super) fn encoding(
        &self,
        layer: &Descriptor,
        diff_id: Option<&Digest>,
        from: Family,
        to: Family,
    ) -> Result<Option<Compression>> {
        let Some(kind) = LayerType::of(&layer.media_type) else { return Ok(None) };
        if self.target.docker().is_some() {
            // All that it has for a layer is the plain tar, by its diff_id.
            return Ok((diff_id != Some(&layer.digest)).then_some(Compression::None));
        }
        if kind.nondistributable {
            return Ok(None);
        }
        let crossing = (from, to) == (Family::Oci, Family::Docker);
        let Some(wanted) = self.options.compression else {
            // What Docker's readers do not know becomes what they all know.
            let unknown = crossing && kind.compression == LayerCompression::Zstd;
            return Ok(unknown.then_some(Compression::default()));
        };
        let same = wanted.format() == unpack::format_of(kind.compression);
        let encode = (self.options.recompress || !same).then_some(wanted);
        let zstd = matches!(wanted, Compression::Zstd { .. });
        if zstd && to == Family::Docker && (crossing || encode.is_some()) {
            return Err(no_zstd());
        }
        Ok(encode)
    }
}

/// The error that Docker's form has no layers in zstd.
pub(crate) fn no_zstd() -> Error {
    Error::new(Code::Unrepresentable, "converting to Docker's form")
        .found("layers in zstd")
        .expected("gzip, or no compression: that is what Docker's form has")
        .fix("--to oci   for a form that has zstd")
}

/// Whether a layer lies somewhere else by right.
pub(super) fn is_elsewhere(source: &dyn Source, layer: &Descriptor) -> Result<bool> {
    if layer.urls.iter().all(String::is_empty) {
        return Ok(false);
    }
    match source.fetch(layer, 0) {
        Ok(_) => Ok(false),
        Err(error) if error.code() == Code::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Lets the layer at a position of an image be another blob. Gives what its
/// descriptor said that is not true of that.
pub(super) fn replace(draft: &mut Draft, position: usize, made: &Made) -> Result<Vec<String>> {
    let family = draft.family();
    let mut lost = Vec::new();
    if let Some(layer) = array(draft.manifest_mut(), "layers")?.get_mut(position) {
        lost = blob(layer, made)?;
        if made.how == How::Recompressed {
            layer["mediaType"] = Value::from(made.blob.media_type.as_str());
            family.adopt(layer)?;
        }
    }
    let ids = array(object(draft.config_mut(), "rootfs")?, "diff_ids")?;
    if let (Some(id), Some(new)) = (ids.get_mut(position), &made.diff_id) {
        *id = Value::from(new.to_string());
    }
    Ok(lost.into_iter().map(|what| format!("layer {}: {what}", position + 1)).collect())
}

/// Lets a descriptor point at another blob of the same content.
pub(super) fn blob(member: &mut Value, made: &Made) -> Result<Vec<String>> {
    let Value::Object(member) = member else {
        return Err(Error::new(Code::Malformed, "converting a descriptor").found("no object"));
    };
    member.insert("digest".to_owned(), Value::from(made.blob.digest.to_string()));
    member.insert("size".to_owned(), Value::from(made.blob.size));
    Ok(if made.how == How::Recompressed { other_bytes(member) } else { Vec::new() })
}

/// Takes away what was said of other bytes.
fn other_bytes(member: &mut Map<String, Value>) -> Vec<String> {
    member.remove("data");
    let mut lost = Vec::new();
    if let Some(Value::Array(urls)) = member.remove("urls")
        && !urls.is_empty()
    {
        lost.push("urls (of the other compression)".to_owned());
    }
    if let Some(Value::Object(annotations)) = member.get_mut("annotations") {
        annotations.retain(|name, _| {
            let wrong = PLACES_IN_BLOBS.iter().any(|prefix| name.starts_with(prefix));
            if wrong {
                lost.push(format!("annotation {name} (of the other compression)"));
            }
            !wrong
        });
        if annotations.is_empty() {
            member.remove("annotations");
        }
    }
    lost
}

/// One blob on its way, with its proof.
struct One<'a> {
    layer: &'a Descriptor,
    reader: Option<Verifying<Box<dyn Read + Send + 'a>>>,
    watch: &'a dyn plimsoll_content::Watch,
}

impl<'a> apply::Blobs for One<'a> {
    type Blob = Watched<'a, Verifying<Box<dyn Read + Send + 'a>>>;

    fn open(&mut self, _: usize) -> Result<Self::Blob> {
        let again = || Error::new(Code::Bug, format!("reading {} twice", self.layer.digest));
        Ok(Watched::new(self.reader.take().ok_or_else(again)?, self.watch))
    }

    fn prove(&mut self, _: usize, blob: Self::Blob) -> Result<()> {
        let (_proof, _) = blob.into_inner().finish()?;
        Ok(())
    }
}
