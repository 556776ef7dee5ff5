//! Trust: whether a policy lets an image pass, and signing.
//!
//! What a signature says, and when that is enough, is for `plimsoll-sign`, which
//! is pure. Here signatures are found where images lie (`gather`), policies and
//! keys are read from files ([`policy`], [`keys`]), signatures are stored
//! ([`sign`]), and verbs are kept from what is not trusted ([`Gate`]).

mod blob;
pub(crate) mod gather;
pub mod keys;
pub mod lookaside;
pub mod policy;
pub(crate) mod seen;
pub mod sign;
mod zones;

use std::path::PathBuf;

use plimsoll_content::{Code, Descriptor, Error, Platform, Result};
use plimsoll_sign::judge::{Judgement, Moment, judge};
use plimsoll_sign::policy::{Policy, Requirement, TrustedKey};
use plimsoll_sign::scheme::Subject;
use plimsoll_sign::{Asked, ImageName, Limits, Seconds};
use plimsoll_spec::graph::Node;
use plimsoll_store::document;

use crate::image::{self, Image};
use crate::place::{Held, Home, Opened};
use crate::reference::{At, Reference, Which};
use gather::Shelf;
use lookaside::Lookaside;

/// Lets images pass, or not: a policy, and all else that a verdict depends on.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The policy.
    pub policy: Policy,
    /// What time it is.
    pub at: Moment,
    /// The name that is to be signed, where images lie under another one.
    pub name: Option<ImageName>,
    /// The file of what was seen before.
    pub seen: PathBuf,
    /// Where signatures with GPG lie.
    pub lookaside: Lookaside,
    /// Who asks the owners of names whose signatures count; without, nobody does.
    pub names: Option<Home>,
    /// The budgets.
    pub limits: Limits,
}

/// What of an image is wanted.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// All of it.
    Whole,
    /// What it has for a platform; for this machine's if none is given.
    Of(Option<&'a Platform>),
}

impl<'a> Part<'a> {
    /// The image for that platform, or all of it if none is given.
    pub fn of(platform: Option<&'a Platform>) -> Self {
        platform.map_or(Self::Whole, |platform| Self::Of(Some(platform)))
    }
}

/// An image that was judged.
#[derive(Debug)]
pub struct Judged {
    /// What was looked for signatures of.
    pub descriptor: Descriptor,
    /// How it was asked for.
    pub asked: Asked,
    /// The verdict.
    pub judgement: Judgement,
}

impl Gate {
    /// Judges content of a place. What a trusted signature shows to be the newest
    /// is kept.
    ///
    /// Errors only if signatures could not be looked for: that is never taken for
    /// there being none.
    pub(crate) fn judge(
        &self,
        shelf: &Shelf<'_>,
        descriptor: &Descriptor,
        asked: &Asked,
    ) -> Result<Judged> {
        let asked = Asked { name: self.name.clone().or(asked.name.clone()), ..asked.clone() };
        let doing = || format!("looking for signatures of {}", descriptor.digest);
        let bytes = document::read(shelf.source, descriptor)?;
        let mut evidence = gather::gather(shelf, descriptor, &self.limits)
            .map_err(|error| error.context(doing()))?;
        let files = match shelf.folder {
            Some(folder) => lookaside::of_folder(folder, "signature-", &self.limits),
            None if self.wants_gpg(&asked) => {
                self.lookaside.find(&asked, &descriptor.digest, &self.limits)
            }
            None => Ok(Vec::new()),
        };
        evidence.candidates.extend(files.map_err(|error| error.context(doing()))?);
        let subject =
            Subject { descriptor: descriptor.clone(), bytes: bytes.into(), asked: asked.clone() };
        let seen = seen::read(&self.seen)?;
        let policy = self.bound(&asked).map_err(|error| error.context(doing()))?;
        let judgement = judge(&policy, &subject, &evidence, self.at, &seen, &self.limits);
        if let Ok(trusted) = &judgement.verdict
            && let Some((name, sequence)) = trusted.newest()
        {
            seen::note(&self.seen, name, *sequence)?;
        }
        Ok(Judged { descriptor: descriptor.clone(), asked, judgement })
    }

    /// Whether signatures with GPG could count.
    fn wants_gpg(&self, asked: &Asked) -> bool {
        self.policy.rule(asked).1.iter().any(|requirement| match requirement {
            Requirement::Signed(signed) => {
                signed.of.iter().any(|one| matches!(one.key, TrustedKey::Keyring(_)))
            }
            _ => false,
        })
    }

    /// The same of an image that was opened: of the whole, or, if that is not
    /// trusted, of the part of it for a platform, when one is wanted.
    ///
    /// A signature of an index is one of all that it lists; one of a manifest says
    /// nothing of the indexes that list it.
    pub fn open(&self, opened: &Opened, asked: &Asked, part: Part<'_>) -> Result<Judged> {
        let about = gather::about(opened.held())?;
        let tag = |name: &str| gather::tagged(opened.held(), name);
        let entries = gather::entries(opened.held())?;
        let shelf = shelf_of(opened.held(), &*about, &tag, &entries);
        self.judge_part(&shelf, &opened.root, asked, part)
    }

    /// The same of content of a place.
    pub(crate) fn judge_part(
        &self,
        shelf: &Shelf<'_>,
        root: &Descriptor,
        asked: &Asked,
        part: Part<'_>,
    ) -> Result<Judged> {
        let whole = self.judge(shelf, root, asked)?;
        let Part::Of(platform) = part else { return Ok(whole) };
        if whole.judgement.verdict.is_ok() {
            return Ok(whole);
        }
        if !matches!(image::node(shelf.source, root)?, Node::Index(_)) {
            return Ok(whole);
        }
        let child = Image::open(shelf.source, root, platform)?.descriptor;
        let part = self.judge(shelf, &child, asked)?;
        Ok(if part.judgement.verdict.is_ok() { part } else { whole })
    }
}

impl Judged {
    /// The content, if it is trusted.
    ///
    /// Errors with a code of kind `Trust` if it is not.
    pub fn into_trusted(self) -> Result<Descriptor> {
        self.judgement.verdict.map(|trusted| trusted.descriptor().clone())
    }
}

impl Home {
    /// Opens an image; with a gate, only one that passes. The descriptor is that
    /// of what passed: nothing is resolved again.
    pub fn admit(
        &self,
        reference: &Reference,
        gate: Option<&Gate>,
        platform: Option<&Platform>,
    ) -> Result<(Opened, Descriptor)> {
        let opened = self.open(reference)?;
        let Some(gate) = gate else {
            let root = opened.root.clone();
            return Ok((opened, root));
        };
        let asked = asked(reference, Some(opened.held()))?;
        let trusted = gate.open(&opened, &asked, Part::Of(platform))?.into_trusted()?;
        Ok((opened, trusted))
    }
}

/// How policies see what a reference asks for, in the place where it was found.
/// Files have absolute paths there.
pub fn asked(reference: &Reference, held: Option<&Held>) -> Result<Asked> {
    let named = |which: &Which| match which {
        Which::Name(name) => ImageName::parse(name),
        _ => None,
    };
    let path = |path: &std::path::Path, which: Option<&Which>| {
        let whole = std::fs::canonicalize(path)
            .map_err(|cause| Error::io("finding", path.display(), cause))?;
        Ok::<_, Error>(Some(match which {
            Some(Which::Name(name)) => format!("{}:{name}", whole.display()),
            _ => whole.display().to_string(),
        }))
    };
    Ok(match reference.clone().look(true)? {
        Reference::Registry { host, repository, which } => {
            let name = repository.map(|repository| {
                let (tag, digest) = match which {
                    Which::Digest(digest) => (None, Some(digest)),
                    Which::Name(tag) => (Some(tag), None),
                    _ => (Some("latest".to_owned()), None),
                };
                let host = host.to_string().to_ascii_lowercase();
                ImageName { host, repository: repository.to_string(), tag, digest }
            });
            Asked { transport: "docker".to_owned(), path: None, name }
        }
        Reference::Name { name, which } => {
            // Labels and fragments are spellings of names of domains alone.
            let by_owner = matches!(held, Some(Held::Named(_))) || name.contains([',', '#']);
            let whole = match name.parse() {
                Ok(name) if by_owner => Some(spelled(&name)),
                _ => ImageName::parse(&name),
            };
            let remote = match held {
                Some(Held::Registry(remote)) => Some(remote),
                _ => None,
            };
            // A short name means what the settings of this machine say.
            let meant = || {
                let remote = remote?;
                let (tag, digest) = match which {
                    Which::Digest(digest) => (None, Some(digest)),
                    Which::Name(name) => {
                        let last = name.rsplit('/').next().unwrap_or(&name).to_owned();
                        (last.split_once(':').map(|(_, tag)| tag.to_owned()), None)
                    }
                    _ => (None, None),
                };
                let host = remote.host().to_string().to_ascii_lowercase();
                Some(ImageName { host, repository: remote.name().to_string(), tag, digest })
            };
            // What the owner of a domain says comes from outside as well.
            let owned = matches!(held, Some(Held::Named(_)));
            let remote = remote.is_some() || owned || (held.is_none() && whole.is_some());
            let transport = if remote { "docker" } else { "store" };
            Asked { transport: transport.to_owned(), path: None, name: whole.or_else(meant) }
        }
        Reference::Zone { name } => Asked {
            transport: "docker".to_owned(),
            path: None,
            name: Some(spelled(&name.parse()?)),
        },
        Reference::Store { which } => {
            Asked { transport: "store".to_owned(), path: None, name: named(&which) }
        }
        Reference::Layout { path: at, which } => Asked {
            transport: "oci".to_owned(),
            path: path(&at, Some(&which))?,
            name: named(&which),
        },
        Reference::Archive { form, at, which } => Asked {
            transport: match form {
                Some(plimsoll_store::Form::Docker) => "docker-archive",
                _ => "oci-archive",
            }
            .to_owned(),
            path: match &at {
                At::File(at) => path(at, Some(&which))?,
                At::Stream => None,
            },
            name: named(&which),
        },
        Reference::Dir(at) => {
            Asked { transport: "dir".to_owned(), path: path(&at, None)?, name: None }
        }
        Reference::Path(at) => {
            return Err(Error::new(Code::Bug, format!("looking at {}", at.display())));
        }
    })
}

/// The name of a domain as signatures have it, however it was spelled.
fn spelled(name: &plimsoll_name::Reference) -> ImageName {
    let tag = name.which.as_ref().map(ToString::to_string);
    ImageName {
        host: name.host.to_string(),
        repository: name.path.to_string(),
        tag: if name.digest.is_some() { tag } else { tag.or(Some("latest".to_owned())) },
        digest: name.digest.clone(),
    }
}

/// Reads a time: RFC 3339, or seconds since 1970.
pub fn time(text: &str) -> Result<Seconds> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_second).map_err(|cause| {
        Error::new(Code::Usage, format!("reading the time {text:?}"))
            .found(cause)
            .expected("as in 2026-01-31T12:00:00Z, or seconds since 1970")
    })
}

/// Shows a time as RFC 3339.
pub fn shown(seconds: Seconds) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// What a place is for those who look for signatures.
pub(crate) fn shelf_of<'a>(
    held: &'a Held,
    about: &'a dyn plimsoll_store::About,
    tag: &'a dyn Fn(&str) -> Result<Option<Descriptor>>,
    entries: &'a [plimsoll_store::Entry],
) -> Shelf<'a> {
    let folder = match held {
        Held::Dir(dir) => Some(dir.path()),
        _ => None,
    };
    Shelf { source: held.source(), about, tag, entries, folder }
}
