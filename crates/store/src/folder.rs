//! A folder by its handle, and what is done to names in it.
//!
//! Layouts come from strangers: every name in one is opened below the handle
//! of its root, links are not followed unless the owner of the [`Folder`]
//! said so, and nothing is read before it is known to be a regular file.
//! Needs Linux 5.6 (`openat2`).

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, chmodat, fstat, fsync, mkdirat,
    openat, openat2, statat,
};
use rustix::io::{Errno, retry_on_intr};

/// How often a look-up that raced with a rename is tried again.
const RACES: usize = 128;

/// The handle of a folder.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    follow: bool,
    flush: Flush,
}

/// Whether what is written is on the medium when it is said to be there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Flush {
    /// It is: it survives a power cut.
    #[default]
    Durable,
    /// It may not be: for throw-away work. A process that is killed does no
    /// harm all the same, a power cut may leave files empty or half written.
    Never,
}

impl Folder {
    /// Opens the folder at `path`, which is trusted: links in it are followed.
    /// `follow` says what happens to links below it.
    pub(crate) fn open(path: &Path, follow: bool) -> io::Result<Self> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let fd = openat(CWD, path, folder_flags(), Mode::empty())?;
        Ok(Self { fd, follow, flush: Flush::Durable })
    }

    /// The same folder, with that rule for it and all below.
    pub(crate) fn flushed(self, flush: Flush) -> Self {
        Self { flush, ..self }
    }

    /// Whether what is written here is made durable.
    pub(crate) fn flush(&self) -> Flush {
        self.flush
    }

    /// Opens what lies at `path` below this folder, and never anything else.
    pub(crate) fn open_at(&self, path: impl AsRef<OsStr>, flags: OFlags) -> io::Result<OwnedFd> {
        let quiet = OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let (flags, resolve) = if self.follow {
            (flags | quiet, ResolveFlags::NO_MAGICLINKS)
        } else {
            (
                flags | quiet | OFlags::NOFOLLOW,
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
            )
        };
        for _ in 0..RACES {
            match openat2(&self.fd, path.as_ref(), flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// Opens a folder below this one, under the same rule about links.
    pub(crate) fn folder(&self, path: impl AsRef<OsStr>) -> io::Result<Self> {
        let fd = self.open_at(path, folder_flags())?;
        Ok(Self { fd, follow: self.follow, flush: self.flush })
    }

    /// Opens a regular file for reading. Whatever else lies there is refused
    /// without being read, and without waiting for anybody.
    pub(crate) fn file(&self, path: &str) -> Result<(File, u64), Refused> {
        let fd = match self.open_at(path, OFlags::RDONLY) {
            Ok(fd) => fd,
            Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                return Err(Refused::Kind("a symbolic link"));
            }
            // What a socket answers.
            Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
                return Err(Refused::Kind("a socket"));
            }
            Err(error) => return Err(Refused::Io(error)),
        };
        let stat = fstat(&fd).map_err(|errno| Refused::Io(errno.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok((File::from(fd), stat.st_size as u64)),
            kind => Err(Refused::Kind(kind_name(kind))),
        }
    }

    /// What lies under `name`, links not followed.
    pub(crate) fn stat(&self, name: impl rustix::path::Arg) -> io::Result<Option<Stat>> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes a folder unless it is there; `true` if this call made it.
    ///
    /// Its mode is 0755 whatever the umask says, plus what the folder around
    /// it grants to its group, so that a layout shared by a group stays so.
    pub(crate) fn make(&self, name: impl AsRef<OsStr>) -> io::Result<bool> {
        let name = name.as_ref();
        match mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
        let shared = fstat(&self.fd)?.st_mode & 0o2020;
        chmodat(&self.fd, name, Mode::from_raw_mode(0o755 | shared), AtFlags::empty())?;
        Ok(true)
    }

    /// The names in the folder, in the order of their bytes.
    pub(crate) fn names(&self) -> io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            if !is_dot(entry.file_name()) {
                names.push(entry.file_name().to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Makes what was done to names in this folder durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if self.flush == Flush::Never {
            return Ok(());
        }
        Ok(retry_on_intr(|| fsync(&self.fd))?)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Why a file was not opened.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is no regular file but that.
    Kind(&'static str),
    /// The operating system said so.
    Io(io::Error),
}

/// The flags of every handle of a folder.
pub(crate) fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

/// Whether a listing names the folder itself or the one above.
pub(crate) fn is_dot(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

/// What a kind of file is called, with its article.
pub(crate) fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "something of an unknown kind",
    }
}
