//! Pulls that break off, and the next command that goes on.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::server::{Reply, Server};
use crate::support::{Sandbox, names};

/// Where the blob breaks off.
const CUT: usize = 1_500_000;

/// What the registry does with large blobs.
const WHOLE: usize = 0;
const BREAK: usize = 1;
const STALL: usize = 2;

/// A sandbox with an image of one large layer in a registry, whose mode says
/// what becomes of that.
fn sandbox() -> (Sandbox, Server, String, Arc<AtomicUsize>) {
    let sandbox = Sandbox::new();
    let mut state = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(4 << 20)
    .collect();
    sandbox.write("tree/noise", noise);
    sandbox.ok(&["pack", "tree", "oci:images:v1", "--compression", "none"]);
    let mode = Arc::new(AtomicUsize::new(WHOLE));
    let of_server = Arc::clone(&mode);
    let server = Server::spoilt(move |seen, _, mut reply| {
        if !seen.is("GET", "/blobs/") || reply.body.len() < 100_000 {
            return reply;
        }
        match of_server.load(Ordering::SeqCst) {
            BREAK if seen.header("range").is_some() => return Reply::new(404, b""),
            BREAK => reply.cut = Some(CUT),
            STALL => reply.stall = Some(CUT),
            _ => {}
        }
        reply
    });
    let name = format!("docker://{}/org/app:v1", server.host);
    sandbox.ok(&["push", "oci:images:v1", &name]);
    (sandbox, server, name, mode)
}

fn parts(sandbox: &Sandbox) -> Vec<String> {
    names(&sandbox.path("store/.plimsoll/staging"))
}

/// The first byte that was asked for last, of a large blob.
fn asked(server: &Server) -> Option<String> {
    let seen = server.seen().into_iter().filter(|seen| seen.is("GET", "/blobs/"));
    seen.filter_map(|seen| seen.header("range").map(str::to_owned)).next_back()
}

#[test]
fn the_next_pull_goes_on_where_the_last_one_broke_off() {
    let (sandbox, server, name, mode) = sandbox();
    mode.store(BREAK, Ordering::SeqCst);
    sandbox.fails(3, &["pull", &name, "app:v1"]);
    assert_eq!(parts(&sandbox).len(), 1);
    sandbox.fails(3, &["inspect", "store:app:v1"]);
    mode.store(WHOLE, Ordering::SeqCst);
    sandbox.ok(&["pull", &name, "app:v1"]);
    assert_eq!(asked(&server), Some(format!("bytes={CUT}-")));
    assert_eq!(parts(&sandbox), Vec::<String>::new());
    sandbox.ok(&["fsck"]);
}

#[test]
fn what_was_kept_and_is_false_is_brought_anew() {
    let (sandbox, _server, name, mode) = sandbox();
    mode.store(BREAK, Ordering::SeqCst);
    sandbox.fails(3, &["pull", &name, "app:v1"]);
    let part = sandbox.path("store/.plimsoll/staging").join(&parts(&sandbox)[0]);
    let mut bytes = fs::read(&part).expect("a part");
    bytes[1000] ^= 1;
    fs::write(&part, &bytes).expect("written");
    mode.store(WHOLE, Ordering::SeqCst);
    sandbox.ok(&["pull", &name, "app:v1"]);
    assert_eq!(parts(&sandbox), Vec::<String>::new());
    sandbox.ok(&["fsck"]);
}

#[test]
fn a_killed_pull_leaves_what_it_has_brought() {
    let (sandbox, server, name, mode) = sandbox();
    mode.store(STALL, Ordering::SeqCst);
    let mut child = sandbox.command(&["pull", &name, "app:v1"]).spawn().expect("started");
    let enough = || {
        let staging = sandbox.path("store/.plimsoll/staging");
        let Ok(found) = fs::read_dir(staging) else { return false };
        found.flatten().any(|entry| {
            let part = entry.file_name().to_string_lossy().starts_with("partial-");
            part && entry.metadata().is_ok_and(|data| data.len() >= 1_000_000)
        })
    };
    for _ in 0..400 {
        if enough() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(enough());
    child.kill().expect("killed");
    child.wait().expect("ended");
    mode.store(WHOLE, Ordering::SeqCst);
    sandbox.ok(&["fsck"]);
    sandbox.ok(&["pull", &name, "app:v1"]);
    let from = asked(&server).expect("a part was asked for");
    let from: usize = from["bytes=".len()..from.len() - 1].parse().expect("a number");
    assert!((1_000_000..=CUT).contains(&from), "{from}");
    assert_eq!(parts(&sandbox), Vec::<String>::new());
    sandbox.ok(&["fsck"]);
}

#[test]
fn a_layout_goes_on_too_and_gc_takes_parts_away() {
    let (sandbox, server, name, mode) = sandbox();
    sandbox.ok(&["pack", "tree", "oci:other:x", "--compression", "gzip"]);
    mode.store(BREAK, Ordering::SeqCst);
    sandbox.fails(3, &["copy", &name, "oci:other:v1"]);
    mode.store(WHOLE, Ordering::SeqCst);
    sandbox.ok(&["copy", &name, "oci:other:v1"]);
    assert_eq!(asked(&server), Some(format!("bytes={CUT}-")));
    sandbox.ok(&["fsck", "oci:other"]);
    mode.store(BREAK, Ordering::SeqCst);
    sandbox.fails(3, &["pull", &name, "app:v1"]);
    let report = sandbox.json(&["gc"]);
    assert_eq!(report["leftovers"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!(parts(&sandbox), Vec::<String>::new());
}
