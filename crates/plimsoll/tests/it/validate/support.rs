//! A layout that a test makes by hand, and may break.

use std::fs;
use std::path::{Path, PathBuf};

use plimsoll::content::{Algorithm, Descriptor, Digest, MediaType, Quiet, Result};
use plimsoll::layer::tar::Writer;
use plimsoll::layer::{Entry, EntryKind, Limits, RelPath, Timestamp};
use plimsoll::place::Home;
use plimsoll::reference::{At, Reference, Which};
use plimsoll::store::Form;
use plimsoll::validate::Report;
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A plain layer.
pub(crate) struct Tar(Writer<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self(Writer::new(Vec::new()))
    }

    pub(crate) fn file(self, path: &str, content: &str) -> Self {
        self.bytes(path, content.as_bytes())
    }

    pub(crate) fn bytes(self, path: &str, content: &[u8]) -> Self {
        self.entry(path, EntryKind::File { size: content.len() as u64 }, content)
    }

    pub(crate) fn dir(self, path: &str) -> Self {
        self.entry(path, EntryKind::Directory, b"")
    }

    pub(crate) fn hard(self, path: &str, target: &str) -> Self {
        let target = RelPath::parse(target.as_bytes()).expect("a path");
        self.entry(path, EntryKind::Hardlink { target }, b"")
    }

    pub(crate) fn link(self, path: &str, target: &str) -> Self {
        self.entry(path, EntryKind::Symlink { target: target.into() }, b"")
    }

    fn entry(mut self, path: &str, kind: EntryKind, content: &[u8]) -> Self {
        let entry = Entry {
            path: RelPath::parse(path.as_bytes()).expect("a path"),
            kind,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Timestamp::EPOCH,
            xattrs: Vec::new(),
        };
        self.0.append(&entry, content).expect("written");
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0.finish().expect("finished")
    }
}

/// A layout in a folder of its own.
pub(crate) struct Bench(tempfile::TempDir);

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir_all(bench.path("blobs/sha256")).expect("folders");
        bench.put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("written");
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("there");
    }

    /// Adds a blob, and gives its descriptor.
    pub(crate) fn blob(&self, kind: &str, bytes: &[u8]) -> Value {
        let blob = Descriptor::of(MediaType::from(kind), Algorithm::Sha256, bytes);
        let blob = serde_json::to_value(blob).expect("JSON");
        self.put(&blob_path(&blob), bytes);
        blob
    }

    /// An image of these plain layers; gives its manifest and config.
    pub(crate) fn image(&self, layers: &[Vec<u8>]) -> (Value, Value) {
        let diff_ids: Vec<_> =
            layers.iter().map(|layer| Digest::of(Algorithm::Sha256, layer)).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let layers: Vec<_> = layers
            .iter()
            .map(|layer| self.blob("application/vnd.oci.image.layer.v1.tar", layer))
            .collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers,
            "config": {"mediaType": CONFIG},
        });
        self.replace(manifest.clone(), &config);
        (manifest, config)
    }

    /// A small image without fault.
    pub(crate) fn good(&self) -> (Value, Value) {
        let layer = Tar::new()
            .dir("etc")
            .file("etc/passwd", "root:x:0:0::/:\napp:x:1000:1000::/:\n")
            .file("etc/group", "app:x:1000:\n")
            .link("etc/motd", "passwd");
        self.image(&[layer.done()])
    }

    /// Writes both documents, and gives the descriptor of the manifest.
    pub(crate) fn write(&self, mut manifest: Value, config: &Value) -> Value {
        if manifest["config"]["digest"].is_null() {
            let kind = manifest["config"]["mediaType"].as_str().expect("a type").to_owned();
            manifest["config"] = self.blob(&kind, config.to_string().as_bytes());
        }
        let kind = manifest["mediaType"].as_str().expect("a type").to_owned();
        let mut entry = self.blob(&kind, manifest.to_string().as_bytes());
        entry["platform"] = json!({"architecture": "amd64", "os": "linux"});
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
        entry
    }

    /// Makes this the only image, and removes what is left of another one.
    pub(crate) fn replace(&self, manifest: Value, config: &Value) {
        let entry = self.write(manifest, config);
        self.list(vec![entry.clone()]);
        let text = fs::read_to_string(self.path(&blob_path(&entry))).expect("there");
        for blob in fs::read_dir(self.path("blobs/sha256")).expect("a folder") {
            let name = blob.expect("an entry").file_name().into_string().expect("UTF-8");
            if !text.contains(&name) && !blob_path(&entry).ends_with(&name) {
                self.remove(&format!("blobs/sha256/{name}"));
            }
        }
    }

    /// Lists these in `index.json`.
    pub(crate) fn list(&self, entries: Vec<Value>) {
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": entries,
        });
        self.put("index.json", index.to_string().as_bytes());
    }

    /// The layout as an archive, without what is called `leave` and with some
    /// files more.
    pub(crate) fn archive(&self, leave: &str, more: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = Tar::new();
        let blobs = fs::read_dir(self.path("blobs/sha256")).expect("a folder");
        let blobs = blobs.map(|entry| {
            format!("blobs/sha256/{}", entry.expect("an entry").file_name().display())
        });
        for name in ["oci-layout".to_owned(), "index.json".to_owned()].into_iter().chain(blobs) {
            if name != leave {
                let bytes = fs::read(self.path(&name)).expect("there");
                tar = tar.bytes(&name, &bytes);
            }
        }
        more.iter().fold(tar, |tar, (name, text)| tar.file(name, text)).done()
    }

    pub(crate) fn report(&self) -> Report {
        validate(self.0.path()).expect("a report")
    }
}

pub(crate) fn validate(layout: &Path) -> Result<Report> {
    let reference = Reference::Layout { path: layout.to_owned(), which: Which::Only };
    Home::new(layout.join("no-store")).validate(&reference, Limits::default(), &Quiet)
}

pub(crate) fn validate_named(layout: &Path, name: &str) -> Result<Report> {
    let which = Which::Name(name.to_owned());
    let reference = Reference::Layout { path: layout.to_owned(), which };
    Home::new(layout.join("no-store")).validate(&reference, Limits::default(), &Quiet)
}

pub(crate) fn validate_archive(file: &Path) -> Result<Report> {
    let at = At::File(file.to_owned());
    let reference = Reference::Archive { form: Some(Form::Oci), at, which: Which::Only };
    Home::new(file.with_extension("store")).validate(&reference, Limits::default(), &Quiet)
}

pub(crate) fn blob_path(descriptor: &Value) -> String {
    let digest = descriptor["digest"].as_str().expect("a digest");
    format!("blobs/{}", digest.replace(':', "/"))
}
