//! Proofs that something is not in a zone: NSEC (RFC 4034) and NSEC3 (RFC 5155).

use super::message::{Kind, Name, Reader, Record};

/// How often a name may be hashed; more is for nobody's good (RFC 9276).
const ITERATIONS: u16 = 150;

/// What is proved of a name that could be a zone of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cut {
    /// It is one, and has no keys.
    Unsigned,
    /// It is none.
    None,
    /// There is no such name.
    Absent,
    /// Nothing is proved.
    Unproved,
}

/// Proofs that the keys of a zone have signed.
pub(super) struct Denial {
    name: Name,
    zone: Name,
    plain: Vec<Plain>,
    hashed: Vec<Hashed>,
    /// Whether names would have to be hashed too often.
    costly: bool,
}

struct Plain {
    owner: Name,
    next: Name,
    kinds: Vec<u16>,
}

struct Hashed {
    owner: Vec<u8>,
    next: Vec<u8>,
    kinds: Vec<u16>,
    opt_out: bool,
    iterations: u16,
    salt: Vec<u8>,
}

impl Denial {
    pub(super) fn new(records: Vec<Record>, name: Name, zone: Name) -> Self {
        let mut denial = Self { name, zone, plain: Vec::new(), hashed: Vec::new(), costly: false };
        for record in records {
            if record.kind == Kind::NSEC {
                denial.plain.extend(plain(&record));
            } else if let Some(hashed) = hashed(&record, &denial.zone) {
                if hashed.iterations > ITERATIONS {
                    denial.costly = true;
                } else if denial.hashed.len() < 8 {
                    denial.hashed.push(hashed);
                }
            }
        }
        denial
    }

    /// What is proved of the name as a zone of its own, without keys.
    pub(super) fn no_keys(&self) -> Cut {
        if self.costly {
            return Cut::Unsigned;
        }
        let judged = |kinds: &[u16]| {
            if kinds.contains(&Kind::DS.0) || kinds.contains(&Kind::SOA.0) {
                Cut::Unproved
            } else if kinds.contains(&Kind::NS.0) {
                Cut::Unsigned
            } else {
                Cut::None
            }
        };
        if let Some(one) = self.plain.iter().find(|one| one.owner == self.name) {
            return judged(&one.kinds);
        }
        if let Some(one) = self.matching(&self.name) {
            return judged(&one.kinds);
        }
        // A name between others, with nothing of its own.
        if self.plain.iter().any(|one| one.covers(&self.name) && one.next.below(&self.name)) {
            return Cut::None;
        }
        if self.plain.iter().any(|one| one.covers(&self.name)) {
            return Cut::Absent;
        }
        match self.closest() {
            Some((_, closer)) => match self.covering(&closer) {
                // Between two signed ones, unsigned ones may lie.
                Some(one) if one.opt_out => Cut::Unsigned,
                Some(_) => Cut::Absent,
                None => Cut::Unproved,
            },
            None => Cut::Unproved,
        }
    }

    /// Whether it is proved that the name has no record of that kind, and no alias.
    pub(super) fn no_record(&self, kind: Kind) -> bool {
        let without = |kinds: &[u16]| {
            let cut = kinds.contains(&Kind::NS.0) && !kinds.contains(&Kind::SOA.0);
            !kinds.contains(&kind.0) && !kinds.contains(&Kind::CNAME.0) && !cut
        };
        if let Some(one) = self.plain.iter().find(|one| one.owner == self.name) {
            return without(&one.kinds);
        }
        if let Some(one) = self.matching(&self.name) {
            return without(&one.kinds);
        }
        if let Some(one) = self.plain.iter().find(|one| one.covers(&self.name)) {
            if one.next.below(&self.name) {
                return true;
            }
            // The closest name that exists, and no wildcard below it.
            let common = |other: &Name| {
                self.name
                    .0
                    .iter()
                    .rev()
                    .zip(other.0.iter().rev())
                    .take_while(|(a, b)| a == b)
                    .count()
            };
            let wildcard = self.name.last(common(&one.owner).max(common(&one.next))).wildcard();
            return self.plain.iter().any(|one| {
                one.covers(&wildcard) || (one.owner == wildcard && without(&one.kinds))
            });
        }
        let Some((encloser, closer)) = self.closest() else { return false };
        let Some(cover) = self.covering(&closer) else { return false };
        let wildcard = encloser.wildcard();
        !cover.opt_out
            && (self.covering(&wildcard).is_some()
                || self.matching(&wildcard).is_some_and(|one| without(&one.kinds)))
    }

    /// Whether it is proved that a name does not exist.
    pub(super) fn covers(&self, name: &Name) -> bool {
        self.plain.iter().any(|one| one.covers(&self.name) && !one.next.below(name))
            || self.covering(name).is_some()
    }

    fn matching(&self, name: &Name) -> Option<&Hashed> {
        self.hashed.iter().find(|one| one.hash(name) == one.owner)
    }

    fn covering(&self, name: &Name) -> Option<&Hashed> {
        self.hashed.iter().find(|one| {
            let hash = one.hash(name);
            if one.owner < one.next {
                one.owner < hash && hash < one.next
            } else {
                hash > one.owner || hash < one.next
            }
        })
    }

    /// The longest end of the name that is shown to exist, and what is one longer.
    fn closest(&self) -> Option<(Name, Name)> {
        (self.zone.0.len()..self.name.0.len()).rev().find_map(|count| {
            let encloser = self.name.last(count);
            let one = self.matching(&encloser)?;
            // What is above a cut says nothing of what is below.
            let cut = one.kinds.contains(&Kind::NS.0) && !one.kinds.contains(&Kind::SOA.0);
            (!cut && !one.kinds.contains(&Kind::DNAME.0))
                .then(|| (encloser, self.name.last(count + 1)))
        })
    }
}

impl Plain {
    /// Whether a name would stand between the two; the last one leads back to
    /// the first. What is above a cut says nothing of what is below.
    fn covers(&self, name: &Name) -> bool {
        let cut = self.kinds.contains(&Kind::NS.0) && !self.kinds.contains(&Kind::SOA.0);
        if name.below(&self.owner) && (cut || self.kinds.contains(&Kind::DNAME.0)) {
            return false;
        }
        if self.owner < self.next {
            self.owner < *name && *name < self.next
        } else {
            self.owner < *name && name.below(&self.next)
        }
    }
}

impl Hashed {
    fn hash(&self, name: &Name) -> Vec<u8> {
        let mut hash = sha1(&[name.wire(), self.salt.clone()].concat());
        for _ in 0..self.iterations {
            hash = sha1(&[&hash[..], &self.salt].concat());
        }
        hash.to_vec()
    }
}

fn plain(record: &Record) -> Option<Plain> {
    let mut reader = Reader { bytes: &record.data, at: 0 };
    let next = reader.name()?;
    Some(Plain { owner: record.name.clone(), next, kinds: kinds(reader.rest())? })
}

fn hashed(record: &Record, zone: &Name) -> Option<Hashed> {
    // The hash is one label above the zone.
    if record.name.0.len() != zone.0.len() + 1 || !record.name.below(zone) {
        return None;
    }
    let mut reader = Reader { bytes: &record.data, at: 0 };
    let (algorithm, flags, iterations) = (reader.byte()?, reader.byte()?, reader.short()?);
    let length = usize::from(reader.byte()?);
    let salt = reader.take(length)?.to_vec();
    let length = usize::from(reader.byte()?);
    let next = reader.take(length)?.to_vec();
    let kinds = kinds(reader.rest())?;
    let owner = base32(record.name.0.first()?)?;
    if algorithm != 1 || flags > 1 || owner.len() != 20 || next.len() != 20 {
        return None;
    }
    Some(Hashed { owner, next, kinds, opt_out: flags == 1, iterations, salt })
}

/// The kinds of records that a name has.
fn kinds(data: &[u8]) -> Option<Vec<u16>> {
    let mut reader = Reader { bytes: data, at: 0 };
    let mut kinds = Vec::new();
    while reader.at < data.len() {
        let window = u16::from(reader.byte()?);
        let length = usize::from(reader.byte()?);
        for (at, byte) in reader.take(length)?.iter().enumerate() {
            for bit in (0..8).filter(|bit| byte & (0x80 >> bit) != 0) {
                kinds.push(window << 8 | (at as u16 * 8 + bit));
            }
        }
    }
    Some(kinds)
}

/// Base 32 with the extended alphabet (RFC 4648, 7), without padding.
fn base32(text: &[u8]) -> Option<Vec<u8>> {
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
    for letter in text {
        let value = match letter {
            b'0'..=b'9' => letter - b'0',
            b'a'..=b'v' => letter - b'a' + 10,
            _ => return None,
        };
        bits = bits << 5 | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(out)
}

/// SHA-1 (FIPS 180-4), which NSEC3 needs to spread names, and nothing else does.
#[allow(clippy::many_single_char_names, reason = "the standard calls them so")]
fn sha1(text: &[u8]) -> [u8; 20] {
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = text.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(text.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(64) {
        let mut words = [0u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks(4)) {
            *word = bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        }
        for at in 16..80 {
            words[at] =
                (words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (mixed, constant) = match at / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6u32),
            };
            let next = a
                .rotate_left(5)
                .wrapping_add(mixed)
                .wrapping_add(e)
                .wrapping_add(constant)
                .wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (old, new) in state.iter_mut().zip([a, b, c, d, e]) {
            *old = old.wrapping_add(new);
        }
    }
    let mut out = [0; 20];
    for (bytes, word) in out.chunks_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex;

    #[test]
    fn names_are_hashed_as_others_do() {
        assert_eq!(hex(&sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex(&sha1(&[b'a'; 200])), "e61cfffe0d9195a525fc6cf06ca2d77119c24a40");
        // RFC 5155, appendix A.
        let record = Hashed {
            owner: Vec::new(),
            next: Vec::new(),
            kinds: Vec::new(),
            opt_out: false,
            iterations: 12,
            salt: vec![0xaa, 0xbb, 0xcc, 0xdd],
        };
        for (name, hash) in [
            ("example", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
            ("a.example", "35mthgpgcu1qg68fab165klnsnk3dpvl"),
            ("*.w.example", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
        ] {
            assert_eq!(
                Some(record.hash(&name.parse().expect("name"))),
                base32(hash.as_bytes()),
                "{name}"
            );
        }
    }
}
