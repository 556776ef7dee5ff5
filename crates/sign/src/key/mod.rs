//! Keys: public ones as their SPKI, private ones in memory that is wiped, and
//! the file in which cosign keeps them.
//!
//! Where keys lie, and who is asked for a passphrase, is the caller's matter.
//! The arithmetic is that of `ring`.

pub mod external;
mod file;
mod pair;
mod public;

pub use file::{Passphrase, is_encrypted, open, seal};
pub use pair::KeyPair;
pub(crate) use public::RSA;
pub use public::{Algorithm, Kind, PublicKey};
