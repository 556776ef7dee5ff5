//! The real program, from outside: words in, files and exit codes out.
#![allow(clippy::print_stderr, reason = "tests say what they skip")]

mod aci;
mod change;
mod convert;
mod demo;
mod diff;
mod errors;
mod export;
mod faults;
mod images;
mod keyless;
mod kills;
mod kit;
mod lab;
mod limits;
mod mirror;
mod names;
mod old;
mod places;
mod progress;
mod registry;
mod repack;
mod reproducible;
mod resume;
mod run;
mod schema1;
mod schemas;
mod serve;
#[path = "../../../registry/tests/it/server.rs"]
#[allow(dead_code, reason = "the tests of the client need more of it")]
mod server;
mod signatures;
mod squash;
mod store;
mod support;
mod survive;
mod trust;
mod validate;
mod zones;

use plimsoll::content;
