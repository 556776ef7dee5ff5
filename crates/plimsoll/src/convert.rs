//! An image in another form: Docker's or OCI's documents, another compression
//! of its layers, digests of another algorithm, fewer layers.
//!
//! Only what must change is written anew. What is in the wanted form already
//! keeps its bytes and its digest: layers, configs, whole images. The layers
//! keep their plain bytes, so a config changes only if its diff_ids get
//! another algorithm, or if layers are joined. The report gives the old and
//! the new digest of each, and names what the new form can not hold.
//!
//! A tree of indexes is converted as a whole, unless platforms are chosen.
//! What builders attach to an image inside of its index (attestations) goes
//! along, and points at the image as it is now. What points at an image from
//! outside, by its digest, is counted and left.
//!
//! What does not live here: joining layers ([`crate::squash`]), and what is
//! special about docker's archives ([`crate::copy`]).

mod family;
mod index;
mod layers;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_content::{
    Algorithm, Code, Descriptor, Digest, Error, MediaType, Platform, Result, Source, Watch,
};
use plimsoll_layer::Limits;
use plimsoll_layer::codec::Compression;
use plimsoll_spec::annotations::REF_NAME;
use plimsoll_store::{Form, Referrers};
use serde::Serialize;

use crate::copy::{docker, given_name};
use crate::image::Image;
use crate::place::{Home, Target, find};
use crate::reference::Reference;
use crate::squash::{self, Squash};

pub use family::Family;
pub use layers::How;
pub(crate) use layers::Made;

/// What an image is to become. What is not said stays as it is.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose documents.
    pub family: Option<Family>,
    /// How layers are compressed.
    pub compression: Option<Compression>,
    /// Also layers that are compressed in that way already.
    pub recompress: bool,
    /// What every digest is made with.
    pub algorithm: Option<Algorithm>,
    /// Only the images for these: one is the image itself, several are a
    /// smaller index. None are all.
    pub platforms: Vec<Platform>,
    /// Also join the layers of each image into one.
    pub squash: Option<squash::Options>,
    /// A name that the source gives may replace a name of the destination.
    pub force: bool,
    /// How many threads may compress.
    pub threads: usize,
    /// The budgets of reading layers.
    pub limits: Limits,
}

/// An image that was converted.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Converted {
    /// Its name at the destination.
    pub name: Option<String>,
    /// Its digest before.
    pub from: Digest,
    /// Its digest now.
    pub digest: Digest,
    /// What it is now.
    pub media_type: String,
    /// Every manifest and index that it reaches, what an index lists before it.
    pub manifests: Vec<Manifest>,
    /// What was said that the new form has no place for.
    pub lost: Vec<Lost>,
    /// How many manifests are about what has another digest now; they were
    /// not brought.
    pub referrers: usize,
    /// How many bytes of layers were written.
    pub bytes: u64,
    /// What was noticed.
    pub warnings: Vec<String>,
}

/// A manifest or index that was converted.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Its digest before.
    pub from: Digest,
    /// Its digest now.
    pub digest: Digest,
    /// What it is now.
    pub media_type: String,
    /// What the image runs on.
    pub platform: Option<String>,
    /// The layers of the image, or the blobs of the artifact.
    pub layers: Vec<Layer>,
}

/// A layer of an image that was converted.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Layer {
    /// The digests of what it was before: several if they were joined.
    pub from: Vec<Digest>,
    /// Its digest now.
    pub digest: Digest,
    /// The digest of the uncompressed tar now.
    pub diff_id: Option<Digest>,
    /// The length of the blob now.
    pub size: u64,
    /// What it is now.
    pub media_type: String,
    /// How it came to be there.
    pub state: How,
}

/// Something that the new form has no place for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    /// The digest, before, of the document that said it.
    pub digest: Digest,
    /// What it was.
    pub what: String,
}

impl Home {
    /// Converts the image of a reference into another place, or another name.
    pub fn convert(
        &self,
        from: &Reference,
        to: &Reference,
        options: &Options,
        watch: &dyn Watch,
    ) -> Result<Converted> {
        options.check()?;
        let to = to.clone().look(false)?;
        let mut archive = None;
        let (target, options) = match &to {
            Reference::Archive { form: Some(Form::Docker), at, which } => {
                let (target, form) = docker::prepare(self, at, which, options)?;
                (target, &*archive.insert(form))
            }
            to => (self.target(to)?, options),
        };
        let (held, which, _) = self.hold(from)?;
        let Some(held) = held else { return Err(self.no_store(from)) };
        let (catalog, source) = (held.catalog()?, held.source());
        let entry = find(&catalog, source, &which)?;
        let mut root = entry.descriptor.clone();
        if target.docker().is_some() {
            root = docker::only(source, &root, options.platforms.first(), 0)?.descriptor;
        }
        let mut converter = Converter::new(source, &target, options, watch);
        for finding in held.findings() {
            converter.warn(finding.clone());
        }
        let new = converter
            .run(&root)
            .map_err(|error| error.context(format!("converting {from} to {to}")))?;
        converter.count(|| Referrers::of(source, &catalog));
        let mut report = converter.report(&root, &new);
        report.name = match target.name() {
            Some(name) => Some(name.to_owned()),
            None if target.docker().is_some() => {
                docker::name(&target, &entry, watch, &mut report.warnings)
            }
            None if target.has_names() => target.free(given_name(&entry), &new, options.force)?,
            None => None,
        };
        target.put(report.name.as_deref(), &new)?;
        target.finish()?;
        Ok(report)
    }
}

impl Options {
    fn check(&self) -> Result<()> {
        if self.family == Some(Family::Docker) && self.algorithm == Some(Algorithm::Blake3) {
            return Err(Error::new(Code::Unrepresentable, "converting to Docker's form")
                .found("digests of blake3")
                .expected("sha256 or sha512: Docker's readers know no others"));
        }
        Ok(())
    }
}

/// A conversion at work.
pub(crate) struct Converter<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) target: &'a Target,
    options: &'a Options,
    pub(crate) watch: &'a dyn Watch,
    pub(crate) report: Report,
    /// Which layers are joined.
    pub(crate) squash: Option<Squash<'a>>,
    /// Only these manifests, with what leads to them; `None` is all.
    only: Option<BTreeSet<Digest>>,
    /// Which entries lead to those.
    meant: BTreeMap<Digest, bool>,
    /// What was made of each document.
    documents: BTreeMap<(Digest, MediaType), Descriptor>,
    /// What was made of each layer.
    made: BTreeMap<(Digest, MediaType, Option<Digest>), Made>,
}

/// What is said of referrers.
const NOT_BROUGHT: &str =
    "(signatures, bills of materials, …) about digests that have changed: not brought";

/// What was done so far.
#[derive(Default)]
pub(crate) struct Report {
    manifests: Vec<Manifest>,
    lost: Vec<Lost>,
    referrers: usize,
    pub(crate) bytes: u64,
    pub(crate) warnings: Vec<String>,
}

impl<'a> Converter<'a> {
    pub(crate) fn new(
        source: &'a dyn Source,
        target: &'a Target,
        options: &'a Options,
        watch: &'a dyn Watch,
    ) -> Self {
        Self {
            source,
            target,
            options,
            watch,
            report: Report::default(),
            squash: options.squash.as_ref().map(|options| Squash {
                options,
                base: None,
                joined: 0,
            }),
            only: None,
            meant: BTreeMap::new(),
            documents: BTreeMap::new(),
            made: BTreeMap::new(),
        }
    }

    /// Converts everything that `root` leads to; gives what came of it.
    pub(crate) fn run(&mut self, root: &Descriptor) -> Result<Descriptor> {
        let mut chosen = Vec::new();
        for platform in &self.options.platforms {
            let image = Image::open(self.source, root, Some(platform))?.descriptor;
            chosen.push(image);
        }
        let mut root = root.clone();
        if let [one] = &chosen[..] {
            root = one.clone();
        } else if !chosen.is_empty() {
            self.only = Some(chosen.into_iter().map(|image| image.digest).collect());
        }
        let new = self.node(&root, 0)?;
        // What the list said of it is true still, but for its name.
        root.annotations.remove(REF_NAME);
        Ok(Descriptor {
            platform: root.platform.or(new.platform),
            data: None,
            media_type: new.media_type,
            digest: new.digest,
            size: new.size,
            ..root
        })
    }

    /// Counts what is about documents that have other digests now.
    pub(crate) fn count(&mut self, referrers: impl FnOnce() -> Result<Referrers>) {
        let changed: BTreeSet<_> = self
            .documents
            .iter()
            .filter(|((old, _), new)| *old != new.digest)
            .map(|((old, _), _)| old.clone())
            .collect();
        if changed.is_empty() {
            return;
        }
        let referrers = match referrers() {
            Ok(referrers) => referrers,
            // What is wrong with other images of the place is no matter here.
            Err(error) => {
                self.warn(format!("what is about the image could not be counted: {error}"));
                return;
            }
        };
        let mut about = BTreeSet::new();
        for old in &changed {
            for referrer in referrers.to(old) {
                let key = (referrer.digest.clone(), referrer.media_type.clone());
                if self.documents.contains_key(&key) {
                    self.warn(format!("{} goes along, and says to be about {old}", key.0));
                } else {
                    about.insert(key.0);
                }
            }
            // Not the list of referrers, whose name is the digest alone.
            let named = referrers
                .named(old)
                .filter(|entry| entry.name().is_some_and(|name| name.contains('.')));
            about.extend(named.map(|entry| entry.descriptor.digest.clone()));
        }
        self.report.referrers = about.len();
        match about.len() {
            0 => {}
            1 => self.warn(format!("1 manifest {NOT_BROUGHT}")),
            number => self.warn(format!("{number} manifests {NOT_BROUGHT}")),
        }
    }

    pub(crate) fn warn(&mut self, what: String) {
        self.watch.warn(&what);
        self.report.warnings.push(what);
    }

    /// Notes what the new form of a document has no place for.
    pub(crate) fn lose(&mut self, document: &Descriptor, lost: Vec<String>) {
        for what in lost {
            self.watch.warn(&format!("lost, of {}: {what}", document.digest));
            self.report.lost.push(Lost { digest: document.digest.clone(), what });
        }
    }

    pub(crate) fn report(self, root: &Descriptor, new: &Descriptor) -> Converted {
        let Report { manifests, lost, referrers, bytes, warnings } = self.report;
        Converted {
            name: None,
            from: root.digest.clone(),
            digest: new.digest.clone(),
            media_type: new.media_type.to_string(),
            manifests,
            lost,
            referrers,
            bytes,
            warnings,
        }
    }
}
