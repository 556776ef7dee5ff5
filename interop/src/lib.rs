//! The program against other people's tools: what the tests share.
//!
//! A [`Peer`] is another tool, found on the path or in the cache that
//! `interop/setup` fills. A test that lacks one says `SKIP` and passes, unless
//! `PLIMSOLL_REQUIRE_PEERS=1` says that all must be there. [`Program`] is the
//! real `plimsoll`, and [`tree`] lists what lies below a folder in full, so
//! that two unpacked images can be compared entry by entry.
//!
//! What does not live here: anything that looks inside of the program. The
//! suite knows it from the command line only.
#![allow(clippy::missing_panics_doc, reason = "all of it is for tests, which end by panics")]

mod image;
mod peer;
mod process;
mod program;
mod scratch;
pub mod trace;
pub mod tree;

pub use image::{busybox_rootfs, debian_tar};
pub use peer::{Peer, peer, peers};
pub use process::{Output, run, shell};
pub use program::Program;
pub use scratch::Scratch;

use std::io::Write as _;

/// Says why a test, or a part of one, was left out; past the capture of the
/// test harness, so that it is seen when the test passes.
pub fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIP {why}");
}

/// Whether the tests run as root; says `SKIP` for `what` if not.
pub fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip(&format!("{what}: needs root"));
    }
    root
}

/// Whether a missing tool is a failure.
fn required() -> bool {
    std::env::var("PLIMSOLL_REQUIRE_PEERS").is_ok_and(|value| value == "1")
}
