//! Writing the archive of a layout, as a stream and always with the same
//! bytes for the same images.
//!
//! The order: `blobs/`, the folder of an algorithm before its first blob (or
//! behind it, if only its content told which), the blobs as they come, then
//! `index.json` and `oci-layout`. What makes an archive of all this comes last,
//! so one that is cut off is none.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plimsoll_content::{Code, Descriptor, Document, Error, Ingest, Result, Sink, Tag};
use plimsoll_spec::annotations::REF_NAME;
use plimsoll_spec::{Index, LayoutHeader};

use super::files::{Files, Names};
use super::{HEADER, INDEX, Output, blob_name};
use crate::check_ref_name;

/// A layout in an archive, to write to. Blobs are written one at a time.
pub struct OciWriter {
    files: Files<InLayout>,
    entries: Mutex<Vec<Descriptor>>,
}

struct InLayout;

impl Names for InLayout {
    fn file(&self, blob: &Descriptor) -> Result<String> {
        Ok(blob_name(&blob.digest))
    }

    fn folders(&self, algorithm: &str) -> Vec<String> {
        vec!["blobs".to_owned(), format!("blobs/{algorithm}")]
    }
}

impl OciWriter {
    /// Starts an archive.
    pub fn new(output: Output) -> Self {
        Self { files: Files::new(output, InLayout), entries: Mutex::default() }
    }

    /// Lists content without a name, unless its digest is listed already.
    pub fn add(&self, target: &Descriptor) -> Result<()> {
        self.must_have(target)?;
        let mut entries = self.entries();
        if !entries.iter().any(|entry| entry.digest == target.digest) {
            entries.push(target.clone());
        }
        Ok(())
    }

    /// Ends the archive, and makes it visible where it is a file.
    pub fn publish(self) -> Result<()> {
        let entries = self.entries.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut output = self.files.into_output()?;
        output.whole(INDEX, Document::new(Index::new(entries))?.bytes())?;
        output.whole(HEADER, Document::new(LayoutHeader::default())?.bytes())?;
        output.publish()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Descriptor>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn must_have(&self, target: &Descriptor) -> Result<()> {
        if target.data.is_some() || self.files.has(target)? {
            return Ok(());
        }
        Err(Error::new(Code::NotFound, format!("listing {}", target.digest))
            .found("no such blob in the archive")
            .expected("content that is written before its name"))
    }
}

impl Tag for OciWriter {
    fn tag(&self, name: &str, target: &Descriptor) -> Result<()> {
        check_ref_name(name)?;
        self.must_have(target)?;
        let mut entry = target.clone();
        entry.annotations.insert(REF_NAME.to_owned(), name.to_owned());
        self.untag(name)?;
        self.entries().push(entry);
        Ok(())
    }

    fn untag(&self, name: &str) -> Result<bool> {
        let mut entries = self.entries();
        let before = entries.len();
        entries.retain(|other| other.annotations.get(REF_NAME).is_none_or(|other| other != name));
        Ok(entries.len() < before)
    }
}

impl Sink for OciWriter {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        self.files.has(blob)
    }

    /// The size is not known yet: in a stream the content goes through a
    /// temporary file.
    fn begin(&self) -> Result<Box<dyn Ingest + '_>> {
        self.files.start(None)
    }

    fn receive(&self, blob: &Descriptor) -> Result<Box<dyn Ingest + '_>> {
        self.files.start(Some(blob))
    }
}

impl fmt::Debug for OciWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OciWriter")
    }
}
