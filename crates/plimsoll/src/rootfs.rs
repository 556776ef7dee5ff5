//! Root filesystems for `run`: layers unpacked once into a cache, stacked by
//! the kernel, or, where it can not, a plain unpack for the one run.
//!
//! What a process writes goes to a private folder that is removed after it;
//! neither the store nor the cache is ever below anything writable.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use plimsoll_content::{Code, Error, Result, Source, Watch};
use plimsoll_layer::apply::{self, Applier};
use plimsoll_layer::{Limits, Root};
use plimsoll_runtime::exec;
use plimsoll_runtime::overlay::{self, Overlay};
use plimsoll_runtime::rootless::Mapping;
use plimsoll_spec::chain_ids;
use plimsoll_store::{Held, Store};
use rustix::fs::{XattrFlags, getxattr, listxattr, setxattr};
use rustix::io::Errno;

use crate::image::Image;
use crate::transfer::Within;
use crate::unpack;

/// A root filesystem for one run.
#[derive(Debug)]
pub struct Rootfs {
    /// What the runtime mounts.
    pub root: exec::Root,
    /// The same for looking into it: users, volumes, the working folder.
    pub handle: Root,
    /// The layers in the cache, which stay there as long as this lives.
    pub held: Vec<Held>,
}

/// For whom layers are cached: their files have other owners and other marks.
/// The list is complete.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The host's root.
    Root,
    /// The users of a user namespace with ranges of ids.
    Users,
    /// The one user of a user namespace: all files are his, and the owners that
    /// the image names are recorded beside them.
    Single,
}

impl Kind {
    /// The kind for this process's user namespace.
    pub fn current() -> Result<Self> {
        let mapping = Mapping::current()?;
        Ok(match (mapping.is_initial(), mapping.is_single()) {
            (true, _) => Self::Root,
            (false, true) => Self::Single,
            (false, false) => Self::Users,
        })
    }

    /// The word for it in the cache.
    fn word(self) -> &'static str {
        match self {
            Self::Root => "layers",
            Self::Users => "layers-user",
            Self::Single => "layers-single",
        }
    }

    /// The options with which layers are applied for running: devices are left
    /// out, for the runtime makes its own.
    fn options(self, limits: Limits) -> apply::Options {
        apply::Options {
            ids: if self == Self::Single { apply::Ids::Own } else { apply::Ids::Keep },
            devices: apply::Devices::Omit,
            limits,
            ..apply::Options::default()
        }
    }
}

/// Prepares the root filesystem of `image` in the private folder `scratch`.
/// Layers are cached in `store` as `kind`, which says for whom they are.
pub fn prepare(
    source: &dyn Source,
    image: &Image,
    store: &Store,
    kind: Kind,
    scratch: &Path,
    limits: Limits,
    watch: &dyn Watch,
) -> Result<Rootfs> {
    let error = match stacked(source, image, store, kind, scratch, limits, watch) {
        Err(error) => error,
        stacked => return stacked,
    };
    match overlay::supported(scratch) {
        Ok(()) => Err(error),
        Err(why) => {
            watch.warn(&format!("no overlay here, so the image is unpacked for this run: {why}"));
            plain(source, image, scratch, limits, watch)
        }
    }
}

/// The layers of the cache, and a folder for what is written over them.
fn stacked(
    source: &dyn Source,
    image: &Image,
    store: &Store,
    kind: Kind,
    scratch: &Path,
    limits: Limits,
    watch: &dyn Watch,
) -> Result<Rootfs> {
    // Until all layers are held, nobody may take them for unneeded.
    let writing = store.layout().writing()?;
    let (lowers, held) = layers(source, image, store, kind, limits, watch)?;
    drop(writing);
    let (upper, work) = (folder(scratch, "upper")?, folder(scratch, "work")?);
    like(&upper, lowers.first().map(PathBuf::as_path))?;
    let merged = mount(&lowers, &upper, &work)?;
    let tree = merged.try_clone().map_err(|cause| Error::io("opening", "the overlay", cause))?;
    Ok(Rootfs { root: exec::Root::Mounted { tree, over: upper }, handle: Root::new(merged), held })
}

/// Unpacks the image for one run, to the folder `rootfs` in `scratch`.
fn plain(
    source: &dyn Source,
    image: &Image,
    scratch: &Path,
    limits: Limits,
    watch: &dyn Watch,
) -> Result<Rootfs> {
    let path = folder(scratch, "rootfs")?;
    let handle = Root::open(&path)?;
    unpack::into(source, image, handle.as_fd(), &Kind::current()?.options(limits), watch)?;
    Ok(Rootfs { root: exec::Root::Folder(path), handle, held: Vec::new() })
}

/// The folder of each layer, the uppermost first, as overlays want them:
/// whiteouts and opaque marks are those of the kernel, and folders that a layer
/// omits have what lies below them. Those that are not cached in `store` yet
/// are made, and kept there as `kind`.
///
/// The kernel does the translation: a layer is applied, as ever, to an overlay
/// over the layers below it. Whoever calls must be allowed to mount one, as
/// root is and as users are in a user namespace of theirs, which is tried before
/// anything is unpacked; the marks are `trusted.` or `user.` attributes accordingly.
/// Of more layers than the kernel stacks ([`overlay::LOWERS`]) the lowest are one
/// folder, in steps of [`GROUP`], so that images that grow share it.
pub fn layers(
    source: &dyn Source,
    image: &Image,
    store: &Store,
    kind: Kind,
    limits: Limits,
    watch: &dyn Watch,
) -> Result<(Vec<PathBuf>, Vec<Held>)> {
    let image = image.complete(source, &limits, watch)?;
    let layers = image.layers()?;
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id.clone()).collect();
    let mut lowers: Vec<PathBuf> = Vec::new();
    let mut held: Vec<Held> = Vec::new();
    let chains = chain_ids(&diff_ids);
    let joined = format!("{}-joined", kind.word());
    let within = Within { watch, failed: &AtomicBool::new(false) };
    let mut begun = false;
    for range in groups(layers.len()) {
        let word = if range.len() == 1 { kind.word() } else { &joined };
        // The key is the whole chain: what a layer omits it takes from below.
        let chain = &chains[range.end - 1];
        if let Some(cached) = store.hold(word, chain)? {
            lowers.insert(0, cached.path().join("diff"));
            held.push(cached);
            continue;
        }
        let staged = match store.stage(word, chain) {
            Err(error) if error.code() == Code::Exists => {
                // Another process was as quick.
                let cached = store.hold(word, chain)?.ok_or(error)?;
                lowers.insert(0, cached.path().join("diff"));
                held.push(cached);
                continue;
            }
            staged => staged?,
        };
        if !begun {
            overlay::supported(&staged.path())?;
            watch.begin("reading layers", Some(unpack::total(&layers[range.start..])));
            begun = true;
        }
        let upper = folder(&staged.path(), "diff")?;
        let work = folder(&staged.path(), "work")?;
        let merged = match lowers.first() {
            None => File::open(&upper)
                .map(OwnedFd::from)
                .map_err(|cause| Error::io("opening", upper.display(), cause))?,
            Some(below) => {
                like(&upper, Some(below))?;
                mount(&lowers, &upper, &work)?
            }
        };
        // The kernel turns deletions into whiteouts and copies parents up: the
        // same applier serves a folder and a layer of an overlay.
        let mut applier = if lowers.is_empty() {
            Applier::new(merged.as_fd(), kind.options(limits))?
        } else {
            Applier::over(merged.as_fd(), kind.options(limits))?
        };
        let (these, number, of) = (&layers[range.clone()], range.start + 1, layers.len());
        unpack::layers_into(source, these, number, of, &mut applier, &within, |_, _| {})?;
        applier.finish()?;
        drop(merged);
        let _ = fs::remove_dir_all(&work);
        lowers.insert(0, Store::keep(staged)?.join("diff"));
        held.extend(store.hold(word, chain)?);
    }
    if begun {
        watch.end("");
    }
    if lowers.is_empty() {
        lowers.push(folder(store.path(), "empty").or_else(|error| match error.code() {
            Code::Exists => Ok(store.path().join("empty")),
            _ => Err(error),
        })?);
    }
    Ok((lowers, held))
}

/// How many of the lowest layers become one folder where there are too many to
/// stack, and how many more each time there are too many again.
pub const GROUP: usize = 400;

/// The layers that are one folder each, the lowest first.
fn groups(layers: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let joined = if layers > overlay::LOWERS { (layers - 1) / GROUP * GROUP } else { 0 };
    let first = (joined > 0).then_some(0..joined);
    first.into_iter().chain((joined..layers).map(|one| one..one + 1))
}

/// What the folders of [`layers`] come to, read-only, attached nowhere.
pub fn merged(lowers: &[PathBuf]) -> Result<OwnedFd> {
    // An overlay is made of two folders or more.
    match lowers {
        [only] => open(only).map(OwnedFd::from),
        _ => overlaid(lowers, None),
    }
}

/// Mounts an overlay that is attached nowhere: it is there as long as its handle.
/// Whoever wants what is written in it to last flushes the file system: without
/// this one's asking for it, or each mount would wait for the disk at its end.
fn mount(lowers: &[PathBuf], upper: &Path, work: &Path) -> Result<OwnedFd> {
    overlaid(lowers, Some((open(upper)?, open(work)?)))
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|cause| Error::io("opening", path.display(), cause))
}

fn overlaid(lowers: &[PathBuf], upper: Option<(File, File)>) -> Result<OwnedFd> {
    let below = lowers.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
    overlay::mount(&Overlay {
        lowers: below.iter().map(AsFd::as_fd).collect(),
        upper: upper.as_ref().map(|(upper, work)| (upper.as_fd(), work.as_fd())),
        user_attributes: !Mapping::current()?.is_initial(),
        volatile: upper.is_some(),
    })
}

fn folder(parent: &Path, name: &str) -> Result<PathBuf> {
    let path = parent.join(name);
    let failed = |cause| Error::io("creating folder", path.display(), cause);
    fs::create_dir(&path).map_err(failed)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    Ok(path)
}

/// Gives a new upper folder the owner, mode, extended attributes and time of
/// the root below it: the root of an overlay is that of its upper folder.
fn like(upper: &Path, below: Option<&Path>) -> Result<()> {
    let Some(below) = below else { return Ok(()) };
    let failed = |cause| Error::io("preparing", upper.display(), cause);
    let metadata = fs::metadata(below).map_err(failed)?;
    std::os::unix::fs::chown(upper, Some(metadata.uid()), Some(metadata.gid())).map_err(failed)?;
    attributes(below, upper).map_err(|errno| failed(errno.into()))?;
    fs::set_permissions(upper, metadata.permissions()).map_err(failed)?;
    let times = fs::FileTimes::new().set_modified(metadata.modified().map_err(failed)?);
    File::open(upper).and_then(|folder| folder.set_times(times)).map_err(failed)
}

/// Copies the extended attributes of a folder, but for those of overlays.
fn attributes(from: &Path, to: &Path) -> Result<(), Errno> {
    let names = match grown(|buffer| listxattr(from, buffer)) {
        Err(Errno::NOTSUP) => return Ok(()),
        names => names?,
    };
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let private = [&b"trusted.overlay."[..], b"user.overlay.", b"security.selinux"];
        if private.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let name = OsStr::from_bytes(name);
        let value = grown(|buffer| getxattr(from, name, buffer))?;
        setxattr(to, name, &value, XattrFlags::empty())?;
    }
    Ok(())
}

/// What fits into as large a buffer as attributes can need.
fn grown(read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 64 << 10];
    let length = read(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}
