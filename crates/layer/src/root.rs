//! A directory handle that cannot be escaped.
//!
//! Every access below an untrusted root starts here: names are resolved by
//! the kernel as in a chroot (`openat2` with `RESOLVE_IN_ROOT`), so absolute
//! links and `..` in the tree lead to places in the tree, and links of
//! `/proc` lead nowhere. Needs Linux 5.6.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{
    CWD, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, openat, openat2,
};
use rustix::io::Errno;

use crate::path::shown;

/// How often a look-up that raced with a rename is tried again.
const RACES: usize = 128;

/// A handle of the root of a file tree.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// Opens the folder at `path`, which is trusted: links in it are followed.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, path, flags, Mode::empty())
            .map(Self)
            .map_err(|errno| Error::io("opening folder", path.display(), errno.into()))
    }

    /// Takes a handle of a folder.
    pub fn new(folder: OwnedFd) -> Self {
        Self(folder)
    }

    /// Opens what lies at `path`, with links followed as in a chroot.
    ///
    /// Add [`OFlags::NOFOLLOW`] to get at a link itself. `CLOEXEC`,
    /// `NOCTTY` and `NONBLOCK` are always set, so that opening a FIFO or a
    /// terminal does nothing.
    pub fn open_at(&self, path: &[u8], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let quiet = if flags.contains(OFlags::PATH) {
            OFlags::CLOEXEC
        } else {
            OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK
        };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..RACES {
            match openat2(&self.0, path, flags | quiet, mode, resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// Makes the folder at `path` and all folders around it that are missing:
    /// mode 0755, of the caller. Links on the way are followed as in a chroot;
    /// one that leads nowhere, or to something that is no folder, is an error.
    pub fn make_folders(&self, path: &[u8]) -> Result<()> {
        let failed = |cause| Error::io("creating folder", shown(path), cause);
        let mut so_far = Vec::new();
        for component in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let parent = self.open_at(&so_far, OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
            let parent = parent.map_err(failed)?;
            so_far.push(b'/');
            so_far.extend_from_slice(component);
            if component == b"." || component == b".." {
                continue;
            }
            match mkdirat(&parent, component, Mode::from_raw_mode(0o755)) {
                Ok(()) => {
                    // The umask must not decide who can enter it.
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                    let made = openat(&parent, component, flags | OFlags::CLOEXEC, Mode::empty());
                    made.and_then(|made| fchmod(&made, Mode::from_raw_mode(0o755)))
                        .map_err(|errno| failed(errno.into()))?;
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed(errno.into())),
            }
        }
        self.open_at(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
            .map(|_| ())
            .map_err(failed)
    }

    /// The content of a regular file of at most `most` bytes; `None` if there
    /// is no such file.
    ///
    /// Refuses FIFOs, devices and folders without touching them, and longer
    /// files without reading more than `most` + 1 bytes.
    pub fn read_file(&self, path: &[u8], most: u64) -> Result<Option<Vec<u8>>> {
        let doing = || format!("reading {} in the image's root filesystem", shown(path));
        let file = match self.open_at(path, OFlags::RDONLY, Mode::empty()) {
            Ok(file) => file,
            // A file on the way, where a folder would have to be, says the same.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(Error::io("reading", shown(path), error)),
        };
        let stat = fstat(&file).map_err(|errno| Error::io("reading", shown(path), errno.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::new(Code::Config, doing())
                .found("not a regular file")
                .expected("a regular file"));
        }
        let mut bytes = Vec::new();
        std::fs::File::from(file)
            .take(most + 1)
            .read_to_end(&mut bytes)
            .map_err(|cause| Error::io("reading", shown(path), cause))?;
        if bytes.len() as u64 > most {
            return Err(Error::new(Code::Limit, doing())
                .found(format!("more than {most} bytes"))
                .expected("a shorter file"));
        }
        Ok(Some(bytes))
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn folders_are_made_inside_only() {
        let outside = tempfile::tempdir().expect("folder");
        let inside = outside.path().join("root");
        fs::create_dir(&inside).expect("made");
        symlink("/..", inside.join("up")).expect("linked");
        symlink("/nowhere", inside.join("dangling")).expect("linked");
        fs::write(inside.join("file"), "").expect("written");
        let root = Root::open(&inside).expect("opened");
        root.make_folders(b"/a/b//c").expect("made");
        root.make_folders(b"/up/../x").expect("made");
        assert!(inside.join("a/b/c").is_dir() && inside.join("x").is_dir());
        assert!(!outside.path().join("x").exists());
        for bad in [&b"/dangling/x"[..], b"/file/x", b"/file"] {
            assert!(root.make_folders(bad).is_err());
        }
        root.make_folders(b"/").expect("there");
    }

    #[test]
    fn links_stay_inside_and_fifos_do_not_hang() {
        let outside = tempfile::tempdir().expect("folder");
        fs::write(outside.path().join("secret"), "outside").expect("written");
        let inside = outside.path().join("root");
        fs::create_dir(&inside).expect("made");
        fs::write(inside.join("secret"), "inside").expect("written");
        symlink("../../../secret", inside.join("up")).expect("linked");
        symlink("/secret", inside.join("abs")).expect("linked");
        symlink(outside.path().join("secret"), inside.join("out")).expect("linked");
        rustix::fs::mknodat(CWD, inside.join("fifo"), FileType::Fifo, Mode::RUSR, 0).expect("made");
        let root = Root::open(&inside).expect("opened");
        for link in ["up", "abs", "secret", "/../secret"] {
            let content = root.read_file(link.as_bytes(), 100).expect("inside");
            assert_eq!(content.as_deref(), Some(&b"inside"[..]), "{link}");
        }
        assert!(root.read_file(b"out", 100).expect("nothing").is_none());
        assert_eq!(root.read_file(b"fifo", 100).expect_err("refused").code(), Code::Config);
        assert_eq!(root.read_file(b"secret", 5).expect_err("refused").code(), Code::Limit);
    }
}
