//! Power cuts on a real file system: what its device holds after a system
//! call is all that is left.
//!
//! The device is a file. The program is killed at a call, the file copied
//! before the kernel writes what nobody has asked it to flush, and the copy
//! mounted, which replays its journal as after a power cut.

use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_interop::trace::inject;
use plimsoll_interop::{Scratch, peer, run, skip};

use crate::promises::{COMMANDS, Place, points, sample};

/// A file system in a file, unmounted at the end.
struct Disk {
    file: PathBuf,
    folder: PathBuf,
}

impl Disk {
    /// Mounts what is in the file; `None` if that is not possible here.
    fn mount(file: &Path, folder: &Path) -> Option<Self> {
        std::fs::create_dir_all(folder).expect("a folder");
        // The kernel by itself flushes nothing for a quarter of an hour.
        let options = "loop,commit=900";
        let mut mount = Command::new("mount");
        let output = run(mount.args(["-t", "ext4", "-o", options]).arg(file).arg(folder));
        (output.code == 0).then(|| Self { file: file.to_owned(), folder: folder.to_owned() })
    }

    /// What the device holds at this moment.
    fn copy(&self, to: &Path) {
        let mut copy = Command::new("cp");
        run(copy.arg("--sparse=always").arg(&self.file).arg(to)).good("cp");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(Command::new("umount").arg(&self.folder));
    }
}

#[test]
fn power_cut_on_a_real_file_system() {
    let (Some(strace), Some(mkfs)) = (peer("strace"), peer("mkfs.ext4")) else { return };
    let scratch = Scratch::new();
    let [clean, disk, cut] = ["clean", "disk", "cut"].map(|name| scratch.join(name));
    let [home, after] = ["home", "after"].map(|name| scratch.join(name));
    let size = Command::new("truncate").args(["-s", "64M"]).arg(&clean).status();
    assert!(size.is_ok_and(|status| status.success()));
    run(mkfs.command().args(["-q", "-F"]).arg(&clean)).good("mkfs.ext4");
    {
        let Some(_mounted) = Disk::mount(&clean, &home) else {
            skip("power cuts: a file system can not be mounted here");
            return;
        };
        Place::at(&home).prepare(300_000);
    }
    // A new file system as it was before, and what is done on it.
    let fresh = || {
        run(Command::new("cp").arg("--sparse=always").arg(&clean).arg(&disk)).good("cp");
        Disk::mount(&disk, &home).expect("mounted once, mounted again")
    };
    let mut cuts = 0;
    for (name, words) in COMMANDS {
        let calls = {
            let _mounted = fresh();
            let Some(calls) = points(&Place::at(&home), &strace, words) else { return };
            calls
        };
        for call in sample(calls, 5) {
            let what = format!("{name}, power cut at {} {}", call.name, call.ordinal);
            {
                let mounted = fresh();
                let log = scratch.join("log/trace");
                std::fs::create_dir_all(scratch.join("log")).expect("a folder");
                let place = Place::at(&home);
                inject(&strace, &place.program, words, &call, "signal=KILL", &log);
                mounted.copy(&cut);
            }
            let _mounted = Disk::mount(&cut, &after).expect("a journal can be replayed");
            Place::at(&after).is_good(words, &what);
            cuts += 1;
        }
        // What the program has said to be done is done; not so without flushes.
        for (flushed, more) in [(true, &[][..]), (false, &["--no-sync"])] {
            {
                let mounted = fresh();
                Place::at(&home).program.good(&[words, more].concat());
                mounted.copy(&cut);
            }
            let _mounted = Disk::mount(&cut, &after).expect("a journal can be replayed");
            let listed = |place: &str| {
                let output = Place::at(&after).program.run(&["ls", "-q", place]);
                output.out.lines().any(|line| line.ends_with("v2"))
            };
            if !matches!(name, "edit" | "gc") {
                let there = ["oci:images", "oci:new", "oci:loaded"].iter().any(|it| listed(it));
                assert_eq!(there, flushed, "{name} {more:?}: the name is there");
            }
            if flushed {
                Place::at(&after).is_good(words, name);
            }
        }
    }
    println!("{cuts} power cuts, no invalid state; nothing lost that was said to be done");
}
