//! The chain of keys from the root of the DNS to a zone, and records that the
//! keys of a zone have signed.

use plimsoll_content::{Code, Error, Result};
use sha2::{Digest as _, Sha256, Sha384};

use super::denial::{self, Denial};
use super::message::{self, Kind, Message, Name, Reader, Record, query, strings};
use super::{Anchor, Exchange, MESSAGES, bogus, wrong};
use crate::crypto::{Public, Scheme};
use crate::time::Time;

/// How many signatures one answer may take: some messages are made to need many.
const SIGNATURES: u32 = 128;

/// A zone whose keys are proved.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    pub(super) name: Name,
    keys: Vec<Key>,
}

#[derive(Clone, Debug)]
struct Key {
    tag: u16,
    algorithm: u8,
    data: Vec<u8>,
}

/// What is proved of a name before it is asked for.
pub(super) enum Standing {
    /// It lies in this zone, whose keys are proved.
    Zone(Zone),
    /// It lies where nobody signs.
    Insecure,
}

/// What was found.
pub(super) struct Answer {
    pub(super) texts: Vec<Vec<u8>>,
    pub(super) alias: Option<Name>,
    pub(super) ttl: u64,
}

pub(super) struct Prover<'a> {
    exchange: &'a dyn Exchange,
    anchors: &'a [Anchor],
    now: Time,
    messages: u32,
    signatures: u32,
}

impl<'a> Prover<'a> {
    pub(super) fn new(exchange: &'a dyn Exchange, anchors: &'a [Anchor], now: Time) -> Self {
        Self { exchange, anchors, now, messages: 0, signatures: 0 }
    }

    /// In which zone a name lies, from the root down.
    pub(super) fn stand(&mut self, name: &Name) -> Result<Standing> {
        let Some(mut zone) = self.root()? else { return Ok(Standing::Insecure) };
        for count in 1..=name.0.len() {
            let child = name.last(count);
            let said = self.ask(&child, Kind::DS)?;
            let digests = set(&said.answers, &child, Kind::DS);
            if !digests.is_empty() {
                self.signed(&said.answers, &child, Kind::DS, &zone)?
                    .ok_or_else(|| bogus(&child, "keys of a zone that nobody has signed"))?;
                let digests: Vec<Anchor> =
                    digests.iter().filter_map(|one| anchor(&one.data)).collect();
                let Some(below) = self.keys(&child, &digests)? else {
                    return Ok(Standing::Insecure);
                };
                zone = below;
                continue;
            }
            if !set(&said.answers, &child, Kind::CNAME).is_empty() {
                // An alias is no zone of its own.
                self.signed(&said.answers, &child, Kind::CNAME, &zone)?
                    .ok_or_else(|| bogus(&child, "an alias that nobody has signed"))?;
                continue;
            }
            match self.denial(&said, &child, &zone)?.no_keys() {
                denial::Cut::Unsigned => return Ok(Standing::Insecure),
                denial::Cut::None => {}
                // Nothing is below, but for what a wildcard makes.
                denial::Cut::Absent => return Ok(Standing::Zone(zone)),
                denial::Cut::Unproved => {
                    return Err(bogus(&child, "no proof that its zone has no keys"));
                }
            }
        }
        Ok(Standing::Zone(zone))
    }

    /// The keys of the root, or nothing if the server hands out no signatures.
    fn root(&mut self) -> Result<Option<Zone>> {
        let root = Name::root();
        let said = self.ask(&root, Kind::DNSKEY)?;
        if !said.answers.iter().any(|record| record.kind == Kind::RRSIG) {
            return Ok(None);
        }
        let anchors = self.anchors.to_vec();
        self.keys_of(&said, &root, &anchors)
    }

    fn keys(&mut self, name: &Name, anchors: &[Anchor]) -> Result<Option<Zone>> {
        let usable = |one: &&Anchor| scheme(one.algorithm).is_some() && matches!(one.kind, 2 | 4);
        if anchors.iter().find(usable).is_none() {
            // All of it is of kinds that can not be verified: as if unsigned.
            return Ok(None);
        }
        let said = self.ask(name, Kind::DNSKEY)?;
        self.keys_of(&said, name, anchors)
    }

    /// The keys of a zone, one of which is vouched for and has signed them all.
    fn keys_of(&mut self, said: &Message, name: &Name, anchors: &[Anchor]) -> Result<Option<Zone>> {
        let all: Vec<Key> = set(&said.answers, name, Kind::DNSKEY)
            .iter()
            .filter_map(|one| key(&one.data))
            .collect();
        let vouched = |key: &Key| {
            anchors.iter().any(|anchor| {
                let text = [name.wire(), key.data.clone()].concat();
                let digest = match anchor.kind {
                    2 => Sha256::digest(&text).to_vec(),
                    4 => Sha384::digest(&text).to_vec(),
                    _ => return false,
                };
                anchor.tag == key.tag
                    && anchor.algorithm == key.algorithm
                    && anchor.digest == digest
            })
        };
        let trusted = Zone {
            name: name.clone(),
            keys: all.iter().filter(|key| vouched(key)).cloned().collect(),
        };
        self.signed(&said.answers, name, Kind::DNSKEY, &trusted)?
            .ok_or_else(|| bogus(name, "keys that no trusted key has signed"))?;
        Ok(Some(Zone { name: name.clone(), keys: all }))
    }

    /// What a zone says of a name, proved.
    pub(super) fn proved(&mut self, name: &Name, kind: Kind, zone: &Zone) -> Result<Answer> {
        let said = self.ask(name, kind)?;
        for wanted in [kind, Kind::CNAME] {
            let records = set(&said.answers, name, wanted);
            if records.is_empty() {
                continue;
            }
            let signed = self
                .signed(&said.answers, name, wanted, zone)?
                .ok_or_else(|| bogus(name, "records that nobody has signed"))?;
            if let Some(closer) = signed.wildcard {
                // The name itself must not exist.
                if !self.denial(&said, name, zone)?.covers(&closer) {
                    return Err(bogus(name, "a wildcard, and no proof that the name is not there"));
                }
            }
            return Ok(answer(&records, wanted, signed.ttl));
        }
        if self.denial(&said, name, zone)?.no_record(kind) {
            return Ok(Answer { texts: Vec::new(), alias: None, ttl: 3600 });
        }
        Err(bogus(name, "no proof that there is no record"))
    }

    /// What is said of a name, by whomever.
    pub(super) fn plain(&mut self, name: &Name, kind: Kind) -> Result<Answer> {
        let said = self.ask(name, kind)?;
        for wanted in [kind, Kind::CNAME] {
            let records = set(&said.answers, name, wanted);
            if let Some(ttl) = records.iter().map(|one| u64::from(one.ttl)).min() {
                return Ok(answer(&records, wanted, ttl));
            }
        }
        Ok(Answer { texts: Vec::new(), alias: None, ttl: 3600 })
    }

    fn ask(&mut self, name: &Name, kind: Kind) -> Result<Message> {
        self.messages += 1;
        if self.messages > MESSAGES {
            return Err(wrong(name).found(format!("more than {MESSAGES} messages")));
        }
        let bytes = self.exchange.ask(&query(name, kind.0))?;
        let said = message::parse(&bytes, name, kind)
            .ok_or_else(|| wrong(name).found("something that is no answer to it"))?;
        match said.code {
            // No error, and no such name.
            0 | 3 => Ok(said),
            code => Err(Error::new(Code::Network, format!("asking the DNS for {name}"))
                .found(format!("error {code} of the server"))
                .expected("an answer")),
        }
    }

    /// Whether a key of the zone has signed all records of a kind under a name.
    fn signed(
        &mut self,
        records: &[Record],
        name: &Name,
        kind: Kind,
        zone: &Zone,
    ) -> Result<Option<Signed>> {
        let set = set(records, name, kind);
        for record in records.iter().filter(|one| one.kind == Kind::RRSIG && one.name == *name) {
            let Some(signature) = Signature::parse(&record.data) else { continue };
            let fits = signature.covers == kind.0
                && signature.signer == zone.name
                && name.below(&zone.name)
                && usize::from(signature.labels) <= name.0.len()
                && signature.is_current(self.now);
            if !fits {
                continue;
            }
            let Some(scheme) = scheme(signature.algorithm) else { continue };
            let text = signature.text(&set, name);
            for key in &zone.keys {
                if key.tag != signature.tag || key.algorithm != signature.algorithm {
                    continue;
                }
                self.signatures += 1;
                if self.signatures > SIGNATURES {
                    return Err(bogus(name, format!("more than {SIGNATURES} signatures")));
                }
                let Some(public) = public(key) else { continue };
                if public.verify(scheme, &text, &signature.bytes) {
                    let ttl = set.iter().map(|one| one.ttl).min().unwrap_or(0).min(signature.ttl);
                    let left = i64::from(signature.expires.wrapping_sub(self.now.0 as u32));
                    // With the asterisk itself in front, it is no expansion.
                    let own = name.0.first().is_some_and(|label| label == b"*");
                    let count = name.0.len() - usize::from(own);
                    let expanded = usize::from(signature.labels) < count;
                    return Ok(Some(Signed {
                        ttl: u64::from(ttl).min(left.max(0) as u64),
                        wildcard: expanded.then(|| name.last(usize::from(signature.labels) + 1)),
                    }));
                }
            }
        }
        Ok(None)
    }

    /// What a message proves not to be there.
    fn denial(&mut self, said: &Message, name: &Name, zone: &Zone) -> Result<Denial> {
        let mut good = Vec::new();
        for record in &said.authority {
            if matches!(record.kind, Kind::NSEC | Kind::NSEC3)
                && self
                    .signed(&said.authority, &record.name, record.kind, zone)?
                    .is_some_and(|signed| signed.wildcard.is_none())
            {
                good.push(record.clone());
            }
        }
        Ok(Denial::new(good, name.clone(), zone.name.clone()))
    }
}

struct Signed {
    ttl: u64,
    /// If a wildcard made the name: what must not exist for that.
    wildcard: Option<Name>,
}

struct Signature {
    covers: u16,
    algorithm: u8,
    labels: u8,
    ttl: u32,
    expires: u32,
    begins: u32,
    tag: u16,
    signer: Name,
    head: Vec<u8>,
    bytes: Vec<u8>,
}

impl Signature {
    fn parse(data: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes: data, at: 0 };
        let covers = reader.short()?;
        let (algorithm, labels) = (reader.byte()?, reader.byte()?);
        let (ttl, expires, begins) = (reader.long()?, reader.long()?, reader.long()?);
        let tag = reader.short()?;
        let head = data[..reader.at].to_vec();
        // It is never compressed: the data would reach out of itself.
        let signer = reader.name()?;
        let bytes = reader.rest().to_vec();
        Some(Self { covers, algorithm, labels, ttl, expires, begins, tag, signer, head, bytes })
    }

    /// Times go round after 136 years (RFC 1982).
    fn is_current(&self, now: Time) -> bool {
        let now = now.0 as u32;
        let before = |one: u32, other: u32| (other.wrapping_sub(one) as i32) >= 0;
        before(self.begins, now) && before(now, self.expires)
    }

    /// What is signed (RFC 4034, 3.1.8.1).
    fn text(&self, set: &[&Record], name: &Name) -> Vec<u8> {
        let labels = usize::from(self.labels);
        let owner = if labels < name.0.len() && name.0[0] != b"*" {
            name.last(labels).wildcard()
        } else {
            name.clone()
        };
        let mut data: Vec<&[u8]> = set.iter().map(|one| one.data.as_slice()).collect();
        data.sort_unstable();
        data.dedup();
        let mut text = [self.head.clone(), self.signer.wire()].concat();
        for data in data {
            text.extend_from_slice(&owner.wire());
            text.extend_from_slice(&self.covers.to_be_bytes());
            text.extend_from_slice(&[0, 1]);
            text.extend_from_slice(&self.ttl.to_be_bytes());
            text.extend_from_slice(&(data.len() as u16).to_be_bytes());
            text.extend_from_slice(data);
        }
        text
    }
}

fn set<'r>(records: &'r [Record], name: &Name, kind: Kind) -> Vec<&'r Record> {
    records.iter().filter(|one| one.kind == kind && one.name == *name).collect()
}

fn answer(records: &[&Record], kind: Kind, ttl: u64) -> Answer {
    if kind == Kind::CNAME {
        let alias = records.first().and_then(|one| Reader { bytes: &one.data, at: 0 }.name());
        return Answer { texts: Vec::new(), alias, ttl };
    }
    Answer {
        texts: records.iter().filter_map(|one| strings(&one.data)).collect(),
        alias: None,
        ttl,
    }
}

/// A key that may sign a zone, and is not taken back.
fn key(data: &[u8]) -> Option<Key> {
    let mut reader = Reader { bytes: data, at: 0 };
    let (flags, protocol, algorithm) = (reader.short()?, reader.byte()?, reader.byte()?);
    if flags & 0x0100 == 0 || flags & 0x0080 != 0 || protocol != 3 {
        return None;
    }
    // RFC 4034, appendix B.
    let sum: u32 = data
        .iter()
        .enumerate()
        .map(|(at, byte)| if at % 2 == 0 { u32::from(*byte) << 8 } else { u32::from(*byte) })
        .fold(0, u32::wrapping_add);
    let tag = (sum.wrapping_add(sum >> 16) & 0xffff) as u16;
    Some(Key { tag, algorithm, data: data.to_vec() })
}

fn anchor(data: &[u8]) -> Option<Anchor> {
    let mut reader = Reader { bytes: data, at: 0 };
    let (tag, algorithm, kind) = (reader.short()?, reader.byte()?, reader.byte()?);
    Some(Anchor { tag, algorithm, kind, digest: reader.rest().to_vec() })
}

/// The algorithms that are verified; the others count as unsigned (RFC 4035, 5.2).
fn scheme(algorithm: u8) -> Option<Scheme> {
    match algorithm {
        8 => Some(Scheme::RsaSha256),
        10 => Some(Scheme::RsaSha512),
        13 => Some(Scheme::P256),
        15 => Some(Scheme::Ed25519),
        _ => None,
    }
}

fn public(key: &Key) -> Option<Public> {
    let data = key.data.get(4..)?;
    match key.algorithm {
        8 | 10 => {
            let (length, rest) = match data {
                [0, high, low, rest @ ..] => (usize::from(*high) << 8 | usize::from(*low), rest),
                [length, rest @ ..] => (usize::from(*length), rest),
                [] => return None,
            };
            let (exponent, modulus) = rest.split_at_checked(length)?;
            Public::rsa(modulus, exponent)
        }
        13 => Public::p256(&[&[4], data].concat()),
        15 => Some(Public::Ed25519(data.try_into().ok()?)),
        _ => None,
    }
}
