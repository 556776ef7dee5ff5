//! The flags that say whom to trust; all verbs that move, unpack or run images
//! share them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll::content::{Code, Error, Result};
use plimsoll::sign::ImageName;
use plimsoll::sign::format::openpgp::Keyring;
use plimsoll::sign::policy::{NameRule, Policy, Trusted, TrustedKey};
use plimsoll::trust::{Gate, policy, time};

use crate::context::{self, Context};

/// Whom to trust.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct TrustArgs {
    /// Trust these keys: a name of `key ls`, or a file with a public key or an OpenPGP
    /// keyring
    #[arg(long = "trust-key", alias = "key", value_name = "KEY", help_heading = "Trust")]
    trust_keys: Vec<String>,

    /// The policy: a trust.json, or a policy.json of the containers tools
    /// [default: ~/.config/plimsoll/trust.json, /etc/plimsoll/trust.json]
    #[arg(
        long,
        value_name = "FILE",
        env = "PLIMSOLL_POLICY",
        help_heading = "Trust",
        conflicts_with = "trust_keys"
    )]
    policy: Option<PathBuf>,

    /// Signatures with GPG lie in this folder, as skopeo lays them out
    /// [default: as registries.d says]
    #[arg(long, value_name = "DIR", help_heading = "Trust")]
    lookaside: Option<PathBuf>,

    /// The name that must be signed, where the image lies under another one
    #[arg(long = "as", value_name = "NAME", value_parser = name, help_heading = "Trust")]
    signed_name: Option<ImageName>,
}

/// `--verify` of verbs that do something else first of all.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct VerifyArgs {
    /// Refuse what is not trusted; --policy and --trust-key imply it
    #[arg(long, help_heading = "Trust")]
    verify: bool,

    #[command(flatten)]
    trust: TrustArgs,
}

impl VerifyArgs {
    /// What lets images pass, if only trusted ones may.
    pub(crate) fn gate(&self, context: &Context) -> Result<Option<Gate>> {
        let TrustArgs { trust_keys, policy, .. } = &self.trust;
        if self.verify || policy.is_some() || !trust_keys.is_empty() {
            return self.trust.gate(context).map(Some);
        }
        Ok(None)
    }

    /// What lets images pass where nobody said anything, if this machine has a policy.
    pub(crate) fn usual(&self, context: &Context) -> Result<Option<Gate>> {
        if context::policy().is_none() {
            return Ok(None);
        }
        self.trust.gate(context).map(Some)
    }
}

impl TrustArgs {
    /// What lets images pass.
    pub(crate) fn gate(&self, context: &Context) -> Result<Gate> {
        self.gate_of(context, 1)
    }

    /// The same with so many signers, where keys are named.
    pub(crate) fn gate_of(&self, context: &Context, threshold: usize) -> Result<Gate> {
        let policy = if self.trust_keys.is_empty() {
            policy::read(&self.file()?)?.0
        } else {
            Policy::of_keys(self.trusted(context)?, threshold, NameRule::Location)
        };
        Ok(Gate {
            policy,
            at: context::now(),
            name: self.signed_name.clone(),
            seen: context.seen.clone(),
            lookaside: context::lookaside(self.lookaside.clone()),
            limits: context.limits.signatures,
        })
    }

    /// The keys that are named.
    pub(crate) fn trusted(&self, context: &Context) -> Result<Vec<Trusted>> {
        self.trust_keys
            .iter()
            .map(|name| {
                let key = match keyring(name)? {
                    Some(keyring) => TrustedKey::Keyring(Arc::new(keyring)),
                    None => TrustedKey::Public(context.keys.public(name)?),
                };
                Ok(Trusted { name: name.clone(), key })
            })
            .collect()
    }

    /// The file of the policy.
    pub(crate) fn file(&self) -> Result<PathBuf> {
        self.policy.clone().or_else(context::policy).ok_or_else(|| {
            Error::new(Code::Usage, "choosing whom to trust")
                .found("neither a policy nor a key")
                .expected("--policy FILE, --trust-key KEY, or ~/.config/plimsoll/trust.json")
                .fix("plimsoll policy import --trust-key KEY SCOPE   writes a policy")
        })
    }

    /// The name that must be signed.
    pub(crate) fn name(&self) -> Option<&ImageName> {
        self.signed_name.as_ref()
    }
}

/// The OpenPGP keyring of that file, if it is one.
fn keyring(path: &str) -> Result<Option<Keyring>> {
    let path = Path::new(path);
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = policy::bytes(path)?;
    let armored = bytes.windows(BLOCK.len()).any(|part| part == BLOCK);
    if !armored && bytes.first().is_none_or(|first| first & 0x80 == 0) {
        return Ok(None);
    }
    Keyring::parse(&bytes)
        .map(Some)
        .map_err(|error| error.context(format!("reading {}", path.display())))
}

const BLOCK: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";

fn name(text: &str) -> Result<ImageName> {
    ImageName::parse(text).ok_or_else(|| {
        Error::new(Code::Usage, "reading a name")
            .found(format!("{text:?}"))
            .expected("HOST/REPOSITORY[:TAG], as in example.com/org/app:v1")
    })
}

/// A time for flags.
pub(crate) fn at(text: &str) -> Result<i64> {
    time(text)
}
