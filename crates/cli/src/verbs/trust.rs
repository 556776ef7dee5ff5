//! The flags that say whom to trust; all verbs that move, unpack or run images
//! share them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll::content::{Code, Error, Result};
use plimsoll::sign::ImageName;
use plimsoll::sign::format::notary::Store;
use plimsoll::sign::format::notary::write::certificates;
use plimsoll::sign::format::openpgp::Keyring;
use plimsoll::sign::format::root::Root;
use plimsoll::sign::judge::Moment;
use plimsoll::sign::keyless::{Pattern, Wanted};
use plimsoll::sign::policy::{
    NameRule, Policy, Requirement, Rooted, Signed, Trusted, TrustedKey, Who, Zoned,
};
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

    #[command(flatten)]
    identity: IdentityArgs,

    /// The name that must be signed, where the image lies under another one
    #[arg(long = "as", value_name = "NAME", value_parser = name, help_heading = "Trust")]
    signed_name: Option<ImageName>,
}

/// Whom to trust by a certificate, and by whose word.
#[derive(clap::Args, Clone, Debug, Default)]
struct IdentityArgs {
    /// Trust whoever has a certificate for this subject: an address, or the URI of a
    /// workflow
    #[arg(
        long,
        value_name = "SUBJECT",
        help_heading = "Trust",
        requires = "trusted_root",
        conflicts_with_all = ["policy", "certificate_identity_pattern"]
    )]
    certificate_identity: Option<String>,

    /// The same, as a pattern for the whole of it: * is for all but / and @, ** for all
    #[arg(
        long,
        value_name = "PATTERN",
        help_heading = "Trust",
        requires = "trusted_root",
        conflicts_with = "policy"
    )]
    certificate_identity_pattern: Option<String>,

    /// Who has to have said so: the address of an OpenID provider
    #[arg(
        long,
        value_name = "URL",
        help_heading = "Trust",
        conflicts_with = "certificate_oidc_issuer_pattern"
    )]
    certificate_oidc_issuer: Option<String>,

    /// The same, as a pattern
    #[arg(long, value_name = "PATTERN", help_heading = "Trust")]
    certificate_oidc_issuer_pattern: Option<String>,

    /// Whose certificates, logs and time stamps are trusted: a trusted_root.json of
    /// sigstore. With --trust-key, a log has to have its signatures
    #[arg(long, value_name = "FILE", help_heading = "Trust", conflicts_with = "policy")]
    trusted_root: Option<PathBuf>,

    /// No log has to have the signature; without a time stamp, the certificate has to
    /// hold now
    #[arg(long, help_heading = "Trust", requires = "trusted_root")]
    insecure_ignore_tlog: bool,

    /// No log of certificates has to have the certificate
    #[arg(long, help_heading = "Trust", requires = "trusted_root")]
    insecure_ignore_sct: bool,
}

impl IdentityArgs {
    /// Whether anything is said: half of it is an error, and never nothing.
    fn is_there(&self) -> bool {
        let texts = [
            &self.certificate_identity,
            &self.certificate_identity_pattern,
            &self.certificate_oidc_issuer,
            &self.certificate_oidc_issuer_pattern,
        ];
        self.trusted_root.is_some() || texts.iter().any(|text| text.is_some())
    }

    /// Who is trusted by a certificate.
    fn wanted(&self) -> Result<Option<Wanted>> {
        let pattern = |exact: &Option<String>, like: &Option<String>| {
            let exact = exact.clone().map(Pattern::Is);
            exact.or_else(|| like.clone().map(Pattern::Like))
        };
        let issuer = pattern(&self.certificate_oidc_issuer, &self.certificate_oidc_issuer_pattern);
        match (pattern(&self.certificate_identity, &self.certificate_identity_pattern), issuer) {
            (Some(subject), Some(issuer)) => {
                Ok(Some(Wanted { issuer: Some(issuer), subject, mail: false }))
            }
            (None, None) => Ok(None),
            (subject, _) => {
                let missing = if subject.is_some() {
                    "--certificate-oidc-issuer URL: a subject means nothing without who says it"
                } else {
                    "--certificate-identity SUBJECT"
                };
                Err(Error::new(Code::Usage, "choosing whom to trust").expected(missing))
            }
        }
    }

    fn root(&self) -> Result<Option<Arc<Root>>> {
        let read = |path: &PathBuf| policy::root(path).map(Arc::new);
        self.trusted_root.as_ref().map(read).transpose()
    }

    fn rooted(&self, root: &Arc<Root>, who: Who) -> TrustedKey {
        TrustedKey::Rooted(Arc::new(Rooted {
            root: Arc::clone(root),
            certificate_log: matches!(who, Who::Anyone(_)) && !self.insecure_ignore_sct,
            who,
            log: !self.insecure_ignore_tlog,
        }))
    }
}

/// `--verify` of verbs that do something else first of all.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct VerifyArgs {
    /// Refuse what is not trusted; --policy, --trust-key and --certificate-identity imply it
    #[arg(long, help_heading = "Trust")]
    verify: bool,

    #[command(flatten)]
    trust: TrustArgs,
}

impl VerifyArgs {
    /// What lets images pass, if only trusted ones may.
    pub(crate) fn gate(&self, context: &Context) -> Result<Option<Gate>> {
        if self.verify || self.trust.policy.is_some() || self.trust.names_somebody() {
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
        let policy = if self.names_somebody() {
            let default = vec![Requirement::Signed(self.signed(context, threshold)?)];
            Policy { default, rules: Vec::new() }
        } else {
            policy::read(&self.file()?)?.0
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

    /// Whether somebody is named, by a key or by a certificate.
    pub(crate) fn names_somebody(&self) -> bool {
        !self.trust_keys.is_empty() || self.identity.is_there()
    }

    /// Signatures of so many of those that are named.
    pub(crate) fn signed(&self, context: &Context, threshold: usize) -> Result<Signed> {
        let (wanted, root) = (self.identity.wanted()?, self.identity.root()?);
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
            let key = match (file(name)?, &root) {
                (Some(key), _) => key,
                (None, None) => TrustedKey::Public(context.keys.public(name)?),
                (None, Some(root)) => {
                    self.identity.rooted(root, Who::Key(context.keys.public(name)?))
                }
            };
            of.push(Trusted { name: name.clone(), key });
        }
        if let (Some(wanted), Some(root)) = (wanted, &root) {
            let name = wanted.subject.as_str().to_owned();
            let key = self.identity.rooted(root, Who::Anyone(vec![wanted]));
            of.push(Trusted { name, key });
        }
        if of.is_empty() && self.identity.is_there() {
            return Err(Error::new(Code::Usage, "choosing whom to trust")
                .found("a trusted root, and nobody who is trusted by it")
                .expected("--certificate-identity SUBJECT, or --trust-key KEY"));
        }
        Ok(Signed { threshold, zones, name: NameRule::Location, ..Signed::by(of) })
    }

    /// The file of the policy.
    pub(crate) fn file(&self) -> Result<PathBuf> {
        self.policy.clone().or_else(context::policy).ok_or_else(|| {
            Error::new(Code::Usage, "choosing whom to trust")
                .found("neither a policy nor a key nor an identity")
                .expected(
                    "--policy FILE, --trust-key KEY, --certificate-identity SUBJECT, or \
                     ~/.config/plimsoll/trust.json",
                )
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
