//! Signatures that come with a certificate for a short time, an entry of a log, or a
//! time stamp: who made one, and when, by the word of those whom a trusted root names.

mod wanted;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::claim::Seconds;
use crate::format::dsse::Envelope;
use crate::format::fulcio::{self, Identity};
use crate::format::log::Entry;
use crate::format::log::body::{Made, Maker};
use crate::format::path::{Path, Purpose, path};
use crate::format::root::{Authority, Log, Root};
use crate::format::x509::Certificate;
use crate::format::{sct, timestamp};
use crate::key::{Algorithm, Kind, PublicKey};
use crate::policy::{Rooted, Who};
use crate::reason::{Reason, Why};

pub(crate) use wanted::wanted;
pub use wanted::{Pattern, Wanted};

/// What comes with a signature. Nobody has verified it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Material {
    /// Who says to have made it.
    pub by: By,
    /// Entries of logs.
    pub entries: Vec<Entry>,
    /// Time stamps.
    pub timestamps: Vec<Vec<u8>>,
    /// Whether entries need the proof that the log has them.
    pub proofs: bool,
}

/// Who says to have made a signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum By {
    /// The owner of a key, and a hint which one.
    Key {
        /// Which key the maker used, as it says itself.
        hint: String,
    },
    /// Whom a certificate names: it comes first, behind it those that lead from it to
    /// an authority.
    Certificates(Vec<Vec<u8>>),
}

/// What was checked besides the signature itself.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Check {
    /// The certificate, up to an authority, at all times of signing.
    Certificate,
    /// That a log of certificates has the certificate.
    CertificateLog,
    /// That a log has the signature.
    Log,
    /// That an authority for time stamps has seen it.
    Timestamp,
}

/// A time of signing, and who has seen it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Sighting {
    /// What kind of witness: [`Check::Log`] or [`Check::Timestamp`].
    pub by: Check,
    /// How the trusted root calls it.
    pub name: String,
    /// When.
    pub at: Seconds,
}

/// What others than the signer vouch for.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Vouched {
    /// Whom the certificate names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// When it was signed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<Sighting>,
    /// What was checked.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub checked: BTreeSet<Check>,
}

/// A signature that holds, and what comes with it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) algorithm: Algorithm,
    pub(crate) vouched: Vouched,
    /// The time in which its certificates hold, where nobody has seen when it was made.
    pub(crate) holds: Option<(Seconds, Seconds)>,
    /// Whether a certificate names a place that would tell of its revocation.
    pub(crate) revocable: bool,
}

/// What is signed, and the signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signature<'a> {
    pub(crate) message: &'a [u8],
    pub(crate) made: &'a [u8],
    pub(crate) envelope: Option<&'a Envelope>,
}

/// The algorithms that a key may sign with, in the order in which they are common; for
/// each kind of key there are at most two.
pub(crate) fn algorithms(kind: Kind) -> &'static [Algorithm] {
    match kind {
        Kind::P256 => &[Algorithm::EcdsaP256Sha256],
        Kind::P384 => &[Algorithm::EcdsaP384Sha384, Algorithm::EcdsaP384Sha256],
        Kind::Ed25519 => &[Algorithm::Ed25519],
        Kind::Rsa => &[Algorithm::RsaPkcs1Sha256],
    }
}

/// With which algorithm the key made the signature.
pub(crate) fn made_by(key: &PublicKey, signature: &Signature<'_>) -> Option<Algorithm> {
    let found = algorithms(key.kind())
        .iter()
        .find(|algorithm| key.verifies(**algorithm, signature.message, signature.made));
    found.copied()
}

/// Verifies a signature with all that comes with it. Whether its maker is one who is
/// trusted is not looked at here; of a key it is.
pub(crate) fn verify(
    signature: &Signature<'_>,
    material: &Material,
    rooted: &Rooted,
) -> Result<Held, Reason> {
    let root = &rooted.root;
    match (&material.by, &rooted.who) {
        (By::Key { .. }, Who::Key(key)) => {
            let algorithm = made_by(key, signature)
                .ok_or_else(|| Reason::new(Why::Key, "not made by the key, or changed since"))?;
            let mut vouched = Vouched::default();
            witnesses(signature, material, Maker::Key(key), root, &mut vouched)?;
            enough(&vouched, rooted)?;
            Ok(Held { algorithm, vouched, holds: None, revocable: false })
        }
        (By::Certificates(all), Who::Anyone(_)) => {
            let all = all.iter().map(|der| Certificate::parse(der));
            let all = all.collect::<Result<Vec<_>, Reason>>()?;
            let (leaf, brought) = all
                .split_first()
                .ok_or_else(|| Reason::malformed("a signature without its certificate"))?;
            if all.iter().any(Certificate::is_own_issuer) {
                let text = "a signature that brings along the root it wants to be trusted by";
                return Err(Reason::new(Why::Certificate, text));
            }
            let algorithm = made_by(&leaf.key, signature).ok_or_else(|| {
                Reason::new(Why::Key, "not made by its certificate, or changed since")
            })?;
            let mut vouched =
                Vouched { identity: Some(fulcio::identity(leaf)?), ..Vouched::default() };
            witnesses(signature, material, Maker::Certificate(&leaf.der), root, &mut vouched)?;
            enough(&vouched, rooted)?;
            let (path, authority) = to_authority(leaf, brought, root, &vouched.times)?;
            vouched.checked.insert(Check::Certificate);
            if rooted.certificate_log {
                let issuer = path.issuer().unwrap_or(leaf);
                sct::verify(leaf, issuer, root)?;
                vouched.checked.insert(Check::CertificateLog);
            }
            let holds = vouched.times.is_empty().then(|| authority.holds.within(path.holds()));
            Ok(Held { algorithm, vouched, holds, revocable: path.revocable() })
        }
        (By::Key { .. }, Who::Anyone(_)) => {
            Err(Reason::new(Why::Key, "made with a key, and an identity is what is trusted"))
        }
        (By::Certificates(_), Who::Key(_)) => {
            Err(Reason::new(Why::Key, "made with a certificate, and a key is what is trusted"))
        }
    }
}

/// Verifies entries of logs and time stamps. Those of others than the root names count
/// for nothing; of those that it names, every one must hold.
fn witnesses(
    signature: &Signature<'_>,
    material: &Material,
    signer: Maker<'_>,
    root: &Root,
    vouched: &mut Vouched,
) -> Result<(), Reason> {
    let Signature { message, made, envelope } = *signature;
    let about = Made { message, signature: made, envelope, signer };
    let mut logs = Vec::new();
    for (at, entry) in material.entries.iter().enumerate() {
        let same = |other: &Entry| (&other.log, other.index) == (&entry.log, entry.index);
        if material.entries[..at].iter().any(same) {
            return Err(Reason::malformed("a bundle with one log entry twice"));
        }
        let Some(logged) = entry.verify(root, material.proofs)? else { continue };
        entry.is_about(&about)?;
        vouched.checked.insert(Check::Log);
        let name = logged.log.name.clone();
        vouched.times.extend(logged.at.map(|at| Sighting { by: Check::Log, name, at }));
        logs.push(logged.log);
    }
    for (at, stamp) in material.timestamps.iter().enumerate() {
        if material.timestamps[..at].contains(stamp) {
            return Err(Reason::malformed("a bundle with one time stamp twice"));
        }
        let found = timestamp::verify(stamp, made, &root.timestamp_authorities)?;
        let Some(stamp) = found else { continue };
        vouched.checked.insert(Check::Timestamp);
        let name = stamp.authority.name.clone();
        vouched.times.push(Sighting { by: Check::Timestamp, name, at: stamp.at });
    }
    for log in logs {
        // One log may stand there for several times.
        let same = root.logs.iter().filter(|other| other.id == log.id && other.key == log.key);
        let in_use: Vec<_> = same.map(|log| in_use(log, &vouched.times)).collect();
        if !in_use.iter().any(Result::is_ok) {
            in_use.into_iter().collect::<Result<(), Reason>>()?;
        }
    }
    Ok(())
}

/// That a log was in use at all times of signing: entries of the second version have none
/// of their own.
fn in_use(log: &Log, times: &[Sighting]) -> Result<(), Reason> {
    if times.is_empty() && log.holds.end.is_some() {
        let text = "a log that is out of use, and nobody says when it took the entry";
        return Err(Reason::new(Why::Time, text));
    }
    times.iter().try_for_each(|seen| log.holds.at("the log", seen.at))
}

/// That there are a log and a time, where they are asked for.
fn enough(vouched: &Vouched, rooted: &Rooted) -> Result<(), Reason> {
    if !rooted.log {
        return Ok(());
    }
    if !vouched.checked.contains(&Check::Log) {
        return Err(Reason::new(Why::Log, "no entry of a log that is trusted"));
    }
    if matches!(rooted.who, Who::Anyone(_)) && vouched.times.is_empty() {
        let text = "nobody who is trusted says when it was signed";
        return Err(Reason::new(Why::Time, text));
    }
    Ok(())
}

/// The path to an authority that was trusted at all of the times, and whose
/// certificates held at all of them.
fn to_authority<'a>(
    leaf: &'a Certificate,
    brought: &'a [Certificate],
    root: &'a Root,
    times: &[Sighting],
) -> Result<(Path<'a>, &'a Authority), Reason> {
    let mut nearest: Option<Reason> = None;
    for authority in &root.authorities {
        let found = path(leaf, brought, &authority.chain, Purpose::Code).and_then(|path| {
            for seen in times {
                path.at(seen.at)?;
                authority.holds.at("the authority of the certificate", seen.at)?;
            }
            Ok(path)
        });
        match found {
            Ok(path) => return Ok((path, authority)),
            Err(reason) if nearest.as_ref().is_none_or(|old| old.why <= reason.why) => {
                nearest = Some(reason);
            }
            Err(_) => {}
        }
    }
    let none = || Reason::new(Why::Certificate, "no authority for certificates is trusted");
    Err(nearest.unwrap_or_else(none))
}

/// Whose signatures are equal for thresholds: one subject of one issuer.
pub(crate) fn signer(identity: &Identity) -> String {
    format!("keyless:{} {}", identity.issuer.as_deref().unwrap_or_default(), identity.subject)
}
