//! Uploads that are under way in this process: open files and running digests.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use plimsoll_content::{
    Algorithm, Code, Descriptor, Digest, Error, Ingest, MediaType, Result, Sealing,
};
use plimsoll_registry::protocol::Repository;
use plimsoll_store::{Layout, Upload};

use super::room::lock;

/// An upload by its repository and its name.
pub(super) type Key = (Repository, String);

/// The uploads of a process. What is not among them may still lie in a layout
/// and go on.
#[derive(Default)]
pub(super) struct Uploads {
    open: Mutex<HashMap<Key, Slot>>,
}

enum Slot {
    /// Nobody works on it; since when, in seconds since 1970.
    Resting(Box<Session>, i64),
    /// Somebody does.
    Taken,
}

/// One upload: its file, and the digest of what has come.
pub(super) struct Session {
    sealing: Sealing<Upload>,
    algorithm: Algorithm,
}

/// An upload that this process works on alone. Dropped, it is closed; its file
/// stays.
pub(super) struct Work {
    uploads: Arc<Uploads>,
    /// Taken away when it is not ours any more.
    key: Option<Key>,
    session: Option<Box<Session>>,
}

impl Uploads {
    /// Begins an upload, and lets it rest.
    pub(super) fn begin(
        &self,
        layout: &Arc<Layout>,
        key: &Key,
        algorithm: Algorithm,
        now: i64,
    ) -> Result<()> {
        let sealing = Sealing::new(layout.begin_upload(&key.1)?, algorithm);
        let session = Box::new(Session { sealing, algorithm });
        lock(&self.open).insert(key.clone(), Slot::Resting(session, now));
        Ok(())
    }

    /// How many bytes have come.
    pub(super) fn length(&self, layout: &Arc<Layout>, key: &Key) -> Result<Option<u64>> {
        match lock(&self.open).get(key) {
            Some(Slot::Resting(session, _)) => return Ok(Some(session.length())),
            Some(Slot::Taken) => return Err(busy(key)),
            None => {}
        }
        Ok(layout.resume_upload(&key.1)?.map(|upload| upload.length()))
    }

    /// Takes an upload to work on it; `None` if there is none. What another
    /// process began is read and hashed again.
    pub(super) fn take(self: &Arc<Self>, layout: &Arc<Layout>, key: &Key) -> Result<Option<Work>> {
        let slot = lock(&self.open).insert(key.clone(), Slot::Taken);
        if matches!(slot, Some(Slot::Taken)) {
            return Err(busy(key));
        }
        let uploads = Arc::clone(self);
        let mut work = Work { uploads, key: Some(key.clone()), session: None };
        match slot {
            Some(Slot::Resting(session, _)) => work.session = Some(session),
            _ => {
                let Some(upload) = layout.resume_upload(&key.1)? else { return Ok(None) };
                work.session = Some(Session::over(upload, Algorithm::Sha256)?);
            }
        }
        Ok(Some(work))
    }

    /// Closes the uploads that have rested since `before`.
    pub(super) fn rest(&self, before: i64) {
        let resting = |slot: &mut Slot| !matches!(slot, Slot::Resting(_, since) if *since < before);
        lock(&self.open).retain(|_, slot| resting(slot));
    }
}

impl Work {
    /// How many bytes have come.
    pub(super) fn length(&self) -> u64 {
        self.session.as_ref().map_or(0, |session| session.length())
    }

    fn name(&self) -> &str {
        self.key.as_ref().map_or("", |key| key.1.as_str())
    }

    /// Writes and hashes more.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let session = self.session.as_mut().ok_or_else(lost)?;
        session
            .sealing
            .write_all(bytes)
            .map_err(|cause| Error::io("writing upload", self.name(), cause))
    }

    /// Takes away what came behind `length`.
    pub(super) fn cut(&mut self, length: u64) -> Result<()> {
        let session = self.session.take().ok_or_else(lost)?;
        if session.length() == length {
            self.session = Some(session);
            return Ok(());
        }
        let algorithm = session.algorithm;
        let (_, mut upload) = session.sealing.finish(octets());
        upload.cut(length)?;
        self.session = Some(Session::over(upload, algorithm)?);
        Ok(())
    }

    /// Lets the upload rest until more comes.
    pub(super) fn rest(mut self, now: i64) {
        if let (Some(session), Some(key)) = (self.session.take(), self.key.take()) {
            lock(&self.uploads.open).insert(key, Slot::Resting(session, now));
        }
    }

    /// The upload becomes the blob that `digest` says; if it is not that, it
    /// is gone.
    pub(super) fn finish(mut self, digest: &Digest) -> Result<u64> {
        let session = self.session.take().ok_or_else(lost)?;
        let algorithm = session.algorithm;
        let (proof, upload) = session.sealing.finish(octets());
        let proved = if digest.algorithm() == Some(algorithm) {
            let found = proof.descriptor();
            if found.digest == *digest {
                Ok(proof)
            } else {
                Err(Error::new(Code::Digest, format!("verifying upload of {digest}"))
                    .found(format!("{} ({} bytes)", found.digest, found.size))
                    .expected(digest))
            }
        } else {
            let blob = Descriptor::new(octets(), digest.clone(), upload.length());
            let again = || Ok(upload.content()?.verify(&blob)?.finish()?.0);
            again()
        };
        match proved {
            Ok(proof) => Ok(Box::new(upload).commit(proof)?.size),
            Err(error) => {
                upload.give_up();
                Err(error)
            }
        }
    }

    /// Gives the upload up.
    pub(super) fn cancel(mut self) -> Result<()> {
        let session = self.session.take().ok_or_else(lost)?;
        session.sealing.finish(octets()).1.give_up();
        Ok(())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // First the file, then the place that keeps others from opening it.
        self.session = None;
        if let Some(key) = &self.key {
            lock(&self.uploads.open).remove(key);
        }
    }
}

impl Session {
    /// Goes on with a file, whose content is hashed again.
    fn over(upload: Upload, algorithm: Algorithm) -> Result<Box<Self>> {
        let content = upload.content()?;
        let sealing = Sealing::resume(upload, algorithm, content)
            .map_err(|cause| Error::io("reading upload", "that goes on", cause))?;
        Ok(Box::new(Self { sealing, algorithm }))
    }

    fn length(&self) -> u64 {
        self.sealing.writer().length()
    }
}

fn octets() -> MediaType {
    MediaType::from_static("application/octet-stream")
}

fn busy(key: &Key) -> Error {
    Error::new(Code::Locked, format!("going on with upload {}", key.1))
        .found("another request that works on it")
        .expected("one at a time")
}

fn lost() -> Error {
    Error::new(Code::Bug, "going on with an upload").found("no file of it")
}
