//! Secrets, and who knows them.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use plimsoll_content::Result;

use crate::protocol::{Host, Repository};

/// Text that is never shown.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for those who send or store it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// How somebody is known to a registry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Credential {
    /// Not at all.
    Anonymous,
    /// By a name and a password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// By a token that is exchanged for others.
    Identity(Secret),
    /// By a token that is sent as it is.
    Token(Secret),
}

impl Credential {
    /// What a server is sent that asks for `Basic`.
    pub(super) fn basic(&self) -> Option<Secret> {
        let Self::Basic { user, password } = self else { return None };
        let pair = format!("{user}:{}", password.reveal());
        Some(Secret::new(format!("Basic {}", BASE64_STANDARD.encode(pair))))
    }
}

/// Who knows the credentials for registries.
pub trait Keyring: Send + Sync {
    /// The credential for a repository, or for a registry as a whole.
    fn find(&self, host: &Host, repository: Option<&Repository>) -> Result<Credential>;
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoKeys;

impl Keyring for NoKeys {
    fn find(&self, _: &Host, _: Option<&Repository>) -> Result<Credential> {
        Ok(Credential::Anonymous)
    }
}
