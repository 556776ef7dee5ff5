//! Signed messages: exactly one signature over exactly one content.

use std::io::Read as _;

use flate2::read::{DeflateDecoder, ZlibDecoder};

use super::keyring::{Keyring, PrimaryKey};
use super::packet::{self, COMPRESSED, LITERAL, ONE_PASS, Packet, Reader, SIGNATURE};
use super::signature::{BINARY, Signature};
use crate::claim::Seconds;
use crate::limits::Limits;
use crate::reason::{Reason, Why};

/// A message whose signature holds.
#[derive(Clone, Debug)]
pub struct Signed<'a> {
    /// What is signed.
    pub content: Vec<u8>,
    /// Whose signature it is.
    pub key: &'a PrimaryKey,
    /// How it is signed.
    pub algorithm: String,
    /// When it was signed.
    pub issued: Seconds,
    /// Until when signature and key hold.
    pub expires: Option<Seconds>,
}

/// Verifies a message with the keys of a keyring.
///
/// Literal, encrypted and cleartext messages are refused, and so are messages with
/// several signatures. A revoked key is a reason of kind [`Why::Expired`].
pub fn verify<'a>(
    bytes: &[u8],
    keyring: &'a Keyring,
    limits: &Limits,
) -> Result<Signed<'a>, Reason> {
    let most = limits.simple;
    super::super::parse::within("an OpenPGP message", bytes.len(), most)?;
    let outer = packet::all(bytes)?;
    let plain;
    let inner = match &outer[..] {
        [Packet { tag: COMPRESSED, body }] => {
            plain = inflated(body, most)?;
            packet::all(&plain)?
        }
        _ => outer,
    };
    let [
        Packet { tag: ONE_PASS, .. },
        Packet { tag: LITERAL, body: literal },
        Packet { tag: SIGNATURE, body: signature },
    ] = &inner[..]
    else {
        return Err(Reason::malformed("an OpenPGP message that is not one signed content"));
    };
    let content = content(literal).ok_or_else(|| Reason::malformed("a broken literal packet"))?;
    let signature = Signature::parse(signature)
        .ok_or_else(|| Reason::malformed("an OpenPGP signature of another version"))?;
    signature.is_strong()?;
    if signature.kind != BINARY {
        return Err(Reason::malformed("an OpenPGP signature that is not over bytes"));
    }
    for key in &keyring.keys {
        for signer in &key.signers {
            if !signature.verifies(&signer.public, &[content]) {
                continue;
            }
            if let Some(unknown) = signature.unknown {
                return Err(Reason::malformed(format!(
                    "a critical part of the signature (subpacket {unknown}) that is not understood"
                )));
            }
            if signer.revoked {
                let text = format!("the key {} was revoked", key.fingerprint);
                return Err(Reason::new(Why::Expired, text));
            }
            if signature.created < signer.public.created {
                return Err(Reason::malformed("a signature that is older than its key"));
            }
            let own = signature.lives.map(|lives| signature.created.saturating_add(lives));
            let expires = match (own, signer.expires) {
                (Some(own), Some(key)) => Some(own.min(key)),
                (own, key) => own.or(key),
            };
            return Ok(Signed {
                content: content.to_vec(),
                key,
                algorithm: signature.algorithm(),
                issued: signature.created,
                expires,
            });
        }
    }
    Err(Reason::new(Why::Key, "not made by a key of the keyring, or changed since"))
}

/// What a compressed packet holds, if it is not more than `most` bytes.
fn inflated(body: &[u8], most: u64) -> Result<Vec<u8>, Reason> {
    let bad = || Reason::malformed("a compressed packet that can not be read");
    let (kind, stream) = body.split_first().ok_or_else(bad)?;
    let mut plain = Vec::new();
    match kind {
        0 => plain.extend_from_slice(stream),
        1 => drop(
            DeflateDecoder::new(stream)
                .take(most + 1)
                .read_to_end(&mut plain)
                .map_err(|_| bad())?,
        ),
        2 => drop(
            ZlibDecoder::new(stream).take(most + 1).read_to_end(&mut plain).map_err(|_| bad())?,
        ),
        other => return Err(Reason::malformed(format!("compression {other} of OpenPGP"))),
    }
    super::super::parse::within("an OpenPGP message", plain.len(), most)?;
    Ok(plain)
}

/// The content of a literal packet: behind format, name and time.
fn content(body: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader(body);
    reader.byte()?;
    let length = reader.byte()?;
    reader.take(usize::from(length))?;
    reader.take(4)?;
    Some(reader.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Why;

    #[test]
    fn t11_what_is_compressed_is_as_long_as_the_limit_and_no_longer() {
        use std::io::Write as _;

        use flate2::Compression;
        use flate2::write::{DeflateEncoder, ZlibEncoder};

        let most = Limits::default().simple;
        for (length, good) in [(most, true), (most + 1, false), (most * 1000, false)] {
            let plain = vec![b'x'; usize::try_from(length).expect("short")];
            let mut deflate = DeflateEncoder::new(vec![1], Compression::best());
            deflate.write_all(&plain).expect("written");
            let mut zlib = ZlibEncoder::new(vec![2], Compression::best());
            zlib.write_all(&plain).expect("written");
            let stored = [&[0][..], &plain].concat();
            let deflated = [deflate.finish().expect("ended"), zlib.finish().expect("ended")];
            for body in deflated.into_iter().chain([stored]) {
                match inflated(&body, most) {
                    Ok(found) => assert!(good && found == plain, "{length}, kind {}", body[0]),
                    Err(reason) => assert!(!good && reason.why == Why::Limit, "{reason:?}"),
                }
            }
        }
    }
}
