//! The endpoints of the protocol, one file for each kind.

mod blobs;
mod lists;
mod manifests;
mod uploads;
