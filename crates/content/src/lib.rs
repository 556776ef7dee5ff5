//! What bytes are called, and the proof that they are those bytes.
//!
//! This is the ground floor: [`Digest`], [`Descriptor`], [`Document`], the
//! states of content on its way from a place nobody trusts to a place where
//! it is kept ([`Unverified`] → [`Verifying`] → [`Verified`], and the writing
//! twin [`Sealing`]), and the four small traits that every kind of place
//! implements ([`Source`], [`Sink`], [`Ingest`], [`Resolve`]).
//!
//! What does not live here: files, sockets, clocks, the meaning of documents
//! (`plimsoll-spec`), file trees (`plimsoll-layer`). The crate does no input
//! or output of its own; it compiles for `wasm32-unknown-unknown`.
//!
//! # Using content before it is proved does not compile
//!
//! ```compile_fail
//! use std::io::Read;
//! fn peek(mut content: plimsoll_content::Unverified<'_>) {
//!     let mut first = [0; 1];
//!     content.read(&mut first); // `Unverified` is no reader
//! }
//! ```
//!
//! ```compile_fail
//! use plimsoll_content::{Descriptor, Verified};
//! fn forge(descriptor: Descriptor) -> Verified {
//!     Verified { descriptor } // the field is private
//! }
//! ```
//!
//! ```
//! use std::io::Read;
//! use plimsoll_content::{Algorithm, Descriptor, Digest, MediaType, Unverified};
//!
//! let bytes = b"hello";
//! let descriptor = Descriptor::new(
//!     MediaType::from("text/plain"),
//!     Digest::of(Algorithm::Sha256, bytes),
//!     bytes.len() as u64,
//! );
//! let mut reader = Unverified::new(&bytes[..]).verify(&descriptor)?;
//! let mut text = String::new();
//! reader.read_to_string(&mut text).expect("the bytes are the announced ones");
//! let (proof, _) = reader.finish()?;
//! assert_eq!(proof.descriptor().digest, descriptor.digest);
//! # Ok::<(), plimsoll_content::Error>(())
//! ```

mod descriptor;
mod digest;
mod document;
mod error;
mod hasher;
pub mod json;
pub mod limits;
mod media_type;
mod platform;
mod source;
mod verify;
mod watch;

pub use descriptor::{Annotations, Descriptor};
pub use digest::{Algorithm, Digest};
pub use document::{Document, View};
pub use error::{Code, Error, Kind, Result};
pub use hasher::Hasher;
pub use media_type::MediaType;
pub use platform::Platform;
pub use source::{Delete, Ingest, Kept, Resolve, Resumed, Sink, Source, Tag};
pub use verify::{Sealing, Unverified, Verified, Verifying};
pub use watch::{Part, Quiet, Stage, Watch};
