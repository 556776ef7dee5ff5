//! What a run is given beside its root filesystem: a network, and the files
//! in `/etc` that speak of it.

use std::fs;
use std::path::Path;

use plimsoll_content::{Code, Error, Result, Watch};
use plimsoll_layer::Root;
use plimsoll_runtime::convert::Network;
use plimsoll_runtime::network::{self, Connected, Helper};
use plimsoll_runtime::spec::Mount;
use plimsoll_store::StagedDir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat, unlinkat};
use rustix::io::Errno;

use super::{Connection, More};
use crate::bundle::{self, Options};
use crate::image::Image;

/// How many digits of the image's digest are the name of the host.
const DIGITS: usize = 12;

/// No such file of this machine is longer, in bytes.
const FILE: u64 = 1 << 20;

/// Connects the run, and gives the options with what follows from it.
pub(super) fn connect(
    image: &Image,
    options: &Options,
    more: &More,
    scratch: &StagedDir,
    watch: &dyn Watch,
) -> Result<(Option<Connected>, Options)> {
    let mut options = options.clone();
    if !more.ports.is_empty() && !matches!(more.network, Connection::Auto(_)) {
        return Err(Error::new(Code::Usage, "publishing ports")
            .found("a network that nobody carries packets for")
            .expected("--network=auto"));
    }
    let (connected, network) = match &more.network {
        Connection::Host => (None, Network::Inherited),
        Connection::None => (None, Network::Private),
        Connection::Auto(folders) => {
            match network::connect(&Helper::find(folders), &more.ports, &scratch.path()) {
                Ok(connected) => {
                    let path = connected.path();
                    (Some(connected), Network::Joined(path))
                }
                Err(error) if !more.ports.is_empty() => {
                    return Err(error.context("publishing ports"));
                }
                Err(error) => {
                    let tried = error.tried_texts().join("; ");
                    let why =
                        if tried.is_empty() { "no slirp4netns or pasta found" } else { &tried };
                    watch.warn(&format!("network: none ({why}; --network=host shares the host's)"));
                    (None, Network::Private)
                }
            }
        }
    };
    if network != Network::Inherited && options.overrides.hostname.is_none() {
        let digits = image.descriptor.digest.encoded();
        options.overrides.hostname = Some(digits.chars().take(DIGITS).collect());
    }
    options.overrides.network = network;
    Ok((connected, options))
}

/// The mounts of `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`; `names`
/// is the address that answers questions for names.
pub(super) fn files(
    root: &Root,
    options: &Options,
    names: Option<&str>,
    scratch: &StagedDir,
) -> Result<Vec<Mount>> {
    let host = options.overrides.network == Network::Inherited;
    let mut files: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut hosts = b"127.0.0.1\tlocalhost\n::1\tlocalhost\n".to_vec();
    if let Some(name) = &options.overrides.hostname {
        hosts.extend_from_slice(format!("127.0.0.1\t{name}\n").as_bytes());
        files.push(("hostname", format!("{name}\n").into_bytes()));
    }
    if host {
        hosts = of_host("/etc/hosts").unwrap_or(hosts);
        files.extend(of_host("/etc/resolv.conf").map(|text| ("resolv.conf", text)));
    } else if let Some(names) = names {
        let mut text = format!("nameserver {names}\n").into_bytes();
        let here = of_host("/etc/resolv.conf").unwrap_or_default();
        for line in here.split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(b"search ") || line.starts_with(b"options ") {
                text.extend_from_slice(line);
            }
        }
        files.push(("resolv.conf", text));
    }
    files.push(("hosts", hosts));
    // What the caller mounts there is his.
    let taken = |path: &str| options.overrides.mounts.iter().any(|own| own.destination == path);
    files.retain(|(name, _)| !taken("/etc") && !taken(&format!("/etc/{name}")));
    let mut mounts = Vec::new();
    for (name, text) in files {
        mount_point(root, name)?;
        let source = format!("etc.{name}");
        // Nothing of a run outlives it, so nothing waits for the disk.
        bundle::write(scratch.fd(), &source, &text)?;
        let source = scratch.path().join(source).to_string_lossy().into_owned();
        mounts.push(plimsoll_runtime::convert::volume(&format!("/etc/{name}"), &source));
    }
    Ok(mounts)
}

/// A file of this machine, if it is one and not too long.
fn of_host(path: &str) -> Option<Vec<u8>> {
    let data = fs::metadata(Path::new(path)).ok()?;
    (data.is_file() && data.len() <= FILE).then(|| fs::read(path).ok()).flatten()
}

/// Makes sure that a file can be mounted at `/etc/NAME`: what is no file there
/// and no link to one gives way to an empty file, in what this run writes.
fn mount_point(root: &Root, name: &str) -> Result<()> {
    let path = format!("/etc/{name}");
    let failed = |errno: Errno| Error::io("preparing", &path, errno.into());
    root.make_folders(b"/etc").map_err(|error| error.context(format!("preparing {path}")))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let etc = root
        .open_at(b"/etc", flags, Mode::empty())
        .map_err(|cause| Error::io("opening", "/etc of the image", cause))?;
    if let Ok(found) = root.open_at(path.as_bytes(), OFlags::PATH, Mode::empty()) {
        let stat = rustix::fs::fstat(&found).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            return Ok(());
        }
    }
    match statat(&etc, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
            return Err(Error::new(Code::Config, format!("preparing {path}"))
                .found("a folder in the image")
                .expected("a file or nothing"));
        }
        Ok(_) => unlinkat(&etc, name, AtFlags::empty()).map_err(failed)?,
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(failed(errno)),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o644);
    openat(&etc, name, flags, mode).map(drop).map_err(failed)
}
