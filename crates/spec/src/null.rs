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

/// `null` reads as an empty list, and each `null` in it as the empty element:
/// histories with such elements exist (GR09), and readers that took them for
/// something crashed over them (CVE-2024-36620).
pub(crate) fn elements_are_default<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    let elements: Option<Vec<Option<T>>> = Option::deserialize(deserializer)?;
    Ok(elements.unwrap_or_default().into_iter().map(Option::unwrap_or_default).collect())
}

/// Whether a flag need not be written.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}
