//! Content for other people's clients: an OCI registry (distribution-spec 1.1)
//! over what this software keeps.
//!
//! [`Server`] speaks the protocol over TCP and TLS; [`storage`] is where it
//! keeps what it serves, with one implementation for folders of layouts
//! ([`storage::folder`]). [`Options`] say who may do what, and how much.
//!
//! What does not live here: the words of the protocol
//! (`plimsoll_registry::protocol`, which both ends share), how layouts are
//! written (`plimsoll-store`). Logs and signals are the program's: what happens
//! is told to a [`Log`], and a flag says when to stop.
//!
//! tokio and hyper live in this crate and nowhere else.

mod auth;
mod body;
mod handle;
mod log;
mod metrics;
mod options;
mod patient;
mod reply;
mod server;
mod service;
pub mod storage;

pub use auth::{Access, Key, Users};
pub use log::{Event, Log, Request, Silent};
pub use options::{Budget, Options};
pub use server::{Identity, Server, address};
