//! The files of an archive that lies in a file, for who makes images of them.

use std::io::{self, Read};

use plimsoll_content::limits::Limits;
use plimsoll_content::{Algorithm, Code, Descriptor, Digest, Error, Hasher, Result};
use plimsoll_layer::codec::{Decoder, Format};

use super::legacy::LayerFile;
use super::members::{self, Piece};
use super::{Archive, START, digest_of_name, docker, folders};

impl Archive {
    fn hash(&self, mut reader: impl Read) -> Result<Digest> {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        io::copy(&mut reader, &mut hasher)
            .map_err(|cause| Error::io("reading", &self.shown, cause))?;
        Ok(hasher.finish())
    }
}

impl docker::Files for Archive {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn document(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(span) = self.members.file(name)? else { return Ok(None) };
        if span.size > limit {
            return Err(Error::new(Code::Limit, format!("reading {name:?} of an archive"))
                .found(format!("{} bytes", span.size))
                .expected(format!("at most {limit} bytes")));
        }
        let mut bytes = Vec::new();
        Piece::new(&self.file, span, 0)
            .read_to_end(&mut bytes)
            .map_err(|cause| Error::io("reading", &self.shown, cause))?;
        Ok(Some(bytes))
    }

    fn layer(&mut self, name: &str, diff_id: &Digest) -> Result<Option<Descriptor>> {
        let Some(span) = self.members.followed(name)? else { return Ok(None) };
        let failed = |cause| Error::io("reading", &self.shown, cause);
        let mut start = Vec::new();
        Piece::new(&self.file, span, 0).take(START).read_to_end(&mut start).map_err(failed)?;
        let layer = docker::layer(&start, span.size, diff_id, || {
            // Whoever reads it proves a digest that its name claims.
            if let Some(digest) = digest_of_name(name) {
                return Ok(digest);
            }
            self.hash(Piece::new(&self.file, span, 0))
        })?;
        self.layers.insert(layer.digest.clone(), span);
        Ok(Some(layer))
    }

    fn unknown_layer(&mut self, name: &str) -> Result<Option<LayerFile>> {
        let Some(span) = self.members.followed(name)? else { return Ok(None) };
        // One file may be the layer of many images.
        if let Some((blob, diff_id)) = self.hashed.get(&span.offset) {
            return Ok(Some(LayerFile { blob: blob.clone(), diff_id: diff_id.clone() }));
        }
        let piece = || Piece::new(&self.file, span, 0);
        let mut start = Vec::new();
        piece()
            .take(START)
            .read_to_end(&mut start)
            .map_err(|cause| Error::io("reading", &self.shown, cause))?;
        let kind = docker::layer_type(&start);
        let digest = self.hash(piece())?;
        let diff_id = match Format::detect(&start) {
            Ok(format @ (Format::Gzip | Format::Zstd)) => {
                self.hash(Decoder::new(format, piece(), &members::limits())?)?
            }
            _ => digest.clone(),
        };
        self.layers.insert(digest.clone(), span);
        let blob = Descriptor::new(kind, digest, span.size);
        self.hashed.insert(span.offset, (blob.clone(), diff_id.clone()));
        Ok(Some(LayerFile { blob, diff_id }))
    }

    fn folders(&self) -> Vec<String> {
        folders(&self.members).map(str::to_owned).collect()
    }
}
