//! The budgets that hold for every document and blob, with their reasons.
//!
//! Budgets of tar entries live in `plimsoll-layer`, which reads them.

/// The largest manifest or other document that is read, in bytes.
///
/// The distribution spec asks registries to support at least 4 MB; more is
/// nobody's image and somebody's attack (CVE-2023-25153).
pub const DOCUMENT: u64 = 4 << 20;

/// The largest index (of an image or of a layout), in bytes.
pub const INDEX: u64 = 8 << 20;

/// The largest image configuration, in bytes.
pub const CONFIG: u64 = 8 << 20;

/// How deep arrays and objects of a document may nest.
pub const JSON_DEPTH: usize = 64;

/// The largest size a descriptor may announce: the spec's int64.
pub const SIZE: u64 = i64::MAX as u64;

/// The longest digest string, in bytes. The longest registered one is
/// `sha512:` with 128 digits; a file name must hold the encoded part.
pub const DIGEST: usize = 255;

/// How many layers an image may have.
pub const LAYERS: usize = 1_000;

/// How deep indexes may nest. Two levels are seen in the wild.
pub const INDEX_DEPTH: usize = 8;

/// How many descriptors one walk through indexes visits before it gives up.
pub const INDEX_VISITS: usize = 10_000;
