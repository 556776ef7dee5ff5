//! What a container can see and do: no more than podman's default gives, row by
//! row of `docs/reference/isolation.md`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use plimsoll_interop::{Program, Scratch, busybox_rootfs, is_root, peer, run, shell, skip};

const PROBE: &str = include_str!("isolation.sh");

/// The part of the probe that makes system calls no tool makes.
const CALLS: &str = include_str!("isolation.c");

/// What the probe needs beyond the usual image.
const TOOLS: &[&str] = &[
    "tr", "cut", "sed", "unshare", "umount", "chroot", "ping", "nice", "dmesg", "swapoff", "date",
    "wc", "head", "mkdir", "mknod", "hostname", "mount", "true",
];

/// Words that take something away.
const STRICT: &[&str] = &["ro", "nosuid", "nodev", "noexec"];

type Facts = BTreeMap<String, String>;

fn facts(text: &str) -> Facts {
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// Compiles the calls into the image, with what every build of this project needs.
fn compile(scratch: &Scratch) {
    fs::write(scratch.join("calls.c"), CALLS).expect("written");
    shell(scratch.path(), "cc -static -O1 -Wall -Werror -o tree/probe calls.c");
}

/// Whether `ours` allows no more than `theirs`.
fn no_looser(name: &str, ours: &str, theirs: &str) -> bool {
    let words = |text: &str| text.split([' ', ',']).map(str::to_owned).collect::<Vec<_>>();
    match name {
        _ if name.starts_with("Cap") => {
            let number = |text| u64::from_str_radix(text, 16).expect("a set of capabilities");
            number(ours) & !number(theirs) == 0
        }
        "NoNewPrivs" | "Seccomp" => ours >= theirs,
        "descriptors" | "devices" | "interfaces" => {
            words(ours).iter().all(|word| words(theirs).contains(word))
        }
        _ if name.contains("options") => words(theirs)
            .iter()
            .filter(|word| STRICT.contains(&word.as_str()))
            .all(|word| words(ours).contains(word)),
        _ => ours == "refused" || ours == theirs,
    }
}

/// The rows of the page: name, ours, podman's.
fn page() -> Vec<(String, String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/isolation.md");
    let text = fs::read_to_string(path).expect("the page");
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [_, name, ours, theirs, _] = cells[..] else { return None };
        Some((name.to_owned(), ours.to_owned(), theirs.to_owned()))
    });
    rows.skip(2).collect()
}

#[test]
fn a_container_can_do_no_more_than_podmans() {
    if !is_root("containers of root") {
        return;
    }
    let scratch = Scratch::new();
    let plimsoll = Program::copied(scratch.path());
    let root = scratch.join("tree");
    fs::create_dir(&root).expect("a new folder");
    if busybox_rootfs(&root).is_none() {
        return;
    }
    for tool in TOOLS {
        symlink("busybox", root.join("bin").join(tool)).expect("a link");
    }
    fs::write(root.join("probe.sh"), PROBE).expect("written");
    compile(&scratch);
    let name = format!("oci:{}:probe", scratch.text("images"));
    plimsoll.good(&["pack", "tree", &name, "--entrypoint", "/bin/sh", "--cmd", "/probe.sh"]);
    let done = plimsoll.run(&["run", "--network=none", &name]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    let ours = facts(&done.out);

    let rows = page();
    assert_eq!(rows.len(), ours.len(), "rows of the page and facts of the probe");
    for (row, said, _) in &rows {
        assert_eq!(ours.get(row), Some(said), "{row}: what the page says of plimsoll");
    }

    let Some(podman) = peer("podman") else { return };
    let mut command = podman.command();
    command.arg("--root").arg(scratch.join("root")).arg("--runroot").arg(scratch.join("run"));
    command.args(["--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager=cgroupfs"]);
    command.args(["run", "-q", "--rm", "--network=none", "--ulimit", "nofile=1024:1024"]);
    command.args(["--ulimit", "nproc=1000:1000", &name]);
    let done = run(&mut command);
    if done.code != 0 {
        skip(&format!("podman run here: {}", done.err.trim()));
        return;
    }
    let theirs = facts(&done.out);
    for (row, said) in &ours {
        let other = theirs.get(row).map_or("", String::as_str);
        assert!(no_looser(row, said, other), "{row}: {said:?}, and podman has {other:?}");
    }
}
