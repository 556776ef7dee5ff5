//! Paths of certificates (RFC 5280, 6) from one that signs to an authority that is
//! trusted, at some time. Those of the Notary Project have rules of their own, in
//! [`super::x509`].

use super::x509::{CERT_SIGN, Certificate, EXTENDED_KEY_USAGE, Extension, SIGNATURE};
use crate::claim::Seconds;
use crate::reason::{Reason, Why, quoted};

/// How long a path may be.
pub(crate) const LONGEST: usize = 10;

/// What the certificate at the end of a path is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// Signing code.
    Code,
    /// Time stamps.
    Time,
}

const CODE: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];
const TIME: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];
const ANY: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];

impl Purpose {
    fn oid(self) -> &'static [u8] {
        match self {
            Self::Code => CODE,
            Self::Time => TIME,
        }
    }
}

impl Certificate {
    pub(super) fn extension(&self, oid: &[u8]) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.oid == oid)
    }

    /// Whether it is one of an authority.
    pub(crate) fn is_ca(&self) -> bool {
        self.uses.authority
    }

    /// Whether it names itself as its issuer, as roots do.
    pub(crate) fn is_own_issuer(&self) -> bool {
        self.issuer_name == self.subject_name
    }

    /// How it is called in reasons.
    fn called(&self) -> String {
        let name = self.name();
        if name.is_empty() { "the certificate of the signer".to_owned() } else { quoted(&name) }
    }

    fn may_sign(&self, below: u64, purpose: Purpose) -> Result<(), Reason> {
        let uses = &self.uses;
        let signs = uses.key.is_none_or(|(bits, _)| bits & CERT_SIGN != 0);
        if !uses.authority || !signs || uses.path.is_some_and(|path| below > path) {
            let text = format!("{} may not sign others, or not so many", self.called());
            return Err(Reason::new(Why::Certificate, text));
        }
        let fits = |oid: &Vec<u8>| oid == purpose.oid() || oid == ANY;
        if self.extension(EXTENDED_KEY_USAGE).is_some() && !uses.extended.iter().any(fits) {
            let text = format!("{} is for other purposes", self.called());
            return Err(Reason::new(Why::Certificate, text));
        }
        Ok(())
    }

    fn is_for(&self, purpose: Purpose) -> Result<(), Reason> {
        let uses = &self.uses;
        let signs = match uses.key {
            Some((bits, _)) => bits & SIGNATURE != 0 && bits & CERT_SIGN == 0,
            None => purpose == Purpose::Time,
        };
        let extension = self.extension(EXTENDED_KEY_USAGE);
        let purposes = match purpose {
            Purpose::Code => uses.extended.iter().any(|oid| oid == CODE),
            // RFC 3161, 2.3: this one purpose, and critical.
            Purpose::Time => {
                uses.extended == [TIME] && extension.is_some_and(|extension| extension.critical)
            }
        };
        if !uses.authority && signs && purposes {
            return Ok(());
        }
        let what = match purpose {
            Purpose::Code => "signatures of code",
            Purpose::Time => "time stamps, and nothing else",
        };
        Err(Reason::new(Why::Certificate, format!("{} is not one for {what}", self.called())))
    }

    /// Names that only some subjects may have are not compared here, so that a
    /// certificate with such a condition counts for nothing.
    fn is_unconstrained(&self) -> Result<(), Reason> {
        if self.extension(NAME_CONSTRAINTS).is_none() {
            return Ok(());
        }
        let text = format!("{} constrains names, which is not understood here", self.called());
        Err(Reason::new(Why::Certificate, text))
    }
}

/// A path: the certificate that signs first, then each one's issuer.
#[derive(Clone, Debug)]
pub(crate) struct Path<'a>(Vec<&'a Certificate>);

/// The path to an authority, whose chain ends with what is trusted. What others
/// brought along may stand between.
pub(crate) fn path<'a>(
    leaf: &'a Certificate,
    brought: &'a [Certificate],
    chain: &'a [Certificate],
    purpose: Purpose,
) -> Result<Path<'a>, Reason> {
    let anchor = chain
        .last()
        .ok_or_else(|| Reason::new(Why::Certificate, "an authority without certificates"))?;
    leaf.is_unconstrained()?;
    leaf.is_for(purpose)?;
    let mut path = vec![leaf];
    let mut at = leaf;
    while at.der != anchor.der {
        let fresh = |one: &&Certificate| !path.iter().any(|known| known.der == one.der);
        let upper = chain
            .iter()
            .chain(brought)
            .filter(fresh)
            .find(|upper| at.signed_by(upper))
            .ok_or_else(|| {
                let text = format!("{} leads to no trusted authority", leaf.called());
                Reason::new(Why::Certificate, text)
            })?;
        upper.is_unconstrained()?;
        // Those between, without the first and without roots that renew themselves.
        let below = path.iter().skip(1).filter(|one| !one.is_own_issuer()).count();
        upper.may_sign(below as u64, purpose)?;
        path.push(upper);
        if path.len() > LONGEST {
            return Err(Reason::new(Why::Limit, format!("more than {LONGEST} certificates")));
        }
        at = upper;
    }
    Ok(Path(path))
}

impl<'a> Path<'a> {
    /// The issuer of the one that signs.
    pub(crate) fn issuer(&self) -> Option<&'a Certificate> {
        self.0.get(1).copied()
    }

    /// Whether one of them names a place that would tell of its revocation.
    pub(crate) fn revocable(&self) -> bool {
        self.0.iter().any(|one| one.revocable())
    }

    /// The time in which all of it holds; both ends count.
    pub(crate) fn holds(&self) -> (Seconds, Seconds) {
        let begin = self.0.iter().map(|one| one.validity.0).max();
        let end = self.0.iter().map(|one| one.validity.1).min();
        (begin.unwrap_or(Seconds::MAX), end.unwrap_or(Seconds::MIN))
    }

    /// That each certificate of it holds at that time.
    pub(crate) fn at(&self, at: Seconds) -> Result<(), Reason> {
        for one in &self.0 {
            let (begin, end) = one.validity;
            if at < begin {
                let text = format!("{} begins at {begin}, after {at}", one.called());
                return Err(Reason::new(Why::NotYet, text));
            }
            if at > end {
                let text = format!("{} ended at {end}, before {at}", one.called());
                return Err(Reason::new(Why::Expired, text));
            }
        }
        Ok(())
    }
}
