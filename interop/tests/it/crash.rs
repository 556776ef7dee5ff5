//! Layouts that others read while we write, and after we were killed.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use plimsoll_interop::{Program, Scratch, busybox_rootfs, debian_tar, peer, run};

#[test]
fn tags_of_eight_parallel_writers_are_all_seen_by_umoci() {
    let scratch = Scratch::new();
    let Some(umoci) = peer("umoci") else { return };
    let plimsoll = Program::new(scratch.path());
    fs::create_dir(scratch.join("tree")).expect("a new folder");
    if busybox_rootfs(&scratch.join("tree")).is_none() {
        return;
    }
    let layout = scratch.text("images");
    let mut writers: Vec<_> = (0..8)
        .map(|number| {
            let label = format!("number={number}");
            let name = format!("oci:{layout}:v{number}");
            let mut command = plimsoll.command();
            command.args(["pack", "-q", "tree", &name, "--label", &label]);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command.spawn().expect("the program starts")
        })
        .collect();
    for writer in &mut writers {
        assert!(writer.wait().expect("it ends").success());
    }
    let listed = run(umoci.command().args(["ls", "--layout", &layout])).good("umoci ls");
    let mut tags: Vec<_> = listed.lines().collect();
    tags.sort_unstable();
    assert_eq!(tags, ["v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7"]);
}

#[test]
fn a_layout_whose_writer_was_killed_is_read_by_everyone() {
    let scratch = Scratch::new();
    let Some(archive) = debian_tar() else { return };
    let Some(skopeo) = peer("skopeo") else { return };
    let plimsoll = Program::new(scratch.path());
    fs::create_dir(scratch.join("tree")).expect("a new folder");
    fs::write(scratch.join("tree/file"), "x").expect("written");
    let layout = scratch.text("images");
    let first = format!("oci:{layout}:first");
    plimsoll.good(&["pack", "tree", &first]);
    let digest = plimsoll.good(&["inspect", "-q", &first]);
    let archive = archive.display().to_string();

    for delay in [1, 5, 20, 60, 150, 400, 900] {
        let mut writer = plimsoll
            .command()
            .args(["pack", &archive, &format!("oci:{layout}:second")])
            .args(["--compression", "gzip:1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        std::thread::sleep(Duration::from_millis(delay));
        // Too late is no failure: then the image is complete.
        let _ = writer.kill();
        writer.wait().expect("it ends");
        plimsoll.good(&["validate", &first]);
        let inspect = run(skopeo.command().args(["inspect", "--raw", &first]));
        assert_eq!(inspect.code, 0, "after {delay} ms: {}", inspect.err);
        assert_eq!(plimsoll.good(&["inspect", "-q", &first]), digest);
    }
    let second = format!("oci:{layout}:second");
    plimsoll.good(&["pack", &archive, &second]);
    plimsoll.good(&["validate", &second]);
}
