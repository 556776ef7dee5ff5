//! Images that are mounted, and images whose layers are gone but for the cache.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::image;
use crate::support::Sandbox;

/// What can be told of a tree from outside of it.
fn listing(root: &Path) -> String {
    // Folders have other numbers of names on other file systems, and other sizes.
    let script = r"
        find . -type d -printf '%P %y %m %U:%G %T@\n' -o -printf '%P %y %m %U:%G %T@ %n %s %l\n' | sort
        find . -type f -exec sha256sum {} + | sort
        find . -print0 | sort -z | xargs -0 getfattr -h -d -m - 2>/dev/null
        find . -type c -exec stat -c '%n %t:%T' {} + | sort";
    let output = Command::new("bash").args(["-c", script]).current_dir(root).output().expect("ran");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A tree with what an ordinary user can not make.
fn odd(sandbox: &Sandbox) {
    sandbox.tree("tree");
    let script = r#"
        mkdir -p many deep/a/b/c sticky; chmod 1777 sticky
        for n in $(seq 1 700); do : > "many/a-file-with-a-long-name-for-a-folder-of-several-blocks-$n"; done
        head -c 4096 /dev/urandom > block; head -c 4097 /dev/urandom > block1; head -c 2048 /dev/urandom > inline
        head -c 2049 /dev/urandom > plain; head -c 3000000 /dev/urandom > large; : > empty
        ln block twin; ln block deep/a/b/c/third; ln -s nowhere dangling
        ln -s "$(printf 'x%.0s' $(seq 1 3000))" long
        mkfifo fifo; touch -d '1969-12-31 23:59:58.5 UTC' old; touch -d '2100-01-01 00:00:00.25 UTC' new
        chmod 0 empty; chown 4294967294:70000 plain; chown -h 5:6 dangling
        setfattr -n user.note -v value block1 || true; setfattr -n trusted.note -v value deep || true
        setcap cap_net_raw+ep inline 2>/dev/null || true
        mknod null c 1 3 || true; mknod big b 4000 1000000 || true
        touch "$(printf 'new\nline')" '!first' '~last' 'ünï'"#;
    let status =
        Command::new("bash").args(["-ec", script]).current_dir(sandbox.path("tree")).status();
    assert!(status.expect("ran").success());
    sandbox.ok(&["pack", "tree", "oci:images:v1"]);
}

fn mounted(sandbox: &Sandbox, words: &[&str]) -> bool {
    let done = sandbox.run(words);
    if done.code != 0
        && (done.stderr.contains("E_PERMISSION") || done.stderr.contains("Linux 6.12"))
    {
        eprintln!("SKIP mounting: {}", done.stderr.lines().next().unwrap_or_default());
        return false;
    }
    assert_eq!(done.code, 0, "{}", done.stderr);
    true
}

#[test]
fn a_mounted_image_is_the_unpacked_one() {
    let sandbox = Sandbox::new();
    if !rustix::process::geteuid().is_root() {
        sandbox.image();
        fs::create_dir(sandbox.path("m")).expect("made");
        let errors = sandbox.fails(4, &["mount", "oci:images:v1", "m"]);
        assert!(errors.contains("E_PERMISSION") && errors.contains("plimsoll unpack"), "{errors}");
        return;
    }
    odd(&sandbox);
    fs::create_dir(sandbox.path("m")).expect("made");
    if !mounted(&sandbox, &["mount", "oci:images:v1", "m"]) {
        return;
    }
    sandbox.ok(&["unpack", "oci:images:v1", "out"]);
    let (expected, found) = (listing(&sandbox.path("out")), listing(&sandbox.path("m")));
    let different = expected.lines().zip(found.lines()).find(|(one, other)| one != other);
    assert!(expected == found, "{different:?}");
    assert!(fs::write(sandbox.path("m/new"), "").is_err(), "it is read-only");
    sandbox.ok(&["umount", "m"]);
    assert_eq!(fs::read_dir(sandbox.path("m")).expect("listed").count(), 0);
    let errors = sandbox.fails(3, &["umount", "m"]);
    assert!(errors.contains("no image that is mounted there"), "{errors}");
    sandbox.fails(3, &["umount", "out"]);
    sandbox.fails(3, &["mount", "oci:images:v1", "missing"]);
}

#[test]
fn a_mounted_image_outlives_its_place_and_the_cache() {
    let sandbox = Sandbox::new();
    sandbox.image();
    fs::create_dir(sandbox.path("m")).expect("made");
    if !rustix::process::geteuid().is_root() || !mounted(&sandbox, &["mount", "oci:images:v1", "m"])
    {
        return;
    }
    // The second time no layer is looked at, and another folder has the same.
    fs::create_dir(sandbox.path("n")).expect("made");
    let (manifest, _) = sandbox.layout("images").only();
    for layer in manifest["layers"].as_array().expect("layers") {
        let digest = layer["digest"].as_str().expect("a digest").replace(':', "/");
        fs::remove_file(sandbox.path("images/blobs").join(digest)).expect("removed");
    }
    let report = sandbox.json(&["mount", "oci:images:v1", "n"]);
    crate::schemas::check(&report);
    assert_eq!(report["cached"], true);
    assert!(report["bytes"].as_u64().is_some_and(|bytes| bytes % 4096 == 0));
    sandbox.ok(&["gc"]);
    assert_eq!(fs::read_to_string(sandbox.path("m/etc/motd")).expect("there"), "hello\n");
    let report = sandbox.json(&["umount", "m"]);
    crate::schemas::check(&report);
    assert_eq!(report["schema"], "plimsoll.umount/v1");
    sandbox.ok(&["unmount", "n"]);
}

#[test]
fn a_cached_image_runs_without_its_layers() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    sandbox.ok(&["run", "oci:images:app", "true"]);
    let (manifest, _) = sandbox.layout("images").only();
    for layer in manifest["layers"].as_array().expect("layers") {
        let digest = layer["digest"].as_str().expect("a digest").replace(':', "/");
        fs::remove_file(sandbox.path("images/blobs").join(digest)).expect("removed");
    }
    assert_eq!(sandbox.ok(&["run", "oci:images:app", "echo", "ran"]), "ran\n");
}
