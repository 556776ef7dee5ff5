//! The client against a registry whose answers are spoilt.

mod documents;
mod lanes;
mod login;
mod mirrors;
mod proxy;
mod pull;
mod push;
mod server;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use plimsoll_content as content;
use plimsoll_content::{Descriptor, Digest, MediaType, Result, Source};
use plimsoll_registry::client::{Client, Options, Patience, Remote};
use server::Server;

/// Somebody in a hurry.
fn options() -> Options {
    let patience = Patience {
        connect: Duration::from_secs(5),
        stall: Duration::from_millis(400),
        answer: Duration::from_secs(2),
        retries: 3,
        pause: Duration::from_millis(1),
        wait: Duration::from_secs(2),
    };
    Options { patience, ..Options::default() }
}

fn remote(server: &Server) -> Remote {
    remote_with(server, options())
}

fn remote_with(server: &Server, options: Options) -> Remote {
    at(&Client::new(options), server, "org/app")
}

fn at(client: &Arc<Client>, server: &Server, name: &str) -> Remote {
    client.remote(server.host.parse().expect("host"), name.parse().expect("repository"))
}

fn blob(digest: &Digest, size: usize) -> Descriptor {
    Descriptor::new(MediaType::from("application/octet-stream"), digest.clone(), size as u64)
}

/// Reads all of a blob, with its proof.
fn read(remote: &Remote, blob: &Descriptor) -> Result<Vec<u8>> {
    remote.open(blob)?.read_all()
}

/// Bytes that do not repeat soon.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8 ^ (at >> 8) as u8).collect()
}
