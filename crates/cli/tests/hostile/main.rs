//! Hostile images, by id, through the real program: `unpack` and `validate`,
//! as root and as an ordinary user, beside a victim that must not change. The
//! ids and what is right are listed in `docs/reference/hostile.md`; `cargo
//! xtask hostile` holds the two together.
//!
//! Each refusal of a small image has one second and 128 MiB of memory.

mod archive;
#[path = "../common/busybox.rs"]
mod busybox;
mod case;
mod compression;
mod metadata;
mod names;
mod parser;
mod paths;
mod running;
mod whiteouts;
mod yard;
