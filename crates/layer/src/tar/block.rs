//! The 512-byte header block: where its fields lie and how its numbers are
//! written. What the fields mean together is told in `interpret`.

use std::ops::Range;

/// The unit of an archive: headers, and what content is padded to.
pub(super) const SIZE: usize = 512;

pub(super) const NAME: Range<usize> = 0..100;
pub(super) const MODE: Range<usize> = 100..108;
pub(super) const UID: Range<usize> = 108..116;
pub(super) const GID: Range<usize> = 116..124;
pub(super) const LENGTH: Range<usize> = 124..136;
pub(super) const MTIME: Range<usize> = 136..148;
pub(super) const CHECKSUM: Range<usize> = 148..156;
pub(super) const KIND: usize = 156;
pub(super) const LINK: Range<usize> = 157..257;
pub(super) const MAGIC: Range<usize> = 257..265;
pub(super) const MAJOR: Range<usize> = 329..337;
pub(super) const MINOR: Range<usize> = 337..345;
pub(super) const PREFIX: Range<usize> = 345..500;
/// What star puts behind its shorter prefix, instead of more prefix.
pub(super) const TRAILER: Range<usize> = 508..512;

/// Old GNU sparse files: four pieces of two numbers each, whether more
/// pieces follow in blocks of their own, and the real size.
pub(super) const SPARSE: Range<usize> = 386..482;
pub(super) const SPARSE_MORE: usize = 482;
pub(super) const SPARSE_REAL: Range<usize> = 483..495;
/// All of them.
pub(super) const SPARSE_ALL: Range<usize> = 386..495;
/// In a block of further pieces: 21 of them, and whether more follow.
pub(super) const PIECES: Range<usize> = 0..504;
pub(super) const PIECES_MORE: usize = 504;

/// How many bytes pad a content of `length` to full blocks.
pub(super) fn padding(length: u64) -> u64 {
    length.wrapping_neg() % SIZE as u64
}

/// Which family of headers a block belongs to, by its magic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dialect {
    /// POSIX (ustar, PAX, star): the prefix field belongs to the name.
    Posix,
    /// Old GNU: other fields lie where POSIX has the prefix.
    Gnu,
    /// Anything else: only the fields up to the link name have a meaning.
    V7,
}

/// One header block.
#[derive(Clone)]
pub(super) struct Block(pub(super) [u8; SIZE]);

impl Block {
    pub(super) fn is_zero(&self) -> bool {
        self.0 == [0; SIZE]
    }

    pub(super) fn dialect(&self) -> Dialect {
        match &self.0[MAGIC] {
            b"ustar  \0" => Dialect::Gnu,
            magic if magic.starts_with(b"ustar\0") => Dialect::Posix,
            _ => Dialect::V7,
        }
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[KIND]
    }

    /// The bytes of a text field up to its NUL, which a full field lacks.
    pub(super) fn text(&self, field: Range<usize>) -> &[u8] {
        until_nul(&self.0[field])
    }

    /// A number field; `None` if it is not written in a way that all common
    /// readers take for the same number.
    pub(super) fn number(&self, field: Range<usize>) -> Option<i128> {
        number(&self.0[field])
    }

    /// Whether the checksum holds.
    pub(super) fn checksum(&self) -> Checksum {
        let Some(written) = self.number(CHECKSUM) else {
            return Checksum::Wrong;
        };
        // The checksum field itself counts as spaces.
        let blank = 8 * i128::from(b' ');
        let own: u32 = self.0[CHECKSUM].iter().map(|byte| u32::from(*byte)).sum();
        let sum: u32 = self.0.iter().map(|byte| u32::from(*byte)).sum();
        if i128::from(sum - own) + blank == written {
            return Checksum::Right;
        }
        let signed = |bytes: &[u8]| bytes.iter().map(|byte| i128::from(*byte as i8)).sum::<i128>();
        if signed(&self.0) - signed(&self.0[CHECKSUM]) + blank == written {
            return Checksum::Signed;
        }
        Checksum::Wrong
    }
}

/// What a header's checksum says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Checksum {
    Right,
    /// Summed up over signed bytes, as some old writers did.
    Signed,
    Wrong,
}

pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

/// Reads a number field.
///
/// Octal: spaces, digits, then spaces or a NUL or the end of the field
/// (behind a NUL lies nothing that any reader looks at). A field of only
/// spaces and NULs is zero. Base 256 (GNU): 0x80 or 0xff, then a big-endian
/// number in two's complement; other first bytes above 0x7f are read as
/// numbers by some readers and refused by others. Signs, leading NULs and
/// other characters are read differently by common readers (TP34).
pub(super) fn number(field: &[u8]) -> Option<i128> {
    match field.first() {
        Some(0x80) => Some(field[1..].iter().fold(0, |value, byte| value << 8 | i128::from(*byte))),
        Some(0xff) => {
            Some(field[1..].iter().fold(-1, |value, byte| value << 8 | i128::from(*byte)))
        }
        _ => octal(field).map(i128::from),
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let mut rest = field;
    while let [b' ', tail @ ..] = rest {
        rest = tail;
    }
    let mut value = 0u64;
    let mut digits = 0;
    while let [digit @ b'0'..=b'7', tail @ ..] = rest {
        // Fields have at most 12 digits: 36 bits.
        value = value << 3 | u64::from(digit - b'0');
        digits += 1;
        rest = tail;
    }
    if digits == 0 {
        return rest.iter().all(|byte| matches!(byte, 0 | b' ')).then_some(0);
    }
    while let [b' ', tail @ ..] = rest {
        rest = tail;
    }
    matches!(rest, [] | [0, ..]).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tp34_numbers_are_read_only_where_readers_agree() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"000644 \0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"00000644", Some(0o644)),
            (b"644\0junk", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"77777777", Some(0o77_777_777)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"-000644\0", None),
            (b"+000644\0", None),
            (b"0000648\0", None),
            (b"\x00000644\0", None),
            (b"644 junk", None),
            (b"0o644\0\0\0", None),
            (b"6_44\0\0\0\0", None),
            (b"\t644\0\0\0\0", None),
            (b"\x80\0\0\0\0\0\x01\x02", Some(0x102)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x81\0\0\0\0\0\0\0", None),
            (b"\xc0\0\0\0\0\0\0\0", None),
        ] {
            assert_eq!(number(field), value, "{}", field.escape_ascii());
        }
        assert_eq!(
            number(&[0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
            Some(i64::MAX.into())
        );
    }

    #[test]
    fn padding_fills_blocks() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }
}
