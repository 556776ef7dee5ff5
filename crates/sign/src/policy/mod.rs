//! Policies: which images need whose signatures. What is read here says so; who
//! is right is for [`crate::judge`].
//!
//! A policy is read from `trust.json` ([`trust`]), from `policy.json` of the containers
//! tools ([`containers`]) or from `trustpolicy.json` of the Notary Project
//! ([`mod@notary`]), into the same rules. Files that it names
//! are asked of a [`Load`], since nothing here touches files.

pub mod containers;
mod enforce;
mod members;
pub mod notary;
mod rooted;
mod scope;
pub mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plimsoll_content::Result;
use serde::Serialize;

use crate::asked::{Asked, ImageName};
use crate::claim::{Form, Seconds};
use crate::format::notary::Store;
use crate::format::openpgp::Keyring;
use crate::format::root::Root;
use crate::key::PublicKey;
use crate::keyless::Wanted;

pub use enforce::{Action, Enforcement, Facet};
pub use scope::Scope;

/// Gives the content of files that a policy names.
pub trait Load {
    /// The file at that path, relative to the policy.
    fn file(&self, path: &str) -> Result<Vec<u8>>;

    /// The files of a named store of certificates of the Notary Project, of a kind
    /// (`ca`, `signingAuthority`, `tsa`), by their names.
    ///
    /// Errors if there is none, and for symbolic links in the place of it or of a file.
    fn store(&self, kind: &str, name: &str) -> Result<Vec<(String, Vec<u8>)>>;
}

/// A policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What holds where no rule is for the image.
    pub default: Vec<Requirement>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// What holds for some images.
#[derive(Clone, Debug)]
pub struct Rule {
    /// For which, as it is written.
    pub written: String,
    /// For which.
    pub scope: Scope,
    /// What they need: all of it.
    pub require: Vec<Requirement>,
}

/// What an image needs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Requirement {
    /// Nothing.
    Accept,
    /// It is refused, whatever it has.
    Reject,
    /// Signatures.
    Signed(Signed),
    /// What can not be checked here, and is therefore refused.
    Unsupported(String),
}

/// Signatures that an image needs.
#[derive(Clone, Debug)]
pub struct Signed {
    /// From how many different signers.
    pub threshold: usize,
    /// From among these.
    pub of: Vec<Trusted>,
    /// In which forms.
    pub forms: BTreeSet<Form>,
    /// What it must be: a signature, or an attestation of some type.
    pub of_type: Option<String>,
    /// What must stand in the attestation.
    pub checks: Vec<Check>,
    /// Which name must be signed.
    pub name: NameRule,
    /// How old it may be, in seconds, by the signer's word, or that of others where
    /// they vouch for it.
    pub max_age: Option<Seconds>,
    /// Who has to have seen when it was signed.
    pub time: TimeRule,
    /// What is done about one that holds and has something wrong.
    pub enforce: Enforcement,
    /// Whether it must not be older than what was seen before.
    pub rollback: bool,
    /// Further signers: those whom the owner of the name names.
    pub zones: Vec<Zoned>,
    /// The only forms in which some of them count, by how they are called.
    pub forms_of: BTreeMap<String, BTreeSet<Form>>,
}

/// Signers that count because the owner of a name says so (`ns:example.com/`).
/// Each counts for one, once all is met that the owner demands.
#[derive(Clone, Debug)]
pub struct Zoned {
    /// For which names that is asked: a beginning, with a slash at its end.
    pub prefix: String,
    /// What he demands, all of it; or why he says nothing that counts. It has
    /// to be asked for each image anew, and nobody counts before.
    pub says: Option<std::result::Result<Vec<ZoneRule>, String>>,
}

/// Signatures that the owner of a name demands.
#[derive(Clone, Debug)]
pub struct ZoneRule {
    /// From how many different signers.
    pub threshold: usize,
    /// From among these.
    pub of: Vec<Trusted>,
    /// The only forms in which some of them count, by how they are called.
    pub forms_of: BTreeMap<String, BTreeSet<Form>>,
    /// Which name must be signed.
    pub name: NameRule,
}

/// A key that is trusted, and how it is called.
#[derive(Clone, Debug)]
pub struct Trusted {
    /// How the policy calls it.
    pub name: String,
    /// The key.
    pub key: TrustedKey,
}

/// What kind of key it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TrustedKey {
    /// One of cosign's kind.
    Public(PublicKey),
    /// Those of an OpenPGP keyring, each a signer of its own.
    Keyring(Arc<Keyring>),
    /// Those of certificates that lead to one of these.
    Certificates(Store),
    /// Who is trusted by the word of others: authorities, logs and time stamps.
    Rooted(Arc<Rooted>),
}

/// Who is trusted by the word of others.
#[derive(Clone, Debug)]
pub struct Rooted {
    /// Whose word.
    pub root: Arc<Root>,
    /// Who.
    pub who: Who,
    /// Whether a log has to have the signature.
    pub log: bool,
    /// Whether a log of certificates has to have the certificate.
    pub certificate_log: bool,
}

impl Rooted {
    /// Whether both verify the same of a signature, whoever made it.
    pub(crate) fn alike(&self, other: &Self) -> bool {
        let people = |one: &Self| matches!(one.who, Who::Anyone(_));
        people(self)
            && people(other)
            && Arc::ptr_eq(&self.root, &other.root)
            && (self.log, self.certificate_log) == (other.log, other.certificate_log)
    }
}

/// Who signs.
#[derive(Clone, Debug)]
pub enum Who {
    /// The owner of a key.
    Key(PublicKey),
    /// Anyone with a certificate who is one of these.
    Anyone(Vec<Wanted>),
}

/// Who has to have seen when something was signed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeRule {
    /// Whoever is needed to trust the signature at all.
    #[default]
    Any,
    /// An authority for time stamps.
    Timestamp,
    /// A log.
    Log,
}

/// What must stand at one place of an attestation.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Where, as a JSON pointer into the predicate (RFC 6901).
    pub pointer: String,
    /// What, exactly.
    pub value: serde_json::Value,
}

/// Which name a signature must bind.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameRule {
    /// Any or none.
    Any,
    /// Where one is signed and the image has one here, the repository of it, and
    /// the tag if both have one.
    Location,
    /// The repository that was asked for.
    Repository,
    /// The repository and the tag that were asked for; the tag need not be
    /// signed for what was asked for by digest.
    Exact,
    /// The name that was asked for, tag or digest and all.
    Same,
    /// A name of its own.
    Is(String),
    /// A repository of its own.
    IsIn(String),
    /// As [`NameRule::Exact`], of the name with another beginning.
    Remap {
        /// The beginning that is replaced.
        prefix: String,
        /// What stands there in signed names.
        signed: String,
    },
}

impl NameRule {
    /// Whether one of the signed names is right; else why not.
    pub fn allows(&self, signed: &[String], asked: &Asked) -> std::result::Result<(), String> {
        let names: Vec<_> = signed.iter().filter_map(|name| ImageName::parse(name)).collect();
        let none = || match signed.first() {
            None => "no name is signed".to_owned(),
            Some(name) => format!("the signed name is {}", crate::reason::quoted(name)),
        };
        let own = || {
            asked.name.as_ref().ok_or_else(|| {
                "the image has no name here that a signed one could be compared with".to_owned()
            })
        };
        let any = |right: &dyn Fn(&ImageName) -> bool, wanted: String| {
            if names.iter().any(right) { Ok(()) } else { Err(format!("{}, not {wanted}", none())) }
        };
        match self {
            Self::Any => Ok(()),
            Self::Location => match &asked.name {
                Some(own) if !signed.is_empty() => any(
                    &|name| {
                        let tags = name.tag.is_none() || own.tag.is_none() || name.tag == own.tag;
                        name.same_repository(own) && tags
                    },
                    own.to_string(),
                ),
                _ => Ok(()),
            },
            Self::Repository => {
                let own = own()?;
                any(&|name| name.same_repository(own), own.bare())
            }
            Self::Exact => exact(own()?, &any),
            Self::Same => {
                let own = own()?;
                any(&|name| name == own, own.to_string())
            }
            Self::Is(wanted) => {
                let wanted_name = ImageName::parse(wanted);
                any(&|name| Some(name) == wanted_name.as_ref(), wanted.clone())
            }
            Self::IsIn(wanted) => any(&|name| name.bare() == *wanted, wanted.clone()),
            Self::Remap { prefix, signed } => {
                let own = own()?;
                let text = own.to_string();
                let rest = text
                    .strip_prefix(prefix.as_str())
                    .filter(|rest| rest.starts_with(['/', ':', '@']) || rest.is_empty());
                match rest.map(|rest| ImageName::parse(&format!("{signed}{rest}"))) {
                    None => exact(own, &any),
                    Some(Some(mapped)) => exact(&mapped, &any),
                    Some(None) => Err("a remapped name that is none".to_owned()),
                }
            }
        }
    }
}

type Any<'a> = dyn Fn(&dyn Fn(&ImageName) -> bool, String) -> std::result::Result<(), String> + 'a;

fn exact(own: &ImageName, any: &Any<'_>) -> std::result::Result<(), String> {
    any(
        &|name| {
            let tag = match (&own.tag, &own.digest) {
                // What was asked for by its digest is that, whatever its tag is.
                (_, Some(_)) => true,
                (Some(tag), None) => name.tag.as_ref() == Some(tag),
                (None, None) => name.tag.as_deref() == Some("latest"),
            };
            name.same_repository(own) && tag
        },
        own.to_string(),
    )
}

impl Policy {
    /// The rule for what was asked for, and what it requires. Without one it is
    /// the default.
    pub fn rule(&self, asked: &Asked) -> (Option<&Rule>, &[Requirement]) {
        let best = self
            .rules
            .iter()
            .filter_map(|rule| rule.scope.covers(asked).map(|narrow| (narrow, rule)))
            .max_by_key(|(narrow, _)| *narrow);
        match best {
            Some((_, rule)) => (Some(rule), &rule.require),
            None => (None, &self.default),
        }
    }

    /// The policy of somebody who names a key on the command line.
    pub fn of_keys(keys: Vec<Trusted>, threshold: usize, name: NameRule) -> Self {
        let signed = Signed { threshold, name, ..Signed::by(keys) };
        Self { default: vec![Requirement::Signed(signed)], rules: Vec::new() }
    }
}

impl Signed {
    /// A signature of one of these, in any form, for any name.
    pub fn by(of: Vec<Trusted>) -> Self {
        Self {
            threshold: 1,
            of,
            forms: Form::ALL.into(),
            of_type: None,
            checks: Vec::new(),
            name: NameRule::Any,
            max_age: None,
            time: TimeRule::Any,
            enforce: Enforcement::DEFAULT,
            rollback: false,
            zones: Vec::new(),
            forms_of: BTreeMap::new(),
        }
    }
}

impl Zoned {
    /// The names below a domain or a part of it, as a policy writes them:
    /// `example.com/org/`, with or without the slash at the end.
    pub fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_suffix('/').unwrap_or(text);
        let name = ImageName::parse(&format!("{bare}/x"))?;
        let host = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        let whole = name.tag.is_none() && name.digest.is_none() && name.host.chars().all(host);
        let prefix = name.bare().strip_suffix('x')?.to_owned();
        whole.then_some(Self { prefix, says: None })
    }

    /// Whether that is asked for some name.
    pub fn covers(&self, name: &ImageName) -> bool {
        format!("{}/", name.bare()).starts_with(&self.prefix)
    }
}
