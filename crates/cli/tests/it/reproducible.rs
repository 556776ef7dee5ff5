//! The same input gives the same digest.

use std::fs;
use std::process::Command;

use crate::support::{Done, Sandbox};

/// Packs `input` in a shell with these settings, and gives the digest.
fn packed(sandbox: &Sandbox, settings: &str, input: &str, to: &str, more: &str) -> String {
    let command = format!("{settings}; exec \"$0\" pack '{input}' 'oci:{to}:v1' -q {more}");
    let output = Command::new("sh")
        .args(["-c", &command, env!("CARGO_BIN_EXE_plimsoll")])
        .current_dir(sandbox.path("."))
        .env("PLIMSOLL_STORE", sandbox.path("store"))
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("PLIMSOLL_JOBS")
        .output()
        .expect("sh starts");
    let done = Done::of(&output);
    assert_eq!(done.code, 0, "{settings}: {}", done.stderr);
    done.stdout.trim().to_owned()
}

#[test]
fn reproducible_under_other_umask_zone_locale_and_folder() {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    let first = packed(&sandbox, "umask 022", "tree", "one", "");
    assert_eq!(packed(&sandbox, "umask 022", "tree", "two", ""), first);
    assert_eq!(
        packed(
            &sandbox,
            "umask 077; export TZ=Asia/Tokyo LC_ALL=tr_TR.UTF-8 HOME=/",
            "tree",
            "three",
            ""
        ),
        first
    );
    fs::create_dir(sandbox.path("deep")).expect("a folder");
    let copied = Command::new("cp")
        .args(["-a", "tree", "deep/other"])
        .current_dir(sandbox.path("."))
        .status();
    assert!(copied.expect("cp starts").success());
    assert_eq!(packed(&sandbox, "cd deep; umask 002", "other", "four", ""), first);
}

#[test]
fn reproducible_with_source_date_epoch_whatever_the_times() {
    let sandbox = Sandbox::new();
    let mut digests = Vec::new();
    for name in ["one", "two"] {
        sandbox.tree(name);
        digests.push(packed(
            &sandbox,
            "export SOURCE_DATE_EPOCH=1000000000",
            name,
            &format!("out-{name}"),
            "",
        ));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(digests[0], digests[1]);
    let layout = sandbox.layout("out-one");
    let (_, config) = layout.only();
    assert_eq!(config["created"], "2001-09-09T01:46:40Z");
}

#[test]
fn reproducible_from_a_folder_and_from_its_tar() {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    let folder = packed(&sandbox, ":", "tree", "folder", "--owner 0:0");
    for (name, flags) in [("a.tar", "--format=gnu"), ("b.tar", "--format=pax --sort=name")] {
        let tar = format!("tar {flags} -C tree -cf {name} .");
        assert!(
            Command::new("sh")
                .args(["-c", &tar])
                .current_dir(sandbox.path("."))
                .status()
                .expect("tar")
                .success()
        );
    }
    let whole = packed(&sandbox, ":", "b.tar", "pax", "--owner 0:0");
    // GNU's format has no fractions of seconds: cut them off on both sides.
    assert_eq!(whole, folder);
    let gzip = "gzip -k b.tar";
    assert!(
        Command::new("sh")
            .args(["-c", gzip])
            .current_dir(sandbox.path("."))
            .status()
            .expect("gzip")
            .success()
    );
    assert_eq!(packed(&sandbox, ":", "b.tar.gz", "gz", "--owner 0:0"), folder);
    let epoch = "export SOURCE_DATE_EPOCH=0";
    assert_eq!(
        packed(&sandbox, epoch, "a.tar", "gnu", "--owner 0:0"),
        packed(&sandbox, epoch, "tree", "zero", "--owner 0:0")
    );
}

#[test]
fn compression_levels_are_part_of_the_input() {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    let mut digests: Vec<_> = ["none", "gzip:1", "gzip:9", "zstd:3"]
        .iter()
        .enumerate()
        .map(|(number, how)| {
            packed(&sandbox, ":", "tree", &format!("out{number}"), &format!("--compression {how}"))
        })
        .collect();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 4);
}

#[test]
fn the_number_of_threads_is_no_part_of_the_input() {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    // Several blocks, which is what threads are for.
    let numbers: Vec<String> = (0..400_000).map(|number| number.to_string()).collect();
    fs::write(sandbox.path("tree/numbers"), numbers.join("\n")).expect("written");
    let first = packed(&sandbox, ":", "tree", "all", "");
    assert_eq!(packed(&sandbox, ":", "tree", "one", "-j 1"), first);
    assert_eq!(packed(&sandbox, ":", "tree", "eight", "--jobs 8"), first);
    assert_eq!(packed(&sandbox, "export PLIMSOLL_JOBS=3", "tree", "three", ""), first);
    for words in [["-j", "0"], ["-j", "x"], ["-j", "70000"]] {
        let done = sandbox.run(&[&["pack", "tree", "oci:bad:v1"], &words[..]].concat());
        assert_eq!(done.code, 2, "{words:?}: {}", done.stderr);
    }
}
