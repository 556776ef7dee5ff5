//! Writing the archive of a layout, as a stream and always with the same
//! bytes for the same images.
//!
//! The order: `blobs/`, the folder of an algorithm before its first blob,
//! the blobs as they come, then `index.json` and `oci-layout`. What makes an
//! archive of all this comes last, so one that is cut off is none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use plimsoll_content::{
    Code, Descriptor, Digest, Document, Error, Ingest, Result, Sink, Tag, Verified,
};
use plimsoll_spec::annotations::REF_NAME;
use plimsoll_spec::{Index, LayoutHeader};

use super::{HEADER, INDEX, Output, blob_name};
use crate::check_ref_name;

/// A layout in an archive, to write to. Blobs are written one at a time.
pub struct OciWriter {
    state: Mutex<State>,
}

struct State {
    /// Lent to a blob while it is written; gone if one has failed in a stream.
    output: Option<Output>,
    have: BTreeMap<Digest, u64>,
    folders: BTreeSet<String>,
    entries: Vec<Descriptor>,
}

impl OciWriter {
    /// Starts an archive.
    pub fn new(output: Output) -> Self {
        let state = State {
            output: Some(output),
            have: BTreeMap::new(),
            folders: BTreeSet::new(),
            entries: Vec::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// Lists content without a name, unless its digest is listed already.
    pub fn add(&self, target: &Descriptor) -> Result<()> {
        self.with(|state| {
            must_have(state, target)?;
            if !state.entries.iter().any(|entry| entry.digest == target.digest) {
                state.entries.push(target.clone());
            }
            Ok(())
        })
    }

    /// Ends the archive, and makes it visible where it is a file.
    pub fn publish(self) -> Result<()> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut output = state.output.ok_or_else(failed_before)?;
        output.whole(INDEX, Document::new(Index::new(state.entries))?.bytes())?;
        output.whole(HEADER, Document::new(LayoutHeader::default())?.bytes())?;
        output.publish()
    }

    fn with<T>(&self, action: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        action(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn start(&self, known: Option<&Descriptor>) -> Result<Box<dyn Ingest + '_>> {
        self.with(|state| {
            let mut output = state.output.take().ok_or_else(failed_before)?;
            let algorithm = known.map_or("sha256", |blob| blob.digest.algorithm_name());
            let before = output.position();
            let begun = folders(&mut state.folders, &mut output, algorithm).and_then(|()| {
                let start = output.position();
                match known {
                    Some(blob) => output.begin(&blob_name(&blob.digest), blob.size),
                    None => output.begin_unknown().map(|_| ()),
                }
                .map(|()| start)
            });
            match begun {
                Ok(start) => {
                    let known = known.cloned();
                    let output = Some(output);
                    Ok(Box::new(Blob { writer: self, output, start, known, written: 0 })
                        as Box<dyn Ingest + '_>)
                }
                Err(error) => {
                    if output.forgives() && output.back_to(before).is_ok() {
                        state.output = Some(output);
                    }
                    Err(error)
                }
            }
        })
    }
}

/// The folders of blobs of an algorithm, once.
fn folders(made: &mut BTreeSet<String>, output: &mut Output, algorithm: &str) -> Result<()> {
    for name in ["blobs".to_owned(), format!("blobs/{algorithm}")] {
        if !made.contains(&name) {
            output.folder(&name)?;
            made.insert(name);
        }
    }
    Ok(())
}

fn must_have(state: &State, target: &Descriptor) -> Result<()> {
    if target.data.is_some() || state.have.get(&target.digest) == Some(&target.size) {
        return Ok(());
    }
    Err(Error::new(Code::NotFound, format!("listing {}", target.digest))
        .found("no such blob in the archive")
        .expected("content that is written before its name"))
}

impl Tag for OciWriter {
    fn tag(&self, name: &str, target: &Descriptor) -> Result<()> {
        check_ref_name(name)?;
        self.with(|state| {
            must_have(state, target)?;
            let mut entry = target.clone();
            entry.annotations.insert(REF_NAME.to_owned(), name.to_owned());
            state
                .entries
                .retain(|other| other.annotations.get(REF_NAME).is_none_or(|other| other != name));
            state.entries.push(entry);
            Ok(())
        })
    }

    fn untag(&self, name: &str) -> Result<bool> {
        self.with(|state| {
            let before = state.entries.len();
            state
                .entries
                .retain(|other| other.annotations.get(REF_NAME).is_none_or(|other| other != name));
            Ok(state.entries.len() < before)
        })
    }
}

impl Sink for OciWriter {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        self.with(|state| Ok(state.have.get(&blob.digest) == Some(&blob.size)))
    }

    /// The size is not known yet: in a stream the content goes through a
    /// temporary file.
    fn begin(&self) -> Result<Box<dyn Ingest + '_>> {
        self.start(None)
    }

    fn receive(&self, blob: &Descriptor) -> Result<Box<dyn Ingest + '_>> {
        self.start(Some(blob))
    }
}

struct Blob<'a> {
    writer: &'a OciWriter,
    output: Option<Output>,
    start: u64,
    known: Option<Descriptor>,
    written: u64,
}

impl Write for Blob<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(output) = &mut self.output else { return Err(failed_before().into()) };
        // More than the header says would be taken for the next header.
        if let Some(known) = &self.known
            && self.written + bytes.len() as u64 > known.size
        {
            return Err(io::Error::other("more content than was announced"));
        }
        let length = output.write(bytes)?;
        self.written += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Ingest for Blob<'_> {
    fn commit(mut self: Box<Self>, proof: Verified) -> Result<Descriptor> {
        let blob = proof.descriptor().clone();
        proof.covers(self.written)?;
        if let Some(known) = self.known.as_ref().filter(|known| known.digest != blob.digest) {
            return Err(Error::new(Code::Bug, format!("keeping blob {}", blob.digest))
                .found("another blob than the one that was announced")
                .expected(&known.digest));
        }
        let Some(output) = &mut self.output else { return Err(failed_before()) };
        if self.writer.has(&blob)? && self.known.is_none() {
            // It came before: two entries of a name are none of ours. What was
            // written is taken back when this is dropped.
            return Ok(blob);
        }
        match &self.known {
            Some(_) => output.end(self.written)?,
            None => output.measure(self.start, &blob_name(&blob.digest), self.written)?,
        }
        let output = self.output.take();
        self.writer.with(|state| {
            state.output = output;
            state.have.insert(blob.digest.clone(), blob.size);
            Ok(())
        })?;
        Ok(blob)
    }
}

impl Drop for Blob<'_> {
    /// A blob that was not committed is taken back where that can be done.
    /// What has gone into a stream can not.
    fn drop(&mut self) {
        let Some(mut output) = self.output.take() else { return };
        let clean = output.position() == self.start;
        if clean || output.forgives() && output.back_to(self.start).is_ok() {
            let _ = self.writer.with(|state| {
                state.output = Some(output);
                Ok(())
            });
        }
    }
}

impl fmt::Debug for OciWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OciWriter")
    }
}

fn failed_before() -> Error {
    Error::new(Code::Failed, "writing an archive")
        .found("one that failed before, or that is written to already")
        .expected("one blob at a time, each whole")
}
