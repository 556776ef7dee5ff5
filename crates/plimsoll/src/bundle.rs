//! An image becomes a runtime bundle: `rootfs`, `config.json`, and a folder
//! for each volume.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use plimsoll_content::{Algorithm, Code, Error, Result, Source, Watch};
use plimsoll_layer::apply::{self, Applier};
use plimsoll_layer::codec::{Compression, Format};
use plimsoll_layer::{Root, pack};
use plimsoll_runtime::convert::{self, Conversion, Overrides};
use plimsoll_runtime::spec::{Mount, Spec};
use plimsoll_runtime::user::{self, User};
use plimsoll_store::StagedDir;
use rustix::fs::{Mode, OFlags, mkdirat, openat};
use serde::Serialize;

use crate::image::Image;
use crate::notes;
use crate::repack;
use crate::unpack::{self, Durability, Unpacked};

/// How a bundle is made.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Who runs the program, instead of the image's user.
    pub user: Option<String>,
    /// What else the caller wants otherwise.
    pub overrides: Overrides,
    /// How layers are applied.
    pub apply: apply::Options,
    /// What the bundle outlives.
    pub durability: Durability,
    /// Where the image lies ([`Home::lasting`](crate::place::Home::lasting)):
    /// with it, what is needed to repack the bundle is written into it.
    pub place: Option<String>,
}

/// A bundle that was made.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundled {
    /// What was unpacked into `rootfs`.
    #[serde(flatten)]
    pub unpacked: Unpacked,
    /// The command of the process.
    pub args: Vec<String>,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Makes a bundle at `destination`, which must not exist or be an empty
/// folder. A failure leaves nothing there.
pub fn bundle(
    source: &dyn Source,
    image: &Image,
    destination: &Path,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Bundled> {
    let staged = unpack::stage(destination)?;
    let made = into(source, image, &staged, options, watch)
        .map_err(|error| error.context(format!("making bundle {}", destination.display())))?;
    unpack::publish(staged, options.durability)?;
    Ok(made)
}

fn into(
    source: &dyn Source,
    image: &Image,
    staged: &StagedDir,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Bundled> {
    let root = folder(staged.fd(), convert::ROOTFS)?;
    let unpacked = unpack::into(source, image, root.as_fd(), &options.apply, watch)?;
    let (user, mut conversion) =
        convert(image, &root, options, watch).map_err(|error| match error.code() {
            Code::UserNamespace => error
                .fix("plimsoll run REF   uses all ids that you have; or make the bundle as root"),
            _ => error,
        })?;
    let volumes = seed(&root, &conversion.volumes, staged, watch)?;
    add_mounts(&mut conversion.spec, volumes, options);
    make_working_dir(&root, &conversion)?;
    write(staged.fd(), "config.json", &conversion.spec.to_bytes()?)?;
    if let Some(place) = &options.place {
        let state = repack::record(root.as_fd(), image, place, &options.apply.ids, watch)?;
        write(staged.fd(), repack::STATE, &state.to_bytes())?;
    }
    let args = conversion.spec.process.map(|process| process.args).unwrap_or_default();
    Ok(Bundled { unpacked, args, uid: user.uid, gid: user.gid })
}

/// Looks the user up in the root filesystem, and makes the runtime config.
pub fn convert(
    image: &Image,
    root: &Root,
    options: &Options,
    watch: &dyn Watch,
) -> Result<(User, Conversion)> {
    let of_image = image.config.config.as_ref().and_then(|execution| execution.user.as_deref());
    let wanted = options.user.as_deref().or(of_image).unwrap_or_default();
    let user = user::resolve(root, wanted)?;
    let conversion = convert::to_runtime(&image.config, &user, &options.overrides)?;
    for finding in &conversion.findings {
        watch.warn(finding);
    }
    Ok((user, conversion))
}

/// Makes a folder for each volume in `place`, with what the image has at that
/// path, and gives the mounts that show them.
pub fn seed(
    root: &Root,
    volumes: &[String],
    place: &StagedDir,
    watch: &dyn Watch,
) -> Result<Vec<Mount>> {
    if volumes.is_empty() {
        return Ok(Vec::new());
    }
    let all = folder(place.fd(), "volumes")?;
    let mut mounts = Vec::new();
    for (number, volume) in volumes.iter().enumerate() {
        let name = number.to_string();
        let to = folder(all.as_fd(), &name)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        if let Ok(from) = root.open_at(volume.as_bytes(), flags, Mode::empty()) {
            copy(from.as_fd(), to.as_fd(), &place.path(), watch)
                .map_err(|error| error.context(format!("seeding volume {volume:?}")))?;
        }
        mounts.push(convert::volume(volume, &format!("volumes/{name}")));
    }
    Ok(mounts)
}

/// Puts the mounts of volumes among those of the caller: a folder before what
/// is mounted below it, and of one place the caller's last.
pub fn add_mounts(spec: &mut Spec, volumes: Vec<Mount>, options: &Options) {
    let of_caller = spec.mounts.len().saturating_sub(options.overrides.mounts.len());
    spec.mounts.splice(of_caller..of_caller, volumes);
    spec.mounts[of_caller..].sort_by_key(|mount| mount.destination.matches('/').count());
}

/// Copies a file tree: as a layer, since that is how trees travel here.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, scratch: &Path, watch: &dyn Watch) -> Result<()> {
    let path = scratch.join("seed.tar");
    let failed = |cause| Error::io("writing", path.display(), cause);
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    fs::remove_file(&path).map_err(failed)?;
    let options = pack::Options {
        compression: Compression::None,
        // Nothing but this function ever sees the digest.
        algorithm: Algorithm::Blake3,
        root: true,
        ..pack::Options::default()
    };
    let (packed, mut file) = pack::tree(from, file, &options)?;
    file.rewind().map_err(failed)?;
    // Owners are as they are on the disk, where an ordinary user has only one.
    let mut applier = Applier::new(to, unpack::options())?;
    let summary = applier.apply(file, Format::Tar, &packed.diff_id)?;
    applier.finish()?;
    notes::all("volume: ", &packed.findings, watch);
    notes::all("volume: ", &summary.findings, watch);
    Ok(())
}

/// Makes the working folder if the image lacks it: owner 0:0, mode 0755, as
/// the runtimes do, but below a handle.
pub fn make_working_dir(root: &Root, conversion: &Conversion) -> Result<()> {
    let Some(process) = &conversion.spec.process else { return Ok(()) };
    root.make_folders(process.cwd.as_bytes())
        .map_err(|error| error.context(format!("making the working folder {:?}", process.cwd)))
}

/// A new file that everybody can read, in a folder that is not published yet.
pub(crate) fn write(parent: BorrowedFd<'_>, name: &str, bytes: &[u8]) -> Result<()> {
    let mode = Mode::from_raw_mode(0o644);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let make = || {
        let mut file = File::from(openat(parent, name, flags, mode)?);
        file.write_all(bytes)?;
        Ok(rustix::fs::fchmod(&file, mode)?)
    };
    make().map_err(|cause| Error::io("writing", name, cause))
}

/// A new private folder in another one, with its handle.
fn folder(parent: BorrowedFd<'_>, name: &str) -> Result<Root> {
    let failed = |errno: rustix::io::Errno| Error::io("creating folder", name, errno.into());
    mkdirat(parent, name, Mode::from_raw_mode(0o755)).map_err(failed)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = openat(parent, name, flags, Mode::empty()).map_err(failed)?;
    // The umask must not decide who can enter the root filesystem.
    rustix::fs::fchmod(&handle, Mode::from_raw_mode(0o755)).map_err(failed)?;
    Ok(Root::new(handle))
}

/// A new folder that nobody else can enter, with all folders around it.
pub(crate) fn private(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|cause| Error::io("creating folder", path.display(), cause))
}
