//! The cost laws of layouts, layers and indexes, in system calls, which a busy
//! machine does not change.
//!
//! `PLIMSOLL_EXHAUSTIVE=1` takes 10,000 names instead of 1,000.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use plimsoll_interop::{Peer, Program, Scratch, peer, run, skip};

/// How many system calls a command makes, and how long it takes traced. `None`
/// has said `SKIP`.
fn cost(
    strace: &Peer,
    program: &Program,
    scratch: &Scratch,
    words: &str,
) -> Option<(u64, Duration)> {
    let log = scratch.join("count");
    let mut command = strace.command();
    command.env_clear().envs(program.environment()).current_dir(scratch.path());
    command.args(["-f", "-c", "-o"]).arg(&log).arg(program.path()).args(words.split(' '));
    let start = Instant::now();
    let done = run(&mut command);
    let time = start.elapsed();
    if done.err.contains("ptrace") {
        skip("tracing: not allowed here");
        return None;
    }
    assert_eq!(done.code, 0, "{words}: {}", done.err);
    let text = fs::read_to_string(&log).expect("strace writes its table");
    // The columns are: % time, seconds, usecs/call, calls, errors, syscall.
    let total = text.lines().rev().find(|line| line.ends_with("total")).expect("a total");
    let calls = total.split_whitespace().nth(3).and_then(|word| word.parse().ok());
    Some((calls.expect("calls"), time))
}

struct Law {
    strace: Peer,
    scratch: Scratch,
    program: Program,
}

impl Law {
    fn new() -> Option<Self> {
        let (strace, scratch) = (peer("strace")?, Scratch::new());
        let program = Program::new(scratch.path());
        fs::create_dir(scratch.join("tree")).expect("a folder");
        fs::write(scratch.join("tree/file"), "0").expect("a file");
        Some(Self { strace, scratch, program })
    }

    /// Whether commands cost at the second size what they may, measured by
    /// what they cost at the first. A verb's cost may grow with the size and
    /// some.
    #[expect(clippy::print_stdout, reason = "figures")]
    fn holds(&self, what: &str, sizes: [usize; 2], commands: impl Fn(usize) -> Vec<String>) {
        let mut rows = Vec::new();
        for words in commands(sizes[0]).iter().zip(commands(sizes[1])) {
            let (small, large) = (words.0.as_str(), words.1.as_str());
            let Some((few, _)) = cost(&self.strace, &self.program, &self.scratch, small) else {
                return;
            };
            let Some((many, time)) = cost(&self.strace, &self.program, &self.scratch, large) else {
                return;
            };
            rows.push((words.0.split(' ').next().unwrap_or_default().to_owned(), few, many, time));
        }
        println!(
            "| verb | calls at {} {what} | calls at {} | ratio | time, traced |",
            sizes[0], sizes[1]
        );
        println!("|---|---|---|---|---|");
        for (verb, few, many, time) in rows {
            let tenths = many * 10 / few;
            println!("| {verb} | {few} | {many} | {}.{} | {time:?} |", tenths / 10, tenths % 10);
            let most = few * (sizes[1] * 13 / sizes[0]) as u64 / 10;
            assert!(many < most, "{verb}, {what}: {few} calls, then {many}");
        }
    }
}

#[test]
fn cost_grows_no_faster_than_the_layout() {
    let Some(law) = Law::new() else { return };
    // Ten times as many names, blobs and entries.
    let exhaustive = std::env::var("PLIMSOLL_EXHAUSTIVE").is_ok_and(|value| value == "1");
    let sizes = if exhaustive { [1_000, 10_000] } else { [100, 1_000] };
    for size in sizes {
        law.program.good(&["pack", "tree", &format!("oci:images{size}:first")]);
        grow(&law.scratch.join(&format!("images{size}")), size);
    }
    law.holds("names", sizes, |size| {
        let at = format!("oci:images{size}");
        vec![
            format!("tag {at}:first again"),
            format!("ls -q {at}"),
            format!("gc {at}"),
            format!("fsck {at}"),
            format!("copy --all {at} oci:copied{size}"),
        ]
    });
}

#[test]
fn cost_grows_no_faster_than_the_layers() {
    let Some(law) = Law::new() else { return };
    let sizes = [8, 64];
    for size in sizes {
        law.program.good(&["pack", "tree", &format!("oci:deep{size}:v1")]);
        let folders: Vec<_> = (1..size).map(|number| format!("layer{number}")).collect();
        for folder in &folders {
            fs::create_dir_all(law.scratch.join(folder)).expect("a folder");
            fs::write(law.scratch.join(folder).join(folder), folder).expect("a file");
        }
        let at = format!("oci:deep{size}:v1");
        let words: Vec<_> =
            ["append", &at].into_iter().chain(folders.iter().map(String::as_str)).collect();
        law.program.good(&words);
    }
    law.holds("layers", sizes, |size| {
        let at = format!("oci:deep{size}:v1");
        vec![
            format!("inspect {at}"),
            format!("validate {at}"),
            format!("copy {at} oci:one{size}:v1"),
            format!("convert --compression zstd {at} oci:two{size}:v1"),
            format!("unpack {at} root{size}"),
            format!("squash {at} --tag flat"),
            format!("gc oci:deep{size}"),
        ]
    });
}

#[test]
fn cost_grows_no_faster_than_the_index() {
    let Some(law) = Law::new() else { return };
    let sizes = [20, 200];
    for size in sizes {
        law.program.good(&["pack", "tree", &format!("oci:wide{size}:first")]);
        grow(&law.scratch.join(&format!("wide{size}")), size);
        let names: Vec<_> = (0..size).map(|number| format!("oci:wide{size}:t{number}")).collect();
        let all = format!("oci:wide{size}:all");
        let words = ["index", "create", &all].into_iter().chain(names.iter().map(String::as_str));
        law.program.good(&words.collect::<Vec<_>>());
    }
    law.holds("manifests", sizes, |size| {
        let at = format!("oci:wide{size}:all");
        vec![
            format!("ls -q {at}"),
            format!("inspect {at}"),
            format!("validate {at}"),
            format!("copy {at} oci:three{size}:v1"),
        ]
    });
}

/// Adds that many images with blobs of their own, and half as many blobs that
/// nothing leads to.
fn grow(layout: &Path, count: usize) {
    const SCRIPT: &str = r#"
import hashlib, json, os, sys
layout, count = sys.argv[1], int(sys.argv[2])
def put(data):
    digest = hashlib.sha256(data).hexdigest()
    with open(os.path.join(layout, "blobs/sha256", digest), "wb") as file:
        file.write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}
path = os.path.join(layout, "index.json")
index = json.load(open(path))
for number in range(count):
    config = {"architecture": "amd64", "os": "linux", "author": str(number),
              "rootfs": {"type": "layers", "diff_ids": []}}
    config = {"mediaType": "application/vnd.oci.image.config.v1+json",
              **put(json.dumps(config).encode())}
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []}
    name = {"org.opencontainers.image.ref.name": "t%d" % number}
    index["manifests"].append({"mediaType": kind, "annotations": name,
                               **put(json.dumps(manifest).encode())})
    if number % 2 == 0:
        put(b"loose %d" % number)
json.dump(index, open(path, "w"))
"#;
    run(Command::new("python3").args(["-c", SCRIPT]).arg(layout).arg(count.to_string()))
        .good("python3");
}
