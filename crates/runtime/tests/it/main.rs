//! How an image starts, seen through the public API.

mod convert;
mod exec;
mod overlay;
mod user;
