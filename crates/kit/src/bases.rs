//! The images that recipes start from: `cases/bases/*.json`.

use plimsoll_content::{Code, Error, Result};

use crate::embedded;
use crate::recipe::Recipe;

/// The base of that name.
pub(crate) fn find(name: &str) -> Result<Recipe> {
    let id = format!("bases/{name}");
    let (_, text) = embedded::cases()?
        .iter()
        .find(|(key, _)| *key == id)
        .ok_or_else(|| Error::new(Code::Malformed, "finding the base of a recipe").found(name))?;
    serde_json::from_str(text).map_err(|cause| {
        Error::new(Code::Malformed, format!("reading base {name}")).found(&cause).cause(cause)
    })
}
