//! An archive on its way out: to a new file, which appears when it is
//! complete, or into a stream, which must be right at the first attempt.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Error, Result};
use plimsoll_layer::{Entry, EntryKind, RelPath, Timestamp, tar};

use crate::folder::{Flush, Folder};
use crate::temporary::{self, TemporaryFile};

/// The mode of a new archive, as that of blobs.
const MODE: u32 = 0o644;

const BUFFER: usize = 128 << 10;

/// Where an archive goes.
pub struct Output {
    kind: Kind,
    shown: String,
    /// How many bytes were written.
    at: u64,
}

enum Kind {
    File { file: TemporaryFile, folder: Folder, name: PathBuf },
    Stream { writer: Box<dyn Write + Send>, scratch: PathBuf, spool: Option<File> },
}

impl Output {
    /// A new file at `path`, which is there when it is published; dropped
    /// before, there is nothing.
    ///
    /// Errors with [`Code::Exists`] if something lies there.
    pub fn file(path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        let failed = |cause| Error::io("making archive", path.display(), cause);
        let Some(name) = path.file_name() else {
            return Err(Error::new(Code::Usage, format!("making archive {shown}"))
                .found("a path that ends in .. or /")
                .expected("the name of a new file"));
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        let folder = Folder::open(parent, false)
            .map_err(|cause| failed(cause).fix("make the folder around it first"))?;
        if folder.stat(name).map_err(failed)?.is_some() {
            return Err(exists(&shown));
        }
        // Tidying up must not stop the work.
        let _ = temporary::sweep(folder.as_fd());
        let file = TemporaryFile::create(folder.as_fd()).map_err(failed)?;
        let kind = Kind::File { file, folder, name: name.into() };
        Ok(Self { kind, shown, at: 0 })
    }

    /// The same, with that rule for a file.
    #[must_use]
    pub fn flushed(mut self, flush: Flush) -> Self {
        if let Kind::File { file, folder, name } = self.kind {
            let (file, folder) = (file.flushed(flush), folder.flushed(flush));
            self.kind = Kind::File { file, folder, name };
        }
        self
    }

    /// A stream. `scratch` is a folder for what must be measured before it
    /// can be written.
    pub fn stream(writer: Box<dyn Write + Send>, shown: &str, scratch: &Path) -> Self {
        let kind = Kind::Stream { writer, scratch: scratch.to_owned(), spool: None };
        Self { kind, shown: shown.to_owned(), at: 0 }
    }

    /// Whether what was written can be taken back.
    pub(super) fn forgives(&self) -> bool {
        matches!(self.kind, Kind::File { .. })
    }

    /// A folder.
    pub(super) fn folder(&mut self, name: &str) -> Result<()> {
        let header = header(name, EntryKind::Directory)?;
        self.put(&header)
    }

    /// A whole file.
    pub(super) fn whole(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.begin(name, content.len() as u64)?;
        self.put(content)?;
        self.end(content.len() as u64)
    }

    /// Begins a file of known size: so many bytes must follow.
    pub(super) fn begin(&mut self, name: &str, size: u64) -> Result<()> {
        let header = header(name, EntryKind::File { size })?;
        self.put(&header)
    }

    /// Ends a file that [`Output::begin`] began.
    pub(super) fn end(&mut self, size: u64) -> Result<()> {
        self.put(tar::padding(size))
    }

    /// Begins a file of unknown size; gives where, for [`Output::measure`].
    /// In a file the header is written afterwards; what goes into a stream
    /// is written to a temporary file first.
    pub(super) fn begin_unknown(&mut self) -> Result<u64> {
        let start = self.at;
        match &mut self.kind {
            Kind::File { .. } => self.put(&[0; BLOCK])?,
            Kind::Stream { scratch, spool, .. } => {
                let file = temporary::unnamed(scratch).map_err(|cause| {
                    Error::io("writing a temporary file in", scratch.display(), cause)
                })?;
                *spool = Some(file);
            }
        }
        Ok(start)
    }

    /// Ends a file that [`Output::begin_unknown`] began, after `size` bytes.
    pub(super) fn measure(&mut self, start: u64, name: &str, size: u64) -> Result<()> {
        let header = header(name, EntryKind::File { size })?;
        let shown = self.shown.clone();
        let failed = |cause| Error::io("writing archive", &shown, cause);
        match &mut self.kind {
            Kind::File { file, .. } => {
                let extra = header.len() as u64 - BLOCK as u64;
                let file = file.file();
                if extra > 0 {
                    // A long name, or more than 8 GiB: the header needs more room.
                    shift(file, start + BLOCK as u64, size, extra).map_err(failed)?;
                    self.at += extra;
                    file.seek(SeekFrom::Start(self.at)).map_err(failed)?;
                }
                file.write_all_at(&header, start).map_err(failed)?;
            }
            Kind::Stream { spool, .. } => {
                let Some(mut spool) = spool.take() else {
                    return Err(Error::new(Code::Bug, "ending a file that was not begun"));
                };
                self.put(&header)?;
                spool.rewind().map_err(failed)?;
                let mut buffer = vec![0; BUFFER];
                loop {
                    let length = spool.read(&mut buffer).map_err(failed)?;
                    if length == 0 {
                        break;
                    }
                    self.put(&buffer[..length])?;
                }
            }
        }
        self.end(size)
    }

    /// Takes back what was written since; only where [`Output::forgives`].
    pub(super) fn back_to(&mut self, start: u64) -> io::Result<()> {
        if let Kind::File { file, .. } = &mut self.kind {
            file.file().set_len(start)?;
            file.file().seek(SeekFrom::Start(start))?;
            self.at = start;
        }
        Ok(())
    }

    /// How many bytes were written.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// Writes the end of the archive, and makes a file durable and visible.
    pub(super) fn publish(mut self) -> Result<()> {
        self.put(tar::END)?;
        let failed = |cause| Error::io("writing archive", &self.shown, cause);
        match &mut self.kind {
            Kind::Stream { writer, .. } => writer.flush().map_err(failed),
            Kind::File { file, folder, name } => {
                match file.publish_new(folder.as_fd(), &*name, MODE) {
                    Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                        return Err(exists(&self.shown));
                    }
                    other => other.map_err(failed)?,
                }
                folder.sync().map_err(failed)
            }
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match &mut self.kind {
            Kind::File { file, .. } => file.file().write_all(bytes),
            Kind::Stream { writer, .. } => writer.write_all(bytes),
        };
        written.map_err(|cause| Error::io("writing archive", &self.shown, cause))?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

impl Write for Output {
    /// Content of the file that was begun.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = match &mut self.kind {
            Kind::File { file, .. } => file.file().write(bytes)?,
            Kind::Stream { spool: Some(spool), .. } => return spool.write(bytes),
            Kind::Stream { writer, .. } => writer.write(bytes)?,
        };
        self.at += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Output({}, {} bytes)", self.shown, self.at)
    }
}

const BLOCK: usize = 512;

/// The header of an entry that says nothing of time, owner or machine.
fn header(name: &str, kind: EntryKind) -> Result<Vec<u8>> {
    let folder = matches!(kind, EntryKind::Directory);
    tar::header(&Entry {
        path: RelPath::parse(name.as_bytes())?,
        kind,
        mode: if folder { 0o755 } else { 0o644 },
        uid: 0,
        gid: 0,
        mtime: Timestamp::EPOCH,
        xattrs: Vec::new(),
    })
}

/// Moves `size` bytes of a file from `start` on towards its end.
fn shift(file: &File, start: u64, size: u64, by: u64) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut left = size;
    while left > 0 {
        let length = left.min(BUFFER as u64);
        left -= length;
        let piece = &mut buffer[..length as usize];
        file.read_exact_at(piece, start + left)?;
        file.write_all_at(piece, start + left + by)?;
    }
    Ok(())
}

fn exists(shown: &str) -> Error {
    Error::new(Code::Exists, format!("making archive {shown}"))
        .found("something of that name")
        .expected("a name that is free")
        .fix("remove it, or choose another name: nothing is overwritten")
}
