//! The zstd container (RFC 8878): frames, skippable ones among them.

use std::io::{self, BufRead, Write};

use plimsoll_content::{Code, Error, Result};
use zstd::stream::raw::{DParameter, Decoder, Operation};
use zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, compress_bound};

use super::source::Source;
use crate::limits::Limits;

/// How many bytes make one frame. Frames do not refer to one another, so
/// they can be made by any number of threads with the same bytes.
pub(super) const FRAME: usize = 4 << 20;

/// Reads all frames of a zstd stream.
pub(super) struct Unzstd {
    state: Decoder<'static>,
    window: u64,
    frames: u64,
    inside: bool,
}

impl Unzstd {
    pub(super) fn new(limits: &Limits) -> Result<Self> {
        let fail = |cause: io::Error| {
            Error::new(Code::Failed, "preparing to read zstd").found(&cause).cause(cause)
        };
        let mut state = Decoder::new().map_err(fail)?;
        // The format knows windows of 2^10 to 2^41 bytes, the library to 2^31.
        let log = limits.zstd_window.max(1).ilog2().clamp(10, 31);
        state.set_parameter(DParameter::WindowLogMax(log)).map_err(fail)?;
        Ok(Self { state, window: limits.zstd_window, frames: 0, inside: false })
    }

    /// Fills `buffer` with the next bytes; 0 at the end of the stream.
    pub(super) fn read<S: BufRead>(
        &mut self,
        source: &mut Source<S>,
        buffer: &mut [u8],
    ) -> Result<usize> {
        loop {
            let input = source.fill()?;
            let ended = input.is_empty();
            if ended && !self.inside {
                return if self.frames == 0 { Err(source.truncated("zstd")) } else { Ok(0) };
            }
            let mut input = InBuffer::around(input);
            let mut output = OutBuffer::around(buffer);
            let hint = self.state.run(&mut input, &mut output);
            let (taken, length) = (input.pos(), output.pos());
            let hint = hint.map_err(|cause| self.judge(source, &cause))?;
            source.consume(taken);
            if !self.inside && taken > 0 {
                self.inside = true;
                self.frames += 1;
            }
            if hint == 0 {
                self.inside = false;
            } else if ended && length == 0 {
                return Err(source.truncated("zstd"));
            }
            if length > 0 {
                return Ok(length);
            }
        }
    }

    fn judge<S: BufRead>(&self, source: &Source<S>, cause: &io::Error) -> Error {
        let text = cause.to_string();
        if text.contains("too much memory") {
            return Error::new(Code::Limit, source.headline("zstd"))
                .found("a frame whose window is larger")
                .expected(format!("at most {} bytes", self.window));
        }
        if self.frames > 0 && !self.inside {
            return source.broken("zstd", "bytes behind the last frame");
        }
        source.broken("zstd", &text)
    }
}

/// Writes independent frames of [`FRAME`] bytes, each with its size and its
/// checksum (so `zstd -t` proves the file); one empty frame for no input.
pub(super) struct Zstd {
    state: CCtx<'static>,
    frame: Vec<u8>,
    out: Vec<u8>,
    any: bool,
}

impl Zstd {
    pub(super) fn new(level: i32) -> Result<Self> {
        let fail = |code| {
            Error::new(Code::Failed, "preparing to write zstd")
                .found(zstd::zstd_safe::get_error_name(code))
        };
        let mut state = CCtx::create();
        state.set_parameter(CParameter::CompressionLevel(level)).map_err(fail)?;
        state.set_parameter(CParameter::ChecksumFlag(true)).map_err(fail)?;
        state.set_parameter(CParameter::ContentSizeFlag(true)).map_err(fail)?;
        Ok(Self { state, frame: Vec::with_capacity(FRAME), out: Vec::new(), any: false })
    }

    pub(super) fn write<W: Write>(&mut self, bytes: &[u8], writer: &mut W) -> io::Result<usize> {
        let length = bytes.len().min(FRAME - self.frame.len());
        self.frame.extend_from_slice(&bytes[..length]);
        if self.frame.len() == FRAME {
            self.end_frame(writer)?;
        }
        Ok(length)
    }

    pub(super) fn finish<W: Write>(mut self, writer: &mut W) -> io::Result<()> {
        if !self.any || !self.frame.is_empty() {
            self.end_frame(writer)?;
        }
        Ok(())
    }

    fn end_frame<W: Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.any = true;
        self.out.clear();
        self.out.reserve(compress_bound(self.frame.len()));
        self.state
            .compress2(&mut self.out, &self.frame)
            .map_err(|code| io::Error::other(zstd::zstd_safe::get_error_name(code)))?;
        self.frame.clear();
        writer.write_all(&self.out)
    }
}
