//! The files of `cases/` and `peers/`, as the build found them.

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
