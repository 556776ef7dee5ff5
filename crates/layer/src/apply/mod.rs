//! Applying layers to a root filesystem below a directory handle.
//!
//! A layer goes by once: one thread reads it and proves the blob, one inflates
//! it, the caller's thread hashes the plain bytes, parses them and makes the
//! files, small ones together with a fourth thread. The threads that read and inflate go on with the next layer while
//! the current one is applied. The proof (its diff_id) is there at the end
//! only, so the root must be a private place that is published after
//! [`Applier::finish`] and never before.
//!
//! **Confinement.** Every call names one component below a handle and follows
//! no link. Links in the parents of an entry are resolved here as in a
//! chroot; links in the parents of a whiteout are refused. What was opened
//! can not block. Owner, mode, attributes and times are set on handles of
//! what was just made.
//!
//! **Memory**: up to 33 MiB of chunks and 8 MiB of small files in flight, the state of the decoder (a zstd layer
//! may ask for [`Limits::zstd_window`]), 64 directory handles, and, if lower
//! layers are there, the names of what this layer put into folders that it did
//! not make itself. A layer of 100,000 such files needs about 15 MiB; folders
//! made by the layer cost nothing.
//!
//! What does not live here: archives and compression ([`crate::tar`],
//! [`crate::codec`]), staging and publishing (`plimsoll-store`).

mod aside;
mod attributes;
pub(crate) mod capability;
pub(crate) mod entries;
pub(crate) mod pipe;
pub(crate) mod reserved;
pub(crate) mod walk;
pub(crate) mod whiteout;

use std::io::Read;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use plimsoll_content::{Code, Digest, Error, Result};

use crate::codec::Format;
use crate::finding::{Finding, Findings};
use crate::ids::IdMap;
use crate::limits::Limits;
use crate::tar::Entries;
use attributes::Attributes;
use pipe::{Chunks, Plain};
use walk::Walk;

/// How layers are applied.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What becomes of owners.
    pub ids: Ids,
    /// What becomes of devices.
    pub devices: Devices,
    /// How many threads make files.
    pub threads: Threads,
    /// The budgets of reading.
    pub limits: Limits,
}

/// How many threads make files. The tree, the findings and the first error
/// are the same.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Threads {
    /// A second one makes small files while it has time, if the machine has
    /// several processors.
    #[default]
    Spare,
    /// One.
    One,
    /// A second one makes every file that it may make.
    Two,
}

/// What becomes of the owners that a layer names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Ids {
    /// Files get the owners that the layer names. Needs root, or a user
    /// namespace that maps them.
    #[default]
    Keep,
    /// Files belong to the user who unpacks. Other owners than 0:0 are
    /// recorded in the extended attribute `user.rootlesscontainers`
    /// ([`recorded_owner`]), and packing turns them back.
    Own,
    /// Files get what the map says. Where it says nothing, the owner is root
    /// of the map (or who unpacks), and recorded as with [`Ids::Own`], or with
    /// `strict` the layer is refused (MD17).
    ///
    /// File capabilities become those of the map's root (namespaced, version
    /// 3), without which they would mean nothing in its user namespace.
    Mapped {
        /// What the ids of the image are here.
        map: IdMap,
        /// Whether ids outside of the map are refused.
        strict: bool,
    },
}

/// What becomes of character and block devices.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Devices {
    /// They are made where that is permitted; a finding is recorded where it
    /// is not.
    #[default]
    Create,
    /// They are left out, and a finding is recorded for each.
    Omit,
}

/// What one layer did.
#[derive(Clone, Debug)]
pub struct Summary {
    /// How many entries it has, whiteouts included.
    pub entries: u64,
    /// How many bytes its uncompressed archive has.
    pub bytes: u64,
    /// The digest of those bytes, which is the expected one.
    pub diff_id: Digest,
    /// How many of the entries are whiteouts, opaque ones included.
    pub whiteouts: u64,
    /// What was tolerated, or could not be kept on this file system.
    pub findings: Vec<Finding>,
}

/// Where the blobs of layers come from. Blobs are read on a thread of their
/// own, each to its end, one after another; the lowest layer is number 0.
pub trait Blobs: Send {
    /// The bytes of one blob.
    type Blob: Read + Send;

    /// Opens the blob of a layer.
    fn open(&mut self, layer: usize) -> Result<Self::Blob>;

    /// Says whether the blob is what was announced. It was read to its end, or
    /// something is wrong with what came so far; the rest may have to be read
    /// to know.
    fn prove(&mut self, layer: usize, blob: Self::Blob) -> Result<()>;
}

/// What is known about a layer before it is read.
#[derive(Clone, Debug)]
pub struct Announced {
    /// How the blob is compressed.
    pub format: Format,
    /// The digest of the plain archive.
    pub diff_id: Digest,
}

/// One blob that nobody proves.
pub(crate) struct Single<R>(pub(crate) Option<R>);

impl<R: Read + Send> Blobs for Single<R> {
    type Blob = R;

    fn open(&mut self, _: usize) -> Result<R> {
        self.0.take().ok_or_else(|| Error::new(Code::Bug, "opening a layer twice"))
    }

    fn prove(&mut self, _: usize, _: R) -> Result<()> {
        Ok(())
    }
}

/// Leads layers through the threads, in order; `one` uses the plain bytes of
/// each, to their end, and `done` is told what it did.
pub(crate) fn lead<B: Blobs>(
    blobs: B,
    layers: &[Announced],
    limits: &Limits,
    mut one: impl FnMut(&mut Chunks, &Digest) -> Result<Summary>,
    done: &mut dyn FnMut(usize, Summary),
) -> Result<(), (usize, Error)> {
    let formats: Vec<_> = layers.iter().map(|layer| layer.format).collect();
    pipe::run(blobs, &formats, limits, |chunks| {
        for (number, layer) in layers.iter().enumerate() {
            match one(chunks, &layer.diff_id) {
                Ok(summary) => done(number, summary),
                Err(error) => return (number, Err(error)),
            }
        }
        (layers.len(), Ok(()))
    })
}

/// Applies layers to one root filesystem, the lowest first.
///
/// Nothing is undone after an error: the root is to be thrown away then.
pub struct Applier<'root> {
    walk: Walk,
    attributes: Arc<Attributes>,
    limits: Limits,
    /// Whether the next layer has another one, or something else, below it.
    lower: bool,
    root: PhantomData<BorrowedFd<'root>>,
}

impl<'root> Applier<'root> {
    /// Takes the root filesystem. The folder may hold something already; it
    /// counts as a lower layer then. An empty one gets mode 0755, owner 0:0
    /// and time 0 unless a layer has an entry for it.
    pub fn new(root: BorrowedFd<'root>, options: Options) -> Result<Self> {
        Self::start(root, options, false)
    }

    /// Takes a root filesystem that lower layers have made. It keeps the
    /// attributes of its root also if these layers left nothing in it.
    pub fn over(root: BorrowedFd<'root>, options: Options) -> Result<Self> {
        Self::start(root, options, true)
    }

    fn start(root: BorrowedFd<'root>, options: Options, over: bool) -> Result<Self> {
        let attributes = Arc::new(Attributes::new(options.ids, options.devices));
        let (walk, lower) = Walk::new(root, &attributes, over, options.threads)?;
        Ok(Self { walk, attributes, limits: options.limits, lower, root: PhantomData })
    }

    /// Applies one layer, reads it to its end, and proves that the plain
    /// bytes are those of `diff_id`. Nothing else is proved: see
    /// [`Applier::apply_all`].
    ///
    /// Errors: [`Code::DiffId`] if they are not; what reading, inflating and
    /// parsing say; [`Code::UnsafeEntry`] for entries that would reach
    /// outside the root or that common readers take differently;
    /// [`Code::Permission`] and [`Code::Space`] from the file system.
    pub fn apply(
        &mut self,
        blob: impl Read + Send,
        format: Format,
        diff_id: &Digest,
    ) -> Result<Summary> {
        let announced = Announced { format, diff_id: diff_id.clone() };
        let mut summary = None;
        self.apply_all(Single(Some(blob)), &[announced], |_, done| summary = Some(done))
            .map_err(|(_, error)| error)?;
        summary.ok_or_else(|| Error::new(Code::Bug, "applying a layer").found("no summary"))
    }

    /// Applies several layers, the lowest first, with all proofs: of each blob
    /// by [`Blobs::prove`], of its plain bytes by the diff_id. `done` is told
    /// what each layer did when it is applied and proved.
    ///
    /// Errors with the number of the layer, and what [`Applier::apply`] or
    /// `blobs` say. Of a blob that is both broken and not what was announced,
    /// the latter is said.
    pub fn apply_all(
        &mut self,
        blobs: impl Blobs,
        layers: &[Announced],
        mut done: impl FnMut(usize, Summary),
    ) -> Result<(), (usize, Error)> {
        let limits = self.limits;
        lead(blobs, layers, &limits, |chunks, diff_id| self.one(chunks, diff_id), &mut done)
    }

    /// Applies the next layer that comes out of `chunks`.
    fn one(&mut self, chunks: &mut Chunks, diff_id: &Digest) -> Result<Summary> {
        let algorithm = diff_id.computable("a layer")?;
        self.walk.begin(self.lower)?;
        self.lower = true;
        let mut findings = Findings::default();
        let mut layer = entries::Layer::new(&mut self.walk, &self.attributes, &mut findings);
        let mut archive = Entries::new(Plain::new(chunks, algorithm), self.limits);
        let mut all = || {
            while let Some((entry, body)) = archive.next()? {
                layer.add(entry, body)?;
            }
            Ok(layer.done)
        };
        let done = all();
        // What went wrong aside came before what went wrong here.
        findings.absorb(self.walk.findings()?);
        let (entries, whiteouts) = done?;
        let (plain, read) = archive.finish()?;
        let passed = plain.finish()?;
        passed.prove(diff_id)?;
        let findings = passed.findings.into_iter().chain(read).chain(findings.into_vec());
        Ok(Summary {
            entries,
            bytes: passed.bytes,
            diff_id: passed.diff_id,
            whiteouts,
            findings: findings.collect(),
        })
    }

    /// Sets the modes and times of folders that are still open, of the root
    /// at last. Only then is the root filesystem what the layers say.
    pub fn finish(self) -> Result<()> {
        self.walk.finish()
    }
}

impl std::fmt::Debug for Applier<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Applier")
    }
}

/// The owner that the extended attribute `user.rootlesscontainers` names: a
/// protocol buffer with the fields `uid` (1) and `gid` (2).
///
/// An id of `u32::MAX` says that this one is as it is on the disk (umoci writes
/// it where only the other one could not be given). `None` if the value is not
/// that.
pub fn recorded_owner(value: &[u8]) -> Option<(u32, u32)> {
    attributes::recorded_owner(value)
}
