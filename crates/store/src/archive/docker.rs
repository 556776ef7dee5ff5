//! What `docker save` writes, as images. What it wrote before docker 1.10 is
//! read in `legacy`.
//!
//! `manifest.json` names for each image a config, layers and tags. There is
//! no manifest in such an archive: one is made here, always the same for the
//! same image, over the uncompressed layers. Config and layers stay byte for
//! byte what they are, so the image id and the diff_ids do too.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_content::limits::Limits;
use plimsoll_content::{
    Algorithm, Code, Descriptor, Digest, Document, Error, MediaType, Result, json,
};
use plimsoll_layer::codec::Format;
use plimsoll_spec::annotations::REF_NAME;
use plimsoll_spec::{Config, docker, media_type};
use serde::Deserialize;

use super::legacy::{self, LayerFile};

/// The file that lists the images.
pub(super) const MANIFEST: &str = "manifest.json";
/// The older list of names.
pub(super) const REPOSITORIES: &str = "repositories";

/// The longest name that is listed, in bytes.
const NAME: usize = 255;

/// Where the files of the archive are found.
pub(super) trait Files {
    /// The budgets for documents; lists count as indexes.
    fn limits(&self) -> Limits;
    /// The content of a small file.
    fn document(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>>;
    /// A layer by its name in the archive; what it is, and where, is kept by
    /// whoever is asked. `diff_id` is what the config says about it.
    fn layer(&mut self, name: &str, diff_id: &Digest) -> Result<Option<Descriptor>>;
    /// A layer about which nothing is said.
    fn unknown_layer(&mut self, name: &str) -> Result<Option<LayerFile>>;
    /// The folders that may be images of docker before 1.10.
    fn folders(&self) -> Vec<String>;
}

/// An image of the archive.
#[derive(Debug)]
pub(super) struct Image {
    /// The manifest that was made.
    pub(super) manifest: Descriptor,
    pub(super) manifest_bytes: Vec<u8>,
    pub(super) config: Descriptor,
    pub(super) config_bytes: Vec<u8>,
    pub(super) names: Vec<String>,
}

impl Image {
    /// The lines of the catalog for it: one for each name, or one without.
    pub(super) fn entries(&self) -> Vec<Descriptor> {
        if self.names.is_empty() {
            return vec![self.manifest.clone()];
        }
        let named = self.names.iter().map(|name| {
            let mut entry = self.manifest.clone();
            entry.annotations.insert(REF_NAME.to_owned(), name.clone());
            entry
        });
        named.collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The images of an archive, and what was odd about it.
pub(super) fn images(files: &mut dyn Files) -> Result<(Vec<Image>, Vec<String>)> {
    let limits = files.limits();
    let Some(text) = files.document(MANIFEST, limits.index)? else {
        return legacy::images(files);
    };
    let lines: Vec<Line> = parse(MANIFEST, &text, &limits)?;
    let mut images = Vec::new();
    let mut held = 0u64;
    for (position, line) in lines.into_iter().enumerate() {
        let image = image(files, line)
            .map_err(|error| error.context(format!("reading image @{position} of {MANIFEST}")))?;
        // A list may name one config ten thousand times.
        held = held.saturating_add(image.config.size.saturating_add(image.manifest.size));
        if held > limits.archive_documents {
            return Err(too_many(limits.archive_documents));
        }
        images.push(image);
    }
    let findings = disagreements(files, &images)?;
    Ok((images, findings))
}

fn image(files: &mut dyn Files, line: Line) -> Result<Image> {
    let doing = || format!("reading config {:?}", line.config);
    let limits = files.limits();
    let Some(config_bytes) = files.document(&line.config, limits.config)? else {
        return Err(missing(doing(), &line.config));
    };
    let config = Descriptor::of(media_type::DOCKER_CONFIG, Algorithm::Sha256, &config_bytes);
    // The name of the file is the id of the image, and people take it for
    // that (hostile case DA08).
    let base = line.config.rsplit('/').next().unwrap_or(&line.config);
    let id = base.strip_suffix(".json").unwrap_or(base);
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    if let Ok(named) = format!("sha256:{id}").parse::<Digest>()
        && named != config.digest
    {
        return Err(Error::new(Code::Digest, doing()).found(&config.digest).expected(named));
    }
    let view = Document::<Config>::parse_within(&config_bytes[..], &limits)?;
    let (diff_ids, names) = (&view.rootfs.diff_ids, line.layers.unwrap_or_default());
    if diff_ids.len() != names.len() {
        return Err(Error::new(Code::Malformed, doing())
            .found(format!("{} diff_ids", diff_ids.len()))
            .expected(format!("{}, one for each layer of {MANIFEST}", names.len())));
    }
    let mut layers = Vec::new();
    for (name, diff_id) in names.iter().zip(diff_ids) {
        let layer = files.layer(name, diff_id)?;
        layers.push(layer.ok_or_else(|| missing(format!("reading layer {name:?}"), name))?);
    }
    let names =
        line.repo_tags.unwrap_or_default().into_iter().map(checked).collect::<Result<_>>()?;
    made(config, config_bytes, layers, names)
}

/// The image of such a config and such layers, with the manifest that is made
/// for it.
pub(super) fn made(
    config: Descriptor,
    config_bytes: Vec<u8>,
    layers: Vec<Descriptor>,
    names: Vec<String>,
) -> Result<Image> {
    let manifest = Document::new(docker::Manifest::new(config.clone(), layers))?;
    Ok(Image {
        manifest: manifest.descriptor(media_type::DOCKER_MANIFEST, Algorithm::Sha256),
        manifest_bytes: manifest.bytes().to_vec(),
        config,
        config_bytes,
        names,
    })
}

/// Names are shown to people and become names elsewhere: what can not be one
/// is refused here (hostile case DA09). The grammar of the place they go to
/// is checked there.
pub(super) fn checked(name: String) -> Result<String> {
    let good = !name.is_empty()
        && name.len() <= NAME
        && !name.chars().any(|letter| letter.is_control() || letter.is_whitespace())
        && !name.split('/').any(|part| part == ".." || part == ".");
    if good {
        return Ok(name);
    }
    let shown: String = name.chars().take(100).collect();
    Err(Error::new(Code::Malformed, "reading RepoTags")
        .found(format!("{shown:?}"))
        .expected("names of images, such as example.com/app:v1"))
}

/// What the older list of names says otherwise (hostile case DA10).
fn disagreements(files: &dyn Files, images: &[Image]) -> Result<Vec<String>> {
    let limits = files.limits();
    let Some(text) = files.document(REPOSITORIES, limits.index)? else { return Ok(Vec::new()) };
    let listed: BTreeMap<String, BTreeMap<String, serde_json::Value>> =
        parse(REPOSITORIES, &text, &limits)?;
    let known: BTreeSet<&str> =
        images.iter().flat_map(|image| &image.names).map(String::as_str).collect();
    let other: Vec<String> = listed
        .iter()
        .flat_map(|(name, tags)| tags.keys().map(move |tag| format!("{name}:{tag}")))
        .filter(|name| !known.contains(name.as_str()))
        .take(10)
        .collect();
    if other.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "{REPOSITORIES} lists {other:?}, which {MANIFEST} does not: {MANIFEST} counts"
    )])
}

/// The descriptor of a layer file: `start` are its first bytes. Plain layers
/// are called by their diff_id; of others `digest` is asked.
pub(super) fn layer(
    start: &[u8],
    size: u64,
    diff_id: &Digest,
    digest: impl FnOnce() -> Result<Digest>,
) -> Result<Descriptor> {
    let kind = layer_type(start);
    let digest = if kind == media_type::DOCKER_LAYER { diff_id.clone() } else { digest()? };
    Ok(Descriptor::new(kind, digest, size))
}

/// What a layer file is by its first bytes. Engines write them uncompressed,
/// builders without an engine often do not.
pub(super) fn layer_type(start: &[u8]) -> MediaType {
    match Format::detect(start) {
        Ok(Format::Gzip) => media_type::DOCKER_LAYER_GZIP,
        Ok(Format::Zstd) => media_type::DOCKER_LAYER_ZSTD,
        _ => media_type::DOCKER_LAYER,
    }
}

pub(super) fn parse<T: for<'a> Deserialize<'a>>(
    name: &str,
    text: &[u8],
    limits: &Limits,
) -> Result<T> {
    json::check_within(name, text, limits.json_depth)?;
    serde_json::from_slice(text).map_err(|cause| {
        Error::new(Code::Malformed, format!("reading {name} of a docker archive"))
            .found(&cause)
            .cause(cause)
    })
}

pub(super) fn missing(doing: String, name: &str) -> Error {
    let shown: String = name.chars().take(200).collect();
    Error::new(Code::NotFound, doing)
        .found(format!("no entry {shown:?} in the archive"))
        .expected("a file of the archive; nothing is looked for elsewhere")
}

pub(super) fn too_many(most: u64) -> Error {
    Error::new(Code::Limit, "reading the documents of an archive")
        .found(format!("more than {most} bytes"))
        .expected("fewer: they are held in memory")
        .fix("--limit archive-docs=SIZE   allows more")
}
