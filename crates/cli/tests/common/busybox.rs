//! The program that images of the tests are made of.

#![allow(clippy::print_stderr, reason = "tests say what they skip")]

use std::fs;
use std::path::Path;

const BUSYBOX: &str = "/bin/busybox";

/// Where it lies; says so where there is none that runs without anything else.
pub(crate) fn path() -> Option<&'static Path> {
    let path = Path::new(BUSYBOX);
    if !is_static(path) {
        eprintln!("SKIP running images: there is no static {BUSYBOX}");
        return None;
    }
    Some(path)
}

/// Whether a program needs no loader: no segment of it names one (PT_INTERP).
fn is_static(path: &Path) -> bool {
    const INTERPRETER: u32 = 3;
    let Ok(bytes) = fs::read(path) else { return false };
    let number = |at: usize, length: usize| {
        let mut number = [0; 8];
        number[..length].copy_from_slice(&bytes[at..at + length]);
        u64::from_le_bytes(number) as usize
    };
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return false;
    }
    let (first, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).all(|n| number(first + n * size, 4) as u32 != INTERPRETER)
}
