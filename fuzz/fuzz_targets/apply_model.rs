//! Layers applied to a real folder, against a model that has no files. The
//! tests of the layer room share it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/layer/tests/it/links_model.rs"]
mod links_model;

fuzz_target!(|bytes: &[u8]| links_model::check(bytes));
