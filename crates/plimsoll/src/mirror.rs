//! Many images at once, as a file says: what is there already is left alone,
//! what fails does not stop the others.

mod pattern;
mod plan;

use plimsoll_content::{Code, Digest, Error, Kind, Platform, Result, Watch};
use serde::Serialize;

pub use pattern::{Glob, Version, Versions};
pub use plan::{Entry, Plan};

use crate::copy::{self, Options};
use crate::image::Image;
use crate::place::{Home, Names};
use crate::reference::{Reference, Which};

/// What was mirrored.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether nothing was written, only said.
    pub dry_run: bool,
    /// Every image, in the order of the file.
    pub images: Vec<Mirrored>,
    /// How many bytes were written.
    pub bytes: u64,
}

/// One image.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mirrored {
    /// Where it is.
    pub from: String,
    /// Where it is to be; `None` if that could not be told.
    pub to: Option<String>,
    /// Its digest, if it is known.
    pub digest: Option<Digest>,
    /// What became of it.
    pub state: State,
    /// How many bytes were written.
    pub bytes: u64,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// What became of an image. The list is complete.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was brought.
    Copied,
    /// It was there.
    Present,
    /// It would be brought.
    Planned,
    /// It failed.
    Failed,
}

/// Why an image failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The code.
    pub code: &'static str,
    /// What was being done, found and expected.
    pub message: String,
    /// What kind it is of.
    #[serde(skip)]
    pub kind: Kind,
}

impl Report {
    /// The kind of what failed, if all of that is of one kind; `None` if
    /// nothing did.
    pub fn failed(&self) -> Option<Kind> {
        let mut kinds = self.images.iter().filter_map(|image| Some(image.error.as_ref()?.kind));
        let first = kinds.next()?;
        Some(if kinds.all(|kind| kind == first) { first } else { Kind::Failed })
    }
}

/// Brings all images of a plan to their places; with `dry_run`, only says which.
///
/// Errors only if it is interrupted: what fails is in the report.
pub fn mirror(home: &Home, plan: &Plan, dry_run: bool, watch: &dyn Watch) -> Result<Report> {
    let mut report = Report { dry_run, ..Report::default() };
    for entry in &plan.entries {
        let images = match images(home, entry) {
            Ok(images) => images,
            Err(error) => {
                report.images.push(failed(&entry.from, None, error)?);
                continue;
            }
        };
        for from in images {
            let to = match destination(entry, &from) {
                Ok(to) => to,
                Err(error) => {
                    report.images.push(failed(&from, None, error)?);
                    continue;
                }
            };
            let done = one(home, entry, &from, &to, dry_run, watch);
            let done = done.or_else(|error| failed(&from, Some(&to), error))?;
            report.bytes = report.bytes.saturating_add(done.bytes);
            report.images.push(done);
        }
    }
    Ok(report)
}

fn failed(from: &Reference, to: Option<&Reference>, error: Error) -> Result<Mirrored> {
    if error.code() == Code::Interrupted {
        return Err(error);
    }
    let failure =
        Failure { code: error.code().as_str(), message: error.to_string(), kind: error.kind() };
    Ok(Mirrored {
        from: from.to_string(),
        to: to.map(ToString::to_string),
        digest: None,
        state: State::Failed,
        bytes: 0,
        error: Some(failure),
    })
}

/// The images that an entry means, each with its name.
fn images(home: &Home, entry: &Entry) -> Result<Vec<Reference>> {
    let (place, which) = taken_apart(&entry.from)?;
    if *which != Which::Only {
        if !entry.tags.is_empty() || entry.asks_for_tags() {
            return Err(Error::new(Code::Usage, format!("mirroring {}", entry.from))
                .found(format!("{which} and a choice of tags"))
                .expected("one of them"));
        }
        return Ok(vec![entry.from.clone()]);
    }
    if entry.tags.is_empty() && !entry.asks_for_tags() {
        return Err(Error::new(Code::Usage, format!("mirroring {}", entry.from))
            .found("no tag and no choice of tags")
            .expected("tags, versions or newest; tags = [\"*\"] is all"));
    }
    let tags = if entry.asks_for_tags() {
        let known = match home.names(&entry.from)? {
            Some(Names::Tags(tags)) => tags,
            Some(Names::Repositories(_)) => {
                return Err(Error::new(Code::Usage, format!("mirroring {}", entry.from))
                    .found("a registry")
                    .expected("a repository of it"));
            }
            None => {
                let (_, images) = home.list(Some(&entry.from))?;
                images.into_iter().filter_map(|image| image.name).collect()
            }
        };
        let mut chosen = entry.choose(&known);
        // A tag that is named and not there is an error, not nothing.
        let plain = entry.tags.iter().filter_map(Glob::plain).map(str::to_owned);
        let lost: Vec<_> = plain.filter(|tag| !known.contains(tag)).collect();
        chosen.extend(lost);
        chosen
    } else {
        let named: Vec<_> = entry.tags.iter().filter_map(Glob::plain).map(str::to_owned).collect();
        entry.choose(&named)
    };
    Ok(tags.into_iter().map(place).collect())
}

/// A reference without the image, and which image it names.
#[expect(clippy::type_complexity, reason = "it is called where it is made")]
fn taken_apart(from: &Reference) -> Result<(Box<dyn Fn(String) -> Reference>, &Which)> {
    match from {
        Reference::Registry { host, repository: repository @ Some(_), which } => {
            let (host, repository) = (host.clone(), repository.clone());
            let place = move |tag| Reference::Registry {
                host: host.clone(),
                repository: repository.clone(),
                which: Which::Name(tag),
            };
            Ok((Box::new(place), which))
        }
        Reference::Layout { path, which } => {
            let path = path.clone();
            let place =
                move |tag| Reference::Layout { path: path.clone(), which: Which::Name(tag) };
            Ok((Box::new(place), which))
        }
        Reference::Store { which } => {
            Ok((Box::new(|tag| Reference::Store { which: Which::Name(tag) }), which))
        }
        other => Err(Error::new(Code::Usage, format!("mirroring {other}"))
            .found("a place that is not mirrored")
            .expected("docker://HOST/REPOSITORY, oci:PATH or store:NAME")),
    }
}

/// Where an image goes.
fn destination(entry: &Entry, from: &Reference) -> Result<Reference> {
    let bad = |found: &str, expected: &str| {
        Error::new(Code::Usage, format!("mirroring {from} to {}", entry.to))
            .found(found)
            .expected(expected)
    };
    let (path, tag, whole) = match from {
        Reference::Registry { host, repository: Some(repository), which } => {
            let tag = match which {
                Which::Only => Some("latest"),
                Which::Name(tag) => Some(tag.as_str()),
                _ => None,
            };
            let whole = tag.map(|tag| format!("{host}/{repository}:{tag}"));
            (Some(repository.as_str()), tag, whole)
        }
        Reference::Layout { which: Which::Name(name), .. }
        | Reference::Store { which: Which::Name(name) } => {
            (None, Some(name.as_str()), Some(name.clone()))
        }
        _ => (None, None, None),
    };
    match &entry.to {
        Reference::Registry { host, repository, which: Which::Only } => {
            let repository = match (repository, path) {
                (Some(repository), _) if !entry.below => repository.clone(),
                (Some(repository), Some(path)) => format!("{repository}/{path}").parse()?,
                (None, Some(path)) => path.parse()?,
                (_, None) => {
                    return Err(bad("a source that is no registry", "to with a whole repository"));
                }
            };
            // Names of layouts may be whole names; a registry takes their tag.
            let which = match tag {
                Some(tag) => {
                    let last = tag.rsplit('/').next().unwrap_or(tag);
                    let tag = last.split_once(':').map_or(last, |(_, tag)| tag);
                    Which::Name(
                        tag.parse::<plimsoll_registry::protocol::Tag>()?.as_str().to_owned(),
                    )
                }
                None => {
                    return Err(bad("a digest without a tag", "a to that names a tag"));
                }
            };
            Ok(Reference::Registry { host: host.clone(), repository: Some(repository), which })
        }
        // One image, with the name that it is to have.
        Reference::Registry { repository: Some(_), .. } if !entry.asks_for_tags() => {
            if entry.tags.len() > 1 {
                return Err(bad("several tags", "to without a tag"));
            }
            Ok(entry.to.clone())
        }
        Reference::Layout { path, which: Which::Only } => {
            let name = whole.ok_or_else(|| bad("a digest without a tag", "a tag"))?;
            Ok(Reference::Layout { path: path.clone(), which: Which::Name(name) })
        }
        Reference::Name { .. } | Reference::Store { .. } | Reference::Layout { .. }
            if !entry.asks_for_tags() && entry.tags.len() < 2 && !entry.below =>
        {
            Ok(entry.to.clone())
        }
        _ => Err(bad(
            "a destination that can not take several images",
            "docker://HOST[/REPOSITORY] or oci:PATH",
        )),
    }
}

fn one(
    home: &Home,
    entry: &Entry,
    from: &Reference,
    to: &Reference,
    dry_run: bool,
    watch: &dyn Watch,
) -> Result<Mirrored> {
    let digest = wanted(home, from, &entry.platforms)?;
    let mut done = Mirrored {
        from: from.to_string(),
        to: Some(to.to_string()),
        digest: Some(digest.clone()),
        state: State::Present,
        bytes: 0,
        error: None,
    };
    // A name stands for something that is there as a whole. What is about it
    // may have come later.
    let there = match home.open(to) {
        Ok(opened) => opened.root.digest == digest,
        Err(error) if error.kind() == Kind::NotFound => false,
        Err(error) => return Err(error),
    };
    if there && !entry.referrers {
        return Ok(done);
    }
    if dry_run {
        done.state = if there { State::Present } else { State::Planned };
        return Ok(done);
    }
    let options = Options {
        platforms: entry.platforms.clone(),
        referrers: entry.referrers,
        ..Options::default()
    };
    let report = copy::copy(home, std::slice::from_ref(from), to, &options, watch)?;
    done.bytes = report.bytes;
    let brought = report.blobs.iter().any(|blob| blob.state != copy::State::Present);
    done.state = if there && !brought { State::Present } else { State::Copied };
    Ok(done)
}

/// What the name is to stand for at the destination.
fn wanted(home: &Home, from: &Reference, platforms: &[Platform]) -> Result<Digest> {
    let opened = home.open(from)?;
    match platforms {
        [one] => Ok(Image::open(opened.source(), &opened.root, Some(one))?.descriptor.digest),
        _ => Ok(opened.root.digest),
    }
}
