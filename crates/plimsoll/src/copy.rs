//! Images go from one place to another, byte for byte.
//!
//! Copied is everything that an image reaches: all platforms, nested indexes,
//! and on demand what is about it (referrers), to any depth. No digest ever
//! changes here, and no platform is dropped unless one is asked for by name.
//! The report is the proof: every blob, with whether it was brought or was
//! there.
//!
//! What goes through a pipe, or is compressed, goes straight into a layout
//! as it comes ([`plimsoll_store::receive`]). A docker archive holds no
//! manifests, so writing one is a matter of its own (`docker`).

pub(crate) mod docker;
mod signatures;
mod sparse;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use plimsoll_content::{Code, Descriptor, Digest, Error, Platform, Result, Source, Watch};
use plimsoll_sign::{Asked, ImageName};
use plimsoll_spec::LayerType;
use plimsoll_spec::annotations::REF_NAME;
use plimsoll_spec::docker::schema1::is_schema1;
use plimsoll_store::{
    About, Archive, Catalog, Closure, Entry, Form, Received, Referrers, closure, receive,
};
use serde::Serialize;

use crate::image::Image;
use crate::place::{Held, Home, Target, find};
use crate::reference::{At, Reference, Which};
use crate::schema1;
use crate::transfer::{self, Brought};
use crate::trust::gather::{self, Shelf};
use crate::trust::{Gate, Part, asked, shelf_of};
use signatures::{Place, Signatures};

/// The full name of an image in archives of docker and containerd, where
/// `ref.name` is the tag alone.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// What is copied.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only the images for these platforms, out of an index: one stands for
    /// itself; with several, the index stays as it is, and what it lists for
    /// others is not brought.
    pub platforms: Vec<Platform>,
    /// Also what is about the images, to any depth.
    pub referrers: bool,
    /// Also what vouches for the images, as far as the source lists it cheaply and the
    /// destination can hold it; what can not be had is a warning.
    pub signatures: bool,
    /// All images of the source, with their names.
    pub all: bool,
    /// Names that the source gives may replace names of the destination.
    pub force: bool,
    /// Only what passes. Signatures are taken along then, where the destination
    /// can hold them.
    pub gate: Option<Gate>,
}

/// What was copied: the proof that nothing is missing.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Copied {
    /// The images, in order.
    pub images: Vec<CopiedImage>,
    /// Every blob that they reach, once.
    pub blobs: Vec<CopiedBlob>,
    /// How many bytes were written.
    pub bytes: u64,
    /// What was odd, and what the destination can not hold.
    pub warnings: Vec<String>,
}

/// An image that was copied.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopiedImage {
    /// Its name at the destination.
    pub name: Option<String>,
    /// Its digest, there as here.
    pub digest: Digest,
    /// What it is.
    pub media_type: String,
    /// Whether it is there because it is about another one.
    pub referrer: bool,
}

/// A blob that was copied.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopiedBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
    /// What it is.
    pub media_type: String,
    /// How it came to be there.
    pub state: State,
}

/// How a blob came to be at the destination. The list is complete.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was brought, and proved on the way.
    Copied,
    /// The registry took it over from another of its repositories.
    Mounted,
    /// It was there.
    Present,
    /// It is a layer that may not be distributed and lies at its `urls`; the
    /// source does not have it either.
    Elsewhere,
}

/// Copies the images of several references to one place. With several, the
/// destination names none of them.
pub fn copy(
    home: &Home,
    from: &[Reference],
    to: &Reference,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Copied> {
    let to = to.clone().look(false)?;
    if let Reference::Archive { form: Some(Form::Docker), at, which } = &to {
        return docker::copy(home, from, at, which, options, watch);
    }
    let target = home.target(&to)?;
    if target.name().is_some() && (options.all || from.len() > 1) {
        return Err(Error::new(Code::Usage, format!("copying to {to}"))
            .found("one name for several images")
            .expected("a destination without a name: the images keep theirs"));
    }
    let mut copying = Copying {
        target: &target,
        options,
        watch,
        report: Copied::default(),
        seen: BTreeMap::new(),
        received: None,
    };
    for from in from {
        copying
            .reference(home, from)
            .map_err(|error| error.context(format!("copying {from} to {to}")))?;
    }
    copying.warn(home.warnings());
    let report = copying.report;
    target.finish()?;
    Ok(report)
}

struct Copying<'a> {
    target: &'a Target,
    options: &'a Options,
    watch: &'a dyn Watch,
    report: Copied,
    /// Where each blob stands in the report.
    seen: BTreeMap<Digest, usize>,
    /// Blobs that a stream has brought.
    received: Option<BTreeSet<Digest>>,
}

impl Copying<'_> {
    fn reference(&mut self, home: &Home, from: &Reference) -> Result<()> {
        let from = from.clone().look(true)?;
        if let Some(sink) = self.target.source()
            && let Some((file, shown, form, which)) = streamed(home, &from)?
        {
            let received =
                receive(file, &shown, form, self.target.sink(), &home.limits(), self.watch)?;
            let Received { catalog, stored, findings, .. } = received;
            self.warn(findings);
            let stored = stored.into_iter().map(|blob| blob.digest);
            self.received.get_or_insert_default().extend(stored);
            let entries = among(&catalog, sink, &which, self.options.all)?;
            let entries = match &self.options.gate {
                Some(gate) => {
                    let about = Referrers::of(sink, &catalog)?;
                    let tag = |name: &str| Ok(catalog.find_name(name).ok().map(|it| it.descriptor));
                    let listed = catalog.entries();
                    let shelf = Shelf {
                        source: sink,
                        about: &about,
                        tag: &tag,
                        entries: listed,
                        folder: None,
                    };
                    pass(gate, &asked(&from, None)?, entries, &shelf, &self.options.platforms)?
                }
                None => entries,
            };
            let about = || Referrers::of(sink, &catalog).map(|all| Box::new(all) as Box<dyn About>);
            let place = || Ok(Place { source: sink, catalog: Some(catalog.clone()), held: None });
            return self.images(sink, &entries, about, &place);
        }
        let (held, which, _) = home.hold(&from)?;
        let Some(held) = held else {
            // The error says what there is instead.
            return home.open(&from).map(|_| ());
        };
        self.warn(held.findings().to_vec());
        self.held(&held, &which, &from)
    }

    fn held(&mut self, held: &Held, which: &Which, from: &Reference) -> Result<()> {
        let mut entries = chosen(held, which, self.options.all)?;
        if let Some(gate) = &self.options.gate {
            entries = admit(gate, held, from, entries, &self.options.platforms)?;
        }
        self.images(held.source(), &entries, || held.about(), &|| Place::of(held))
    }

    fn warn(&mut self, findings: Vec<String>) {
        for finding in findings {
            self.watch.warn(&finding);
            self.report.warnings.push(finding);
        }
    }

    /// Images of a source; `about` knows what is about them, and `place` where to look for
    /// signatures alone.
    fn images<'s>(
        &mut self,
        source: &dyn Source,
        entries: &[Entry],
        about: impl FnOnce() -> Result<Box<dyn About + 's>>,
        place: &dyn Fn() -> Result<Place<'s>>,
    ) -> Result<()> {
        let gated = self.options.gate.is_some() && self.target.has_names();
        let referrers = if self.options.referrers || gated { Some(about()?) } else { None };
        let signatures = self.options.signatures && self.target.has_names();
        for entry in entries {
            // What is named after others comes with them, or as they do.
            let alone = entry.name().is_some_and(Digest::is_tag);
            if referrers.is_some() || !signatures || alone {
                self.image(source, entry, referrers.as_deref())?;
                continue;
            }
            let root = self.root(source, entry)?;
            let signatures = Signatures::of(place()?, &root);
            self.image(source, entry, Some(&signatures))?;
            self.warn(signatures.warnings());
        }
        Ok(())
    }

    /// What is copied of an entry: all of it, or the image for a platform.
    fn root(&self, source: &dyn Source, entry: &Entry) -> Result<Descriptor> {
        match &*self.options.platforms {
            [platform] => Ok(Image::open(source, &entry.descriptor, Some(platform))?.descriptor),
            _ => Ok(entry.descriptor.clone()),
        }
    }

    fn image(
        &mut self,
        source: &dyn Source,
        entry: &Entry,
        referrers: Option<&dyn About>,
    ) -> Result<()> {
        let platforms = &*self.options.platforms;
        let root = self.root(source, entry)?;
        let Closure { reachable, referrers, named } = match platforms {
            [] | [_] => closure(source, &root, referrers)?,
            several => sparse::sparse(source, &root, several, referrers)?,
        };
        let mut all = reachable.present.iter().chain(&reachable.missing);
        if all.any(|blob| is_schema1(&blob.media_type)) {
            return Err(schema1::refused(format!("copying {}", root.digest)));
        }
        for blob in &reachable.missing {
            self.missing(source, blob)?;
        }
        self.blobs(source, &reachable.present)?;
        let none = referrers.is_empty() && named.is_empty();
        if !none && !self.target.has_names() {
            return Err(Error::new(Code::Unrepresentable, "copying referrers")
                .found("a dir: folder, which lists one image")
                .expected("a layout, or the archive of one"));
        }
        let name = match self.target.name() {
            Some(name) => Some(name.to_owned()),
            // As everybody has it, docker://HOST/REPOSITORY is its latest.
            None if self.target.registry().is_some() && !self.options.all => {
                Some(self.target.published_name().to_owned())
            }
            None if self.target.has_names() => self.free(given_name(entry), &root)?,
            None => None,
        };
        self.put(name, &root, false)?;
        for referrer in &referrers {
            self.put(None, referrer, true)?;
        }
        for entry in &named {
            let name = match self.free(entry.name().map(str::to_owned), &entry.descriptor) {
                // Nobody has asked for them, and those that are there are as good.
                Err(error) if error.code() == Code::Exists && !self.options.referrers => {
                    self.warn(vec![format!("{error}; the signatures that are there stay")]);
                    continue;
                }
                name => name?,
            };
            self.put(name, &entry.descriptor, true)?;
        }
        Ok(())
    }

    fn free(&self, name: Option<String>, image: &Descriptor) -> Result<Option<String>> {
        self.target.free(name, image, self.options.force)
    }

    fn put(&mut self, name: Option<String>, image: &Descriptor, referrer: bool) -> Result<()> {
        let mut entry = image.clone();
        entry.annotations.remove(REF_NAME);
        self.target.put(name.as_deref(), &entry)?;
        self.report.images.push(CopiedImage {
            name,
            digest: image.digest.clone(),
            media_type: image.media_type.to_string(),
            referrer,
        });
        Ok(())
    }

    /// Brings blobs: over the network several at once.
    fn blobs(&mut self, source: &dyn Source, blobs: &[Descriptor]) -> Result<()> {
        let far = self.target.registry().is_some() || source.address().is_some();
        // An archive is written from its beginning to its end.
        let at_once = if far && self.target.takes_several() { transfer::AT_ONCE } else { 1 };
        let (contents, documents) = transfer::order(source, blobs)?;
        let brought =
            transfer::several(source, self.target.sink(), &contents, at_once, self.watch)?;
        for (blob, brought) in contents.iter().zip(brought) {
            self.brought(blob, brought);
        }
        documents.iter().try_for_each(|blob| self.blob(source, blob))
    }

    fn blob(&mut self, source: &dyn Source, blob: &Descriptor) -> Result<()> {
        let brought = transfer::blob(source, self.target.sink(), blob, self.watch)
            .map_err(|error| error.context(format!("copying {}", blob.digest)))?;
        self.brought(blob, brought);
        Ok(())
    }

    fn brought(&mut self, blob: &Descriptor, brought: Brought) {
        let streamed = self.received.as_ref().is_some_and(|all| all.contains(&blob.digest));
        let state = match brought {
            Brought::Copied => State::Copied,
            Brought::Mounted => State::Mounted,
            Brought::Present if streamed => State::Copied,
            Brought::Present => State::Present,
        };
        self.note(blob, state);
    }

    /// What the source lacks must be allowed to lie elsewhere.
    fn missing(&mut self, source: &dyn Source, blob: &Descriptor) -> Result<()> {
        let foreign = LayerType::of(&blob.media_type).is_some_and(|kind| kind.nondistributable);
        if foreign && blob.urls.iter().any(|url| !url.is_empty()) {
            self.note(blob, State::Elsewhere);
            return Ok(());
        }
        if self.target.sink().has(blob)? {
            self.note(blob, State::Present);
            return Ok(());
        }
        match source.fetch(blob, 0) {
            Err(error) => Err(error),
            // It has come meanwhile.
            Ok(_) => self.blob(source, blob),
        }
    }

    fn note(&mut self, blob: &Descriptor, state: State) {
        // What two images share is told once, by what happened first.
        if self.seen.contains_key(&blob.digest) {
            return;
        }
        self.seen.insert(blob.digest.clone(), self.report.blobs.len());
        if state == State::Copied {
            self.report.bytes = self.report.bytes.saturating_add(blob.size);
        }
        self.report.blobs.push(CopiedBlob {
            digest: blob.digest.clone(),
            size: blob.size,
            media_type: blob.media_type.to_string(),
            state,
        });
    }
}

/// The entries of a place, if all of them are trusted.
pub(crate) fn admit(
    gate: &Gate,
    held: &Held,
    from: &Reference,
    entries: Vec<Entry>,
    platforms: &[Platform],
) -> Result<Vec<Entry>> {
    let about = gather::about(held)?;
    let tag = |name: &str| gather::tagged(held, name);
    let listed = gather::entries(held)?;
    let asked = asked(from, Some(held))?;
    pass(gate, &asked, entries, &shelf_of(held, &*about, &tag, &listed), platforms)
}

/// Of several, those that are about others are left out: they travel with what
/// they are about, and are no images that somebody vouches for.
fn pass(
    gate: &Gate,
    whole: &Asked,
    entries: Vec<Entry>,
    shelf: &Shelf<'_>,
    platforms: &[Platform],
) -> Result<Vec<Entry>> {
    let several = entries.len() > 1;
    let mut passed = Vec::new();
    for entry in entries {
        let mut asked = whole.clone();
        if several {
            if is_about(shelf, &entry)? {
                continue;
            }
            // Each has a name of its own.
            asked.name = match (asked.name, entry.name()) {
                (Some(name), Some(tag)) => Some(ImageName { tag: Some(tag.to_owned()), ..name }),
                (_, own) => own.and_then(ImageName::parse),
            };
        }
        let parts = match platforms {
            [] => vec![Part::of(None)],
            several => several.iter().map(|platform| Part::of(Some(platform))).collect(),
        };
        for part in parts {
            gate.judge_part(shelf, &entry.descriptor, &asked, part)?.into_trusted()?;
        }
        passed.push(entry);
    }
    Ok(passed)
}

/// Whether an entry is there because of another one.
fn is_about(shelf: &Shelf<'_>, entry: &Entry) -> Result<bool> {
    if entry.name().is_some_and(Digest::is_tag) {
        return Ok(true);
    }
    let node = crate::image::node(shelf.source, &entry.descriptor)?;
    Ok(entry.name().is_none() && node.subject().is_some())
}

/// The entries of a place that are meant.
pub(crate) fn chosen(held: &Held, which: &Which, all: bool) -> Result<Vec<Entry>> {
    if !all {
        return Ok(vec![held.find(which)?]);
    }
    among(&held.catalog()?, held.source(), which, all)
}

/// The same, out of a list.
fn among(catalog: &Catalog, source: &dyn Source, which: &Which, all: bool) -> Result<Vec<Entry>> {
    if !all {
        return Ok(vec![find(catalog, source, which)?]);
    }
    if *which != Which::Only {
        return Err(Error::new(Code::Usage, "choosing images")
            .found(format!("--all, and {which}"))
            .expected("one of them"));
    }
    if catalog.entries().is_empty() {
        return find(catalog, source, which).map(|entry| vec![entry]);
    }
    Ok(catalog.entries().to_vec())
}

/// What an image is called where it comes from.
pub(crate) fn given_name(entry: &Entry) -> Option<String> {
    let full = entry.descriptor.annotations.get(CONTAINERD_NAME).map(String::as_str);
    full.or(entry.name()).map(str::to_owned)
}

/// An archive that is better read as it comes: its file, what it is called,
/// and what is meant of it.
#[expect(clippy::type_complexity, reason = "taken apart at the one place that asks")]
fn streamed(home: &Home, from: &Reference) -> Result<Option<(File, String, Option<Form>, Which)>> {
    let Reference::Archive { form, at, which } = from else { return Ok(None) };
    if *form == Some(Form::Aci) {
        return Ok(None);
    }
    let (file, shown) = match at {
        At::Stream => (home.input()?, "-".to_owned()),
        At::File(path) => {
            let shown = path.display().to_string();
            let file =
                File::open(path).map_err(|cause| Error::io("opening archive", &shown, cause))?;
            (file, shown)
        }
    };
    let lies_open =
        Archive::lies_open(&file).map_err(|cause| Error::io("opening archive", &shown, cause))?;
    let data = file.metadata();
    let folder = data.as_ref().is_ok_and(std::fs::Metadata::is_dir);
    let aci = form.is_none() && data.is_ok_and(|data| data.is_file()) && Archive::may_be_aci(&file);
    if lies_open || folder || aci {
        return Ok(None);
    }
    Ok(Some((file, shown, *form, which.clone())))
}
