//! The real program, from outside: words in, files and exit codes out.

mod demo;
mod errors;
mod faults;
mod images;
mod reproducible;
mod run;
mod schemas;
mod support;
mod survive;
