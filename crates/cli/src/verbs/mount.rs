//! `plimsoll mount` and `plimsoll umount`: an image as a folder, without
//! unpacking it, and back.

use std::path::PathBuf;

use plimsoll::content::Result;
use plimsoll::image::Image;
use plimsoll::mount;
use plimsoll::reference::Reference;
use serde::Serialize;

use crate::context::Context;
use crate::out::size;

/// Mount the root filesystem of an image, read-only.
///
/// The first time, the layers become one file in the local store, when every
/// digest is proved; the kernel mounts it as it is. It stays there until
/// `plimsoll umount DIR`. Needs root and Linux 6.12.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    /// The folder at which it is mounted; what it holds is hidden meanwhile
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    #[command(flatten)]
    platform: crate::args::PlatformArg,

    #[command(flatten)]
    trust: crate::verbs::trust::VerifyArgs,
}

/// Unmount an image that was mounted by `plimsoll mount`.
#[derive(clap::Args, Debug)]
pub(crate) struct UnmountArgs {
    /// The folder at which it is mounted
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Serialize)]
struct Report {
    directory: PathBuf,
    #[serde(flatten)]
    mounted: mount::Mounted,
}

#[derive(Serialize)]
struct UnmountReport {
    directory: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let wanted = args.platform.platform.as_ref();
    let (opened, root) =
        context.home.admit(&args.image, args.trust.gate(context)?.as_ref(), wanted)?;
    let image = Image::open(opened.source(), &root, wanted)?;
    let store = context.home.store()?;
    let limits = context.limits.layers;
    let directory = args.directory.clone();
    let mounted =
        mount::mount(opened.source(), &image, &store, &directory, limits, &context.watch)?;
    let report = Report { directory, mounted };
    context.out.report("mount", &report, &report.mounted.digest.to_string(), |_| {
        format!(
            "mounted   {}  {}  {}\nat        {}\n",
            report.mounted.digest,
            report.mounted.platform,
            size(report.mounted.bytes),
            report.directory.display()
        )
    })?;
    Ok(0)
}

pub(crate) fn unmount(args: &UnmountArgs, context: &Context) -> Result<u8> {
    mount::unmount(&args.directory)?;
    let report = UnmountReport { directory: args.directory.clone() };
    let shown = report.directory.display().to_string();
    context.out.report("umount", &report, &shown, |_| format!("unmounted {shown}\n"))?;
    Ok(0)
}
