//! Vectors: what readers of small texts and documents must make of them, as
//! JSON that any test can read. `docs/format/kit.md` describes them.

/// What names mean: references, records, documents of hosts, templates, zones.
pub const NAMES: &str = include_str!("../vectors/names.json");

/// The files that cases about zones begin with, by address.
pub const ZONES: &str = include_str!("../vectors/zones.json");
