//! The encodings, byte by byte: what each says, once its signature holds.
//!
//! `docs/format/signatures.md` describes them. Each module reads strictly: what
//! two readers could understand differently is refused, also where other
//! verifiers let it pass.

pub(crate) mod beside;
pub mod bundle;
mod cbor;
pub mod dn;
pub mod dsse;
pub mod file;
pub mod fulcio;
mod hash;
pub mod log;
pub mod notary;
pub mod openpgp;
pub(crate) mod parse;
pub(crate) mod path;
pub mod root;
pub(crate) mod sct;
pub mod simple;
pub mod statement;
pub(crate) mod timestamp;
pub mod x509;
