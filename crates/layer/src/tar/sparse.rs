//! Maps of sparse files: which pieces of a file the archive holds.

use super::block::{self, Block};
use super::fault::{Fault, Result};
use super::pax;
use crate::limits::Limits;

/// A piece of a sparse file that holds data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
}

/// How the map of an entry is to be found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// The archive holds all of the content.
    None,
    /// Old GNU: in the header and in blocks right behind it.
    Blocks,
    /// PAX 0.0 and 0.1: in the extended header.
    Records,
    /// PAX 1.0: in blocks at the start of the content.
    Content,
}

/// Tells by the GNU.sparse keys where the map is, and the real size.
pub(super) fn form(sparse: &pax::Sparse<'_>) -> Result<(Form, u64)> {
    let incomplete = || {
        Fault::layer(
            "GNU.sparse keys that do not describe a map",
            "those of version 0.0, 0.1 or 1.0, complete and not mixed",
        )
    };
    let real = sparse.size.ok_or_else(incomplete)?;
    match (sparse.major, sparse.minor) {
        (Some(1), Some(0)) if sparse.map.is_empty() && sparse.pieces.is_none() => {
            Ok((Form::Content, real))
        }
        (None, None) | (Some(0), Some(0 | 1))
            if !sparse.map.is_empty()
                && sparse.map.len().is_multiple_of(2)
                && sparse.pieces == Some(sparse.map.len() as u64 / 2) =>
        {
            Ok((Form::Records, real))
        }
        _ => Err(incomplete()),
    }
}

/// Pieces as they are read one by one, checked against one another (TP27).
#[derive(Debug)]
pub(super) struct Map<'a> {
    segments: &'a mut Vec<Segment>,
    /// Pieces so far, empty ones included.
    count: usize,
    most: usize,
    end: u64,
    data: u64,
    real: u64,
}

impl<'a> Map<'a> {
    /// A map of a file of `real` bytes. `segments` is cleared and filled.
    pub(super) fn new(segments: &'a mut Vec<Segment>, real: u64, limits: &Limits) -> Self {
        segments.clear();
        Self { segments, count: 0, most: limits.sparse, end: 0, data: 0, real }
    }

    pub(super) fn push(&mut self, offset: u64, length: u64) -> Result<()> {
        self.count += 1;
        if self.count > self.most {
            return Err(Fault::limit(
                "a sparse file of more pieces than that",
                format!("at most {}", self.most),
            ));
        }
        let end = offset.checked_add(length).filter(|end| *end <= self.real);
        // GNU tar pads each piece to full blocks, and others do not.
        if length > 0 && !self.data.is_multiple_of(block::SIZE as u64) {
            return Err(Fault::hostile(
                "a piece of a sparse file, not the last one, that does not fill its blocks",
                "full blocks: readers disagree where the next piece is",
            ));
        }
        let Some(end) = end.filter(|_| offset >= self.end) else {
            return Err(Fault::hostile(
                format!(
                    "{length} bytes at {offset} of a sparse file of {} bytes, behind {}",
                    self.real, self.end
                ),
                "pieces in order, that do not overlap and lie inside of the file",
            ));
        };
        self.end = end;
        self.data += length;
        if length > 0 {
            match self.segments.last_mut() {
                Some(last) if last.offset + last.length == offset => last.length += length,
                _ => self.segments.push(Segment { offset, length }),
            }
        }
        Ok(())
    }

    /// The pieces must be exactly what the archive holds, and the last one,
    /// possibly empty, must end the file: GNU tar makes it shorter otherwise.
    pub(super) fn finish(self, stored: u64) -> Result<()> {
        if self.end != self.real {
            return Err(Fault::hostile(
                format!("a sparse file of {} bytes whose map ends at {}", self.real, self.end),
                "a map of the whole file: readers disagree how long this one is",
            ));
        }
        if self.data == stored {
            return Ok(());
        }
        Err(Fault::hostile(
            format!("a sparse file with {stored} bytes in the archive"),
            format!("{} bytes, as its map says", self.data),
        ))
    }

    /// Takes the pieces that a header or a block of further pieces holds, and
    /// says whether the list ends here.
    pub(super) fn push_fields(&mut self, fields: &[u8]) -> Result<bool> {
        for piece in fields.chunks_exact(24) {
            if piece.iter().all(|byte| *byte == 0) {
                return Ok(true);
            }
            let (offset, length) = (amount(&piece[..12]), amount(&piece[12..]));
            // Readers stop at an empty offset or at an empty length.
            let (true, true, Some(offset), Some(length)) =
                (piece[0] != 0, piece[12] != 0, offset, length)
            else {
                return Err(Fault::hostile("a broken map of a sparse file", "pairs of numbers"));
            };
            self.push(offset, length)?;
        }
        Ok(false)
    }
}

/// The real size of an old GNU sparse file.
pub(super) fn real_size(block: &Block) -> Result<u64> {
    amount(&block.0[block::SPARSE_REAL])
        .ok_or_else(|| Fault::layer("an unreadable real size of a sparse file", "a number"))
}

fn amount(field: &[u8]) -> Option<u64> {
    block::number(field).and_then(|value| i64::try_from(value).ok()?.try_into().ok())
}

/// Reads the numbers of a PAX 1.0 map: decimal, one per line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    value: Option<u64>,
}

impl Lines {
    /// Takes one byte; gives a number at the end of each line.
    pub(super) fn push(&mut self, byte: u8) -> Result<Option<u64>> {
        let bad = || Fault::layer("a broken map of a sparse file", "decimal numbers in lines");
        match byte {
            b'\n' => self.value.take().map(Some).ok_or_else(bad),
            b'0'..=b'9' => {
                let value = self.value.unwrap_or(0).checked_mul(10).ok_or_else(bad)?;
                let value = value.checked_add(u64::from(byte - b'0')).ok_or_else(bad)?;
                self.value = Some(value);
                Ok(None)
            }
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(real: u64, pieces: &[(u64, u64)]) -> Result<Vec<Segment>> {
        let mut segments = Vec::new();
        let mut map = Map::new(&mut segments, real, &Limits::default());
        for (offset, length) in pieces {
            map.push(*offset, *length)?;
        }
        map.finish(pieces.iter().map(|(_, length)| length).sum())?;
        Ok(segments)
    }

    #[test]
    fn tp27_maps_are_in_order_and_inside() {
        let good =
            map(9000, &[(0, 512), (512, 512), (2000, 0), (5000, 10), (9000, 0)]).expect("good");
        let [first, second] = good[..] else { panic!("neighbours are one piece") };
        assert_eq!((first.offset, first.length, second.offset), (0, 1024, 5000));
        for pieces in [
            &[(0, 512), (5, 512), (9000, 0)][..],
            &[(4000, 512), (0, 512), (9000, 0)],
            &[(8999, 10)],
            &[(9001, 0)],
            &[(u64::MAX, 2)],
            &[(0, 10), (20, 10), (9000, 0)],
            &[(0, 10)],
            &[],
        ] {
            assert_eq!(
                map(100, pieces).expect_err("bad").code,
                plimsoll_content::Code::UnsafeEntry
            );
        }
    }
}
