//! Messages of the DNS (RFC 1035, section 4), as much of them as is asked and
//! answered here.

use std::fmt;
use std::str::FromStr;

use plimsoll_content::{Code, Error, Result};

/// The longest name, in bytes.
const NAME: usize = 255;

/// The most records that are read of a message.
const RECORDS: usize = 256;

/// The largest message that is asked for over UDP.
const UDP: u16 = 1232;

/// A name, in lower case, from its first label to its last.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Name(pub(super) Vec<Vec<u8>>);

impl Name {
    pub(super) fn root() -> Self {
        Self(Vec::new())
    }

    /// The last `count` labels.
    pub(super) fn last(&self, count: usize) -> Self {
        Self(self.0[self.0.len().saturating_sub(count)..].to_vec())
    }

    pub(super) fn below(&self, other: &Self) -> bool {
        self.0.ends_with(&other.0)
    }

    pub(super) fn wildcard(&self) -> Self {
        let mut labels = vec![b"*".to_vec()];
        labels.extend(self.0.iter().cloned());
        Self(labels)
    }

    /// As it stands in a message, uncompressed.
    pub(super) fn wire(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for label in &self.0 {
            out.push(label.len() as u8);
            out.extend_from_slice(label);
        }
        out.push(0);
        out
    }
}

/// The canonical order: by labels from the last to the first (RFC 4034, 6.1).
impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let labels: Vec<Vec<u8>> = text
            .trim_end_matches('.')
            .split('.')
            .filter(|label| !label.is_empty())
            .map(|label| label.to_ascii_lowercase().into_bytes())
            .collect();
        let name = Self(labels);
        if name.0.iter().any(|label| label.len() > 63) || name.wire().len() > NAME {
            return Err(Error::new(Code::Discovery, format!("asking the DNS for {text}"))
                .found("a name that is too long"));
        }
        Ok(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for (at, label) in self.0.iter().enumerate() {
            let joint = if at == 0 { "" } else { "." };
            write!(f, "{joint}{}", label.escape_ascii())?;
        }
        Ok(())
    }
}

/// A kind of record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Kind(pub(super) u16);

impl Kind {
    pub(super) const NS: Self = Self(2);
    pub(super) const CNAME: Self = Self(5);
    pub(super) const SOA: Self = Self(6);
    pub(super) const TXT: Self = Self(16);
    pub(super) const DNAME: Self = Self(39);
    pub(super) const DS: Self = Self(43);
    pub(super) const RRSIG: Self = Self(46);
    pub(super) const NSEC: Self = Self(47);
    pub(super) const DNSKEY: Self = Self(48);
    pub(super) const NSEC3: Self = Self(50);
    const OPT: Self = Self(41);
}

/// A record. Names in its data are uncompressed and in lower case.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) name: Name,
    pub(super) kind: Kind,
    pub(super) ttl: u32,
    pub(super) data: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) code: u8,
    pub(super) answers: Vec<Record>,
    pub(super) authority: Vec<Record>,
}

/// A query for records of a kind, with signatures and without anybody's judgement.
pub fn query(name: &Name, kind: u16) -> Vec<u8> {
    // Recursion desired, checking disabled; one question, one addition.
    let mut out = vec![0, 0, 0x01, 0x10, 0, 1, 0, 0, 0, 0, 0, 1];
    out.extend_from_slice(&name.wire());
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    // EDNS: the root, OPT, the size, no extended code, DO, nothing.
    out.push(0);
    out.extend_from_slice(&Kind::OPT.0.to_be_bytes());
    out.extend_from_slice(&UDP.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0x80, 0, 0, 0]);
    out
}

/// Reads an answer to a question.
pub(super) fn parse(bytes: &[u8], name: &Name, kind: Kind) -> Option<Message> {
    let mut reader = Reader { bytes, at: 0 };
    let header = reader.take(12)?;
    let count = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
    let (questions, answers, authority) = (count(4), count(6), count(8));
    // It is an answer, and not cut off.
    if header[2] & 0x80 == 0 || header[2] & 0x02 != 0 || questions != 1 {
        return None;
    }
    let asked = reader.name()?;
    if asked != *name || reader.take(4)? != [kind.0.to_be_bytes(), [0, 1]].concat() {
        return None;
    }
    if answers + authority > RECORDS {
        return None;
    }
    let mut read = |count: usize| -> Option<Vec<Record>> {
        let mut records = Vec::new();
        for _ in 0..count {
            reader.record(&mut records)?;
        }
        Some(records)
    };
    Some(Message { code: header[3] & 0x0f, answers: read(answers)?, authority: read(authority)? })
}

pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let found = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(found)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn short(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn long(&mut self) -> Option<u32> {
        self.take(4).map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        let found = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        found
    }

    /// A name, whose end may stand further ahead in the message.
    pub(super) fn name(&mut self) -> Option<Name> {
        let mut labels = Vec::new();
        let (mut at, mut jumped, mut length, mut first) = (self.at, false, 1, self.at);
        loop {
            let byte = usize::from(*self.bytes.get(at)?);
            match byte {
                0 => {
                    if !jumped {
                        self.at = at + 1;
                    }
                    return Some(Name(labels));
                }
                1..=63 => {
                    let label = self.bytes.get(at + 1..at + 1 + byte)?;
                    length += byte + 1;
                    if length > NAME {
                        return None;
                    }
                    labels.push(label.to_ascii_lowercase());
                    at += byte + 1;
                }
                0xc0..=0xff => {
                    let low = usize::from(*self.bytes.get(at + 1)?);
                    if !jumped {
                        self.at = at + 2;
                    }
                    let to = (byte & 0x3f) << 8 | low;
                    // Always backwards, or it would never end.
                    if to >= first {
                        return None;
                    }
                    (jumped, first, at) = (true, to, to);
                }
                _ => return None,
            }
        }
    }

    /// Reads a record. One of another class is passed over.
    fn record(&mut self, into: &mut Vec<Record>) -> Option<()> {
        let name = self.name()?;
        let kind = Kind(self.short()?);
        let class = self.short()?;
        let ttl = self.long()?;
        let length = usize::from(self.short()?);
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        let data = match kind {
            Kind::CNAME | Kind::NS | Kind::DNAME => {
                let target = self.name()?;
                (self.at == end).then_some(())?;
                target.wire()
            }
            _ => self.take(length)?.to_vec(),
        };
        if class == 1 {
            into.push(Record { name, kind, ttl, data });
        }
        Some(())
    }
}

/// The strings of a TXT record, as one.
pub(super) fn strings(data: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader { bytes: data, at: 0 };
    let mut out = Vec::new();
    while reader.at < data.len() {
        let length = usize::from(reader.byte()?);
        out.extend_from_slice(reader.take(length)?);
    }
    Some(out)
}
