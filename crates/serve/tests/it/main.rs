//! A registry on loopback, asked as clients ask: the checks of the
//! distribution specification, and what it leaves to the registry.

mod auth;
mod client;
mod collect;
mod lists;
mod manifests;
#[cfg(feature = "s3")]
mod object;
mod places;
mod pull;
mod push;
mod survive;
mod untagged;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use plimsoll_content::{Algorithm, Digest};
use plimsoll_serve::storage::Storage;
use plimsoll_serve::storage::folder::Folder;
use plimsoll_serve::{Event, Identity, Log, Options, Request, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

use client::{Answer, Client};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A registry in a folder of its own, stopped when it is dropped.
struct Registry {
    client: Client,
    folder: TempDir,
    log: Arc<Kept>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What was told.
#[derive(Default)]
struct Kept {
    requests: Mutex<Vec<Request>>,
    events: Mutex<Vec<Event>>,
}

impl Log for Kept {
    fn request(&self, request: &Request) {
        self.requests.lock().expect("lock").push(request.clone());
    }

    fn event(&self, event: &Event) {
        self.events.lock().expect("lock").push(event.clone());
    }
}

impl Registry {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        #[cfg(feature = "s3")]
        if let Some(bucket) = object::chosen() {
            return Self::over(options, |_| bucket);
        }
        Self::over(options, |folder| {
            Folder::tree(&folder.join("root"), plimsoll_store::Options::default()).expect("folder")
        })
    }

    fn over<S: Storage + 'static>(options: Options, storage: impl FnOnce(&Path) -> S) -> Self {
        let folder = TempDir::new().expect("folder");
        let storage = storage(folder.path());
        Self::of(options, None, storage, folder)
    }

    fn of(
        options: Options,
        identity: Option<Identity>,
        storage: impl Storage + 'static,
        folder: TempDir,
    ) -> Self {
        static NUMBER: AtomicU8 = AtomicU8::new(0);
        let log = Arc::new(Kept::default());
        let listen = "127.0.0.1:0".parse().expect("address");
        let storage: Arc<dyn Storage> = Arc::new(storage);
        let told: Arc<dyn Log> = Arc::<Kept>::clone(&log);
        // Each server has its own, as several may be before one storage.
        let secret = [NUMBER.fetch_add(1, Ordering::Relaxed); 32];
        let server =
            Server::bind(listen, identity, storage, options, told, secret).expect("listening");
        let client = Client::new(server.address().expect("address"));
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = Some(std::thread::spawn(move || server.run(&flag)));
        Self { client, folder, log, stop, thread }
    }

    /// Stops it, and gives the folder back.
    fn stopped(mut self) -> TempDir {
        self.end();
        let other = TempDir::new().expect("folder");
        std::mem::replace(&mut self.folder, other)
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("ended");
        }
    }

    /// Whether it lies in a folder, which a test may look into.
    fn in_folder(&self) -> bool {
        self.root().is_dir()
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::ops::Deref for Registry {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

/// Bytes that do not repeat soon.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8 ^ (at >> 8) as u8).collect()
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": sha256(bytes).to_string(), "size": bytes.len()})
}

impl Client {
    /// Pushes a blob in one request.
    fn blob(&self, name: &str, bytes: &[u8]) -> Digest {
        let digest = sha256(bytes);
        let answer =
            self.send("POST", &format!("/v2/{name}/blobs/uploads/?digest={digest}"), bytes);
        answer.is(201);
        digest
    }

    /// Pushes config and layer, and gives a manifest of them.
    fn parts(&self, name: &str, layer: &[u8]) -> Value {
        self.blob(name, b"{}");
        self.blob(name, layer);
        json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.empty.v1+json", b"{}"),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        })
    }

    /// Pushes a small image under a tag or, for `None`, by its digest.
    fn image(&self, name: &str, tag: Option<&str>, layer: &[u8]) -> (Vec<u8>, Digest) {
        let manifest = self.parts(name, layer).to_string().into_bytes();
        let digest = sha256(&manifest);
        self.put(name, &tag.map_or_else(|| digest.to_string(), str::to_owned), MANIFEST, &manifest)
            .is(201);
        (manifest, digest)
    }

    fn put(&self, name: &str, reference: &str, media_type: &str, bytes: &[u8]) -> Answer {
        let path = format!("/v2/{name}/manifests/{reference}");
        self.request("PUT", &path, &[("Content-Type", media_type)], bytes)
    }

    fn get(&self, path: &str) -> Answer {
        self.send("GET", path, b"")
    }

    fn head(&self, path: &str) -> Answer {
        self.send("HEAD", path, b"")
    }

    fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, b"")
    }

    fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.request(method, path, &[], body)
    }
}
