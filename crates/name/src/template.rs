//! Templates of addresses (RFC 6570), as much of them as discovery uses:
//! `{name}`, `{+name}` and `{name:3}`.
//!
//! Who may fill in what is decided before anything is filled in: the host is
//! literal or exactly `{host}`, and no value can lead out of its place.

use std::fmt;

use plimsoll_content::Result;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Address, bad};

/// A template that was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Literal(String),
    Variable { name: String, reserved: bool, most: Option<usize> },
}

impl Template {
    /// Reads a template. One that is relative has to be completed by the
    /// address of the document that it stands in.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |expected: &str| bad("a template of addresses", text, expected);
        if text.len() > 2048 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("at most 2048 letters of ASCII"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, behind) = rest.split_once('{').unwrap_or((rest, ""));
            if literal.contains('}') {
                return Err(wrong("a { before each }"));
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            if literal.len() == rest.len() {
                break;
            }
            let (inside, behind) = behind.split_once('}').ok_or_else(|| wrong("a closing }"))?;
            let (reserved, name) = match inside.strip_prefix('+') {
                Some(name) => (true, name),
                None => (false, inside),
            };
            let (name, most) = match name.split_once(':') {
                Some((name, most)) => {
                    let digits = most.len() <= 4
                        && !most.starts_with('0')
                        && most.bytes().all(|b| b.is_ascii_digit());
                    let most = most.parse().ok().filter(|_| digits);
                    (name, Some(most.ok_or_else(|| wrong("a length from 1 to 9999 behind :"))?))
                }
                None => (name, None),
            };
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(wrong("{name}, {+name} or {name:3}"));
            }
            parts.push(Part::Variable { name: name.to_owned(), reserved, most });
            rest = behind;
        }
        let template = Self { text: text.to_owned(), parts };
        template.check_origin()?;
        Ok(template)
    }

    /// The scheme is literal, and the host is literal or one variable.
    fn check_origin(&self) -> Result<()> {
        let wrong = |expected: &str| bad("a template of addresses", &self.text, expected);
        let scheme = self.text.split(['/', '?', '#']).next().unwrap_or_default();
        if scheme.contains(':') && !self.text.starts_with("https://") {
            return Err(wrong("https://, or a path"));
        }
        if self.text.starts_with("//") {
            return Err(wrong("https://, or a path"));
        }
        if let Some(rest) = self.text.strip_prefix("https://") {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            if host.contains(['{', '}']) && host != "{host}" {
                return Err(wrong("a host that is written out, or {host}"));
            }
        } else if matches!(self.parts.first(), Some(Part::Variable { .. })) {
            return Err(wrong("an address that begins with something that is written out"));
        }
        Ok(())
    }

    /// The address for these values; relative to `base`, where the template was found.
    ///
    /// Errors if a variable is not among them, or if the values would lead
    /// anywhere else than the template does.
    pub fn expand(&self, base: &Address, values: &[(&str, &str)]) -> Result<Address> {
        let wrong = |expected: &str| bad("a template of addresses", &self.text, expected);
        let fill = |neutral: bool| -> Result<String> {
            let mut text = String::new();
            for part in &self.parts {
                match part {
                    Part::Literal(literal) => text.push_str(literal),
                    Part::Variable { name, reserved, most } => {
                        let (_, value) = values
                            .iter()
                            .find(|(known, _)| known == name)
                            .ok_or_else(|| wrong("variables that this protocol has"))?;
                        if !is_harmless(value) {
                            return Err(bad("a value for a template", value, "no .., // or %"));
                        }
                        let value: String =
                            value.chars().take(most.unwrap_or(usize::MAX)).collect();
                        if neutral && name != "host" {
                            text.push('x');
                        } else {
                            push(&value, *reserved || name == "host", &mut text);
                        }
                    }
                }
            }
            Ok(text)
        };
        let (address, neutral) = (base.join(&fill(false)?)?, base.join(&fill(true)?)?);
        if address.host() != neutral.host() {
            return Err(wrong("the same host for all values"));
        }
        Ok(address)
    }

    /// The same template, complete, as it is found at `base`.
    pub fn absolute(&self, base: &Address) -> Result<Self> {
        if self.text.starts_with("https://") {
            return Ok(self.clone());
        }
        let folder = base.path().rfind('/').map_or("/", |at| &base.path()[..=at]);
        let path = if self.text.starts_with('/') {
            self.text.clone()
        } else {
            let mut path = format!("{folder}{}", self.text);
            // Steps up come first, in what is written out.
            while let Some(at) = path.find("/../") {
                let above = path[..at].rfind('/').unwrap_or(0);
                path.replace_range(above..at + 3, "");
            }
            path
        };
        Self::parse(&format!("https://{}{path}", base.host()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Whether a value stays where it is put, whoever reads the address.
fn is_harmless(value: &str) -> bool {
    !value.is_empty()
        && value.bytes().all(|byte| byte.is_ascii_graphic() && !b"%\\?#{}".contains(&byte))
        && !value.contains("//")
        && !value.starts_with('/')
        && !value.split('/').any(|part| part == "." || part == "..")
}

fn push(value: &str, reserved: bool, text: &mut String) {
    for byte in value.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if plain || (reserved && b":/?#[]@!$&'()*+,;=".contains(&byte)) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_where_the_template_says() {
        let base: Address = "https://example.com/.well-known/x".parse().expect("address");
        let values = [
            ("host", "example.com"),
            ("path", "c/d"),
            ("algorithm", "sha256"),
            ("encoded", "abcdef"),
            ("name", "example.com/c/d#1"),
        ];
        for (template, expected) in [
            ("https://o.example/i/{+path}", "https://o.example/i/c/d"),
            ("https://o.example/i/{path}", "https://o.example/i/c%2Fd"),
            ("https://{host}/i/{+path}", "https://example.com/i/c/d"),
            (
                "https://o.example/{algorithm}/{encoded:2}/{encoded}",
                "https://o.example/sha256/ab/abcdef",
            ),
            ("/oci/{+path}", "https://example.com/oci/c/d"),
            ("../oci/{+path}", "https://example.com/oci/c/d"),
            ("x", "https://example.com/.well-known/x"),
        ] {
            let read = Template::parse(template).expect(template);
            assert_eq!(read.expand(&base, &values).expect(template).to_string(), expected);
            let whole = read.absolute(&base).expect(template);
            let other: Address = "https://elsewhere.example/".parse().expect("address");
            assert_eq!(whole.expand(&other, &values).expect(template).to_string(), expected);
        }
        // A name with # can not stand in a path.
        assert!(
            Template::parse("https://o.example/{+name}")
                .expect("read")
                .expand(&base, &values)
                .is_err()
        );
    }

    #[test]
    fn a21_nothing_leads_out_of_its_place() {
        for bad in [
            "http://o.example/{path}",
            "data:application/json,{}",
            "file:///{path}",
            "{scheme}://o.example/",
            "https://{path}/",
            "https://{host}.evil.example/",
            "https://a{host}/",
            "//o.example/{path}",
            "{path}",
            "{+path}/x",
            "https://o.example/{host.__class__.__name__}",
            "https://o.example/{path*}",
            "https://o.example/{?path}",
            "https://o.example/{path:0}",
            "https://o.example/{path:+1}",
            "https://o.example/{path",
            "https://o.example/path}",
            "https://o.example/{}",
            "https://o.example/ä",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        let base: Address = "https://example.com/".parse().expect("address");
        let template = Template::parse("https://o.example/i/{+path}").expect("read");
        for value in [
            "../x",
            "a/../../x",
            "a//b",
            "/x",
            "%2F..",
            "a%2e",
            "",
            "a?b",
            "a#b",
            "a\\b",
            "a\nb",
            "ä",
        ] {
            assert!(template.expand(&base, &[("path", value)]).is_err(), "{value:?}");
        }
        assert!(template.expand(&base, &[("name", "x")]).is_err());
        let sly = Template::parse("https://o.example/{+path}").expect("read");
        assert!(
            sly.expand(&base, &[("path", "@evil.example:1/x")])
                .is_ok_and(|a| a.host().to_string() == "o.example")
        );
    }
}
