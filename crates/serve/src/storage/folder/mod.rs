//! A registry in a folder: each repository is an OCI layout in it, which any
//! tool reads; or one layout, or the local store, as it lies.
//!
//! What does not live here: how a layout is written (`plimsoll-store`), with
//! its locks and its promises. Every call is a piece of blocking work on a
//! thread for it.

mod content;
mod naming;
mod room;
mod uploads;
mod view;
mod walk;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::body::Bytes;
use plimsoll_content::{Algorithm, Code, Descriptor, Digest, Error, Result};
use plimsoll_registry::protocol::{Address, Repository, Tag};
use plimsoll_store::{Layout, Options, Store, document};

use self::content::BlobFile;
use self::naming::Naming;
use self::room::{Room, lock};
use self::uploads::{Key, Uploads, Work};
pub(crate) use self::view::referrer;
use self::walk::Walk;
use super::{Answer, Append, Blob, Chunks, NewManifest, Put, Removal, Storage, Sweep, Swept};

/// How many layouts are held open; those that are in use are open besides.
const OPEN: usize = 256;

/// How much of an upload is gathered before it is written and hashed.
const GATHERED: usize = 256 << 10;

/// Content in a folder of this machine.
#[derive(Clone)]
pub struct Folder {
    inner: Arc<Inner>,
}

struct Inner {
    shape: Shape,
    options: Options,
    rooms: Mutex<HashMap<Repository, Arc<Room>>>,
    uploads: Arc<Uploads>,
}

enum Shape {
    /// A folder of layouts.
    Tree(PathBuf),
    /// One layout, whatever repository is asked for.
    One(Arc<Room>),
}

impl Folder {
    /// A folder in which each repository has a layout of its own: `org/app`
    /// lies at `ROOT/org/app`. The folder is made if it is missing.
    pub fn tree(root: &Path, options: Options) -> Result<Self> {
        fs::create_dir_all(root)
            .map_err(|cause| Error::io("making the folder to serve", root.display(), cause))?;
        if root.join("oci-layout").is_file() {
            let error = Error::new(Code::Usage, format!("serving the folder {}", root.display()));
            return Err(error
                .found("a layout")
                .expected("a folder of layouts, one for each repository")
                .fix(format!("plimsoll serve oci:{}", root.display())));
        }
        Ok(Self::new(Shape::Tree(root.to_owned()), options))
    }

    /// One layout as it lies; it is made if it is missing. Its plain names
    /// are the tags of `base`, and a name such as `org/app:v1` is a tag of that
    /// repository. Without a base, the layout's folder gives its name.
    pub fn layout(path: &Path, base: Option<Repository>, options: Options) -> Result<Self> {
        let layout = Layout::open_or_create_with(path, options)?;
        let named = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let base = base.unwrap_or_else(|| naming::repository_of(&named));
        let naming = Naming { base: Some(base), others: true };
        Ok(Self::new(Shape::One(Arc::new(Room::new(layout, naming))), options))
    }

    /// The local store: a name such as `org/app:v1` is a tag of that
    /// repository, and a name without a tag is its `latest`.
    pub fn store(path: &Path, options: Options) -> Result<Self> {
        Store::open_with(path, options)?;
        let layout = Layout::open_with(path, options)?;
        let naming = Naming { base: None, others: true };
        Ok(Self::new(Shape::One(Arc::new(Room::new(layout, naming))), options))
    }

    fn new(shape: Shape, options: Options) -> Self {
        let (rooms, uploads) = (Mutex::default(), Arc::default());
        Self { inner: Arc::new(Inner { shape, options, rooms, uploads }) }
    }

    /// Does blocking work on a thread for it.
    fn work<'a, T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Answer<'a, T> {
        let inner = Arc::clone(&self.inner);
        Box::pin(blocking(move || work(&inner)))
    }
}

/// Does blocking work on a thread for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|cause| {
        Err(Error::new(Code::Bug, "working for a request").found(&cause).cause(cause))
    })
}

impl Inner {
    /// The layout of a repository; `None` if there is none.
    fn room(&self, name: &Repository) -> Result<Option<Arc<Room>>> {
        let root = match &self.shape {
            Shape::One(room) => return Ok(Some(Arc::clone(room))),
            Shape::Tree(root) => root,
        };
        let path = root.join(naming::path(name));
        let mut rooms = lock(&self.rooms);
        // Somebody may remove the folder of a repository.
        if !path.join("oci-layout").is_file() {
            rooms.remove(name);
            return Ok(None);
        }
        if let Some(room) = rooms.get(name) {
            return Ok(Some(Arc::clone(room)));
        }
        let layout = Layout::open_with(&path, self.options)?;
        let naming = Naming { base: Some(name.clone()), others: false };
        let room = Arc::new(Room::new(layout, naming));
        if rooms.len() >= OPEN {
            rooms.retain(|_, room| Arc::strong_count(room) > 1 || !room.is_idle());
        }
        rooms.insert(name.clone(), Arc::clone(&room));
        Ok(Some(room))
    }

    /// The same; made if it is missing.
    fn room_to_write(&self, name: &Repository) -> Result<Arc<Room>> {
        if let Some(room) = self.room(name)? {
            return Ok(room);
        }
        if let Shape::Tree(root) = &self.shape {
            let path = root.join(naming::path(name));
            let failed = |cause| Error::io("making layout", path.display(), cause);
            fs::create_dir_all(path.parent().unwrap_or(root)).map_err(failed)?;
            // The folder may hold repositories already, below this one.
            Layout::open_or_create_around(&path, self.options)?;
        }
        self.room(name)?.ok_or_else(|| {
            Error::new(Code::Bug, format!("making repository {name}")).found("none after it")
        })
    }

    /// The repositories behind one that have a layout below the root, or tags
    /// in the one.
    fn repositories(
        &self,
        after: Option<String>,
    ) -> Result<Box<dyn Iterator<Item = Result<Repository>>>> {
        Ok(match &self.shape {
            Shape::Tree(root) => Box::new(Walk::new(root, after)),
            Shape::One(room) => {
                let names: Vec<_> = room.view()?.repositories.keys().cloned().collect();
                let behind = move |name: &Repository| {
                    after.as_deref().is_none_or(|after| name.as_str() > after)
                };
                Box::new(names.into_iter().filter(behind).map(Ok))
            }
        })
    }

    /// The layouts that are there, each once.
    fn rooms(&self) -> Result<Vec<Arc<Room>>> {
        if let Shape::One(room) = &self.shape {
            return Ok(vec![Arc::clone(room)]);
        }
        let mut rooms = Vec::new();
        for name in self.repositories(None)? {
            rooms.extend(self.room(&name?)?);
        }
        Ok(rooms)
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}

impl Storage for Folder {
    fn repositories(&self, after: Option<String>, most: usize) -> Answer<'_, Vec<Repository>> {
        self.work(move |inner| {
            let mut found = Vec::new();
            if most == 0 {
                return Ok(found);
            }
            for name in inner.repositories(after)? {
                let name = name?;
                let Some(room) = inner.room(&name)? else { continue };
                // A layout in which no push came to an end is none yet.
                if !room.view()?.is_empty() {
                    found.push(name);
                    if found.len() == most {
                        break;
                    }
                }
            }
            Ok(found)
        })
    }

    fn tags(
        &self,
        name: &Repository,
        after: Option<String>,
        most: usize,
    ) -> Answer<'_, Option<Vec<String>>> {
        let name = name.clone();
        self.work(move |inner| {
            let Some(room) = inner.room(&name)? else { return Ok(None) };
            let view = room.view()?;
            let Some(tags) = view.repositories.get(&name) else {
                let there = matches!(inner.shape, Shape::Tree(_)) && !view.is_empty();
                return Ok(there.then(Vec::new));
            };
            let behind = tags.keys().filter(|tag| Some(*tag) > after.as_ref());
            Ok(Some(behind.take(most).cloned().collect()))
        })
    }

    fn manifest(&self, name: &Repository, address: &Address) -> Answer<'_, Option<Descriptor>> {
        let (name, address) = (name.clone(), address.clone());
        self.work(move |inner| {
            let Some(room) = inner.room(&name)? else { return Ok(None) };
            let view = room.view()?;
            let found = match &address {
                Address::Tag(tag) => view.tagged(&name, tag.as_str()),
                Address::Digest(digest) => view.document(digest),
            };
            let Some(found) = found else { return Ok(None) };
            let there = room.layout.blob_file(&found.digest)?.is_some();
            Ok(there.then(|| found.clone()))
        })
    }

    fn manifest_bytes(
        &self,
        name: &Repository,
        manifest: &Descriptor,
    ) -> Answer<'_, Option<Bytes>> {
        let (name, manifest) = (name.clone(), manifest.clone());
        self.work(move |inner| {
            let Some(room) = inner.room(&name)? else { return Ok(None) };
            match document::read(&*room.layout, &manifest) {
                Ok(bytes) => Ok(Some(Bytes::from(bytes))),
                Err(error) if error.code() == Code::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn put_manifest(&self, name: &Repository, manifest: NewManifest) -> Answer<'_, Put> {
        let name = name.clone();
        self.work(move |inner| {
            let room = inner.room_to_write(&name)?;
            room.store(now(), || room.put(&name, &manifest))
        })
    }

    fn remove_tag(&self, name: &Repository, tag: &Tag) -> Answer<'_, bool> {
        let (name, tag) = (name.clone(), tag.clone());
        self.work(move |inner| {
            inner.room(&name)?.map_or(Ok(false), |room| room.remove_tag(&name, &tag))
        })
    }

    fn remove_manifest(&self, name: &Repository, digest: &Digest) -> Answer<'_, Removal> {
        let (name, digest) = (name.clone(), digest.clone());
        self.work(move |inner| {
            let room = inner.room(&name)?;
            room.map_or(Ok(Removal::Unknown), |room| room.remove_manifest(&name, &digest))
        })
    }

    fn referrers(&self, name: &Repository, subject: &Digest) -> Answer<'_, Vec<Descriptor>> {
        let (name, subject) = (name.clone(), subject.clone());
        self.work(move |inner| {
            let Some(room) = inner.room(&name)? else { return Ok(Vec::new()) };
            Ok(room.view()?.about(&subject))
        })
    }

    fn blob(&self, name: &Repository, digest: &Digest) -> Answer<'_, Option<Box<dyn Blob>>> {
        let (name, digest) = (name.clone(), digest.clone());
        self.work(move |inner| {
            let Some(room) = inner.room(&name)? else { return Ok(None) };
            let found = room.layout.blob_file(&digest)?;
            Ok(found.map(|(file, size)| Box::new(BlobFile { file, size }) as Box<dyn Blob>))
        })
    }

    fn keep_blob(&self, name: &Repository, digest: &Digest) -> Answer<'_, Option<u64>> {
        let (name, digest) = (name.clone(), digest.clone());
        self.work(move |inner| {
            let Some(room) = inner.room(&name)? else { return Ok(None) };
            // Who asks for what is not there relies on nothing.
            if room.layout.blob_file(&digest)?.is_none() {
                return Ok(None);
            }
            room.store(now(), || room.keep(&digest))
        })
    }

    fn mount(
        &self,
        name: &Repository,
        digest: &Digest,
        from: Option<&Repository>,
    ) -> Answer<'_, bool> {
        let (name, digest, from) = (name.clone(), digest.clone(), from.cloned());
        self.work(move |inner| {
            let others = match &from {
                Some(from) => inner.room(from)?.into_iter().collect(),
                None => inner.rooms()?,
            };
            for other in others {
                if other.layout.blob_file(&digest)?.is_none() {
                    continue;
                }
                let room = inner.room_to_write(&name)?;
                if room.take_from(&other, &digest, now())? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    fn remove_blob(&self, name: &Repository, digest: &Digest) -> Answer<'_, Removal> {
        let (name, digest) = (name.clone(), digest.clone());
        self.work(move |inner| {
            let room = inner.room(&name)?;
            room.map_or(Ok(Removal::Unknown), |room| room.remove_blob(&digest))
        })
    }

    fn begin(&self, name: &Repository, upload: &str, likely: Algorithm) -> Answer<'_, ()> {
        let key: Key = (name.clone(), upload.to_owned());
        self.work(move |inner| {
            let room = inner.room_to_write(&key.0)?;
            room.store(now(), || inner.uploads.begin(&room.layout, &key, likely, now()))
        })
    }

    fn received(&self, name: &Repository, upload: &str) -> Answer<'_, Option<u64>> {
        let key: Key = (name.clone(), upload.to_owned());
        self.work(move |inner| {
            let Some(room) = inner.room(&key.0)? else { return Ok(None) };
            inner.uploads.length(&room.layout, &key)
        })
    }

    fn append<'a>(
        &'a self,
        name: &Repository,
        upload: &str,
        at: Option<u64>,
        mut chunks: Box<dyn Chunks + 'a>,
    ) -> Answer<'a, Append> {
        let key: Key = (name.clone(), upload.to_owned());
        Box::pin(async move {
            let Some(mut work) = self.take(key).await? else { return Ok(Append::Unknown) };
            let before = work.length();
            if at.is_some_and(|at| at != before) {
                work.rest(now());
                return Ok(Append::Gap(before));
            }
            loop {
                let (pieces, end) = gather(&mut *chunks).await;
                let (back, written) = blocking(move || {
                    let written = pieces.iter().try_for_each(|piece| work.write(piece));
                    Ok((work, written))
                })
                .await?;
                work = back;
                match written.and(end) {
                    Ok(false) => {}
                    Ok(true) => {
                        let length = work.length();
                        work.rest(now());
                        return Ok(Append::Length(length));
                    }
                    Err(error) => {
                        let undo = matches!(error.code(), Code::Size | Code::Limit);
                        return blocking(move || {
                            if undo {
                                work.cut(before)?;
                            }
                            work.rest(now());
                            Err(error)
                        })
                        .await;
                    }
                }
            }
        })
    }

    fn finish(&self, name: &Repository, upload: &str, digest: &Digest) -> Answer<'_, Option<u64>> {
        let (key, digest): (Key, _) = ((name.clone(), upload.to_owned()), digest.clone());
        self.work(move |inner| {
            let Some(room) = inner.room(&key.0)? else { return Ok(None) };
            let Some(work) = inner.uploads.take(&room.layout, &key)? else { return Ok(None) };
            room.store(now(), || work.finish(&digest).map(Some))
        })
    }

    fn cancel(&self, name: &Repository, upload: &str) -> Answer<'_, bool> {
        let key: Key = (name.clone(), upload.to_owned());
        self.work(move |inner| {
            let Some(room) = inner.room(&key.0)? else { return Ok(false) };
            let Some(work) = inner.uploads.take(&room.layout, &key)? else { return Ok(false) };
            work.cancel()?;
            Ok(true)
        })
    }

    fn collect(&self, sweep: Sweep) -> Answer<'_, Swept> {
        self.work(move |inner| {
            let mut swept = Swept::default();
            for room in inner.rooms()? {
                // What is broken in one stops none of the others.
                if let Err(error) = room.collect(sweep, &mut swept) {
                    let place = room.layout.path().display();
                    swept.failures.push(format!("{place}: {}: {error}", error.code()));
                }
            }
            Ok(swept)
        })
    }

    fn rest(&self, before: i64) {
        self.inner.uploads.rest(before);
        if let Shape::One(room) = &self.inner.shape {
            room.rest(before);
        }
        for room in lock(&self.inner.rooms).values() {
            room.rest(before);
        }
    }
}

impl Folder {
    async fn take(&self, key: Key) -> Result<Option<Work>> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let Some(room) = inner.room(&key.0)? else { return Ok(None) };
            inner.uploads.take(&room.layout, &key)
        })
        .await
    }
}

/// Some of what comes, and whether that is the end of it.
async fn gather(chunks: &mut dyn Chunks) -> (Vec<Bytes>, Result<bool>) {
    let (mut pieces, mut length) = (Vec::new(), 0);
    while length < GATHERED {
        match chunks.next().await {
            Ok(Some(piece)) => {
                length += piece.len();
                pieces.push(piece);
            }
            Ok(None) => return (pieces, Ok(true)),
            Err(error) => return (pieces, Err(error)),
        }
    }
    (pieces, Ok(false))
}
