//! Media types: what a blob is said to be.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A media type, kept exactly as it was written.
///
/// Any text can be held, because an unknown or odd media type in a document
/// is no error for those who only carry it (MA27, IX12); whether it follows
/// RFC 6838 is asked with [`MediaType::is_well_formed`]. Comparison is by
/// bytes.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct MediaType(Cow<'static, str>);

impl MediaType {
    /// A media type known at compile time.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the text is `type/subtype` as RFC 6838 section 4.2 names
    /// them: each side starts with a letter or digit, goes on with letters,
    /// digits or `! # $ & - ^ _ . +`, and has at most 127 characters.
    pub fn is_well_formed(&self) -> bool {
        fn is_name(name: &str) -> bool {
            (1..=127).contains(&name.len())
                && name.as_bytes()[0].is_ascii_alphanumeric()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
        }
        self.0.split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        Self(Cow::Owned(text.to_owned()))
    }
}

impl From<String> for MediaType {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl PartialEq<str> for MediaType {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for MediaType {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_names_of_rfc_6838() {
        for good in ["application/vnd.oci.image.manifest.v1+json", "a/b", "x/y.z+gzip", "1/2"] {
            assert!(MediaType::from(good).is_well_formed(), "{good}");
        }
        let long = format!("a/{}", "b".repeat(128));
        for bad in ["", "/", "a/", "/b", "a", "a/b/c", "a/b;c=d", ".a/b", "a b/c", "a/ü", &long] {
            assert!(!MediaType::from(bad).is_well_formed(), "{bad}");
        }
    }
}
