//! The real program, from outside: words in, files and exit codes out.
#![allow(clippy::print_stderr, reason = "tests say what they skip")]

mod aci;
mod change;
mod demo;
mod errors;
mod export;
mod faults;
mod images;
mod kills;
mod limits;
mod old;
mod places;
mod repack;
mod reproducible;
mod run;
mod schema1;
mod schemas;
mod store;
mod support;
mod survive;
