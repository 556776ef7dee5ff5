//! Content: who holds it, for how long it was promised, how it is read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use futures_util::future::{BoxFuture, try_join};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, Stream};
use hyper::Method;
use hyper::body::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore, PutPayload};
use plimsoll_content::{Code, Digest, Error, Result};
use plimsoll_registry::protocol::Repository;
use tokio::time::{Instant, sleep};

use super::objects::{Objects, failed, unique};
use crate::storage::{Blob, Chunks};

/// For how long the mark of a collection counts. What was killed while it
/// collected is out of the way then.
pub(super) const CONDEMNED: Duration = Duration::from_mins(10);

/// How long somebody who stores waits until a collection is past its content.
const WAIT: Duration = Duration::from_secs(20);

/// How long an address that needs no login is good.
const SIGNED: Duration = Duration::from_mins(15);

impl Objects {
    /// Whether a repository holds some content.
    pub(super) async fn linked(&self, name: &Repository, digest: &Digest) -> Result<bool> {
        Ok(self.head(&self.keys.link(name, digest)?).await?.is_some())
    }

    /// Promises content to a repository: from now on no collection that has
    /// not marked it yet removes it for the grace period. Whether one has, is
    /// to be asked after this.
    pub(super) async fn promise(&self, name: &Repository, digest: &Digest) -> Result<()> {
        // Another content each time, so that a collection sees it by the ETag.
        let payload = PutPayload::from(unique()?.into_bytes());
        self.put(&self.keys.link(name, digest)?, payload).await
    }

    /// Whether a collection is about to remove some content.
    pub(super) async fn condemned(&self, digest: &Digest) -> Result<bool> {
        let mark = self.head(&self.keys.condemned(digest)?).await?;
        Ok(mark.is_some_and(|mark| !is_older(&mark, CONDEMNED)))
    }

    /// Waits until no collection is about to remove some content: it is there
    /// to stay then, or it is gone.
    pub(super) async fn settled(&self, digest: &Digest) -> Result<()> {
        let begun = Instant::now();
        while self.condemned(digest).await? {
            if begun.elapsed() > WAIT {
                return Err(Error::new(Code::Locked, format!("storing {digest}"))
                    .found("a collection that is about to remove it")
                    .expected("its end"));
            }
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// The length of some content.
    pub(super) async fn length(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self.head(&self.keys.content(digest)?).await?.map(|found| found.size))
    }

    /// Promises content to a repository that has proved it, and gives the
    /// length of what lies there already and stays.
    pub(super) async fn claim(&self, name: &Repository, digest: &Digest) -> Result<Option<u64>> {
        self.promise(name, digest).await?;
        self.settled(digest).await?;
        self.length(digest).await
    }

    /// Makes sure of the link, when content is there that was claimed: a
    /// collection may have removed it with what lay there before.
    pub(super) async fn hold(&self, name: &Repository, digest: &Digest) -> Result<()> {
        if self.linked(name, digest).await? { Ok(()) } else { self.promise(name, digest).await }
    }

    /// The length of a blob, which is promised with this.
    pub(super) async fn keep(&self, name: &Repository, digest: &Digest) -> Result<Option<u64>> {
        if !self.linked(name, digest).await? {
            return Ok(None);
        }
        self.promised(name, digest).await
    }

    /// Promises content to a repository if it is there and stays.
    pub(super) async fn promised(&self, name: &Repository, digest: &Digest) -> Result<Option<u64>> {
        if self.length(digest).await?.is_none() {
            return Ok(None);
        }
        self.promise(name, digest).await?;
        // In this order: where no mark is seen because the collection is over,
        // its content is seen to be gone.
        if self.condemned(digest).await? {
            return Ok(None);
        }
        self.length(digest).await
    }

    /// Finds a blob, and, if that is wanted, an address for it.
    pub(super) async fn find(
        &self,
        name: &Repository,
        digest: &Digest,
    ) -> Result<Option<Box<dyn Blob>>> {
        let key = self.keys.content(digest)?;
        let (linked, content) = try_join(self.linked(name, digest), self.head(&key)).await?;
        let Some(content) = content.filter(|_| linked) else { return Ok(None) };
        let elsewhere = match &self.signer {
            None => None,
            Some(signer) => {
                let signed = signer.signed_url(Method::GET, &key, SIGNED).await;
                Some(signed.map_err(|cause| failed("signing", &key, cause))?.to_string())
            }
        };
        Ok(Some(Box::new(Found { elsewhere, ..self.object(key, content.size) })))
    }

    /// An object to be read.
    pub(super) fn object(&self, key: Path, size: u64) -> Found {
        Found { store: Arc::clone(&self.store), key, size, elsewhere: None }
    }

    /// Takes a blob over from another repository, or from any.
    pub(super) async fn mount(
        &self,
        name: &Repository,
        digest: &Digest,
        from: Option<&Repository>,
    ) -> Result<bool> {
        let there = match from {
            Some(from) => self.linked(from, digest).await?,
            None => self.any(&self.keys.links(digest)?).await?,
        };
        Ok(there && self.promised(name, digest).await?.is_some())
    }
}

/// Whether an object was written longer ago than that.
pub(super) fn is_older(object: &ObjectMeta, age: Duration) -> bool {
    let written = SystemTime::from(object.last_modified);
    SystemTime::now().duration_since(written).is_ok_and(|since| since > age)
}

/// An object that was found.
pub(super) struct Found {
    store: Arc<dyn ObjectStore>,
    key: Path,
    size: u64,
    elsewhere: Option<String>,
}

impl Blob for Found {
    fn size(&self) -> u64 {
        self.size
    }

    fn elsewhere(&self) -> Option<String> {
        self.elsewhere.clone()
    }

    fn read(self: Box<Self>, first: u64, length: u64) -> Box<dyn Chunks> {
        let told = self.key.clone();
        if length == 0 {
            return Box::new(Reading { state: State::Over, key: told });
        }
        let asked = async move {
            let options =
                GetOptions { range: Some((first..first + length).into()), ..GetOptions::default() };
            Ok(self.store.get_opts(&self.key, options).await?.into_stream())
        };
        Box::new(Reading { state: State::Asking(asked.boxed()), key: told })
    }
}

type Pieces = BoxStream<'static, object_store::Result<Bytes>>;

/// An object that is read.
struct Reading {
    state: State,
    key: Path,
}

enum State {
    Asking(BoxFuture<'static, object_store::Result<Pieces>>),
    Coming(Pieces),
    Over,
}

impl Chunks for Reading {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let next = loop {
            match &mut self.state {
                State::Over => break None,
                State::Asking(asking) => match ready!(asking.as_mut().poll(context)) {
                    Ok(pieces) => self.state = State::Coming(pieces),
                    Err(cause) => break Some(Err(cause)),
                },
                State::Coming(pieces) => match ready!(Pin::new(pieces).poll_next(context)) {
                    Some(Ok(piece)) if piece.is_empty() => {}
                    next => break next,
                },
            }
        };
        if !matches!(next, Some(Ok(_))) {
            self.state = State::Over;
        }
        Poll::Ready(next.map(|piece| piece.map_err(|cause| failed("reading", &self.key, cause))))
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn what_is_gone_while_it_is_read_is_an_error_and_not_an_end() {
        let store = Arc::new(InMemory::new());
        let key = Path::from("x");
        let found = Found { store, key, size: 5, elsewhere: None };
        let mut chunks = Box::new(found).read(0, 5);
        let first = std::future::poll_fn(|context| chunks.poll_next(context)).await;
        assert!(first.is_some_and(|first| first.is_err()));
        let second = std::future::poll_fn(|context| chunks.poll_next(context)).await;
        assert!(second.is_none());
        let store = Arc::new(InMemory::new());
        store.put(&Path::from("x"), "hello".into()).await.expect("put");
        let found = Found { store, key: Path::from("x"), size: 5, elsewhere: None };
        let mut chunks = Box::new(found).read(1, 3);
        let first = std::future::poll_fn(|context| chunks.poll_next(context)).await;
        assert_eq!(first.expect("a piece").expect("good"), "ell");
    }
}
