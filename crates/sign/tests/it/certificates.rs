//! Certificates, made for tests: byte by byte, so that each can have one fault.

use plimsoll_sign::format::x509::Certificate;
use plimsoll_sign::key::KeyPair;
use ring::rand::SystemRandom;

use crate::support::NOW;

/// A value in DER.
pub(crate) fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}

/// A certificate to be made.
#[derive(Clone)]
pub(crate) struct Draft<'a> {
    /// The subject: kinds by the last number of their identifier, and values.
    pub(crate) subject: Vec<(u8, &'a str)>,
    pub(crate) key: &'a KeyPair,
    /// From and until when, in seconds from [`NOW`].
    pub(crate) holds: (i64, i64),
    /// basicConstraints: whether it may sign others, how many, and whether that is critical.
    pub(crate) authority: Option<(bool, Option<u8>, bool)>,
    /// keyUsage: its bits, and whether it is critical.
    pub(crate) usage: Option<(u8, bool)>,
    /// extKeyUsage: the last number of each purpose.
    pub(crate) purposes: Vec<u8>,
    /// Other extensions, whole.
    pub(crate) others: Vec<Vec<u8>>,
}

pub(crate) const DAY: i64 = 86_400;

impl<'a> Draft<'a> {
    /// Someone who signs code.
    pub(crate) fn signer(key: &'a KeyPair) -> Self {
        Self {
            subject: vec![(6, "US"), (8, "WA"), (10, "Example"), (3, "signer")],
            key,
            holds: (-DAY, 300 * DAY),
            authority: None,
            usage: Some((0x80, true)),
            purposes: vec![3],
            others: Vec::new(),
        }
    }

    /// Someone who vouches for others.
    pub(crate) fn authority(key: &'a KeyPair, name: &'a str) -> Self {
        Self {
            subject: vec![(6, "US"), (10, "Example"), (3, name)],
            key,
            holds: (-1000 * DAY, 1000 * DAY),
            authority: Some((true, None, true)),
            usage: Some((0x06, true)),
            purposes: Vec::new(),
            others: Vec::new(),
        }
    }

    /// The certificate, as another one signs it; a root signs itself.
    pub(crate) fn signed_by(&self, issuer: &Draft<'_>) -> Vec<u8> {
        let algorithm = der(0x30, &[&der(6, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]])]);
        let validity = der(0x30, &[&time(NOW + self.holds.0), &time(NOW + self.holds.1)]);
        let mut extensions = Vec::new();
        if let Some((authority, path, critical)) = self.authority {
            let path = path.map(|path| der(2, &[&[path]])).unwrap_or_default();
            let authority = if authority { der(1, &[&[0xff]]) } else { Vec::new() };
            let value = der(0x30, &[&authority, &path]);
            extensions.push(extension(&[0x55, 0x1d, 0x13], critical, &value));
        }
        if let Some((bits, critical)) = self.usage {
            let value = der(3, &[&[bits.trailing_zeros() as u8, bits]]);
            extensions.push(extension(&[0x55, 0x1d, 0x0f], critical, &value));
        }
        if !self.purposes.is_empty() {
            let purpose = |last: &u8| match last {
                0 => der(6, &[&[0x55, 0x1d, 0x25, 0]]),
                last => der(6, &[&[0x2b, 6, 1, 5, 5, 7, 3, *last]]),
            };
            let value: Vec<_> = self.purposes.iter().map(purpose).collect();
            extensions.push(extension(&[0x55, 0x1d, 0x25], false, &der(0x30, &[&value.concat()])));
        }
        extensions.extend(self.others.clone());
        let signed = der(
            0x30,
            &[
                &der(0xa0, &[&der(2, &[&[2]])]),
                &der(2, &[&[1]]),
                &algorithm,
                &name(&issuer.subject),
                &validity,
                &name(&self.subject),
                self.key.public().der(),
                &der(0xa3, &[&der(0x30, &[&extensions.concat()])]),
            ],
        );
        let made = issuer.key.sign(&signed, &SystemRandom::new()).expect("signed");
        der(0x30, &[&signed, &algorithm, &der(3, &[&[0], &made])])
    }
}

/// An extension.
pub(crate) fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { der(1, &[&[0xff]]) } else { Vec::new() };
    der(0x30, &[&der(6, &[oid]), &critical, &der(4, &[value])])
}

fn name(parts: &[(u8, &str)]) -> Vec<u8> {
    let part = |(kind, value): &(u8, &str)| {
        let pair = der(0x30, &[&der(6, &[&[0x55, 4, *kind]]), &der(0x0c, &[value.as_bytes()])]);
        der(0x31, &[&pair])
    };
    der(0x30, &[&parts.iter().map(part).collect::<Vec<_>>().concat()])
}

/// GeneralizedTime.
fn time(seconds: i64) -> Vec<u8> {
    let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + later;
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    der(0x18, &[text.as_bytes()])
}

/// A chain in PEM.
pub(crate) fn pem(chain: &[Vec<u8>]) -> String {
    let one = |der: &Vec<u8>| plimsoll_sign::text::to_pem("CERTIFICATE", der).to_string();
    chain.iter().map(one).collect()
}

/// Read again.
pub(crate) fn read(der: &[u8]) -> Certificate {
    Certificate::parse_open(der).expect("a certificate")
}
