//! What checking and repairing a layout needs beside reading and writing it.
//!
//! What counts as damage, and who is hurt by it, is for the crate `plimsoll`.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use plimsoll_content::{Descriptor, Digest, Document, Error, MediaType, Result, Source, View};
use plimsoll_spec::{Index, LayoutHeader};
use rustix::fs::{RenameFlags, renameat_with};
use rustix::io::Errno;

use super::blobs::path;
use super::{BLOBS, HEADER, INDEX, Layout, OWN, Options};
use crate::folder::{Folder, Refused};

const QUARANTINE: &str = "quarantine";

/// How many damaged copies of one thing are kept.
const COPIES: usize = 1000;

impl Layout {
    /// Opens a folder that should be a layout, whatever state it is in: to
    /// check it, and to repair it.
    pub fn open_unchecked(path: &Path, options: Options) -> Result<Self> {
        Self::unchecked(path, options)
    }

    /// What the layout consists of, unread, to judge it by the letter.
    pub fn frame(&self) -> Frame {
        let limits = &self.options.limits;
        Frame {
            header: self.read_document(HEADER, LayoutHeader::limit(limits)),
            index: self.read_document(INDEX, Index::limit(limits)),
            blobs: self.root.folder(BLOBS).is_ok(),
        }
    }

    /// The length of the file of a blob; `None` if there is none.
    pub fn blob_size(&self, digest: &Digest) -> Result<Option<u64>> {
        let path = path(digest);
        match self.root.file(&path) {
            Ok((_, size)) => Ok(Some(size)),
            Err(Refused::Io(cause)) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(refused) => Err(self.refused(&path, refused)),
        }
    }

    /// Reads a blob of any length, and proves it.
    pub fn prove(&self, digest: &Digest, size: u64) -> Result<()> {
        let blob = Descriptor::new(OCTETS, digest.clone(), size);
        let mut reader = (self as &dyn Source).open(&blob)?;
        io::copy(&mut reader, &mut io::sink())
            .map_err(|cause| Error::io("reading blob", digest, cause))?;
        reader.finish().map(|_| ())
    }

    /// Moves a damaged blob out of the way, where it is kept: the next one
    /// who brings the image brings the blob anew. Gives the new place, in the
    /// layout; `None` if the blob is good or gone by now.
    pub fn quarantine(&self, digest: &Digest) -> Result<Option<PathBuf>> {
        // Nobody gives a name to an image on the strength of this blob now.
        let _no_name = self.lock_index()?;
        let failed = |cause| Error::io("putting away blob", digest, cause);
        let place = format!("blobs/{}", digest.algorithm_name());
        let from = match self.root.folder(&place) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        let (to, relative) = self.quarantine_folder()?;
        let (name, encoded) = (digest.to_string().replace(':', "-"), digest.encoded());
        let Some(kept) = move_new(&from, encoded.as_ref(), &to, &name).map_err(failed)? else {
            return Ok(None);
        };
        to.sync().map_err(failed)?;
        from.sync().map_err(failed)?;
        // Another process may have healed the blob in this very moment.
        if let Ok((file, size)) = to.file(&kept) {
            let blob = Descriptor::new(OCTETS, digest.clone(), size);
            let proved = plimsoll_content::Unverified::new(file).verify(&blob).and_then(|mut r| {
                io::copy(&mut r, &mut io::sink()).map_err(failed)?;
                r.finish().map(|_| ())
            });
            if proved.is_ok() {
                let back = renameat_with(
                    to.as_fd(),
                    kept.as_str(),
                    from.as_fd(),
                    encoded.as_str(),
                    RenameFlags::NOREPLACE,
                );
                match back {
                    Ok(()) | Err(Errno::EXIST) => return Ok(None),
                    Err(errno) => return Err(failed(errno.into())),
                }
            }
        }
        Ok(Some(relative.join(kept)))
    }

    /// Replaces `index.json` by one that lists these, and keeps the old one.
    /// Gives the place of the old one, in the layout, if there was one.
    pub fn rebuild_index(&self, entries: Vec<Descriptor>) -> Result<Option<PathBuf>> {
        let _alone = self.lock_index()?;
        let failed = |cause| Error::io("putting away", self.path.join(INDEX).display(), cause);
        let (to, relative) = self.quarantine_folder()?;
        let kept = move_new(&self.root, INDEX.as_ref(), &to, INDEX).map_err(failed)?;
        to.sync().map_err(failed)?;
        self.put(INDEX, Document::new(Index::new(entries))?.bytes())?;
        Ok(kept.map(|kept| relative.join(kept)))
    }

    /// Writes the header of the layout anew.
    pub fn rebuild_header(&self) -> Result<()> {
        self.put(HEADER, Document::new(LayoutHeader::default())?.bytes())
    }

    /// Whether the header is one that this version reads.
    pub fn header(&self) -> Result<()> {
        self.check_header()
    }

    /// Files at the top of the layout that other tools are known to leave
    /// when they are killed.
    pub fn foreign_leftovers(&self) -> Result<Vec<PathBuf>> {
        /// skopeo, podman and buildah; umoci.
        const KNOWN: [&[u8]; 2] = [b"oci-put-blob", b".umoci-"];
        let names = self
            .root
            .names()
            .map_err(|cause| Error::io("listing layout", self.path.display(), cause))?;
        Ok(names
            .iter()
            .map(|name| name.to_bytes())
            .filter(|name| KNOWN.iter().any(|known| name.starts_with(known)))
            .map(|name| PathBuf::from(OsStr::from_bytes(name)))
            .collect())
    }

    fn quarantine_folder(&self) -> Result<(Folder, PathBuf)> {
        let failed = |cause| Error::io("writing to layout", self.path.display(), cause);
        let own = self.own()?;
        own.make(QUARANTINE).map_err(failed)?;
        Ok((own.folder(QUARANTINE).map_err(failed)?, Path::new(OWN).join(QUARANTINE)))
    }
}

/// The parts of a layout that is to be judged. Nothing about them is sure.
#[derive(Debug)]
pub struct Frame {
    /// The bytes of `oci-layout`, if there is one.
    pub header: Result<Option<Vec<u8>>>,
    /// The bytes of `index.json`, if there is one.
    pub index: Result<Option<Vec<u8>>>,
    /// Whether there is a folder `blobs`.
    pub blobs: bool,
}

const OCTETS: MediaType = MediaType::from_static("application/octet-stream");

/// Moves a file to a name that is free, and gives that; `None` if there was
/// no such file.
fn move_new(from: &Folder, old: &OsStr, to: &Folder, name: &str) -> io::Result<Option<String>> {
    for number in 0..COPIES {
        let new = if number == 0 { name.to_owned() } else { format!("{name}.{number}") };
        match renameat_with(from.as_fd(), old, to.as_fd(), new.as_str(), RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(Some(new)),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
