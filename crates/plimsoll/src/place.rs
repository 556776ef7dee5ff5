//! Places: where the images of a reference lie, to be read and written.

mod held;
mod names;
pub(crate) mod registry;
mod target;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use plimsoll_content::limits::Limits;
use plimsoll_content::{Code, Delete, Descriptor, Digest, Error, Kind, Result, Source, Tag};
use plimsoll_registry::client::{Called, Client, Trail};
use plimsoll_registry::conf::Conf;
use plimsoll_spec::graph::Node;
use plimsoll_store::{
    self as store, Catalog, Entry, Flush, Layout, Reading, Selector, Store, reachable,
};
use serde::Serialize;

use plimsoll_name::chain::Resolution;

use crate::image;
use crate::naming::Naming;
use crate::reference::{Reference, Which};
use crate::registries::Settings;

pub use held::Held;
pub use registry::Names;
pub use target::Target;

/// Where the local store lies, and so where every reference leads.
#[derive(Clone, Debug)]
pub struct Home {
    store: PathBuf,
    options: store::Options,
    scratch: PathBuf,
    streams: Option<Streams>,
    client: Option<Arc<Client>>,
    settings: Settings,
    /// What the settings say, once somebody wanted to know.
    conf: Arc<Mutex<Option<Arc<Conf>>>>,
    trail: Trail,
    /// Whether mirrors are asked.
    mirrors: bool,
    /// How what is asked for came to be, by where it is.
    meant: Arc<Mutex<BTreeMap<String, Called>>>,
    dependencies: Vec<PathBuf>,
    naming: Option<Arc<Naming>>,
    /// What names mean, by their canonical forms.
    resolved: Arc<Mutex<BTreeMap<String, Arc<Resolution>>>>,
}

/// What `-` stands for.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    /// Opens standard input.
    pub input: fn() -> io::Result<File>,
    /// Opens standard output.
    pub output: fn() -> io::Result<File>,
}

/// An image that was found.
#[derive(Debug)]
pub struct Opened {
    held: Held,
    place: String,
    name: Option<String>,
    /// The descriptor that the reference stands for.
    pub root: Descriptor,
}

/// An image of a place, for lists.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Its name; images need not have one.
    pub name: Option<String>,
    /// The digest that the name stands for.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// In a word: image, index, artifact or other.
    pub kind: String,
    /// What it runs on.
    pub platforms: Vec<String>,
    /// The length of all its blobs, in bytes; `None` if documents are missing.
    pub bytes: Option<u64>,
}

impl Home {
    /// The local store lies at `store`; it need not be there yet. Temporary
    /// files lie in `/tmp`, and there is no `-`.
    pub fn new(store: PathBuf) -> Self {
        Self {
            store,
            options: store::Options::default(),
            scratch: PathBuf::from("/tmp"),
            streams: None,
            client: None,
            settings: Settings::default(),
            conf: Arc::default(),
            trail: Trail::default(),
            mirrors: true,
            meant: Arc::default(),
            dependencies: Vec::new(),
            naming: None,
            resolved: Arc::default(),
        }
    }

    /// Gives `docker://` a meaning.
    pub fn with_registries(self, client: Arc<Client>) -> Self {
        Self { client: Some(client), ..self }
    }

    /// Reads there what the settings of this machine say of registries.
    pub fn with_settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// Keeps there what names of the local store stand for.
    pub fn with_trail(self, trail: Trail) -> Self {
        Self { trail, ..self }
    }

    /// Opens an image that is to be changed or taken away where it lies: a name
    /// is one of the local store, and no mirror is asked what a tag stands for.
    pub fn open_to_change(&self, reference: &Reference) -> Result<Opened> {
        Self { mirrors: false, ..self.clone() }.open(&reference.local())
    }

    /// Asks the owners of domains what names mean.
    pub fn with_naming(self, naming: Naming) -> Self {
        Self { naming: Some(Arc::new(naming)), ..self }
    }

    /// With what names are resolved.
    pub fn naming(&self) -> Result<&Naming> {
        self.naming
            .as_deref()
            .ok_or_else(|| Error::new(Code::Usage, "resolving a name").found("no rules for names"))
    }

    /// Who speaks to registries.
    pub fn registries(&self) -> Result<&Arc<Client>> {
        self.client.as_ref().ok_or_else(|| {
            Error::new(Code::Usage, "speaking to a registry")
                .found("docker://, which means nothing here")
                .expected("a place on this machine")
        })
    }

    /// What registries wanted people to know, since this was last asked.
    pub fn warnings(&self) -> Vec<String> {
        self.client.as_ref().map(|client| client.warnings()).unwrap_or_default()
    }

    /// Looks for what AppC images depend on in these folders too; that of the
    /// image is always one.
    pub fn with_dependencies(self, folders: Vec<PathBuf>) -> Self {
        Self { dependencies: folders, ..self }
    }

    /// How archives are read.
    pub(crate) fn reading(&self) -> Reading<'_> {
        Reading { folders: &self.dependencies, ..Reading::new(&self.scratch, self.limits()) }
    }

    /// The same with these budgets for documents.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// The same places, with that rule for what is written to them.
    pub fn flushed(mut self, flush: Flush) -> Self {
        self.options.flush = flush;
        self
    }

    /// Puts temporary files into that folder: what comes compressed or
    /// through a pipe and is not simply copied to a layout.
    pub fn with_scratch(self, scratch: PathBuf) -> Self {
        Self { scratch, ..self }
    }

    /// Gives `-` a meaning.
    pub fn with_streams(self, streams: Streams) -> Self {
        Self { streams: Some(streams), ..self }
    }

    /// The folder of the local store.
    pub fn store_path(&self) -> &Path {
        &self.store
    }

    /// How layouts are opened, the local store among them.
    pub(crate) fn options(&self) -> store::Options {
        self.options
    }

    /// The budgets for documents.
    pub fn limits(&self) -> Limits {
        self.options.limits
    }

    /// Whether what is written survives a power cut.
    pub fn flush(&self) -> Flush {
        self.options.flush
    }

    /// The folder of temporary files.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Standard input.
    pub fn input(&self) -> Result<File> {
        self.stream("input", |streams| streams.input)
    }

    /// Standard output.
    pub fn output(&self) -> Result<File> {
        self.stream("output", |streams| streams.output)
    }

    fn stream(
        &self,
        what: &str,
        which: impl Fn(&Streams) -> fn() -> io::Result<File>,
    ) -> Result<File> {
        let Some(streams) = &self.streams else {
            return Err(Error::new(Code::Usage, format!("opening standard {what}"))
                .found("-, which means nothing here")
                .expected("the path of an archive"));
        };
        which(streams)().map_err(|cause| Error::io("opening standard", what, cause))
    }

    /// Finds the image that the reference stands for.
    pub fn open(&self, reference: &Reference) -> Result<Opened> {
        let written = reference;
        let reference = &self.locate(written)?;
        let (held, which, place) = self.hold(reference)?;
        let Some(held) = held else { return Err(self.not_in_store(&which)) };
        let entry = held.find(&which).map_err(|error| match reference {
            Reference::Store { .. } | Reference::Name { .. } if error.kind() == Kind::NotFound => {
                match error.found_text() {
                    Some(found) => self.not_in_store(&which).found(found),
                    None => self.not_in_store(&which),
                }
            }
            _ if matches!(written, Reference::Name { .. }) => {
                error.tried(format!("store at {}", self.store.display()))
            }
            _ => error,
        })?;
        let name = match which {
            Which::Name(_) | Which::Only => entry.name().map(str::to_owned),
            _ => None,
        };
        Ok(Opened { held, place, name, root: entry.descriptor })
    }

    /// The local store, made if it is not there.
    pub fn store(&self) -> Result<Store> {
        Store::open_with(&self.store, self.options)
    }

    /// The images of a place; of the local store if none is named.
    pub fn list(&self, reference: Option<&Reference>) -> Result<(String, Vec<Listed>)> {
        let reference = reference.map(|reference| self.locate(reference)).transpose()?;
        let reference = reference.as_ref();
        if let Some(reference @ (Reference::Registry { .. } | Reference::Store { .. })) = reference
        {
            // All of a repository may be very much: only what was asked for.
            let opened = self.open(reference)?;
            let entry = Entry { position: 0, descriptor: opened.root.clone() };
            return Ok((opened.place.clone(), vec![listed(opened.source(), &entry)]));
        }
        let (held, place) = self.place(reference)?;
        let Some(held) = held else {
            return Ok((place, Vec::new()));
        };
        let catalog = held.catalog()?;
        let images = catalog.entries().iter().map(|entry| listed(held.source(), entry)).collect();
        Ok((place, images))
    }

    /// The place of a reference, whichever image it names, with how it is
    /// called; the local store if there is no reference.
    pub(crate) fn place(&self, reference: Option<&Reference>) -> Result<(Option<Held>, String)> {
        match reference {
            None | Some(Reference::Store { .. } | Reference::Name { .. }) => {
                let place = format!("store at {}", self.store.display());
                Ok((self.existing()?.map(Held::Layout), place))
            }
            Some(reference) => {
                let (held, _, place) = self.hold(reference)?;
                Ok((held, place))
            }
        }
    }

    /// The layout of the local store, if that is there already.
    fn existing(&self) -> Result<Option<Layout>> {
        if self.store.symlink_metadata().is_err() {
            return Ok(None);
        }
        Layout::open_with(&self.store, self.options).map(Some)
    }

    /// The error that the local store, where `reference` leads, is not there.
    pub(crate) fn no_store(&self, reference: &Reference) -> Error {
        match reference {
            Reference::Store { which } | Reference::Name { which, .. } => self.not_in_store(which),
            _ => self.not_in_store(&Which::Only),
        }
    }

    fn not_in_store(&self, which: &Which) -> Error {
        let error = Error::new(Code::NotFound, format!("finding {which} in the local store"))
            .found("no images")
            .tried(format!("store at {}", self.store.display()));
        match which {
            Which::Name(name) => {
                let short = name.strip_suffix(":latest").unwrap_or(name);
                // A name under somebody's domain, which may have a registry.
                if let Ok(remote @ Reference::Registry { .. }) = Reference::parse_remote(name) {
                    return error.fix(format!(
                        "plimsoll pull {remote}   brings it, if that registry has it"
                    ));
                }
                error.fix(format!(
                    "plimsoll pack DIR {short}   makes it; oci:PATH:REF names an image in a layout"
                ))
            }
            _ => error.fix("plimsoll ls   lists what is there"),
        }
    }
}

impl Opened {
    /// Where the content lies.
    pub fn source(&self) -> &dyn Source {
        self.held.source()
    }

    /// The place as what it is.
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// The layout that it lies in, for those who change it.
    ///
    /// Errors with [`Code::Usage`] if the place is only read.
    pub fn layout(&self) -> Result<&Layout> {
        self.held.layout(&self.place)
    }

    /// The name by which the image was found, or that it has.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The place, without the image.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Gives the image a further name in the same place, and returns it as it
    /// is written there.
    pub fn tag(&self, name: &str) -> Result<String> {
        if let Held::Registry(remote) = &self.held {
            return registry::name(remote, name, &self.root);
        }
        let layout = self.layout()?;
        let name = match Reference::parse(name) {
            // A whole reference, as most people write it.
            Ok(Reference::Layout { path, which }) => {
                if format!("oci:{}", path.display()) != self.place {
                    return Err(Error::new(
                        Code::Reference,
                        format!("naming {}", self.root.digest),
                    )
                    .found(format!("a name in oci:{}", path.display()))
                    .expected(format!("one in {}, where the image lies", self.place)));
                }
                which.to_write()?
            }
            _ => match (self.place.as_str(), Reference::parse(&format!("store:{name}"))) {
                ("store", Ok(Reference::Store { which: Which::Name(name) })) => name,
                _ => name.to_owned(),
            },
        };
        layout.tag(&name, &self.root)?;
        Ok(name)
    }

    /// Takes the name away by which the image was found.
    pub fn untag(&self) -> Result<()> {
        if let Held::Registry(remote) = &self.held {
            let gone = match &self.name {
                Some(name) => remote.untag(name)?,
                None => remote.delete(&self.root.digest)?,
            };
            return if gone {
                Ok(())
            } else {
                Err(Error::new(Code::NotFound, format!("removing {}", self.root.digest))
                    .found(format!("nothing any more in {remote}")))
            };
        }
        let layout = self.layout()?;
        let Some(name) = &self.name else {
            return Err(Error::new(Code::Reference, format!("removing {}", self.root.digest))
                .found("an image without a name")
                .expected("a name"));
        };
        layout.untag(name).map(|_| ())
    }

    /// Removes the blobs that no image of the place refers to any more, and
    /// gives their digests.
    pub fn collect(&self) -> Result<Vec<Digest>> {
        self.layout()?.collect()
    }
}

fn listed(source: &dyn Source, entry: &Entry) -> Listed {
    let root = &entry.descriptor;
    let node = image::node(source, root);
    let (kind, platforms) = match &node {
        Ok(Node::Index(index)) => {
            let platforms = index.manifests.iter().filter_map(|entry| entry.platform.as_ref());
            ("index", platforms.map(ToString::to_string).collect())
        }
        Ok(Node::Manifest(_) | Node::Schema1(_)) => match image::Image::open(source, root, None) {
            Ok(image) => ("image", vec![image.platform().to_string()]),
            Err(_) => ("artifact", Vec::new()),
        },
        Ok(_) => ("other", Vec::new()),
        Err(_) => ("unreadable", Vec::new()),
    };
    let blobs = node.and_then(|_| reachable(source, root)).ok();
    Listed {
        name: entry.name().map(str::to_owned),
        digest: root.digest.clone(),
        media_type: root.media_type.to_string(),
        kind: kind.to_owned(),
        platforms,
        bytes: blobs.map(|blobs| {
            let all = blobs.present.iter().chain(&blobs.missing);
            all.fold(0u64, |sum, blob| sum.saturating_add(blob.size))
        }),
    }
}

/// What is meant in a place.
pub(crate) fn find(catalog: &Catalog, source: &dyn Source, which: &Which) -> Result<Entry> {
    let selector = match which {
        // Several images, one of them called latest: that one.
        Which::Only => {
            let latest = catalog.find_name("latest");
            return catalog
                .find(source, &Selector::Only)
                .or_else(|error| latest.map_err(|_| error));
        }
        Which::Name(name) => {
            let found = catalog.find_name(name);
            return match found {
                Err(error) if error.kind() == Kind::NotFound => spellings(name)
                    .into_iter()
                    .find_map(|name| catalog.find_name(&name).ok())
                    .ok_or(error),
                found => found,
            };
        }
        Which::Digest(digest) => Selector::Digest(digest.clone()),
        Which::Prefix(prefix) => return catalog.find_prefix(source, prefix),
        Which::Position(position) => Selector::Position(*position),
    };
    catalog.find(source, &selector)
}

/// How other tools write the same name: without the tag that is implied,
/// with it, or with the registry that docker and podman imply.
fn spellings(name: &str) -> Vec<String> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let tagged = if last.contains(':') { name.to_owned() } else { format!("{name}:latest") };
    let mut spellings = Vec::new();
    if let Some(bare) = name.strip_suffix(":latest") {
        spellings.push(bare.to_owned());
    }
    spellings.push(tagged.clone());
    let first = name.split('/').next().unwrap_or(name);
    if !name.contains('/') {
        spellings.push(format!("docker.io/library/{tagged}"));
        spellings.push(format!("localhost/{tagged}"));
    } else if !first.contains(['.', ':']) && first != "localhost" {
        spellings.push(format!("docker.io/{tagged}"));
    }
    spellings
}

fn bug(path: &Path) -> Error {
    Error::new(Code::Bug, format!("looking at {}", path.display()))
        .found("a path that was not looked at")
}
