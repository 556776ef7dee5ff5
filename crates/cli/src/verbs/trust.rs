//! The flags that say whom to trust; all verbs that move, unpack or run images
//! share them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll::content::{Code, Error, Result};
use plimsoll::sign::ImageName;
use plimsoll::sign::format::notary::Store;
use plimsoll::sign::format::notary::write::certificates;
use plimsoll::sign::format::openpgp::Keyring;
use plimsoll::sign::judge::Moment;
use plimsoll::sign::policy::{NameRule, Policy, Requirement, Signed, Trusted, TrustedKey, Zoned};
use plimsoll::trust::{Gate, policy, time};

use crate::context::{self, Context};

/// Whom to trust.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct TrustArgs {
    /// Trust these keys: a name of `key ls`, or a file with a public key, an OpenPGP
    /// keyring, or certificates that those of a signer lead to; or ns:DOMAIN/, those
    /// whom the owner of the domain names
    #[arg(long = "trust-key", alias = "key", value_name = "KEY", help_heading = "Trust")]
    trust_keys: Vec<String>,

    /// The policy: a trust.json, a policy.json of the containers tools, or a
    /// trustpolicy.json of the Notary Project
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
            let default = vec![Requirement::Signed(self.signed(context, threshold)?)];
            Policy { default, rules: Vec::new() }
        };
        Ok(Gate {
            policy,
            at: Moment::Clock(context::now()),
            name: self.signed_name.clone(),
            seen: context.seen.clone(),
            lookaside: context::lookaside(self.lookaside.clone()),
            names: Some(context.home.clone()),
            limits: context.limits.signatures,
        })
    }

    /// Signatures of so many of those that are named.
    pub(crate) fn signed(&self, context: &Context, threshold: usize) -> Result<Signed> {
        let (mut of, mut zones) = (Vec::new(), Vec::new());
        for name in &self.trust_keys {
            if let Some(prefix) = name.strip_prefix("ns:") {
                zones.push(Zoned::parse(prefix).ok_or_else(|| {
                    Error::new(Code::Usage, "choosing whom to trust")
                        .found(format!("{name:?}"))
                        .expected("ns:DOMAIN/ or ns:DOMAIN/PATH/")
                })?);
                continue;
            }
            let key = match file(name)? {
                Some(key) => key,
                None => TrustedKey::Public(context.keys.public(name)?),
            };
            of.push(Trusted { name: name.clone(), key });
        }
        Ok(Signed { threshold, zones, name: NameRule::Location, ..Signed::by(of) })
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

/// The OpenPGP keyring or the certificates of that file, if it is one of them.
fn file(path: &str) -> Result<Option<TrustedKey>> {
    let path = Path::new(path);
    if !path.is_file() {
        return Ok(None);
    }
    let context = |error: Error| error.context(format!("reading {}", path.display()));
    let bytes = policy::bytes(path)?;
    let has = |block: &[u8]| bytes.windows(block.len()).any(|part| part == block);
    if has(CERTIFICATE) {
        let pem = policy::text(path)?;
        let authorities = certificates("certificates", &pem).map_err(context)?;
        return Ok(Some(TrustedKey::Certificates(Store { authorities, ..Store::default() })));
    }
    if !has(BLOCK) && bytes.first().is_none_or(|first| first & 0x80 == 0) {
        return Ok(None);
    }
    let keyring = Keyring::parse(&bytes).map_err(context)?;
    Ok(Some(TrustedKey::Keyring(Arc::new(keyring))))
}

const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";
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
