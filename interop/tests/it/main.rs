//! The program against other people's tools.

mod bucket;
mod compression;
mod convert;
mod crash;
mod debian;
mod kills;
mod kit;
mod layers;
mod layouts;
mod load;
mod old;
mod places;
mod power;
mod promises;
mod raw;
mod referrers;
mod registry;
mod repack;
mod reproducible;
mod rules;
mod run;
mod scale;
mod serve;
mod signatures;
mod writers;
