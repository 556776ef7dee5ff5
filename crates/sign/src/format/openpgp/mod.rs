//! OpenPGP (RFC 4880, RFC 9580), as far as signatures of images need it: one signed
//! message, verified with the keys of a keyring.
//!
//! Version 4 and 3 signatures with SHA-2, by RSA, ECDSA and EdDSA keys of version 4.
//! What a key ring says of its keys is followed: what they may do, until when they
//! hold, and whether they were revoked. Encryption, trust in others' keys, and
//! everything else are not here.

mod keyring;
mod message;
mod packet;
mod signature;

pub use keyring::{Keyring, PrimaryKey};
pub use message::{Signed, verify};
