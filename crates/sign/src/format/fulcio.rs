//! Certificates of Fulcio: whom one names, and who has said so. The extensions are those
//! of sigstore's `oid-info`.

use serde::Serialize;

use super::x509::Certificate;
use crate::der::{self, Der};
use crate::reason::{Reason, quoted};

const SUBJECT: &[u8] = &[0x55, 0x1d, 0x11];
/// The issuer as it was written first: the bytes themselves.
const ISSUER_V1: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, 0x01];
/// The same as a string in DER.
const ISSUER_V2: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, 0x08];
/// A name that is neither an address nor a URI.
const USERNAME: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, 0x07];

const UTF8: u8 = 0x0c;

/// Whom a certificate names.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Identity {
    /// Who has said so: the address of an OpenID provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Who: an address, a URI, a host or a name.
    pub subject: String,
    /// Whether that is an address for mail.
    #[serde(skip)]
    pub mail: bool,
}

/// Whom the certificate names; nobody has verified it. It must name one, and its issuer
/// no more than once.
pub(crate) fn identity(certificate: &Certificate) -> Result<Identity, Reason> {
    let bad = || Reason::malformed("a certificate that names no subject, or several");
    let extension = certificate.extension(SUBJECT).ok_or_else(bad)?;
    let (subject, mail) = subject(&extension.value).ok_or_else(bad)?;
    if subject.is_empty() || subject.chars().any(char::is_control) {
        return Err(bad());
    }
    let wrong = || Reason::malformed("a certificate whose issuer of identities is malformed");
    let old = match certificate.extension(ISSUER_V1) {
        None => None,
        Some(extension) => Some(String::from_utf8(extension.value.clone()).map_err(|_| wrong())?),
    };
    let new = match certificate.extension(ISSUER_V2) {
        None => None,
        Some(extension) => {
            let text = Der::only(&extension.value, UTF8).ok_or_else(wrong)?.rest().to_vec();
            Some(String::from_utf8(text).map_err(|_| wrong())?)
        }
    };
    if let (Some(old), Some(new)) = (&old, &new)
        && old != new
    {
        return Err(Reason::malformed(format!(
            "a certificate with two issuers of its identity: {} and {}",
            quoted(old),
            quoted(new)
        )));
    }
    Ok(Identity { issuer: new.or(old), subject, mail })
}

fn subject(value: &[u8]) -> Option<(String, bool)> {
    let mut names = Der::only(value, der::SEQUENCE)?;
    let (tag, content) = names.any()?;
    names.end()?;
    let text = match tag {
        // An address, a host, a URI.
        0x81 | 0x82 | 0x86 => content,
        0xa0 => {
            let mut other = Der::new(content);
            if other.take(der::OID)? != USERNAME {
                return None;
            }
            let mut wrapped = other.inside(0xa0)?;
            other.end()?;
            let text = wrapped.take(UTF8)?;
            wrapped.end()?;
            text
        }
        _ => return None,
    };
    Some((String::from_utf8(text.to_vec()).ok()?, tag == 0x81))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_subject_is_read() {
        let names = |parts: &[&[u8]]| der::value(der::SEQUENCE, parts);
        let mail = der::value(0x81, &[b"a@example.com"]);
        let uri = der::value(0x86, &[b"https://example.com/x"]);
        assert_eq!(subject(&names(&[&mail])), Some(("a@example.com".to_owned(), true)));
        assert_eq!(subject(&names(&[&uri])), Some(("https://example.com/x".to_owned(), false)));
        let text = der::value(0xa0, &[&der::value(UTF8, &[b"someone"])]);
        let other = der::value(0xa0, &[&der::value(der::OID, &[USERNAME]), &text]);
        assert_eq!(subject(&names(&[&other])), Some(("someone".to_owned(), false)));
        assert_eq!(subject(&names(&[&mail, &uri])), None);
        assert_eq!(subject(&names(&[])), None);
        assert_eq!(subject(&names(&[&der::value(0x87, &[&[127, 0, 0, 1]])])), None);
    }
}
