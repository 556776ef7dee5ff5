//! Where a registry keeps what it serves: one trait, so that a folder and an
//! object store look the same to the protocol.
//!
//! What does not live here: HTTP, logins, the meaning of requests. A storage
//! is asked only with names and digests that follow their grammars, and it
//! proves every byte itself before anybody else can see it.
//!
//! # What every storage keeps to
//!
//! - **Proof before sight.** [`Storage::finish`] and [`Storage::put_manifest`]
//!   make content visible only when its digest was computed over the very
//!   bytes that are kept.
//! - **Create if absent.** Blobs and manifests never change: storing one that
//!   is there is no error, and of several who do so at once all succeed.
//! - **Tags move in one step.** A reader sees the old or the new manifest.
//!   Changes of different tags do not undo each other, however many processes
//!   write.
//! - **What somebody was told is there stays** for the grace period of
//!   [`Storage::collect`]: whoever got a yes from [`Storage::keep_blob`],
//!   [`Storage::mount`] or [`Storage::finish`] has that long to store a
//!   manifest which leads to it.
//! - **A killed process leaves nothing half-done** that anybody could see, and
//!   an upload may go on in another process.

pub mod folder;
#[cfg(feature = "s3")]
pub mod object;
mod untagged;

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::Bytes;
use plimsoll_content::{Algorithm, Descriptor, Digest, Result};
use plimsoll_registry::protocol::{Address, Repository, Tag};

/// What a storage answers when it is done.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Content on its way, piece by piece.
pub trait Chunks: Send {
    /// The next piece, never an empty one; `None` at the end. It is not asked
    /// again after the end or an error.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>>;
}

impl dyn Chunks + '_ {
    /// The next piece, awaited.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        std::future::poll_fn(|context| self.poll_next(context)).await.transpose()
    }
}

/// A blob that was found.
pub trait Blob: Send {
    /// Its length in bytes.
    fn size(&self) -> u64;

    /// Where a client may get all of it without us, for a while: an address
    /// that holds its own permission.
    fn elsewhere(&self) -> Option<String> {
        None
    }

    /// Its bytes from `first` on, `length` of them. Both lie inside of the
    /// blob. The client proves them.
    fn read(self: Box<Self>, first: u64, length: u64) -> Box<dyn Chunks>;
}

/// A manifest that is to be stored.
#[derive(Clone, Debug)]
pub struct NewManifest {
    /// What it is: its media type as it was sent, and the digest and length of
    /// `bytes`, computed here.
    pub descriptor: Descriptor,
    /// The bytes, to be given back as they are.
    pub bytes: Bytes,
    /// The tags that are to stand for it.
    pub tags: Vec<Tag>,
    /// What it leads to and the repository must hold.
    pub needs: Vec<Descriptor>,
    /// The manifest that it is about, which need not be there.
    pub subject: Option<Digest>,
    /// How it is listed among the referrers of its subject.
    pub referrer: Descriptor,
}

/// What became of a new manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Put {
    /// It is stored, and its tags stand for it.
    Stored,
    /// Nothing was stored, because that content is not there.
    Missing(Digest),
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Append {
    /// It is there; so many bytes have come in all.
    Length(u64),
    /// It does not begin where the upload ends: so many bytes have come, and
    /// nothing was changed.
    Gap(u64),
    /// There is no such upload.
    Unknown,
}

/// What became of something that was to be removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Removal {
    /// It is gone.
    Done,
    /// There is no such thing.
    Unknown,
    /// It is something else than it was taken for: a manifest, not a blob.
    Refused,
}

/// What is to be collected. Times are seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// Blobs that nothing leads to go if they were stored, and last promised
    /// to somebody, before this.
    pub blobs: i64,
    /// Uploads go if nothing came since this.
    pub uploads: i64,
    /// Manifests without a tag go if they were stored, and last promised to
    /// somebody, before this, and nothing that stays leads to them; a manifest
    /// that stays keeps what it is about and what is about it. `None` keeps all.
    pub untagged: Option<i64>,
}

/// What was collected.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Swept {
    /// How many blobs.
    pub blobs: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// How many manifests without a tag were taken out of their repositories.
    pub manifests: u64,
    /// How many uploads.
    pub uploads: u64,
    /// How many repositories could not be swept because somebody else wrote
    /// there; the next time will do.
    pub busy: u64,
    /// Why others could not: a broken document, as a rule, for then nobody can
    /// tell what it needs. Nothing was removed there.
    pub failures: Vec<String>,
}

/// Where a registry keeps what it serves.
///
/// Repositories need not be made: what is stored in one makes it.
pub trait Storage: Send + Sync {
    /// The repositories that hold manifests, in the order of their bytes:
    /// those behind `after`, at most `most`.
    fn repositories(&self, after: Option<String>, most: usize) -> Answer<'_, Vec<Repository>>;

    /// The tags of a repository in the order of their bytes: those behind
    /// `after`, at most `most`. `None` if there is no such repository.
    fn tags(
        &self,
        name: &Repository,
        after: Option<String>,
        most: usize,
    ) -> Answer<'_, Option<Vec<String>>>;

    /// What a manifest is; `None` if the repository has none of that tag or
    /// digest.
    fn manifest(&self, name: &Repository, address: &Address) -> Answer<'_, Option<Descriptor>>;

    /// The bytes of a manifest that [`Storage::manifest`] has found, proved;
    /// `None` if it is gone meanwhile.
    fn manifest_bytes(&self, name: &Repository, manifest: &Descriptor)
    -> Answer<'_, Option<Bytes>>;

    /// Stores a manifest and lets its tags stand for it.
    fn put_manifest(&self, name: &Repository, manifest: NewManifest) -> Answer<'_, Put>;

    /// Takes a tag away; `false` if there is none. The manifest stays.
    fn remove_tag(&self, name: &Repository, tag: &Tag) -> Answer<'_, bool>;

    /// Removes a manifest and all of its tags in this repository.
    fn remove_manifest(&self, name: &Repository, digest: &Digest) -> Answer<'_, Removal>;

    /// The manifests that are about that one, in the order of their digests.
    /// Of a repository or a subject that is not there, there are none.
    fn referrers(&self, name: &Repository, subject: &Digest) -> Answer<'_, Vec<Descriptor>>;

    /// Finds a blob to read it.
    fn blob(&self, name: &Repository, digest: &Digest) -> Answer<'_, Option<Box<dyn Blob>>>;

    /// The length of a blob, for somebody who may rely on it: from now on it
    /// counts as stored just now.
    fn keep_blob(&self, name: &Repository, digest: &Digest) -> Answer<'_, Option<u64>>;

    /// Takes a blob over from another repository, or from any; `false` if it
    /// is not there.
    fn mount(
        &self,
        name: &Repository,
        digest: &Digest,
        from: Option<&Repository>,
    ) -> Answer<'_, bool>;

    /// Removes a blob. Manifests are no blobs here.
    fn remove_blob(&self, name: &Repository, digest: &Digest) -> Answer<'_, Removal>;

    /// Begins an upload under a new name of letters, digits and `-`. The
    /// digest at its end will most likely be of that algorithm.
    fn begin(&self, name: &Repository, upload: &str, likely: Algorithm) -> Answer<'_, ()>;

    /// How many bytes of an upload have come; `None` if there is none.
    fn received(&self, name: &Repository, upload: &str) -> Answer<'_, Option<u64>>;

    /// Adds to an upload what follows `at`, or, without it, whatever has come
    /// so far. One at a time adds: others get
    /// [`Code::Locked`](plimsoll_content::Code::Locked).
    ///
    /// If the chunks end in an error, that is given. With
    /// [`Code::Size`](plimsoll_content::Code::Size) or
    /// [`Code::Limit`](plimsoll_content::Code::Limit) the upload is as it was
    /// before, else what came stays, so that the client can go on behind it.
    fn append<'a>(
        &'a self,
        name: &Repository,
        upload: &str,
        at: Option<u64>,
        chunks: Box<dyn Chunks + 'a>,
    ) -> Answer<'a, Append>;

    /// Proves that an upload is what `digest` says and makes it a blob; gives
    /// its length, or `None` if there is no such upload.
    ///
    /// Errors with [`Code::Digest`](plimsoll_content::Code::Digest) if it is
    /// not, and with [`Code::Unverifiable`](plimsoll_content::Code::Unverifiable)
    /// if the algorithm is unknown. Then the upload is gone.
    fn finish(&self, name: &Repository, upload: &str, digest: &Digest) -> Answer<'_, Option<u64>>;

    /// Gives an upload up; `false` if there is none.
    fn cancel(&self, name: &Repository, upload: &str) -> Answer<'_, bool>;

    /// Removes what nothing leads to and nobody was promised, and uploads that
    /// were given up; on demand first manifests that nobody needs.
    fn collect(&self, sweep: Sweep) -> Answer<'_, Swept>;

    /// Lets go of what is held for those who have been away since `before`
    /// (seconds since 1970). It is called about once in a minute.
    fn rest(&self, _before: i64) {}
}
