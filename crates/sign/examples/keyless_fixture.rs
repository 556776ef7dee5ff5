//! Writes a file, a bundle made without a key of one's own, and the root by which it is
//! trusted into a folder: for tests against other verifiers, and for the book.
//!
//! `cargo run -p plimsoll-sign --example keyless_fixture -- FOLDER [first|second|seeds]
//! [FILE]` takes an entry of the first or second version of logs; `seeds` writes seeds of
//! the fuzz target `keyless` instead. With a file, a manifest, the bundle is a statement
//! about it, as cosign signs images.
#![expect(clippy::print_stdout, reason = "a program for people")]

#[path = "../tests/forge/mod.rs"]
mod forge;

use std::path::PathBuf;

use forge::{AT, Log, Made, World};
use plimsoll_sign::text::to_base64;

fn main() {
    let mut words = std::env::args().skip(1);
    let folder = PathBuf::from(words.next().expect("a folder"));
    let word = words.next().unwrap_or_default();
    let log = if word == "second" { Log::Second } else { Log::First };
    let world = World::new();
    let signer = world.signer(&forge::Leaf::default());
    let file = words.next().map(|path| std::fs::read(path).expect("a file"));
    let envelope = file.is_some();
    let artifact = file.unwrap_or_else(|| b"signed by a workflow\n".to_vec());
    let wanted = |form: &forge::Form| form.envelope == envelope && form.log == log;
    let form = forge::forms().into_iter().rev().find(wanted);
    let made = Made::new(form.expect("a form"), &artifact, &signer);
    let entry = world.entry(log, &made.body(), AT);
    let stamp = world.stamp(&made.signature, AT + 1).response(&world.stamps.0);
    let bundle = made.bundle(&[entry], &[stamp]);
    std::fs::create_dir_all(&folder).expect("a folder");
    let write = |name: &str, content: &[u8]| {
        std::fs::write(folder.join(name), content).expect("written");
    };
    if word == "seeds" {
        let entry = &bundle["verificationMaterial"]["tlogEntries"][0];
        let note = entry["inclusionProof"]["checkpoint"]["envelope"].as_str().expect("a note");
        let stamps = &bundle["verificationMaterial"]["timestampVerificationData"];
        let stamp = stamps["rfc3161Timestamps"][0]["signedTimestamp"].as_str().expect("a stamp");
        for (name, content) in [
            ("trusted_root.json", format!("{}\n", world.trusted_root())),
            ("bundle.json", format!("{bundle}\n")),
            ("root", format!("r{}\n", world.trusted_root())),
            ("bundle", format!("b{bundle}\n")),
            ("certificate", format!("c{}\n", to_base64(&signer.certificate))),
            ("timestamp", format!("t{stamp}\n")),
            ("note", format!("n{note}")),
            ("entry", format!("e{}\n", made.body())),
        ] {
            write(name, content.as_bytes());
        }
        return;
    }
    write("artifact", &artifact);
    write("bundle.sigstore.json", format!("{bundle}\n").as_bytes());
    write("trusted_root.json", format!("{}\n", world.trusted_root()).as_bytes());
    println!("{} {}", forge::WHO, forge::ISSUER);
}
