//! Recorded states: no panic, and what was read is written as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_content::{Algorithm, Digest};
use plimsoll_layer::diff::State;

fuzz_target!(|body: &[u8]| {
    let _ = State::parse(body);
    // With the head and the digest that it must have, more of it is looked at.
    let mut bytes = [b"plimsoll state 1\n", body].concat();
    let digest = Digest::of(Algorithm::Blake3, &bytes).encoded();
    bytes.extend(digest.as_bytes().chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair).expect("hexadecimal");
        u8::from_str_radix(text, 16).expect("hexadecimal")
    }));
    if let Ok(state) = State::parse(&bytes) {
        assert_eq!(State::parse(&state.to_bytes()).expect("our own"), state);
    }
});
