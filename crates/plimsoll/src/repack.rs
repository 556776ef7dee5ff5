//! What changed in a bundle becomes one more layer on top of the image that
//! the bundle was made of.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll_content::{
    Annotations, Code, Descriptor, Digest, Error, Kind, Part, Result, Source, Watch,
};
use plimsoll_layer::apply::{self, Ids};
use plimsoll_layer::codec::Compression;
use plimsoll_layer::diff::{self, Changed, Diff, Since, State};
use plimsoll_layer::{IdMap, IdRange, Limits, Root, pack as layer_pack};
use plimsoll_runtime::convert;
use plimsoll_spec::History;
use plimsoll_store::{StagedDir, write_file_atomic};
use serde::{Deserialize, Serialize};

use crate::draft::Draft;
use crate::edit::Edit;
use crate::image::Image;
use crate::notes;
use crate::pack::{self, PackedLayer};
use crate::place::{Held, Home, Target};
use crate::reference::Reference;
use crate::transfer;
use crate::unpack;

/// The file of a bundle in which its recorded state lies.
pub const STATE: &str = "plimsoll.state";

/// The longest state that is read: that of a tree of some ten million files.
const LONGEST: u64 = 1 << 30;

/// What [`State::about`] says in the states that are written here.
const SCHEMA: &str = "plimsoll.bundle-state/v1";

/// How a bundle is repacked.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How the layer is compressed.
    pub compression: Compression,
    /// `SOURCE_DATE_EPOCH`: the time of the image, and the latest time of a
    /// file in the new layer.
    pub epoch: Option<i64>,
    /// Trust nothing: compare the content of all files with the image.
    pub paranoid: bool,
    /// What the history says of how the layer was made.
    pub created_by: Option<String>,
    /// What the history says of why.
    pub comment: Option<String>,
    /// Who made the image and the layer.
    pub author: Option<String>,
    /// More annotations of the manifest.
    pub annotations: Annotations,
    /// How many threads may compress.
    pub threads: usize,
    /// The budgets of reading layers.
    pub limits: Limits,
}

/// An image that was made of a bundle.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repacked {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The descriptor of the manifest.
    pub descriptor: Descriptor,
    /// What it runs on.
    pub platform: String,
    /// The digest of the manifest that the bundle came from.
    pub base: Digest,
    /// How many layers come from there.
    pub base_layers: usize,
    /// The layer that was made; `None` if nothing changed, and the image is
    /// the one that the bundle came from.
    pub layer: Option<PackedLayer>,
    /// How many files are new.
    pub added: u64,
    /// How many became others.
    pub changed: u64,
    /// How many are gone; what was in a folder that is gone does not count.
    pub removed: u64,
    /// Of how many files the content had to be compared.
    pub compared: u64,
    /// What was left out or noticed.
    pub warnings: Vec<String>,
}

/// A root filesystem with its recorded state.
#[derive(Debug)]
pub struct Bundle {
    shown: String,
    tree: Root,
    state: State,
    /// Where the state lies: the folder and the name in it.
    folder: PathBuf,
    name: String,
    origin: Origin,
}

/// Where a bundle came from.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Origin {
    schema: String,
    place: String,
    manifest: Descriptor,
    owners: Owners,
}

/// Whose the files are.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Owners {
    /// Those of the image.
    Kept,
    /// The user's who unpacked.
    Own,
    /// Those of the image as these maps say, in ranges as [`IdRange`] has them.
    Mapped { uids: Vec<String>, gids: Vec<String> },
}

impl Owners {
    fn of(ids: &Ids) -> Self {
        let text = |ranges: &[IdRange]| ranges.iter().map(ToString::to_string).collect();
        match ids {
            Ids::Own => Self::Own,
            Ids::Mapped { map, .. } => {
                Self::Mapped { uids: text(map.uids()), gids: text(map.gids()) }
            }
            _ => Self::Kept,
        }
    }

    fn ids(&self) -> Result<Ids> {
        let ranges = |text: &[String]| -> Result<Vec<IdRange>> {
            text.iter().map(|range| range.parse()).collect()
        };
        Ok(match self {
            Self::Kept => Ids::Keep,
            Self::Own => Ids::Own,
            Self::Mapped { uids, gids } => {
                let map = IdMap::new(ranges(uids)?, ranges(gids)?)?;
                Ids::Mapped { map, strict: false }
            }
        })
    }
}

/// Records the state of a root filesystem that was just unpacked.
pub fn record(
    tree: BorrowedFd<'_>,
    image: &Image,
    place: &str,
    ids: &Ids,
    watch: &dyn Watch,
) -> Result<State> {
    let origin = Origin::new(place, &image.descriptor, Owners::of(ids));
    let (state, findings) = State::record(tree, &origin.to_bytes()?)?;
    notes::all("recording: ", &findings, watch);
    Ok(state)
}

/// Writes a state to a file.
pub fn save(state: &State, file: &Path) -> Result<()> {
    let (folder, name) = split(file)?;
    let handle = Root::open(&folder)?;
    write_file_atomic(handle.as_fd(), &name, &state.to_bytes(), 0o644)
}

impl Bundle {
    /// Opens a bundle: a folder with `rootfs` and the state beside it.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = format!("bundle {}", path.display());
        let tree = path.join(convert::ROOTFS);
        if !tree.is_dir() {
            return Err(Error::new(Code::NotFound, format!("opening {shown}"))
                .found("no folder named rootfs in it")
                .expected("a bundle, as plimsoll bundle makes them"));
        }
        Self::of(shown, &tree, &path.join(STATE))
    }

    /// Opens a root filesystem whose state was recorded in that file.
    pub fn with_state(tree: &Path, state: &Path) -> Result<Self> {
        Self::of(format!("root filesystem {}", tree.display()), tree, state)
    }

    fn of(shown: String, tree: &Path, state: &Path) -> Result<Self> {
        let (folder, name) = split(state)?;
        let bytes = Root::open(&folder)?.read_file(name.as_bytes(), LONGEST)?.ok_or_else(|| {
            let found = if folder.join("umoci.json").exists() {
                "a bundle of umoci, which records other things".to_owned()
            } else {
                format!("no recorded state at {}", state.display())
            };
            Error::new(Code::NotFound, format!("opening {shown}"))
                .found(found)
                .expected("what unpacking recorded, to tell what changed")
                .fix("plimsoll bundle REF DIR   makes a bundle with one; plimsoll unpack --state FILE REF DIR   records it elsewhere")
        })?;
        let doing = |error: Error| error.context(format!("opening {shown}"));
        let state = State::parse(&bytes).map_err(doing)?;
        let origin = Origin::parse(state.about()).map_err(doing)?;
        Ok(Self { tree: Root::open(tree)?, shown, state, folder, name, origin })
    }

    /// The image that the bundle came from, and where it lies: there, where it
    /// lay then, or where `elsewhere` says.
    pub fn base(&self, home: &Home, elsewhere: Option<&Reference>) -> Result<(Held, Image)> {
        let place = match elsewhere {
            Some(reference) => home.lasting(reference)?,
            None => self.origin.place.clone(),
        };
        let found = home.hold_lasting(&place).and_then(|held| {
            let image = Image::open(held.source(), &self.origin.manifest, None)?;
            image.written(|| format!("repacking {}", self.shown))?;
            Ok((held, image))
        });
        found.map_err(|error| match error.kind() {
            Kind::NotFound => Error::new(
                Code::NotFound,
                format!("finding the image that {} came from", self.shown),
            )
            .found(format!("no image {} there any more", self.origin.manifest.digest))
            .tried(&place)
            .fix("--base REF   says where it lies now")
            .cause(error),
            _ => error.context(format!("reading the image that {} came from", self.shown)),
        })
    }

    /// Makes an image: the one that the bundle came from, and what changed
    /// since on top of it. Its blobs go to `target`; nothing is tagged.
    ///
    /// Also gives the bundle as it is after that, for [`Bundle::refresh`].
    pub fn repack(
        self,
        base: (&dyn Source, &Image),
        target: &Target,
        options: &Options,
        watch: &dyn Watch,
    ) -> Result<(Repacked, Self)> {
        let (source, image) = base;
        let layer_options = layer_pack::Options {
            compression: options.compression,
            epoch: options.epoch,
            threads: options.threads,
            limits: options.limits,
            ..layer_pack::Options::default()
        };
        let out = pack::blob(target.sink(), watch)?;
        let (found, state, out) =
            self.compare(base, out, &layer_options, options.paranoid, watch)?;
        let (added, changed, removed) = (
            found.count(Changed::Added),
            found.count(Changed::Changed),
            found.count(Changed::Removed),
        );
        let warnings = notes::all("", &found.packed.findings, watch);
        let (descriptor, layer) = if found.is_empty() {
            drop(out);
            (same(source, image, target, watch)?, None)
        } else {
            let blob = pack::commit(out, options.compression)?;
            let layer = PackedLayer::new(&blob, &found.packed, options.compression);
            (on_top(base, &blob, &layer, target, options, watch)?, Some(layer))
        };
        watch.end(&format!("{added} added, {changed} changed, {removed} removed"));
        let repacked = Repacked {
            digest: descriptor.digest.clone(),
            descriptor,
            platform: image.platform().to_string(),
            base: image.descriptor.digest.clone(),
            base_layers: image.manifest.layers.len(),
            layer,
            added,
            changed,
            removed,
            compared: found.compared,
            warnings,
        };
        Ok((repacked, Self { state, ..self }))
    }

    /// Writes the layer of what changed since the bundle was unpacked from
    /// `base`, and gives the state that it has now.
    ///
    /// Of `options`, owners do not count: the bundle knows whose its files are.
    pub(crate) fn compare<W: Write>(
        &self,
        (source, image): (&dyn Source, &Image),
        out: W,
        options: &layer_pack::Options<'_>,
        paranoid: bool,
        watch: &dyn Watch,
    ) -> Result<(Diff, State, W)> {
        let ids = self.origin.owners.ids()?;
        let limits = options.limits;
        watch.begin(&format!("comparing {}", self.shown), None);
        // Removed when this is done, whatever comes of it.
        let mut unpacked = None;
        let tree_of_base = || -> Result<OwnedFd> {
            let staged = StagedDir::beside(&self.folder.join(format!("{}.base", self.name)))?;
            let options = apply::Options { ids: ids.clone(), limits, ..apply::Options::default() };
            unpack::into(source, image, staged.fd(), &options, &Silent(watch))
                .map_err(|error| error.context("unpacking the image to compare files with"))?;
            let handle = staged.fd().try_clone_to_owned();
            unpacked = Some(staged);
            handle.map_err(|cause| Error::io("opening", "the unpacked image", cause))
        };
        let options = layer_pack::Options {
            own: self.own(&ids)?,
            map: if let Ids::Mapped { map, .. } = &ids { Some(map) } else { None },
            ..*options
        };
        let how = Since { paranoid };
        diff::since(&self.state, self.tree.as_fd(), tree_of_base, out, &options, how)
            .map_err(|error| error.context(format!("comparing {}", self.shown)))
    }

    /// Writes down that the bundle now is what `image`, which lies at `place`,
    /// unpacks to: the next layer holds what changes from here on.
    pub fn refresh(self, image: &Descriptor, place: &str) -> Result<()> {
        let origin = Origin::new(place, image, self.origin.owners.clone());
        save(&self.state.with_about(&origin.to_bytes()?), &self.folder.join(&self.name))
    }

    /// Whose files become those of user 0.
    fn own(&self, ids: &Ids) -> Result<Option<(u32, u32)>> {
        if *ids != Ids::Own {
            return Ok(None);
        }
        // Who unpacked, even if it is somebody else who repacks.
        let stat = rustix::fs::fstat(self.tree.as_fd())
            .map_err(|errno| Error::io("reading", &self.shown, errno.into()))?;
        Ok(Some((stat.st_uid, stat.st_gid)))
    }
}

/// Writes the image with the new layer.
fn on_top(
    base: (&dyn Source, &Image),
    layer: &Descriptor,
    packed: &PackedLayer,
    target: &Target,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Descriptor> {
    let (source, image) = base;
    let created = options.epoch.map(pack::time).transpose()?;
    let edit = Edit { author: options.author.clone(), created: created.clone(), ..Edit::default() };
    let step = History {
        created,
        created_by: Some(
            options.created_by.clone().unwrap_or_else(|| "plimsoll repack".to_owned()),
        ),
        author: options.author.clone(),
        comment: options.comment.clone(),
        ..History::default()
    };
    transfer::layers(source, target.sink(), &image.manifest.layers, watch)
        .map_err(|error| error.context("copying the layers of the image"))?;
    let mut draft = Draft::of(image)?.into_oci()?;
    draft.edit(&edit)?;
    draft.push(layer, &packed.diff_id, &step)?;
    draft.annotate(&edit, &options.annotations)?;
    draft.write(target.sink())
}

/// Brings an image to another place as it is.
fn same(
    source: &dyn Source,
    image: &Image,
    target: &Target,
    watch: &dyn Watch,
) -> Result<Descriptor> {
    for blob in image.manifest.layers.iter().chain([&image.manifest.config]) {
        transfer::blob(source, target.sink(), blob, watch)?;
    }
    target.sink().write(&image.descriptor, image.manifest.bytes())?;
    Ok(Descriptor { annotations: Annotations::new(), ..image.descriptor.clone() })
}

fn split(file: &Path) -> Result<(PathBuf, String)> {
    let name = file.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Error::new(Code::Usage, "finding a recorded state")
            .found(file.display())
            .expected("the path of a file")
    })?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok((folder.unwrap_or(Path::new(".")).to_owned(), name.to_owned()))
}

impl Origin {
    fn new(place: &str, manifest: &Descriptor, owners: Owners) -> Self {
        // A name that it had is none of its own.
        let manifest = Descriptor { annotations: Annotations::new(), ..manifest.clone() };
        Self { schema: SCHEMA.to_owned(), place: place.to_owned(), manifest, owners }
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        plimsoll_content::json::canonical(self)
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let bad = |found: String| {
            Error::new(Code::Malformed, "reading where a bundle came from")
                .found(found)
                .expected(format!("an object of schema {SCHEMA}"))
                .fix("unpack the image again")
        };
        let origin: Self = serde_json::from_slice(bytes).map_err(|cause| bad(cause.to_string()))?;
        if origin.schema != SCHEMA {
            return Err(bad(format!("schema {:?}", origin.schema)));
        }
        Ok(origin)
    }
}

/// Passes on everything but warnings: they were given when the image was
/// unpacked first.
struct Silent<'a>(&'a dyn Watch);

impl Watch for Silent<'_> {
    fn begin(&self, what: &str, total: Option<u64>) {
        self.0.begin(what, total);
    }
    fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }
    fn end(&self, what: &str) {
        self.0.end(what);
    }
    fn enter(&self, part: &Arc<Part>) {
        self.0.enter(part);
    }
    fn leave(&self, part: &Part, what: &str) {
        self.0.leave(part, what);
    }
    fn warn(&self, _: &str) {}
    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}
