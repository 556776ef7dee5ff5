//! The program against other people's tools.

mod crash;
mod debian;
mod layers;
mod layouts;
mod promises;
mod referrers;
mod run;
mod writers;
