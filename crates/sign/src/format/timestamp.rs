//! Time stamps (RFC 3161): a CMS message (RFC 5652) in which an authority says that it
//! has seen a hash at some time.
//!
//! One is read in DER only; what BER allows besides, some authorities write, and it is
//! refused.

use ring::digest;

use super::hash;
use super::path::{Purpose, path};
use super::root::Authority;
use super::x509::{self, Certificate};
use crate::claim::Seconds;
use crate::date;
use crate::der::{self, Der};
use crate::reason::{Reason, Why};

/// The longest time stamp, and how many certificates it may bring.
const LONGEST: u64 = 64 << 10;
const CERTIFICATES: usize = 5;

const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
const SIGNING_CERTIFICATE: &[u8] =
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x2f];

/// A time that an authority vouches for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp<'a> {
    /// Which authority.
    pub(crate) authority: &'a Authority,
    /// When.
    pub(crate) at: Seconds,
    /// How far it may be from that, by the authority's own word; rounded up.
    pub(crate) accuracy: Seconds,
}

/// A time stamp. Nobody has verified it.
struct Token<'a> {
    /// What is signed: the TSTInfo.
    content: &'a [u8],
    brought: Vec<&'a [u8]>,
    /// Which certificate signed: issuer and serial number, or the identifier of a key.
    signer: Signer<'a>,
    digest: &'static digest::Algorithm,
    /// The attributes that are signed, as they stand there.
    attributes: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

enum Signer<'a> {
    Serial(&'a [u8], &'a [u8]),
    Key(&'a [u8]),
}

/// What an authority says.
struct Info<'a> {
    /// Of what: the hash and which one.
    imprint: (&'static digest::Algorithm, &'a [u8]),
    at: Seconds,
    accuracy: Seconds,
}

fn bad(text: &str) -> Reason {
    Reason::malformed(format!("a time stamp {text}"))
}

fn wrong<T>(text: &str) -> Result<T, Reason> {
    Err(Reason::new(Why::Time, format!("a time stamp {text}")))
}

/// The time at which an authority that is trusted has seen the message; `None` of one
/// that is not.
pub(crate) fn verify<'a>(
    bytes: &[u8],
    message: &[u8],
    authorities: &'a [Authority],
) -> Result<Option<Stamp<'a>>, Reason> {
    super::parse::within("a time stamp", bytes.len(), LONGEST)?;
    let token = Token::parse(bytes)?;
    let brought: Vec<_> =
        token.brought.iter().filter_map(|der| Certificate::parse(der).ok()).collect();
    let mut failed = None;
    for authority in authorities {
        match token.by(authority, &brought, message) {
            Ok(Some((at, accuracy))) => {
                return Ok(Some(Stamp { authority, at, accuracy }));
            }
            Ok(None) => {}
            Err(reason) => failed = Some(reason),
        }
    }
    failed.map_or(Ok(None), Err)
}

impl<'a> Token<'a> {
    /// Reads a token, or the response that holds one.
    fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let malformed = || bad("that is no CMS message in DER");
        let mut outer = Der::only(bytes, der::SEQUENCE).ok_or_else(malformed)?;
        if outer.is(der::SEQUENCE) {
            let mut status = outer.inside(der::SEQUENCE).ok_or_else(malformed)?;
            // Granted, or granted with changes.
            if !matches!(status.unsigned(), Some([0 | 1])) {
                return wrong("that its authority refused");
            }
            let token = outer.inside(der::SEQUENCE).ok_or_else(malformed)?;
            outer.end().ok_or_else(malformed)?;
            outer = token;
        }
        message(outer).ok_or_else(malformed)
    }

    /// The time, if the authority made the token; what is wrong with it, if so.
    fn by(
        &self,
        authority: &Authority,
        brought: &[Certificate],
        message: &[u8],
    ) -> Result<Option<(Seconds, Seconds)>, Reason> {
        // Where the root names the very certificate that signs, no other may.
        let named = authority.chain.first().filter(|first| !first.is_ca());
        let signer = match named {
            Some(named) => self.is_by(named).then_some(named),
            None => brought.iter().find(|one| self.is_by(one)),
        };
        let Some(signer) = signer else { return Ok(None) };
        let path = match path(signer, brought, &authority.chain, Purpose::Time) {
            Ok(path) => path,
            Err(reason) if named.is_some() => return Err(reason),
            Err(_) => return Ok(None),
        };
        self.verify(signer)?;
        let info = Info::parse(self.content).ok_or_else(|| bad("whose content is malformed"))?;
        let (algorithm, imprint) = info.imprint;
        if digest::digest(algorithm, message).as_ref() != imprint {
            return wrong("of something else than the signature");
        }
        path.at(info.at)?;
        authority.holds.at("the authority of a time stamp", info.at)?;
        Ok(Some((info.at, info.accuracy)))
    }

    /// Whether that certificate is the one that the token names, by its number and by
    /// its hash (RFC 5816).
    fn is_by(&self, certificate: &Certificate) -> bool {
        let named = match self.signer {
            Signer::Serial(issuer, serial) => {
                issuer == certificate.issuer_name && serial == certificate.serial
            }
            Signer::Key(id) => certificate
                .extension(&[0x55, 0x1d, 0x0e])
                .and_then(|extension| Der::only(&extension.value, der::OCTET_STRING))
                .is_some_and(|own| own.rest() == id),
        };
        named
            && self.attribute(SIGNING_CERTIFICATE).and_then(first_hash).is_some_and(
                |(algorithm, hash)| digest::digest(algorithm, &certificate.der).as_ref() == hash,
            )
    }

    /// The one value of an attribute that stands there once.
    fn attribute(&self, wanted: &[u8]) -> Option<Der<'a>> {
        let mut list = Der::only(self.attributes, 0xa0)?;
        let mut found = None;
        while !list.is_empty() {
            let mut attribute = list.inside(der::SEQUENCE)?;
            let oid = attribute.take(der::OID)?;
            let values = attribute.inside(der::SET)?;
            attribute.end()?;
            if oid == wanted && found.replace(values).is_some() {
                return None;
            }
        }
        found
    }

    /// That the certificate's key signed it.
    fn verify(&self, signer: &Certificate) -> Result<(), Reason> {
        let only = |wanted: &[u8], tag: u8| {
            let mut values = self.attribute(wanted)?;
            let value = values.take(tag)?;
            values.end().map(|()| value)
        };
        if only(CONTENT_TYPE, der::OID) != Some(TST_INFO) {
            return wrong("whose signature is for other content");
        }
        let own = digest::digest(self.digest, self.content);
        if only(MESSAGE_DIGEST, der::OCTET_STRING) != Some(own.as_ref()) {
            return wrong("that was changed since");
        }
        // Signed as a set of its own (RFC 5652, 5.4).
        let mut message = self.attributes.to_vec();
        if let Some(tag) = message.first_mut() {
            *tag = der::SET;
        }
        let algorithm = match (self.algorithm, self.digest) {
            // The older way: a key, and the hash from beside it.
            (crate::key::RSA, hash) if *hash == digest::SHA256 => x509::RSA_SHA256,
            (crate::key::RSA, hash) if *hash == digest::SHA384 => x509::RSA_SHA384,
            (crate::key::RSA, hash) if *hash == digest::SHA512 => x509::RSA_SHA512,
            (other, _) => other,
        };
        match x509::verify(&signer.key, algorithm, &message, self.signature) {
            Some(()) => Ok(()),
            None => wrong("that its authority did not sign, or not with what is known here"),
        }
    }
}

/// A ContentInfo with a SignedData (RFC 5652, 5.1).
fn message(mut info: Der<'_>) -> Option<Token<'_>> {
    if info.take(der::OID)? != SIGNED_DATA {
        return None;
    }
    let mut wrapped = info.inside(0xa0)?;
    info.end()?;
    let mut data = wrapped.inside(der::SEQUENCE)?;
    wrapped.end()?;
    if data.unsigned()? != [3] {
        return None;
    }
    data.take(der::SET)?;
    let mut inner = data.inside(der::SEQUENCE)?;
    if inner.take(der::OID)? != TST_INFO {
        return None;
    }
    let mut content = inner.inside(0xa0)?;
    inner.end()?;
    let info = content.take(der::OCTET_STRING)?;
    content.end()?;
    let mut brought = Vec::new();
    if data.is(0xa0) {
        let mut list = data.inside(0xa0)?;
        while !list.is_empty() {
            brought.push(list.any_whole()?);
            if brought.len() > CERTIFICATES {
                return None;
            }
        }
    }
    if data.is(0xa1) {
        data.take(0xa1)?;
    }
    let mut signers = data.inside(der::SET)?;
    data.end()?;
    // One authority signs (RFC 3161, 2.4.2).
    let mut signer = signers.inside(der::SEQUENCE)?;
    signers.end()?;
    signer.unsigned()?;
    let named = if signer.is(0x80) {
        Signer::Key(signer.take(0x80)?)
    } else {
        let mut serial = signer.inside(der::SEQUENCE)?;
        let named = Signer::Serial(serial.whole(der::SEQUENCE)?, serial.take(der::INTEGER)?);
        serial.end()?;
        named
    };
    let digest = hash_of(&mut signer)?;
    let attributes = signer.whole(0xa0)?;
    let mut algorithm = signer.inside(der::SEQUENCE)?;
    let algorithm = algorithm.take(der::OID)?;
    let signature = signer.take(der::OCTET_STRING)?;
    if signer.is(0xa1) {
        signer.take(0xa1)?;
    }
    signer.end()?;
    Some(Token { content: info, brought, signer: named, digest, attributes, algorithm, signature })
}

/// The hash that an AlgorithmIdentifier names.
fn hash_of(from: &mut Der<'_>) -> Option<&'static digest::Algorithm> {
    let mut algorithm = from.inside(der::SEQUENCE)?;
    let hash = hash::by_oid(algorithm.take(der::OID)?)?;
    if algorithm.is(der::NULL) {
        algorithm.take(der::NULL)?;
    }
    algorithm.end().map(|()| hash)
}

/// The hash of the certificate that signs (RFC 5035, 3: SigningCertificateV2).
fn first_hash(mut values: Der<'_>) -> Option<(&'static digest::Algorithm, &[u8])> {
    let mut value = values.inside(der::SEQUENCE)?;
    values.end()?;
    let mut certificates = value.inside(der::SEQUENCE)?;
    let mut first = certificates.inside(der::SEQUENCE)?;
    let algorithm = if first.is(der::SEQUENCE) { hash_of(&mut first)? } else { &digest::SHA256 };
    Some((algorithm, first.take(der::OCTET_STRING)?))
}

/// Seconds, and parts of one, which count as a whole (RFC 3161, 2.4.2).
fn accuracy(mut from: Der<'_>) -> Option<Seconds> {
    let mut whole = 0;
    if from.is(der::INTEGER) {
        let number = from.unsigned()?;
        let fits = number.len() <= 4;
        whole = fits.then(|| number.iter().fold(0, |all, byte| all << 8 | Seconds::from(*byte)))?;
    }
    for tag in [0x80, 0x81] {
        if from.is(tag) {
            from.take(tag)?;
            whole += 1;
        }
    }
    from.end().map(|()| whole)
}

impl<'a> Info<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut info = Der::only(bytes, der::SEQUENCE)?;
        if info.unsigned()? != [1] {
            return None;
        }
        info.take(der::OID)?;
        let mut imprint = info.inside(der::SEQUENCE)?;
        let algorithm = hash_of(&mut imprint)?;
        let hash = imprint.take(der::OCTET_STRING)?;
        imprint.end()?;
        info.take(der::INTEGER)?;
        let at = date::stamped(info.take(0x18)?)?;
        let accuracy =
            if info.is(der::SEQUENCE) { accuracy(info.inside(der::SEQUENCE)?)? } else { 0 };
        // Ordering, nonce, name; each may be missing.
        for tag in [der::BOOLEAN, der::INTEGER, 0xa0] {
            if info.is(tag) {
                info.take(tag)?;
            }
        }
        if info.is(0xa1) {
            let mut list = info.inside(0xa1)?;
            while !list.is_empty() {
                let mut extension = list.inside(der::SEQUENCE)?;
                extension.take(der::OID)?;
                // What must be understood is not.
                if extension.is(der::BOOLEAN) && extension.take(der::BOOLEAN)? != [0] {
                    return None;
                }
            }
        }
        info.end()?;
        Some(Self { imprint: (algorithm, hash), at, accuracy })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = (Info::parse(&bytes).is_some(), Token::parse(&bytes).is_ok());
            prop_assert!(!matches!(verify(&bytes, b"message", &[]), Ok(Some(_))));
        }
    }
}
