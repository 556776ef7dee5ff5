//! An image becomes a folder that is mounted, read-only: as one file in the
//! cache, made once, that the kernel mounts in no time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use plimsoll_content::{Algorithm, Code, Digest, Error, Result, Source, Watch};
use plimsoll_layer::codec::Compression;
use plimsoll_layer::erofs;
use plimsoll_runtime::image_mount;
use plimsoll_spec::chain_ids;
use plimsoll_store::{Held, Store};
use serde::Serialize;

use crate::export::{self, export};
use crate::image::Image;

/// The kind of the cache's folders that hold images of file systems.
const KIND: &str = "erofs-1";

/// The name of the file in such a folder.
const FILE: &str = "image.erofs";

/// What was mounted.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mounted {
    /// The digest of the manifest.
    pub digest: Digest,
    /// What the image runs on.
    pub platform: String,
    /// The file with the file system.
    pub file: PathBuf,
    /// Its length, in bytes.
    pub bytes: u64,
    /// Whether it was in the cache already: then no layer was looked at.
    pub cached: bool,
}

/// Mounts the root filesystem of the image at `directory`, read-only. It stays
/// there until it is unmounted, whatever becomes of the cache.
///
/// Every layer has its digest and its diff_id before the file comes into the
/// cache of `store`; from then on it is used as it lies, as unpacked layers are.
pub fn mount(
    source: &dyn Source,
    image: &Image,
    store: &Store,
    directory: &Path,
    limits: plimsoll_layer::Limits,
    watch: &dyn Watch,
) -> Result<Mounted> {
    image_mount::possible()?;
    let image = &image.complete(source, &limits, watch)?;
    let (held, cached) = file_system(source, image, store, limits, watch)?;
    let file = held.path().join(FILE);
    let bytes =
        fs::metadata(&file).map_err(|cause| Error::io("reading", file.display(), cause))?.len();
    image_mount::mount(&file, directory)?;
    Ok(Mounted {
        digest: image.descriptor.digest.clone(),
        platform: image.platform().to_string(),
        file,
        bytes,
        cached,
    })
}

/// Unmounts what [`mount`] has mounted.
pub fn unmount(directory: &Path) -> Result<()> {
    image_mount::unmount(directory)
}

/// The folder of the cache with the file system of an image, made if it is
/// missing, and whether it was there.
fn file_system(
    source: &dyn Source,
    image: &Image,
    store: &Store,
    limits: plimsoll_layer::Limits,
    watch: &dyn Watch,
) -> Result<(Held, bool)> {
    let key = match chain_ids(&image.config.rootfs.diff_ids).pop() {
        Some(chain) => chain,
        // All images without layers have the same tree.
        None => Digest::of(Algorithm::Sha256, b""),
    };
    if let Some(held) = store.hold(KIND, &key)? {
        return Ok((held, true));
    }
    // Until it is held, nobody may take it for unneeded.
    let _writing = store.layout().writing()?;
    let staged = match store.stage(KIND, &key) {
        Err(error) if error.code() == Code::Exists => {
            // Another process was as quick.
            return store.hold(KIND, &key)?.map(|held| (held, true)).ok_or(error);
        }
        staged => staged?,
    };
    let folder = staged.path();
    let path = folder.join("root.tar");
    let failed = |cause| Error::io("writing", path.display(), cause);
    let tar =
        File::options().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
    // It is wanted only as long as this goes on.
    fs::remove_file(&path).map_err(failed)?;
    let options = export::Options {
        compression: Compression::None,
        epoch: None,
        scratch: folder.clone(),
        limits,
    };
    let (_, tar) = export(source, image, tar, &options, watch)?;
    let path = folder.join(FILE);
    let out =
        File::create_new(&path).map_err(|cause| Error::io("writing", path.display(), cause))?;
    let mut identity = [0; 16];
    for (byte, pair) in identity.iter_mut().zip(key.encoded().as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(pair).unwrap_or_default();
        *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
    }
    let (written, out) = erofs::write(tar, out, identity, limits)?;
    out.sync_all().map_err(|cause| Error::io("writing", path.display(), cause))?;
    for attribute in &written.left_out {
        watch.warn(&format!("an attribute has no place in the mounted image: {attribute}"));
    }
    Store::keep(staged)?;
    let held = store.hold(KIND, &key)?;
    held.map(|held| (held, false)).ok_or_else(|| {
        Error::new(Code::NotFound, "using the cache of file systems")
            .found("a file system that was removed as soon as it was made")
            .fix("try again")
    })
}
