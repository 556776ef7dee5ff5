//! An image becomes a process.

use std::path::PathBuf;

use plimsoll_content::{Code, Digest, Error, Platform, Result, Source, Watch};
use plimsoll_runtime::convert::Users;
use plimsoll_runtime::exec::{self, Exit, NotStarted};
use plimsoll_runtime::external;
use plimsoll_store::{StagedDir, Store, write_file_atomic};

use crate::bundle::{self, Options};
use crate::image::Image;
use crate::rootfs;

/// Who runs the process.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Runtime {
    /// The runtime that is part of this program.
    #[default]
    Embedded,
    /// Another one: `runc`, `crun`, `youki` or a path.
    External(PathBuf),
}

/// Runs the image and waits for the end of its process.
///
/// Nothing that the process writes stays. Without `any_platform`, an image
/// for another platform than this machine's is refused.
pub fn run(
    source: &dyn Source,
    image: &Image,
    store: &Store,
    runtime: &Runtime,
    options: &Options,
    any_platform: bool,
    watch: &dyn Watch,
) -> Result<Exit, NotStarted> {
    let (host, offered) = (Platform::host(), image.platform());
    if !any_platform && !plimsoll_spec::select::matches(&host, &offered) {
        return Err(Error::new(
            Code::Platform,
            format!("running image {}", image.descriptor.digest),
        )
        .found(format!("an image for {offered}"))
        .expected(format!("{host}, which this machine is"))
        .fix(format!("--platform {offered}   tries all the same; it needs an emulator"))
        .into());
    }
    let scratch = scratch(store, &image.descriptor.digest)?;
    match runtime {
        Runtime::Embedded => {
            let kind = match options.overrides.users {
                Users::Host => "layers",
                Users::New(_) | Users::Entered(_) => "layers-user",
            };
            let rootfs = rootfs::prepare(
                source,
                image,
                store,
                kind,
                &scratch.path(),
                options.apply.limits,
                watch,
            )?;
            let spec = prepared(image, &rootfs, options, &scratch, watch)?;
            drop(rootfs.handle);
            exec::run(&exec::Bundle { spec, root: rootfs.root }, &exec::Options { make_cwd: false })
        }
        Runtime::External(program) => {
            let rootfs =
                rootfs::plain(source, image, &scratch.path(), options.apply.limits, watch)?;
            let spec = prepared(image, &rootfs, options, &scratch, watch)?;
            write_file_atomic(scratch.fd(), "config.json", &spec.to_bytes()?, 0o600)?;
            let id = scratch
                .path()
                .file_name()
                .map(|name| name.to_string_lossy().trim_matches('.').to_owned());
            let id = id.unwrap_or_else(|| "plimsoll".to_owned());
            external::run(program, &scratch.path(), &id, &scratch.path().join("state"))
        }
    }
}

/// The runtime config of a prepared root filesystem, volumes seeded.
fn prepared(
    image: &Image,
    rootfs: &rootfs::Rootfs,
    options: &Options,
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
    conversion.spec.mounts.extend(volumes);
    bundle::make_working_dir(&rootfs.handle, &conversion)?;
    Ok(conversion.spec)
}

/// A private folder for this run, removed after it; what killed runs left is
/// removed here.
fn scratch(store: &Store, digest: &Digest) -> Result<StagedDir> {
    let runs = store.path().join("run");
    bundle::private(&runs)?;
    StagedDir::beside(&runs.join(digest.short()))
}
