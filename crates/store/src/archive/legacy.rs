//! What `docker save` wrote before docker 1.10, as images.
//!
//! A folder for each layer, named by the id of the image of which it is the
//! top: `ID/json` says how it came about, how it is started, and which is its
//! parent; `ID/layer.tar` is the layer. `repositories` gives names to ids. An
//! image is the chain from an id down; its config is made of the documents on
//! the way, as newer docker makes it when it loads such an archive.
//!
//! Ids are names of folders and nothing else: they say nothing about what is
//! in them. What counts are the digests of config and layers.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_content::{Algorithm, Code, Descriptor, Digest, Document, Error, Result};
use plimsoll_spec::docker::V1Image;
use plimsoll_spec::{History, docker, media_type};

use super::docker::{Files, Image, REPOSITORIES, checked, made, missing, parse, too_many};

/// The file that says what an image of a folder is.
const JSON: &str = "json";
/// The version of the folder, which is always the same.
const VERSION: &str = "VERSION";

/// The longest archive without any entry, in bytes: a block of GNU tar.
/// Docker writes 1,024.
const EMPTY: u64 = 10_240;

/// How many things that are odd are told.
const TOLD: usize = 10;

/// What a layer file is.
pub(super) struct LayerFile {
    /// The file as it lies there.
    pub(super) blob: Descriptor,
    /// The digest of what it inflates to.
    pub(super) diff_id: Digest,
}

/// The chains of an archive, each part read once.
struct Chains<'a> {
    files: &'a mut dyn Files,
    parts: BTreeMap<String, Part>,
    findings: Vec<String>,
    /// How many bytes of documents are held.
    held: u64,
}

struct Part {
    image: V1Image,
    /// `None` if the part has no entries: nothing came to be in that step.
    layer: Option<LayerFile>,
}

/// Whether `name` is what such a folder holds; gives the folder.
pub(super) fn folder(name: &[u8]) -> Option<&str> {
    let (folder, file) = std::str::from_utf8(name).ok()?.split_once('/')?;
    (file == JSON).then_some(folder)
}

/// The images: those that have names, in their order, then those that nothing
/// lies on.
pub(super) fn images(files: &mut dyn Files) -> Result<(Vec<Image>, Vec<String>)> {
    let limits = files.limits();
    let folders = files.folders();
    let mut tops = Vec::new();
    if let Some(text) = files.document(REPOSITORIES, limits.index)? {
        let listed: BTreeMap<String, BTreeMap<String, String>> =
            parse(REPOSITORIES, &text, &limits)?;
        for (name, tags) in listed {
            for (tag, id) in tags {
                tops.push((id, checked(format!("{name}:{tag}"))?));
            }
        }
    } else if folders.is_empty() {
        return Err(Error::new(Code::NotALayout, "reading a docker archive")
            .found("no file manifest.json, and no folders ID with the files json and layer.tar")
            .expected("the list of images that docker 1.10 and later write, or what came before"));
    }
    let mut chains = Chains { files, parts: BTreeMap::new(), findings: Vec::new(), held: 0 };
    let mut below = BTreeSet::new();
    for id in &folders {
        below.extend(chains.part(id)?.image.parent.clone());
    }
    let mut named: Vec<(String, Vec<String>)> = Vec::new();
    let mut positions = BTreeMap::new();
    for (id, name) in tops {
        let position = *positions.entry(id.clone()).or_insert(named.len());
        match named.get_mut(position) {
            Some((_, names)) => names.push(name),
            None => named.push((id, vec![name])),
        }
    }
    let mut images = Vec::new();
    let mut reached = BTreeSet::new();
    for (id, names) in named {
        let image = chains.image(&id, names, &mut reached).map_err(|error| {
            error.context(format!("reading image {:?} of {REPOSITORIES}", shown(&id)))
        })?;
        images.push(image);
    }
    for id in folders.iter().filter(|id| !below.contains(*id)) {
        if reached.contains(id) {
            continue;
        }
        let image = chains.image(id, Vec::new(), &mut reached);
        images
            .push(image.map_err(|error| error.context(format!("reading image {:?}", shown(id))))?);
    }
    // Parents that lead in a circle have nothing on top, and would not be seen.
    if let Some(id) = folders.iter().find(|id| !reached.contains(*id)) {
        chains.chain(id, &mut reached)?;
    }
    Ok((images, chains.findings))
}

impl Chains<'_> {
    /// The image that has `id` on top. What it is made of joins `reached`.
    fn image(
        &mut self,
        id: &str,
        names: Vec<String>,
        reached: &mut BTreeSet<String>,
    ) -> Result<Image> {
        let limits = self.files.limits();
        let chain = self.chain(id, reached)?;
        let (mut layers, mut diff_ids, mut history) =
            (Vec::new(), Vec::new(), Vec::<History>::new());
        let mut top = V1Image::default();
        for id in chain.iter().rev() {
            let part = self.part(id)?;
            history.push(part.image.step(part.layer.is_none()));
            if let Some(layer) = &part.layer {
                layers.push(layer.blob.clone());
                diff_ids.push(layer.diff_id.clone());
            }
            if id == &chain[0] {
                top = part.image.clone();
            }
        }
        let config = Document::<docker::Config>::new(top.into_config(diff_ids, history))?;
        self.hold(config.bytes().len() as u64)?;
        let descriptor = config.descriptor(media_type::DOCKER_CONFIG, Algorithm::Sha256);
        descriptor.within("the config that was made,", limits.config)?;
        made(descriptor, config.bytes().to_vec(), layers, names)
    }

    /// The ids from `id` down to the one without a parent.
    fn chain(&mut self, id: &str, reached: &mut BTreeSet<String>) -> Result<Vec<String>> {
        let most = self.files.limits().layers;
        let mut chain = vec![id.to_owned()];
        let mut seen = BTreeSet::from([id.to_owned()]);
        let mut at = id.to_owned();
        while let Some(parent) = self.part(&at)?.image.parent.clone() {
            let doing = || format!("following the parent of image {:?}", shown(&at));
            if !seen.insert(parent.clone()) {
                return Err(Error::new(Code::Malformed, doing())
                    .found(format!("{:?}, from which it was reached", shown(&parent)))
                    .expected("parents that end"));
            }
            if seen.len() > most {
                return Err(Error::new(Code::Limit, doing())
                    .found(format!("more than {most} images, one on the other"))
                    .expected("fewer"));
            }
            self.part(&parent).map_err(|error| error.context(doing()))?;
            chain.push(parent.clone());
            at = parent;
        }
        reached.extend(seen);
        Ok(chain)
    }

    /// The part of that id.
    fn part(&mut self, id: &str) -> Result<&Part> {
        if !self.parts.contains_key(id) {
            let part = self.read(id)?;
            self.parts.insert(id.to_owned(), part);
        }
        self.parts.get(id).ok_or_else(|| Error::new(Code::Bug, "reading a docker archive"))
    }

    fn read(&mut self, id: &str) -> Result<Part> {
        let doing = || format!("reading image {:?}", shown(id));
        if id.is_empty() || id.contains('/') || id == "." || id == ".." {
            return Err(Error::new(Code::UnsafeEntry, doing())
                .found("an id that is no name of a folder")
                .expected("64 hexadecimal digits"));
        }
        let limits = self.files.limits();
        let name = format!("{id}/{JSON}");
        let text = self.files.document(&name, limits.config)?;
        let text = text.ok_or_else(|| missing(doing(), &name))?;
        self.hold(text.len() as u64)?;
        let document = Document::<V1Image>::parse_within(text, &limits)
            .map_err(|error| error.context(doing()))?;
        let mut image = document.view().clone();
        image.parent = image.parent.filter(|parent| !parent.is_empty());
        if let Some(own) = image.id.as_deref().filter(|own| !own.is_empty())
            && own != id
        {
            return Err(Error::new(Code::Malformed, doing())
                .found(format!("{:?} as its id in {name}", shown(own)))
                .expected("the name of its folder"));
        }
        self.version(id)?;
        let file = format!("{id}/layer.tar");
        let found = self.files.unknown_layer(&file).map_err(|error| error.context(doing()))?;
        let layer = match found {
            Some(layer) if is_empty(&layer) => None,
            Some(layer) => {
                if image.throwaway {
                    self.find(format!("{file} is said to be empty, and is not: it counts"));
                }
                Some(layer)
            }
            None if image.throwaway => None,
            None => return Err(missing(doing(), &file)),
        };
        Ok(Part { image, layer })
    }

    fn version(&mut self, id: &str) -> Result<()> {
        let name = format!("{id}/{VERSION}");
        let limit = self.files.limits().config;
        let Some(text) = self.files.document(&name, limit)? else { return Ok(()) };
        if text.trim_ascii() != b"1.0" {
            let text = String::from_utf8_lossy(&text[..text.len().min(20)]).into_owned();
            self.find(format!("{name} says {text:?}, not 1.0"));
        }
        Ok(())
    }

    fn find(&mut self, finding: String) {
        if self.findings.len() < TOLD {
            self.findings.push(finding);
        }
    }

    /// Counts what is held in memory: the documents of many images on one
    /// chain grow with its square.
    fn hold(&mut self, bytes: u64) -> Result<()> {
        let most = self.files.limits().archive_documents;
        self.held = self.held.saturating_add(bytes);
        if self.held <= most {
            return Ok(());
        }
        Err(too_many(most))
    }
}

/// Whether an archive has no entries: it is short, and all zeros.
fn is_empty(layer: &LayerFile) -> bool {
    let size = usize::try_from(layer.blob.size).unwrap_or(usize::MAX);
    layer.blob.size <= EMPTY && Digest::of(Algorithm::Sha256, &vec![0; size]) == layer.blob.digest
}

/// An id as messages show it.
fn shown(id: &str) -> String {
    id.chars().take(64).collect()
}
