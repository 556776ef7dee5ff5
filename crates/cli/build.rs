//! A profile for one package makes cargo forget to strip the program that
//! the package builds, so the linker is asked for it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let unix = std::env::var("CARGO_CFG_UNIX").is_ok();
    if release && unix {
        println!("cargo:rustc-link-arg-bins=-Wl,-s");
    }
}
