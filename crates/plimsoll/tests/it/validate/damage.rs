//! A changed byte under any digest is found, whatever it is in.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use plimsoll::layer::codec::{Compression, Encoder};
use proptest::prelude::*;
use serde_json::json;

use super::support::{Bench, Tar};

/// An image in an index, with a compressed layer, and an artifact about it.
fn rich() -> Bench {
    let bench = Bench::new();
    let (mut manifest, config) = bench.good();
    let plain = Tar::new().dir("etc").file("etc/passwd", &"text\n".repeat(500)).done();
    let mut gzip = Encoder::new(Compression::Gzip { level: 6 }, Vec::new()).expect("an encoder");
    gzip.write_all(&plain).expect("written");
    let layer = gzip.finish().expect("finished");
    manifest["layers"] = json!([bench.blob("application/vnd.oci.image.layer.v1.tar+gzip", &layer)]);
    let mut config = config;
    config["rootfs"]["diff_ids"] =
        json!([plimsoll::content::Digest::of(plimsoll::content::Algorithm::Sha256, &plain)]);
    let image = bench.write(manifest, &config);
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [image],
    });
    let index = bench.blob("application/vnd.oci.image.index.v1+json", index.to_string().as_bytes());
    let artifact = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "a/b", "subject": image,
        "config": bench.blob("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [bench.blob("text/plain", b"hello")],
    });
    let artifact =
        bench.blob("application/vnd.oci.image.manifest.v1+json", artifact.to_string().as_bytes());
    bench.list(vec![index, artifact]);
    bench
}

fn blobs(bench: &Bench) -> Vec<PathBuf> {
    let mut blobs: Vec<_> = fs::read_dir(bench.path("blobs/sha256"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    blobs.sort();
    blobs
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_byte_is_always_found(which: prop::sample::Index, at: prop::sample::Index, with in 1u8..) {
        let bench = rich();
        let blobs = blobs(&bench);
        let path = which.get(&blobs);
        let mut bytes = fs::read(path).expect("a blob");
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        fs::write(path, bytes).expect("written");
        let report = bench.report();
        prop_assert!(!report.valid, "{path:?} {at}");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let told = report.findings.iter().any(|one| {
            one.code == "E_DIGEST" && one.rule == Some("LA11")
                && one.digest.as_ref().is_some_and(|digest| digest.encoded() == name)
        });
        prop_assert!(told, "{path:?} {at}: {:?}", report.findings);
    }

    #[test]
    fn bytes_too_few_or_too_many_are_found(which: prop::sample::Index, cut in 0usize..40, more in 0usize..40) {
        prop_assume!(cut != more);
        let bench = rich();
        let blobs = blobs(&bench);
        let path = which.get(&blobs);
        let mut bytes = fs::read(path).expect("a blob");
        bytes.truncate(bytes.len().saturating_sub(cut));
        bytes.resize(bytes.len() + more, 0);
        let before = fs::read(path).expect("a blob");
        prop_assume!(before != bytes);
        fs::write(path, bytes).expect("written");
        prop_assert!(!bench.report().valid);
    }

    /// Whatever becomes of the files of a layout, there is a report.
    #[test]
    fn any_bytes_anywhere_end_in_a_report(file in 0usize..9, bytes: Vec<u8>, at: prop::sample::Index, with: u8) {
        let bench = rich();
        let mut files = blobs(&bench);
        files.extend([bench.path("index.json"), bench.path("oci-layout")]);
        let path = &files[file % files.len()];
        let mut whole = fs::read(path).expect("a file");
        let at = at.index(whole.len());
        whole[at] = with;
        for content in [whole, bytes] {
            fs::write(path, content).expect("written");
            prop_assert!(super::support::validate(&bench.path("")).is_ok());
        }
    }
}

#[test]
fn the_rich_image_is_good() {
    // What the first image had is still there.
    let report = rich().report();
    let told: Vec<_> = report.findings.iter().filter_map(|one| one.rule).collect();
    assert_eq!(told, ["LA13"], "{:#?}", report.findings);
}
