//! Reading the gzip container (RFC 1952) around raw deflate.
//!
//! Own code rather than flate2's: all members are read, each is checked, the
//! header has a budget, and what comes behind the last member is judged.

use std::io::BufRead;

use flate2::{Crc, Decompress, FlushDecompress, Status};
use plimsoll_content::{Code, Error, Result};

use super::source::Source;
use crate::finding::{Finding, Findings};
use crate::limits::Limits;

/// Reads all members of a gzip stream.
pub(super) struct Inflate {
    state: Decompress,
    crc: Crc,
    /// How many members were begun.
    members: u64,
    inside: bool,
    /// How long a header may be.
    header: usize,
}

impl Inflate {
    pub(super) fn new(limits: &Limits) -> Self {
        let header = limits.gzip_header;
        Self { state: Decompress::new(false), crc: Crc::new(), members: 0, inside: false, header }
    }

    /// Fills `buffer` with the next bytes; 0 at the end of the stream.
    pub(super) fn read<S: BufRead>(
        &mut self,
        source: &mut Source<S>,
        buffer: &mut [u8],
        findings: &mut Findings,
    ) -> Result<usize> {
        loop {
            if !self.inside && !self.begin(source, findings)? {
                return Ok(0);
            }
            let input = source.fill()?;
            let ended = input.is_empty();
            let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
            let status = self
                .state
                .decompress(input, buffer, FlushDecompress::None)
                .map_err(|cause| source.broken("gzip", "broken deflate data").cause(cause))?;
            source.consume((self.state.total_in() - before_in) as usize);
            let length = (self.state.total_out() - before_out) as usize;
            self.crc.update(&buffer[..length]);
            match status {
                Status::StreamEnd => self.end(source)?,
                _ if ended && length == 0 => return Err(source.truncated("gzip")),
                _ => {}
            }
            if length > 0 {
                return Ok(length);
            }
        }
    }

    /// Reads the header of the next member; false if there is none.
    fn begin<S: BufRead>(
        &mut self,
        source: &mut Source<S>,
        findings: &mut Findings,
    ) -> Result<bool> {
        let Some(first) = source.peek()? else {
            return if self.members == 0 { Err(source.truncated("gzip")) } else { Ok(false) };
        };
        if self.members > 0 && first == 0 {
            return trailing_zeros(source, findings).map(|()| false);
        }
        let mut header = Header { source, crc: Crc::new(), length: 0, most: self.header };
        let fixed = header.take::<10>()?;
        if fixed[..2] != [0x1f, 0x8b] {
            let what =
                if self.members == 0 { "no gzip header" } else { "bytes behind the last member" };
            return Err(header.source.broken("gzip", what));
        }
        let flags = fixed[3];
        if fixed[2] != 8 || flags & 0xe0 != 0 {
            return Err(header
                .source
                .broken("gzip", "an unknown method or unknown flags in a header"));
        }
        if flags & 4 != 0 {
            let length = u16::from_le_bytes(header.take()?);
            for _ in 0..length {
                header.take::<1>()?;
            }
        }
        for text in [8, 16] {
            if flags & text != 0 {
                while header.take::<1>()? != [0] {}
            }
        }
        if flags & 2 != 0 {
            let sum = header.crc.sum() as u16;
            if u16::from_le_bytes(header.take()?) != sum {
                return Err(header.source.broken("gzip", "a wrong checksum of a header"));
            }
        }
        self.state.reset(false);
        self.crc.reset();
        self.members += 1;
        self.inside = true;
        Ok(true)
    }

    /// Checks what stands behind the data of a member (CZ09).
    fn end<S: BufRead>(&mut self, source: &mut Source<S>) -> Result<()> {
        self.inside = false;
        let mut number = || -> Result<u32> {
            let mut bytes = [0; 4];
            for byte in &mut bytes {
                *byte = source.byte("gzip")?;
            }
            Ok(u32::from_le_bytes(bytes))
        };
        let (crc, length) = (number()?, number()?);
        if crc != self.crc.sum() {
            return Err(source.broken("gzip", &format!("a wrong CRC of member {}", self.members)));
        }
        // The lowest 32 bits of the length.
        if length != self.crc.amount() {
            return Err(
                source.broken("gzip", &format!("a wrong length of member {}", self.members))
            );
        }
        Ok(())
    }
}

/// A header while it is read: counted and summed up.
struct Header<'a, S> {
    source: &'a mut Source<S>,
    crc: Crc,
    length: usize,
    most: usize,
}

impl<S: BufRead> Header<'_, S> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.source.byte("gzip")?;
        }
        self.length += N;
        if self.length > self.most {
            return Err(Error::new(Code::Limit, self.source.headline("gzip"))
                .found("a longer header of a member")
                .expected(format!("at most {} bytes", self.most)));
        }
        self.crc.update(&bytes);
        Ok(bytes)
    }
}

/// Zeros up to the end, as tape blocks and some uploads leave them.
fn trailing_zeros<S: BufRead>(source: &mut Source<S>, findings: &mut Findings) -> Result<()> {
    let mut count = 0;
    loop {
        let rest = source.fill()?;
        if rest.is_empty() {
            break;
        }
        if rest.iter().any(|byte| *byte != 0) {
            return Err(source.broken("gzip", "bytes behind the last member"));
        }
        let length = rest.len();
        count += length as u64;
        source.consume(length);
    }
    findings.push(Finding::new(
        "gzip-trailing-zeros",
        format!("{count} zero bytes behind the last member are ignored"),
    ));
    Ok(())
}
