//! One block, compressed on its own: what it becomes depends on its bytes and
//! on the [`Compression`], and on nothing else.
//!
//! The format of a layer follows from the sizes here. They are part of
//! `docs/format/bytes.md`, and changing one changes every digest that
//! Plimsoll makes.
//!
//! What does not live here: what stands around the blocks (`encode`), who
//! compresses which (`pool`).

use std::io;

use flate2::{Compress, Crc, FlushCompress};
use zstd::zstd_safe::{CCtx, CParameter, compress_bound, get_error_name};

use super::Compression;

/// How many bytes are deflated on their own. On the root filesystem of a
/// Debian, this costs 0.06 % of the size at any level (256 KiB: 0.4 to 0.6 %).
/// Blocks that know the last 32 KiB before them would save 0.1 %, but no
/// block could be read without those before it.
const GZIP: usize = 1 << 20;

/// How many bytes make a zstd frame, by level: four times the window that the
/// library chooses there, or a little more. It costs about 1 % of the size.
fn frame(level: i32) -> usize {
    match level {
        ..=8 => 8 << 20,
        9..=16 => 16 << 20,
        17.. => 32 << 20,
    }
}

/// How many bytes go into a block; the last may have fewer.
pub(super) fn size(compression: Compression) -> usize {
    match compression {
        Compression::None => 0,
        Compression::Gzip { .. } => GZIP,
        Compression::Zstd { level } => frame(level),
    }
}

/// A block, before and after. It is used again for another, with its memory.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// The bytes to compress.
    pub(super) plain: Vec<u8>,
    /// What became of them.
    pub(super) packed: Vec<u8>,
    /// The checksum of the plain bytes, where the format asks for one over
    /// all blocks.
    pub(super) crc: Crc,
}

/// Compresses one block after the other, with the same memory.
pub(super) enum Compressor {
    Gzip(Box<Compress>),
    Zstd(CCtx<'static>),
}

impl Compressor {
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        match compression {
            Compression::None => Err(io::Error::other("nothing to compress with")),
            Compression::Gzip { level } => {
                let level = flate2::Compression::new(level.min(9));
                Ok(Self::Gzip(Box::new(Compress::new(level, false))))
            }
            Compression::Zstd { level } => {
                let mut state = CCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
                for parameter in [
                    CParameter::CompressionLevel(level),
                    CParameter::ChecksumFlag(true),
                    CParameter::ContentSizeFlag(true),
                ] {
                    state.set_parameter(parameter).map_err(zstd_error)?;
                }
                Ok(Self::Zstd(state))
            }
        }
    }

    /// Makes `packed` out of `plain`.
    pub(super) fn run(&mut self, block: &mut Block) -> io::Result<()> {
        block.packed.clear();
        match self {
            Self::Gzip(state) => {
                block.crc = Crc::new();
                block.crc.update(&block.plain);
                state.reset();
                deflate(state, &block.plain, &mut block.packed)
            }
            Self::Zstd(state) => {
                block.packed.reserve(compress_bound(block.plain.len()));
                state.compress2(&mut block.packed, &block.plain).map_err(zstd_error)?;
                Ok(())
            }
        }
    }
}

/// Deflate data that refers to nothing before it and ends at a full byte.
///
/// What comes out depends on how much room there is (stored blocks are cut to
/// it), so that is always the same, and enough: nine bits for a byte is the
/// worst that fixed codes do.
fn deflate(state: &mut Compress, block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.resize(block.len() + block.len() / 4 + 4096, 0);
    state.compress(block, out, FlushCompress::Sync).map_err(io::Error::other)?;
    let (taken, made) = (state.total_in() as usize, state.total_out() as usize);
    if taken != block.len() || made >= out.len() {
        return Err(io::Error::other("deflate needs more room than it should"));
    }
    out.truncate(made);
    Ok(())
}

fn zstd_error(code: usize) -> io::Error {
    io::Error::other(get_error_name(code))
}
