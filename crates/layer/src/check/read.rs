//! A layer read to its end to be checked, through the threads of applying.

use std::io::{self, Read as _};

use plimsoll_content::{Algorithm, Code, Digest, Error, Result};

use super::Check;
use crate::apply::Blobs;
use crate::apply::pipe::{self, Plain};
use crate::codec::Format;
use crate::entry::Entry;
use crate::finding::Finding;
use crate::limits::Limits;
use crate::tar::Entries;

/// How much behind a broken archive is read on, so that its diff_id can be
/// told as well. More than this would let a small blob take a long time.
const BEHIND: u64 = 64 << 20;

/// The headline that says that the rest was not read.
const STOPPED: &str = "stopping behind a broken archive";

/// What a layer is like.
#[derive(Debug, Default)]
pub struct Read {
    /// How many entries it has.
    pub entries: u64,
    /// How many bytes the plain archive has; 0 if it was not read to its end.
    pub bytes: u64,
    /// The digest of those bytes, if they were read to their end.
    pub diff_id: Option<Digest>,
    /// What is odd about it.
    pub findings: Vec<Finding>,
    /// Why the archive could not be read further, and where in it.
    pub broken: Option<(u64, Error)>,
    /// Why the blob could not be read or proved. What else is said is not
    /// about the content that was announced then.
    pub damage: Option<Error>,
}

impl Check {
    /// Reads one layer to its end and takes in its entries; `each` is told of
    /// all of them. The blob is proved by [`Blobs::prove`]. Types of entries
    /// that have no place in a layer break the archive, where applying skips
    /// them.
    pub fn layer(
        &mut self,
        blobs: impl Blobs,
        format: Format,
        algorithm: Algorithm,
        limits: &Limits,
        mut each: impl FnMut(&Entry, &mut dyn io::Read),
    ) -> Read {
        let mut read = Read::default();
        let gone = pipe::run(blobs, &[format], limits, |chunks| {
            let mut archive = Entries::new(Plain::new(chunks, algorithm), *limits).strict();
            let stopped = loop {
                match archive.next() {
                    Ok(Some((entry, mut body))) => {
                        read.entries += 1;
                        each(&entry, &mut body);
                        self.entry(&entry, archive.header());
                    }
                    Ok(None) => break None,
                    Err(error) => break Some((archive.header(), error)),
                }
            };
            (0, end(&mut read, archive, stopped))
        });
        if let Err((_, error)) = gone
            && error.headline() != STOPPED
        {
            // What the archive says is a consequence of it, or an echo.
            (read.damage, read.broken) = (Some(error), None);
        }
        self.skipped |= read.broken.is_some() || read.damage.is_some();
        read.findings.extend(self.end_layer());
        read
    }
}

/// Reads what is behind the last entry, or behind the one that is broken.
fn end(read: &mut Read, archive: Entries<Plain<'_>>, stopped: Option<(u64, Error)>) -> Result<()> {
    let (plain, findings) = match stopped {
        None => archive.finish()?,
        Some(stopped) => {
            read.broken = Some(stopped);
            let (mut plain, findings) = archive.stop();
            let behind = io::copy(&mut (&mut plain).take(BEHIND + 1), &mut io::sink())
                .map_err(|cause| Error::io("reading", "a layer", cause))?;
            read.findings = findings;
            if behind > BEHIND {
                return Err(Error::new(Code::Layer, STOPPED));
            }
            (plain, std::mem::take(&mut read.findings))
        }
    };
    read.findings = findings;
    let passed = plain.finish()?;
    (read.bytes, read.diff_id) = (passed.bytes, Some(passed.diff_id));
    read.findings.extend(passed.findings);
    Ok(())
}
