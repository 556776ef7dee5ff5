//! Layouts and images to test with, built by code.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use plimsoll_content::{
    Algorithm, Code, Descriptor, Document, Error, MediaType, Result, Sealing, Sink, Source,
};
use plimsoll_spec::{Index, Manifest, media_type};
use plimsoll_store::Layout;

/// A folder of its own for a test, with an empty layout in it.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) layout: Layout,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let layout = Layout::create(&folder.path().join("image")).expect("layout");
        Self { folder, layout }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.layout.path().join(name)
    }

    pub(crate) fn blob(&self, descriptor: &Descriptor) -> PathBuf {
        let digest = &descriptor.digest;
        self.path("blobs").join(digest.algorithm_name()).join(digest.encoded())
    }

    /// `index.json` with the named members beside `manifests`.
    pub(crate) fn set_index(&self, text: &str) {
        fs::write(self.path("index.json"), text).expect("written");
    }

    pub(crate) fn staging_is_empty(&self) -> bool {
        match fs::read_dir(self.path(".plimsoll/staging")) {
            Ok(mut names) => names.next().is_none(),
            Err(_) => true,
        }
    }
}

/// Writes a blob of any content.
pub(crate) fn put(layout: &Layout, bytes: &[u8]) -> Descriptor {
    let blob = Descriptor::of(MediaType::from("text/plain"), Algorithm::Sha256, bytes);
    (layout as &dyn Sink).write(&blob, bytes).expect("written")
}

/// Writes an image of one layer.
pub(crate) fn image(layout: &Layout, seed: &str) -> Descriptor {
    let (manifest, bytes) = manifest(layout, seed);
    (layout as &dyn Sink).write(&manifest, &bytes).expect("written")
}

/// Writes config and layer of an image, and gives its manifest.
pub(crate) fn manifest(layout: &Layout, seed: &str) -> (Descriptor, Vec<u8>) {
    let config = Descriptor {
        media_type: media_type::CONFIG,
        ..put(layout, format!("{{\"config of\":\"{seed}\"}}").as_bytes())
    };
    let layer = Descriptor {
        media_type: media_type::LAYER,
        ..put(layout, format!("layer of {seed}").as_bytes())
    };
    let text = format!(
        r#"{{"config":{},"layers":[{}],"mediaType":"{}","schemaVersion":2}}"#,
        serde_json::to_string(&config).expect("json"),
        serde_json::to_string(&layer).expect("json"),
        media_type::MANIFEST
    );
    Document::<Manifest>::parse(text.as_bytes()).expect("a manifest");
    (Descriptor::of(media_type::MANIFEST, Algorithm::Sha256, text.as_bytes()), text.into_bytes())
}

/// Writes an index of these.
pub(crate) fn index(layout: &Layout, entries: Vec<Descriptor>) -> Descriptor {
    let document = Document::new(Index::new(entries)).expect("an index");
    let descriptor = document.descriptor(media_type::INDEX, Algorithm::Sha256);
    (layout as &dyn Sink).write(&descriptor, document.bytes()).expect("written")
}

/// Reads a blob, proved.
pub(crate) fn read(layout: &Layout, blob: &Descriptor) -> Result<Vec<u8>> {
    layout.open(blob)?.read_all()
}

pub(crate) fn code<T>(result: Result<T>) -> Code {
    result.map(|_| ()).expect_err("refused").code()
}

/// Commits bytes in chunks, with a failure after so many.
pub(crate) fn ingest(layout: &Layout, bytes: &[u8], fail_at: Option<usize>) -> Result<Descriptor> {
    let mut ingest = layout.begin()?;
    let mut sealing = Sealing::new(&mut *ingest, Algorithm::Sha256);
    let end = fail_at.unwrap_or(bytes.len());
    for chunk in bytes[..end].chunks(7) {
        sealing.write_all(chunk).map_err(|cause| Error::io("writing", "test", cause))?;
    }
    if fail_at.is_some() {
        return Err(Error::new(Code::Interrupted, "writing a test blob"));
    }
    let (proof, _) = sealing.finish(MediaType::from("text/plain"));
    ingest.commit(proof)
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// All paths below a folder, with modes and contents.
pub(crate) fn snapshot(folder: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt;
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("listed") {
            let path = entry.expect("entry").path();
            let data = path.symlink_metadata().expect("there");
            let content = if data.is_file() {
                fs::read(&path).expect("read")
            } else {
                if data.is_dir() {
                    folders.push(path.clone());
                }
                Vec::new()
            };
            found.push((path, data.mode(), content));
        }
    }
    found.sort();
    found
}
