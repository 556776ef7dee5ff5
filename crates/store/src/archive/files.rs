//! The files of an archive on its way out, one at a time, each proved before
//! it counts: what the writers of both forms have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use plimsoll_content::{Code, Descriptor, Error, Ingest, Result, Verified};

use super::Output;

/// What content is called in an archive.
pub(super) trait Names: Send + Sync {
    /// The name of a file; its content may have none in this form.
    fn file(&self, blob: &Descriptor) -> Result<String>;

    /// The folders that it lies in, the outer one first.
    fn folders(&self, algorithm: &str) -> Vec<String>;
}

/// The files that were written so far, and where more go.
pub(super) struct Files<N> {
    names: N,
    state: Mutex<State>,
}

struct State {
    /// Lent to a file while it is written; gone if one has failed in a stream.
    output: Option<Output>,
    /// By name, with the size.
    have: BTreeMap<String, u64>,
    folders: BTreeSet<String>,
}

impl<N: Names> Files<N> {
    pub(super) fn new(output: Output, names: N) -> Self {
        let (have, folders) = (BTreeMap::new(), BTreeSet::new());
        Self { names, state: Mutex::new(State { output: Some(output), have, folders }) }
    }

    /// The archive, to be ended.
    pub(super) fn into_output(self) -> Result<Output> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.output.ok_or_else(failed_before)
    }

    /// The size of a file that is there.
    pub(super) fn size(&self, name: &str) -> Option<u64> {
        self.state().have.get(name).copied()
    }

    /// Whether that content is there.
    pub(super) fn has(&self, blob: &Descriptor) -> Result<bool> {
        let name = self.names.file(blob)?;
        Ok(self.size(&name) == Some(blob.size))
    }

    /// Begins a file. If its content is not known yet, it goes through a
    /// temporary file in a stream, which has to say the size first.
    pub(super) fn start(&self, known: Option<&Descriptor>) -> Result<Box<dyn Ingest + '_>> {
        let name = known.map(|blob| self.names.file(blob)).transpose()?;
        if let Some(blob) = known
            && self.has(blob)?
        {
            return Ok(Box::new(Again { blob: blob.clone(), written: 0 }));
        }
        let mut state = self.state();
        let mut output = state.output.take().ok_or_else(failed_before)?;
        let algorithm = known.map_or("sha256", |blob| blob.digest.algorithm_name());
        let before = output.position();
        let folders = self.names.folders(algorithm);
        let begun = make(&mut state.folders, &mut output, folders).and_then(|()| {
            let start = output.position();
            match (known, &name) {
                (Some(blob), Some(name)) => output.begin(name, blob.size),
                _ => output.begin_unknown().map(|_| ()),
            }
            .map(|()| start)
        });
        match begun {
            Ok(start) => {
                let known = known.cloned();
                let output = Some(output);
                Ok(Box::new(File { files: self, output, start, known, written: 0 }))
            }
            Err(error) => {
                if output.forgives() && output.back_to(before).is_ok() {
                    state.output = Some(output);
                }
                Err(error)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes folders that are not there yet.
fn make(made: &mut BTreeSet<String>, output: &mut Output, folders: Vec<String>) -> Result<()> {
    for name in folders {
        if !made.contains(&name) {
            output.folder(&name)?;
            made.insert(name);
        }
    }
    Ok(())
}

struct File<'a, N: Names> {
    files: &'a Files<N>,
    output: Option<Output>,
    start: u64,
    known: Option<Descriptor>,
    written: u64,
}

impl<N: Names> Write for File<'_, N> {
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

impl<N: Names> Ingest for File<'_, N> {
    fn commit(mut self: Box<Self>, proof: Verified) -> Result<Descriptor> {
        let blob = proof.descriptor().clone();
        proof.covers(self.written)?;
        self.known.as_ref().map_or(Ok(()), |known| proof_is_of(&proof, known))?;
        let name = self.files.names.file(&blob)?;
        let Some(output) = &mut self.output else { return Err(failed_before()) };
        if self.files.has(&blob)? {
            // What was written is taken back when this is dropped.
            return Ok(blob);
        }
        match &self.known {
            Some(_) => output.end(self.written)?,
            None => {
                output.measure(self.start, &name, self.written)?;
                // Its algorithm was not known before.
                let folders = self.files.names.folders(blob.digest.algorithm_name());
                make(&mut self.files.state().folders, output, folders)?;
            }
        }
        let output = self.output.take();
        let mut state = self.files.state();
        state.output = output;
        state.have.insert(name, blob.size);
        Ok(blob)
    }
}

impl<N: Names> Drop for File<'_, N> {
    /// A file that was not committed is taken back where that can be done.
    /// What has gone into a stream can not.
    fn drop(&mut self) {
        let Some(mut output) = self.output.take() else { return };
        let clean = output.position() == self.start;
        if clean || output.forgives() && output.back_to(self.start).is_ok() {
            self.files.state().output = Some(output);
        }
    }
}

/// Content that is there already: two entries of a name are none of ours.
struct Again {
    blob: Descriptor,
    written: u64,
}

impl Write for Again {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Ingest for Again {
    fn commit(self: Box<Self>, proof: Verified) -> Result<Descriptor> {
        proof.covers(self.written)?;
        proof_is_of(&proof, &self.blob)?;
        Ok(self.blob)
    }
}

/// Refuses other content than what was announced.
fn proof_is_of(proof: &Verified, known: &Descriptor) -> Result<()> {
    let blob = proof.descriptor();
    if blob.digest == known.digest {
        return Ok(());
    }
    Err(Error::new(Code::Bug, format!("keeping blob {}", blob.digest))
        .found("another blob than the one that was announced")
        .expected(&known.digest))
}

fn failed_before() -> Error {
    Error::new(Code::Failed, "writing an archive")
        .found("one that failed before, or that is written to already")
        .expected("one blob at a time, each whole")
}
