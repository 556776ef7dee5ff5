//! A layer in another compression, or its plain bytes under another digest,
//! in one pass.
//!
//! Reading with the proof of the blob, inflating, and hashing with
//! compression are three threads, as in applying; compression may have more.
//! What does not live here: media types, and where blobs come from and go.

use std::io::{Read, Write};

use plimsoll_content::{Algorithm, Digest, Error, Hasher, Result};

use crate::apply::pipe::{self, Chunks, Plain};
use crate::apply::{Announced, Blobs};
use crate::codec::{Compression, Encoder};
use crate::finding::Finding;
use crate::limits::Limits;

/// How much is compressed at once.
const CHUNK: usize = 256 << 10;

/// How a layer is recoded.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How the new blob is compressed.
    pub compression: Compression,
    /// What the plain bytes are hashed with, beside what their diff_id is.
    pub algorithm: Algorithm,
    /// How many threads compress.
    pub threads: usize,
    /// The budgets of reading a layer.
    pub limits: Limits,
}

/// A layer that went by.
#[derive(Clone, Debug)]
pub struct Recoded {
    /// The digest of the plain bytes, under [`Options::algorithm`].
    pub diff_id: Digest,
    /// How many plain bytes there were.
    pub bytes: u64,
    /// What was odd about the blob.
    pub findings: Vec<Finding>,
}

/// Reads one layer to its end, with the proofs of its blob and of its plain
/// bytes, and writes the same plain bytes in another compression to `out`.
///
/// What was written is worth nothing before this returns: it is for the caller
/// to stage it. The tar in it is not looked at, so every byte of it stays.
///
/// Errors: as [`crate::apply::Applier::apply_all`], but for those of entries.
pub fn recode<W: Write>(
    blobs: impl Blobs,
    layer: &Announced,
    out: W,
    options: &Options,
) -> Result<(Recoded, W)> {
    let mut encoder = Encoder::with_threads(options.compression, out, options.threads)?;
    let recoded = pipe::run(blobs, &[layer.format], &options.limits, |chunks| {
        (0, through(chunks, &layer.diff_id, &mut encoder, options.algorithm))
    })
    .map_err(|(_, error)| error)?;
    Ok((recoded, encoder.finish()?))
}

fn through(
    chunks: &mut Chunks,
    diff_id: &Digest,
    out: &mut impl Write,
    algorithm: Algorithm,
) -> Result<Recoded> {
    let announced = diff_id.computable("a layer")?;
    let mut plain = Plain::new(chunks, announced);
    let mut other = (algorithm != announced).then(|| Hasher::new(algorithm));
    let mut buffer = vec![0; CHUNK];
    loop {
        let length =
            plain.read(&mut buffer).map_err(|cause| Error::io("reading", "a layer", cause))?;
        if length == 0 {
            break;
        }
        if let Some(hasher) = &mut other {
            hasher.update(&buffer[..length]);
        }
        out.write_all(&buffer[..length]).map_err(|cause| Error::io("writing", "a layer", cause))?;
    }
    let passed = plain.finish()?;
    passed.prove(diff_id)?;
    let diff_id = other.map_or(passed.diff_id, Hasher::finish);
    Ok(Recoded { diff_id, bytes: passed.bytes, findings: passed.findings })
}
