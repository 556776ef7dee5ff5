//! What a rule does about a signature that holds and has something wrong: most rules
//! refuse it, and some only tell.

use serde::Serialize;

/// What is looked at beside the signature itself, by the names that a
/// `trustpolicy.json` has for them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Facet {
    /// Whether somebody who is trusted made it.
    Authenticity,
    /// Whether its certificates held when it was made.
    AuthenticTimestamp,
    /// Whether it has expired, by its own word.
    Expiry,
    /// Whether its certificates were called back.
    Revocation,
}

impl Facet {
    /// The name for people and policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authenticity => "authenticity",
            Self::AuthenticTimestamp => "authenticTimestamp",
            Self::Expiry => "expiry",
            Self::Revocation => "revocation",
        }
    }
}

/// What is done about it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Action {
    /// The signature does not count.
    #[default]
    Enforce,
    /// It counts, and that is told.
    Log,
    /// Nobody looks.
    Skip,
}

/// What a rule does about each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Enforcement {
    /// Of who made it. With [`Action::Log`] anybody may have.
    pub authenticity: Action,
    /// Of the time of its certificates.
    pub time: Action,
    /// Of its end.
    pub expiry: Action,
    /// Of the revocation of its certificates, which nobody is asked for here: whoever
    /// enforces it refuses certificates that name a place to ask.
    pub revocation: Action,
}

impl Enforcement {
    /// All of it but revocation, which is not looked at.
    pub const DEFAULT: Self = Self {
        authenticity: Action::Enforce,
        time: Action::Enforce,
        expiry: Action::Enforce,
        revocation: Action::Skip,
    };

    /// What is done about one.
    pub fn of(&self, facet: Facet) -> Action {
        match facet {
            Facet::Authenticity => self.authenticity,
            Facet::AuthenticTimestamp => self.time,
            Facet::Expiry => self.expiry,
            Facet::Revocation => self.revocation,
        }
    }

    /// What this lets pass that [`Enforcement::DEFAULT`] does not.
    pub fn lets_pass(&self) -> Vec<Facet> {
        let all = [Facet::Authenticity, Facet::AuthenticTimestamp, Facet::Expiry];
        all.into_iter().filter(|facet| self.of(*facet) != Action::Enforce).collect()
    }
}
