//! What cosign keeps in annotations beside its old signatures and attestations: a
//! certificate and those above it, an entry of a log, a time stamp.

use plimsoll_content::Annotations;

use super::dsse::bytes;
use super::log::Entry;
use super::parse::{exactly, most, object, within};
use super::path;
use crate::keyless::{By, Material};
use crate::limits::Limits;
use crate::reason::Reason;
use crate::text;

const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";
const ENTRY: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// What stands beside a signature. Nobody has verified it.
pub(crate) fn material(annotations: &Annotations, limits: &Limits) -> Result<Material, Reason> {
    let there = |name: &str| annotations.get(name).filter(|text| !text.is_empty());
    let json = |name: &str, text: &str| {
        within(name, text.len(), limits.envelope)?;
        object(name, text.as_bytes(), limits.depth)
    };
    let by = match there(CERTIFICATE) {
        None => By::Key { hint: String::new() },
        Some(certificate) => {
            let mut all = certificates(certificate)?;
            if all.len() != 1 {
                return Err(Reason::malformed("a signature with several certificates of its own"));
            }
            if let Some(chain) = there(CHAIN) {
                // Cosign writes the root too; it is not what makes one trusted.
                all.extend(certificates(chain)?.into_iter().filter(|der| !is_root(der)));
            }
            most("certificates", all.len(), path::LONGEST)?;
            By::Certificates(all)
        }
    };
    let entries = match there(ENTRY) {
        None => Vec::new(),
        Some(text) => vec![Entry::of_annotation(&json(ENTRY, text)?)?],
    };
    let timestamps = match there(TIMESTAMP) {
        None => Vec::new(),
        Some(text) => {
            let stamp = json(TIMESTAMP, text)?;
            exactly(TIMESTAMP, &stamp, &["SignedRFC3161Timestamp"])?;
            vec![bytes(TIMESTAMP, &stamp, "SignedRFC3161Timestamp")?]
        }
    };
    Ok(Material { by, entries, timestamps, proofs: false })
}

fn is_root(der: &[u8]) -> bool {
    super::x509::Certificate::parse(der).is_ok_and(|one| one.is_own_issuer())
}

fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, Reason> {
    let blocks = text::pem_blocks("a certificate beside a signature", pem);
    let blocks = blocks.map_err(Reason::malformed)?;
    blocks
        .into_iter()
        .map(|(label, der)| match label.as_str() {
            "CERTIFICATE" => Ok(der.to_vec()),
            _ => Err(Reason::malformed("a block beside a signature that is no certificate")),
        })
        .collect()
}
