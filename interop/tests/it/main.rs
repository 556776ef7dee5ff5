//! The program against other people's tools.

mod compression;
mod crash;
mod debian;
mod layers;
mod layouts;
mod repack;
mod reproducible;
mod run;
