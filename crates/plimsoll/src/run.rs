//! An image becomes a process.

mod surroundings;

use std::path::PathBuf;

use plimsoll_content::{Code, Digest, Error, Platform, Result, Source, Watch};
use plimsoll_runtime::binfmt::{Emulator, emulator};
use plimsoll_runtime::exec::{self, Exit, NotStarted};
use plimsoll_runtime::external;
use plimsoll_runtime::network::{Connected, Port};
use plimsoll_store::{StagedDir, Store};

use crate::bundle::{self, Options};
use crate::image::Image;
use crate::rootfs::{self, Kind};

/// Who runs the process.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Runtime {
    /// The runtime that is part of this program.
    #[default]
    Embedded,
    /// Another one: `runc`, `crun`, `youki` or a path.
    External(PathBuf),
}

/// What only a run can be told, and no bundle.
#[derive(Clone, Debug, Default)]
pub struct More {
    /// Also an image for another platform than this machine's, with what this
    /// machine may have to start its programs.
    pub any_platform: bool,
    /// Puts a small process 1 before the program ([`exec::Options::init`]).
    pub init: bool,
    /// Where the network comes from.
    pub network: Connection,
    /// Ports of this machine that lead to the container; they need
    /// [`Connection::Auto`], and a helper that works.
    pub ports: Vec<Port>,
}

/// Where the network of a run comes from. The list is complete.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Connection {
    /// A namespace of its own, connected by a helper in these folders if one
    /// works here, otherwise with nothing in it but `lo`, and a warning.
    Auto(Vec<PathBuf>),
    /// A namespace of its own with nothing in it but `lo`.
    #[default]
    None,
    /// That of the caller.
    Host,
}

/// Runs the image and waits for the end of its process.
///
/// Nothing that the process writes stays. The container has its own host name,
/// if none is given: the first digits of the image's digest.
pub fn run(
    source: &dyn Source,
    image: &Image,
    store: &Store,
    runtime: &Runtime,
    options: &Options,
    more: &More,
    watch: &dyn Watch,
) -> Result<Exit, NotStarted> {
    startable(image, more.any_platform, watch)?;
    if more.init && *runtime != Runtime::Embedded {
        return Err(Error::new(Code::Usage, "running an image with --init")
            .found("another runtime, which has no such process")
            .fix("leave out --init or --runtime")
            .into());
    }
    let scratch = scratch(store, &image.descriptor.digest)?;
    let (connected, options) = surroundings::connect(image, options, more, &scratch, watch)?;
    let kind = Kind::current()?;
    let limits = options.apply.limits;
    let rootfs = rootfs::prepare(source, image, store, kind, &scratch.path(), limits, watch)?;
    let names = connected.as_ref().map(Connected::names);
    let spec = prepared(image, &rootfs, &options, names, &scratch, watch)?;
    // The layers of the cache are held until the end; the mount is the runtime's alone.
    let rootfs::Rootfs { root, handle, held: _held } = rootfs;
    drop(handle);
    let outcome = match runtime {
        Runtime::Embedded => {
            let options = exec::Options { make_cwd: false, init: more.init };
            exec::run(exec::Bundle { spec, root }, &options)
        }
        Runtime::External(program) => {
            bundle::write(scratch.fd(), "config.json", &spec.to_bytes()?)?;
            let id = scratch
                .path()
                .file_name()
                .map(|name| name.to_string_lossy().trim_matches('.').to_owned());
            let id = id.unwrap_or_else(|| "plimsoll".to_owned());
            external::run(program, &scratch.path(), root, &id, &scratch.path().join("state"))
        }
    };
    drop(connected);
    outcome
}

/// The runtime config of a prepared root filesystem, volumes seeded.
fn prepared(
    image: &Image,
    rootfs: &rootfs::Rootfs,
    options: &Options,
    names: Option<&str>,
    scratch: &StagedDir,
    watch: &dyn Watch,
) -> Result<plimsoll_runtime::spec::Spec> {
    let (_, mut conversion) = bundle::convert(image, &rootfs.handle, options, watch)?;
    let mut volumes = bundle::seed(&rootfs.handle, &conversion.volumes, scratch, watch)?;
    for volume in &mut volumes {
        // The embedded runtime knows no bundle folder that paths are relative to.
        volume.source = volume
            .source
            .take()
            .map(|source| scratch.path().join(source).to_string_lossy().into_owned());
    }
    volumes.extend(surroundings::files(&rootfs.handle, options, names, scratch)?);
    bundle::add_mounts(&mut conversion.spec, volumes, options);
    bundle::make_working_dir(&rootfs.handle, &conversion)?;
    Ok(conversion.spec)
}

/// Refuses an image whose programs this machine can not start, and tells an
/// image for the wrong platform from one that lacks nothing but an emulator.
fn startable(image: &Image, any_platform: bool, watch: &dyn Watch) -> Result<()> {
    let (host, offered) = (Platform::host(), image.platform());
    if plimsoll_spec::select::matches(&host, &offered) {
        return Ok(());
    }
    let error = || {
        Error::new(Code::Platform, format!("running image {}", image.descriptor.digest))
            .found(format!("an image for {offered}"))
    };
    if offered.os != host.os {
        return Err(error().expected(format!("{host}, which this machine is")));
    }
    match (emulator(&offered.architecture), any_platform) {
        (Emulator::Found { interpreter, everywhere: false }, true) => {
            watch.warn(&format!(
                "{interpreter} starts programs for {offered}, and has to be in the image (it was registered without the flag F)"
            ));
            Ok(())
        }
        (Emulator::Found { .. } | Emulator::Unknown, true) => Ok(()),
        (Emulator::Missing, true) if native(&host.architecture, &offered.architecture) => Ok(()),
        (Emulator::Missing, true) => Err(error()
            .expected(format!("{host}, which this machine is, or an emulator for {offered}: none is registered in binfmt_misc"))
            .fix("install one, such as qemu-user-static; as root")),
        (Emulator::Found { interpreter, .. }, false) => Err(error()
            .expected(format!("{host}, which this machine is"))
            .fix(format!("--platform {offered}   runs it all the same, with {interpreter}"))),
        (_, false) => Err(error()
            .expected(format!("{host}, which this machine is"))
            .fix(format!("--platform {offered}   tries all the same; it needs an emulator (binfmt_misc)"))),
    }
}

/// Whether processors start programs of an older architecture by themselves,
/// as many do; the kernel tells when they do not.
fn native(host: &str, offered: &str) -> bool {
    matches!((host, offered), ("amd64", "386" | "amd64") | ("arm64", "arm" | "arm64"))
        || host == offered
}

/// A private folder for this run, removed after it; what killed runs left is
/// removed here.
fn scratch(store: &Store, digest: &Digest) -> Result<StagedDir> {
    // Runtimes know no folder that paths could be relative to.
    let runs = std::path::absolute(store.path().join("run"))
        .map_err(|cause| Error::io("finding", store.path().display(), cause))?;
    bundle::private(&runs)?;
    StagedDir::beside(&runs.join(digest.short()))
}
