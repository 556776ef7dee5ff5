//! CBOR (RFC 8949), as far as COSE needs it: definite lengths, the shortest ones, and
//! no key twice.

/// A value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Cbor<'a> {
    Number(i128),
    Bytes(&'a [u8]),
    Text(&'a str),
    Array(Vec<Cbor<'a>>),
    Map(Vec<(Cbor<'a>, Cbor<'a>)>),
    Tag(u64, Box<Cbor<'a>>),
    Simple(u8),
}

/// How deep values nest.
const DEPTH: usize = 8;

impl<'a> Cbor<'a> {
    /// Reads a value that is all there is.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let value = value(&mut rest, DEPTH)?;
        rest.is_empty().then_some(value)
    }

    /// What a map has under a key.
    pub(super) fn get(&self, key: &Cbor<'_>) -> Option<&Cbor<'a>> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, more) = rest.split_at_checked(length)?;
    *rest = more;
    Some(taken)
}

fn head(rest: &mut &[u8]) -> Option<(u8, u64)> {
    let first = take(rest, 1)?[0];
    let (length, least) = match first & 0x1f {
        short @ 0..=23 => return Some((first >> 5, u64::from(short))),
        24 => (1, 24),
        25 => (2, 1 << 8),
        26 => (4, 1 << 16),
        27 => (8, 1 << 32),
        _ => return None,
    };
    let number = take(rest, length)?.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    (number >= least).then_some((first >> 5, number))
}

fn value<'a>(rest: &mut &'a [u8], depth: usize) -> Option<Cbor<'a>> {
    let depth = depth.checked_sub(1)?;
    let (major, number) = head(rest)?;
    // Each element takes a byte at least.
    let count = || usize::try_from(number).ok().filter(|count| *count <= 1 << 16);
    Some(match major {
        0 => Cbor::Number(i128::from(number)),
        1 => Cbor::Number(-1 - i128::from(number)),
        2 => Cbor::Bytes(take(rest, usize::try_from(number).ok()?)?),
        3 => Cbor::Text(std::str::from_utf8(take(rest, usize::try_from(number).ok()?)?).ok()?),
        4 => {
            let mut list = Vec::new();
            for _ in 0..count()? {
                list.push(value(rest, depth)?);
            }
            Cbor::Array(list)
        }
        5 => {
            let mut pairs: Vec<(Cbor<'a>, Cbor<'a>)> = Vec::new();
            for _ in 0..count().filter(|count| *count <= 64)? {
                let key = value(rest, depth)?;
                if pairs.iter().any(|(known, _)| *known == key) {
                    return None;
                }
                pairs.push((key, value(rest, depth)?));
            }
            Cbor::Map(pairs)
        }
        6 => Cbor::Tag(number, Box::new(value(rest, depth)?)),
        _ => Cbor::Simple(u8::try_from(number).ok().filter(|simple| (20..24).contains(simple))?),
    })
}

/// Writes a byte string.
pub(super) fn bytes(content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = match length {
        0..=23 => vec![0x40 | length as u8],
        24..=0xff => vec![0x58, length as u8],
        0x100..=0xffff => vec![0x59, (length >> 8) as u8, length as u8],
        _ => [&[0x5a][..], &(length as u32).to_be_bytes()].concat(),
    };
    out.extend_from_slice(content);
    out
}
