//! The real program, from outside: words in, files and exit codes out.
#![allow(clippy::print_stderr, reason = "tests say what they skip")]

mod demo;
mod errors;
mod faults;
mod images;
mod kills;
mod places;
mod reproducible;
mod run;
mod schemas;
mod support;
mod survive;
