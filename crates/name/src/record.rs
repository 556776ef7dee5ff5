//! The DNS record of a domain (D1): `v=imn1; zone=https://…; root=sha256:…`,
//! as TXT at `_image-names.HOST`.

use plimsoll_content::{Code, Digest, Error, Result};

use crate::suffix::same_owner;
use crate::{Address, Host};

/// The label in front of the domain.
pub const LABEL: &str = "_image-names";

/// The longest record, in bytes: one string of a TXT record.
const LENGTH: usize = 255;

/// What a domain says in the DNS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Where its zone is: the folder of `metadata/` and `targets/`.
    pub zone: Option<Address>,
    /// The digest of a root of that zone.
    pub root: Option<Digest>,
    /// What changes when the owner changes something.
    pub id: Option<String>,
}

/// What an answer of the DNS is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Security {
    /// It was proved, from the root of the DNS down to the record.
    Secure,
    /// It was proved that nobody has signed it.
    Insecure,
}

impl Record {
    /// The record among the strings that stand at the name of a domain. Others
    /// may stand there as well; two records are an error.
    pub fn find<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<Self>> {
        let mut found = None;
        for text in texts {
            let Ok(text) = str::from_utf8(text) else { continue };
            let first = text.split(';').next().unwrap_or_default();
            if first.split_once('=').map(|(key, value)| (key.trim(), value.trim()))
                != Some(("v", "imn1"))
            {
                continue;
            }
            if found.is_some() {
                return Err(wrong("two records").expected("one that begins with v=imn1"));
            }
            found = Some(Self::parse(text)?);
        }
        Ok(found)
    }

    /// Reads one record.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > LENGTH {
            return Err(wrong(format!("{} bytes", text.len())).expected("at most 255"));
        }
        let mut record = Self { zone: None, root: None, id: None };
        let mut seen: Vec<&str> = Vec::new();
        for (at, part) in text.split(';').enumerate() {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            let (key, value) = part
                .split_once('=')
                .map(|(key, value)| (key.trim(), value.trim()))
                .ok_or_else(|| wrong(format!("{part:?}")).expected("KEY=VALUE"))?;
            if (at == 0) != (key == "v") {
                return Err(wrong(format!("{part:?}")).expected("v=imn1 first, and once"));
            }
            if seen.contains(&key) {
                return Err(wrong(format!("{key} twice")).expected("each key once"));
            }
            seen.push(key);
            let doing = |error: Error| error.context("reading a record of the DNS");
            match key {
                "v" if value == "imn1" => {}
                "v" => return Err(wrong(format!("version {value:?}")).expected("imn1")),
                "zone" => record.zone = Some(value.parse().map_err(doing)?),
                "root" => {
                    let digest: Digest = value.parse().map_err(doing)?;
                    digest.computable("a root").map_err(doing)?;
                    record.root = Some(digest);
                }
                "id" => record.id = Some(value.to_owned()),
                // What is unknown is for later versions.
                _ => {}
            }
        }
        if !seen.contains(&"v") {
            return Err(wrong("no version").expected("v=imn1 first"));
        }
        Ok(record)
    }

    /// The text of the record.
    pub fn to_text(&self) -> String {
        let mut text = "v=imn1".to_owned();
        for (key, value) in [
            ("zone", self.zone.as_ref().map(ToString::to_string)),
            ("root", self.root.as_ref().map(ToString::to_string)),
            ("id", self.id.clone()),
        ] {
            if let Some(value) = value {
                text.push_str(&format!("; {key}={value}"));
            }
        }
        text
    }

    /// Whether the record may send clients of `host` to its zone: without
    /// DNSSEC only to that host and those below it.
    pub fn may_lead(&self, host: &Host, security: Security) -> bool {
        let (Some(zone), Some(name)) = (&self.zone, host.domain_name()) else { return false };
        let Some(there) = zone.host().domain_name() else {
            return security == Security::Secure;
        };
        let below = there == name || there.ends_with(&format!(".{name}"));
        security == Security::Secure || (below && same_owner(there, name))
    }
}

fn wrong(found: impl std::fmt::Display) -> Error {
    Error::new(Code::Discovery, format!("reading the record at {LABEL}")).found(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn records_are_read_and_written() {
        let text = format!("v=imn1; zone=https://oci.example.com/zone/; root={ROOT}; id=20261123a");
        let record = Record::parse(&text).expect("record");
        assert_eq!(record.to_text(), text);
        let others: [&[u8]; 3] = [b"v=spf1 -all", text.as_bytes(), b"\xff"];
        assert_eq!(Record::find(others).expect("one"), Some(record));
        assert_eq!(Record::find([&b"v=spf1"[..]]).expect("none"), None);
        assert_eq!(
            Record::parse("v=imn1;").expect("empty"),
            Record { zone: None, root: None, id: None }
        );
        assert!(Record::parse(" v = imn1 ;x=1").is_ok());
        let two: [&[u8]; 2] = [b"v=imn1", b"v=imn1"];
        assert!(Record::find(two).is_err());
        for bad in [
            "v=imn2",
            "zone=https://a.example/; v=imn1",
            "v=imn1; v=imn1",
            "v=imn1; zone=http://a.example/",
            "v=imn1; root=sha256:00",
            "v=imn1; root=md5:abc",
            "v=imn1; zone",
            "v=imn1; id=1; id=2",
            &format!("v=imn1; id={}", "x".repeat(255)),
        ] {
            assert!(Record::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a15_without_dnssec_a_record_leads_to_its_own_domain_only() {
        for (zone, host, may) in [
            ("https://example.com/zone/", "example.com", true),
            ("https://oci.example.com/zone/", "example.com", true),
            ("https://example.com/zone/", "www.example.com", false),
            ("https://evil.example/zone/", "example.com", false),
            ("https://notexample.com/zone/", "example.com", false),
            ("https://foo.co.uk/", "co.uk", false),
            ("https://10.0.0.1/", "example.com", false),
        ] {
            let record = Record::parse(&format!("v=imn1; zone={zone}")).expect("record");
            let host: Host = host.parse().expect("host");
            assert_eq!(record.may_lead(&host, Security::Insecure), may, "{zone} for {host}");
            assert!(record.may_lead(&host, Security::Secure), "{zone} for {host}");
        }
    }
}
