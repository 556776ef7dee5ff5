//! The promises of `docs/format/store.md` about what goes wrong: killed at
//! every system call and at any time, faults at every call, power cuts.
//!
//! By default a sample of the points is tried, so that CI stays quick;
//! `PLIMSOLL_EXHAUSTIVE=1` tries all of them, and `PLIMSOLL_KILLS=1000` says
//! how often processes are killed at random times.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_interop::trace::{Call, inject, trace};
use plimsoll_interop::{Peer, Program, Scratch, peer, run, skip};

/// What is done to a layout, in words; `{}` stands for the layout.
pub(crate) const COMMANDS: [(&str, &[&str]); 11] = [
    ("tag", &["tag", "oci:images:v1", "v2"]),
    ("pack", &["pack", "tree", "oci:images:v2", "--label", "a=b"]),
    ("pack new", &["pack", "tree", "oci:new:v2"]),
    ("edit", &["edit", "oci:images:v1", "--label", "a=b"]),
    ("convert", &["convert", "oci:images:two", "oci:images:v2", "--compression", "zstd"]),
    ("convert new", &["convert", "oci:images:two", "oci:new:v2", "--to", "docker"]),
    ("squash", &["squash", "oci:images:two", "-t", "v2"]),
    ("gc", &["gc", "oci:images"]),
    ("copy", &["copy", "oci-archive:other.tar:v2", "oci:images:v2"]),
    ("copy new", &["copy", "oci:images:v1", "oci:new:v2"]),
    ("load", &["load", "-q", "--store", "loaded", "-i", "other.tar"]),
];

/// The layouts that they write.
const LAYOUTS: [&str; 3] = ["images", "new", "loaded"];

/// A folder in which they are run.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) program: Program,
    /// What is removed at the end.
    scratch: Option<Scratch>,
}

impl Place {
    /// A place of its own, with a copy of it all to begin from again.
    fn new() -> Self {
        let scratch = Scratch::new();
        let mut place = Self::at(scratch.path());
        place.prepare(0);
        place.copy("images", "pristine");
        place.scratch = Some(scratch);
        place
    }

    /// What lies in a folder.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), program: Program::new(folder), scratch: None }
    }

    /// Makes a layout with an image `v1`, one of two layers, another one that
    /// nothing leads to, and an archive of one more. They hold that many bytes.
    pub(crate) fn prepare(&self, bytes: usize) {
        fs::create_dir(self.folder.join("tree")).expect("a folder");
        fs::write(self.folder.join("tree/file"), noise(bytes + 1)).expect("a file");
        self.program.good(&["pack", "tree", "oci:images:v0", "--label", "old=1"]);
        self.program.good(&["pack", "tree", "oci:images:v1"]);
        self.program.good(&["append", "oci:images:v1", "tree", "-t", "two"]);
        self.program.good(&["rm", "oci:images:v0"]);
        fs::write(self.folder.join("tree/file"), noise(bytes + 2)).expect("a file");
        self.program.good(&["pack", "tree", "oci-archive:other.tar:v2"]);
    }

    fn copy(&self, from: &str, to: &str) {
        let mut copy = Command::new("cp");
        run(copy.arg("-a").arg(self.folder.join(from)).arg(self.folder.join(to))).good("cp");
    }

    fn again(&self) {
        for name in LAYOUTS {
            let _ = fs::remove_dir_all(self.folder.join(name));
        }
        self.copy("pristine", "images");
    }

    /// Whatever happened, the layout is good, the old names are there, the
    /// same command works, and `gc` leaves nothing lying about.
    pub(crate) fn is_good(&self, words: &[&str], what: &str) {
        let check = self.program.run(&["fsck", "oci:images"]);
        assert_eq!(check.code, 0, "{what}: {}{}", check.out, check.err);
        let listed = self.program.good(&["ls", "-q", "oci:images"]);
        assert!(listed.lines().any(|name| name == "v1"), "{what}: {listed}");
        let again = self.program.run(words);
        let done = again.code == 0 || again.err.contains("E_EXISTS");
        assert!(done, "{what}, again: {}", again.err);
        for layout in LAYOUTS {
            if self.folder.join(layout).exists() {
                let place = format!("oci:{layout}");
                self.program.good(&["gc", &place]);
                self.program.good(&["fsck", &place]);
            }
        }
        let left = leftovers(&self.folder);
        assert!(left.is_empty(), "{what}: {left:?}");
    }
}

/// Every path below `folder` that has the name of something unfinished.
fn leftovers(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(".plimsoll-") {
                found.push(name);
            }
            if entry.file_type().expect("a type").is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found
}

pub(crate) fn exhaustive() -> bool {
    std::env::var("PLIMSOLL_EXHAUSTIVE").is_ok_and(|value| value == "1")
}

/// All of the points, or some of them, the first and the last included.
pub(crate) fn sample(points: Vec<Call>, most: usize) -> Vec<Call> {
    if exhaustive() || points.len() <= most {
        return points;
    }
    let last = points.len() - 1;
    (0..most).map(|number| points[number * last / (most - 1)].clone()).collect()
}

/// The calls of a command at which something can go wrong.
pub(crate) fn points(place: &Place, strace: &Peer, words: &[&str]) -> Option<Vec<Call>> {
    let (output, calls) = trace(strace, &place.program, words, &place.folder.join("trace"));
    if output.code != 0 && output.err.contains("ptrace") {
        skip("tracing: not allowed here");
        return None;
    }
    assert_eq!(output.code, 0, "{words:?}: {}", output.err);
    let points: Vec<_> = calls.into_iter().filter(Call::changes).collect();
    assert!(points.len() > 3, "{words:?}: {points:?}");
    Some(points)
}

#[test]
fn st01_killed_at_every_system_call() {
    let Some(strace) = peer("strace") else { return };
    let place = Place::new();
    let (mut kills, mut missed) = (0, 0);
    for (name, words) in COMMANDS {
        place.again();
        let Some(points) = points(&place, &strace, words) else { return };
        let all = points.len();
        for call in sample(points, 12) {
            place.again();
            let what = format!("{name} killed at {} {}", call.name, call.ordinal);
            let log = place.folder.join("trace");
            let output = inject(&strace, &place.program, words, &call, "signal=KILL", &log);
            // Threads that find work done already make fewer calls than in
            // the run that counted them: its last ones may never come.
            if output.code == 0 {
                missed += 1;
            } else {
                kills += 1;
            }
            place.is_good(words, &what);
        }
        println!("{name}: {all} calls that change something");
    }
    assert!(kills > missed * 10, "{kills} killed, {missed} not reached: the calls are miscounted");
    println!("{kills} kills ({missed} not reached), no invalid state, no leftover after gc");
}

#[test]
fn st02_faults_at_every_system_call() {
    let Some(strace) = peer("strace") else { return };
    let place = Place::new();
    let (mut faults, mut told) = (0, 0);
    for (name, words) in COMMANDS {
        place.again();
        let Some(points) = points(&place, &strace, words) else { return };
        for (error, text, codes) in [
            ("ENOSPC", "No space left", &[5][..]),
            ("EROFS", "Read-only file system", &[4]),
            ("EIO", "Input/output error", &[5]),
            ("EDQUOT", "quota", &[5]),
            ("EINTR", "Interrupted", &[1, 5]),
        ] {
            for call in sample(points.clone(), 5) {
                place.again();
                let what = format!("{name} with {error} at {} {}", call.name, call.ordinal);
                let log = place.folder.join("trace");
                let fault = format!("error={error}");
                let output = inject(&strace, &place.program, words, &call, &fault, &log);
                faults += 1;
                // Tidying up may fail, and an interrupted call is made again.
                if output.code != 0 {
                    told += 1;
                    assert!(codes.contains(&output.code), "{what}: {} {}", output.code, output.err);
                    let lower = output.err.to_lowercase();
                    assert!(lower.contains(&text.to_lowercase()), "{what}: {}", output.err);
                    let names = ["images", "new", "loaded", "blob", "tree", "other.tar"];
                    assert!(names.iter().any(|name| output.err.contains(name)), "{}", output.err);
                    // Nothing half-done is at the destination of a new layout.
                    if place.folder.join("new").exists() {
                        place.program.good(&["validate", "oci:new:v2"]);
                    }
                }
                place.is_good(words, &what);
            }
        }
    }
    assert!(told > 0, "no fault was told");
    println!("{faults} faults, {told} of them told, nothing harmed");
}

#[test]
fn killed_at_random_times() {
    let scratch = Scratch::new();
    let place = Place::at(scratch.path());
    place.prepare(3_000_000);
    place.copy("images", "pristine");
    let kills: usize =
        std::env::var("PLIMSOLL_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    // How long each takes tells when it can be killed.
    let mut state = 1u64;
    let (mut killed, mut late) = (0, 0);
    let mut spans: Vec<Duration> = COMMANDS
        .iter()
        .map(|(_, words)| {
            place.again();
            let start = Instant::now();
            place.program.good(words);
            start.elapsed()
        })
        .collect();
    // Only those count that were still at work.
    for round in 0..kills * 10 {
        if killed == kills {
            break;
        }
        let number = round % COMMANDS.len();
        let (name, words) = COMMANDS[number];
        let span = &mut spans[number];
        place.again();
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let delay = *span * (state >> 48) as u32 / (1 << 16);
        let mut child = place
            .program
            .command()
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        std::thread::sleep(delay);
        if child.try_wait().expect("asked").is_none() {
            killed += 1;
            *span = *span * 21 / 20;
        } else {
            late += 1;
            *span = *span * 9 / 10;
        }
        let _ = child.kill();
        child.wait().expect("it ends");
        place.is_good(words, &format!("{name} killed after {delay:?}"));
    }
    println!("{killed} killed, {late} had ended: no invalid state, no leftover after gc");
    assert!(killed * 2 > kills, "{killed} of {kills}");
}

/// Bytes that do not compress, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7u64;
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

/// The path between `<` and `>` of the first file descriptor, or of the
/// second.
fn path_of(rest: &str, number: usize) -> Option<&str> {
    rest.split('<').nth(number + 1)?.split('>').next()
}

/// The text between the quotes, the first or the second one.
fn quoted(rest: &str, number: usize) -> Option<&str> {
    rest.split('"').nth(2 * number + 1)
}

#[test]
fn nothing_is_flushed_with_no_sync() {
    let Some(strace) = peer("strace") else { return };
    let place = Place::new();
    let flushes = |words: &[&str]| {
        let log = place.folder.join("trace");
        let (output, calls) = trace(&strace, &place.program, words, &log);
        if output.code != 0 && output.err.contains("ptrace") {
            return None;
        }
        assert_eq!(output.code, 0, "{words:?}: {}", output.err);
        Some(calls.iter().filter(|call| call.name.contains("sync")).count())
    };
    let unpack = ("unpack", &["unpack", "oci:images:v1", "out"][..]);
    let save = ("save", &["save", "oci:images:v1", "-o", "saved.tar"][..]);
    let dir = ("copy", &["copy", "oci:images:v1", "dir:dir"][..]);
    for (name, words) in COMMANDS.into_iter().chain([unpack, save, dir]) {
        place.again();
        let words: Vec<_> = words.iter().copied().chain(["--no-sync"]).collect();
        let Some(count) = flushes(&words) else {
            skip("tracing: not allowed here");
            return;
        };
        // What is removed needs no flush to stay removed after a kill.
        assert!(count == 0 || name == "gc", "{name}: {count} flushes");
        place.program.good(&["fsck", "oci:images"]);
    }
    place.again();
    assert!(flushes(&["tag", "oci:images:v1", "v2"]).is_some_and(|count| count > 1));
}

#[test]
fn power_cut_everything_is_on_disk_before_it_has_a_name() {
    let Some(strace) = peer("strace") else { return };
    let place = Place::new();
    let mut renames = 0;
    for (name, words) in COMMANDS {
        place.again();
        let log = place.folder.join("trace");
        let (output, calls) = trace(&strace, &place.program, words, &log);
        if output.code != 0 && output.err.contains("ptrace") {
            skip("tracing: not allowed here");
            return;
        }
        assert_eq!(output.code, 0, "{name}: {}", output.err);
        // What was written to and not flushed since; folders with new names.
        let mut dirty: HashSet<String> = HashSet::new();
        let mut unsynced: HashSet<String> = HashSet::new();
        for call in calls.iter().filter(|call| call.worked()) {
            let rest = call.rest.as_str();
            let path = path_of(rest, 0).unwrap_or_default().to_owned();
            match call.name.as_str() {
                "write" | "pwrite64" | "ftruncate" if call.changes() => {
                    dirty.insert(path);
                }
                "fsync" => {
                    dirty.remove(&path);
                    unsynced.remove(&path);
                }
                "syncfs" => {
                    dirty.clear();
                    unsynced.clear();
                }
                "renameat" | "renameat2" => {
                    let from = format!("{path}/{}", quoted(rest, 0).expect("a name"));
                    let folder = path_of(rest, 1).expect("a folder").to_owned();
                    let to = quoted(rest, 1).expect("a name");
                    renames += 1;
                    let below =
                        |dirty: &String| *dirty == from || dirty.starts_with(&format!("{from}/"));
                    assert!(!dirty.iter().any(below), "{name}: {from} became {to} unflushed");
                    if to == "index.json" {
                        // A name is the last thing: all blobs are durable by then.
                        let blobs = |folder: &String| folder.contains("/blobs");
                        assert!(!unsynced.iter().any(blobs), "{name}: {unsynced:?}");
                    }
                    unsynced.insert(folder);
                }
                _ => {}
            }
        }
        // Staging folders hold nothing that must last.
        unsynced.retain(|folder| !folder.ends_with("/staging"));
        assert!(unsynced.is_empty(), "{name}: names in {unsynced:?} were not flushed");
    }
    assert!(renames >= 8, "{renames}");
    println!("{renames} renames, each after the flush of its file and before that of its folder");
}
