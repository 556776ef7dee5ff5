//! What the linker leaves out of a release.
//!
//! A profile for one package makes cargo forget to strip the program that the
//! package builds, so the linker is asked for it. Tables for unwinding are left
//! out too, a tenth of the program: a panic aborts, so nobody would read them
//! but debuggers, for which there is the development build.

use std::{env, fs, io, path::Path};

const SCRIPT: &str = "\
SECTIONS
{
  /DISCARD/ : { *(.eh_frame .eh_frame.* .eh_frame_hdr .gcc_except_table .gcc_except_table.*) }
}
INSERT AFTER .text;
";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    if !is("PROFILE", "release") || env::var_os("CARGO_CFG_UNIX").is_none() {
        return Ok(());
    }
    println!("cargo:rustc-link-arg-bins=-Wl,-s");
    // mold reads no such scripts.
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    if is("CARGO_CFG_TARGET_OS", "linux") && !flags.contains("mold") {
        let script = Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("sections.ld");
        fs::write(&script, SCRIPT)?;
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{}", script.display());
    }
    Ok(())
}
