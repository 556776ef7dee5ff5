//! Reading the zstd container (RFC 8878): frames, skippable ones among them.

use std::io::{self, BufRead};

use plimsoll_content::{Code, Error, Result};
use zstd::stream::raw::{DParameter, Decoder, Operation};
use zstd::zstd_safe::{InBuffer, OutBuffer};

use super::source::Source;
use crate::limits::Limits;

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
