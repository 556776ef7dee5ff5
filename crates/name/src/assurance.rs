//! How strongly it is vouched for that a name means what it is said to mean.

use std::fmt;
use std::str::FromStr;

use plimsoll_content::{Code, Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The levels, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Assurance {
    /// Anybody on the way may have said it.
    Insecure,
    /// Whoever TLS shows to answer for the host said it.
    Tls,
    /// A zone has signed it, whose root was learned from who answered first.
    ZoneTofu,
    /// A zone has signed it, whose root is vouched for by a pin, by DNSSEC, or
    /// by a zone above it that is.
    ZoneAnchored,
    /// The digest was given.
    Digest,
}

impl Assurance {
    /// All levels.
    pub const ALL: [Self; 5] =
        [Self::Insecure, Self::Tls, Self::ZoneTofu, Self::ZoneAnchored, Self::Digest];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insecure => "insecure",
            Self::Tls => "tls",
            Self::ZoneTofu => "zone-tofu",
            Self::ZoneAnchored => "zone-anchored",
            Self::Digest => "digest",
        }
    }

    /// What it leaves open, for people; `None` if nothing of that kind.
    pub fn caveat(self) -> Option<&'static str> {
        match self {
            Self::Insecure => Some("anybody on the way may have changed it"),
            Self::Tls => Some("whoever controls the web server or its registry decides"),
            Self::ZoneTofu => Some(
                "the root of the zone was learned from whoever answered first: a stolen server or domain at that moment would not show",
            ),
            // What no level stops in this version.
            Self::ZoneAnchored => {
                Some("whether others are shown the same can be told by comparing lock files")
            }
            Self::Digest => None,
        }
    }
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Assurance {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == text).ok_or_else(|| {
            Error::new(Code::Usage, "reading an assurance")
                .found(format!("{text:?}"))
                .expected("insecure, tls, zone-tofu, zone-anchored or digest")
        })
    }
}

impl Serialize for Assurance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Assurance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
