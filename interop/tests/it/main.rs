//! The program against other people's tools.

mod compression;
mod conversion;
mod convert;
mod crash;
mod debian;
mod isolation;
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
mod registry_way;
mod repack;
mod reproducible;
mod rules;
mod run;
mod scale;
mod serve;
mod signatures;
mod writers;
