//! A registry in an object store: any number of servers before one bucket,
//! none of which keeps anything that the others would need.
//!
//! Content lies once for all repositories, under its digest, and is never
//! changed. What a repository has, it has by small objects of its own
//! ([`keys`]): a link for each blob, a record for each manifest, a document
//! for each tag, which is changed by compare-and-swap. Nothing is locked; what
//! has to come before what, and why a collection takes nothing from a push,
//! stands with the code that does it ([`collect`]).
//!
//! What the store must keep to: a reader sees the last write, lists show what
//! is there, and `If-None-Match: *` and `If-Match` are checked in one step with
//! the write. S3 does; not every server that speaks its protocol does.
//!
//! What does not live here: HTTP towards clients, the meaning of requests.

mod blobs;
mod collect;
mod keys;
mod manifests;
mod objects;
mod s3;
mod untagged;
mod uploads;
mod wire;
mod writing;

use std::fmt;
use std::sync::Arc;

use hyper::body::Bytes;
use object_store::ObjectStore;
use plimsoll_content::{Algorithm, Descriptor, Digest, Result};
use plimsoll_registry::protocol::{Address, Repository, Tag};

use self::collect::Known;
use self::keys::Keys;
use self::objects::Objects;
pub use self::s3::Settings;
use super::{Answer, Append, Blob, Chunks, NewManifest, Put, Removal, Storage, Sweep, Swept};

/// Content in an object store.
#[derive(Clone)]
pub struct Bucket {
    objects: Arc<Objects>,
    known: Arc<Known>,
}

impl Bucket {
    /// A bucket of S3, or of what speaks its protocol.
    ///
    /// Errors with [`Code::Usage`](plimsoll_content::Code::Usage) if a setting
    /// makes no sense, and with
    /// [`Code::PlainHttp`](plimsoll_content::Code::PlainHttp) if secrets would
    /// go over the net in the clear. Nothing is asked of the store yet.
    pub fn s3(settings: &Settings) -> Result<Self> {
        let store = Arc::new(s3::open(settings)?);
        let signer = settings.redirect.then(|| Arc::clone(&store) as _);
        Self::new(store, signer, &settings.prefix)
    }

    /// Any object store that has conditional writes, below a prefix, which may
    /// be empty. Blobs go through the server.
    pub fn over(store: Arc<dyn ObjectStore>, prefix: &str) -> Result<Self> {
        Self::new(store, None, prefix)
    }

    fn new(
        store: Arc<dyn ObjectStore>,
        signer: Option<Arc<dyn object_store::signer::Signer>>,
        prefix: &str,
    ) -> Result<Self> {
        let keys = Keys::new(prefix)?;
        Ok(Self { objects: Arc::new(Objects { store, signer, keys }), known: Arc::default() })
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No settings: there may be secrets among them.
        write!(f, "Bucket({})", self.objects.store)
    }
}

impl Storage for Bucket {
    fn repositories(&self, after: Option<String>, most: usize) -> Answer<'_, Vec<Repository>> {
        Box::pin(async move { self.objects.repositories(after.as_deref(), most).await })
    }

    fn tags(
        &self,
        name: &Repository,
        after: Option<String>,
        most: usize,
    ) -> Answer<'_, Option<Vec<String>>> {
        let name = name.clone();
        Box::pin(async move { self.objects.tags(&name, after.as_deref(), most).await })
    }

    fn manifest(&self, name: &Repository, address: &Address) -> Answer<'_, Option<Descriptor>> {
        let (name, address) = (name.clone(), address.clone());
        Box::pin(async move { self.objects.manifest(&name, &address).await })
    }

    fn manifest_bytes(
        &self,
        _name: &Repository,
        manifest: &Descriptor,
    ) -> Answer<'_, Option<Bytes>> {
        let manifest = manifest.clone();
        Box::pin(async move { self.objects.manifest_bytes(&manifest).await })
    }

    fn put_manifest(&self, name: &Repository, manifest: NewManifest) -> Answer<'_, Put> {
        let name = name.clone();
        Box::pin(async move { self.objects.put_manifest(&name, manifest).await })
    }

    fn remove_tag(&self, name: &Repository, tag: &Tag) -> Answer<'_, bool> {
        let (name, tag) = (name.clone(), tag.clone());
        Box::pin(async move { self.objects.turn_tag(&name, tag.as_str(), None, |_| true).await })
    }

    fn remove_manifest(&self, name: &Repository, digest: &Digest) -> Answer<'_, Removal> {
        let (name, digest) = (name.clone(), digest.clone());
        Box::pin(async move { self.objects.remove_manifest(&name, &digest).await })
    }

    fn referrers(&self, name: &Repository, subject: &Digest) -> Answer<'_, Vec<Descriptor>> {
        let (name, subject) = (name.clone(), subject.clone());
        Box::pin(async move { self.objects.referrers(&name, &subject).await })
    }

    fn blob(&self, name: &Repository, digest: &Digest) -> Answer<'_, Option<Box<dyn Blob>>> {
        let (name, digest) = (name.clone(), digest.clone());
        Box::pin(async move { self.objects.find(&name, &digest).await })
    }

    fn keep_blob(&self, name: &Repository, digest: &Digest) -> Answer<'_, Option<u64>> {
        let (name, digest) = (name.clone(), digest.clone());
        Box::pin(async move { self.objects.keep(&name, &digest).await })
    }

    fn mount(
        &self,
        name: &Repository,
        digest: &Digest,
        from: Option<&Repository>,
    ) -> Answer<'_, bool> {
        let (name, digest, from) = (name.clone(), digest.clone(), from.cloned());
        Box::pin(async move { self.objects.mount(&name, &digest, from.as_ref()).await })
    }

    fn remove_blob(&self, name: &Repository, digest: &Digest) -> Answer<'_, Removal> {
        let (name, digest) = (name.clone(), digest.clone());
        Box::pin(async move {
            let objects = &self.objects;
            if objects.is_manifest(&name, &digest).await? {
                return Ok(Removal::Refused);
            }
            if objects.keep(&name, &digest).await?.is_none() {
                return Ok(Removal::Unknown);
            }
            objects.delete(&objects.keys.link(&name, &digest)?).await?;
            Ok(Removal::Done)
        })
    }

    fn begin(&self, name: &Repository, upload: &str, likely: Algorithm) -> Answer<'_, ()> {
        let (name, upload) = (name.clone(), upload.to_owned());
        Box::pin(async move { self.objects.begin(&name, &upload, likely).await })
    }

    fn received(&self, name: &Repository, upload: &str) -> Answer<'_, Option<u64>> {
        let (name, upload) = (name.clone(), upload.to_owned());
        Box::pin(async move {
            let session = self.objects.session(&name, &upload).await?;
            Ok(session.map(|(session, _)| session.length))
        })
    }

    fn append<'a>(
        &'a self,
        name: &Repository,
        upload: &str,
        at: Option<u64>,
        chunks: Box<dyn Chunks + 'a>,
    ) -> Answer<'a, Append> {
        let (name, upload) = (name.clone(), upload.to_owned());
        Box::pin(async move { self.objects.append(&name, &upload, at, chunks).await })
    }

    fn finish(&self, name: &Repository, upload: &str, digest: &Digest) -> Answer<'_, Option<u64>> {
        let (name, upload, digest) = (name.clone(), upload.to_owned(), digest.clone());
        Box::pin(async move { self.objects.finish(&name, &upload, &digest).await })
    }

    fn cancel(&self, name: &Repository, upload: &str) -> Answer<'_, bool> {
        let (name, upload) = (name.clone(), upload.to_owned());
        Box::pin(async move {
            let Some((session, _)) = self.objects.session(&name, &upload).await? else {
                return Ok(false);
            };
            self.objects.give_up(&upload, &session).await?;
            Ok(true)
        })
    }

    fn collect(&self, sweep: Sweep) -> Answer<'_, Swept> {
        Box::pin(async move { self.objects.collect(sweep, &self.known).await })
    }
}
