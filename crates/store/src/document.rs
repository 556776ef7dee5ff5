//! Documents of a place, proved.
//!
//! All but one kind have the digest of their bytes. Signed Docker schema 1
//! manifests have the digest of what is signed in them, and where content is
//! kept by digest, sometimes that of all their bytes: both prove them, and
//! only what is signed is read.

use std::io::Read;

use plimsoll_content::{Code, Descriptor, Digest, Error, Result, Source};
use plimsoll_spec::Node;
use plimsoll_spec::docker::schema1;

/// Reads a document of the graph; content of another kind is not read.
///
/// Errors if it is not what it is said to be.
pub fn node(source: &dyn Source, descriptor: &Descriptor) -> Result<Node> {
    if !Node::is_document(&descriptor.media_type) {
        return Ok(Node::Opaque);
    }
    Node::parse_within(descriptor, read(source, descriptor)?, &source.limits())
}

/// The bytes of a document as they lie there, proved.
pub fn read(source: &dyn Source, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let limits = source.limits();
    let most = limits.index.max(limits.document);
    if !schema1::is_schema1(&descriptor.media_type) {
        return source.read(descriptor, "document", most);
    }
    descriptor.within("document", limits.document)?;
    if let Some(bytes) = descriptor.embedded()? {
        return Ok(bytes);
    }
    let algorithm = descriptor.digest.computable("a manifest")?;
    let mut bytes = Vec::new();
    // Not used before one of the two proofs below.
    source
        .fetch(descriptor, 0)?
        .without_proof()
        .take(descriptor.size.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|cause| Error::io("reading content", &descriptor.digest, cause))?;
    let doing = || format!("verifying {}", descriptor.digest);
    if bytes.len() as u64 != descriptor.size {
        return Err(Error::new(Code::Size, doing())
            .found(format!("{} bytes", bytes.len()))
            .expected(format!("{} bytes", descriptor.size)));
    }
    let whole = Digest::of(algorithm, &bytes);
    if whole == descriptor.digest {
        return Ok(bytes);
    }
    let signed = schema1::payload(&bytes, &limits).map_err(|error| error.context(doing()))?;
    let signed = signed.map(|payload| Digest::of(algorithm, &payload));
    if signed.as_ref() == Some(&descriptor.digest) {
        return Ok(bytes);
    }
    Err(Error::new(Code::Digest, doing())
        .found(match signed {
            Some(signed) => format!("{whole}, and {signed} without the signatures"),
            None => whole.to_string(),
        })
        .expected(&descriptor.digest))
}
