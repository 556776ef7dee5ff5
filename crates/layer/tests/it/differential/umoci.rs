//! umoci as a reader, and with it Go's: what it unpacks is what we unpack,
//! whiteouts and replaced entries included. Needs root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_content::{Algorithm, Digest};

use super::{generator, number, ours};
use crate::apply_support::{Tree, apply_bytes, look, needs_root, options};

/// A lower layer that the others change.
fn lower() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind) in [("d", b'5'), ("d/gone", b'0'), ("d/kept", b'0'), ("a", b'5'), ("f7", b'0')]
    {
        bytes.extend(crate::tar_raw::Header::new(name.as_bytes(), kind).mode(0o755).seal());
    }
    bytes.extend(crate::tar_raw::END);
    bytes
}

fn umoci() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").unwrap_or_default();
    let newest = Path::new(&home).join(".cache/plimsoll-peers/bin/umoci");
    let found = [newest, "/usr/bin/umoci".into()].into_iter().find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: no umoci here");
    }
    found
}

/// Writes a layout of one image, called `v1`.
fn layout(folder: &Path, layers: &[Vec<u8>]) {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("made");
    let add = |kind: &str, bytes: &[u8]| {
        let digest = Digest::of(Algorithm::Sha256, bytes);
        fs::write(blobs.join(digest.encoded()), bytes).expect("written");
        format!(
            r#""mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":{}"#,
            bytes.len()
        )
    };
    let listed: Vec<_> =
        layers.iter().map(|layer| format!("{{{}}}", add("layer.v1.tar", layer))).collect();
    let diff_ids: Vec<_> = layers
        .iter()
        .map(|layer| format!("\"{}\"", Digest::of(Algorithm::Sha256, layer)))
        .collect();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        diff_ids.join(",")
    );
    let config = add("config.v1+json", config.as_bytes());
    let manifest =
        format!(r#"{{"schemaVersion":2,"config":{{{config}}},"layers":[{}]}}"#, listed.join(","));
    let manifest = add("manifest.v1+json", manifest.as_bytes());
    let name = r#""annotations":{"org.opencontainers.image.ref.name":"v1"}"#;
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{{{manifest},{name}}}]}}"#);
    fs::write(folder.join("index.json"), index).expect("written");
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("written");
}

/// What differs between two trees, but for the root's own attributes.
fn differences(ours: &Tree, theirs: &Tree) -> Vec<String> {
    let paths = ours.0.keys().chain(theirs.0.keys()).filter(|path| !path.is_empty());
    let mut lines: Vec<_> = paths
        .filter_map(|path| {
            let (mut one, mut two) = (ours.0.get(path).cloned(), theirs.0.get(path).cloned());
            if let (Some(one), Some(two)) = (&mut one, &mut two) {
                // Folders that no entry tells of: umoci gives them the time of now.
                let implied = one.kind == "folder" && one.time == plimsoll_layer::Timestamp::EPOCH;
                // umoci counts nanoseconds in 64 bits, which end in 2262.
                let far = one.time.seconds() > i64::MAX / 1_000_000_000;
                if implied || far {
                    two.time = one.time;
                }
            }
            (one != two).then(|| format!("{path}: we {one:?}, umoci {two:?}"))
        })
        .collect();
    lines.dedup();
    lines
}

#[test]
fn umoci_unpacks_what_we_unpack() {
    if needs_root("owners of all kinds") {
        return;
    }
    let Some(umoci) = umoci() else { return };
    // One in 250 of the long run.
    let wanted = (number("PLIMSOLL_DIFFERENTIAL_INPUTS", 400) / 250).max(12);
    let mut seed = number("PLIMSOLL_DIFFERENTIAL_SEED", 1) << 32;
    let (mut compared, mut refused, mut wrong) = (0, 0, Vec::new());
    while compared + refused < wanted {
        seed += 1;
        let archive = generator::archive(seed);
        if ours(&archive).is_err() {
            continue;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let layers = [lower(), archive.clone()];
        let root = folder.path().join("root");
        fs::create_dir(&root).expect("made");
        if apply_bytes(&root, &layers, options()).is_err() {
            continue;
        }
        layout(&folder.path().join("layout"), &layers);
        let theirs = folder.path().join("theirs");
        let image = format!("{}/layout:v1", folder.path().display());
        let output = Command::new(&umoci)
            .args(["raw", "unpack", "--image", &image])
            .arg(&theirs)
            .output()
            .expect("started");
        if !output.status.success() {
            refused += 1;
            continue;
        }
        compared += 1;
        let lines = differences(&look(&root), &look(&theirs));
        wrong.extend(lines.into_iter().map(|line| format!("seed {seed}: {line}")));
    }
    println!(
        "differential umoci: {compared} compared, {refused} refused by umoci, {} disagreements",
        wrong.len()
    );
    let shown: Vec<_> = wrong.iter().take(20).cloned().collect();
    assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), shown.join("\n"));
}
