//! What is asked of an object store: few calls, with errors of ours.

use std::sync::Arc;

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use hyper::body::Bytes;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{
    Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload,
    UpdateVersion,
};
use plimsoll_content::{Code, Error, Result};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::keys::Keys;

/// How many requests one operation has under way at once.
pub(super) const AT_ONCE: usize = 16;

/// The largest document of ours that is read.
const DOCUMENT: u64 = 16 << 20;

/// What became of a conditional write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wrote {
    Yes,
    /// Somebody else was there first.
    Lost,
}

/// A bucket, or a prefix in one.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) signer: Option<Arc<dyn Signer>>,
    pub(super) keys: Keys,
}

impl Objects {
    pub(super) async fn head(&self, key: &Path) -> Result<Option<ObjectMeta>> {
        found("looking for", key, self.store.head(key).await)
    }

    pub(super) async fn get(&self, key: &Path) -> Result<Option<(Bytes, UpdateVersion)>> {
        let Some(object) = found("reading", key, self.store.get(key).await)? else {
            return Ok(None);
        };
        if object.meta.size > DOCUMENT {
            return Err(Error::new(Code::Malformed, format!("reading {key}"))
                .found(format!("{} bytes", object.meta.size))
                .expected("a document of this registry"));
        }
        let version = UpdateVersion {
            e_tag: object.meta.e_tag.clone(),
            version: object.meta.version.clone(),
        };
        // It may be removed while it is read.
        let bytes = found("reading", key, object.bytes().await)?;
        Ok(bytes.map(|bytes| (bytes, version)))
    }

    /// A document of ours; an empty object counts as none.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        key: &Path,
    ) -> Result<Option<(T, UpdateVersion)>> {
        let Some((bytes, version)) = self.get(key).await? else { return Ok(None) };
        if bytes.is_empty() {
            return Ok(None);
        }
        let value = serde_json::from_slice(&bytes).map_err(|cause| {
            Error::new(Code::Malformed, format!("reading {key}")).found(&cause).cause(cause)
        })?;
        Ok(Some((value, version)))
    }

    /// Writes, whatever is there.
    pub(super) async fn put(&self, key: &Path, payload: PutPayload) -> Result<()> {
        let put = self.store.put(key, payload).await;
        put.map(|_| ()).map_err(|cause| failed("writing", key, cause))
    }

    /// Writes on a condition.
    pub(super) async fn put_if(
        &self,
        key: &Path,
        payload: PutPayload,
        mode: PutMode,
    ) -> Result<Wrote> {
        match self.store.put_opts(key, payload, mode.into()).await {
            Ok(_) => Ok(Wrote::Yes),
            Err(
                StoreError::AlreadyExists { .. }
                | StoreError::Precondition { .. }
                | StoreError::NotFound { .. },
            ) => Ok(Wrote::Lost),
            Err(cause) => Err(failed("writing", key, cause)),
        }
    }

    /// Removes; it need not be there.
    pub(super) async fn delete(&self, key: &Path) -> Result<()> {
        found("removing", key, self.store.delete(key).await).map(|_| ())
    }

    /// What lies below a key, in the order of the keys' bytes.
    pub(super) fn list(&self, below: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let told = below.clone();
        let listed = self.store.list(Some(below));
        Box::pin(listed.map_err(move |cause| failed("listing", &told, cause)))
    }

    /// The same, behind a key.
    pub(super) fn list_behind(
        &self,
        below: &Path,
        after: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let told = below.clone();
        let listed = self.store.list_with_offset(Some(below), after);
        Box::pin(listed.map_err(move |cause| failed("listing", &told, cause)))
    }

    /// Whether anything lies below a key.
    pub(super) async fn any(&self, below: &Path) -> Result<bool> {
        Ok(self.list(below).try_next().await?.is_some())
    }
}

/// A document of ours, as it is written.
pub(super) fn json(value: &impl Serialize) -> Result<PutPayload> {
    let bytes = serde_json::to_vec(value).map_err(|cause| {
        Error::new(Code::Bug, "writing a document of the registry").found(&cause).cause(cause)
    })?;
    Ok(PutPayload::from(bytes))
}

/// A name that nobody else gives.
pub(super) fn unique() -> Result<String> {
    let mut bytes = [0; 16];
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(16) => Ok(format!("{:032x}", u128::from_le_bytes(bytes))),
        Ok(_) => Err(Error::new(Code::Bug, "asking for random bytes").found("fewer than 16")),
        Err(errno) => Err(Error::io("asking for", "random bytes", errno.into())),
    }
}

/// What was found, or that nothing was.
fn found<T>(doing: &str, key: &Path, asked: object_store::Result<T>) -> Result<Option<T>> {
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(cause) => Err(failed(doing, key, cause)),
    }
}

/// An error of the store in words of ours.
pub(super) fn failed(doing: &str, key: &Path, cause: StoreError) -> Error {
    let code = match &cause {
        StoreError::NotFound { .. } => Code::NotFound,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            Code::Permission
        }
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => Code::Locked,
        _ => Code::Io,
    };
    Error::new(code, format!("{doing} {key} in the object store")).found(&cause).cause(cause)
}
