//! Packets: a tag, a length, and a body.

use std::borrow::Cow;

use crate::reason::Reason;

pub(super) const SIGNATURE: u8 = 2;
pub(super) const ONE_PASS: u8 = 4;
pub(super) const PUBLIC_KEY: u8 = 6;
pub(super) const COMPRESSED: u8 = 8;
pub(super) const LITERAL: u8 = 11;
pub(super) const USER_ID: u8 = 13;
pub(super) const PUBLIC_SUBKEY: u8 = 14;
pub(super) const USER_ATTRIBUTE: u8 = 17;

/// A packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Packet<'a> {
    pub(super) tag: u8,
    pub(super) body: Cow<'a, [u8]>,
}

/// All packets of some bytes.
pub(super) fn all(bytes: &[u8]) -> Result<Vec<Packet<'_>>, Reason> {
    let mut reader = Reader(bytes);
    let mut packets = Vec::new();
    while !reader.0.is_empty() {
        packets.push(reader.packet().ok_or_else(|| Reason::malformed("no OpenPGP packets"))?);
    }
    Ok(packets)
}

/// Bytes that are taken from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    pub(super) fn half(&mut self) -> Option<usize> {
        self.take(2).map(|taken| usize::from(taken[0]) << 8 | usize::from(taken[1]))
    }

    pub(super) fn word(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// A whole number, with its length in bits in front.
    pub(super) fn number(&mut self) -> Option<&'a [u8]> {
        let bits = self.half()?;
        self.take(bits.div_ceil(8))
    }

    fn packet(&mut self) -> Option<Packet<'a>> {
        let head = self.byte()?;
        if head & 0x80 == 0 {
            return None;
        }
        if head & 0x40 != 0 {
            return self.new_form(head & 0x3f);
        }
        let length = match head & 3 {
            0 => usize::from(self.byte()?),
            1 => self.half()?,
            2 => self.word()? as usize,
            _ => self.0.len(),
        };
        let body = Cow::Borrowed(self.take(length)?);
        Some(Packet { tag: head >> 2 & 0x0f, body })
    }

    fn new_form(&mut self, tag: u8) -> Option<Packet<'a>> {
        let mut parts = Vec::new();
        loop {
            let first = self.byte()?;
            let (length, last) = match first {
                0..=191 => (usize::from(first), true),
                192..=223 => {
                    (((usize::from(first) - 192) << 8) + usize::from(self.byte()?) + 192, true)
                }
                255 => (self.word()? as usize, true),
                _ => (1 << (first & 0x1f), false),
            };
            let part = self.take(length)?;
            if last && parts.is_empty() {
                return Some(Packet { tag, body: Cow::Borrowed(part) });
            }
            parts.extend_from_slice(part);
            if last {
                return Some(Packet { tag, body: Cow::Owned(parts) });
            }
        }
    }
}
