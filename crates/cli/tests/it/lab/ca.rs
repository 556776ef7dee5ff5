//! An authority of our own, and certificates for servers of a test: just enough
//! DER for what TLS looks at (RFC 5280).

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

/// ecdsa-with-SHA256, id-ecPublicKey on P-256.
const SIGNED: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const P256: &[u8] = &[
    0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7,
];

/// Whoever vouches for servers.
pub(crate) struct Authority {
    pair: EcdsaKeyPair,
    certificate: Vec<u8>,
}

/// A certificate, and its key as PKCS #8.
pub(crate) struct Identity {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let (pair, _) = key();
        let constraints = [
            extension(&[0x55, 0x1d, 19], true, &tlv(0x30, &[&[1, 1, 0xff]])),
            // keyCertSign.
            extension(&[0x55, 0x1d, 15], true, &[3, 2, 2, 4]),
        ];
        let certificate = certificate(&pair, "lab", "lab", &pair, &constraints.concat());
        Self { pair, certificate }
    }

    /// The certificate, for those who are to trust it.
    pub(crate) fn pem(&self) -> String {
        let text = plimsoll::sign::text::to_base64(&self.certificate);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    /// A server that may speak for these hosts.
    pub(crate) fn vouch(&self, hosts: &[&str]) -> Identity {
        let (pair, key) = key();
        let names: Vec<u8> = hosts.iter().flat_map(|host| tlv(0x82, &[host.as_bytes()])).collect();
        let names = extension(&[0x55, 0x1d, 17], false, &tlv(0x30, &[&names]));
        Identity { certificate: certificate(&self.pair, "lab", hosts[0], &pair, &names), key }
    }
}

fn key() -> (EcdsaKeyPair, Vec<u8>) {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key").as_ref().to_vec();
    (EcdsaKeyPair::from_pkcs8(algorithm, &key, &random).expect("a key"), key)
}

fn certificate(
    by: &EcdsaKeyPair,
    issuer: &str,
    subject: &str,
    of: &EcdsaKeyPair,
    extensions: &[u8],
) -> Vec<u8> {
    let time = |text: &str| tlv(0x17, &[text.as_bytes()]);
    let public = [&[0][..], of.public_key().as_ref()].concat();
    let body = tlv(
        0x30,
        &[
            &[0xa0, 3, 2, 1, 2],
            &[2, 1, 1],
            SIGNED,
            &name(issuer),
            &tlv(0x30, &[&time("200101000000Z"), &time("491231235959Z")]),
            &name(subject),
            &tlv(0x30, &[P256, &tlv(3, &[&public])]),
            &tlv(0xa3, &[&tlv(0x30, &[extensions])]),
        ],
    );
    let signature = by.sign(&SystemRandom::new(), &body).expect("signed");
    tlv(0x30, &[&body, SIGNED, &tlv(3, &[&[0], signature.as_ref()])])
}

fn name(text: &str) -> Vec<u8> {
    let common = tlv(0x30, &[&[6, 3, 0x55, 4, 3], &tlv(12, &[text.as_bytes()])]);
    tlv(0x30, &[&tlv(0x31, &[&common])])
}

fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    tlv(0x30, &[&tlv(6, &[id]), critical, &tlv(4, &[value])])
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..128 => out.push(length as u8),
        128..256 => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}
