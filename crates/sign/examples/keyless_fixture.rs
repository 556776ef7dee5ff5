//! Writes a file, a bundle made without a key of one's own, and the root by which it is
//! trusted into a folder: for tests against other verifiers, and for the book.
//!
//! `cargo run -p plimsoll-sign --example keyless_fixture -- FOLDER [first|second]`
#![expect(clippy::print_stdout, reason = "a program for people")]

#[path = "../tests/forge/mod.rs"]
mod forge;

use std::path::PathBuf;

use forge::{AT, Log, Made, World};

fn main() {
    let mut words = std::env::args().skip(1);
    let folder = PathBuf::from(words.next().expect("a folder"));
    let log = match words.next().as_deref() {
        Some("second") => Log::Second,
        _ => Log::First,
    };
    let world = World::new();
    let signer = world.signer(&forge::Leaf::default());
    let artifact = b"signed by a workflow\n";
    let form = forge::forms().into_iter().rev().find(|form| !form.envelope && form.log == log);
    let made = Made::new(form.expect("a form"), artifact, &signer);
    let entry = world.entry(log, &made.body(), AT);
    let stamp = world.stamp(&made.signature, AT + 1).response(&world.stamps.0);
    let bundle = made.bundle(&[entry], &[stamp]);
    std::fs::create_dir_all(&folder).expect("a folder");
    let write = |name: &str, content: &[u8]| {
        std::fs::write(folder.join(name), content).expect("written");
    };
    write("artifact", artifact);
    write("bundle.sigstore.json", bundle.to_string().as_bytes());
    write("trusted_root.json", world.trusted_root().to_string().as_bytes());
    println!("{} {}", forge::WHO, forge::ISSUER);
}
