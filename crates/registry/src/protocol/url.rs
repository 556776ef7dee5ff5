//! Addresses of the web, as much of them as the protocol needs.

use std::fmt;

use plimsoll_content::{Code, Error, Result};

use super::Host;

/// The longest address that is followed.
const LENGTH: usize = 16 << 10;

/// How a connection is made.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Through TLS.
    Https,
}

impl Scheme {
    /// As it is written, without the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// An `http` or `https` address without user and fragment.
///
/// Shown, it has no query: that may hold a signature which opens the content
/// to everybody ([`Url::whole`] has it).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Url {
    scheme: Scheme,
    host: Host,
    /// From the first slash on, with the query.
    path: String,
}

impl Url {
    /// The address of a path, which starts with a slash.
    pub fn new(scheme: Scheme, host: Host, path: impl Into<String>) -> Self {
        Self { scheme, host, path: path.into() }
    }

    /// Reads an absolute address.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |expected: &str| {
            Error::new(Code::Registry, "reading an address")
                .found(format!("{:?}", without_query(text)))
                .expected(expected)
        };
        if text.len() > LENGTH {
            return Err(bad("at most 16 KiB"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("http:// or https://"))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(bad("http:// or https://")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        if host.contains('@') {
            return Err(bad("no user and password in the address"));
        }
        let host = host.parse().map_err(|_| bad("a host"))?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { scheme, host, path: checked(&path).ok_or_else(|| bad("plain ASCII"))? })
    }

    /// What `location` means in an answer from this address: an absolute
    /// address, or a path on the same host.
    pub fn join(&self, location: &str) -> Result<Self> {
        let bad = || {
            Error::new(Code::Registry, format!("following an answer of {self}"))
                .found(format!("location {:?}", without_query(location)))
                .expected("an address, or a path that starts with /")
        };
        if location.len() > LENGTH {
            return Err(bad());
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme.as_str()));
        }
        if location.starts_with('/') {
            let path = checked(location).ok_or_else(bad)?;
            return Ok(Self { path, ..self.clone() });
        }
        if location.starts_with('?') {
            let path = self.path.split('?').next().unwrap_or_default();
            let path = checked(&format!("{path}{location}")).ok_or_else(bad)?;
            return Ok(Self { path, ..self.clone() });
        }
        if location.contains("://") {
            return Self::parse(location);
        }
        Err(bad())
    }

    /// The same with one more parameter.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let joint = match self.path.split_once('?') {
            None => "?",
            Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
            Some(_) => "&",
        };
        let path = format!("{}{joint}{}={}", self.path, encoded(name), encoded(value));
        Self { path, ..self.clone() }
    }

    /// How the connection is made.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whose address it is.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The path, with the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The port, said or implied.
    pub fn port(&self) -> u16 {
        let text = self.host.as_str();
        let said = if text.ends_with(']') { None } else { text.rsplit_once(':') };
        said.and_then(|(_, port)| port.parse().ok()).unwrap_or(match self.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        })
    }

    /// Whether both lead to one server, so that what is a secret between it
    /// and us may go to either.
    pub fn same_origin(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.host.name() == other.host.name()
            && self.port() == other.port()
    }

    /// The whole address, with the query.
    pub fn whole(&self) -> String {
        format!("{}://{}{}", self.scheme.as_str(), self.host, self.path)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.host, without_query(&self.path))
    }
}

fn without_query(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    text[..end].chars().take(200).collect()
}

/// A path without its fragment, if it can stand in a request.
fn checked(path: &str) -> Option<String> {
    let path = path.split('#').next().unwrap_or(path);
    path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\').then(|| path.to_owned())
}

/// Text as it stands in a query (RFC 3986, section 2.3).
pub fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    #[test]
    fn locations_are_absolute_or_relative_to_the_host() {
        let base = url("https://r.example:5000/v2/a/blobs/uploads/?x=1");
        for (location, expected) in [
            (
                "/v2/a/blobs/uploads/7?_state=q",
                "https://r.example:5000/v2/a/blobs/uploads/7?_state=q",
            ),
            ("https://s.example/x", "https://s.example/x"),
            ("//s.example/x", "https://s.example/x"),
            ("?y=2", "https://r.example:5000/v2/a/blobs/uploads/?y=2"),
        ] {
            assert_eq!(base.join(location).expect(location).whole(), expected);
        }
        for bad in ["", "x", "ftp://a/b", "/a\r\nHost: b", "https://u:p@h/", "/a b", "/ä"] {
            assert!(base.join(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_parameter_is_added_to_what_is_there() {
        assert_eq!(
            url("http://a/u").with("digest", "sha256:0").whole(),
            "http://a/u?digest=sha256:0"
        );
        assert_eq!(url("http://a/u?s=1").with("m", "a b&c").whole(), "http://a/u?s=1&m=a%20b%26c");
        assert_eq!(url("http://a/u?").with("m", "+").whole(), "http://a/u?m=%2B");
    }

    #[test]
    fn queries_are_not_shown_and_origins_are_compared_whole() {
        let signed = url("https://s.example/x?X-Amz-Signature=secret#frag");
        assert_eq!(signed.to_string(), "https://s.example/x");
        assert!(
            !format!("{}", Url::parse("ftp://h/x?secret").expect_err("scheme")).contains("secret")
        );
        assert!(url("https://a/").same_origin(&url("https://A:443/x")));
        for other in ["http://a/", "https://a:444/", "https://b/", "https://a.b/"] {
            assert!(!url("https://a/").same_origin(&url(other)), "{other}");
        }
    }

    proptest! {
        #[test]
        fn nothing_read_panics_or_holds_a_line_break(text in "\\PC{0,60}", location in ".{0,60}") {
            if let Ok(url) = Url::parse(&text) {
                prop_assert!(!url.whole().contains(['\r', '\n', ' ']));
            }
            if let Ok(url) = url("https://a/b?c").join(&location) {
                prop_assert!(!url.whole().contains(['\r', '\n', ' ']));
            }
        }
    }
}
