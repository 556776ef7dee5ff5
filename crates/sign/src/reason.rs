//! Why a signature does not count.

use std::fmt;

use plimsoll_content::Code;
use serde::Serialize;

/// What kind of reason it is. Those further down are nearer to success.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Why {
    /// It is of a form that the policy does not name, or that is not read here.
    Form,
    /// There is more of something than the limits allow.
    Limit,
    /// It is not what its form demands.
    Malformed,
    /// No key that is trusted made it, or somebody changed it.
    Key,
    /// Its certificate leads to no authority that is trusted, or is not for this.
    Certificate,
    /// No log that is trusted has it, or the log has something else.
    Log,
    /// Nobody who is trusted says when it was made, or a time stamp does not hold.
    Time,
    /// It holds, and somebody else made it.
    Identity,
    /// The signature holds, and is about other content.
    Subject,
    /// The signature holds, and says something else than was asked for.
    Type,
    /// It is about another name, or about none.
    Name,
    /// It lacks what the rule asks for.
    Check,
    /// It does not hold yet.
    NotYet,
    /// It does not hold any more.
    Expired,
    /// Something newer was seen under that name.
    RolledBack,
}

impl Why {
    /// The error code of an image that fails for this reason.
    pub fn code(self) -> Code {
        match self {
            Self::Form | Self::Malformed | Self::Log | Self::Time => Code::Signature,
            Self::Limit => Code::SignatureLimit,
            Self::Key | Self::Certificate | Self::Identity => Code::Untrusted,
            Self::Subject | Self::Type | Self::Check => Code::Unsigned,
            Self::Name => Code::SignedName,
            Self::NotYet | Self::Expired => Code::Expired,
            Self::RolledBack => Code::RolledBack,
        }
    }
}

/// Why a signature does not count.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Reason {
    /// What kind of reason.
    #[serde(rename = "code")]
    pub why: Why,
    /// The reason in words. What comes from outside is quoted and cut.
    pub text: String,
}

impl Reason {
    /// A reason.
    pub fn new(why: Why, text: impl Into<String>) -> Self {
        Self { why, text: text.into() }
    }

    pub(crate) fn malformed(text: impl fmt::Display) -> Self {
        Self::new(Why::Malformed, text.to_string())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Text from outside, quoted and not all of a long one.
pub(crate) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(100).collect();
    format!("{shown:?}")
}
