//! Many runs, some of them killed: nothing is left of any.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::flags::{mounts_of, our_cgroups};
use super::image;
use crate::support::Sandbox;

const IMAGE: &str = "oci:images:app";

/// How many runs; `PLIMSOLL_RUNS=1000` is the full measure.
const RUNS: usize = 48;

/// How many at a time.
const BATCH: usize = 8;

/// How long what was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// Numbers that are the same in every test, and look like chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Processes whose command line holds a text.
fn processes(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").expect("listed").flatten() {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&words).replace('\0', " ").contains(text) {
            found.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

#[test]
fn a_thousand_runs_with_random_kills_leave_nothing() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    let runs =
        std::env::var("PLIMSOLL_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(RUNS);
    let limited = sandbox.run(&["run", "--pids-limit", "50", IMAGE, "true"]).code == 0;
    let limit: &[&str] = if limited { &["--pids-limit", "50"] } else { &[] };
    let marker = format!("4{}.25", std::process::id());
    let mut chance = Chance(7);
    let (mut ended, mut killed) = (0, 0);
    for batch in 0..runs.div_ceil(BATCH) {
        let mut children: Vec<(Child, Option<Duration>)> = (0..BATCH)
            .map(|n| {
                let long = n % 2 == 0;
                let script = if long {
                    format!("sleep {marker} & sleep {marker}")
                } else {
                    "touch /x; exit 3".to_owned()
                };
                let init: &[&str] = if n % 4 == 0 { &["--init"] } else { &[] };
                let words: Vec<_> = ["run", "--network=none"]
                    .iter()
                    .chain(limit)
                    .chain(init)
                    .chain(&["--tmpfs", "/t", IMAGE, "sh", "-c", &script])
                    .copied()
                    .collect();
                let child = sandbox
                    .command(&words)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .expect("starts");
                let kill = long || chance.below(4) == 0;
                (child, kill.then(|| Duration::from_millis(chance.below(120))))
            })
            .collect();
        let started = Instant::now();
        children.sort_by_key(|(_, delay)| *delay);
        for (child, delay) in &mut children {
            if let Some(delay) = delay {
                std::thread::sleep(delay.saturating_sub(started.elapsed()));
                child.kill().expect("ours");
                killed += 1;
            }
        }
        for (mut child, delay) in children {
            let code = child.wait().expect("ours").code();
            if delay.is_none() {
                assert_eq!(code, Some(3), "batch {batch}");
                ended += 1;
            }
        }
    }
    assert!(ended > 0 && killed > 0);
    let started = Instant::now();
    let place = sandbox.path(".").display().to_string();
    let left = || {
        let mut left = processes(&marker);
        left.extend(processes(place.trim_end_matches("/.")));
        left
    };
    while !left().is_empty() && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(left(), BTreeSet::new(), "processes of {killed} killed runs");
    assert_eq!(mounts_of(&sandbox), "");
    // What a killed one could not take away, the next one does.
    sandbox.ok(&[&["run"], limit, &[IMAGE, "true"]].concat());
    let folders: Vec<_> =
        fs::read_dir(sandbox.path("store/run")).expect("listed").flatten().collect();
    assert!(folders.is_empty(), "{folders:?}");
    while !our_cgroups().is_empty() && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(our_cgroups(), Vec::<String>::new());
}
