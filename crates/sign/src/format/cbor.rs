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

/// Writes what begins each value: what it is, and how long or how much.
fn begin(major: u8, number: u64) -> Vec<u8> {
    let major = major << 5;
    let bytes = number.to_be_bytes();
    match number {
        0..=23 => vec![major | bytes[7]],
        24..=0xff => vec![major | 0x18, bytes[7]],
        0x100..=0xffff => [&[major | 0x19][..], &bytes[6..]].concat(),
        0x1_0000..=0xffff_ffff => [&[major | 0x1a][..], &bytes[4..]].concat(),
        _ => [&[major | 0x1b][..], &bytes[..]].concat(),
    }
}

/// Writes a whole number.
pub(super) fn number(number: i64) -> Vec<u8> {
    if number < 0 {
        begin(1, (-1 - number).unsigned_abs())
    } else {
        begin(0, number.unsigned_abs())
    }
}

/// Writes a byte string.
pub(super) fn bytes(content: &[u8]) -> Vec<u8> {
    [begin(2, content.len() as u64), content.to_vec()].concat()
}

/// Writes text.
pub(super) fn text(content: &str) -> Vec<u8> {
    [begin(3, content.len() as u64), content.as_bytes().to_vec()].concat()
}

/// Writes a list of values that are written already.
pub(super) fn array(values: &[Vec<u8>]) -> Vec<u8> {
    [begin(4, values.len() as u64), values.concat()].concat()
}

/// Writes a map of keys and values that are written already, in the order that RFC 8949
/// (4.2.1) demands of keys.
pub(super) fn map(mut pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<u8> {
    pairs.sort();
    let mut out = begin(5, pairs.len() as u64);
    for (key, value) in pairs {
        out.extend(key);
        out.extend(value);
    }
    out
}

/// Writes a value with a tag.
pub(super) fn tag(tag: u64, value: &[u8]) -> Vec<u8> {
    [&begin(6, tag), value].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_is_not_the_shortest_or_not_definite() {
        for bad in [
            &[0x18, 23][..],        // a number that fits into its head
            &[0x19, 0, 255],        // two bytes for one
            &[0x5f, 0x41, 0, 0xff], // bytes in pieces
            &[0xa2, 1, 1, 1, 2],    // one key twice
            &[0x81],                // an element too few
            &[0x01, 0x01],          // a value too many
            &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x81; 9],
        ] {
            assert_eq!(Cbor::parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(
            numbers: Vec<i64>,
            words in prop::collection::btree_map(".{0,40}", prop::collection::vec(any::<u8>(), 0..300), 0..20),
        ) {
            let list: Vec<_> = numbers.iter().map(|one| number(*one)).collect();
            let list = tag(18, &array(&list));
            let read = numbers.iter().map(|one| Cbor::Number(i128::from(*one))).collect();
            prop_assert_eq!(Cbor::parse(&list), Some(Cbor::Tag(18, Box::new(Cbor::Array(read)))));
            let pairs = words.iter().map(|(key, value)| (text(key), bytes(value))).collect();
            let written = map(pairs);
            let read = Cbor::parse(&written).expect("a map");
            for (key, value) in &words {
                prop_assert_eq!(read.get(&Cbor::Text(key)).and_then(Cbor::bytes), Some(&value[..]));
            }
        }
    }
}
