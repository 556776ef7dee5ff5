//! Certificates (RFC 5280), as far as the rules of the Notary Project ask for them: a
//! chain in its order, each signed by the next, up to one that is trusted.

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use crate::claim::Seconds;
use crate::date;
use crate::der::{self, Der};
use crate::format::dn;
use crate::key::{Kind, PublicKey};
use crate::reason::{Reason, Why};

/// How long a chain may be.
const LONGEST: usize = 10;

/// A certificate. Nobody has verified it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    /// All of it.
    pub der: Vec<u8>,
    /// The key.
    pub key: PublicKey,
    /// The parts of the subject, as `CN`, `O`, … with their values.
    pub subject: Vec<(String, String)>,
    /// What is signed: the TBSCertificate.
    pub(super) signed: Vec<u8>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
    pub(super) issuer_name: Vec<u8>,
    pub(super) subject_name: Vec<u8>,
    pub(super) serial: Vec<u8>,
    /// When it begins and ends to hold; both seconds count.
    pub validity: (Seconds, Seconds),
    pub(super) uses: Uses,
    pub(super) extensions: Vec<Extension>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Uses {
    pub(super) authority: bool,
    constraints_critical: bool,
    pub(super) path: Option<u64>,
    /// The bits of keyUsage, and whether it is critical.
    pub(super) key: Option<(u16, bool)>,
    pub(super) extended: Vec<Vec<u8>>,
    /// An extension that is critical and unknown.
    unknown: bool,
    /// Whether it names a place that would tell of its revocation.
    revocable: bool,
}

/// An extension as it stands there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Extension {
    pub(super) oid: Vec<u8>,
    pub(super) critical: bool,
    pub(super) value: Vec<u8>,
}

pub(super) const SIGNATURE: u16 = 0x8000;
const NON_REPUDIATION: u16 = 0x4000;
pub(super) const CERT_SIGN: u16 = 0x0400;

impl Certificate {
    /// Reads a certificate, which may have no extension that is critical and unknown.
    pub fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        Self::parse_open(bytes)
            .and_then(|read| if read.uses.unknown { Err(bad()) } else { Ok(read) })
    }

    /// Reads a certificate as the Notary Project demands it: of its extensions the basic
    /// constraints and the uses of the key are looked at, and no others, critical or not.
    pub fn parse_open(bytes: &[u8]) -> Result<Self, Reason> {
        parse(bytes).ok_or_else(bad)
    }

    /// Whether it is the root of an authority: it may sign others, and has signed itself.
    pub fn is_root(&self) -> bool {
        self.uses.authority && self.signed_by(self)
    }

    /// Whether it can end chains: it may sign others, or has signed itself.
    pub fn may_be_trusted(&self) -> bool {
        self.uses.authority || self.signed_by(self)
    }

    /// Whether it names a server or a list that would tell of its revocation.
    pub fn revocable(&self) -> bool {
        self.uses.revocable
    }

    /// The subject for people: `CN=…, O=…`.
    pub fn name(&self) -> String {
        dn::write(&self.subject)
    }

    /// Whether the subject has all parts of a name.
    pub fn is(&self, name: &[(String, String)]) -> bool {
        dn::has(&self.subject, name)
    }

    /// Whether the other certificate has signed this one.
    pub(super) fn signed_by(&self, other: &Self) -> bool {
        self.issuer_name == other.subject_name && self.verify_with(&other.key).is_some()
    }

    fn verify_with(&self, key: &PublicKey) -> Option<()> {
        let mut algorithm = Der::only(&self.algorithm, der::SEQUENCE)?;
        let oid = algorithm.take(der::OID)?;
        verify(key, oid, &self.signed, &self.signature)
    }

    fn is_authority(&self, below: u64) -> Result<(), Reason> {
        let Uses { authority, constraints_critical, path, key, .. } = &self.uses;
        let signs = key.is_some_and(|(bits, critical)| critical && bits & CERT_SIGN != 0);
        if *authority && *constraints_critical && signs && path.is_none_or(|path| below <= path) {
            return Ok(());
        }
        Err(Reason::malformed(format!(
            "the certificate {:?} may not sign others, or not so many",
            self.name()
        )))
    }

    fn is_leaf(&self) -> Result<(), Reason> {
        let Uses { key, extended, authority, .. } = &self.uses;
        let signs = key.is_some_and(|(bits, critical)| {
            critical && bits & SIGNATURE != 0 && bits & !(SIGNATURE | NON_REPUDIATION) == 0
        });
        if signs
            && !authority
            && !extended.iter().any(|purpose| FORBIDDEN.contains(&purpose.as_slice()))
        {
            return Ok(());
        }
        Err(Reason::malformed(format!(
            "the certificate {:?} is not one for signatures of code",
            self.name()
        )))
    }
}

/// Verifies a signature that names its algorithm by an object identifier.
pub(super) fn verify(key: &PublicKey, oid: &[u8], message: &[u8], made: &[u8]) -> Option<()> {
    let verifier: &dyn VerificationAlgorithm = match (key.kind(), oid) {
        (Kind::Rsa, RSA_SHA256) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (Kind::Rsa, RSA_SHA384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (Kind::Rsa, RSA_SHA512) => &signature::RSA_PKCS1_2048_8192_SHA512,
        (Kind::P256, ECDSA_SHA256) => &signature::ECDSA_P256_SHA256_ASN1,
        (Kind::P256, ECDSA_SHA384) => &signature::ECDSA_P256_SHA384_ASN1,
        (Kind::P384, ECDSA_SHA256) => &signature::ECDSA_P384_SHA256_ASN1,
        (Kind::P384, ECDSA_SHA384) => &signature::ECDSA_P384_SHA384_ASN1,
        _ => return None,
    };
    UnparsedPublicKey::new(verifier, key.raw()).verify(message, made).ok()
}

fn bad() -> Reason {
    Reason::malformed(
        "a certificate that is not read here: version 3, with a key of RSA (2048 bits or more), \
         ECDSA on P-256 or P-384",
    )
}

/// Checks a chain, the signer first, by the rules of the Notary Project, and gives the
/// time in which all of it holds. Whether anybody trusts it is for [`leads_to`].
pub fn chain(chain: &[Certificate]) -> Result<(Seconds, Seconds), Reason> {
    let (Some(leaf), Some(root)) = (chain.first(), chain.last()) else {
        return Err(Reason::malformed("no certificate"));
    };
    if chain.len() > LONGEST {
        return Err(Reason::new(Why::Limit, format!("more than {LONGEST} certificates")));
    }
    leaf.is_leaf()?;
    for (at, pair) in chain.windows(2).enumerate() {
        let [lower, upper] = pair else { continue };
        upper.is_authority(at as u64)?;
        if !lower.signed_by(upper) {
            let text = format!("{:?} is not signed by {:?}", lower.name(), upper.name());
            return Err(Reason::malformed(text));
        }
        if lower.signed_by(lower) {
            let text = format!("{:?} is a root, and does not end its chain", lower.name());
            return Err(Reason::malformed(text));
        }
    }
    if !root.signed_by(root) {
        return Err(Reason::malformed("a chain of certificates without its root"));
    }
    let begin = chain.iter().map(|one| one.validity.0).max().unwrap_or_default();
    let end = chain.iter().map(|one| one.validity.1).min().unwrap_or_default();
    Ok((begin, end))
}

/// That a chain has a certificate that is trusted.
pub fn leads_to(chain: &[Certificate], trusted: &[Certificate]) -> Result<(), Reason> {
    if chain.iter().any(|one| trusted.iter().any(|known| known.der == one.der)) {
        return Ok(());
    }
    let name = chain.first().map(Certificate::name).unwrap_or_default();
    Err(Reason::new(Why::Key, format!("{name:?} leads to no trusted certificate")))
}

fn parse(bytes: &[u8]) -> Option<Certificate> {
    let mut outer = Der::only(bytes, der::SEQUENCE)?;
    let signed = outer.whole(der::SEQUENCE)?;
    let algorithm = outer.whole(der::SEQUENCE)?;
    let signature = outer.bits()?;
    outer.end()?;
    let mut inner = Der::only(signed, der::SEQUENCE)?;
    let mut version = inner.inside(0xa0)?;
    if version.unsigned()? != [2] {
        return None;
    }
    version.end()?;
    let serial = inner.take(der::INTEGER)?;
    // Both places must name one algorithm.
    if inner.whole(der::SEQUENCE)? != algorithm {
        return None;
    }
    let issuer_name = inner.whole(der::SEQUENCE)?;
    let mut validity = inner.inside(der::SEQUENCE)?;
    let (begin, end) = (time(&mut validity)?, time(&mut validity)?);
    validity.end()?;
    let subject_name = inner.whole(der::SEQUENCE)?;
    let key = PublicKey::from_der(inner.whole(der::SEQUENCE)?).ok()?;
    for tag in [0x81, 0x82] {
        if inner.is(tag) {
            inner.take(tag)?;
        }
    }
    let mut uses = Uses::default();
    let mut extensions: Vec<Extension> = Vec::new();
    if inner.is(0xa3) {
        let mut wrapped = inner.inside(0xa3)?;
        let mut list = wrapped.inside(der::SEQUENCE)?;
        wrapped.end()?;
        while !list.is_empty() {
            let mut extension = list.inside(der::SEQUENCE)?;
            let oid = extension.take(der::OID)?;
            let critical = extension.is(der::BOOLEAN) && extension.take(der::BOOLEAN)? == [0xff];
            let value = extension.take(der::OCTET_STRING)?;
            extension.end()?;
            if extensions.iter().any(|known| known.oid == oid) {
                return None;
            }
            uses.take(oid, critical, value)?;
            extensions.push(Extension { oid: oid.to_vec(), critical, value: value.to_vec() });
        }
    }
    inner.end()?;
    Some(Certificate {
        der: bytes.to_vec(),
        key,
        subject: name(subject_name)?,
        signed: signed.to_vec(),
        algorithm: algorithm.to_vec(),
        signature: signature.to_vec(),
        issuer_name: issuer_name.to_vec(),
        subject_name: subject_name.to_vec(),
        serial: serial.to_vec(),
        validity: (begin, end),
        uses,
        extensions,
    })
}

impl Uses {
    /// Reads an extension; `None` for one that is not what it says.
    fn take(&mut self, oid: &[u8], critical: bool, value: &[u8]) -> Option<()> {
        match oid {
            BASIC_CONSTRAINTS => {
                let mut constraints = Der::only(value, der::SEQUENCE)?;
                self.constraints_critical = critical;
                if constraints.is(der::BOOLEAN) {
                    self.authority = constraints.take(der::BOOLEAN)? == [0xff];
                }
                if constraints.is(der::INTEGER) {
                    let number = constraints.unsigned()?;
                    let start = 8usize.checked_sub(number.len())?;
                    let mut path = [0; 8];
                    path[start..].copy_from_slice(number);
                    self.path = Some(u64::from_be_bytes(path));
                }
                constraints.end()
            }
            KEY_USAGE => {
                let mut usage = Der::new(value);
                let [_, bits @ ..] = usage.take(der::BIT_STRING)? else { return None };
                let first = u16::from(*bits.first()?) << 8;
                let second = bits.get(1).copied().map(u16::from).unwrap_or_default();
                self.key = Some((first | second, critical));
                usage.end()
            }
            EXTENDED_KEY_USAGE => {
                let mut purposes = Der::only(value, der::SEQUENCE)?;
                while !purposes.is_empty() {
                    self.extended.push(purposes.take(der::OID)?.to_vec());
                }
                Some(())
            }
            // Names of the key and of its owner, and policies: they forbid nothing here.
            [0x55, 0x1d, 0x0e | 0x11 | 0x20 | 0x23] => Some(()),
            _ => {
                self.unknown |= critical;
                self.revocable |= oid == REVOCATION_LISTS
                    || (oid == INFORMATION
                        && value.windows(OCSP.len()).any(|window| window == OCSP));
                Some(())
            }
        }
    }
}

fn time(validity: &mut Der<'_>) -> Option<Seconds> {
    match validity.any()? {
        (0x17, text) => date::asn1(text, true),
        (0x18, text) => date::asn1(text, false),
        _ => None,
    }
}

/// The parts of a name, in their order. One of several that share a part is marked by a
/// `+`, so that it is no part of its own.
fn name(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let mut parts = Vec::new();
    let mut list = Der::only(bytes, der::SEQUENCE)?;
    while !list.is_empty() {
        let mut set = list.inside(der::SET)?;
        let first = parts.len();
        while !set.is_empty() {
            let mut pair = set.inside(der::SEQUENCE)?;
            let kind = match pair.take(der::OID)? {
                [0x55, 0x04, last] => match dn::NAMES.iter().find(|(number, _)| number == last) {
                    Some((_, name)) => (*name).to_owned(),
                    None => format!("2.5.4.{last}"),
                },
                other => format!("{other:02x?}"),
            };
            // UTF8String, PrintableString, IA5String, TeletexString.
            let (0x0c | 0x13 | 0x16 | 0x14, value) = pair.any()? else { return None };
            pair.end()?;
            parts.push((kind, std::str::from_utf8(value).ok()?.to_owned()));
        }
        if parts.len() - first > 1 {
            for (kind, _) in &mut parts[first..] {
                kind.insert(0, '+');
            }
        }
    }
    Some(parts)
}

const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
pub(super) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const REVOCATION_LISTS: &[u8] = &[0x55, 0x1d, 0x1f];
const INFORMATION: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01];
/// How the information about an authority names a server for revocation: an identifier
/// of an object, with its tag and length.
const OCSP: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];
/// Purposes that a signer of code must not have: any, and those of servers, clients,
/// mail and time stamps.
const FORBIDDEN: [&[u8]; 5] = [
    &[0x55, 0x1d, 0x25, 0x00],
    &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01],
    &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02],
    &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x04],
    &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08],
];
pub(super) const RSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
pub(super) const RSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c];
pub(super) const RSA_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d];
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
