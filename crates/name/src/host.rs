//! Hosts: who a name begins with, in one spelling.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::str::FromStr;

use plimsoll_content::Result;

use crate::bad;

/// The longest domain name, in bytes (RFC 1035, 2.3.4).
const LENGTH: usize = 253;

/// The longest label of one.
const LABEL: usize = 63;

/// The host of a name, with its port if it has one.
///
/// Domain names are in lower case, without the dot of the root, and in their
/// ASCII form; addresses are in their shortest form. A name with a port is
/// only ever what that server says: a zone or a discovery document is about
/// the host without one.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Host {
    kind: Kind,
    port: Option<u16>,
}

#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Kind {
    Domain(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Host {
    /// Reads a host without a port: a domain name, an IPv4 address, an IPv6
    /// address in brackets.
    pub fn domain(text: &str) -> Result<Self> {
        Ok(Self { kind: Kind::parse(text)?, port: None })
    }

    /// The domain name, unless it is an address.
    pub fn domain_name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Domain(name) => Some(name),
            _ => None,
        }
    }

    /// The port, if one is written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether documents of discovery may be asked for: it is a domain name
    /// with at least two labels, and no port is written.
    pub fn is_discoverable(&self) -> bool {
        self.port.is_none() && self.domain_name().is_some_and(|name| name.contains('.'))
    }

    /// Whether that can be the first part of a name. One word without a dot or
    /// port is the first part of a path: nothing is searched for it.
    pub fn names_somebody(&self) -> bool {
        match &self.kind {
            Kind::Domain(name) => self.port.is_some() || name.contains('.') || name == "localhost",
            _ => true,
        }
    }

    /// As people of that script write it, where that differs.
    pub fn unicode(&self) -> Option<String> {
        let name = self.domain_name()?;
        if !name.split('.').any(|label| label.starts_with("xn--")) {
            return None;
        }
        let mut text = to_unicode(name)?;
        if let Some(port) = self.port {
            text.push_str(&format!(":{port}"));
        }
        Some(text)
    }

    /// What somebody who reads it should know: it may look like another one.
    pub fn warning(&self) -> Option<String> {
        let shown = self.unicode()?;
        let labels = shown.split(':').next().unwrap_or(&shown).split('.');
        let odd = labels.map(scripts).find(|scripts| scripts.mixed || scripts.alike)?;
        let why = if odd.mixed { "mixes scripts" } else { "looks like Latin letters" };
        Some(format!("{shown} is {self}: a part of it {why}"))
    }
}

impl Kind {
    fn parse(text: &str) -> Result<Self> {
        let wrong = |expected: &str| bad("a host", text, expected);
        if text.is_empty() {
            return Err(wrong("a domain, as in example.com/app"));
        }
        if let Some(rest) = text.strip_prefix('[') {
            let inner = rest.strip_suffix(']').ok_or_else(|| wrong("a closing ]"))?;
            let address = inner.parse().map_err(|_| wrong("an IPv6 address in brackets"))?;
            return Ok(Self::V6(address));
        }
        if text.contains('@') {
            return Err(wrong("no user and password in a name"));
        }
        if text.contains('%') {
            return Err(wrong("letters, not % and a code"));
        }
        let bare = text.strip_suffix('.').unwrap_or(text);
        let ascii = if bare.is_ascii() { bare.to_ascii_lowercase() } else { to_ascii(bare)? };
        let labels: Vec<&str> = ascii.split('.').collect();
        if ascii.len() > LENGTH || labels.iter().any(|label| label.len() > LABEL) {
            return Err(wrong("at most 253 bytes, and 63 between the dots"));
        }
        if !labels.iter().all(|label| is_label(label)) {
            return Err(wrong("letters, digits and - between the dots"));
        }
        // What ends in a number is read as an address by many programs.
        let last = labels.last().copied().unwrap_or_default();
        let number = last.bytes().all(|byte| byte.is_ascii_digit())
            || last
                .strip_prefix("0x")
                .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        if number {
            let address: Ipv4Addr =
                ascii.parse().map_err(|_| wrong("an IPv4 address of four numbers"))?;
            return Ok(Self::V4(address));
        }
        // What it stands for must be what it is: no second spelling.
        if labels.iter().any(|label| label.starts_with("xn--"))
            && to_unicode(&ascii).and_then(|text| to_ascii(&text).ok()).as_ref() != Some(&ascii)
        {
            return Err(wrong("a valid international name behind xn--"));
        }
        Ok(Self::Domain(ascii))
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(feature = "idna")]
fn to_ascii(text: &str) -> Result<String> {
    idna::domain_to_ascii_strict(text)
        .map_err(|_| bad("a host", text, "an international domain name (UTS 46, strict)"))
}

#[cfg(not(feature = "idna"))]
fn to_ascii(text: &str) -> Result<String> {
    Err(bad("a host", text, "its ASCII form, which begins with xn--"))
}

#[cfg(feature = "idna")]
fn to_unicode(text: &str) -> Option<String> {
    let (shown, good) = idna::domain_to_unicode(text);
    good.is_ok().then_some(shown)
}

/// Without the tables it is taken as it is.
#[cfg(not(feature = "idna"))]
fn to_unicode(_: &str) -> Option<String> {
    None
}

/// What the letters of a label belong to.
struct Scripts {
    mixed: bool,
    alike: bool,
}

/// Cyrillic and Greek letters that are drawn as Latin ones.
const ALIKE: &str = "асԁеһіјӏорԛѕԝхуѵοανιρτυκ";

/// Ranges of letters, by script; those that are not here count as one more.
const SCRIPTS: &[(char, char)] = &[
    ('\u{370}', '\u{3ff}'),
    ('\u{400}', '\u{52f}'),
    ('\u{530}', '\u{58f}'),
    ('\u{590}', '\u{5ff}'),
    ('\u{600}', '\u{6ff}'),
    ('\u{900}', '\u{97f}'),
    ('\u{e00}', '\u{e7f}'),
    ('\u{10a0}', '\u{10ff}'),
    ('\u{13a0}', '\u{13ff}'),
    ('\u{1e00}', '\u{1eff}'),
];

fn scripts(label: &str) -> Scripts {
    let mut seen: Vec<usize> = Vec::new();
    for letter in label.chars().filter(|letter| letter.is_alphabetic()) {
        let script = match letter {
            'a'..='z' | 'ß'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => 0,
            // Han, kana and hangul stand beside Latin in ordinary names.
            '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' => continue,
            _ => SCRIPTS
                .iter()
                .position(|(first, last)| (*first..=*last).contains(&letter))
                .map_or(99, |at| at + 1),
        };
        if !seen.contains(&script) {
            seen.push(script);
        }
    }
    let letters = || label.chars().filter(|letter| letter.is_alphabetic());
    let alike =
        seen != [0] && letters().count() > 0 && letters().all(|letter| ALIKE.contains(letter));
    Scripts { mixed: seen.len() > 1, alike }
}

impl FromStr for Host {
    type Err = plimsoll_content::Error;

    fn from_str(text: &str) -> Result<Self> {
        // An IPv6 address has colons of its own, inside of its brackets.
        let end = text.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match text[end..].rfind(':') {
            Some(at) => (&text[..end + at], Some(&text[end + at + 1..])),
            None => (text, None),
        };
        let port = match port {
            None => None,
            Some(digits) => {
                let plain = !digits.is_empty()
                    && !digits.starts_with('0')
                    && digits.bytes().all(|byte| byte.is_ascii_digit());
                let port = digits.parse().ok().filter(|_| plain);
                Some(port.ok_or_else(|| bad("a port", digits, "a number from 1 to 65535"))?)
            }
        };
        Ok(Self { kind: Kind::parse(host)?, port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Domain(name) => f.write_str(name)?,
            Kind::V4(address) => write!(f, "{address}")?,
            Kind::V6(address) => write!(f, "[{address}]")?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}
