//! Other people's tools.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{required, skip};

/// Another tool.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its name, as people say it.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
}

impl Peer {
    /// A command that starts it.
    pub fn command(&self) -> Command {
        Command::new(&self.path)
    }
}

/// The newest such tool here. `None` has said `SKIP`.
///
/// # Panics
///
/// If it is missing and `PLIMSOLL_REQUIRE_PEERS=1` says that it must not be.
pub fn peer(name: &str) -> Option<Peer> {
    peers(name).into_iter().next()
}

/// All such tools here, the newest first: people use Debian's, and the project
/// itself is at another version. An empty list has said `SKIP`.
///
/// # Panics
///
/// If there is none and `PLIMSOLL_REQUIRE_PEERS=1` says that there must be.
pub fn peers(name: &str) -> Vec<Peer> {
    let found: Vec<Peer> = folders()
        .iter()
        .map(|folder| folder.join(name))
        .filter(|path| path.is_file())
        .map(|path| Peer { name: name.to_owned(), path })
        .collect();
    if found.is_empty() {
        assert!(!required(), "{name} is missing; interop/setup installs it");
        skip(name);
    }
    // The same file through two folders (/bin and /usr/bin) is one tool.
    let mut real = Vec::new();
    found
        .into_iter()
        .filter(|peer| {
            let path = peer.path.canonicalize().unwrap_or_else(|_| peer.path.clone());
            let new = !real.contains(&path);
            real.push(path);
            new
        })
        .collect()
}

fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = vec![cache().join("bin")];
    folders.extend(std::env::split_paths(&path));
    folders.extend(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from));
    folders
}

/// The folder that `interop/setup` fills.
pub(crate) fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map_or_else(home_cache, PathBuf::from);
    base.join("plimsoll-peers")
}

fn home_cache() -> PathBuf {
    Path::new(&std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache")
}
