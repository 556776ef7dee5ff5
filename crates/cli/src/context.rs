//! What every verb needs: the global flags, the local store, progress.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::num::NonZero;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use plimsoll::content::{Code, Error, Result};
use plimsoll::limits::Limits;
use plimsoll::place::{Home, Streams};
use plimsoll::store::Flush;

use crate::args::Global;
use crate::out::Output;
use crate::progress::Progress;

/// What every verb needs.
pub(crate) struct Context {
    pub(crate) out: Output,
    pub(crate) watch: Progress,
    pub(crate) home: Home,
    pub(crate) json: bool,
    /// Whether more is to be told than the essential.
    pub(crate) verbose: bool,
    /// How many threads may work at once.
    pub(crate) jobs: usize,
    pub(crate) limits: Limits,
}

impl Context {
    pub(crate) fn new(global: Global) -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in
            [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
        {
            // The second signal ends the process at once; the first lets it
            // take away what it has begun.
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&interrupted))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&interrupted)))
                .map_err(|cause| Error::io("watching for", "signals", cause))?;
        }
        let limits = limits(&global.limit)?;
        Ok(Self {
            out: Output::new(&global),
            watch: Progress::new(&global, interrupted),
            home: Home::new(store_path(global.store)?)
                .with_limits(limits.documents)
                .flushed(if global.no_sync { Flush::Never } else { Flush::Durable })
                .with_scratch(scratch())
                .with_dependencies(global.aci_path.clone())
                .with_streams(Streams {
                    input,
                    output: || io::stdout().as_fd().try_clone_to_owned().map(File::from),
                }),
            json: global.json,
            verbose: global.verbose > 0,
            // Where the system does not tell, one thread is always right.
            jobs: global.jobs.map_or_else(
                || std::thread::available_parallelism().map_or(1, NonZero::get),
                usize::from,
            ),
            limits,
        })
    }
}

/// The default limits, then those of the environment, then those of flags.
fn limits(flags: &[String]) -> Result<Limits> {
    let mut limits = Limits::default();
    if let Some(text) = std::env::var_os("PLIMSOLL_LIMITS") {
        limits
            .set(&text.to_string_lossy())
            .map_err(|error| error.context("reading PLIMSOLL_LIMITS"))?;
    }
    for text in flags {
        limits.set(text)?;
    }
    Ok(limits)
}

/// Standard input, which is no archive where somebody types.
fn input() -> io::Result<File> {
    if io::stdin().is_terminal() {
        return Err(Error::new(Code::Usage, "reading an archive from standard input")
            .found("a terminal")
            .expected("a pipe or a file")
            .fix("give the path of the archive, or   COMMAND |")
            .into());
    }
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

/// `--store`, else `$XDG_DATA_HOME/plimsoll/store`, else
/// `~/.local/share/plimsoll/store`.
fn store_path(flag: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(path) = flag {
        return Ok(path);
    }
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(data) = variable("XDG_DATA_HOME").filter(|path| path.is_absolute()) {
        return Ok(data.join("plimsoll/store"));
    }
    if let Some(home) = variable("HOME").filter(|path| path.is_absolute()) {
        return Ok(home.join(".local/share/plimsoll/store"));
    }
    Err(Error::new(Code::Usage, "finding the local store")
        .found("neither XDG_DATA_HOME nor HOME is set")
        .fix("--store DIR   says where it lies"))
}

/// A folder for big temporary files without a name: `TMPDIR`, else `/var/tmp`,
/// which is a disk where `/tmp` may be memory.
pub(crate) fn scratch() -> PathBuf {
    match std::env::var_os("TMPDIR").filter(|value| !value.is_empty()) {
        Some(folder) => folder.into(),
        None if std::path::Path::new("/var/tmp").is_dir() => "/var/tmp".into(),
        None => std::env::temp_dir(),
    }
}

/// The seconds of `SOURCE_DATE_EPOCH`, if it is set.
pub(crate) fn source_date_epoch() -> Result<Option<i64>> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Err(std::env::VarError::NotPresent) => Ok(None),
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => text.parse().map(Some).map_err(|_| {
            Error::new(Code::Usage, "reading SOURCE_DATE_EPOCH")
                .found(format!("{text:?}"))
                .expected("seconds since 1970, as a whole number")
        }),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::new(Code::Usage, "reading SOURCE_DATE_EPOCH")
                .found("bytes that are no text"))
        }
    }
}
