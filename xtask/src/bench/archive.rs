//! Tar archives and image layouts, written without any of the tools that are
//! measured. The bytes are the same wherever they are made.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::Outcome;

/// The tag of the one image in a layout.
pub(super) const TAG: &str = "bench";

/// When all files were changed last.
const TIME: u64 = 1_700_000_000;

/// A tar archive on its way to a file.
pub(super) struct Archive {
    out: BufWriter<File>,
}

impl Archive {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { out: BufWriter::with_capacity(1 << 20, File::create(path)?) })
    }

    pub(super) fn folder(&mut self, path: &str) -> io::Result<()> {
        self.header(&format!("{path}/"), b'5', 0o755, 0)
    }

    pub(super) fn file(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        self.header(path, b'0', 0o644, content.len() as u64)?;
        self.out.write_all(content)?;
        let padding = content.len().wrapping_neg() % 512;
        self.out.write_all(&[0; 512][..padding])
    }

    /// A file of that many MiB which does not compress.
    pub(super) fn noise(&mut self, path: &str, mebibytes: u64) -> io::Result<()> {
        self.header(path, b'0', 0o644, mebibytes << 20)?;
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut block = vec![0; 1 << 20];
        for _ in 0..mebibytes {
            for piece in block.chunks_exact_mut(8) {
                // Xorshift: fast, and far beyond what deflate can predict.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                piece.copy_from_slice(&state.to_le_bytes());
            }
            self.out.write_all(&block)?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&[0; 1024])?;
        self.out.flush()
    }

    /// A ustar header; names here are shorter than its name field.
    fn header(&mut self, path: &str, kind: u8, mode: u32, size: u64) -> io::Result<()> {
        let mut block = [0; 512];
        let mut put = |at: usize, text: &str| {
            block[at..at + text.len()].copy_from_slice(text.as_bytes());
        };
        put(0, path);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{size:011o}"));
        put(136, &format!("{TIME:011o}"));
        put(148, "        ");
        put(257, "ustar\u{0}00root");
        put(297, "root");
        block[156] = kind;
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.out.write_all(&block)
    }
}

/// Bytes that compress about as well as hexadecimal text does.
pub(super) fn text(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1;
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let _ = write!(text, "{state:016x}");
    }
    text.truncate(length);
    text
}

/// Makes the layout `folder` with one image of these layers, compressed by
/// gzip at its usual level, and beside it a link `layer-N.tar.gz` to each.
pub(super) fn layout(folder: &Path, layers: &[PathBuf]) -> Outcome {
    let failed = |error: io::Error| format!("making {}: {error}", folder.display());
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(failed)?;
    let mut diff_ids = Vec::new();
    let mut descriptors = Vec::new();
    for (number, tar) in layers.iter().enumerate() {
        diff_ids.push(digest(tar)?.0);
        let packed = blobs.join("new");
        gzip(tar, &packed)?;
        let (digest, size) = digest(&packed)?;
        let place = blobs.join(&digest[7..]);
        fs::rename(&packed, &place).map_err(failed)?;
        let link = folder.with_file_name(format!("layer-{number}.tar.gz"));
        let target = format!("layout/blobs/sha256/{}", &digest[7..]);
        std::os::unix::fs::symlink(target, link).map_err(failed)?;
        descriptors.push(json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": digest, "size": size,
        }));
    }
    let document = |value: &Value| -> Outcome<Value> {
        let bytes = value.to_string();
        let digest = format!("sha256:{}", hexadecimal(&Sha256::digest(&bytes)));
        fs::write(blobs.join(&digest[7..]), &bytes).map_err(failed)?;
        Ok(json!({ "digest": digest, "size": bytes.len() }))
    };
    let mut config = document(&json!({
        "architecture": architecture(), "os": "linux", "config": { "Cmd": ["/bin/sh"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": vec![json!({ "created_by": "xtask bench" }); layers.len()],
    }))?;
    config["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let mut manifest = document(&json!({
        "schemaVersion": 2, "mediaType": kind, "config": config, "layers": descriptors,
    }))?;
    manifest["mediaType"] = kind.into();
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": TAG });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(folder.join("index.json"), index.to_string()).map_err(failed)?;
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).map_err(failed)
}

fn gzip(from: &Path, to: &Path) -> Outcome {
    let failed = |error: io::Error| format!("compressing {}: {error}", from.display());
    let status = Command::new("gzip")
        .arg("-nc")
        .stdin(Stdio::from(File::open(from).map_err(failed)?))
        .stdout(Stdio::from(File::create(to).map_err(failed)?))
        .status()
        .map_err(failed)?;
    if status.success() { Ok(()) } else { Err(format!("gzip of {} failed", from.display())) }
}

fn digest(path: &Path) -> Outcome<(String, u64)> {
    let failed = |error: io::Error| format!("hashing {}: {error}", path.display());
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let length = file.read(&mut buffer).map_err(failed)?;
        if length == 0 {
            return Ok((format!("sha256:{}", hexadecimal(&hasher.finalize())), size));
        }
        hasher.update(&buffer[..length]);
        size += length as u64;
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// What images call this machine's processor.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_those_that_tar_reads() {
        let scratch = tempfile::tempdir().expect("a folder");
        let path = scratch.path().join("a.tar");
        let mut archive = Archive::create(&path).expect("created");
        archive.folder("d").expect("written");
        archive.file("d/f", &text(1, 700)).expect("written");
        archive.noise("n", 1).expect("written");
        archive.finish().expect("written");
        let listed = Command::new("tar").arg("tf").arg(&path).output().expect("tar runs");
        assert_eq!(String::from_utf8_lossy(&listed.stdout), "d/\nd/f\nn\n");
        assert!(listed.status.success());
    }
}
