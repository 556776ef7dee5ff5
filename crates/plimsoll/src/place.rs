//! Places: where the images of a reference lie, to be read and written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use plimsoll_content::{
    Code, Descriptor, Digest, Error, Kind, Result, Sink, Source, Tag, Watch, limits,
};
use plimsoll_spec::graph::Node;
use plimsoll_store::{self as store, Entry, Flush, Layout, Selector, Store, check_ref_name};
use serde::Serialize;

use crate::image;
use crate::reference::{Reference, Which};
use crate::transfer;

/// Where the local store lies, and so where every reference leads.
#[derive(Clone, Debug)]
pub struct Home {
    store: PathBuf,
    options: store::Options,
}

/// An image that was found.
#[derive(Debug)]
pub struct Opened {
    layout: Layout,
    place: String,
    name: Option<String>,
    /// The descriptor that the reference stands for.
    pub root: Descriptor,
}

/// A place with images.
#[derive(Debug)]
pub(crate) enum Place {
    /// The local store, before its first use.
    None,
    /// A layout.
    Layout(Layout),
    /// The local store.
    Store(Store),
}

impl Place {
    /// Where the images lie.
    pub(crate) fn layout(&self) -> Option<&Layout> {
        match self {
            Self::None => None,
            Self::Layout(layout) => Some(layout),
            Self::Store(store) => Some(store.layout()),
        }
    }
}

/// A place that a new image is written to.
///
/// A layout that is not there yet is made beside its destination, and appears
/// there when the first image in it is complete.
#[derive(Debug)]
pub struct Target {
    target: store::Target,
    name: String,
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
    /// The local store lies at `store`; it need not be there yet.
    pub fn new(store: PathBuf) -> Self {
        Self { store, options: store::Options::default() }
    }

    /// The same places, with that rule for what is written to them.
    #[must_use]
    pub fn flushed(mut self, flush: Flush) -> Self {
        self.options.flush = flush;
        self
    }

    /// Whether what is written survives a power cut.
    pub fn flush(&self) -> Flush {
        self.options.flush
    }

    /// The folder of the local store.
    pub fn store_path(&self) -> &Path {
        &self.store
    }

    /// Finds the image that the reference stands for.
    pub fn open(&self, reference: &Reference) -> Result<Opened> {
        let (layout, which, place) = match reference.clone().look(true)? {
            Reference::Layout { path, which } => {
                let place = format!("oci:{}", path.display());
                (Layout::open_with(&path, self.options)?, which, place)
            }
            Reference::Store { which } => match self.existing()? {
                Some(layout) => (layout, which, "store".to_owned()),
                None => return Err(self.not_in_store(&which)),
            },
            Reference::Path(path) => return Err(bug(&path)),
        };
        let entry = find(&layout, &which).map_err(|error| match reference {
            Reference::Store { .. } if error.kind() == Kind::NotFound => match error.found_text() {
                Some(found) => self.not_in_store(&which).found(found),
                None => self.not_in_store(&which),
            },
            _ => error,
        })?;
        let name = match which {
            Which::Name(_) | Which::Only => entry.name().map(str::to_owned),
            _ => None,
        };
        Ok(Opened { layout, place, name, root: entry.descriptor })
    }

    /// Prepares the place that the reference names for a new image.
    pub fn target(&self, reference: &Reference) -> Result<Target> {
        let (path, which) = match reference.clone().look(false)? {
            Reference::Layout { path, which } => (path, which),
            Reference::Store { which } => {
                self.store()?;
                (self.store.clone(), which)
            }
            Reference::Path(path) => return Err(bug(&path)),
        };
        let name = which.to_write()?;
        check_ref_name(&name)?;
        Ok(Target { target: store::Target::open_with(&path, self.options)?, name })
    }

    /// Prepares the place of a changed image: that of the image as it was and
    /// its name, unless `new` says another one. A bare name is one in the
    /// same place, everything else a whole reference.
    pub fn beside(&self, opened: &Opened, new: Option<&str>) -> Result<Target> {
        let doing = || format!("naming the changed {}", opened.root.digest);
        let name = match new {
            None => opened.name.clone().ok_or_else(|| {
                Error::new(Code::Reference, doing())
                    .found("an image that was not named by a name")
                    .expected("a name for the changed image")
                    .fix("give a new reference after the old one")
            })?,
            Some(text) => {
                let reference = Reference::parse(text)?;
                let bare = matches!(reference, Reference::Store { .. })
                    && !text.starts_with("store:")
                    && opened.place != "store";
                if !bare {
                    return self.target(&reference);
                }
                text.to_owned()
            }
        };
        check_ref_name(&name)?;
        Ok(Target { target: store::Target::open_with(opened.layout.path(), self.options)?, name })
    }

    /// The local store, made if it is not there.
    pub fn store(&self) -> Result<Store> {
        Store::open_with(&self.store, self.options)
    }

    /// The images of a place; of the local store if none is named.
    pub fn list(&self, reference: Option<&Reference>) -> Result<(String, Vec<Listed>)> {
        let (place, opened) = self.place(reference)?;
        let Some(layout) = opened.layout() else {
            return Ok((place, Vec::new()));
        };
        let images = layout.entries()?.iter().map(|entry| listed(layout, entry)).collect();
        Ok((place, images))
    }

    /// The place of a reference, whichever image it names, with how it is
    /// called; the local store if there is no reference.
    pub(crate) fn place(&self, reference: Option<&Reference>) -> Result<(String, Place)> {
        match reference.cloned().map(|reference| reference.look(true)).transpose()? {
            None | Some(Reference::Store { .. }) => {
                let name = format!("store at {}", self.store.display());
                if self.store.symlink_metadata().is_err() {
                    return Ok((name, Place::None));
                }
                Ok((name, Place::Store(self.store()?)))
            }
            Some(Reference::Layout { path, .. }) => Ok((
                format!("oci:{}", path.display()),
                Place::Layout(Layout::open_with(&path, self.options)?),
            )),
            Some(Reference::Path(path)) => Err(bug(&path)),
        }
    }

    /// The folder of the place of a reference, whatever state it is in.
    pub(crate) fn folder(&self, reference: Option<&Reference>) -> Result<PathBuf> {
        match reference.cloned().map(|reference| reference.look(true)).transpose()? {
            None | Some(Reference::Store { .. }) => Ok(self.store.clone()),
            Some(Reference::Layout { path, .. }) => Ok(path),
            Some(Reference::Path(path)) => Err(bug(&path)),
        }
    }

    /// The layout of the local store, if that is there already.
    fn existing(&self) -> Result<Option<Layout>> {
        if self.store.symlink_metadata().is_err() {
            return Ok(None);
        }
        Layout::open_with(&self.store, self.options).map(Some)
    }

    fn not_in_store(&self, which: &Which) -> Error {
        let error = Error::new(Code::NotFound, format!("finding {which} in the local store"))
            .found("no images")
            .tried(format!("store at {}", self.store.display()));
        match which {
            Which::Name(name) => {
                let short = name.strip_suffix(":latest").unwrap_or(name);
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
        &self.layout
    }

    /// The place, without the image.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The name by which it was found, if it was.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The layout that it lies in.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Gives the image a further name in the same place, and returns it as it
    /// is written there.
    pub fn tag(&self, name: &str) -> Result<String> {
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
        self.layout.tag(&name, &self.root)?;
        Ok(name)
    }

    /// Takes the name away by which the image was found.
    pub fn untag(&self) -> Result<()> {
        let Some(name) = &self.name else {
            return Err(Error::new(Code::Reference, format!("removing {}", self.root.digest))
                .found("an image without a name")
                .expected("a name"));
        };
        self.layout.untag(name).map(|_| ())
    }

    /// Removes the blobs that no image of the place refers to any more, and
    /// gives their digests.
    pub fn collect(&self) -> Result<Vec<Digest>> {
        self.layout.collect()
    }
}

impl Target {
    /// Where the blobs go.
    pub fn sink(&self) -> &dyn Sink {
        self.target.layout()
    }

    /// A folder on the file system of the place, for temporary files without
    /// a name.
    pub fn scratch(&self) -> PathBuf {
        self.target.folder()
    }

    /// The name that the image will have.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives the image its name if that still stands for `old`; `false` if
    /// somebody else was faster.
    pub fn publish_over(self, image: &Descriptor, old: &Digest) -> Result<bool> {
        if !self.target.layout().tag_over(&self.name, old, image)? {
            return Ok(false);
        }
        self.target.publish().map(|_| true)
    }

    /// Gives the image its name, and makes the place visible if it is new.
    pub fn publish(self, image: &Descriptor) -> Result<()> {
        self.target.layout().tag(&self.name, image)?;
        self.target.publish().map(|_| ())
    }
}

/// Every blob reachable from `root`, documents included, each once.
pub fn reachable(source: &dyn Source, root: &Descriptor) -> Result<Vec<Descriptor>> {
    let mut found: Vec<Descriptor> = Vec::new();
    let mut seen: BTreeSet<Digest> = BTreeSet::new();
    let mut todo = vec![(root.clone(), 0)];
    while let Some((descriptor, depth)) = todo.pop() {
        if depth > limits::INDEX_DEPTH + 1 || found.len() > limits::INDEX_VISITS {
            return Err(Error::new(Code::Limit, format!("walking {}", root.digest))
                .found("more nested or listed documents than are ever sensible"));
        }
        if !seen.insert(descriptor.digest.clone()) {
            continue;
        }
        if Node::is_document(&descriptor.media_type) {
            match image::node(source, &descriptor) {
                Ok(node) => {
                    todo.extend(
                        node.successors().into_iter().map(|(_, blob)| (blob.clone(), depth + 1)),
                    );
                }
                Err(error) if depth > 0 && error.code() == Code::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        found.push(descriptor);
    }
    Ok(found)
}

/// Copies everything that `root` leads to. What is absent by right, or lies
/// below something absent, stays so.
pub(crate) fn copy(
    source: &dyn Source,
    sink: &dyn Sink,
    root: &Descriptor,
    watch: &dyn Watch,
) -> Result<()> {
    for blob in reachable(source, root)?.into_iter().rev() {
        match transfer::blob(source, sink, &blob, watch) {
            Err(error) if error.code() == Code::NotFound && blob.digest != root.digest => {
                watch.warn(&format!("{} is not there, and was not copied", blob.digest));
            }
            other => other?,
        }
    }
    Ok(())
}

fn listed(layout: &Layout, entry: &Entry) -> Listed {
    let source: &dyn Source = layout;
    let root = &entry.descriptor;
    let node = image::node(source, root);
    let (kind, platforms) = match &node {
        Ok(Node::Index(index)) => {
            let platforms = index.manifests.iter().filter_map(|entry| entry.platform.as_ref());
            ("index", platforms.map(ToString::to_string).collect())
        }
        Ok(Node::Manifest(_)) => match image::Image::open(source, root, None) {
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
        bytes: blobs
            .map(|blobs| blobs.iter().fold(0u64, |sum, blob| sum.saturating_add(blob.size))),
    }
}

/// What is meant in a layout.
fn find(layout: &Layout, which: &Which) -> Result<Entry> {
    let selector = match which {
        // Several images, one of them called latest: that one.
        Which::Only => {
            let latest = layout.find(&Selector::Name("latest".to_owned()));
            return layout.find(&Selector::Only).or_else(|error| latest.map_err(|_| error));
        }
        Which::Name(name) => {
            let found = layout.find(&Selector::Name(name.clone()));
            // `store:app` means `app:latest`, but other tools write bare names.
            return match (found, name.strip_suffix(":latest")) {
                (Err(error), Some(bare)) if error.kind() == Kind::NotFound => {
                    layout.find(&Selector::Name(bare.to_owned())).map_err(|_| error)
                }
                (found, _) => found,
            };
        }
        Which::Digest(digest) => Selector::Digest(digest.clone()),
        Which::Prefix(prefix) => return layout.find_prefix(prefix),
        Which::Position(position) => Selector::Position(*position),
    };
    layout.find(&selector)
}

fn bug(path: &Path) -> Error {
    Error::new(Code::Bug, format!("looking at {}", path.display()))
        .found("a path that was not looked at")
}
