//! Root filesystems for `run`: layers unpacked once into a cache, stacked by
//! the kernel, or, where it can not, a plain unpack for the one run.
//!
//! What a process writes goes to a private folder that is removed after it;
//! neither the store nor the cache is ever below anything writable.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Error, Result, Source, Watch};
use plimsoll_layer::apply::{self, Applier};
use plimsoll_layer::{Limits, Root};
use plimsoll_runtime::exec;
use plimsoll_runtime::overlay::{self, Overlay};
use plimsoll_runtime::rootless::Mapping;
use plimsoll_spec::chain_ids;
use plimsoll_store::{Held, Store};

use crate::image::Image;
use crate::unpack;

/// A root filesystem for one run.
#[derive(Debug)]
pub struct Rootfs {
    /// What the embedded runtime mounts.
    pub root: exec::Root,
    /// The same for looking into it: users, volumes, the working folder.
    pub handle: Root,
    /// The layers in the cache, which stay there as long as this lives.
    pub held: Vec<Held>,
}

/// The options with which layers are applied for running: owners as the
/// image has them; devices are left out, for the runtime makes its own.
fn options() -> apply::Options {
    apply::Options {
        ids: apply::Ids::Keep,
        devices: apply::Devices::Omit,
        limits: Limits::default(),
    }
}

/// Prepares the root filesystem of `image` in the private folder `scratch`.
/// Layers are cached in `store` as `kind`, which says for whom they are: the
/// host's root and the users of user namespaces have different ones.
pub fn prepare(
    source: &dyn Source,
    image: &Image,
    store: &Store,
    kind: &str,
    scratch: &Path,
    watch: &dyn Watch,
) -> Result<Rootfs> {
    match overlay::supported(scratch) {
        Ok(()) => {
            // Until all layers are held, nobody may take them for unneeded.
            let writing = store.layout().writing()?;
            let (lowers, held) = layers(source, image, store, kind, watch)?;
            drop(writing);
            let (upper, work) = (folder(scratch, "upper")?, folder(scratch, "work")?);
            like(&upper, lowers.first().map(PathBuf::as_path))?;
            let merged = mount(&lowers, &upper, &work)?;
            Ok(Rootfs {
                root: exec::Root::Overlay { lowers, upper, work },
                handle: Root::new(merged),
                held,
            })
        }
        Err(why) => {
            watch.warn(&format!("no overlay here, so the image is unpacked for this run: {why}"));
            Ok(plain(source, image, scratch, watch)?)
        }
    }
}

/// Unpacks the image for one run, to the folder `rootfs` in `scratch`.
pub fn plain(
    source: &dyn Source,
    image: &Image,
    scratch: &Path,
    watch: &dyn Watch,
) -> Result<Rootfs> {
    let path = folder(scratch, "rootfs")?;
    let handle = Root::open(&path)?;
    unpack::into(source, image, handle.as_fd(), &options(), watch)?;
    Ok(Rootfs { root: exec::Root::Folder(path), handle, held: Vec::new() })
}

/// The folder of each layer, the uppermost first, as overlays want them;
/// those that are not cached yet are made.
fn layers(
    source: &dyn Source,
    image: &Image,
    store: &Store,
    kind: &str,
    watch: &dyn Watch,
) -> Result<(Vec<PathBuf>, Vec<Held>)> {
    let layers = image.layers()?;
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id.clone()).collect();
    let mut lowers: Vec<PathBuf> = Vec::new();
    let mut held: Vec<Held> = Vec::new();
    // The key is the whole chain: what a layer omits it takes from below.
    for (position, (layer, chain)) in layers.iter().zip(chain_ids(&diff_ids)).enumerate() {
        if let Some(cached) = store.hold(kind, &chain)? {
            lowers.insert(0, cached.path().join("diff"));
            held.push(cached);
            continue;
        }
        let staged = match store.stage(kind, &chain) {
            Err(error) if error.code() == Code::Exists => {
                // Another process was as quick.
                let cached = store.hold(kind, &chain)?.ok_or(error)?;
                lowers.insert(0, cached.path().join("diff"));
                held.push(cached);
                continue;
            }
            staged => staged?,
        };
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
        let mut applier = Applier::new(merged.as_fd(), options())?;
        unpack::layer_into(source, layer, position + 1, layers.len(), &mut applier, watch)?;
        applier.finish()?;
        drop(merged);
        let _ = fs::remove_dir_all(&work);
        lowers.insert(0, Store::keep(staged)?.join("diff"));
        held.extend(store.hold(kind, &chain)?);
    }
    if lowers.is_empty() {
        lowers.push(folder(store.path(), "empty").or_else(|error| match error.code() {
            Code::Exists => Ok(store.path().join("empty")),
            _ => Err(error),
        })?);
    }
    Ok((lowers, held))
}

/// Mounts an overlay that is attached nowhere: it is there as long as its handle.
fn mount(lowers: &[PathBuf], upper: &Path, work: &Path) -> Result<OwnedFd> {
    let open =
        |path: &Path| File::open(path).map_err(|cause| Error::io("opening", path.display(), cause));
    let below = lowers.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
    let (upper, work) = (open(upper)?, open(work)?);
    overlay::mount(&Overlay {
        lowers: below.iter().map(AsFd::as_fd).collect(),
        upper: Some((upper.as_fd(), work.as_fd())),
        user_attributes: !Mapping::current()?.is_initial(),
        volatile: false,
    })
}

fn folder(parent: &Path, name: &str) -> Result<PathBuf> {
    let path = parent.join(name);
    let failed = |cause| Error::io("creating folder", path.display(), cause);
    fs::create_dir(&path).map_err(failed)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    Ok(path)
}

/// Gives a new upper folder the owner, mode and time of the root below it:
/// the root of an overlay is that of its upper folder.
fn like(upper: &Path, below: Option<&Path>) -> Result<()> {
    let Some(below) = below else { return Ok(()) };
    let failed = |cause| Error::io("preparing", upper.display(), cause);
    let metadata = fs::metadata(below).map_err(failed)?;
    std::os::unix::fs::chown(upper, Some(metadata.uid()), Some(metadata.gid())).map_err(failed)?;
    fs::set_permissions(upper, metadata.permissions()).map_err(failed)?;
    let times = fs::FileTimes::new().set_modified(metadata.modified().map_err(failed)?);
    File::open(upper).and_then(|folder| folder.set_times(times)).map_err(failed)
}
