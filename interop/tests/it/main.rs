//! The program against other people's tools.

mod compression;
mod convert;
mod crash;
mod debian;
mod kit;
mod layers;
mod layouts;
mod names;
mod old;
mod places;
mod power;
mod promises;
mod referrers;
mod registry;
mod repack;
mod reproducible;
mod rules;
mod run;
mod scale;
mod writers;
