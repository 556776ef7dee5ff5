//! Signed certificate timestamps (RFC 6962, 3): a log says that it has seen a
//! certificate before it was issued. They stand in the certificate itself; what is
//! signed is the certificate without them.

use super::hash::sha256;
use super::root::{Log, Root};
use super::x509::Certificate;
use crate::claim::Seconds;
use crate::der::{self, Der};
use crate::key::{Algorithm, Kind};
use crate::reason::{Reason, Why};

const LIST: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02];

/// How many of them are looked at.
const MOST: usize = 16;

/// What a log of certificates says. Nobody has verified it.
struct Stamp<'a> {
    log: &'a [u8],
    milliseconds: u64,
    extensions: &'a [u8],
    /// Hash and signature algorithm, as TLS 1.2 numbers them.
    algorithm: [u8; 2],
    signature: &'a [u8],
}

/// That a log that is known has seen the certificate.
///
/// What a known log did not sign is an error; logs that are not known count for
/// nothing.
pub(crate) fn verify(leaf: &Certificate, issuer: &Certificate, root: &Root) -> Result<(), Reason> {
    let bad = || Reason::malformed("a certificate whose list of SCTs is malformed");
    let none = |text: &str| Err(Reason::new(Why::Log, text));
    let Some(extension) = leaf.extension(LIST) else {
        return none("a certificate that no log of certificates has signed");
    };
    let list = Der::only(&extension.value, der::OCTET_STRING).ok_or_else(bad)?.rest();
    let stamps = stamps(list).ok_or_else(bad)?;
    let without = without_list(&leaf.signed).ok_or_else(bad)?;
    let mut found = false;
    for stamp in stamps {
        let message = stamp.message(&sha256(issuer.key.der()), &without).ok_or_else(bad)?;
        let at = Seconds::try_from(stamp.milliseconds / 1000).map_err(|_| bad())?;
        let logs = root.certificate_logs.iter().filter(|log| log.id == stamp.log);
        let by: Vec<_> = logs.map(|log| stamp.by(log, &message, at)).collect();
        // One log may stand there for several times.
        match by.iter().find(|by| by.is_ok()).or(by.first()) {
            Some(Ok(())) => found = true,
            Some(Err(reason)) => return Err(reason.clone()),
            None => {}
        }
    }
    if found {
        return Ok(());
    }
    none("a certificate that no trusted log of certificates has signed")
}

impl Stamp<'_> {
    /// That the log has signed it.
    fn by(&self, log: &Log, message: &[u8], at: Seconds) -> Result<(), Reason> {
        let algorithm = match (log.key.kind(), self.algorithm) {
            (Kind::P256, [4, 3]) => Algorithm::EcdsaP256Sha256,
            (Kind::P384, [4, 3]) => Algorithm::EcdsaP384Sha256,
            (Kind::Rsa, [4, 1]) => Algorithm::RsaPkcs1Sha256,
            _ => {
                let text = "an SCT with another algorithm than the key of its log has";
                return Err(Reason::new(Why::Log, text));
            }
        };
        if !log.key.verifies(algorithm, message, self.signature) {
            let text = "an SCT that its log did not sign, or not for this certificate";
            return Err(Reason::new(Why::Log, text));
        }
        log.holds.at("the log of certificates", at)
    }

    /// What the log signs (RFC 6962, 3.2): an entry of a certificate to be.
    fn message(&self, issuer: &[u8], certificate: &[u8]) -> Option<Vec<u8>> {
        let length = u32::try_from(certificate.len()).ok().filter(|length| *length < 1 << 24)?;
        let mut message = vec![0, 0];
        message.extend(self.milliseconds.to_be_bytes());
        message.extend([0, 1]);
        message.extend_from_slice(issuer);
        message.extend_from_slice(&length.to_be_bytes()[1..]);
        message.extend_from_slice(certificate);
        message.extend(u16::try_from(self.extensions.len()).ok()?.to_be_bytes());
        message.extend_from_slice(self.extensions);
        Some(message)
    }
}

/// Bytes behind their length, which has two bytes.
fn counted<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (content, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *bytes = rest;
    Some(content)
}

fn stamps(mut list: &[u8]) -> Option<Vec<Stamp<'_>>> {
    let mut inside = counted(&mut list)?;
    let mut stamps = Vec::new();
    while !inside.is_empty() {
        let mut stamp = counted(&mut inside)?;
        // Other versions are for others.
        if let Some((0, rest)) = stamp.split_first() {
            stamp = rest;
        } else {
            continue;
        }
        let (log, rest) = stamp.split_at_checked(32)?;
        let (time, mut rest) = rest.split_first_chunk::<8>()?;
        let extensions = counted(&mut rest)?;
        let (algorithm, mut rest) = rest.split_first_chunk::<2>()?;
        let signature = counted(&mut rest)?;
        if !rest.is_empty() || stamps.len() == MOST {
            return None;
        }
        stamps.push(Stamp {
            log,
            milliseconds: u64::from_be_bytes(*time),
            extensions,
            algorithm: *algorithm,
            signature,
        });
    }
    (list.is_empty() && !stamps.is_empty()).then_some(stamps)
}

/// The TBSCertificate without the list: all else stays as it is, byte by byte.
fn without_list(signed: &[u8]) -> Option<Vec<u8>> {
    let mut inner = Der::only(signed, der::SEQUENCE)?;
    let mut parts: Vec<Vec<u8>> = Vec::new();
    while !inner.is_empty() {
        if !inner.is(0xa3) {
            parts.push(inner.any_whole()?.to_vec());
            continue;
        }
        let mut wrapped = inner.inside(0xa3)?;
        let mut list = wrapped.inside(der::SEQUENCE)?;
        wrapped.end()?;
        let mut kept = Vec::new();
        while !list.is_empty() {
            let whole = list.whole(der::SEQUENCE)?;
            if Der::only(whole, der::SEQUENCE)?.take(der::OID)? != LIST {
                kept.extend_from_slice(whole);
            }
        }
        parts.push(der::value(0xa3, &[&der::value(der::SEQUENCE, &[&kept])]));
    }
    let parts: Vec<_> = parts.iter().map(Vec::as_slice).collect();
    Some(der::value(der::SEQUENCE, &parts))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = (stamps(&bytes).is_some(), without_list(&bytes));
        }
    }
}
