//! Reading the layout that a command wrote: as bytes by their digests, with
//! every digest proved.

use std::fs;
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Digest, Error, Result};
use serde_json::Value;

/// A layout on the disk.
pub(super) struct Written(PathBuf);

impl Written {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The descriptors of `index.json`.
    pub(super) fn listed(&self) -> Result<Vec<Value>> {
        let path = self.0.join("index.json");
        let text = fs::read(&path).map_err(|cause| Error::io("reading", path.display(), cause))?;
        let index: Value = serde_json::from_slice(&text).map_err(|cause| {
            Error::new(Code::Malformed, "reading index.json").found(&cause).cause(cause)
        })?;
        Ok(index["manifests"].as_array().cloned().unwrap_or_default())
    }

    /// The content of a digest, proved; `None` if it is not there.
    pub(super) fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let path = self.0.join("blobs").join(digest.algorithm_name()).join(digest.encoded());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(Error::io("reading", path.display(), cause)),
        };
        match digest.algorithm() {
            Some(algorithm) if Digest::of(algorithm, &bytes) != *digest => {
                Err(Error::new(Code::Digest, format!("reading {digest}"))
                    .found(Digest::of(algorithm, &bytes)))
            }
            _ => Ok(Some(bytes)),
        }
    }

    /// What a descriptor leads to, proved by size and digest.
    pub(super) fn content(&self, descriptor: &Value) -> Result<Vec<u8>> {
        let digest: Digest = descriptor["digest"].as_str().unwrap_or_default().parse()?;
        let bytes = self.blob(&digest)?.ok_or_else(|| {
            Error::new(Code::NotFound, format!("reading {digest}")).found("no such blob")
        })?;
        if descriptor["size"].as_u64() != Some(bytes.len() as u64) {
            return Err(Error::new(Code::Size, format!("reading {digest}"))
                .found(format!("{} bytes", bytes.len()))
                .expected(&descriptor["size"]));
        }
        Ok(bytes)
    }

    /// The document that a descriptor leads to.
    pub(super) fn document(&self, descriptor: &Value) -> Result<Value> {
        serde_json::from_slice(&self.content(descriptor)?).map_err(|cause| {
            Error::new(Code::Malformed, "reading a document").found(&cause).cause(cause)
        })
    }
}
