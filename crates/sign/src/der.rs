//! DER, as far as keys need it: one strict reader, and the few pieces that are
//! written. Lengths are definite and shortest, integers are shortest; whatever
//! else BER allows is refused, because one key must have one fingerprint.

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The content of a value that is all there is.
    pub(crate) fn only(bytes: &'a [u8], tag: u8) -> Option<Der<'a>> {
        let mut der = Der(bytes);
        let content = der.take(tag)?;
        der.end()?;
        Some(Der(content))
    }

    /// The next value, if it has that tag.
    pub(crate) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content) = self.any()?;
        (found == tag).then_some(content)
    }

    /// The next value with its tag and length, if it has that tag.
    pub(crate) fn whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.is(tag) { self.any_whole() } else { None }
    }

    /// Whether the next value has that tag.
    pub(crate) fn is(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// The next value as values of its own.
    pub(crate) fn inside(&mut self, tag: u8) -> Option<Der<'a>> {
        self.take(tag).map(Der)
    }

    /// The next value, whatever it is: tag and content.
    pub(crate) fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        // Tags above 30 have more bytes; no key has one.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 => {
                let (&length, rest) = rest.split_first()?;
                (usize::from(length), rest)
            }
            0x82 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            0x83 => {
                let (length, rest) = rest.split_first_chunk::<3>()?;
                (u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize, rest)
            }
            _ => return None,
        };
        let shortest = match first {
            0x81 => length >= 0x80,
            0x82 => length >= 0x100,
            0x83 => length >= 0x1_0000,
            _ => true,
        };
        if !shortest || length > rest.len() {
            return None;
        }
        let (content, rest) = rest.split_at(length);
        self.0 = rest;
        Some((tag, content))
    }

    /// A whole number that is not negative, without the zero that shows it.
    pub(crate) fn unsigned(&mut self) -> Option<&'a [u8]> {
        let content = self.take(INTEGER)?;
        match content {
            [] => None,
            [first, ..] if *first >= 0x80 => None,
            [0] => Some(content),
            [0, rest @ ..] if !rest.is_empty() && rest[0] >= 0x80 => Some(rest),
            [0, ..] => None,
            _ => Some(content),
        }
    }

    /// The bytes of a bit string that has whole ones.
    pub(crate) fn bits(&mut self) -> Option<&'a [u8]> {
        match self.take(BIT_STRING)? {
            [0, bits @ ..] => Some(bits),
            _ => None,
        }
    }

    /// Nothing follows.
    pub(crate) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next value, whatever it is, with its tag and length.
    pub(crate) fn any_whole(&mut self) -> Option<&'a [u8]> {
        let before = self.0;
        self.any()?;
        before.get(..before.len() - self.0.len())
    }
}

/// A value, as it is written.
pub(crate) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        0x100..=0xffff => out.extend([0x82, (length >> 8) as u8, length as u8]),
        _ => out.extend([0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8]),
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_is_not_the_shortest() {
        for bad in [
            &[0x02, 0x81, 0x01, 0x01][..], // a long form for a short length
            &[0x02, 0x80, 0x01],           // an indefinite length
            &[0x02, 0x02, 0x00, 0x01],     // a zero too many
            &[0x02, 0x01, 0x80],           // a negative number
            &[0x02, 0x00],
            &[0x02, 0x02, 0x01],
            &[0x02],
            &[],
        ] {
            assert_eq!(Der::new(bad).unsigned(), None, "{bad:?}");
        }
        assert_eq!(Der::new(&[2, 1, 0]).unsigned(), Some(&[0][..]));
        assert_eq!(Der::new(&[2, 2, 0, 0x80]).unsigned(), Some(&[0x80][..]));
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(content in prop::collection::vec(any::<u8>(), 0..70_000)) {
            let written = value(OCTET_STRING, &[&content]);
            let mut der = Der::new(&written);
            prop_assert_eq!(der.take(OCTET_STRING), Some(&content[..]));
            prop_assert!(der.is_empty());
        }

        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let mut der = Der::new(&bytes);
            while der.any().is_some() {}
            let _ = (Der::new(&bytes).unsigned(), Der::new(&bytes).bits());
        }
    }
}
