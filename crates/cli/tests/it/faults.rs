//! Whatever goes wrong, nothing is left at the destination.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::support::{Sandbox, is_root, names, sha256};

/// The only image's layer blob.
fn layer(sandbox: &Sandbox) -> std::path::PathBuf {
    let layout = sandbox.layout("images");
    let (manifest, _) = layout.only();
    layout.blob_path(manifest["layers"][0]["digest"].as_str().expect("a digest"))
}

/// Unpacking fails with that exit code and error code, and leaves nothing.
fn nothing_is_left(sandbox: &Sandbox, exit: i32, code: &str) {
    let before = sandbox.names();
    for words in [["unpack", "oci:images:v1", "out"], ["bundle", "oci:images:v1", "out"]] {
        let errors = sandbox.fails(exit, &words);
        assert!(errors.contains(&format!("error[{code}]")), "{errors}");
        assert_eq!(sandbox.names(), before);
    }
    if exit == 6 {
        let errors = sandbox.fails(6, &["validate", "oci:images:v1"]);
        assert!(errors.contains("E_INVALID"), "{errors}");
    }
}

#[test]
fn nothing_is_left_of_a_corrupted_blob() {
    for at in [0, 12, 40, 100] {
        let sandbox = Sandbox::new();
        sandbox.image();
        let path = layer(&sandbox);
        let mut bytes = fs::read(&path).expect("read");
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 0x55;
        fs::write(&path, bytes).expect("written");
        nothing_is_left(&sandbox, 6, "E_DIGEST");
    }
}

#[test]
fn nothing_is_left_of_a_blob_of_the_wrong_size() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let path = layer(&sandbox);
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .expect("opened")
        .write_all(b"\0")
        .expect("written");
    nothing_is_left(&sandbox, 6, "E_SIZE");
}

#[test]
fn nothing_is_left_of_a_truncated_blob() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let path = layer(&sandbox);
    let bytes = fs::read(&path).expect("read");
    for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).expect("written");
        nothing_is_left(&sandbox, 6, "E_SIZE");
    }
}

#[test]
fn nothing_is_left_of_a_truncated_layer_with_the_right_digest() {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    sandbox.ok(&["pack", "tree", "oci:images:v1", "--compression", "none"]);
    let layout = sandbox.layout("images");
    let (mut manifest, mut config) = layout.only();
    let bytes = layout.blob(manifest["layers"][0]["digest"].as_str().expect("a digest"));
    let short = &bytes[..1500];
    manifest["layers"][0] = layout.add("application/vnd.oci.image.layer.v1.tar", short);
    config["rootfs"]["diff_ids"][0] = json!(sha256(short));
    layout.replace("v1", manifest, &config);
    nothing_is_left(&sandbox, 6, "E_LAYER");
}

#[test]
fn nothing_is_left_of_a_wrong_diff_id() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let layout = sandbox.layout("images");
    let (manifest, mut config) = layout.only();
    config["rootfs"]["diff_ids"][0] = json!(sha256(b"something else"));
    layout.replace("v1", manifest, &config);
    nothing_is_left(&sandbox, 6, "E_DIFF_ID");
}

#[test]
fn nothing_is_left_of_an_image_with_fewer_or_more_diff_ids() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let layout = sandbox.layout("images");
    let (manifest, mut config) = layout.only();
    config["rootfs"]["diff_ids"].as_array_mut().expect("ids").push(json!(sha256(b"")));
    layout.replace("v1", manifest.clone(), &config);
    nothing_is_left(&sandbox, 6, "E_MALFORMED");
    config["rootfs"]["diff_ids"] = json!([]);
    layout.replace("v1", manifest, &config);
    nothing_is_left(&sandbox, 6, "E_MALFORMED");
}

#[test]
fn nothing_is_left_of_a_missing_blob() {
    let sandbox = Sandbox::new();
    sandbox.image();
    fs::remove_file(layer(&sandbox)).expect("removed");
    let errors = sandbox.fails(3, &["unpack", "oci:images:v1", "out"]);
    assert!(errors.contains("E_NOT_FOUND"), "{errors}");
    assert!(!sandbox.path("out").exists());
}

#[test]
fn ly01_a_fifo_for_a_blob_does_not_hang() {
    let sandbox = Sandbox::new();
    sandbox.image();
    let path = layer(&sandbox);
    fs::remove_file(&path).expect("removed");
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    let done = sandbox.run(&["unpack", "oci:images:v1", "out"]);
    assert_ne!(done.code, 0);
    assert!(!sandbox.path("out").exists());
}

#[test]
fn nothing_is_overwritten() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.write("out/mine", "kept");
    let errors = sandbox.fails(1, &["unpack", "oci:images:v1", "out"]);
    assert!(errors.contains("E_EXISTS"), "{errors}");
    assert_eq!(names(&sandbox.path("out")), ["mine"]);
    fs::create_dir(sandbox.path("empty")).expect("made");
    sandbox.ok(&["unpack", "oci:images:v1", "empty"]);
    assert!(sandbox.path("empty/etc/motd").exists());
}

#[test]
fn nothing_is_left_on_a_full_disk() {
    if !is_root("a full disk") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("tree/big", noise(6 << 20));
    sandbox.ok(&["pack", "tree", "oci:images:v1"]);
    fs::create_dir(sandbox.path("small")).expect("made");
    let small = sandbox.path("small");
    let mount = Command::new("sh")
        .args(["-c", "truncate -s 4M disk && mkfs.ext4 -q -F disk && mount -o loop disk small"])
        .current_dir(sandbox.path("."))
        .stderr(Stdio::null())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("SKIP a full disk: no loop devices here");
        return;
    }
    let unpack = sandbox.run(&["unpack", "oci:images:v1", "small/out"]);
    let left_unpack = names(&small);
    let pack = sandbox.run(&["pack", "tree", "oci:small/images:v1", "--compression", "none"]);
    let left_pack = names(&small);
    assert!(Command::new("umount").arg(&small).status().expect("umount").success());
    for (done, left) in [(unpack, left_unpack), (pack, left_pack)] {
        assert_eq!(done.code, 5, "{}", done.stderr);
        assert!(done.stderr.contains("error[E_SPACE]"), "{}", done.stderr);
        assert_eq!(left, ["lost+found"]);
    }
}

/// Bytes that do not compress, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

#[test]
fn nothing_is_left_after_kill_9() {
    let sandbox = Sandbox::new();
    for number in 0..400 {
        sandbox.write(&format!("tree/d{}/f{number}", number % 20), noise(20_000));
    }
    sandbox.ok(&["pack", "tree", "oci:images:v1"]);
    sandbox.ok(&["pack", "tree", "oci:old:v1"]);
    let old = fs::read(sandbox.path("old/index.json")).expect("read");
    let mut killed = 0;
    for delay in [1, 5, 10, 20, 40, 80, 160] {
        for words in [
            &["unpack", "oci:images:v1", "out"][..],
            &["pack", "tree", "oci:new:v1"],
            &["pack", "tree", "oci:old:v2", "--label", "a=b", "--compression", "gzip:9"],
        ] {
            let mut child = sandbox
                .command(words)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("starts");
            std::thread::sleep(Duration::from_millis(delay));
            let running = child.try_wait().expect("waited").is_none();
            child.kill().expect("killed");
            child.wait().expect("waited");
            if running {
                killed += 1;
            } else {
                // It was quicker than the signal: undo what it did.
                let _ = fs::remove_dir_all(sandbox.path("out"));
                let _ = fs::remove_dir_all(sandbox.path("new"));
                fs::write(sandbox.path("old/index.json"), &old).expect("written");
                continue;
            }
            // Killed between its last step and its end, a command has done its
            // work; what must never be is a half of it.
            if sandbox.path("out").exists() {
                sandbox.ok(&["pack", "out", "oci:again:v1"]);
                fs::remove_dir_all(sandbox.path("again")).expect("removed");
                fs::remove_dir_all(sandbox.path("out")).expect("removed");
            }
            if sandbox.path("new").exists() {
                sandbox.ok(&["validate", "oci:new:v1"]);
                fs::remove_dir_all(sandbox.path("new")).expect("removed");
            }
            sandbox.ok(&["validate", "oci:old:v1"]);
            if fs::read(sandbox.path("old/index.json")).expect("read") != old {
                sandbox.ok(&["validate", "oci:old:v2"]);
                fs::write(sandbox.path("old/index.json"), &old).expect("written");
            }
        }
    }
    assert!(killed > 0, "no command was killed in its work");
    // The next command in the same place takes away what was left.
    sandbox.ok(&["unpack", "oci:images:v1", "out"]);
    sandbox.ok(&["pack", "tree", "oci:old:v3"]);
    assert_eq!(sandbox.names(), ["images", "old", "out", "tree"]);
    sandbox.ok(&["rm", "oci:old:v3", "--gc"]);
    sandbox.ok(&["validate", "oci:old:v1"]);
}
