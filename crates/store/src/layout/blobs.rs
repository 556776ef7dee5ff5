//! The blobs of a layout: one file each, by digest.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use plimsoll_content::limits::Limits;
use plimsoll_content::{
    Code, Delete, Descriptor, Digest, Error, Ingest, Kept, Result, Resumed, Sink, Source,
    Unverified, Verified,
};
use rustix::fs::{AtFlags, FileType, Timespec, Timestamps, UTIME_NOW, linkat, unlinkat, utimensat};
use rustix::io::Errno;

use super::{BLOBS, Layout, Writing};
use crate::folder::{Folder, Refused};
use crate::temporary::{self, TemporaryFile};

/// The mode of blobs, whatever the umask says: content is no secret of the
/// file, and a layout is there to be read by others.
const BLOB_MODE: u32 = 0o644;

/// From this size on, what has come of a blob is kept if it breaks off.
const RESUMED: u64 = 1 << 20;

impl Source for Layout {
    fn limits(&self) -> Limits {
        self.options.limits
    }

    fn length(&self, digest: &Digest) -> Result<Option<u64>> {
        self.blob_size(digest)
    }

    /// The file is opened once, and its length compared with the descriptor
    /// before a byte is read (hostile cases LY01 to LY08, DG10).
    ///
    /// A blob that is absent and embedded in its descriptor is given from
    /// there.
    fn fetch(&self, blob: &Descriptor, from: u64) -> Result<Unverified<'_>> {
        if from > blob.size {
            return Err(Error::new(Code::Usage, format!("reading blob {}", blob.digest))
                .found(format!("byte {from} as the first"))
                .expected(format!("at most {}, its size", blob.size)));
        }
        let path = path(&blob.digest);
        let (mut file, size) = match self.root.file(&path) {
            Ok(opened) => opened,
            Err(Refused::Io(cause)) if cause.kind() == io::ErrorKind::NotFound => {
                return self.embedded(blob, from);
            }
            Err(refused) => {
                return Err(self
                    .refused(&path, refused)
                    .context(format!("reading blob {}", blob.digest)));
            }
        };
        if size != blob.size {
            return Err(Error::new(Code::Size, format!("reading blob {}", blob.digest))
                .found(format!("{size} bytes in {}", self.path.join(&path).display()))
                .expected(format!("{} bytes", blob.size))
                .fix("copy the image anew from where it came; that repairs the blob"));
        }
        if from > 0 {
            file.seek(SeekFrom::Start(from))
                .map_err(|cause| Error::io("reading blob", &blob.digest, cause))?;
        }
        Ok(Unverified::new(file))
    }
}

impl Layout {
    fn embedded(&self, blob: &Descriptor, from: u64) -> Result<Unverified<'static>> {
        let Some(bytes) = blob.embedded()? else {
            return Err(Error::new(Code::NotFound, format!("reading blob {}", blob.digest))
                .found(format!("no such blob in layout {}", self.path.display()))
                .expected(format!("{} bytes of {}", blob.size, blob.media_type))
                .fix("the layout holds only a part of the image: copy it anew with all blobs"));
        };
        let mut reader = io::Cursor::new(bytes);
        reader.set_position(from);
        Ok(Unverified::new(reader))
    }

    /// The folder of the blobs of one algorithm, made if it is missing.
    fn blobs_of(&self, algorithm: &str) -> io::Result<Folder> {
        if self.root.make(BLOBS)? {
            self.root.sync()?;
        }
        let blobs = self.root.folder(BLOBS)?;
        if blobs.make(algorithm)? {
            blobs.sync()?;
        }
        blobs.folder(algorithm)
    }

    /// All blobs, and what else lies among them, both in the order of names.
    pub fn inventory(&self) -> Result<Inventory> {
        let mut inventory = Inventory::default();
        let failed = |cause| Error::io("listing blobs of layout", self.path.display(), cause);
        let blobs = match self.root.folder(BLOBS) {
            Ok(blobs) => blobs,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(inventory),
            Err(cause) if cause.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                return Err(self.refused(BLOBS, Refused::Kind("a symbolic link")));
            }
            Err(cause) => return Err(failed(cause)),
        };
        for name in blobs.names().map_err(failed)? {
            let place = PathBuf::from(BLOBS).join(std::ffi::OsStr::from_bytes(name.to_bytes()));
            let folder = name.to_str().ok().and_then(|name| Some((name, blobs.folder(name).ok()?)));
            let Some((algorithm, folder)) = folder else {
                if !temporary::is_temporary(&name) {
                    inventory.strangers.push(place);
                }
                continue;
            };
            for name in folder.names().map_err(failed)? {
                let digest = name
                    .to_str()
                    .ok()
                    .and_then(|encoded| format!("{algorithm}:{encoded}").parse::<Digest>().ok());
                match digest {
                    Some(digest) => inventory.blobs.push(digest),
                    None if temporary::is_temporary(&name) => {}
                    None => inventory
                        .strangers
                        .push(place.join(std::ffi::OsStr::from_bytes(name.to_bytes()))),
                }
            }
        }
        Ok(inventory)
    }

    /// Removes blobs, and gives those that were there with their sizes. The
    /// caller holds the lock of the writers alone. What was removed before an
    /// error is removed.
    pub(super) fn remove_blobs(&self, digests: &[Digest], dry_run: bool) -> Result<Vec<Removed>> {
        let mut removed = Vec::new();
        let mut folders: BTreeMap<String, Option<Folder>> = BTreeMap::new();
        let mut failed = None;
        for digest in digests {
            let algorithm = digest.algorithm_name();
            if !folders.contains_key(algorithm) {
                folders.insert(algorithm.to_owned(), self.folder_to_empty(algorithm)?);
            }
            let Some(Some(folder)) = folders.get(algorithm) else { continue };
            match remove_one(folder, digest, dry_run) {
                Ok(Some(blob)) => removed.push(blob),
                Ok(None) => {}
                Err(cause) => {
                    failed.get_or_insert(Error::io("removing blob", digest, cause));
                }
            }
        }
        if !dry_run {
            for folder in folders.into_values().flatten() {
                folder.sync().map_err(|cause| {
                    Error::io("removing blobs of layout", self.path.display(), cause)
                })?;
            }
        }
        failed.map_or(Ok(removed), Err)
    }

    /// The folder of the blobs of one algorithm, if it is one and lies here.
    fn folder_to_empty(&self, algorithm: &str) -> Result<Option<Folder>> {
        let place = format!("{BLOBS}/{algorithm}");
        let failed =
            |cause| Error::io("removing blobs in", self.path.join(&place).display(), cause);
        // Links to folders of blobs lead to what others may need.
        for folder in [BLOBS, &place] {
            let stat = self.root.stat(folder).map_err(failed)?;
            if stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink) {
                return Err(self.refused(folder, Refused::Kind("a symbolic link")).fix(
                    "blobs behind a link may belong to other layouts: remove them where they lie",
                ));
            }
        }
        match self.root.folder(&place) {
            Ok(folder) => Ok(Some(folder)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(failed(cause)),
        }
    }

    /// When the file of a blob was written, in seconds; `None` if there is
    /// none.
    pub fn written(&self, digest: &Digest) -> Result<Option<i64>> {
        let stat = self.root.stat(path(digest));
        let stat = stat.map_err(|cause| Error::io("looking at blob", digest, cause))?;
        Ok(stat.map(|stat| stat.st_mtime))
    }
}

/// A blob that was removed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Removed {
    /// Its digest.
    pub digest: Digest,
    /// The length of its file, in bytes.
    pub size: u64,
}

fn remove_one(folder: &Folder, digest: &Digest, dry_run: bool) -> io::Result<Option<Removed>> {
    let name = digest.encoded();
    let Some(stat) = folder.stat(&name)? else { return Ok(None) };
    if !dry_run {
        match unlinkat(folder, &name, AtFlags::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        }
    }
    Ok(Some(Removed { digest: digest.clone(), size: stat.st_size as u64 }))
}

/// What lies in the folder `blobs`.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// The digests that name blobs.
    pub blobs: Vec<Digest>,
    /// What has no digest for a name, relative to the layout. It is left
    /// alone (LA12, hostile case LY11).
    pub strangers: Vec<PathBuf>,
}

impl Sink for Layout {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        match self.root.file(&path(&blob.digest)) {
            Ok((_, size)) => Ok(size == blob.size),
            // Something else lies there; writing the blob takes its place.
            Err(Refused::Kind(_)) => Ok(false),
            Err(Refused::Io(cause)) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(refused) => Err(self.refused(&path(&blob.digest), refused)),
        }
    }

    fn begin(&self) -> Result<Box<dyn Ingest + '_>> {
        let failed = |cause| Error::io("writing to layout", self.path.display(), cause);
        let writing = self.ingesting()?;
        let staging = self.staging()?;
        // Tidying up must not stop the work.
        let _ = temporary::sweep(staging.as_fd());
        let file = TemporaryFile::create(staging.as_fd()).map_err(failed)?;
        let file = file.flushed(self.root.flush());
        Ok(Box::new(Staged { layout: self, file, written: 0, partial: false, _writing: writing }))
    }

    /// A large blob is written to a file that is called by its digest, so that
    /// even a killed process leaves what it has brought.
    fn resume(&self, blob: &Descriptor) -> Result<Resumed<'_>> {
        if blob.size < RESUMED || blob.digest.algorithm().is_none() {
            return Ok(Resumed { ingest: self.receive(blob)?, kept: None });
        }
        let failed = |cause| Error::io("writing to layout", self.path.display(), cause);
        let writing = self.ingesting()?;
        let staging = self.staging()?;
        let name = temporary::partial_name(blob.digest.algorithm_name(), &blob.digest.encoded());
        let Some(file) = TemporaryFile::resume(staging.as_fd(), &name).map_err(failed)? else {
            drop(writing);
            return Ok(Resumed { ingest: self.receive(blob)?, kept: None });
        };
        let mut file = file.flushed(self.root.flush());
        let mut length = file.file().seek(SeekFrom::End(0)).map_err(failed)?;
        if length > blob.size {
            file.file().set_len(0).map_err(failed)?;
            length = file.file().seek(SeekFrom::Start(0)).map_err(failed)?;
        }
        let kept = if length == 0 {
            None
        } else {
            let file = file.file().try_clone().map_err(failed)?;
            let bytes = Unverified::new(Part { file, at: 0, end: length });
            Some(Kept { length, bytes })
        };
        let ingest = Box::new(Staged {
            layout: self,
            file,
            written: length,
            partial: true,
            _writing: writing,
        });
        Ok(Resumed { ingest, kept })
    }
}

impl Delete for Layout {
    /// Waits for writers as [`Layout::collect`] does.
    fn delete(&self, digest: &Digest) -> Result<bool> {
        let _alone = self.removing()?;
        Ok(!self.remove_blobs(std::slice::from_ref(digest), false)?.is_empty())
    }
}

/// The beginning of a file that somebody else appends to.
struct Part {
    file: File,
    at: u64,
    end: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

/// A blob on its way into a layout. Dropped before, it is gone.
struct Staged<'a> {
    layout: &'a Layout,
    file: TemporaryFile,
    written: u64,
    /// Whether the file is called by the digest, and may be kept.
    partial: bool,
    _writing: Writing,
}

impl Write for Staged<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.file().write(bytes)?;
        self.written += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Ingest for Staged<'_> {
    /// A blob that is there already is replaced in one step, never written
    /// into: what was proved here heals one that has gone bad unseen, and
    /// whoever shares the old file through a link keeps it (hostile cases
    /// LY13, LY14).
    fn commit(mut self: Box<Self>, proof: Verified) -> Result<Descriptor> {
        let blob = proof.descriptor();
        proof.covers(self.written)?;
        self.layout.place(&mut self.file, self.written, blob)?;
        Ok(blob.clone())
    }

    fn suspend(self: Box<Self>) {
        if self.partial {
            self.file.keep();
        }
    }
}

impl Layout {
    /// Lets a file of `written` proved bytes become that blob.
    pub(super) fn place(
        &self,
        file: &mut TemporaryFile,
        written: u64,
        blob: &Descriptor,
    ) -> Result<()> {
        let (algorithm, name) = (blob.digest.algorithm_name(), blob.digest.encoded());
        let mut place = || {
            let folder = self.blobs_of(algorithm)?;
            match file.publish(folder.as_fd(), &name, BLOB_MODE) {
                Err(cause) if cause.kind() == io::ErrorKind::CrossesDevices => {
                    // The blobs lie on another file system (a mount, or a link
                    // that is followed): the last step is staged there.
                    let _ = temporary::sweep(folder.as_fd());
                    let mut copy = TemporaryFile::create(folder.as_fd())?.flushed(folder.flush());
                    file.file().rewind()?;
                    let copied = io::copy(&mut file.file().take(u64::MAX), copy.file())?;
                    if copied != written {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    copy.publish(folder.as_fd(), &name, BLOB_MODE)?;
                }
                other => other?,
            }
            folder.sync()
        };
        place().map_err(|cause| {
            Error::io("writing blob", self.path.join(path(&blob.digest)).display(), cause)
        })
    }

    /// The file of a blob and its length in bytes, for who sends it to somebody
    /// who proves it; `None` if there is none.
    pub fn blob_file(&self, digest: &Digest) -> Result<Option<(File, u64)>> {
        let path = path(digest);
        match self.root.file(&path) {
            Ok(opened) => Ok(Some(opened)),
            Err(Refused::Io(cause)) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(refused) => Err(self.refused(&path, refused)),
        }
    }

    /// Lets a blob count as written now: who relies on it is to find it
    /// after a [`Layout::collect_with`] that goes by age. `false` if there is
    /// none.
    pub fn touch(&self, digest: &Digest) -> Result<bool> {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        let touch = || {
            let folder = self.root.folder(format!("{BLOBS}/{}", digest.algorithm_name()))?;
            utimensat(&folder, digest.encoded(), &times, AtFlags::SYMLINK_NOFOLLOW)?;
            io::Result::Ok(())
        };
        match touch() {
            Ok(()) => Ok(true),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(cause) => Err(Error::io("touching blob", digest, cause)),
        }
    }

    /// Takes a blob over from another layout, proved, and where the file
    /// systems allow it without a second file.
    pub fn take(&self, from: &Self, blob: &Descriptor) -> Result<()> {
        if self.has(blob)? {
            return Ok(());
        }
        let _writing = self.ingesting()?;
        // Once more in the other layout: a link makes no bad bytes good.
        let (_proof, _) = from.fetch(blob, 0)?.verify(blob)?.finish()?;
        let (algorithm, name) = (blob.digest.algorithm_name(), blob.digest.encoded());
        let link = || {
            let theirs = from.root.folder(format!("{BLOBS}/{algorithm}"))?;
            let ours = self.blobs_of(algorithm)?;
            linkat(&theirs, &name, &ours, &name, AtFlags::empty())?;
            ours.sync()
        };
        if link().is_ok() && self.has(blob)? {
            return Ok(());
        }
        self.copy_from(from, blob)
    }

    /// Copies a blob, proved on the way.
    pub(super) fn copy_from(&self, from: &Self, blob: &Descriptor) -> Result<()> {
        let mut ingest = self.begin()?;
        let mut reader = from.fetch(blob, 0)?.tee(&mut *ingest).verify(blob)?;
        io::copy(&mut reader, &mut io::sink())
            .map_err(|cause| Error::io("copying blob", &blob.digest, cause))?;
        let (proof, reader) = reader.finish()?;
        drop(reader);
        ingest.commit(proof)?;
        Ok(())
    }
}

/// Where a blob lies in a layout. Both parts of a digest are safe as names.
pub(super) fn path(digest: &Digest) -> String {
    format!("{BLOBS}/{}/{}", digest.algorithm_name(), digest.encoded())
}
