//! Documents through the public API: what is read, kept, written, refused.

mod appc;
mod book;
mod chain;
mod docker;
mod examples;
mod graph;
mod kept;
mod property;
mod refused;
mod select;
mod written;

use plimsoll_content::{Document, Error, View};

/// The digest of the two bytes `{}`.
const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// A small manifest, with more members at its end.
fn manifest(more: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{DIGEST}","size":2}},"layers":[]{more}}}"#
    )
}

/// A small index, with more members at its end.
fn index(more: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{DIGEST}","size":2,"platform":{{"architecture":"amd64","os":"linux"}}}}]{more}}}"#
    )
}

/// A small config, with more members at its end.
fn config(more: &str) -> String {
    format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{DIGEST}"]}}{more}}}"#
    )
}

#[track_caller]
fn parsed<T: View>(text: &str) -> Document<T> {
    match Document::parse(text.as_bytes()) {
        Ok(document) => document,
        Err(error) => panic!("{error}: {text}"),
    }
}

#[track_caller]
fn refused<T: View>(text: &str) -> Error {
    match Document::<T>::parse(text.as_bytes()) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error,
    }
}
