//! A small image, changed in any way: validating ends in a report that is
//! bounded, a changed byte under a digest is found, and what has no errors
//! is read by everybody else here.
//!
//! The first byte says what becomes of the change. 0: digests stay, so that it
//! is damage. 1: digests above it are made anew, so that the content is judged.
//! 2: the same, and the rest of the input takes the place of a whole blob. The
//! second byte says which blob; then come pieces of three bytes, two for a
//! place and one for what stands there.
#![no_main]

use std::collections::BTreeMap;
use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use plimsoll::validate::validate;
use plimsoll_content::{
    Algorithm, Code, Descriptor, Digest, Document, Error, MediaType, Quiet, Result, Source,
    Unverified,
};
use plimsoll_layer::tar::Writer;
use plimsoll_layer::{Entry, EntryKind, Limits, RelPath, Timestamp};
use plimsoll_spec::{Config, Manifest, media_type};

/// The blobs of the image, the lowest first.
const LAYER: usize = 0;
const CONFIG: usize = 1;
const MANIFEST: usize = 2;
const INDEX: usize = 3;

fuzz_target!(|input: &[u8]| {
    let [how, which, rest @ ..] = input else { return };
    let which = usize::from(*which) % 4;
    let good = image(None);
    let mut bytes = good[which].clone();
    if *how == 2 {
        bytes = rest.to_vec();
    } else {
        for piece in rest.chunks_exact(3) {
            let at = usize::from(u16::from_le_bytes([piece[0], piece[1]])) % bytes.len();
            bytes[at] = piece[2];
        }
    }
    let changed = bytes != good[which];
    let blobs = match how {
        0 => {
            let mut blobs = good.clone();
            blobs[which] = bytes;
            Blobs::of(&good, &blobs)
        }
        _ => {
            let blobs = image(Some((which, bytes)));
            Blobs::of(&blobs, &blobs)
        }
    };
    let root = Descriptor::new(media_type::INDEX, blobs.names[INDEX].clone(), blobs.root);
    let limits = Limits { bytes: 16 << 20, ..Limits::default() };
    let report = validate(&blobs, &root, limits, &Quiet).expect("a report");
    assert!(report.findings.len() < 10_000);
    if *how == 0 {
        assert_eq!(report.valid, !changed, "{:?}", report.findings);
    } else if !changed {
        assert!(report.findings.is_empty(), "{:?}", report.findings);
    }
    if report.valid && *how != 0 {
        // What is judged to be right is read by those who act on it.
        let content = |which: usize| &blobs.content[&blobs.names[which]].1[..];
        if which == CONFIG {
            Document::<Config>::parse(content(CONFIG)).expect("a config");
        }
        if which == MANIFEST {
            Document::<Manifest>::parse(content(MANIFEST)).expect("a manifest");
        }
    }
});

/// The four blobs, with one of them replaced.
fn image(other: Option<(usize, Vec<u8>)>) -> [Vec<u8>; 4] {
    let (which, replaced) = other.map_or((usize::MAX, Vec::new()), |(which, with)| (which, with));
    let or = |place: usize, made: Vec<u8>| if place == which { replaced.clone() } else { made };
    let describe = |kind: MediaType, bytes: &[u8]| {
        let blob = Descriptor::of(kind, Algorithm::Sha256, bytes);
        serde_json::to_string(&blob).expect("JSON")
    };
    let layer = or(LAYER, layer());
    let diff_id = Digest::of(Algorithm::Sha256, &layer);
    let config = or(
        CONFIG,
        format!(
            r#"{{"architecture":"amd64","config":{{"Env":["A=b"],"ExposedPorts":{{"80/tcp":{{}}}},"Labels":{{"com.example.a":"b"}},"User":"app"}},"created":"2024-05-01T12:00:00Z","history":[{{"created_by":"x"}}],"os":"linux","rootfs":{{"diff_ids":["{diff_id}"],"type":"layers"}}}}"#
        )
        .into_bytes(),
    );
    let manifest = or(
        MANIFEST,
        format!(
            r#"{{"annotations":{{"com.example.a":"b"}},"config":{},"layers":[{}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}}"#,
            describe(media_type::CONFIG, &config),
            describe(media_type::LAYER, &layer)
        )
        .into_bytes(),
    );
    let entry = describe(media_type::MANIFEST, &manifest);
    let entry = entry.strip_suffix('}').expect("an object");
    let index = or(
        INDEX,
        format!(
            r#"{{"manifests":[{entry},"platform":{{"architecture":"amd64","os":"linux"}}}}],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}}"#
        )
        .into_bytes(),
    );
    [layer, config, manifest, index]
}

fn layer() -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    let mut add = |path: &str, kind: EntryKind, content: &[u8]| {
        let entry = Entry {
            path: RelPath::parse(path.as_bytes()).expect("a path"),
            kind,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Timestamp::EPOCH,
            xattrs: Vec::new(),
        };
        tar.append(&entry, content).expect("written");
    };
    let passwd = b"app:x:1:1::/:\n";
    add("etc", EntryKind::Directory, b"");
    add("etc/passwd", EntryKind::File { size: passwd.len() as u64 }, passwd);
    add("etc/.wh.old", EntryKind::File { size: 0 }, b"");
    let target = RelPath::parse(b"etc/passwd").expect("a path");
    add("etc/other", EntryKind::Hardlink { target }, b"");
    add("link", EntryKind::Symlink { target: b"etc".to_vec() }, b"");
    tar.finish().expect("finished")
}

/// Content under names that may be wrong.
struct Blobs {
    names: Vec<Digest>,
    root: u64,
    content: BTreeMap<Digest, (u64, Vec<u8>)>,
}

impl Blobs {
    /// `content` under the digests and sizes of `named`.
    fn of(named: &[Vec<u8>; 4], content: &[Vec<u8>; 4]) -> Self {
        let names: Vec<_> =
            named.iter().map(|bytes| Digest::of(Algorithm::Sha256, bytes)).collect();
        let content = names
            .iter()
            .zip(content)
            .map(|(name, bytes)| (name.clone(), (bytes.len() as u64, bytes.clone())))
            .collect();
        Self { root: named[INDEX].len() as u64, names, content }
    }
}

impl Source for Blobs {
    fn fetch(&self, blob: &Descriptor, _: u64) -> Result<Unverified<'_>> {
        match self.content.get(&blob.digest) {
            Some((_, bytes)) => Ok(Unverified::new(Cursor::new(bytes))),
            None => Err(Error::new(Code::NotFound, "reading a blob")),
        }
    }
}
