//! Who vouches for content, and when that is enough.
//!
//! Signatures come in several encodings ([`mod@format`]). A [`scheme`] turns the
//! bytes of one into a [`VerifiedClaim`], or says why not. A [`Policy`] says which
//! claims an image needs, and [`judge`](fn@judge::judge) gives the verdict with
//! all of its reasons. [`mod@write`] makes signatures, with keys of [`key`].
//!
//! What does not live here: where signatures and keys lie, and how they are
//! fetched. The crate touches no files and opens no sockets; the time and random
//! bytes are arguments.
//!
//! ```
//! use plimsoll_content::{Algorithm, Descriptor, MediaType};
//! use plimsoll_sign::key::{Kind, KeyPair};
//! use plimsoll_sign::scheme::verify_blob;
//! use plimsoll_sign::{Limits, write};
//!
//! let random = ring::rand::SystemRandom::new();
//! let pair = KeyPair::generate(Kind::P256, &random)?;
//! let content = Descriptor::of(MediaType::from("text/plain"), Algorithm::Sha256, b"hello");
//! let key = write::Local { pair: &pair, random: &random };
//! let bundle = write::signature(&key, &content, Some("example.com/org/app:v1"))?;
//! let limits = Limits::default();
//! let bytes: std::sync::Arc<[u8]> = b"hello".as_slice().into();
//! let claim = verify_blob(&bundle, pair.public(), &content, bytes, &limits).expect("ours");
//! assert_eq!(claim.names, ["example.com/org/app:v1"]);
//! # Ok::<(), plimsoll_content::Error>(())
//! ```

pub mod asked;
mod claim;
mod date;
mod der;
pub mod format;
pub mod judge;
pub mod key;
pub mod keyless;
mod limits;
pub mod policy;
mod reason;
pub mod scheme;
pub mod text;
pub mod write;

pub use asked::{Asked, ImageName};
pub use claim::{Claim, Form, Saying, Seconds, Signer, VerifiedClaim};
pub use limits::Limits;
pub use policy::Policy;
pub use reason::{Reason, Why};
