//! Descriptors: media type, digest and size of content that lies elsewhere
//! (`descriptor.md`).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{Algorithm, Code, Digest, Error, MediaType, Platform, Result, json, limits};

/// Annotations: free text under (as a rule reverse-domain) names.
pub type Annotations = BTreeMap<String, String>;

/// What content is, how it is addressed, and how long it is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is said to be (DE3).
    pub media_type: MediaType,
    /// The address of the content (DE5).
    pub digest: Digest,
    /// The length of the content in bytes (DE7, DE9).
    #[serde(deserialize_with = "size")]
    pub size: u64,
    /// Other places where the content can be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Free text about the content.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub annotations: Annotations,
    /// The content itself, in base64, as it was written; see
    /// [`Descriptor::embedded`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What the content runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What an artifact is, when the descriptor points at one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Descriptor {
    const MEMBERS: &[&str] =
        &["mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType"];

    /// A descriptor with the three members that each has.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: Annotations::new(),
            data: None,
            platform: None,
            artifact_type: None,
            other: Map::new(),
        }
    }

    /// The descriptor of some bytes.
    pub fn of(media_type: MediaType, algorithm: Algorithm, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(algorithm, bytes), bytes.len() as u64)
    }

    /// The bytes embedded in `data`, proved against size and digest (DE14 to
    /// DE16), or `None` if there are none.
    pub fn embedded(&self) -> Result<Option<Vec<u8>>> {
        let Some(text) = &self.data else {
            return Ok(None);
        };
        let doing = || format!("reading the data embedded in descriptor {}", self.digest);
        let bytes = STANDARD.decode(text).map_err(|cause| {
            Error::new(Code::Malformed, doing())
                .found(&cause)
                .expected("base64 in the standard alphabet, with padding")
                .cause(cause)
        })?;
        if bytes.len() as u64 != self.size {
            return Err(Error::new(Code::Size, doing())
                .found(format!("{} bytes", bytes.len()))
                .expected(format!("{} bytes", self.size)));
        }
        let found = Digest::of(self.digest.computable("embedded data")?, &bytes);
        if found != self.digest {
            return Err(Error::new(Code::Digest, doing()).found(found).expected(&self.digest));
        }
        Ok(Some(bytes))
    }

    /// Refuses content that is announced to be longer than `limit` bytes.
    pub fn within(&self, what: &str, limit: u64) -> Result<()> {
        if self.size > limit {
            return Err(Error::new(Code::Limit, format!("reading {what} {}", self.digest))
                .found(format!("{} bytes", self.size))
                .expected(format!("at most {limit} bytes")));
        }
        Ok(())
    }

    /// Refuses members that some readers take for others
    /// ([`json::refuse_lookalikes`]). `pointer` says where the descriptor stands.
    pub fn check(&self, pointer: &str) -> Result<()> {
        json::refuse_lookalikes(pointer, &self.other, Self::MEMBERS)?;
        match &self.platform {
            Some(platform) => platform.check(&format!("{pointer}/platform")),
            None => Ok(()),
        }
    }
}

/// A plain non-negative integer of at most 63 bits (DE7, JS08).
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<u64, D::Error> {
    let size = u64::deserialize(deserializer)?;
    if size > limits::SIZE {
        return Err(serde::de::Error::custom("a size above 2^63-1"));
    }
    Ok(size)
}

/// Some writers put `null` for an empty map. The view takes it as empty;
/// `validate` reports it.
fn null_is_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"annotations":{"b":"2"},"artifactType":"x/y","data":"e30=","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"application/vnd.oci.empty.v1+json","platform":{"architecture":"amd64","os":"linux"},"size":2,"urls":["https://example.com/x"],"x-new":[1.0,{"y":18446744073709551616}]}"#;

    #[test]
    fn keeps_unknown_members_with_their_digits() {
        let descriptor: Descriptor = serde_json::from_str(TEXT).expect("valid");
        assert_eq!(
            String::from_utf8(json::canonical(&descriptor).expect("written")).expect("UTF-8"),
            TEXT
        );
    }

    #[test]
    fn embedded_data_is_proved() {
        let descriptor: Descriptor = serde_json::from_str(TEXT).expect("valid");
        assert_eq!(descriptor.embedded().expect("good").as_deref(), Some(&b"{}"[..]));
        for (data, code) in [
            ("e30", Code::Malformed),
            ("e30 ", Code::Malformed),
            ("W10=", Code::Digest),
            ("e30K", Code::Size),
        ] {
            let bad = Descriptor { data: Some(data.to_owned()), ..descriptor.clone() };
            assert_eq!(bad.embedded().expect_err(data).code(), code, "{data}");
        }
    }

    #[test]
    fn js08_sizes_are_plain_integers() {
        for size in [
            "2.0",
            "2e0",
            "\"2\"",
            "1e400",
            "-1",
            "9223372036854775808",
            "18446744073709551616",
            "-0",
            "null",
        ] {
            let text = TEXT.replace("\"size\":2", &format!("\"size\":{size}"));
            assert!(serde_json::from_str::<Descriptor>(&text).is_err(), "{size} was accepted");
        }
        let text = TEXT.replace("\"size\":2", "\"size\":9223372036854775807");
        assert_eq!(serde_json::from_str::<Descriptor>(&text).expect("2^63-1").size, limits::SIZE);
    }
}
