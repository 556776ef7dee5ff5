//! DER, certificates and time stamps, as authorities write them.

use ring::digest;
use ring::rand::SystemRandom;

use plimsoll_sign::key::{KeyPair, Kind, PublicKey};

pub(crate) fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(parts.concat());
    out
}

pub(crate) fn seq(parts: &[&[u8]]) -> Vec<u8> {
    der(0x30, parts)
}

/// An object identifier out of its numbers.
pub(crate) fn oid(text: &str) -> Vec<u8> {
    let numbers: Vec<u64> = text.split('.').map(|part| part.parse().expect("a number")).collect();
    let mut out = vec![(numbers[0] * 40 + numbers[1]) as u8];
    for number in &numbers[2..] {
        let mut bytes = vec![(number & 0x7f) as u8];
        let mut rest = number >> 7;
        while rest > 0 {
            bytes.insert(0, 0x80 | (rest & 0x7f) as u8);
            rest >>= 7;
        }
        out.extend(bytes);
    }
    der(6, &[&out])
}

pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// A time in its parts: year, month, day, hour, minute, second.
fn parts(at: i64) -> [i64; 6] {
    let (mut days, second) = (at.div_euclid(86_400), at.rem_euclid(86_400));
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let february = 28 + i64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    [year, month, days + 1, second / 3600, second / 60 % 60, second % 60]
}

/// `YYYYMMDDHHMMSSZ`.
pub(crate) fn generalized(at: i64) -> String {
    let [year, month, day, hour, minute, second] = parts(at);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z")
}

/// The same as RFC 3339.
pub(crate) fn rfc3339(at: i64) -> String {
    let [year, month, day, hour, minute, second] = parts(at);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Bytes as hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn time(at: i64) -> Vec<u8> {
    der(0x17, &[&generalized(at).as_bytes()[2..]])
}

pub(crate) fn name(common: &str) -> Vec<u8> {
    if common.is_empty() {
        return seq(&[]);
    }
    let pair = seq(&[&oid("2.5.4.3"), &der(0x0c, &[common.as_bytes()])]);
    seq(&[&der(0x31, &[&pair])])
}

/// The algorithm with which keys of that kind sign.
pub(crate) fn algorithm(kind: Kind) -> Vec<u8> {
    seq(&[&oid(match kind {
        Kind::P384 => "1.2.840.10045.4.3.3",
        _ => "1.2.840.10045.4.3.2",
    })])
}

pub(crate) fn extension(id: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let value = der(4, &[value]);
    if critical { seq(&[&oid(id), &[1, 1, 0xff], &value]) } else { seq(&[&oid(id), &value]) }
}

pub(crate) const BASIC: &str = "2.5.29.19";
pub(crate) const USAGE: &str = "2.5.29.15";
pub(crate) const PURPOSE: &str = "2.5.29.37";
pub(crate) const SUBJECT: &str = "2.5.29.17";
pub(crate) const CODE: &str = "1.3.6.1.5.5.7.3.3";
pub(crate) const TIME: &str = "1.3.6.1.5.5.7.3.8";

pub(crate) fn authority(path: Option<u8>) -> Vec<u8> {
    match path {
        None => extension(BASIC, true, &seq(&[&[1, 1, 0xff]])),
        Some(path) => extension(BASIC, true, &seq(&[&[1, 1, 0xff], &[2, 1, path]])),
    }
}

/// keyUsage of one byte: 0x80 signs messages, 0x06 certificates.
pub(crate) fn usage(bits: u8) -> Vec<u8> {
    let unused = bits.trailing_zeros() as u8;
    extension(USAGE, true, &der(3, &[&[unused, bits]]))
}

pub(crate) fn purpose(id: &str, critical: bool) -> Vec<u8> {
    extension(PURPOSE, critical, &seq(&[&oid(id)]))
}

/// What is to be signed of a certificate.
#[derive(Clone)]
pub(crate) struct Cert {
    pub(crate) serial: u8,
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) holds: (i64, i64),
    pub(crate) key: PublicKey,
    pub(crate) extensions: Vec<Vec<u8>>,
}

impl Cert {
    pub(crate) fn tbs(&self, kind: Kind) -> Vec<u8> {
        let extensions: Vec<_> = self.extensions.iter().map(Vec::as_slice).collect();
        seq(&[
            &der(0xa0, &[&[2, 1, 2]]),
            &[2, 1, self.serial],
            &algorithm(kind),
            &name(&self.issuer),
            &seq(&[&time(self.holds.0), &time(self.holds.1)]),
            &name(&self.subject),
            self.key.der(),
            &der(0xa3, &[&seq(&extensions)]),
        ])
    }

    pub(crate) fn signed(&self, by: &KeyPair) -> Vec<u8> {
        let kind = by.public().kind();
        let tbs = self.tbs(kind);
        seq(&[&tbs, &algorithm(kind), &der(3, &[&[0], &sign(by, &tbs)])])
    }
}

pub(crate) fn sign(by: &KeyPair, message: &[u8]) -> Vec<u8> {
    by.sign(message, &SystemRandom::new()).expect("signed")
}

pub(crate) fn pair(kind: Kind) -> KeyPair {
    KeyPair::generate(kind, &SystemRandom::new()).expect("a key")
}

/// A time stamp, and what may be wrong with one.
#[derive(Clone)]
pub(crate) struct Stamp {
    pub(crate) at: String,
    pub(crate) imprint: Vec<u8>,
    /// The certificate that it names, with its issuer and number.
    pub(crate) certificate: Vec<u8>,
    pub(crate) named: (String, u8),
    /// The certificates that it brings.
    pub(crate) brought: Vec<Vec<u8>>,
    pub(crate) content: &'static str,
    pub(crate) signed_content: &'static str,
    pub(crate) bound: bool,
    pub(crate) changed: bool,
    pub(crate) refused: bool,
    pub(crate) extension: Option<Vec<u8>>,
}

pub(crate) const TST: &str = "1.2.840.113549.1.9.16.1.4";

impl Stamp {
    pub(crate) fn response(&self, by: &KeyPair) -> Vec<u8> {
        let hash = seq(&[&oid("2.16.840.1.101.3.4.2.1")]);
        let mut info = vec![
            vec![2, 1, 1],
            oid("1.3.6.1.4.1.57264.2"),
            seq(&[&hash, &der(4, &[&self.imprint])]),
            vec![2, 1, 9],
            der(0x18, &[self.at.as_bytes()]),
            seq(&[&[2, 1, 1]]),
        ];
        info.extend(self.extension.iter().map(|extension| der(0xa1, &[extension])));
        let info: Vec<_> = info.iter().map(Vec::as_slice).collect();
        let mut info = seq(&info);
        let attribute = |id: &str, value: &[u8]| seq(&[&oid(id), &der(0x31, &[value])]);
        let certificate = seq(&[&seq(&[&seq(&[&der(4, &[&sha256(&self.certificate)])])])]);
        let mut attributes = vec![
            attribute("1.2.840.113549.1.9.3", &oid(self.signed_content)),
            attribute("1.2.840.113549.1.9.4", &der(4, &[&sha256(&info)])),
        ];
        if self.bound {
            attributes.push(attribute("1.2.840.113549.1.9.16.2.47", &certificate));
        }
        attributes.sort();
        if self.changed {
            let at = info.len() - 6;
            info[at] ^= 1;
        }
        let attributes: Vec<_> = attributes.iter().map(Vec::as_slice).collect();
        let signature = sign(by, &der(0x31, &attributes));
        let mut signer = vec![
            vec![2, 1, 1],
            seq(&[&name(&self.named.0), &[2, 1, self.named.1]]),
            hash.clone(),
            der(0xa0, &attributes),
        ];
        signer.push(algorithm(by.public().kind()));
        signer.push(der(4, &[&signature]));
        let signer: Vec<_> = signer.iter().map(Vec::as_slice).collect();
        let content = seq(&[&oid(self.content), &der(0xa0, &[&der(4, &[&info])])]);
        let mut data = vec![vec![2, 1, 3], der(0x31, &[&hash]), content];
        if !self.brought.is_empty() {
            let brought: Vec<_> = self.brought.iter().map(Vec::as_slice).collect();
            data.push(der(0xa0, &brought));
        }
        data.push(der(0x31, &[&seq(&signer)]));
        let data: Vec<_> = data.iter().map(Vec::as_slice).collect();
        let token = seq(&[&oid("1.2.840.113549.1.7.2"), &der(0xa0, &[&seq(&data)])]);
        seq(&[&seq(&[&[2, 1, if self.refused { 2 } else { 0 }]]), &token])
    }
}
