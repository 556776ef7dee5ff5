//! What a name means, and who may say so.
//!
//! [`Reference`] is the grammar of names, [`Prefix`] what covers what;
//! [`suffix`] knows where domains of different owners meet.
//!
//! What does not live here: sockets, files, clocks. All that has to be asked
//! comes in from outside, and time is an argument; the crate compiles for
//! `wasm32-unknown-unknown`.

mod address;
pub mod announcement;
pub mod appc;
mod assurance;
pub mod chain;
pub mod crypto;
pub mod dns;
mod host;
pub mod listing;
pub mod lock;
pub mod lookup;
pub mod memory;
mod path;
pub mod publish;
pub mod record;
mod reference;
pub mod rules;
pub mod signers;
pub mod suffix;
mod template;
pub mod time;
pub mod tuf;
pub mod zone;

use plimsoll_content::{Code, Error};

pub use address::Address;
pub use assurance::Assurance;
pub use host::Host;
pub use path::{Prefix, Repository, Tag};
pub use reference::{Labels, Ref, Reference};
pub use template::Template;

/// The error of text that is not what it should be.
fn bad(what: &str, text: &str, expected: &str) -> Error {
    let shown: String = text.chars().take(100).collect();
    Error::new(Code::Reference, format!("reading {what}"))
        .found(format!("{shown:?}"))
        .expected(expected)
}
