//! `null` as "absent", where the spec or common writers have it so.

use serde::{Deserialize, Deserializer};

/// `null` reads as the empty value (CF3; and for maps and lists of other
/// documents as writers put it, which `validate` reports).
pub(crate) fn is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Whether a flag need not be written.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}
