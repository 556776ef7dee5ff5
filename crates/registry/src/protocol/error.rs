//! What a registry says when it refuses (distribution-spec, "Error Codes").

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest text of it that is shown.
const SHOWN: usize = 300;

/// The document of a refusal.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct ErrorDocument {
    /// Its reasons.
    pub errors: Vec<ErrorEntry>,
}

/// One reason.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ErrorEntry {
    /// The code, as it is written.
    pub code: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
}

/// The codes of the specification.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorCode {
    /// There is no such blob.
    BlobUnknown,
    /// The upload went wrong.
    BlobUploadInvalid,
    /// There is no such upload.
    BlobUploadUnknown,
    /// Content is not what its digest says.
    DigestInvalid,
    /// A manifest leads to something that is not there.
    ManifestBlobUnknown,
    /// The manifest is refused.
    ManifestInvalid,
    /// There is no such manifest.
    ManifestUnknown,
    /// The name of the repository is refused.
    NameInvalid,
    /// There is no such repository.
    NameUnknown,
    /// The length is not the announced one.
    SizeInvalid,
    /// A login is wanted.
    Unauthorized,
    /// The login may not do this.
    Denied,
    /// The registry does not do this.
    Unsupported,
    /// Too much was asked in a short time.
    TooManyRequests,
}

impl ErrorCode {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::BlobUnknown,
        Self::BlobUploadInvalid,
        Self::BlobUploadUnknown,
        Self::DigestInvalid,
        Self::ManifestBlobUnknown,
        Self::ManifestInvalid,
        Self::ManifestUnknown,
        Self::NameInvalid,
        Self::NameUnknown,
        Self::SizeInvalid,
        Self::Unauthorized,
        Self::Denied,
        Self::Unsupported,
        Self::TooManyRequests,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
        }
    }
}

impl ErrorDocument {
    /// The largest document that is read for an error.
    pub const LIMIT: u64 = 64 << 10;

    /// A document with one reason.
    pub fn one(code: ErrorCode, message: impl Into<String>) -> Self {
        let entry =
            ErrorEntry { code: code.as_str().to_owned(), message: message.into(), detail: None };
        Self { errors: vec![entry] }
    }

    /// Reads a document; what is none has no reasons.
    pub fn parse(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    /// Whether one of the reasons is `code`.
    pub fn has(&self, code: ErrorCode) -> bool {
        self.errors.iter().any(|entry| entry.code == code.as_str())
    }

    /// The reasons in one line, quoted: they come from a stranger.
    pub fn shown(&self) -> Option<String> {
        let entry = self.errors.first()?;
        let cut = |text: &str| -> String { text.chars().take(SHOWN).collect() };
        let more = match self.errors.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let code = ErrorCode::ALL.iter().find(|code| code.as_str() == entry.code);
        let code =
            code.map_or_else(|| format!("{:?}", cut(&entry.code)), |c| c.as_str().to_owned());
        if entry.message.is_empty() {
            return Some(format!("{code}{more}"));
        }
        Some(format!("{code}, {:?}{more}", cut(&entry.message)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_registries_say() {
        let said = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"v1"}}]}"#;
        let document = ErrorDocument::parse(said);
        assert!(document.has(ErrorCode::ManifestUnknown) && !document.has(ErrorCode::Denied));
        assert_eq!(document.shown().as_deref(), Some("MANIFEST_UNKNOWN, \"manifest unknown\""));
        let odd = ErrorDocument::parse(br#"{"errors":[{"code":"X\u001b[2J"}, {"code":"Y"}]}"#);
        assert_eq!(odd.shown().as_deref(), Some("\"X\\u{1b}[2J\" and 1 more"));
        for none in [&b"<html>"[..], b"", b"[]", b"{\"errors\":null}"] {
            assert_eq!(ErrorDocument::parse(none).shown(), None);
        }
    }
}
